"""Intervals against scipy and against the equations they solve."""

from __future__ import annotations

import json
import math

import pytest
from scipy.optimize import brentq
from scipy.stats import binomtest

from cxrcore.metrics.intervals import Estimate, logit_interval, newcombe, wilson, z_score


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
