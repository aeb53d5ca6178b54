"""The outline of the chest; oracle: the lungs, heart and stomach gas of drawn films."""

from __future__ import annotations

import numpy as np
import pytest

from cxrcore.explain.chest import EDGE, outline_chest, share_outside
from cxrcore.explain.heatmap import Heatmap
from cxrcore.films.preprocessing import Preprocessing
from cxrcore.phantom import Phantom, draw_phantom
from page.payloads import map_payload

SIZE = (256, 256)


@pytest.fixture(scope="module")
def people() -> list[Phantom]:
    findings = ((), ("Effusion",), ("Cardiomegaly",), ())
    return [draw_phantom(7100 + seed, findings[seed % 4], SIZE) for seed in range(12)]


def map_at(film_size: tuple[int, int], *places: tuple[float, float]) -> Heatmap:
    """A map with one strong cell of 16 x 16 at each place (x, y in shares of the film)."""
    signed = np.full((16, 16), -1, np.float32)
    for x, y in places:
        signed[int(16 * y), int(16 * x)] = 5
    how = Preprocessing(64, 64, geometry="squash")
    return Heatmap("Mass", "gradcam", signed, film_size, how, scale="logit", bias=0)


def test_lungs_and_heart_lie_inside_and_not_much_else(people) -> None:
    """Oracle: the masks of the drawings."""
    for phantom in people:
        chest = outline_chest(phantom.pixels)
        region = chest.mask(SIZE)
        assert chest.found
        assert region[phantom.lungs].mean() > 0.85
        assert region[phantom.heart].mean() > 0.9
        assert region.sum() < 1.8 * (phantom.lungs | phantom.heart).sum()


def test_the_outline_moves_and_stretches_with_the_film(people) -> None:
    """Oracle: the same film with a black frame on two sides, and with twice the rows."""
    pixels = people[0].pixels
    plain = outline_chest(pixels).outline
    framed = np.zeros((300, 280), np.float32)
    framed[44:, 24:] = pixels
    moved = (plain * 256 + (24, 44)) / (280, 300)
    np.testing.assert_allclose(outline_chest(framed).outline, moved, atol=0.05)
    np.testing.assert_allclose(outline_chest(np.repeat(pixels, 2, axis=0)).outline, plain, atol=0.04)


@pytest.mark.parametrize("kind", ["blank", "white", "noise", "inverted", "upside down"])
def test_what_resembles_no_chest_gets_the_films_central_part(kind, people) -> None:
    film = people[0].pixels
    pixels = {
        "blank": np.zeros(SIZE, np.float32),
        "white": np.ones(SIZE, np.float32),
        "noise": np.random.default_rng(0).random(SIZE, np.float32),
        "inverted": 1 - film,
        "upside down": film[::-1],
    }[kind]
    chest = outline_chest(pixels)
    assert not chest.found
    assert chest.outline.min() == EDGE
    assert chest.outline.max() == 1 - EDGE
    payload = map_payload(map_at(SIZE, (0.02, 0.02)), chest)
    assert payload["chest"] is None
    assert payload["outside"] > 0.9


def test_evidence_in_lungs_and_heart_is_inside_and_elsewhere_outside(people) -> None:
    """Oracle: the centres of the drawn organs; the corners and the abdomen of every film."""
    for phantom in people:
        chest = outline_chest(phantom.pixels)
        for organ in (phantom.lungs & (np.arange(256) < 128), phantom.lungs & (np.arange(256) >= 128), phantom.heart):
            y, x = (np.flatnonzero(organ.any(axis)).mean() / 256 for axis in (1, 0))
            assert share_outside(map_at(SIZE, (x, y)), chest) < 0.2
        assert share_outside(map_at(SIZE, (0.02, 0.02), (0.98, 0.02), (0.5, 0.97)), chest) > 0.9
    assert share_outside(map_at(SIZE), chest) is None


def test_the_answer_carries_share_and_corners_within_the_film(people) -> None:
    chest = outline_chest(people[1].pixels)
    payload = map_payload(map_at(SIZE, (0.02, 0.5)), chest)
    assert payload["outside"] == share_outside(map_at(SIZE, (0.02, 0.5)), chest)
    assert np.shape(payload["chest"]) == chest.outline.shape
    assert 0 <= np.min(payload["chest"]) <= np.max(payload["chest"]) <= 1
