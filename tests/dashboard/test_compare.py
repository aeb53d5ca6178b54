"""Comparison with another model: the same films only, paired differences, and films on which the two disagree."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cxrcore.metrics.comparison import compare_auroc
from cxrcore.models.opening import find_bundle
from cxrcore.predictions.import_table import read_predictions
from cxrcore.predictions.record import Predictions
from tests.dashboard.opening import charts, open_page, without_table, words

TABLE = find_bundle("phantom") / "evaluation" / "phantom-test" / "predictions.parquet"


def blurred(films: Predictions, path: Path, amount: float = 0.15) -> Path:
    noise = np.random.default_rng(0).normal(0, amount, films.probabilities.shape)
    replace(films, probabilities=np.clip(films.probabilities + noise, 0, 1), logits=None).write(path)
    return path


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model with noise, on the first 280 of its films."""
    films = Predictions.read(TABLE)
    return blurred(films.rows(np.arange(280)), tmp_path_factory.mktemp("versus") / "noisy.parquet")


def test_paired_differences_on_the_films_that_both_saw(other: Path) -> None:
    app = open_page("compare", model="phantom", other_model=str(other), finding="Nodule")
    said = words(app)
    assert "280 films of 280 patients are in both" in said
    assert "25 that only phantom has" in said
    first, second = Predictions.read(TABLE).rows(np.arange(280)), Predictions.read(other)
    expected = compare_auroc(first.targets[:, 2], first.probabilities[:, 2], second.probabilities[:, 2])
    row = app.dataframe[0].value.set_index("finding").loc["Nodule"]
    assert row["difference"] == pytest.approx(expected.difference.value, abs=1e-9)
    assert row["p"] == pytest.approx(expected.p, abs=1e-9)
    assert row["p_holm"] >= row["p"]


def test_the_films_furthest_apart_come_first(other: Path) -> None:
    app = open_page("compare", model="phantom", other_model=str(other), finding="Nodule")
    first, second = Predictions.read(TABLE).rows(np.arange(280)), Predictions.read(other)
    apart = np.abs(first.probabilities[:, 2] - second.probabilities[:, 2])
    listed = app.dataframe[1].value
    assert listed["image"].tolist()[0] == first.images[apart.argmax()]
    assert (np.diff(listed["apart"]) <= 0).all()
    app.button_group(key="versus-closer").set_value("noisy.parquet is closer").run()
    assert not app.exception
    best = app.dataframe[1].value.iloc[0]
    truth = 1.0 if best["truth"] == "with it" else 0.0
    assert abs(best["noisy.parquet"] - truth) < abs(best["phantom"] - truth)


def test_both_curves_are_drawn(other: Path) -> None:
    app = open_page("compare", model="phantom", other_model=str(other), finding="Effusion")
    names = [trace.get("name") or "" for trace in charts(app)[1]["data"]]
    assert any(name.startswith("phantom (0.9") for name in names)
    assert any(name.startswith("noisy.parquet (0.9") for name in names)


def test_the_same_results_twice_are_no_comparison() -> None:
    said = words(open_page("compare", model="phantom", other_model=str(TABLE)))
    assert "same results twice" in said or "in both" in said


def test_other_findings_are_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "hernia.csv"
    path.write_text("image,prob_Hernia,target_Hernia\nphantom-000019.png,0.2,0\nphantom-000026.png,0.7,1\n")
    app = open_page("compare", model="phantom", other_model=str(path))
    assert "different findings" in words(app)


def test_other_films_are_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.csv"
    path.write_text("image,prob_Nodule,target_Nodule\na.png,0.2,0\nb.png,0.7,1\n")
    assert "o film is in both" in words(open_page("compare", model="phantom", other_model=str(path)))


def test_a_bundle_without_films_says_how_to_get_them(tmp_path: Path) -> None:
    assert "cxr evaluate" in words(open_page("compare", model=without_table(tmp_path / "mine")))


@pytest.mark.slow
@pytest.mark.data
def test_a_published_model_against_a_blurred_copy(data_dir: Path, tmp_path: Path) -> None:
    table, labels = (data_dir / "nih" / name for name in ("chexnet_predictions.csv.gz", "Data_Entry_2017_v2020.csv.gz"))
    films = read_predictions(table, labels)
    path = blurred(films, tmp_path / "blurred.parquet", 0.3)
    app = open_page("compare", model=str(table), labels=str(labels), other_model=str(path), finding="Pneumothorax")
    assert "11,928 films of 3,117 patients are in both" in words(app)
    assert (app.dataframe[0].value["difference"].dropna() > 0).all()
