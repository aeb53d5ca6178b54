"""Erased regions: a fill that solves Laplace's equation, boxes through every geometry, answers of films so changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import cxrcore
from cxrcore.errors import CxrError
from cxrcore.films.preprocessing import Preprocessing, middle_square
from cxrcore.films.radiograph import Radiograph
from cxrcore.findings import NIH14, PNEUMONIA3
from cxrcore.models.erasing import erase, filled_from_around, film_pixels, pixels_of
from cxrcore.phantom import draw_phantom

CORNER = (0.5, 0.5, 1.0, 1.0)


@pytest.fixture(scope="module")
def phantom():
    return cxrcore.load("phantom")


@pytest.fixture(scope="module")
def film() -> Radiograph:
    return draw_phantom(7, ["Effusion"]).film


def test_the_fill_is_harmonic_and_touches_nothing_else() -> None:
    """Oracle: the five-point formula, and a plane, which is its own harmonic surface."""
    pixels = np.random.default_rng(0).random((20, 30), dtype=np.float32)
    before = pixels.copy()
    filled = filled_from_around(pixels, ((5, 12), (8, 30)), ((0, 20), (0, 30)))
    np.testing.assert_array_equal(pixels, before)
    inner = filled[4:13, 7:30].astype(np.float64)
    around = inner[:-2, 1:-1] + inner[2:, 1:-1] + inner[1:-1, :-2] + inner[1:-1, 2:]
    np.testing.assert_allclose(inner[1:-1, 1:-1], around / 4, atol=1e-6)
    outside = np.ones_like(pixels, dtype=bool)
    outside[5:12, 8:30] = False
    np.testing.assert_array_equal(filled[outside], pixels[outside])
    down, across = np.mgrid[:20, :30].astype(np.float32)
    plane = 0.1 + 0.01 * down + 0.02 * across
    np.testing.assert_allclose(filled_from_around(plane, ((2, 9), (3, 8)), ((0, 20), (0, 30))), plane, atol=1e-6)


def test_bars_beside_the_film_are_no_surroundings() -> None:
    frame = Preprocessing(64, 64, geometry="letterbox")
    prepared = frame.prepare(np.full((100, 200), 0.6, np.float32))
    spans, area = pixels_of(frame, (100, 200), (0.2, 0.0, 0.8, 0.5)), film_pixels(frame, (100, 200))
    np.testing.assert_allclose(filled_from_around(prepared, spans, area), prepared, atol=1e-4)


@pytest.mark.parametrize("geometry", ["squash", "letterbox", "crop"])
def test_a_box_covers_the_pixels_that_show_it(geometry) -> None:
    """Oracle: a white rectangle on a black film, prepared."""
    frame, pixels = Preprocessing(80, 80, geometry=geometry), np.zeros((160, 320), np.float32)
    pixels[40:80, 120:200] = 1
    rows, columns = pixels_of(frame, pixels.shape, (120 / 320, 40 / 160, 200 / 320, 80 / 160))
    white = np.argwhere(frame.prepare(pixels) > 0.5)
    assert (rows, columns) == tuple(zip(white.min(0).tolist(), (white.max(0) + 1).tolist(), strict=True))


def test_the_answer_is_that_of_the_film_so_changed(phantom, film) -> None:
    """Oracle: the fill put into the prepared film by hand, and the model's own map summed over the corner's cells."""
    erased = erase(phantom, film, CORNER)
    prepared = phantom.prepare(film)
    height, width = prepared.shape
    assert erased.box == CORNER
    prepared[height // 2 :, width // 2 :] = erased.fill
    logits, probabilities = phantom.score([prepared])
    before, signed = phantom.predict(film), phantom.explain(film, "Effusion").signed
    for column, (name, one) in enumerate(erased.findings.items()):
        assert one.probabilities == pytest.approx((before.probabilities[name], probabilities[0, column]), abs=1e-6)
        assert one.move == pytest.approx(logits[0, column] - before.logits[name], abs=1e-5)
    rows, columns = signed.shape
    assert rows % 2 == columns % 2 == 0
    claim = signed[rows // 2 :, columns // 2 :].sum() / signed.size
    assert erased.findings["Effusion"].claim == pytest.approx(claim, abs=1e-5)


@pytest.mark.parametrize("seed", [2, 3, 6])
def test_a_planted_finding_is_lost_with_its_place(phantom, seed) -> None:
    """Oracle: the box of the consolidation that was drawn into the film."""
    planted = draw_phantom(seed, ["Consolidation"])
    (x, y, width, height), (down, across) = planted.boxes["Consolidation"], planted.pixels.shape
    box = (x / across, y / down, (x + width) / across, (y + height) / down)
    one = erase(phantom, planted.film, box).findings["Consolidation"]
    assert one.claim > 0.3
    assert one.move < -2


def test_an_analysis_at_hand_saves_a_pass(phantom, film) -> None:
    analysis = phantom.analyse(film)
    known = replace(analysis, prediction=replace(analysis.prediction, logits=dict.fromkeys(phantom.labels, 100.0)))
    assert erase(phantom, film, CORNER, known).findings["Effusion"].targets[0] == 100
    assert erase(phantom, film, CORNER, analysis).findings == erase(phantom, film, CORNER).findings


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((0.5, 0.5, 1.2, 0.9), "leaves the film"),
        ((-0.1, 0.5, 0.3, 0.9), "leaves the film"),
        ((float("nan"), 0, 1, 1), "leaves the film"),
        ((0.5, 0.5, 0.5, 0.9), "no area"),
        ((0.5, 0.9, 0.6, 0.2), "no area"),
        ((0, 0, 1, 1), "the whole film"),
        ((0.1, 0.2), "four numbers"),
        ("abcd", "four numbers"),
        (None, "four numbers"),
    ],
)
def test_a_box_that_cannot_be_erased_is_one_sentence(phantom, film, box, words) -> None:
    with pytest.raises(CxrError, match=words) as caught:
        erase(phantom, film, box)
    assert "\n" not in str(caught.value)


def test_what_a_crop_leaves_out_cannot_be_erased(make_bundle) -> None:
    frame = Preprocessing(64, 64, geometry="crop")
    model = cxrcore.load(make_bundle("resnet10t", NIH14, preprocessing=frame))
    wide = Radiograph(np.random.default_rng(0).random((100, 300), dtype=np.float32), 8, 8, "PNG")
    assert middle_square((100, 300))[1] == slice(100, 200)
    with pytest.raises(CxrError, match="does not look at that part"):
        erase(model, wide, (0.0, 0.1, 0.2, 0.9))
    assert erase(model, wide, (0.2, 0.1, 0.5, 0.9)).box[0] == pytest.approx(1 / 3, abs=0.01)


def test_several_networks_and_exclusive_classes(make_bundle, film) -> None:
    """Oracle: the map's own target, which is what moves."""
    from cxrcore.bundle.config import EnsembleConfig
    from cxrcore.models.ensemble import Ensemble
    from cxrcore.models.opening import load_one

    frames = Preprocessing(64, 64), Preprocessing(48, 96, geometry="letterbox")
    members = [load_one(make_bundle("resnet10t", PNEUMONIA3, preprocessing=frame)) for frame in frames]
    both = Ensemble(members, EnsembleConfig("both", PNEUMONIA3, ("a", "b")))
    for model in (members[0], both):
        one = erase(model, film, (0.25, 0.25, 0.5, 0.75)).findings["Viral pneumonia"]
        heat = model.analyse(film).heatmaps["Viral pneumonia"]
        assert one.targets[0] == pytest.approx(heat.target, abs=1e-4)
        assert one.claim == pytest.approx(heat.contribution((0.25, 0.25, 0.5, 0.75)), abs=0.02)
