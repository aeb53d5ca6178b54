"""Maps whose place is known: a bright square, an even one, an empty one, a random one."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from cxrcore.metrics.localisation import Localisation, border_share, locate, summarise_localisation


def square(size=20, rows=slice(4, 8), columns=slice(10, 16), value=1.0):
    heat = np.zeros((size, size))
    heat[rows, columns] = value
    return heat


BOX = (10, 4, 6, 4)  # x, y, width, height of the square


def test_a_map_that_fills_its_box_scores_fully():
    found = locate(square(), [BOX])
    assert (found.hit, found.centre_hit, found.iou, found.iobb, found.box_share) == (True, True, 1, 1, 24 / 400)


def test_overlap_is_counted_in_pixels():
    heat = square(columns=slice(13, 19))  # half in, half out
    found = locate(heat, [BOX])
    assert (found.iou, found.iobb) == pytest.approx((12 / 36, 12 / 24))
    heat[0, 0] = 2.0  # a hot pixel elsewhere takes the maximum
    assert not locate(heat, [BOX]).hit
    assert locate(heat, [BOX, (0, 0, 1, 1)]).hit  # several boxes count as one place


def test_threshold_rules():
    heat = square() + 0.3 * square(rows=slice(4, 12), columns=slice(10, 19))  # a halo around the box
    by_area, tight, loose = (locate(heat, [BOX], threshold=rule) for rule in ("box", 0.5, 0.1))
    assert by_area.iou == tight.iou == 1
    assert (loose.iou, loose.iobb) == pytest.approx((24 / 72, 24 / 72))
    for rule in ("half", 0.0, 1.5):
        with pytest.raises(ValueError, match="share of the maximum"):
            locate(heat, [BOX], threshold=rule)


def test_boxes_come_in_the_films_own_pixels():
    wide = locate(square(), np.multiply([BOX], 50).tolist(), film_size=(1000, 1000))
    assert (wide.iou, wide.box_share) == (1, 24 / 400)
    stretched = locate(square(), [(10 * 50, 4 * 100, 6 * 50, 4 * 100)], film_size=(2000, 1000))
    assert stretched.iou == 1
    tiny = locate(square(), [(512, 215, 3, 3)], film_size=(1000, 1000))  # smaller than a pixel of the map
    assert tiny.box_share == 1 / 400
    assert tiny.hit is False  # one of 24 equal pixels
    assert locate(square(rows=slice(4, 5), columns=slice(10, 11)), [(512, 215, 3, 3)], (1000, 1000)).hit


def test_negative_and_empty_maps_show_no_place():
    empty = locate(-square(), [BOX])
    assert (empty.hit, empty.centre_hit, empty.iou, empty.border_share, empty.empty) == (False, False, 0, None, True)
    assert "no positive value" in empty.to_dict()["why"]
    mixed = locate(square() - 5 * square(rows=slice(12, 20)), [BOX])
    assert mixed.iou == 1


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="finite map"):
        locate(np.full((4, 4), np.nan), [(0, 0, 1, 1)])
    with pytest.raises(ValueError, match="at least one box"):
        locate(square(), [])
    with pytest.raises(ValueError, match="above 0"):
        locate(square(), [(0, 0, 0, 4)])


def test_input_is_left_as_it_was():
    heat = -square()
    before = heat.copy()
    locate(heat, [BOX])
    np.testing.assert_array_equal(heat, before)


@pytest.mark.parametrize("size", [7, 10, 64])
def test_an_even_map_has_a_third_of_its_mass_at_the_border(size):
    assert border_share(np.ones((size, 2 * size))) == pytest.approx(0.36)
    assert border_share(square()) == 0
    assert border_share(square(rows=slice(0, 1))) == 1
    assert border_share(np.zeros((3, 3))) is None


def many(n, seed=0, good=True):
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        x, y = rng.integers(0, 14, 2)
        heat = rng.random((20, 20))
        if good:
            heat[y : y + 4, x : x + 6] += rng.random() * 1.5
        found.append(locate(heat, [(x, y, 6, 4)]))
    return found


def test_a_random_map_hits_as_often_as_the_box_is_large():
    found = summarise_localisation(many(2000, good=False))
    assert found.chance == pytest.approx(24 / 400)
    assert found.scores["hit"].low < 24 / 400 < found.scores["hit"].high
    assert found.scores["iobb"].value == pytest.approx(24 / 400, abs=0.01)
    assert found.scores["border_share"].value == pytest.approx(0.36, abs=0.01)


def test_a_good_map_beats_the_control():
    found = summarise_localisation(many(150), many(150, good=False))
    assert found.scores["hit"].method == "Wilson"
    assert found.gain.low > 0.4
    assert found.gain_p < 1e-6
    assert found.gain.value == pytest.approx(found.scores["hit"].value - found.control["hit"].value)
    assert found.scores["iou"].low < found.scores["iou"].value < found.scores["iou"].high
    plain = found.to_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["noise"] == found.control["hit"].to_dict()


@pytest.mark.parametrize(("films", "control"), [(0, True), (9, True), (9, False), (30, True), (30, False)])
def test_what_is_written_is_read_back(films, control):
    found = summarise_localisation(many(films), many(films, good=False) if control else None)
    assert json.dumps(Localisation.from_dict(found.to_dict()).to_dict()) == json.dumps(found.to_dict())


def test_boxes_drawn_from_a_map_are_scored_as_areas():
    found = locate(square(), [BOX], drawn=[(13, 4, 6, 4)])  # half in, half out
    assert found.box_iou == pytest.approx(12 / 36)
    assert [found.score(name) for name in ("box_iou_10", "box_iou_25", "box_iou_50")] == [1, 1, 0]
    assert locate(square(), [BOX], drawn=[(10, 4, 3, 4), (13, 4, 3, 4)]).box_iou == 1  # several count as one
    assert locate(square(), [BOX], drawn=[]).box_iou == 0
    assert locate(square(), [BOX]).box_iou is None


def test_films_of_one_patient_count_less():
    maps, groups = many(40) * 5, np.tile(np.arange(40), 5)
    once, five, naive = (
        summarise_localisation(maps[:40]),
        summarise_localisation(maps, groups=groups),
        summarise_localisation(maps),
    )
    width = [one.scores["iou"].high - one.scores["iou"].low for one in (once, five, naive)]
    assert width[1] == pytest.approx(width[0], rel=0.15)
    assert width[2] < 0.6 * width[1]
    assert (five.n, five.n_patients) == (200, 40)


def test_too_few_boxes_say_so():
    few = summarise_localisation(many(9), many(9, good=False))
    assert "9 film(s)" in few.why
    assert few.scores["hit"].value is not None
    assert few.scores["hit"].low is few.gain_p is None
    assert few.gain.why == few.why
    nothing = summarise_localisation([])
    assert nothing.to_dict()["hit"] is nothing.to_dict()["noise"] is None
    assert "no film" in nothing.to_dict()["why"]
    with pytest.raises(ValueError, match="control map for each"):
        summarise_localisation(many(10), many(9))


def test_empty_maps_are_counted_as_misses():
    maps = many(20)
    maps[:5] = [replace(one, hit=False, border_share=None, empty=True) for one in maps[:5]]
    found = summarise_localisation(maps)
    assert found.n_empty == 5
    assert found.scores["hit"].n_pos + found.scores["hit"].n_neg == 20
    assert found.scores["border_share"].n_pos == 15
