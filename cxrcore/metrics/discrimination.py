"""Areas under the ROC and precision-recall curves, with intervals by patient."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cxrcore.metrics.arrays import count_patients, group_codes, known, tied_runs
from cxrcore.metrics.intervals import Estimate, logit_interval, newcombe

MIN_PATIENTS_AUPRC = 10  # with the finding, for an interval


class Placements(NamedTuple):
    """An AUROC and each patient's contribution to its error (Obuchowski 1997), indexed by patient code, length P."""

    area: float
    positive: np.ndarray  # sum of (placement - area) over the patient's positive films, divided by n_pos
    negative: np.ndarray  # the same over the negative films, divided by n_neg
    n_positive: int  # patients with a positive film
    n_negative: int
    n_patients: int


def auroc(targets: np.ndarray, scores: np.ndarray, groups: np.ndarray | None = None, level: float = 0.95) -> Estimate:
    """AUROC: the probability that a film with the finding scores above one without it, ties counted half.

    ``targets`` (N,) is 0, 1 or NaN (left out), ``scores`` (N,) any real numbers, ``groups`` (N,) patient ids.
    Variance from DeLong's placement values (1988) by midranks in O(N log N) (Sun and Xu 2014), summed by patient where
    patients repeat (Obuchowski 1997, eq. 3), on the logit scale. Where that variance does not exist (area 0 or 1, all
    scores tied, a single patient in a class) Newcombe 2006, method 5, on counts of patients. Undefined with one class.

    >>> auroc(np.array([0.0, 1.0, 0.0, 1.0, np.nan]), np.array([0.1, 0.4, 0.5, 0.9, 0.3])).value
    0.75
    """
    positive, scores, groups = known(targets, scores, groups)
    n_pos, n_neg = int(positive.sum()), int((~positive).sum())
    if missing := one_class(n_pos, n_neg):
        return Estimate.undefined(missing, n_pos, n_neg)
    codes = np.arange(len(scores)) if groups is None else group_codes(groups)
    parts = placements(positive, scores, codes)
    return area_of(parts, n_pos, n_neg, level)


def area_of(parts: Placements, n_pos: int, n_neg: int, level: float = 0.95) -> Estimate:
    """The AUROC with its interval, from placements."""
    repeated = parts.n_patients < n_pos + n_neg
    variance = variance_of(parts)
    if 0 < parts.area < 1 and variance > 0:
        low, high = logit_interval(parts.area, variance, level)
        method = "DeLong by patient (Obuchowski 1997), logit" if repeated else "DeLong, logit"
    else:
        low, high = newcombe(parts.area, parts.n_positive, parts.n_negative, level)
        method = "Newcombe 2006, method 5" + (", on patients" if repeated else "")
    return Estimate(parts.area, low, high, method, n_pos, n_neg)


def macro_auroc(
    targets: np.ndarray, scores: np.ndarray, groups: np.ndarray | None = None, level: float = 0.95
) -> Estimate:
    """Unweighted mean AUROC over the findings that have one; ``targets`` and ``scores`` have shape (N, C).

    The interval sums each patient's influence over all findings, because findings share films. ``n_pos`` and
    ``n_neg`` count labels.
    """
    targets = np.asarray(targets)
    codes = np.arange(len(targets)) if groups is None else group_codes(groups)
    n_codes = int(codes.max()) + 1 if codes.size else 0
    areas, influence, seen = [], np.zeros(n_codes), np.zeros(n_codes, dtype=bool)
    n_pos = n_neg = 0
    for column in range(targets.shape[1]):
        positive, known_scores, known_codes = known(targets[:, column], scores[:, column], codes)
        if one_class(int(positive.sum()), int((~positive).sum())):
            continue
        assert known_codes is not None
        parts = placements(positive, known_scores, known_codes, n_codes)
        areas.append(parts.area)
        influence += parts.positive + parts.negative
        seen[known_codes] = True
        n_pos, n_neg = n_pos + int(positive.sum()), n_neg + int((~positive).sum())
    if not areas:
        return Estimate.undefined("no finding has films both with and without it")
    area, patients = float(np.mean(areas)), int(seen.sum())
    variance = float(np.sum((influence / len(areas)) ** 2)) * patients / max(patients - 1, 1)
    method = "DeLong by patient over findings, logit"
    if not 0 < area < 1 or variance <= 0:
        return Estimate(area, None, None, method, n_pos, n_neg, "the areas show no spread to base an interval on")
    return Estimate(area, *logit_interval(area, variance, level), method, n_pos, n_neg)


def micro_auroc(
    targets: np.ndarray, scores: np.ndarray, groups: np.ndarray | None = None, level: float = 0.95
) -> Estimate:
    """AUROC over all pairs of film and finding, arrays (N, C): it also rewards knowing which findings are common.

    Without ``groups``, a film's labels count as one patient's, because they are not independent.
    """
    targets, scores = np.asarray(targets), np.asarray(scores)
    codes = np.arange(len(targets)) if groups is None else group_codes(groups)
    return auroc(targets.ravel(), scores.ravel(), np.repeat(codes, targets.shape[1]), level)


def auprc(targets: np.ndarray, scores: np.ndarray, groups: np.ndarray | None = None, level: float = 0.95) -> Estimate:
    """Average precision: mean, over films with the finding, of the precision at their score (ties share one).

    Equal to scikit-learn's ``average_precision_score``. The interval is the infinitesimal jackknife (Efron 1982): the
    derivative of the score by each film's weight, summed by patient, on the logit scale; it agrees with a
    clustered bootstrap to within a few per cent at a thousandth of the cost. No interval with fewer than ten patients
    who have the finding.
    """
    positive, scores, groups = known(targets, scores, groups)
    n_pos, n_neg = int(positive.sum()), int((~positive).sum())
    if n_pos == 0:
        return Estimate.undefined(one_class(n_pos, n_neg) or "", n_pos, n_neg)
    runs = tied_runs(positive, scores, descending=True)
    true, flagged = np.cumsum(runs.positives), np.cumsum(runs.positives + runs.negatives)
    precision = true / flagged
    value = min(float(runs.positives @ precision) / n_pos, 1.0)  # rounding may pass 1
    by_true = np.cumsum((runs.positives / flagged)[::-1])[::-1]  # gain of every precision below, were a film positive
    by_flag = np.cumsum((runs.positives * true / flagged**2)[::-1])[::-1]  # its loss by the film being flagged
    influence = (positive * (precision[runs.run] - value + by_true[runs.run]) - by_flag[runs.run]) / n_pos

    codes = np.arange(len(scores)) if groups is None else group_codes(groups)
    patients = count_patients(codes)
    method = "infinitesimal jackknife" + (" by patient" if patients < len(codes) else "") + ", logit"
    if count_patients(codes[positive]) < MIN_PATIENTS_AUPRC:
        why = f"fewer than {MIN_PATIENTS_AUPRC} patients have the finding, too few for an interval"
        return Estimate(value, None, None, method, n_pos, n_neg, why)
    variance = float(np.sum(np.bincount(codes, weights=influence) ** 2)) * patients / max(patients - 1, 1)
    if not 0 < value < 1 or variance <= 0:
        return Estimate(value, None, None, method, n_pos, n_neg, "the score shows no spread to base an interval on")
    return Estimate(value, *logit_interval(value, variance, level), method, n_pos, n_neg)


def one_class(n_pos: int, n_neg: int) -> str | None:
    """The reason why films cannot be ranked; None where both classes are present."""
    if n_pos + n_neg == 0:
        return "no film has a known label"
    if n_pos == 0:
        return "no film has the finding"
    return "every film has the finding" if n_neg == 0 else None


def placements(positive: np.ndarray, scores: np.ndarray, codes: np.ndarray, n_codes: int = 0) -> Placements:
    """AUROC and its parts by patient, for ``positive`` bool (N,), ``scores`` (N,) and patient codes (N,).

    A placement is the share of the other class that a film outranks (positives) or is outranked by (negatives), ties
    counted half.
    """
    n_pos, n_neg = int(positive.sum()), int((~positive).sum())
    runs = tied_runs(positive, scores)
    below = np.cumsum(runs.negatives) - runs.negatives / 2
    above = n_pos - np.cumsum(runs.positives) + runs.positives / 2
    area = float(runs.positives @ below) / (n_pos * n_neg)
    codes_pos, codes_neg = codes[positive], codes[~positive]
    size = max(n_codes, int(codes.max()) + 1)
    outranked, outranking = below[runs.run[positive]] / n_neg, above[runs.run[~positive]] / n_pos
    has_pos = np.bincount(codes_pos, minlength=size) > 0
    has_neg = np.bincount(codes_neg, minlength=size) > 0
    return Placements(
        area,
        np.bincount(codes_pos, weights=outranked - area, minlength=size) / n_pos,
        np.bincount(codes_neg, weights=outranking - area, minlength=size) / n_neg,
        int(has_pos.sum()),
        int(has_neg.sum()),
        int((has_pos | has_neg).sum()),
    )


def variance_of(parts: Placements) -> float:
    """Variance of the area (Obuchowski 1997, eq. 3; DeLong's if no patient repeats); 0 for one patient in a class."""
    if parts.n_positive < 2 or parts.n_negative < 2:
        return 0.0
    return float(
        parts.positive @ parts.positive * parts.n_positive / (parts.n_positive - 1)
        + parts.negative @ parts.negative * parts.n_negative / (parts.n_negative - 1)
        + 2 * (parts.positive @ parts.negative) * parts.n_patients / (parts.n_patients - 1)
    )
