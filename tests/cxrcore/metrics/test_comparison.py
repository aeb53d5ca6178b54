"""Paired differences against DeLong's own formula, compared pair by pair, and against the bootstrap."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import binomtest, chi2, false_discovery_control, norm

from cxrcore.metrics.comparison import compare_auroc, compare_calls, compare_findings, compare_macro, mcnemar
from cxrcore.metrics.corrections import benjamini_hochberg, holm
from cxrcore.metrics.discrimination import macro_auroc
from tests.bootstrap import bootstrap_auroc


def two_models(n=500, patients=None, digits=2, gain=0.5, seed=0):
    rng = np.random.default_rng(seed)
    groups = np.arange(n) if patients is None else rng.integers(0, patients, n)
    own, shared = rng.normal(size=n)[groups], rng.normal(size=n)
    targets = (rng.random(n) < 0.3).astype(float)
    first = (1 + gain) * targets + own + shared + 0.5 * rng.normal(size=n)
    second = targets + own + shared + 0.5 * rng.normal(size=n)
    return targets, first.round(digits), second.round(digits), groups


def paired_delong(targets, first, second):
    """DeLong, DeLong and Clarke-Pearson 1988: every pair compared, covariance of both models' components."""
    v10, v01, areas = [], [], []
    for scores in (first, second):
        x, y = scores[targets == 1], scores[targets == 0]
        wins = (x[:, None] > y[None]) + 0.5 * (x[:, None] == y[None])
        v10.append(wins.mean(axis=1))
        v01.append(wins.mean(axis=0))
        areas.append(wins.mean())
    s = np.cov(v10) / len(v10[0]) + np.cov(v01) / len(v01[0])
    error = np.sqrt(s[0, 0] + s[1, 1] - 2 * s[0, 1])
    return areas[0] - areas[1], error, 2 * norm.sf(abs(areas[0] - areas[1]) / error)


@pytest.mark.parametrize("digits", [0, 8])
@pytest.mark.parametrize("gain", [0, 0.5, 1.0])
def test_plain_comparison_is_paired_delong(digits, gain):
    targets, first, second, _ = two_models(digits=digits, gain=gain)
    value, error, p = paired_delong(targets, first, second)
    found = compare_auroc(targets, first, second)
    assert found.difference.value == pytest.approx(value, abs=1e-12)
    assert found.difference.high - found.difference.low == pytest.approx(2 * 1.959963985 * error)
    assert found.p == pytest.approx(p, rel=1e-6)
    assert found.difference.method == "paired DeLong"


def test_order_turns_the_sign_and_nothing_else():
    targets, first, second, groups = two_models(patients=80)
    one, two = compare_auroc(targets, first, second, groups), compare_auroc(targets, second, first, groups)
    assert (one.difference.value, one.difference.low) == pytest.approx((-two.difference.value, -two.difference.high))
    assert one.p == pytest.approx(two.p)


def test_clustered_comparison_agrees_with_the_bootstrap():
    targets, first, second, groups = two_models(n=4000, patients=300, digits=6)
    first += np.random.default_rng(1).normal(size=300)[groups]  # the first model sways with the patient
    found = compare_auroc(targets, first, second, groups)
    values = [bootstrap_auroc(targets, scores, groups, 1500) for scores in (first, second)]  # the same resamples
    width = found.difference.high - found.difference.low
    assert width == pytest.approx(2 * 1.96 * np.std(values[0] - values[1]), rel=0.08)
    plain = compare_auroc(targets, first, second).difference
    assert plain.high - plain.low < 0.9 * width
    assert "by patient" in found.difference.method


def test_a_model_against_itself_differs_by_nothing():
    targets, first, _, groups = two_models(patients=80)
    same = compare_auroc(targets, first, 3 * first + 1, groups)
    assert (same.difference.value, same.difference.low, same.p) == (0, None, 1.0)
    assert same.difference.why == "the two rank these films alike"


def test_false_alarms_come_as_often_as_promised():
    p = [compare_auroc(*two_models(n=150, gain=0, digits=6, seed=seed)[:3]).p for seed in range(400)]
    assert 0.025 <= np.mean(np.array(p) < 0.05) <= 0.085


def test_several_findings_are_corrected_and_one_class_is_left_out():
    targets, first, second, groups = two_models(patients=200)
    columns = np.stack([targets, 1 - targets, np.zeros_like(targets)], 1)
    found = compare_findings(
        columns, np.stack([first, -second, first], 1), np.stack([second, -second, second], 1), "ABC", groups
    )
    assert [found[k].p_holm for k in "ABC"] == [pytest.approx(2 * found["A"].p), 1.0, None]
    assert found["C"].difference.why == "no film has the finding"
    plain = {name: one.to_dict() for name, one in found.items()}
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["C"]["why"] == "no film has the finding"


def test_mean_over_findings():
    targets, first, second, groups = two_models(n=1500, patients=200, digits=6)
    alone = compare_auroc(targets, first, second, groups).difference
    thrice = [np.stack([column] * 3, 1) for column in (targets, first, second)]
    same = compare_macro(thrice[0], thrice[1], thrice[2], groups)
    assert (same.difference.value, same.difference.low) == pytest.approx((alone.value, alone.low), abs=3e-4)
    areas = [macro_auroc(thrice[0], scores, groups).value for scores in thrice[1:]]
    assert same.difference.value == pytest.approx(areas[0] - areas[1])


def test_unknown_labels_leave_the_pair_together():
    targets, first, second, groups = two_models(patients=80)
    unknown = np.random.default_rng(0).random(len(targets)) < 0.3
    rest = [column[~unknown] for column in (targets, first, second, groups)]
    assert compare_auroc(np.where(unknown, np.nan, targets), first, second, groups) == compare_auroc(*rest)


def test_holm_by_hand_and_benjamini_hochberg_as_scipy_does():
    assert holm([0.04, 0.01, None, 0.03, 0.02, 0.05]) == pytest.approx([0.09, 0.05, None, 0.09, 0.08, 0.09])
    p = np.random.default_rng(0).random(40) ** 3
    assert benjamini_hochberg(p.tolist()) == pytest.approx(false_discovery_control(p))
    assert (holm([]), benjamini_hochberg([None])) == ([], [None])
    with pytest.raises(ValueError, match="p-values lie in"):
        holm([1.2])


def test_mcnemar_is_exact_for_single_films_and_durkalskis_where_patients_repeat():
    rng = np.random.default_rng(3)
    first, second = rng.random(80) < 0.7, rng.random(80) < 0.5
    b, c = int((first & ~second).sum()), int((second & ~first).sum())
    exact = mcnemar(first, second, np.arange(80))
    assert exact["p"] == pytest.approx(binomtest(b, b + c).pvalue)
    doubled = mcnemar(np.repeat(first, 2), np.repeat(second, 2), np.repeat(np.arange(80), 2))
    assert "Durkalski" in doubled["method"]
    assert doubled["p"] == pytest.approx(chi2.sf((b - c) ** 2 / (b + c), 1))  # copies of a film add nothing
    none = compare_calls(np.zeros(3, bool), np.ones(3, bool), np.ones(3, bool), np.arange(3))
    assert none["sensitivity"] == {"first": None, "second": None, "p": None, "method": "McNemar"}
