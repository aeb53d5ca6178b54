"""How sure is a number? The record every score travels in, and the closed-form intervals behind it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from statistics import NormalDist


@dataclass(frozen=True)
class Estimate:
    """One score with its interval and the counts it rests on; whatever is None has a ``why``.

    ``n_pos`` and ``n_neg`` count films with and without the finding; for a proportion, successes and failures.
    """

    value: float | None
    low: float | None
    high: float | None
    method: str  # of the interval
    n_pos: int
    n_neg: int
    why: str | None = None  # reason for a missing value or interval

    def __post_init__(self) -> None:
        numbers = (self.value, self.low, self.high)
        if any(number is not None and not math.isfinite(number) for number in numbers):
            raise ValueError(f"an estimate holds finite numbers or None, got {numbers}")
        if None in numbers and not self.why:
            raise ValueError("an estimate with a missing part says why")

    def to_dict(self) -> dict:
        """Ready for JSON: null where undefined, and a ``why`` only then."""
        data = asdict(self)
        if self.why is None:
            del data["why"]
        return data

    @classmethod
    def undefined(cls, why: str, n_pos: int = 0, n_neg: int = 0, method: str = "none") -> Estimate:
        """No value at all, and the reason."""
        return cls(None, None, None, method, n_pos, n_neg, why)


def z_score(level: float) -> float:
    """Normal quantile of a two-sided interval: 1.96 at level .95. Raises ValueError outside (0, 1)."""
    if not 0 < level < 1:
        raise ValueError(f"an interval's level lies between 0 and 1, got {level}")
    return NormalDist().inv_cdf((1 + level) / 2)


def wilson(successes: int, total: int, level: float = 0.95, empty: str = "nothing to count") -> Estimate:
    """A proportion with Wilson's score interval (Wilson 1927); ``empty`` is the why at ``total`` 0.

    It takes films as independent, so it is somewhat narrow where patients repeat.
    """
    if not 0 <= successes <= total:
        raise ValueError(f"expected 0 <= successes <= total, got {successes} of {total}")
    if total == 0:
        return Estimate.undefined(empty, method="Wilson")
    z = z_score(level)
    p = successes / total
    centre = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == total else centre + half
    return Estimate(p, low, high, "Wilson", int(successes), int(total - successes))


def logit_interval(value: float, variance: float, level: float = 0.95) -> tuple[float, float]:
    """Interval of a number in (0, 1) by the delta method on its logit: it never leaves (0, 1).

    Raises ValueError at 0 and 1, where the logit has no value.
    """
    if not 0 < value < 1 or variance < 0:
        raise ValueError(f"a logit interval needs a value in (0, 1) and a variance >= 0, got {value} and {variance}")
    centre = math.log(value / (1 - value))
    half = z_score(level) * math.sqrt(variance) / (value * (1 - value))
    return _expit(centre - half), _expit(centre + half)


def newcombe(area: float, n_pos: int, n_neg: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of an AUROC from its value and counts alone, useful at 0 and 1 where DeLong's variance vanishes.

    Newcombe 2006 (Stat Med 25:559), method 5: both limits t solve ``|t - area| = z sqrt(v(t))`` with Hanley and
    McNeil's variance, the counts in its numerator replaced by their mean,
    ``v(t) = t (1 - t) (1 + (N - 1) ((1 - t) / (2 - t) + t / (1 + t))) / (n_pos n_neg)``, ``N = (n_pos + n_neg) / 2``.
    """
    if not 0 <= area <= 1 or n_pos < 1 or n_neg < 1:
        raise ValueError(f"expected an area in [0, 1] and both classes, got {area}, {n_pos} and {n_neg}")
    z, mean = z_score(level), (n_pos + n_neg) / 2

    def excess(t: float) -> float:
        """Positive where t lies outside the interval."""
        variance = t * (1 - t) * (1 + (mean - 1) * ((1 - t) / (2 - t) + t / (1 + t))) / (n_pos * n_neg)
        return abs(t - area) - z * math.sqrt(variance)

    limits = []
    for end in (0.0, 1.0):
        inside, outside = area, end
        for _ in range(60):
            middle = (inside + outside) / 2
            if excess(middle) > 0:
                outside = middle
            else:
                inside = middle
        limits.append(end if area == end else outside)
    return limits[0], limits[1]


def _expit(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
