"""Decision curves: net benefit of treating by the model, everybody or nobody (Vickers and Elkin 2006)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cxrcore.metrics.arrays import group_codes, known, sums_by_patient
from cxrcore.metrics.intervals import z_score
from cxrcore.metrics.json_record import JsonRecord

THRESHOLDS = np.arange(1, 100) / 100


@dataclass(frozen=True, eq=False)
class DecisionCurve(JsonRecord):
    """Net benefit by threshold probability, float64 arrays of K; treating nobody has net benefit 0.

    At a threshold of .1 one true positive is worth nine false positives.
    """

    _keys = ("thresholds", "model", "low", "high", "everybody", "nobody", "prevalence")

    thresholds: np.ndarray
    model: np.ndarray  # true positives a film, less false ones weighted by the threshold's odds
    low: np.ndarray  # its interval, point by point, by patient
    high: np.ndarray
    everybody: np.ndarray
    prevalence: float

    @property
    def nobody(self) -> list[float]:
        """The net benefit of treating nobody: zeros."""
        return [0.0] * len(self.thresholds)


def decision_curve(
    targets: np.ndarray,
    probabilities: np.ndarray,
    groups: np.ndarray | None = None,
    thresholds: np.ndarray = THRESHOLDS,
    level: float = 0.95,
) -> DecisionCurve | None:
    """Net benefit ``(TP - FP t / (1 - t)) / N`` at each threshold t (Med Decis Making 26:565); None without a label.

    ``targets`` (0, 1, NaN), ``probabilities`` in [0, 1] and patient ids have shape (N,); thresholds lie in (0, 1) and
    are compared with the probabilities as they are, so calibration counts too. The interval is normal, from each
    patient's contribution to the mean. Raises ValueError for a threshold outside (0, 1).
    """
    positive, probabilities, groups = known(targets, probabilities, groups)
    thresholds = np.asarray(thresholds, dtype=np.float64)
    if not ((thresholds > 0) & (thresholds < 1)).all():
        raise ValueError("thresholds lie between 0 and 1")
    n = len(positive)
    if not n:
        return None
    codes = np.arange(n) if groups is None else np.unique(group_codes(groups), return_inverse=True)[1]
    weight = thresholds / (1 - thresholds)
    patients = int(codes.max()) + 1
    model, error = np.empty(len(thresholds)), np.empty(len(thresholds))
    worth = np.empty((n, 1))
    films = np.bincount(codes, minlength=patients)
    for k, threshold in enumerate(thresholds):
        worth[:, 0] = np.where(probabilities >= threshold, np.where(positive, 1.0, -weight[k]), 0.0)
        model[k] = worth.mean()
        part = sums_by_patient(worth, codes)[:, 0] - films * model[k]
        error[k] = np.sqrt(part @ part * patients / max(patients - 1, 1)) / n
    prevalence = float(positive.mean())
    half = z_score(level) * error
    return DecisionCurve(
        thresholds, model, model - half, model + half, prevalence - (1 - prevalence) * weight, prevalence
    )
