"""Thresholds against exhaustive search, and rates against scikit-learn."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_score, recall_score

from cxrcore.errors import InvalidPredictions, LabelMismatch
from cxrcore.findings import NIH14, PNEUMONIA2, PNEUMONIA3
from cxrcore.metrics.operating_points import (
    OperatingPoints,
    decide,
    fit_operating_points,
    threshold_by,
    tuning_films,
)
from cxrcore.metrics.rates import rates_at_threshold, specificity_at_sensitivity


def films(n=400, digits=3, seed=0):
    rng = np.random.default_rng(seed)
    targets = (rng.random(n) < 0.3).astype(float)
    return targets, (1 / (1 + np.exp(-2 * targets + 1 - rng.normal(size=n)))).round(digits)


def every_cut(targets, probabilities):
    """Sensitivity, specificity, F1 and counts at every distinct decision, by comparing one by one."""
    for threshold in [*np.unique(probabilities), 1.1]:
        called = probabilities >= threshold
        tp, fn = np.sum(called & (targets == 1)), np.sum(~called & (targets == 1))
        fp, tn = np.sum(called & (targets == 0)), np.sum(~called & (targets == 0))
        yield tp / (tp + fn), tn / (tn + fp), 2 * tp / (2 * tp + fp + fn), fp, fn


@pytest.mark.parametrize("digits", [1, 3, 12])
@pytest.mark.parametrize("seed", range(3))
def test_each_rule_finds_the_best_cut_there_is(digits, seed):
    targets, probabilities = films(digits=digits, seed=seed)
    cuts = list(every_cut(targets, probabilities))

    def reached(rule):
        return rates_at_threshold(targets, probabilities, threshold_by(rule, targets, probabilities)[0])

    best = reached("youden")
    assert best.sensitivity.value + best.specificity.value == pytest.approx(max(a + b for a, b, *_ in cuts))
    assert reached("best_f1").f1.value == pytest.approx(max(f1 for *_, f1, _, _ in cuts))
    assert reached("sensitivity=0.9").specificity.value == max(b for a, b, *_ in cuts if a >= 0.9)
    assert reached("sensitivity=0.9").sensitivity.value >= 0.9
    assert reached("specificity=0.8").sensitivity.value == max(a for a, b, *_ in cuts if b >= 0.8)
    assert reached("specificity=0.8").specificity.value >= 0.8
    for ratio in (0.1, 5, 1000):
        cost = reached(f"cost={ratio}")
        assert ratio * cost.fn + cost.fp == pytest.approx(min(ratio * fn + fp for *_, fp, fn in cuts))


def test_threshold_lies_between_films_so_that_rounding_moves_none():
    threshold, _ = threshold_by("youden", np.array([0.0, 0, 1, 1]), np.array([0.1, 0.2, 0.6, 0.9]))
    assert threshold == pytest.approx(0.4)


def test_a_probability_of_one_cannot_be_called_negative():
    threshold, why = threshold_by("specificity=1", np.array([0.0, 1, 1]), np.array([1.0, 1.0, 0.5]))
    assert threshold is None
    assert "no threshold up to 1" in why


@pytest.mark.parametrize("rule", ["yuden", "sensitivity", "sensitivity=2", "specificity=x", "cost=0", "youden=1", ""])
def test_unknown_rules_are_named(rule):
    with pytest.raises(InvalidPredictions, match="choose youden"):
        threshold_by(rule, *films())


def test_one_class_on_validation_gives_no_threshold_and_a_why():
    targets = np.zeros((20, 14))
    targets[:5, 1:] = 1
    points = fit_operating_points(NIH14, targets, np.random.default_rng(0).random((20, 14)))
    assert np.isnan(points.thresholds).tolist() == [True] + [False] * 13
    data = json.loads(json.dumps(points.to_dict(), allow_nan=False))
    assert data["thresholds"]["Atelectasis"] is None
    assert "no validation film with the finding" in data["why"]["Atelectasis"]
    again = OperatingPoints.from_dict(data)
    np.testing.assert_array_equal(again.thresholds, points.thresholds)
    assert (again.findings, again.rule, again.fitted_on, again.why) == (NIH14.names, "youden", "val", points.why)


def test_only_validation_may_choose():
    with pytest.raises(ValueError, match="fit them on 'val'"):
        fit_operating_points(NIH14, np.ones((2, 14)), np.ones((2, 14)) / 2, fitted_on="test")
    with pytest.raises(ValueError, match="one threshold per finding"):
        OperatingPoints(("a", "b"), np.array([0.5]), "val")
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        OperatingPoints(("a",), np.array([1.5]), "val")


def test_two_classes_share_one_threshold_and_exactly_one_is_positive():
    targets, disease = films(2000, digits=9)
    both = np.stack([1 - disease, disease], axis=1).astype(np.float32)
    points = fit_operating_points(PNEUMONIA2, np.stack([1 - targets, targets], axis=1), both, "sensitivity=0.95")
    assert points.thresholds.sum() == pytest.approx(1)
    positive, undecided = decide(PNEUMONIA2, both, points)
    assert undecided == {}
    assert (positive.sum(axis=1) == 1).all()
    np.testing.assert_array_equal(positive[:, 1], both[:, 1] >= points.thresholds[1])
    assert np.mean(positive[targets == 1, 1]) >= 0.95


def test_three_classes_are_decided_by_the_winner():
    probabilities = np.array([[0.4, 0.35, 0.25], [0.1, 0.3, 0.6]])
    assert fit_operating_points(PNEUMONIA3, np.eye(3)[:2], probabilities) is None
    assert decide(PNEUMONIA3, probabilities, None)[0].tolist() == [[True, False, False], [False, False, True]]


def test_points_for_other_findings_are_refused():
    points = OperatingPoints(("a", "b"), np.array([0.5, 0.5]), "val")
    with pytest.raises(LabelMismatch):
        decide(PNEUMONIA2, np.array([[0.5, 0.5]]), points)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 1.0])
def test_rates_equal_scikit_learn(threshold):
    targets, probabilities = films()
    called = probabilities >= threshold
    ours = rates_at_threshold(targets, probabilities, threshold)
    assert [[ours.tn, ours.fp], [ours.fn, ours.tp]] == confusion_matrix(targets, called, labels=[0, 1]).tolist()
    assert ours.sensitivity.value == pytest.approx(recall_score(targets, called))
    assert ours.specificity.value == pytest.approx(recall_score(1 - targets, ~called))
    assert ours.accuracy.value == pytest.approx(accuracy_score(targets, called))
    assert ours.f1.value == pytest.approx(f1_score(targets, called))
    if called.any():
        assert ours.ppv.value == pytest.approx(precision_score(targets, called))
    else:
        assert ours.ppv.why == "no film was called positive"


def test_unknown_labels_do_not_count_and_undefined_rates_say_why():
    ours = rates_at_threshold(np.array([np.nan, 0.0, np.nan]), np.array([0.9, 0.1, 0.2]), 0.5)
    assert (ours.tp, ours.fp, ours.fn, ours.tn) == (0, 0, 0, 1)
    assert (ours.sensitivity.why, ours.ppv.why) == ("no film has the finding", "no film was called positive")
    data = rates_at_threshold(np.array([]), np.array([]), 0.5).to_dict()
    json.dumps(data, allow_nan=False)
    assert all(data[name]["value"] is None and data[name]["why"] for name in ("accuracy", "npv", "f1"))


def test_a_probability_at_the_threshold_is_positive():
    assert rates_at_threshold(np.array([1.0]), np.array([0.5]), 0.5).tp == 1


def test_specificity_when_388_of_390_are_found():
    rng = np.random.default_rng(0)
    targets = np.repeat([1.0, 0.0], [390, 234])
    scores = targets + rng.normal(size=624)
    third_lowest = np.sort(scores[:390])[2]
    estimate = specificity_at_sensitivity(targets, scores, 388 / 390)
    assert estimate.value == np.mean(scores[390:] < third_lowest)
    assert estimate.n_pos + estimate.n_neg == 234
    assert specificity_at_sensitivity(targets, scores, 1.0).value == np.mean(scores[390:] < scores[:390].min())
    assert specificity_at_sensitivity(np.zeros(3), np.arange(3), 0.9).why == "no film has the finding"
    for count in range(1, 391):  # the share of every count asks for just that count
        found = np.sort(scores[:390])[390 - count]
        assert specificity_at_sensitivity(targets, scores, count / 390).value == np.mean(scores[390:] < found)


def test_tuning_films_are_a_share_of_the_patients_and_leave_none_torn():
    patients = np.random.default_rng(0).integers(0, 500, 3000)
    tuned = tuning_films(patients, 0.2, seed=3)
    assert len(np.unique(patients[tuned])) == round(0.2 * len(np.unique(patients)))
    assert not set(patients[tuned]) & set(patients[~tuned])
    shuffled = np.random.default_rng(1).permutation(3000)
    np.testing.assert_array_equal(tuning_films(patients[shuffled], 0.2, seed=3), tuned[shuffled])
    assert (tuning_films(patients, 0.2, seed=4) != tuned).any()


@pytest.mark.parametrize(
    ("fraction", "words"), [(0, "between 0 and 1"), (1.0, "between 0 and 1"), (0.01, "leaves nobody to tune on")]
)
def test_a_tuning_fraction_that_cannot_be_is_said(fraction, words):
    with pytest.raises(InvalidPredictions, match=words):
        tuning_films(np.arange(20), fraction)
