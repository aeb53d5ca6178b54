"""Calibration maps from logits to calibrated logits, fitted on validation films and stored in the bundle."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from cxrcore.findings import Kind
from cxrcore.metrics.arrays import known, sigmoid, softmax
from cxrcore.metrics.logistic import fit_logistic

MIN_FILMS = 10  # with and without a finding, to fit its two numbers
_TEMPERATURES = (0.05, 20.0)


@dataclass(frozen=True)
class Identity:
    """No calibration: logits unchanged."""

    def apply(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated logits, float64, shape unchanged (N, C)."""
        return np.array(logits, dtype=np.float64)

    def to_dict(self) -> dict[str, Any]:
        """As stored in a bundle; ``calibration_from_dict`` reads it back."""
        return {"method": "none"}


@dataclass(frozen=True, eq=False)
class PlattScaling:
    """A line per finding on its logit, for multilabel heads: ``slope * logit + intercept``, slope above 0."""

    slope: np.ndarray  # (C,), float64, > 0
    intercept: np.ndarray  # (C,), float64, logits
    why: dict[int, str] = field(
        default_factory=dict
    )  # column -> reason for being left as it was (slope 1, intercept 0)

    def __post_init__(self) -> None:
        for name in ("slope", "intercept"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float64))
        if self.slope.ndim != 1 or self.slope.shape != self.intercept.shape:
            raise ValueError(f"expected two arrays of one length, got {self.slope.shape} and {self.intercept.shape}")
        if not (np.isfinite(self.slope).all() and (self.slope > 0).all() and np.isfinite(self.intercept).all()):
            raise ValueError("slopes are finite and above 0 and intercepts finite, or the ranking would change")

    def apply(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated logits, float64, from logits (N, C)."""
        logits = np.asarray(logits, dtype=np.float64)
        if logits.shape[-1] != len(self.slope):
            raise ValueError(f"expected {len(self.slope)} logits a film, got {logits.shape[-1]}")
        calibrated: np.ndarray = logits * self.slope + self.intercept
        return calibrated

    def to_dict(self) -> dict[str, Any]:
        """As stored in a bundle; ``calibration_from_dict`` reads it back."""
        return {
            "method": "platt",
            "slope": self.slope.tolist(),
            "intercept": self.intercept.tolist(),
            "why": {str(column): reason for column, reason in self.why.items()},
        }


@dataclass(frozen=True)
class Temperature:
    """One number that every logit of a softmax head is divided by; above 1 it makes the head less sure.

    With ``offsets``, a number that each class then gains: bias-corrected temperature scaling (Alexandari 2020,
    arXiv:1901.06852), for films whose classes have other frequencies than those of training.
    """

    value: float
    why: str | None = None  # reason for being left at 1, or without offsets
    offsets: tuple[float, ...] = ()  # logits, one a class, the first 0; none: no class gains any

    def __post_init__(self) -> None:
        if not (np.isfinite(self.value) and self.value > 0):
            raise ValueError(f"a temperature is finite and above 0, got {self.value}")
        if not np.isfinite(self.offsets).all():
            raise ValueError(f"offsets are finite, got {self.offsets}")

    def apply(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated logits, float64, shape unchanged (N, C)."""
        scaled: np.ndarray = np.asarray(logits, dtype=np.float64) / self.value
        return scaled + np.array(self.offsets) if self.offsets else scaled

    def to_dict(self) -> dict[str, Any]:
        """As stored in a bundle; ``calibration_from_dict`` reads it back."""
        data: dict[str, Any] = {"method": "temperature", "value": self.value}
        data |= {"offsets": list(self.offsets)} if self.offsets else {}
        return data | ({"why": self.why} if self.why else {})


Calibration = Identity | PlattScaling | Temperature


def calibration_from_dict(data: dict[str, Any]) -> Calibration:
    """Read what ``to_dict`` wrote. Raises KeyError, TypeError or ValueError on anything else."""
    method = data["method"]
    if method == "none":
        return Identity()
    if method == "platt":
        why = {int(column): str(reason) for column, reason in data.get("why", {}).items()}
        return PlattScaling(np.array(data["slope"], float), np.array(data["intercept"], float), why)
    if method == "temperature":
        return Temperature(float(data["value"]), data.get("why"), tuple(map(float, data.get("offsets", ()))))
    raise ValueError(f"unknown calibration method {method!r}")


def to_probabilities(logits: np.ndarray, kind: Kind) -> np.ndarray:
    """Logits (N, C) to probabilities, float64: a sigmoid each, or one softmax a row."""
    return sigmoid(logits) if kind is Kind.MULTILABEL else softmax(logits)


def from_probabilities(probabilities: np.ndarray, kind: Kind) -> np.ndarray:
    """Logits that ``to_probabilities`` turns into these (N, C), float64; 0 and 1 count as 1e-6 away from themselves."""
    shares = np.clip(np.asarray(probabilities, dtype=np.float64), 1e-6, 1 - 1e-6)
    logits: np.ndarray = np.log(shares) - (np.log1p(-shares) if kind is Kind.MULTILABEL else 0)
    return logits


def fit_calibration(kind: Kind, targets: np.ndarray, logits: np.ndarray) -> Calibration:
    """Platt scaling per finding for a multilabel head, one temperature for a multiclass one; both arrays (N, C)."""
    return fit_platt(targets, logits) if kind is Kind.MULTILABEL else fit_temperature(targets, logits)


def fit_platt(targets: np.ndarray, logits: np.ndarray) -> PlattScaling:
    """Platt scaling per finding: ``targets`` (0, 1, NaN) and ``logits`` of validation films, both (N, C).

    Maximum likelihood with Platt's smoothed targets (n_pos + 1) / (n_pos + 2) and 1 / (n_neg + 2), which keeps it
    finite on separable data (Platt 1999; Lin, Lin and Weng 2007). A finding with under ten films of either class, or
    whose logits do not rise with it, is left as it was, with a why.
    """
    targets, logits = np.asarray(targets), np.asarray(logits, dtype=np.float64)
    slope, intercept = np.ones(targets.shape[1]), np.zeros(targets.shape[1])
    why = {}
    for column in range(targets.shape[1]):
        positive, values, _ = known(targets[:, column], logits[:, column])
        n_pos, n_neg = int(positive.sum()), int((~positive).sum())
        if min(n_pos, n_neg) < MIN_FILMS:
            why[column] = (
                f"{n_pos} validation films with the finding and {n_neg} without; both must be {MIN_FILMS} or more"
            )
            continue
        smooth = np.where(positive, (n_pos + 1) / (n_pos + 2), 1 / (n_neg + 2))
        centre, spread = float(values.mean()), float(values.std())
        fitted = _logistic_line((values - centre) / spread, smooth) if spread > 1e-12 else (0.0, 0.0)
        if fitted[0] <= 1e-6:
            why[column] = "its logits do not rise with the finding on validation"
            continue
        slope[column] = fitted[0] / spread
        intercept[column] = fitted[1] - slope[column] * centre
    return PlattScaling(slope, intercept, why)


def fit_temperature(targets: np.ndarray, logits: np.ndarray, offsets: bool = False) -> Temperature:
    """The temperature with the least negative log likelihood (Guo 2017), sought in [0.05, 20].

    ``targets`` one-hot (rows with NaN are left out) and ``logits`` of validation films, both (N, C). Under ten films:
    1, with a why. ``offsets``: also one a class, where each class has ten films. With offsets, or where the true class
    has the highest logit in every film, targets are smoothed as in Platt's method, (n_c + 1) / (n_c + C) for the true
    class and 1 / (n_c + C) for each other: few or separable films do not ask for certainty. Elsewhere they are not,
    since that would make a network that is rightly sure too moderate.
    """
    from scipy.optimize import minimize

    targets, logits = np.asarray(targets, dtype=np.float64), np.asarray(logits, dtype=np.float64)
    rows = ~np.isnan(targets).any(axis=1)
    targets, logits = targets[rows], logits[rows]
    if len(targets) < MIN_FILMS:
        return Temperature(1.0, f"{len(targets)} validation films have a known class; {MIN_FILMS} or more are needed")
    counts = targets.sum(axis=0)
    why = None
    if offsets and counts.min() < MIN_FILMS:
        offsets, why = False, f"a class has {int(counts.min())} films; offsets need {MIN_FILMS} of each"
    own = (targets @ counts)[:, None]
    if offsets or (logits.argmax(axis=1) == targets.argmax(axis=1)).all():
        targets = np.where(targets == 1, own + 1, 1.0) / (own + targets.shape[1])
    shifted = logits - logits.max(axis=1, keepdims=True)

    def loss(parameters: np.ndarray) -> float:
        scaled = shifted * np.exp(-parameters[0]) + (np.append(0.0, parameters[1:]) if offsets else 0.0)
        top = scaled.max(axis=1, keepdims=True)
        total = np.log(np.exp(scaled - top).sum(axis=1)) + top[:, 0]
        return float(np.mean(total - (targets * scaled).sum(axis=1)))

    start = np.zeros(targets.shape[1] if offsets else 1)
    bounds = [tuple(np.log(_TEMPERATURES)), *[(-20.0, 20.0)] * (len(start) - 1)]
    found = minimize(loss, start, bounds=bounds, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-9}).x
    return Temperature(float(np.exp(found[0])), why, (0.0, *map(float, found[1:])) if offsets else ())


def with_offset(
    calibration: Temperature, targets: np.ndarray, logits: np.ndarray, column: int, specificity: float
) -> Temperature:
    """The calibration with an offset for one class, which then wins on a share of the films that are not of it.

    The share is at most 1 - specificity. ``targets`` (0, 1, NaN) and ``logits`` of validation films, both (N, C). The
    other classes keep their odds to each other.
    """
    own = calibration.apply(logits)[np.asarray(targets)[:, column] == 0]
    margin = np.delete(own, column, axis=1).max(axis=1) - own[:, column]
    offsets = np.zeros(own.shape[1])
    offsets[column] = float(np.quantile(margin, 1 - specificity, method="lower")) if len(own) else 0.0
    return replace(calibration, offsets=tuple((offsets - offsets[0]).tolist()))


def _logistic_line(x: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """Slope and intercept."""
    start = np.array([0.0, np.log(targets.mean() / (1 - targets.mean()))])
    slope, intercept = fit_logistic(np.stack([x, np.ones_like(x)], axis=1), targets, start)
    return float(slope), float(intercept)
