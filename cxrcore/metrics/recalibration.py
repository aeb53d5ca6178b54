"""Calibration slope and intercept (Cox 1958), with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cxrcore.metrics.arrays import count_patients, group_codes, known, sigmoid, sums_by_patient
from cxrcore.metrics.intervals import Estimate, z_score
from cxrcore.metrics.json_record import JsonRecord
from cxrcore.metrics.logistic import fit_logistic

MIN_FILMS = 10  # with and without the finding
CLIP = 1e-7  # 0 and 1 have no finite logit


@dataclass(frozen=True)
class Recalibration(JsonRecord):
    """Cox's logistic recalibration (1958): ``logit(P) = intercept + slope * logit(p)``; ideal: slope 1, intercept 0.

    A slope below 1 means predictions that are too extreme (overconfident), above 1 too moderate (underconfident).
    """

    slope: Estimate
    intercept: Estimate  # of the same line, in logits
    in_the_large: Estimate  # intercept with the slope fixed at 1: above 0, the finding is more frequent than predicted

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Recalibration:
        """Read what ``to_dict`` wrote. Raises KeyError where a part is missing."""
        return cls(*(Estimate.from_dict(data[name]) for name in ("slope", "intercept", "in_the_large")))


def fit_recalibration(
    targets: np.ndarray, probabilities: np.ndarray, groups: np.ndarray | None = None, level: float = 0.95
) -> Recalibration:
    """Calibration slope and intercept of one finding.

    ``targets`` (0, 1, NaN), ``probabilities`` in [0, 1] and patient ids have shape (N,).

    Maximum likelihood; standard errors are the sandwich with scores summed by patient (Liang and Zeger 1986), times
    P / (P - 1). Probabilities are clipped to [``CLIP``, 1 - ``CLIP``]. Undefined with fewer than ten films of either
    class, or where one probability separates the classes, so that the slope is not finite. Interpretation: Van Calster
    2016 (J Clin Epidemiol 74:167). Raises ValueError for a probability outside [0, 1].
    """
    positive, probabilities, groups = known(targets, probabilities, groups)
    n_pos, n_neg = int(positive.sum()), int((~positive).sum())
    if len(probabilities) and not (probabilities.min() >= 0 and probabilities.max() <= 1):
        raise ValueError("probabilities lie in [0, 1]")
    why = ""
    if min(n_pos, n_neg) < MIN_FILMS:
        why = f"{n_pos} films with the finding and {n_neg} without; a line needs {MIN_FILMS} of each"
    elif _separated(positive, probabilities):
        why = "a threshold separates the films with the finding from those without, so the line has no finite slope"
    if why:
        nothing = Estimate.undefined(why, n_pos, n_neg)
        return Recalibration(nothing, nothing, nothing)
    p = np.clip(probabilities, CLIP, 1 - CLIP)
    x = np.log(p) - np.log1p(-p)
    codes = np.arange(len(x)) if groups is None else group_codes(groups)
    y = positive.astype(np.float64)
    one = np.ones_like(x)
    shift = _fit(one[:, None], y, x, codes)
    spread = float(x.std())
    if spread < 1e-9:
        flat = Estimate.undefined("every film has the same probability, so there is no slope", n_pos, n_neg)
        return Recalibration(flat, flat, _estimate(shift, 0, codes, level, n_pos, n_neg))
    line = _fit(np.stack([x, one], axis=1), y, np.zeros_like(x), codes)
    return Recalibration(
        _estimate(line, 0, codes, level, n_pos, n_neg),
        _estimate(line, 1, codes, level, n_pos, n_neg),
        _estimate(shift, 0, codes, level, n_pos, n_neg),
    )


def _separated(positive: np.ndarray, scores: np.ndarray) -> bool:
    """Whether the classes share at most one score, in either direction: then the likelihood has no maximum."""
    yes, no = scores[positive], scores[~positive]
    return bool((yes.min() >= no.max() or yes.max() <= no.min()) and scores.min() < scores.max())


def _fit(design: np.ndarray, y: np.ndarray, offset: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logistic coefficients (K,) and their sandwich covariance (K, K)."""
    weights = fit_logistic(design, y, np.zeros(design.shape[1]), offset)
    p = sigmoid(offset + design @ weights)
    bread = np.linalg.inv((design * (p * (1 - p))[:, None]).T @ design)
    by_patient = sums_by_patient(design * (y - p)[:, None], codes)
    patients = count_patients(codes)
    return weights, bread @ (by_patient.T @ by_patient) @ bread * patients / max(patients - 1, 1)


def _estimate(
    fit: tuple[np.ndarray, np.ndarray], index: int, codes: np.ndarray, level: float, n_pos: int, n_neg: int
) -> Estimate:
    value, error = float(fit[0][index]), float(np.sqrt(fit[1][index, index]))
    method = "sandwich" + (" by patient" if count_patients(codes) < len(codes) else "")
    half = z_score(level) * error
    return Estimate(value, value - half, value + half, method, n_pos, n_neg)
