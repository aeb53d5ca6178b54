"""The card's pictures show the numbers they are drawn from, and nothing else changes their bytes."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import style
from matplotlib.figure import Figure
from PIL import Image, ImageColor
from PIL.PngImagePlugin import PngImageFile

from cxrcore.bundle.folder import embedded_models
from cxrcore.evaluation.record import Metrics
from cxrcore.metrics.intervals import wilson_limits
from cxrcore.models.opening import find_bundle
from cxrcore.publishing import card_figures
from cxrcore.publishing.model_card import illustrate
from cxrcore.reporting.figures import save_png

PHANTOM = find_bundle("phantom")
SIDE, LEFT, TOP = 250 * 2, 40 * 2, 50 * 2  # of a lone panel, in the picture's dots
SCORES = {
    "n": 200,
    "n_patients": 100,
    "split": "test",
    "findings": {
        "Mass": {
            "n_pos": 100,
            "n_neg": 100,
            "auroc": {"value": 0.74, "low": 0.6, "high": 0.85},
            "sensitivity": 0.8,
            "specificity": 0.6,
            "ece": 0.1,
            "ece_expected": 0.05,
        }
    },
}
ROC = {"Mass": {"roc": {"false_positive_rate": [0.0, 0.2, 0.4, 1.0], "sensitivity": [0.0, 0.4, 0.8, 1.0]}}}
BINS = [{"probability": 0.2, "frequency": 0.6, "low": 0.45, "high": 0.75, "n": 40}]


def roc(scores: dict, curves: dict) -> Figure:
    return card_figures.roc_figure(Metrics.from_dict(scores), curves)


def reliability(scores: dict, curves: dict) -> Figure:
    return card_figures.reliability_figure(Metrics.from_dict(scores), curves)


def png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    save_png(figure, buffer)
    return buffer.getvalue()


def seen(figure: Figure) -> Image.Image:
    return Image.open(io.BytesIO(png(figure)))


def colour_at(picture: Image.Image, x: float, y: float) -> Any:
    """The dot at a place of the only panel, in its own coordinates from 0 to 1."""
    return picture.convert("RGB").getpixel((round(LEFT + x * SIDE), round(TOP + (1 - y) * SIDE)))


def test_the_roc_figure_has_the_curve_its_band_and_its_operating_point() -> None:
    picture = seen(roc(SCORES, ROC))
    line, band, point = (ImageColor.getrgb(name) for name in ("#0072b2", "#cfe3f1", "#d55e00"))
    assert colour_at(picture, 0.4, 0.8) == point
    for x, y in ((0.2, 0.4), (0.1, 0.2), (0.7, 0.9)):
        assert colour_at(picture, x, y) == line
    low, high = wilson_limits(0.4, 50)  # a hundred films with it, and two films a patient
    for inside, outside in ((low + 0.02, low - 0.02), (high - 0.02, high + 0.02)):
        assert colour_at(picture, 0.2, inside) == band
        assert colour_at(picture, 0.2, outside) != band


def test_the_reliability_figure_has_a_dot_and_its_interval() -> None:
    picture = seen(reliability(SCORES, {"Mass": {"reliability": {"bins": BINS}}}))
    line = ImageColor.getrgb("#0072b2")
    for y in (0.6, 0.46, 0.74):
        assert colour_at(picture, 0.2, y) == line
    for y in (0.43, 0.77):
        assert colour_at(picture, 0.2, y) != line


def test_a_finding_that_cannot_be_ranked_has_a_panel_all_the_same() -> None:
    scores = json.loads(json.dumps(SCORES))
    scores["findings"]["Mass"] |= {"auroc": {"value": None, "low": None, "high": None}, "sensitivity": None}
    bare, full = roc(scores, {"Mass": {"roc": None}}), roc(SCORES, ROC)
    assert seen(bare).size == seen(full).size
    assert "AUROC undefined" in words(bare)


def words(figure: Figure) -> list[str]:
    return [text.get_text() for panel in figure.axes for text in panel.texts]


def test_a_panel_says_in_words_what_it_shows() -> None:
    assert words(roc(SCORES, ROC)) == ["Mass", "AUROC .740 (.600 to .850)", "100 with, 100 without"]
    assert words(reliability(SCORES, {})) == ["Mass", "error .10; chance alone .05", "200 films"]


def test_neither_a_callers_style_nor_other_threads_change_a_picture() -> None:
    first = png(roc(SCORES, ROC))
    for name in ("dark_background", "seaborn-v0_8", "fivethirtyeight"):
        with style.context(name):
            assert png(roc(SCORES, ROC)) == first
    with ThreadPoolExecutor(4) as pool:
        others = pool.map(lambda _: png(roc(SCORES, ROC)), range(12))
    assert set(others) == {first}
    other = json.loads(json.dumps(SCORES))
    other["findings"]["Mass"]["sensitivity"] = 0.7
    assert png(roc(other, ROC)) != first


@pytest.mark.slow
def test_every_shipped_models_pictures_are_light_sharp_and_the_same_each_time(tmp_path: Path) -> None:
    for model in embedded_models():
        drawn = {}
        for turn in "ab":
            shutil.copytree(find_bundle(model), tmp_path / turn / model, ignore=shutil.ignore_patterns("*.safetensors"))
            paths = card_figures.draw_figures(tmp_path / turn / model)
            drawn[turn] = [(tmp_path / turn / model / path).read_bytes() for path in paths]
            assert [Path(path).name for path in paths] == ["roc.png", "reliability.png"]
        assert drawn["a"] == drawn["b"]
        for path in paths:
            with Image.open(tmp_path / "a" / model / path) as picture:
                assert 1000 < picture.width < 1700
                assert np.asarray(picture.convert("L")).mean() > 220  # a light paper of its own
        assert max(map(len, drawn["a"])) < 200_000


def test_a_picture_of_other_scores_is_drawn_again_and_stands_in_the_card_once(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(PHANTOM, bundle)
    illustrate(bundle)
    path = bundle / "evaluation/phantom-test/roc.png"
    first, when = path.read_bytes(), path.stat().st_mtime_ns
    illustrate(bundle)
    assert path.stat().st_mtime_ns == when  # nothing to do
    assert (bundle / "README.md").read_text().count("<img ") == 2
    with Image.open(path) as picture:
        assert isinstance(picture, PngImageFile)
        assert list(picture.text) == ["scores"]  # no word of the program, whose version would change the bytes
    metrics = path.with_name("metrics.json")
    metrics.write_text(metrics.read_text().replace('"n_pos": 76', '"n_pos": 75'))
    assert not card_figures.matches_scores(path)
    illustrate(bundle)
    assert card_figures.matches_scores(path)
    assert path.read_bytes() != first


def test_pictures_that_are_there_are_kept_without_loading_what_draws(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(PHANTOM, bundle)
    program = (
        "import sys\nfrom pathlib import Path\nfrom cxrcore.publishing.model_card import illustrate\n"
        "illustrate(Path(sys.argv[1]))\nprint('matplotlib' in sys.modules, 'matplotlib.pyplot' in sys.modules)"
    )
    for expected in ("True False", "False False"):
        done = subprocess.run([sys.executable, "-c", program, str(bundle)], check=True, capture_output=True, text=True)
        assert done.stdout.split("\n")[0] == expected
