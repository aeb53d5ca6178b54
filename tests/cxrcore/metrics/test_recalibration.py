"""Calibration line and Brier parts against scikit-learn, the bootstrap and the identity they must satisfy."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from cxrcore.metrics.calibration import brier, brier_parts, reliability
from cxrcore.metrics.decision_curves import decision_curve
from cxrcore.metrics.intervals import wilson
from cxrcore.metrics.recalibration import fit_recalibration


def films(n=3000, slope=1.0, shift=0.0, patients=None, seed=0):
    """Probabilities whose true logit is ``shift + slope`` times theirs, and outcomes; patients share their outcomes."""
    rng = np.random.default_rng(seed)
    groups = np.arange(n) if patients is None else np.sort(rng.integers(0, patients, n))
    logits = rng.normal(-1, 1.5, n)
    luck = np.random.default_rng(seed + 1).random(n)[groups] if patients else rng.random(n)
    targets = (luck < 1 / (1 + np.exp(-(shift + slope * logits)))).astype(float)
    return targets, 1 / (1 + np.exp(-logits)), groups


def test_line_equals_scikit_learn_and_recovers_the_truth():
    targets, p, _ = films(20000, slope=0.6, shift=0.4)
    found = fit_recalibration(targets, p)
    theirs = LogisticRegression(C=np.inf, tol=1e-10).fit(np.log(p / (1 - p))[:, None], targets)
    assert found.slope.value == pytest.approx(theirs.coef_[0, 0], abs=1e-5)
    assert found.intercept.value == pytest.approx(theirs.intercept_[0], abs=1e-5)
    assert found.slope.low < 0.6 < found.slope.high < 1
    assert found.intercept.low < 0.4 < found.intercept.high
    assert found.slope.method == "sandwich"


def test_in_the_large_makes_predicted_and_seen_equal():
    targets, p, _ = films(shift=0.7)
    shifted = np.log(p / (1 - p)) + fit_recalibration(targets, p).in_the_large.value
    assert np.mean(1 / (1 + np.exp(-shifted))) == pytest.approx(targets.mean(), abs=1e-8)


def test_intervals_cover_the_truth():
    covered = [fit_recalibration(*films(800, 1.3, -0.5, seed=seed)[:2]) for seed in range(300)]
    assert 0.91 <= np.mean([one.slope.low <= 1.3 <= one.slope.high for one in covered]) <= 0.985
    assert 0.91 <= np.mean([one.intercept.low <= -0.5 <= one.intercept.high for one in covered]) <= 0.985


def test_clustered_errors_are_those_of_resampled_patients():
    targets, p, groups = films(1500, patients=150)
    found = fit_recalibration(targets, p, groups)
    rng, rows = np.random.default_rng(0), [np.flatnonzero(groups == k) for k in range(150)]
    drawn = []
    for _ in range(200):
        chosen = np.concatenate([rows[k] for k in rng.integers(0, 150, 150)])
        one = fit_recalibration(targets[chosen], p[chosen])
        drawn.append((one.slope.value, one.in_the_large.value))
    for estimate, values in zip((found.slope, found.in_the_large), np.array(drawn).T, strict=True):
        assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * values.std(), rel=0.2)
    plain = fit_recalibration(targets, p).in_the_large
    assert plain.high - plain.low < 0.7 * (found.in_the_large.high - found.in_the_large.low)


def test_what_has_no_line_says_why():
    targets = np.repeat([0.0, 1], 20)
    assert "separates" in fit_recalibration(targets, np.linspace(0, 1, 40)).slope.why
    assert "separates" in fit_recalibration(targets, np.linspace(1, 0, 40)).slope.why
    flat = fit_recalibration(targets, np.full(40, 0.2))
    assert "same probability" in flat.slope.why
    assert flat.in_the_large.value == pytest.approx(np.log(4))
    few = fit_recalibration(targets[:29], np.linspace(0, 1, 29))
    assert few.to_dict()["slope"]["why"] == "9 films with the finding and 20 without; a line needs 10 of each"
    sure = fit_recalibration(np.tile([0.0, 1], 20), np.tile([0.0, 1, 1, 0], 10))
    assert np.isfinite(sure.slope.value)


def test_brier_parts_add_up_and_mean_what_they_say():
    targets, p, _ = films()
    parts = brier_parts(targets, p)
    total = parts.reliability - parts.resolution + parts.uncertainty + parts.within_bins
    assert total == pytest.approx(parts.brier) == pytest.approx(brier(targets, p))
    assert parts.reliability < 0.002
    assert abs(parts.within_bins) < 0.002
    base = brier_parts(targets, np.full(len(targets), targets.mean()))
    assert (base.reliability, base.resolution) == pytest.approx((0, 0))
    assert base.brier == pytest.approx(base.uncertainty) == pytest.approx(targets.var())
    assert brier_parts(np.array([np.nan]), np.array([0.5])) is None


def test_one_probability_a_bin_leaves_nothing_within():
    rng = np.random.default_rng(0)
    p = rng.choice([0.1, 0.3, 0.5, 0.9], 2000)
    targets = (rng.random(2000) < p**1.5).astype(float)
    parts = brier_parts(targets, p, bins=10)
    gaps = [(p == v).mean() * (v - targets[p == v].mean()) ** 2 for v in np.unique(p)]
    assert parts.within_bins == pytest.approx(0, abs=1e-12)
    assert parts.reliability == pytest.approx(sum(gaps))


def test_reliability_bins_widen_where_patients_repeat():
    targets, p, groups = films(4000, patients=200)
    plain, ours = reliability(targets, p), reliability(targets, p, groups=groups)
    np.testing.assert_array_equal(plain.frequency, ours.frequency)
    alone = wilson(int(targets[p < 1 / 15].sum()), int((p < 1 / 15).sum()))
    assert (plain.low[0], plain.high[0]) == (alone.low, alone.high)
    assert np.mean(ours.high - ours.low) > 1.2 * np.mean(plain.high - plain.low)


def test_net_benefit_by_definition():
    targets, p, groups = films(800, patients=100)
    curve = decision_curve(targets, p, groups, thresholds=np.array([0.05, 0.2, 0.5]))
    for k, t in enumerate((0.05, 0.2, 0.5)):
        true, false = np.sum((p >= t) & (targets == 1)), np.sum((p >= t) & (targets == 0))
        assert curve.model[k] == pytest.approx((true - false * t / (1 - t)) / 800)
        assert curve.everybody[k] == pytest.approx(targets.mean() - (1 - targets.mean()) * t / (1 - t))
        rng, rows = np.random.default_rng(0), [np.flatnonzero(groups == g) for g in np.unique(groups)]
        drawn = [np.concatenate([rows[g] for g in rng.integers(0, len(rows), len(rows))]) for _ in range(300)]
        worth = np.where(p >= t, np.where(targets == 1, 1, -t / (1 - t)), 0)
        assert curve.high[k] - curve.low[k] == pytest.approx(
            2 * 1.96 * np.std([worth[d].mean() for d in drawn]), rel=0.15
        )
    assert decision_curve(np.array([np.nan]), np.array([0.5])) is None
    with pytest.raises(ValueError, match="between 0 and 1"):
        decision_curve(targets, p, thresholds=np.array([1.0]))


def test_an_honest_model_is_worth_more_than_treating_all_or_none():
    curve = decision_curve(*films(20000)[:2])
    assert len(curve.thresholds) == 99
    best_of_two = np.maximum(curve.everybody, 0)
    assert (curve.model >= best_of_two - 0.002).all()
    assert (curve.model > best_of_two + 0.02).any()
    assert curve.to_dict()["nobody"] == [0.0] * 99
