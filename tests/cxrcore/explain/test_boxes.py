"""Boxes around a map's strongest places, and what parts of a film contribute."""

from __future__ import annotations

import numpy as np
import pytest

from cxrcore.explain.boxes import boxes_of, on_grid
from cxrcore.explain.heatmap import Heatmap, scale_top
from cxrcore.films.preprocessing import Preprocessing
from cxrcore.metrics.localisation import locate


def heatmap(signed, size=(160, 320), geometry="squash", **more) -> Heatmap:
    frame = Preprocessing(64, 64, geometry=geometry)
    return Heatmap("Mass", "gradcam", np.array(signed, np.float32), size, frame, scale="logit", bias=0.5, **more)


def planted(row: int, column: int, value: float = 5.0, cells: int = 8) -> np.ndarray:
    signed = np.full((cells, cells), -1.0)
    signed[row, column] = value
    return signed


def test_a_box_lies_around_the_strongest_place_in_film_pixels() -> None:
    """Oracle: halfway between cell centres a bilinear map has half its peak, so the box is one cell: 40 x 20 pixels."""
    ((x, y, width, height),) = boxes_of(heatmap(planted(2, 5)))
    assert (x, y, width, height) == pytest.approx((200, 40, 40, 20), abs=5)


def test_regions_are_boxed_apart_the_strongest_first_and_weak_ones_not_at_all() -> None:
    signed = planted(1, 1, 6.0)
    signed[6, 6], signed[6, 1] = 8.0, 3.5
    first, second = boxes_of(heatmap(signed))
    assert (first[0], second[0]) == pytest.approx((240, 40), abs=5)
    assert boxes_of(heatmap(np.full((8, 8), -1.0))) == []


def test_a_box_of_a_cropped_map_lies_in_the_middle_square() -> None:
    """Oracle: the film's middle square begins at column 80 and its cells are 20 pixels wide."""
    ((x, y, width, height),) = boxes_of(heatmap(planted(2, 5), geometry="crop"))
    assert (x, y, width, height) == pytest.approx((180, 40, 20, 20), abs=5)


def test_the_box_is_the_region_that_localisation_scores_at_half_the_maximum() -> None:
    """Oracle: ``locate`` finds the whole region in its box, and not in one that is two pixels narrower."""
    heat = heatmap(planted(3, 3), size=(256, 256))
    ((x, y, width, height),) = boxes_of(heat, 256)
    assert locate(on_grid(heat), [(x, y, width, height)], threshold=0.5).iobb == 1
    for smaller in ((x + 2, y, width - 2, height), (x, y, width, height - 2)):
        assert locate(on_grid(heat), [smaller], threshold=0.5).iobb < 1


def test_parts_of_the_film_contribute_what_the_whole_does() -> None:
    """Oracle: the map's own mean, and cells summed by hand."""
    heat = heatmap(np.random.default_rng(0).normal(size=(4, 4)))
    quarters = [(x, y, x + 0.5, y + 0.5) for x in (0, 0.5) for y in (0, 0.5)]
    assert sum(map(heat.contribution, quarters)) == pytest.approx(heat.target - 0.5)
    assert heat.contribution((0.25, 0.5, 0.625, 0.75)) == pytest.approx(
        (heat.signed[2, 1] + heat.signed[2, 2] / 2) / 16, abs=1e-6
    )
    beside = heatmap(planted(0, 0, cells=4), geometry="letterbox")  # the film is rows 1 and 2 of 4
    assert beside.contribution((0, 0, 1, 1)) == pytest.approx(-8 / 16)


def test_one_scale_holds_every_finding_of_a_film() -> None:
    maps = np.stack([planted(0, 0, 3.0), planted(1, 1, 7.5)])
    assert scale_top(maps, {"Mass": 1.5, "Hernia": 2.5}) == 7.5
    assert scale_top(maps, {"Mass": 1.5, "Hernia": 12.0}) == 12
    assert scale_top(np.full((1, 4, 4), -3.0), {}) == 1
