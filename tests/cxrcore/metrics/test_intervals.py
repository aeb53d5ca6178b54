"""Intervals against scipy and against the equations they solve."""

from __future__ import annotations

import json
import math

import pytest
from scipy.optimize import brentq
from scipy.stats import binomtest, norm

from cxrcore.metrics.intervals import (
    Estimate,
    difference,
    logit_interval,
    newcombe,
    p_of,
    two_sided_p,
    wilson,
    wilson_limits,
    z_score,
)


@pytest.mark.parametrize(("successes", "total"), [(0, 1), (1, 1), (0, 30), (30, 30), (388, 390), (81, 263), (3, 20000)])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_wilson_equals_scipy(successes, total, level):
    ours = wilson(successes, total, level)
    theirs = binomtest(successes, total).proportion_ci(level, "wilson")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)
    assert (ours.value, ours.n_pos, ours.n_neg) == (successes / total, successes, total - successes)


def test_wilson_of_nothing_says_why():
    assert wilson(0, 0, empty="no film was called positive").to_dict() == {
        "value": None,
        "low": None,
        "high": None,
        "method": "Wilson",
        "n_pos": 0,
        "n_neg": 0,
        "why": "no film was called positive",
    }


@pytest.mark.parametrize(
    ("area", "n_pos", "n_neg"), [(1.0, 20, 20), (1.0, 5, 400), (0.0, 8, 9), (0.9, 30, 70), (0.5, 3, 3)]
)
def test_newcombe_solves_its_equation(area, n_pos, n_neg):
    mean = (n_pos + n_neg) / 2

    def distance(t):
        """Hanley and McNeil 1982 with Q1 and Q2, the counts in the numerator replaced by their mean."""
        q1, q2 = t / (2 - t), 2 * t * t / (1 + t)
        variance = (t * (1 - t) + (mean - 1) * (q1 - t * t) + (mean - 1) * (q2 - t * t)) / (n_pos * n_neg)
        return (t - area) ** 2 - 1.959963985**2 * variance

    low, high = newcombe(area, n_pos, n_neg)
    assert low == pytest.approx(0.0 if area == 0 else brentq(distance, 1e-9, area - 1e-9), abs=1e-7)
    assert high == pytest.approx(1.0 if area == 1 else brentq(distance, area + 1e-9, 1 - 1e-9), abs=1e-7)


def test_newcombe_mirrors():
    low, high = newcombe(0.9, 12, 50)
    assert newcombe(0.1, 12, 50) == pytest.approx((1 - high, 1 - low), abs=1e-9)


def test_logit_interval_stays_inside_and_is_the_delta_method():
    low, high = logit_interval(0.99, 0.02**2)
    assert 0 < low < 0.99 < high < 1
    width = math.log(high / (1 - high)) - math.log(low / (1 - low))
    assert width == pytest.approx(2 * 1.959963985 * 0.02 / (0.99 * 0.01))
    assert all(0 <= end <= 1 for end in logit_interval(0.5, 1e9))
    with pytest.raises(ValueError, match="needs a value in"):
        logit_interval(1.0, 0.01)


def test_z_score_and_level():
    assert z_score(0.95) == pytest.approx(1.959963984540054)
    with pytest.raises(ValueError, match="between 0 and 1"):
        z_score(95)


def test_an_estimate_never_holds_nan_nor_lacks_a_reason():
    with pytest.raises(ValueError, match="finite"):
        Estimate(math.nan, 0.0, 1.0, "none", 1, 1)
    with pytest.raises(ValueError, match="says why"):
        Estimate(0.5, None, None, "none", 1, 1)
    data = Estimate(0.5, 0.25, 0.75, "Wilson", 1, 1).to_dict()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert "why" not in data


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0000),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ],
)
def test_difference_of_two_rates_is_newcombes_published_table(first, second, low, high):
    """Newcombe 1998 (Stat Med 17:873), table II, method 10."""
    found = difference(wilson(*first), wilson(*second))
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-5)
    mirrored = difference(wilson(*second), wilson(*first))
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))


def test_difference_of_symmetric_intervals_is_the_usual_one():
    first, second = Estimate(0.7, 0.6, 0.8, "", 1, 1), Estimate(0.5, 0.3, 0.7, "", 1, 1)
    for r in (-0.5, 0, 0.8):
        half = math.sqrt(0.1**2 + 0.2**2 - 2 * r * 0.1 * 0.2)
        found = difference(first, second, r)
        assert (found.low, found.high) == pytest.approx((0.2 - half, 0.2 + half))
        assert p_of(found) == pytest.approx(2 * norm.sf(0.2 / (half / 1.959963985)))


def test_p_and_interval_never_disagree():
    for hits in range(41):
        found = difference(wilson(hits, 40), wilson(20, 40))
        assert (p_of(found) < 0.05) == (not found.low <= 0 <= found.high)
    assert p_of(difference(wilson(7, 40), wilson(7, 40))) == 1


def test_p_holds_far_into_the_tail():
    assert two_sided_p(-20.0) == pytest.approx(2 * norm.sf(20), rel=1e-9)


def test_a_difference_without_a_side_says_why():
    nothing = Estimate.undefined("too few films")
    assert difference(wilson(1, 2), nothing).why == difference(nothing, wilson(1, 2)).why == "too few films"
    assert p_of(nothing) is None


def test_wilson_limits_take_a_share():
    one = wilson(7, 30)
    assert wilson_limits(7 / 30, 30) == pytest.approx((one.low, one.high))
