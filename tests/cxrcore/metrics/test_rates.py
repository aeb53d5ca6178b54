"""Rates by patient against resampling by hand, predictive values against Bayes and Mercaldo."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from cxrcore.metrics.bootstrap import resampled_sums
from cxrcore.metrics.rates import (
    BY_PATIENT,
    predictive_values,
    rates_at_threshold,
    rates_of,
    rates_of_each,
    share,
    shares,
    specificities_at_sensitivity,
    specificity_at_sensitivity,
)


def clustered(n=2400, patients=300, seed=0):
    """Targets, decisions and patients; a patient's films are mostly judged alike."""
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, patients, n)
    own = rng.normal(size=patients)[groups]
    targets = (rng.random(n) < 0.4).astype(float)
    return targets, 1.5 * targets - 0.75 + own + 0.7 * rng.normal(size=n) > 0, groups


def resampled_by_hand(targets, decisions, groups, metric, draws=400):
    rng, ids = np.random.default_rng(1), np.unique(groups)
    rows = {patient: np.flatnonzero(groups == patient) for patient in ids}
    values = []
    for _ in range(draws):
        chosen = np.concatenate([rows[patient] for patient in rng.choice(ids, len(ids))])
        values.append(metric(targets[chosen], decisions[chosen]))
    return np.array(values)


METRICS = {
    "sensitivity": lambda y, d: d[y == 1].mean(),
    "specificity": lambda y, d: (~d)[y == 0].mean(),
    "ppv": lambda y, d: y[d].mean(),
    "npv": lambda y, d: 1 - y[~d].mean(),
    "accuracy": lambda y, d: (d == y).mean(),
    "f1": lambda y, d: f1_score(y, d),
}


@pytest.mark.parametrize("name", list(METRICS))
def test_intervals_are_those_of_resampled_patients(name):
    targets, decisions, groups = clustered()
    estimate = rates_of(targets, decisions, groups=groups).estimates[name]
    values = resampled_by_hand(targets, decisions, groups, METRICS[name], 100 if name == "f1" else 400)
    assert estimate.value == pytest.approx(METRICS[name](targets, decisions))
    assert estimate.method == BY_PATIENT
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * values.std(), rel=0.2 if name == "f1" else 0.13)
    assert estimate.low < estimate.value < estimate.high


def test_where_each_patient_has_one_film_rates_have_wilsons_interval():
    targets, decisions, _ = clustered()
    for groups in (None, np.arange(len(targets))[::-1], np.array([f"p{k}" for k in range(len(targets))])):
        found = rates_of(targets, decisions, groups=groups)
        theirs = binomtest(found.tp, found.tp + found.fn).proportion_ci(0.95, "wilson")
        assert (found.sensitivity.low, found.sensitivity.high) == pytest.approx((theirs.low, theirs.high))
        assert found.sensitivity.method == "Wilson"
        assert found.f1.method == BY_PATIENT
        assert found.correlation == 0


def test_the_method_follows_the_films_a_rate_rests_on():
    targets = np.array([1.0, 1, 1, 1, 1, 1] + [0] * 40)
    groups = np.concatenate([np.arange(6), 100 + np.arange(40) // 4])
    found = rates_of(targets, np.arange(46) % 3 == 0, groups=groups)
    assert found.sensitivity.method == "Wilson"  # no patient has two films with the finding
    assert found.specificity.method == BY_PATIENT


def test_copies_of_a_film_tell_nothing_new():
    targets, decisions, groups = clustered(n=600, patients=600)
    once = rates_of(targets, decisions, groups=groups)
    four = rates_of(np.tile(targets, 4), np.tile(decisions, 4), groups=np.tile(groups, 4))
    fooled = rates_of(np.tile(targets, 4), np.tile(decisions, 4))
    for name in ("sensitivity", "npv"):
        a, b, c = (each.estimates[name] for each in (once, four, fooled))
        assert (a.value, a.low, a.high) == pytest.approx((b.value, b.low, b.high), abs=0.012)
        assert c.high - c.low < 0.6 * (b.high - b.low)


def test_few_patients_with_a_miss_keep_a_wide_interval():
    targets, groups = np.ones(200), np.arange(200) // 10
    decisions = np.ones(200, dtype=bool)
    all_found = rates_of(targets, decisions, groups=groups).sensitivity
    theirs = binomtest(20, 20).proportion_ci(0.95, "wilson")
    assert (all_found.value, all_found.low, all_found.high) == pytest.approx((1.0, theirs.low, 1.0))
    decisions[0] = False
    one_missed = rates_of(targets, decisions, groups=groups).sensitivity
    assert one_missed.method == "Wilson, on patients"
    assert one_missed.low < 0.85 < one_missed.value < one_missed.high < 1


def test_all_findings_at_once_equal_one_by_one():
    targets, decisions, groups = clustered()
    other = np.where(np.arange(len(targets)) % 5 == 0, np.nan, 1 - targets)
    both = rates_of_each(np.stack([targets, other], 1), np.stack([decisions, ~decisions], 1), groups=groups)
    assert both[0] == rates_of(targets, decisions, groups=groups)
    assert both[1] == rates_of(other, ~decisions, groups=groups)
    assert both[1].tp + both[1].fn + both[1].fp + both[1].tn == np.sum(~np.isnan(other))


def test_shares_of_several_sets_equal_one_by_one():
    _, hits, groups = clustered(n=500, patients=80)
    among = np.random.default_rng(0).random((500, 3)) < [0.8, 0.3, 0.0]
    many = shares(hits[:, None], among, groups)
    assert many[2].why == "no film"
    for k in (0, 1):
        alone = share(hits[among[:, k]], groups[among[:, k]])
        assert (many[k].value, many[k].n_pos, many[k].n_neg) == (alone.value, alone.n_pos, alone.n_neg)
        assert (many[k].low, many[k].high) == pytest.approx((alone.low, alone.high), abs=0.03)


def test_at_the_films_own_prevalence_predictive_values_are_the_measured_ones():
    targets, decisions, _ = clustered()
    found = rates_of(targets, decisions)
    ppv, npv = predictive_values(found, targets.mean())
    assert (ppv.value, npv.value) == pytest.approx((found.ppv.value, found.npv.value))


@pytest.mark.parametrize("prevalence", [0.001, 0.1, 0.7])
def test_predictive_values_follow_bayes_and_their_intervals_mercaldo(prevalence):
    targets, decisions, _ = clustered(n=6000)
    found = rates_of(targets, decisions)
    se, sp = found.sensitivity.value, found.specificity.value
    n_pos, n_neg = targets.sum(), (1 - targets).sum()
    ppv, npv = predictive_values(found, prevalence)
    cases = [
        (ppv, se * prevalence / (se * prevalence + (1 - sp) * (1 - prevalence)), (1 - se) / se, sp / (1 - sp)),
        (npv, sp * (1 - prevalence) / (sp * (1 - prevalence) + (1 - se) * prevalence), se / (1 - se), (1 - sp) / sp),
    ]
    for estimate, value, part_pos, part_neg in cases:
        error = np.sqrt(part_pos / n_pos + part_neg / n_neg)  # Mercaldo 2007, of the logit
        logit = np.log(value / (1 - value)) + np.array([0, -1, 1]) * 1.959964 * error
        assert (estimate.value, estimate.low, estimate.high) == pytest.approx(1 / (1 + np.exp(-logit)), rel=0.01)


def test_predictive_values_know_that_patients_repeat():
    targets, decisions, groups = clustered()

    def logit_ppv(y, d):
        se, sp = METRICS["sensitivity"](y, d), METRICS["specificity"](y, d)
        return np.log(se / (1 - sp) * 0.05 / 0.95)

    spread = resampled_by_hand(targets, decisions, groups, logit_ppv).std()
    found = rates_of(targets, decisions, groups=groups)
    ppv, _ = predictive_values(found, 0.05)
    width = np.diff(np.log([ppv.low / (1 - ppv.low), ppv.high / (1 - ppv.high)]))[0]
    assert found.correlation < -0.2  # who is called positive with the finding is called so without it
    assert width == pytest.approx(2 * 1.96 * spread, rel=0.15)


def test_predictive_values_at_the_edges():
    perfect = rates_at_threshold(np.repeat([0.0, 1], 30), np.repeat([0.1, 0.9], 30), 0.5)
    ppv, npv = predictive_values(perfect, 0.1)
    assert (ppv.value, ppv.high, npv.value, npv.high) == (1, 1, 1, 1)
    assert 0.2 < ppv.low < 0.6 < npv.low
    nobody = rates_at_threshold(np.repeat([0.0, 1], 30), np.full(60, 0.1), 0.5)
    ppv, npv = predictive_values(nobody, 0.1)
    assert ppv.why == "no film was called positive"
    assert npv.value == pytest.approx(0.9)
    no_case = rates_at_threshold(np.zeros(30), np.full(30, 0.1), 0.5)
    assert predictive_values(no_case, 0.1)[0].why == "no film has the finding"
    with pytest.raises(ValueError, match="between 0 and 1"):
        predictive_values(perfect, 1.0)


def test_specificities_of_several_findings_are_those_of_each():
    rng = np.random.default_rng(5)
    groups = rng.integers(0, 80, 300)
    targets = (rng.random((300, 4)) < [0.3, 0.1, 0, 1]).astype(float)
    targets[:7, 0] = np.nan
    scores = rng.random((300, 4)) + 0.5 * np.nan_to_num(targets)
    for groups_given in (groups, None):
        found = specificities_at_sensitivity(targets, scores, 0.9, groups=groups_given)
        for column, estimate in enumerate(found):
            assert estimate == specificity_at_sensitivity(
                targets[:, column], scores[:, column], 0.9, 0.95, groups_given
            )
        y, p = targets[:, 1] == 1, scores[:, 1]
        threshold = max(t for t in p if (p[y] >= t).mean() >= 0.9)
        assert found[1].value == pytest.approx((p[~y] < threshold).mean())
        assert [found[k].why for k in (2, 3)] == ["no film has the finding", "no film is without the finding"]


def test_sums_over_many_patients_are_those_of_the_patients_drawn():
    by_patient = np.random.default_rng(0).normal(size=(5000, 3))
    generator = np.random.default_rng(3)
    drawn = [by_patient[generator.integers(0, 5000, 5000)].sum(axis=0) for _ in range(120)]
    np.testing.assert_allclose(resampled_sums(by_patient, 120, seed=3), drawn, rtol=1e-9, atol=1e-9)
