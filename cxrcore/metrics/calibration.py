"""Are the probabilities honest? Fits that make them so on validation films, and measures of how far off they are."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import numpy as np

from cxrcore.findings import Kind
from cxrcore.metrics.arrays import known, sigmoid, softmax
from cxrcore.metrics.rates import shares

MIN_FILMS = 10  # with and without a finding, to fit its two numbers
BINS = 15  # equal width on [0, 1], as in Guo 2017
_TEMPERATURES = (0.05, 20.0)


@dataclass(frozen=True)
class Identity:
    """No calibration: logits as they come."""

    def apply(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated logits, float64, shape unchanged (N, C)."""
        return np.array(logits, dtype=np.float64)

    def to_dict(self) -> dict:
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
        return logits * self.slope + self.intercept

    def to_dict(self) -> dict:
        return {
            "method": "platt",
            "slope": self.slope.tolist(),
            "intercept": self.intercept.tolist(),
            "why": {str(column): reason for column, reason in self.why.items()},
        }


@dataclass(frozen=True)
class Temperature:
    """One number that every logit of a softmax head is divided by; above 1 it makes the head less sure."""

    value: float
    why: str | None = None  # reason for being left at 1

    def __post_init__(self) -> None:
        if not (np.isfinite(self.value) and self.value > 0):
            raise ValueError(f"a temperature is finite and above 0, got {self.value}")

    def apply(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated logits, float64, shape unchanged (N, C)."""
        return np.asarray(logits, dtype=np.float64) / self.value

    def to_dict(self) -> dict:
        data: dict = {"method": "temperature", "value": self.value}
        return data | ({"why": self.why} if self.why else {})


Calibration = Identity | PlattScaling | Temperature


def calibration_from_dict(data: dict) -> Calibration:
    """Read what ``to_dict`` wrote. Raises KeyError, TypeError or ValueError on anything else."""
    method = data["method"]
    if method == "none":
        return Identity()
    if method == "platt":
        why = {int(column): str(reason) for column, reason in data.get("why", {}).items()}
        return PlattScaling(np.array(data["slope"], float), np.array(data["intercept"], float), why)
    if method == "temperature":
        return Temperature(float(data["value"]), data.get("why"))
    raise ValueError(f"unknown calibration method {method!r}")


def to_probabilities(logits: np.ndarray, kind: Kind) -> np.ndarray:
    """Logits (N, C) to probabilities, float64: a sigmoid each, or one softmax a row."""
    return sigmoid(logits) if kind is Kind.MULTILABEL else softmax(logits)


def fit_calibration(kind: Kind, targets: np.ndarray, logits: np.ndarray) -> Calibration:
    """What suits the head: Platt per finding for multilabel, one temperature for multiclass; both arrays (N, C)."""
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


def fit_temperature(targets: np.ndarray, logits: np.ndarray) -> Temperature:
    """The temperature with the least negative log likelihood (Guo 2017), sought in [0.05, 20].

    ``targets`` one-hot (rows with NaN are left out) and ``logits`` of validation films, both (N, C). Targets are
    smoothed as in Platt's method, (n_c + 1) / (n_c + C) for the true class and 1 / (n_c + C) for each other, so that
    separable data do not ask for certainty. Under ten films: 1, with a why.
    """
    from scipy.optimize import minimize_scalar

    targets, logits = np.asarray(targets, dtype=np.float64), np.asarray(logits, dtype=np.float64)
    rows = ~np.isnan(targets).any(axis=1)
    targets, logits = targets[rows], logits[rows]
    if len(targets) < MIN_FILMS:
        return Temperature(1.0, f"{len(targets)} validation films have a known class; {MIN_FILMS} or more are needed")
    counts = targets.sum(axis=0)
    own = (targets @ counts)[:, None]
    smooth = np.where(targets == 1, own + 1, 1.0) / (own + targets.shape[1])
    shifted = logits - logits.max(axis=1, keepdims=True)
    expected = (smooth * shifted).sum(axis=1)

    def loss(log_temperature: float) -> float:
        scale = np.exp(-log_temperature)
        return float(np.mean(np.log(np.exp(shifted * scale).sum(axis=1)) - expected * scale))

    found = minimize_scalar(loss, bounds=np.log(_TEMPERATURES), method="bounded", options={"xatol": 1e-6})
    return Temperature(float(np.exp(found.x)))


def brier(targets: np.ndarray, probabilities: np.ndarray) -> float | None:
    """Mean squared distance between probability and outcome of one finding (N,), in [0, 1]; None without a label."""
    positive, probabilities, _ = known(targets, probabilities)
    return float(np.mean((probabilities - positive) ** 2)) if len(positive) else None


@dataclass(frozen=True)
class BrierParts:
    """Murphy's partition: ``brier = reliability - resolution + uncertainty + within_bins``."""

    brier: float
    reliability: float  # mean squared gap between probability and frequency by bin: 0 is best
    resolution: float  # mean squared distance of a bin's frequency from the overall one: more is better
    uncertainty: float  # prevalence times its complement: what the films bring, whoever predicts
    within_bins: float  # what the bins hide; 0 where each holds one probability (Stephenson 2008)

    def to_dict(self) -> dict:
        """Ready for JSON."""
        return asdict(self)


def brier_parts(targets: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> BrierParts | None:
    """The Brier score of one finding (N,) taken apart (Murphy 1973), in the bins of ``ece``; None without a label."""
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

    Equal-width bins [k / bins, (k + 1) / bins), 1 in the last, weighted by films (Naeini 2015). It is above 0 by chance
    alone: read it beside ``expected_ece``. None without a label.
    """
    positive, probabilities, _ = known(targets, probabilities)
    if not len(positive):
        return None
    gaps = np.bincount(_bin(probabilities, bins), weights=probabilities - positive, minlength=bins)
    return float(np.abs(gaps).sum() / len(positive))


def expected_ece(
    targets: np.ndarray, probabilities: np.ndarray, bins: int = BINS, draws: int = 200, seed: int = 0
) -> float | None:
    """The ECE that these very probabilities would show by chance if they were perfectly calibrated.

    Mean over simulated outcomes, each film positive with its own probability. ``targets`` only tell which films count.
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
    """Probability against frequency by equal-width bin, arrays of B; NaN in an empty bin."""

    edges: np.ndarray  # (B + 1,)
    n: np.ndarray  # films
    probability: np.ndarray  # their mean
    frequency: np.ndarray  # share with the finding
    low: np.ndarray  # interval of the frequency
    high: np.ndarray

    def to_dict(self) -> dict:
        """One row a bin that holds films, ready for JSON."""
        return {
            "bins": [
                {
                    "from": float(self.edges[k]),
                    "to": float(self.edges[k + 1]),
                    "n": int(self.n[k]),
                    "probability": float(self.probability[k]),
                    "frequency": float(self.frequency[k]),
                    "low": float(self.low[k]),
                    "high": float(self.high[k]),
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

    Intervals are Wilson's, or, given patient ids ``groups`` (N,), resampled by patient where one has several films in a
    bin (see ``rates.shares``).
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


def fit_logistic(
    design: np.ndarray, targets: np.ndarray, start: np.ndarray, offset: np.ndarray | float = 0.0
) -> np.ndarray:
    """Coefficients (K,) of least cross-entropy for ``sigmoid(offset + design @ coefficients)``.

    ``design`` is (N, K), ``targets`` (N,) in [0, 1], soft ones too: Newton's method with halved steps (Lin 2007).
    """
    weights = np.array(start, dtype=np.float64)

    def loss(candidate: np.ndarray) -> float:
        z = offset + design @ candidate
        return float(np.sum(np.logaddexp(0, z) - targets * z))

    current = loss(weights)
    for _ in range(100):
        p = sigmoid(offset + design @ weights)
        gradient = design.T @ (p - targets)
        hessian = (design * (p * (1 - p))[:, None]).T @ design + 1e-12 * np.eye(len(weights))
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while (better := loss(weights - size * step)) > current and size > 1e-10:
            size /= 2
        weights, previous, current = weights - size * step, current, min(better, current)
        if previous - current <= 1e-12 * max(abs(previous), 1.0):
            break
    return weights


def _logistic_line(x: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """Slope and intercept."""
    start = np.array([0.0, np.log(targets.mean() / (1 - targets.mean()))])
    slope, intercept = fit_logistic(np.stack([x, np.ones_like(x)], axis=1), targets, start)
    return float(slope), float(intercept)
