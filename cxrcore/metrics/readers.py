"""Several readers of the same cases: mean AUROC with an interval over readers and cases, and differences of it.

Obuchowski and Rockette (1995, Commun Stat Simul 24:285) with Hillis's degrees of freedom (2007, Stat Med 26:596); both
readers and cases count as samples, so that the interval holds for others of either kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cxrcore.metrics.arrays import group_codes, known
from cxrcore.metrics.discrimination import Placements, one_class, placements
from cxrcore.metrics.intervals import Estimate
from cxrcore.metrics.json_record import JsonRecord

METHOD = "Obuchowski-Rockette, Hillis 2007"


@dataclass(frozen=True)
class ReaderStudy(JsonRecord):
    """I conditions read by the same J readers: the mean of each, and the first minus the second."""

    means: tuple[Estimate, ...]  # I
    difference: Estimate | None  # None: one condition
    p: float | None  # two-sided, of no difference
    readers: int

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return super().to_dict() | {"means": [one.to_dict() for one in self.means]}


def mean_areas(
    targets: np.ndarray, scores: np.ndarray, groups: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The mean AUROC over findings of K sets of scores on the same cases, (K,), and their covariance, (K, K).

    ``targets`` (0, 1, NaN) has shape (N, C), ``scores`` (K, N, C), ``groups`` are patient ids (N,). Of one finding the
    covariance is DeLong's (1988), by patient where patients repeat; over several each patient's influences are summed,
    as in ``macro_auroc``. Findings without both classes are left out. Raises ValueError where none is left.
    """
    targets, scores = np.asarray(targets, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    codes = np.arange(len(targets)) if groups is None else np.unique(group_codes(groups), return_inverse=True)[1]
    size = int(codes.max()) + 1
    parts = []
    for column in range(targets.shape[1]):
        positive, _, own = known(targets[:, column], scores[0, :, column], codes)
        if one_class(int(positive.sum()), int((~positive).sum())):
            continue
        assert own is not None
        each = [known(targets[:, column], one[:, column])[1] for one in scores]
        parts.append([placements(positive, values, own, size) for values in each])
    if not parts:
        raise ValueError("no finding has cases both with and without it")
    areas = np.mean([[part.area for part in row] for row in parts], axis=0)
    if len(parts) == 1:
        return areas, np.array([[_covariance(one, other) for other in parts[0]] for one in parts[0]])
    influence = np.mean([[part.positive + part.negative for part in row] for row in parts], axis=0)
    return areas, influence @ influence.T * size / (size - 1)


def _covariance(one: Placements, other: Placements) -> float:
    """DeLong's covariance of two areas on the same cases (``variance_of`` for two); 0 for one patient in a class."""
    if one.n_positive < 2 or one.n_negative < 2:
        return 0.0
    mixed = one.positive @ other.negative + one.negative @ other.positive
    return float(
        one.positive @ other.positive * one.n_positive / (one.n_positive - 1)
        + one.negative @ other.negative * one.n_negative / (one.n_negative - 1)
        + mixed * one.n_patients / (one.n_patients - 1)
    )


def reader_study(areas: np.ndarray, covariance: np.ndarray, level: float = 0.95) -> ReaderStudy:
    """The analysis of areas (I, J) of I conditions and J readers, with their covariance (I, J, I, J).

    ``I`` is 1 or 2. Raises ValueError for other shapes, and for fewer than two readers.
    """
    conditions, readers = areas.shape
    if conditions not in (1, 2) or readers < 2 or covariance.shape != (*areas.shape, *areas.shape):
        raise ValueError(f"expected one or two conditions and two or more readers, got areas of shape {areas.shape}")
    means = tuple(_mean_of(areas[i], _between(covariance[i, :, i]), level) for i in range(conditions))
    if conditions == 1:
        return ReaderStudy(means, None, None, readers)
    error = areas - areas.mean(axis=0) - areas.mean(axis=1, keepdims=True) + areas.mean()
    interaction = float((error**2).sum() / (readers - 1))  # MS(T*R); (I - 1)(J - 1) degrees of freedom
    same = (_between(covariance[0, :, 0]) + _between(covariance[1, :, 1])) / 2  # Cov2
    across = _between(covariance[0, :, 1])  # Cov3
    spread = interaction + max(readers * (same - across), 0.0)
    gap, p = _estimate(
        float(areas[0].mean() - areas[1].mean()), 2 * spread / readers, spread, interaction, readers, level, -1.0
    )
    return ReaderStudy(means, gap, p, readers)


def _between(covariance: np.ndarray) -> float:
    """The mean covariance between different readers, of a matrix (J, J)."""
    return float(covariance[~np.eye(len(covariance), dtype=bool)].mean())


def _mean_of(areas: np.ndarray, between: float, level: float, lowest: float = 0.0) -> Estimate:
    readers, own = len(areas), float(areas.var(ddof=1))  # MS(R)
    spread = own + max(readers * between, 0.0)
    return _estimate(float(areas.mean()), spread / readers, spread, own, readers, level, lowest)[0]


def mean_difference(differences: np.ndarray, covariance: np.ndarray, level: float = 0.95) -> Estimate:
    """The mean of J readers' differences from the same other (a model), with their covariance (J, J)."""
    return _mean_of(differences, _between(covariance), level, lowest=-1.0)


def _estimate(
    value: float, variance: float, spread: float, mean_square: float, readers: int, level: float, lowest: float
) -> tuple[Estimate, float | None]:
    from scipy.stats import t as student

    if variance <= 1e-18:
        return Estimate(
            value, None, None, METHOD, 0, 0, "the readers' areas show no spread to base an interval on"
        ), None
    freedom = spread**2 / (mean_square**2 / (readers - 1)) if mean_square > 1e-18 else np.inf
    error = float(np.sqrt(variance))
    half = float(student.ppf((1 + level) / 2, freedom)) * error
    estimate = Estimate(value, max(value - half, lowest), min(value + half, 1.0), METHOD, 0, 0)
    return estimate, float(2 * student.sf(abs(value) / error, freedom))
