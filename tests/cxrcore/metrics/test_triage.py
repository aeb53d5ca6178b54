"""Three answers: against the binomial distribution, and against the truth of drawn patients."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, binom

from cxrcore.errors import InvalidPredictions
from cxrcore.metrics.triage import Answer, Triage, fit_triage, wrong_patients


def films(patients: int, films_each: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets (N, 1), probabilities (N, 1) and patients (N,): half of the patients have the finding on every film."""
    rng = np.random.default_rng(seed)
    ids = np.repeat(np.arange(patients), films_each)
    targets = (ids % 2 == 0).astype(float)
    habit = np.repeat(rng.normal(size=patients), films_each)  # a patient's films look alike
    logits = 1.5 * (2 * targets - 1) + habit + 0.5 * rng.normal(size=len(ids))
    return targets[:, None], 1 / (1 + np.exp(-logits))[:, None], ids


@pytest.mark.parametrize(("risk", "confidence"), [(0.01, 0.9), (0.05, 0.9), (0.1, 0.95), (0.2, 0.5)])
def test_as_many_patients_may_be_wrong_as_the_binomial_tail_allows(risk, confidence):
    for patients in range(0, 400, 7):
        allowed = wrong_patients(patients, risk, confidence)
        assert binom.cdf(allowed, patients, risk) <= 1 - confidence
        assert binom.cdf(allowed + 1, patients, risk) > 1 - confidence


@pytest.mark.parametrize("patients", [45, 100, 500])
def test_the_true_risk_keeps_the_promise_as_often_as_it_says(patients):
    """The score is uniform, so a limit is its own risk, distributed as Beta(k, n + 1 - k)."""
    rng = np.random.default_rng(0)
    scores = rng.random((2000, patients))
    limits = np.array(
        [
            fit_triage(["Mass"], np.ones((patients, 1)), draw[:, None], np.arange(patients)).limits().out["Mass"]
            for draw in scores
        ],
        float,
    )
    rank = wrong_patients(patients, 0.05, 0.9) + 1
    expected = beta.cdf(0.05, rank, patients + 1 - rank)
    assert expected >= 0.9
    assert (limits <= 0.05).mean() == pytest.approx(expected, abs=3 * np.sqrt(0.09 / 2000))


def test_the_promise_is_of_patients_however_many_films_each_has():
    broken = {"missed": 0, "false_alarms": 0}
    for seed in range(100):
        limits = fit_triage(["Mass"], *films(200, 4, seed)).limits(0.1, 0.9)
        targets, probabilities, ids = films(4000, 4, seed + 1000)
        measured = limits.measure("Mass", targets[:, 0], probabilities[:, 0], ids)
        broken["missed"] += measured.missed.value > 0.1
        broken["false_alarms"] += measured.false_alarms.value > 0.1
    assert max(broken.values()) <= 18  # of 100 at a chance of one in ten: 18 or fewer with a chance of .995


def test_answers_lie_where_the_limits_say():
    triage = fit_triage(["Mass"], *films(400, 1, 0))
    limits = triage.limits()
    out, into = limits.out["Mass"], limits.into["Mass"]
    assert out < into
    answers = [limits.answers({"Mass": p})["Mass"] for p in (out - 1e-6, out, into, into + 1e-6)]
    assert answers == [Answer.RULE_OUT, Answer.UNSURE, Answer.UNSURE, Answer.RULE_IN]
    wider = triage.limits(0.1)
    assert wider.out["Mass"] > out
    assert wider.into["Mass"] < into


def test_no_film_is_unsure_where_both_answers_are_within_the_risk():
    targets = np.repeat([0.0, 1.0], 100)[:, None]
    limits = fit_triage(["Mass"], targets, np.linspace(0, 1, 200)[:, None], np.arange(200)).limits()
    assert limits.out["Mass"] == limits.into["Mass"] == pytest.approx(0.5, abs=0.02)
    measured = limits.measure("Mass", targets[:, 0], np.linspace(0, 1, 200), np.arange(200))
    assert (measured.unsure, measured.missed.n_pos + measured.false_alarms.n_pos) == (0, 0)


def test_too_few_patients_make_no_promise_and_say_how_many_it_takes():
    targets, probabilities, ids = films(80, 5, 0)  # 40 patients with it, 200 films
    limits = fit_triage(["Mass"], targets, probabilities, ids).limits()
    assert limits.out["Mass"] is None
    assert limits.why["Mass"].startswith("never ruled out: 40 validation patients have it, and this promise needs 45")
    assert limits.answers({"Mass": 0.0}) == {"Mass": Answer.UNSURE}
    assert fit_triage(["Mass"], targets, probabilities, ids).limits(0.1).out["Mass"] is not None


def test_unknown_labels_count_for_nothing():
    targets, probabilities, ids = films(200, 2, 0)
    more = np.vstack([targets, np.full((50, 1), np.nan)])
    again = fit_triage(["Mass"], more, np.vstack([probabilities, np.zeros((50, 1))]), np.append(ids, np.arange(50)))
    assert again.to_dict() == fit_triage(["Mass"], targets, probabilities, ids).to_dict()


def test_it_is_stored_and_read_and_a_damaged_one_is_refused():
    triage = fit_triage(["Mass"], *films(200, 2, 0))
    assert Triage.from_dict(triage.to_dict()).limits(0.2, 0.5) == triage.limits(0.2, 0.5)
    damaged = triage.to_dict()
    damaged["Mass"]["present"]["extremes"].pop()
    with pytest.raises(ValueError, match="extremes"):
        Triage.from_dict(damaged)


@pytest.mark.parametrize(("risk", "confidence"), [(0, 0.9), (0.3, 0.9), (0.05, 1), (0.05, 0.2)])
def test_what_cannot_be_promised_is_refused(risk, confidence):
    with pytest.raises(InvalidPredictions, match="a risk lies above 0"):
        fit_triage(["Mass"], *films(200, 2, 0)).limits(risk, confidence)
