"""Calibration of probabilities: Brier score and its parts, expected calibration error, reliability diagram."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cxrcore.metrics.arrays import known
from cxrcore.metrics.json_record import JsonRecord
from cxrcore.metrics.rates import shares

BINS = 15  # equal width on [0, 1], as in Guo 2017


def brier(targets: np.ndarray, probabilities: np.ndarray) -> float | None:
    """Mean squared distance between probability and outcome of one finding (N,), in [0, 1]; None without a label.

    >>> brier(np.array([1.0, 0.0, np.nan]), np.array([0.5, 0.5, 0.9]))
    0.25
    """
    positive, probabilities, _ = known(targets, probabilities)
    return float(np.mean((probabilities - positive) ** 2)) if len(positive) else None


@dataclass(frozen=True)
class BrierParts(JsonRecord):
    """Murphy's partition (1973): ``brier = reliability - resolution + uncertainty + within_bins``."""

    brier: float
    reliability: float  # mean squared gap between probability and frequency by bin: 0 is best
    resolution: float  # mean squared distance of a bin's frequency from the overall one: more is better
    uncertainty: float  # prevalence times its complement: the same for every model
    within_bins: float  # lost by binning; 0 where each bin holds one probability (Stephenson 2008)


def brier_parts(targets: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> BrierParts | None:
    """The parts of the Brier score of one finding (N,), in the bins of ``ece``; None without a label."""
    positive, probabilities, _ = known(targets, probabilities)
    n = len(positive)
    if not n:
        return None
    index = _bin(probabilities, bins)
    films = np.bincount(index, minlength=bins)
    held = films > 0
    mean = np.bincount(index, weights=probabilities, minlength=bins)[held] / films[held]
    frequency = np.bincount(index[positive], minlength=bins)[held] / films[held]
    weight, overall = films[held] / n, float(positive.mean())
    score = float(np.mean((probabilities - positive) ** 2))
    gaps = float(weight @ (mean - frequency) ** 2)
    spread = float(weight @ (frequency - overall) ** 2)
    uncertainty = overall * (1 - overall)
    return BrierParts(score, gaps, spread, uncertainty, score - (gaps - spread + uncertainty))


def ece(targets: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> float | None:
    """Expected calibration error of one finding (N,): mean gap between probability and frequency by bin, in [0, 1].

    Equal-width bins [k / bins, (k + 1) / bins), 1 in the last, weighted by films (Naeini 2015). Chance alone puts it
    above 0: compare it with ``expected_ece``. None without a label; ValueError for a probability outside [0, 1].

    >>> ece(np.array([1.0, 1.0, 0.0, 1.0]), np.full(4, 0.5))
    0.25
    """
    positive, probabilities, _ = known(targets, probabilities)
    if not len(positive):
        return None
    gaps = np.bincount(_bin(probabilities, bins), weights=probabilities - positive, minlength=bins)
    return float(np.abs(gaps).sum() / len(positive))


def expected_ece(
    targets: np.ndarray, probabilities: np.ndarray, bins: int = BINS, draws: int = 200, seed: int = 0
) -> float | None:
    """The ECE that these probabilities would have by chance if they were perfectly calibrated.

    Mean over simulated outcomes, each film positive with its own probability. ``targets`` only say which films have
    a label.
    """
    _, probabilities, _ = known(targets, probabilities)
    n = len(probabilities)
    if not n:
        return None
    probabilities = np.sort(probabilities)
    _, starts = np.unique(_bin(probabilities, bins), return_index=True)
    sums = np.add.reduceat(probabilities, starts)
    generator = np.random.default_rng(seed)
    total = 0.0
    for _ in range(draws):
        outcomes = np.add.reduceat(generator.random(n) < probabilities, starts, dtype=np.float64)
        total += float(np.abs(sums - outcomes).sum())
    return total / (draws * n)


@dataclass(frozen=True, eq=False)
class Reliability:
    """Mean probability and observed frequency by equal-width bin, arrays of B; NaN in an empty bin."""

    edges: np.ndarray  # (B + 1,)
    n: np.ndarray  # films
    probability: np.ndarray  # their mean
    frequency: np.ndarray  # share with the finding
    low: np.ndarray  # interval of the frequency
    high: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON: one row for each bin that holds films."""
        return {
            "bins": [
                {
                    "from": float(self.edges[k]),
                    "to": float(self.edges[k + 1]),
                    "n": int(self.n[k]),
                    **{name: float(getattr(self, name)[k]) for name in ("probability", "frequency", "low", "high")},
                }
                for k in np.flatnonzero(self.n)
            ]
        }


def reliability(
    targets: np.ndarray,
    probabilities: np.ndarray,
    bins: int = BINS,
    level: float = 0.95,
    groups: np.ndarray | None = None,
) -> Reliability:
    """The table behind a reliability diagram of one finding; ``targets`` (0, 1, NaN) and ``probabilities`` are (N,).

    Intervals are Wilson's; with patient ids ``groups`` (N,), a bin that has several films of a patient is resampled by
    patient (see ``rates.shares``).
    """
    positive, probabilities, groups = known(targets, probabilities, groups)
    index = _bin(probabilities, bins)
    n = np.bincount(index, minlength=bins)
    sums = np.bincount(index, weights=probabilities, minlength=bins)
    found = shares(positive[:, None], index[:, None] == np.arange(bins), groups, level)
    mean, frequency, low, high = (np.full(bins, np.nan) for _ in range(4))
    for k in np.flatnonzero(n):
        mean[k], frequency[k], low[k], high[k] = sums[k] / n[k], found[k].value, found[k].low, found[k].high
    return Reliability(np.linspace(0, 1, bins + 1), n, mean, frequency, low, high)


def _bin(probabilities: np.ndarray, bins: int) -> np.ndarray:
    """Bin of each probability. Raises ValueError outside [0, 1]."""
    if probabilities.size and not (probabilities.min() >= 0 and probabilities.max() <= 1):
        raise ValueError("probabilities lie in [0, 1]")
    return np.minimum((probabilities * bins).astype(np.int64), bins - 1)
