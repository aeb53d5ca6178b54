"""Where a model's colour scale ends."""

import numpy as np
import pytest

from cxrcore.explain.heatmap import map_ceilings


def maps(peaks: np.ndarray) -> np.ndarray:
    """Maps of one finding, each -1 everywhere but at one place; (N, 1, 3, 3)."""
    signed = np.full((len(peaks), 1, 3, 3), -1.0)
    signed[:, 0, 1, 2] = peaks
    return signed


def test_three_in_four_films_with_the_finding_reach_full_colour():
    peaks = np.r_[np.arange(1.0, 101.0), np.full(300, 0.1)]  # films without it, however many, move nothing
    targets = np.r_[np.ones(100), np.zeros(299), np.nan][:, None]
    (ceiling,) = map_ceilings(maps(peaks), targets)
    assert ceiling == pytest.approx(np.percentile(peaks[:100], 25))
    peaks[99] = 1e6  # nor does one extreme film
    assert map_ceilings(maps(peaks), targets) == [ceiling]


def test_few_films_with_the_finding_leave_it_to_all_films():
    peaks = np.arange(40.0)
    targets = (np.arange(40) < 19).astype(float)[:, None]
    assert map_ceilings(maps(peaks), targets) == map_ceilings(maps(peaks)) == [np.median(peaks)]
    assert map_ceilings(maps(np.full(30, -1.0))) == [1.0]  # never zero, nor so low that next to nothing glows
