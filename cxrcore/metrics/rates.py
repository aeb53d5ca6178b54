"""Confusion counts at a threshold and the rates they give, each with an interval by patient."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from cxrcore.metrics.arrays import group_codes, known, sums_by_patient
from cxrcore.metrics.bootstrap import percentile_interval, resampled_sums
from cxrcore.metrics.intervals import Estimate, mover, wilson, wilson_limits
from cxrcore.metrics.json_record import JsonRecord
from cxrcore.metrics.operating_points import at_least

MIN_PATIENTS = 5  # with a hit, and with a miss, for resampling
BY_PATIENT = "bootstrap by patient"
_EMPTY = {
    "accuracy": "no film has a known label",
    "sensitivity": "no film has the finding",
    "specificity": "no film is without the finding",
    "ppv": "no film was called positive",
    "npv": "no film was called negative",
    "f1": "no film has the finding and none was called positive",
}
_TP, _FP, _FN, _TN = range(4)
_PARTS = {  # name -> (counts above, counts below) of the quotient
    "accuracy": ((_TP, _TN), (_TP, _FP, _FN, _TN)),
    "sensitivity": ((_TP,), (_TP, _FN)),
    "specificity": ((_TN,), (_TN, _FP)),
    "ppv": ((_TP,), (_TP, _FP)),
    "npv": ((_TN,), (_TN, _FN)),
    "f1": ((_TP, _TP), (_TP, _TP, _FP, _FN)),
}


@dataclass(frozen=True)
class Rates(JsonRecord):
    """Confusion counts at a threshold, and the rates they give."""

    _keys = ("tp", "fp", "fn", "tn", "accuracy", "sensitivity", "specificity", "ppv", "npv", "f1")

    tp: int
    fp: int
    fn: int
    tn: int
    sensitivity: Estimate
    specificity: Estimate
    ppv: Estimate
    npv: Estimate
    accuracy: Estimate
    f1: Estimate
    correlation: float = 0.0  # of the errors of sensitivity and specificity: patients may have films of both kinds

    @property
    def estimates(self) -> dict[str, Estimate]:
        """The rates by name."""
        return {name: getattr(self, name) for name in _PARTS}


def rates_at_threshold(
    targets: np.ndarray,
    probabilities: np.ndarray,
    threshold: float,
    level: float = 0.95,
    groups: np.ndarray | None = None,
) -> Rates:
    """Confusion counts and rates of one finding; a film is positive at or above the threshold.

    ``targets`` (0, 1, NaN) and ``probabilities`` have shape (N,), ``groups`` (N,) are patient ids; without them each
    film is its own patient.

    >>> found = rates_at_threshold(np.array([1.0, 1.0, 0.0, np.nan]), np.array([0.9, 0.2, 0.4, 0.5]), 0.3)
    >>> found.tp, found.fp, found.fn, found.tn, found.sensitivity.value
    (1, 1, 1, 0, 0.5)
    """
    return rates_of(targets, np.asarray(probabilities, dtype=np.float64) >= float(threshold), level, groups)


def rates_of(
    targets: np.ndarray, decisions: np.ndarray, level: float = 0.95, groups: np.ndarray | None = None
) -> Rates:
    """Confusion counts and rates of one finding from decisions, bool (N,)."""
    return rates_of_each(np.asarray(targets)[:, None], np.asarray(decisions)[:, None], level, groups)[0]


def rates_of_each(
    targets: np.ndarray,
    decisions: np.ndarray,
    level: float = 0.95,
    groups: np.ndarray | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> list[Rates]:
    """Confusion counts and rates of every finding: ``targets`` (0, 1, NaN) and ``decisions`` (bool) have shape (N, C).

    A rate over films of different patients has Wilson's interval. Where a patient has several of them, the interval is
    a percentile bootstrap of ``resamples`` draws of patients; with fewer than five patients with a hit, or with a
    miss, it is Wilson's on the number of patients. F1 is not a proportion, so its interval is always resampled.
    """
    targets, decisions = np.asarray(targets, dtype=np.float64), np.asarray(decisions, dtype=bool)
    codes = np.arange(len(targets)) if groups is None else group_codes(groups)
    present, absent = targets == 1, targets == 0
    cells = np.stack([present & decisions, absent & decisions, present & ~decisions, absent & ~decisions], axis=2)
    by_patient = sums_by_patient(cells.reshape(len(targets), 4 * targets.shape[1]), codes).reshape(
        -1, targets.shape[1], 4
    )
    by_patient = by_patient[np.bincount(codes, minlength=len(by_patient)) > 0]
    if len(by_patient):
        drawn = resampled_sums(by_patient.reshape(len(by_patient), -1), resamples, seed).reshape(resamples, -1, 4)
    found = []
    for column in range(targets.shape[1]):
        own = by_patient[:, column]
        tp, fp, fn, tn = (int(count) for count in own.sum(axis=0))
        estimates = {}
        for name in _PARTS:
            above, below = _quotient(name, own)
            if not below.sum():
                estimates[name] = Estimate.undefined(_EMPTY[name])
                continue
            sums = _quotient(name, drawn[:, column])
            estimates[name] = _rate(above, below, *sums, level, always=name == "f1")
        estimates["f1"] = replace(estimates["f1"], n_pos=tp + fn, n_neg=fp + tn)
        found.append(Rates(tp, fp, fn, tn, **estimates, correlation=_shared_error(own)))
    return found


def share(hits: np.ndarray, groups: np.ndarray | None = None, level: float = 0.95, empty: str = "no film") -> Estimate:
    """The share of ``hits``, bool (N,), with an interval as in ``rates_of_each``; ``empty`` is the why at N 0."""
    hits = np.asarray(hits, dtype=bool)
    return shares(hits[:, None], np.ones((len(hits), 1), dtype=bool), groups, level, empty)[0]


def shares(
    hits: np.ndarray,
    among: np.ndarray,
    groups: np.ndarray | None = None,
    level: float = 0.95,
    empty: str = "no film",
    resamples: int = 1000,
    seed: int = 0,
) -> list[Estimate]:
    """K shares on the same resamples: hits among the films that ``among`` selects, both bool (N, K).

    ``n_pos`` and ``n_neg`` count hits and misses in films.
    """
    among = np.asarray(among, dtype=bool)
    hits = np.asarray(hits, dtype=bool) & among  # one column of hits may serve all
    codes = np.arange(len(hits)) if groups is None else group_codes(groups)
    above, below = sums_by_patient(hits, codes), sums_by_patient(among, codes)
    present = np.bincount(codes, minlength=len(above)) > 0
    above, below = above[present], below[present]
    repeated = (below > 1).any(axis=0)
    drawn_above, drawn_below = np.zeros((2, resamples, hits.shape[1]))
    if repeated.any():  # resampling is the slow part, and only these need it
        both = resampled_sums(np.hstack([above[:, repeated], below[:, repeated]]), resamples, seed)
        drawn_above[:, repeated], drawn_below[:, repeated] = np.hsplit(both, 2)
    return [
        _rate(above[:, k], below[:, k], drawn_above[:, k], drawn_below[:, k], level)
        if below[:, k].any()
        else Estimate.undefined(empty)
        for k in range(hits.shape[1])
    ]


def mean(values: np.ndarray, groups: np.ndarray | None = None, level: float = 0.95) -> Estimate:
    """The mean of numbers (N,), one a film, resampled by patient; ``groups`` (N,) are patient ids."""
    return means(np.asarray(values)[:, None], groups, level)[0]


def means(values: np.ndarray, groups: np.ndarray | None = None, level: float = 0.95) -> list[Estimate]:
    """The mean of each column of numbers (N, K), as ``mean``, on the same resamples."""
    values = np.asarray(values, dtype=np.float64)
    codes = np.arange(len(values)) if groups is None else group_codes(groups)
    by_patient = sums_by_patient(np.column_stack([values, np.ones(len(values))]), codes)
    drawn = resampled_sums(by_patient[by_patient[:, -1] > 0])
    estimates = []
    for column, middle in enumerate(values.mean(axis=0).tolist()):
        low, high = percentile_interval(drawn[:, column] / drawn[:, -1], level)
        estimates.append(Estimate(middle, min(low, middle), max(high, middle), BY_PATIENT, len(values), 0))
    return estimates


def predictive_values(rates: Rates, prevalence: float) -> tuple[Estimate, Estimate]:
    """PPV and NPV at another prevalence, with intervals.

    Bayes' rule with the same sensitivity and specificity, which assumes the same spectrum of disease. The odds are
    ``sensitivity / (1 - specificity)`` and ``specificity / (1 - sensitivity)`` times those of the prevalence. Their
    logarithm (Mercaldo, Lau and Zhou 2007, Stat Med 26:2170) is a difference of two, whose limits are recovered from
    the intervals of the two rates and their correlation by patient (MOVER: Zou and Donner 2008), so that a rate of 0
    or 1 needs no correction; there, both limits at once, which is conservative. Raises ValueError outside (0, 1).
    """
    if not 0 < prevalence < 1:
        raise ValueError(f"a prevalence lies between 0 and 1, got {prevalence}")
    odds = prevalence / (1 - prevalence)
    positive = _predictive(rates.sensitivity, rates.specificity, odds, rates.correlation, "positive")
    negative = _predictive(rates.specificity, rates.sensitivity, 1 / odds, rates.correlation, "negative")
    return positive, negative


def specificity_at_sensitivity(
    targets: np.ndarray,
    scores: np.ndarray,
    sensitivity: float,
    level: float = 0.95,
    groups: np.ndarray | None = None,
) -> Estimate:
    """Specificity at the highest threshold that reaches a sensitivity; ``targets`` and ``scores`` are (N,).

    ``sensitivity`` in (0, 1] may be a fraction of a count: ``388 / 390`` asks for 388 films. The interval treats the
    threshold as fixed. Raises ValueError for a sensitivity outside (0, 1].
    """
    columns = np.asarray(targets)[:, None], np.asarray(scores)[:, None]
    return specificities_at_sensitivity(*columns, sensitivity, level, groups)[0]


def specificities_at_sensitivity(
    targets: np.ndarray,
    scores: np.ndarray,
    sensitivity: float,
    level: float = 0.95,
    groups: np.ndarray | None = None,
    seed: int = 0,
) -> list[Estimate]:
    """``specificity_at_sensitivity`` of every finding, (N, C) each, on the same resamples."""
    if not 0 < sensitivity <= 1:
        raise ValueError(f"a sensitivity lies in (0, 1], got {sensitivity}")
    targets, scores = np.asarray(targets), np.asarray(scores)
    cleared = np.zeros(targets.shape, dtype=bool)
    for column in range(targets.shape[1]):
        positive, found, _ = known(targets[:, column], scores[:, column])
        if positive.any():
            needed = at_least(sensitivity, float(positive.sum()))
            threshold = np.sort(found[positive])[::-1][max(needed, 1) - 1]
            cleared[:, column] = np.asarray(scores[:, column], dtype=np.float64) < threshold
    absent = targets == 0
    estimates = shares(cleared, absent, groups, level, "no film is without the finding", seed=seed)
    return [
        estimate if present else Estimate.undefined("no film has the finding", 0, healthy)
        for estimate, present, healthy in zip(
            estimates, (targets == 1).any(axis=0).tolist(), absent.sum(axis=0).tolist(), strict=True
        )
    ]


def _quotient(name: str, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numerator and denominator of a rate from counts (..., 4)."""
    above, below = _PARTS[name]
    return counts[..., list(above)].sum(axis=-1), counts[..., list(below)].sum(axis=-1)


def _rate(
    above: np.ndarray,
    below: np.ndarray,
    drawn_above: np.ndarray,
    drawn_below: np.ndarray,
    level: float,
    always: bool = False,
) -> Estimate:
    """A quotient of sums over patients (P,), with its interval; drawn: the same sums of each resample."""
    hits, total = int(above.sum()), int(below.sum())
    if not always and below.max() <= 1:
        return wilson(hits, total, level)
    value, patients = hits / total, int((below > 0).sum())
    if min(int((above > 0).sum()), int((below > above).sum())) < MIN_PATIENTS:
        return Estimate(value, *wilson_limits(value, patients, level), "Wilson, on patients", hits, total - hits)
    values = np.divide(drawn_above, drawn_below, out=np.full(len(drawn_above), np.nan), where=drawn_below > 0)
    low, high = percentile_interval(values, level)
    return Estimate(value, min(low, value), max(high, value), BY_PATIENT, hits, total - hits)


def _shared_error(counts: np.ndarray) -> float:
    """Correlation of the errors of sensitivity and specificity, from counts by patient (P, 4)."""
    positives, negatives = counts[:, _TP] + counts[:, _FN], counts[:, _TN] + counts[:, _FP]
    if not (positives.any() and negatives.any()):
        return 0.0
    found = counts[:, _TP] - positives * counts[:, _TP].sum() / positives.sum()
    cleared = counts[:, _TN] - negatives * counts[:, _TN].sum() / negatives.sum()
    return correlation(found, cleared)


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Correlation of two errors, from each patient's contribution to them (P,); 0 where either has none."""
    size = math.sqrt(float(first @ first) * float(second @ second))
    return float(np.clip(first @ second / size, -1, 1)) if size > 0 else 0.0


def _predictive(right: Estimate, other: Estimate, odds: float, shared: float, called: str) -> Estimate:
    """``right * odds / (right * odds + 1 - other)``."""
    one, two = right.triple, other.triple
    if one is None or two is None:
        return Estimate.undefined((right if one is None else other).why or "undefined")
    if one[0] == 0 and two[0] == 1:
        return Estimate.undefined(f"no film was called {called}")
    counts = right.n_pos + other.n_pos, right.n_neg + other.n_neg
    if one[1] <= 0 or two[2] >= 1:  # a logarithm has no such limit
        value, low, high = (
            1.0 if found == 1 else chance * odds / (chance * odds + 1 - found)
            for chance, found in zip(one, two, strict=True)
        )
        return Estimate(value, low, high, "both limits at once", *counts)
    wrong = 1 - two[0], 1 - two[2], 1 - two[1]
    ratio = mover(_logs(one), _logs(wrong), -shared)
    value, low, high = (odds * math.exp(log) / (1 + odds * math.exp(log)) for log in ratio)
    return Estimate(value, low, high, "log odds, MOVER (Mercaldo 2007; Zou and Donner 2008)", *counts)


def _logs(triple: tuple[float, float, float]) -> tuple[float, float, float]:
    return math.log(triple[0]), math.log(triple[1]), math.log(triple[2])
