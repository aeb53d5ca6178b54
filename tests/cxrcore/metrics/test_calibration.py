"""Calibration fits against general optimisers and known truths; Brier score against scikit-learn."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, softmax
from sklearn.metrics import brier_score_loss

from cxrcore.bundle.calibrators import (
    Identity,
    PlattScaling,
    Temperature,
    calibration_from_dict,
    fit_calibration,
    fit_platt,
    fit_temperature,
    to_probabilities,
    with_offset,
)
from cxrcore.findings import Kind
from cxrcore.metrics.calibration import brier, ece, expected_ece, reliability


def multilabel(n=20000, slope=0.5, intercept=-1.0, seed=0):
    """Logits whose honest probabilities are a known line away."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, 2)) * 3
    return (rng.random((n, 2)) < expit(slope * logits + intercept)).astype(float), logits


def multiclass(n=20000, temperature=2.5, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, classes)) * 4
    drawn = (rng.random((n, 1)) > np.cumsum(softmax(logits / temperature, axis=1), axis=1)).sum(axis=1)
    return np.eye(classes)[np.minimum(drawn, classes - 1)], logits


def test_platt_recovers_the_line_that_made_the_data():
    fitted = fit_platt(*multilabel())
    assert fitted.slope == pytest.approx([0.5, 0.5], abs=0.02)
    assert fitted.intercept == pytest.approx([-1, -1], abs=0.06)
    assert fitted.why == {}


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_platt_minimises_the_smoothed_loss(scale):
    targets, logits = multilabel(n=300)
    x, y = logits[:, 0] * scale, targets[:, 0]
    smooth = np.where(y == 1, (y.sum() + 1) / (y.sum() + 2), 1 / ((1 - y).sum() + 2))
    best = minimize(
        lambda w: np.sum(np.logaddexp(0, w[0] * x / scale + w[1]) - smooth * (w[0] * x / scale + w[1])), [1, 0]
    )
    fitted = fit_platt(y[:, None], x[:, None])
    assert (fitted.slope[0] * scale, fitted.intercept[0]) == pytest.approx(tuple(best.x), abs=1e-4)


def test_platt_keeps_separable_findings_finite():
    targets = np.repeat([0.0, 1.0], 50)[:, None]
    fitted = fit_platt(targets, targets * 20 - 10)
    p = expit(fitted.apply(targets * 20 - 10))
    assert p[0, 0] == pytest.approx(1 / 52, rel=1e-3)  # Platt's own target
    assert p[-1, 0] == pytest.approx(51 / 52, rel=1e-3)


@pytest.mark.parametrize(
    ("targets", "logits", "reason"),
    [
        (np.repeat([0.0, 1.0], [100, 9]), np.arange(109.0), "9 validation films with the finding and 100 without"),
        (np.repeat([0.0, 1.0], [9, 100]), np.arange(109.0), "100 validation films with the finding and 9 without"),
        (np.repeat([0.0, 1.0, np.nan], [20, 9, 50]), np.arange(79.0), "9 validation films"),
        (np.repeat([0.0, 1.0], 20), -np.arange(40.0), "do not rise"),
        (np.repeat([0.0, 1.0], 20), np.ones(40), "do not rise"),
    ],
)
def test_platt_leaves_alone_what_it_cannot_fit(targets, logits, reason):
    fitted = fit_platt(targets[:, None], logits[:, None])
    assert (fitted.slope[0], fitted.intercept[0]) == (1, 0)
    assert reason in fitted.why[0]


def test_platt_never_changes_the_ranking():
    targets, logits = multilabel(n=500)
    fitted = fit_platt(targets, logits)
    np.testing.assert_array_equal(np.argsort(fitted.apply(logits), axis=0), np.argsort(logits, axis=0))
    with pytest.raises(ValueError, match="slopes are finite and above 0"):
        PlattScaling(np.array([-1.0]), np.array([0.0]))


@pytest.mark.parametrize("classes", [2, 3])
def test_temperature_recovers_the_one_that_made_the_data(classes):
    targets, logits = multiclass(classes=classes)
    fitted = fit_temperature(targets, logits)
    assert fitted.value == pytest.approx(2.5, rel=0.05)
    grid = np.linspace(0.8, 1.25, 91) * fitted.value
    losses = [-np.mean((targets * log_softmax(logits / t, axis=1)).sum(axis=1)) for t in grid]
    assert grid[int(np.argmin(losses))] == pytest.approx(fitted.value, rel=0.02)


def test_temperature_of_separable_data_asks_for_no_certainty():
    targets = np.eye(2)[np.repeat([0, 1], [40, 80])]
    fitted = fit_temperature(targets, targets * 30)
    p = to_probabilities(fitted.apply(targets * 30), Kind.MULTICLASS)
    assert 0.95 < p.max(axis=1).min() < 0.995
    assert fit_temperature(targets, -targets * 30).value == pytest.approx(20, rel=1e-3)  # always wrong: the bound


def test_a_network_that_is_rightly_sure_stays_so():
    """Oracle: outcomes drawn from the network's own probabilities, most of them above 99.9 %."""
    rng = np.random.default_rng(3)
    margin = rng.choice([-1, 1], 600) * rng.gamma(4, 2.5, 600)
    targets = np.eye(2)[(rng.random(600) < expit(margin)).astype(int)]
    logits = np.stack([-margin / 2, margin / 2], axis=1)
    assert 0 < (logits.argmax(axis=1) != targets.argmax(axis=1)).sum() < 30
    assert fit_temperature(targets, logits).value == pytest.approx(1, abs=0.2)


def test_temperature_ignores_unknown_films_and_needs_ten():
    targets, logits = multiclass(n=200)
    holes = np.concatenate([targets, np.full((50, 3), np.nan)])
    assert fit_temperature(holes, np.concatenate([logits, np.full((50, 3), 9.0)])) == fit_temperature(targets, logits)
    few = fit_temperature(targets[:9], logits[:9])
    assert few.value == 1
    assert "9 validation films" in few.why


@pytest.mark.parametrize(
    "calibration",
    [
        Identity(),
        Temperature(1.7),
        Temperature(1.0, "few"),
        PlattScaling(np.array([0.1, 2]), np.array([-3.3, 0]), {1: "x"}),
    ],
)
def test_stored_calibration_gives_identical_logits(calibration):
    again = calibration_from_dict(json.loads(json.dumps(calibration.to_dict(), allow_nan=False)))
    logits = np.random.default_rng(0).normal(size=(5, 2))
    before = logits.copy()
    np.testing.assert_array_equal(again.apply(logits), calibration.apply(logits))
    np.testing.assert_array_equal(logits, before)
    assert again.to_dict() == calibration.to_dict()


@pytest.mark.parametrize(
    "data", [{}, {"method": "isotonic"}, {"method": "temperature", "value": 0}, {"method": "platt"}]
)
def test_malformed_calibration_is_refused(data):
    with pytest.raises((KeyError, ValueError)):
        calibration_from_dict(data)


def test_probabilities_are_exact_at_extreme_logits():
    logits = np.array([[-2000.0, 0.0, 2000.0], [1.0, 2.0, 3.0]])
    np.testing.assert_allclose(to_probabilities(logits, Kind.MULTILABEL), expit(logits), atol=1e-15)
    np.testing.assert_allclose(to_probabilities(logits, Kind.MULTICLASS), softmax(logits, axis=1), atol=1e-15)


def test_the_head_decides_the_method():
    assert isinstance(fit_calibration(Kind.MULTILABEL, *multilabel(100)), PlattScaling)
    assert isinstance(fit_calibration(Kind.MULTICLASS, *multiclass(100)), Temperature)


def test_brier_and_ece_against_their_definitions():
    targets, logits = multilabel(3000)
    y, p = targets[:, 0], expit(logits[:, 0])
    assert brier(y, p) == pytest.approx(brier_score_loss(y, p))
    by_hand = 0.0
    for k in range(15):
        inside = (p >= k / 15) & ((p < (k + 1) / 15) | (k == 14))
        by_hand += abs(p[inside].mean() - y[inside].mean()) * inside.mean()
    assert ece(y, p) == pytest.approx(by_hand)
    table = reliability(y, p)
    assert np.sum(table.n * np.abs(table.probability - table.frequency)) / len(y) == pytest.approx(by_hand)
    assert brier(np.array([np.nan]), np.array([0.5])) is ece(np.array([]), np.array([])) is None


def test_expected_ece_is_what_honest_probabilities_show_by_chance():
    rng = np.random.default_rng(1)
    p = rng.beta(0.5, 4, size=800)
    shown = [ece((rng.random(800) < p).astype(float), p) for _ in range(300)]
    expected = expected_ece(np.zeros(800), p)
    assert expected == pytest.approx(np.mean(shown), rel=0.06)
    assert expected == expected_ece(np.zeros(800), p)  # seeded
    assert expected_ece(np.full(3, np.nan), np.full(3, 0.5)) is None


def test_reliability_leaves_empty_bins_out_of_json_and_keeps_a_probability_of_one():
    table = reliability(np.array([0.0, 1, 1, np.nan]), np.array([0.0, 1.0, 1.0, 0.5]))
    rows = json.loads(json.dumps(table.to_dict(), allow_nan=False))["bins"]
    assert [(row["n"], row["probability"], row["frequency"]) for row in rows] == [(1, 0, 0), (2, 1, 1)]
    assert np.isnan(table.frequency[1:-1]).all()
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        reliability(np.array([1.0]), np.array([1.1]))


def test_offsets_recover_other_frequencies_of_the_classes():
    """Oracle: Bayes. Logits of a world whose classes are equally frequent, in one where they are not."""
    rng = np.random.default_rng(4)
    frequencies = np.array([0.7, 0.25, 0.05])
    classes = rng.choice(3, 6000, p=frequencies)
    logits = rng.normal(size=(6000, 3)) + 1.5 * np.eye(3)[classes]  # so that log p(x | c) is 1.5 times the logit
    fitted = fit_temperature(np.eye(3)[classes], logits, offsets=True)
    assert fitted.value == pytest.approx(1 / 1.5, rel=0.1)
    assert fitted.offsets == pytest.approx(np.log(frequencies / frequencies[0]), abs=0.15)
    assert calibration_from_dict(fitted.to_dict()) == fitted
    few = fit_temperature(np.eye(3)[classes][classes < 2], logits[classes < 2], offsets=True)
    assert not few.offsets
    assert "a class has 0 films" in few.why


def test_an_offset_lets_a_class_win_on_the_asked_share_of_other_films():
    targets, logits = multiclass(n=2000)
    plain = fit_temperature(targets, logits)
    tilted = with_offset(plain, targets, logits, 2, 0.9)
    winners = to_probabilities(tilted.apply(logits), Kind.MULTICLASS).argmax(axis=1)
    assert (winners[targets[:, 2] == 0] == 2).mean() == pytest.approx(0.1, abs=0.01)
    one, other = plain.apply(logits), tilted.apply(logits)
    np.testing.assert_allclose(one[:, 0] - one[:, 1], other[:, 0] - other[:, 1])
