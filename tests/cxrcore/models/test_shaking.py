"""The shaken film against predictions of films that were changed by other means."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

import cxrcore
from cxrcore.films.radiograph import Radiograph
from cxrcore.models.shaking import CHANGES, LONGEST, Change, compare_films, shake, spread
from cxrcore.phantom import draw_phantom


@pytest.fixture(scope="module")
def phantom():
    return cxrcore.load("phantom")


def film(pixels: np.ndarray) -> Radiograph:
    return Radiograph(np.ascontiguousarray(pixels, np.float32), 8, 8, "PNG")


def test_each_change_is_the_prediction_of_the_film_so_changed(phantom) -> None:
    """Oracle: Pillow's mirror, and a gamma applied by hand."""
    drawn = draw_phantom(7, ["Effusion"]).pixels
    answers = shake(phantom, film(drawn))
    assert list(answers) == list(CHANGES)
    mirrored = np.asarray(ImageOps.mirror(Image.fromarray(drawn)))
    for name, pixels in (("mirrored", mirrored), ("darker (gamma 1.4)", drawn**1.4)):
        assert answers[name] == pytest.approx(phantom.predict(film(pixels)).probabilities, abs=0.01)


def test_the_same_film_is_shaken_alike_and_stays_as_it_is(phantom) -> None:
    once = film(draw_phantom(8).pixels)
    before = once.pixels.copy()
    assert shake(phantom, once) == shake(phantom, once)
    np.testing.assert_array_equal(once.pixels, before)


def test_changes_stay_in_range_and_large_films_are_reduced_first(phantom) -> None:
    wide = np.random.default_rng(0).random((1500, 3000), dtype=np.float32)
    answers = shake(phantom, film(wide))
    assert all(0 <= value <= 1 for one in answers.values() for value in one.values())
    small = np.asarray(Image.fromarray(wide).resize((LONGEST, LONGEST // 2), Image.Resampling.BOX))
    assert answers["mirrored"] == pytest.approx(phantom.predict(film(small[:, ::-1])).probabilities, abs=0.01)


def test_two_films_differ_by_their_predictions_and_each_has_its_own_range(phantom) -> None:
    """Oracle: the predictions themselves, and the least and greatest of one film as it is and changed."""
    films = film(draw_phantom(3).pixels), film(draw_phantom(3, ["Effusion"]).pixels)
    before, after = (phantom.predict(one) for one in films)
    changes = compare_films(phantom, before, after, films)
    readings = [after.probabilities, *shake(phantom, films[1]).values()]
    for name, change in changes.items():
        assert change.difference == after.probabilities[name] - before.probabilities[name]
        shares = [reading[name] for reading in readings]
        assert change.after_range == (min(shares), max(shares))
        assert change.before_range == spread(phantom, films[0])[name]
    assert changes["Effusion"].beyond
    same = compare_films(phantom, before, before, (films[0], films[0]))
    assert not any(change.beyond for change in same.values())


def test_ranges_that_do_not_meet_are_a_change_beyond_shaking() -> None:
    assert Change(0.1, 0.5, (0.05, 0.2), (0.3, 0.6)).beyond
    assert Change(0.5, 0.1, (0.3, 0.6), (0.05, 0.2)).beyond
    assert not Change(0.1, 0.5, (0.05, 0.3), (0.3, 0.6)).beyond
