"""``Estimate``, the record of a score with its interval, and closed-form intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any


@dataclass(frozen=True)
class Estimate:
    """One score with its interval and the counts behind it; whatever is None has a ``why``.

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

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON: null where undefined, and a ``why`` only then."""
        data = asdict(self)
        if self.why is None:
            del data["why"]
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Estimate:
        """Read what ``to_dict`` wrote; a missing part that says no why was not recorded."""
        value, low, high = (data.get(name) for name in ("value", "low", "high"))
        why = data.get("why") or ("not recorded" if None in (value, low, high) else None)
        return cls(value, low, high, data.get("method", "none"), data.get("n_pos", 0), data.get("n_neg", 0), why)

    @property
    def triple(self) -> tuple[float, float, float] | None:
        """Value, low and high; None unless all three are there."""
        if self.value is None or self.low is None or self.high is None:
            return None
        return self.value, self.low, self.high

    @classmethod
    def undefined(cls, why: str, n_pos: int = 0, n_neg: int = 0, method: str = "none") -> Estimate:
        """No value at all, and the reason."""
        return cls(None, None, None, method, n_pos, n_neg, why)


def z_score(level: float) -> float:
    """Normal quantile of a two-sided interval: 1.96 at level .95. Raises ValueError outside (0, 1)."""
    if not 0 < level < 1:
        raise ValueError(f"an interval's level lies between 0 and 1, got {level}")
    return NormalDist().inv_cdf((1 + level) / 2)


def two_sided_p(deviations: float) -> float:
    """Two-sided p of a standard normal deviate, exact far into the tail."""
    return math.erfc(abs(deviations) / math.sqrt(2))


def wilson(successes: int, total: int, level: float = 0.95, empty: str = "nothing to count") -> Estimate:
    """A proportion with Wilson's score interval (Wilson 1927); ``empty`` is the why at ``total`` 0.

    Films count as independent, so it is somewhat narrow where patients repeat. Raises ValueError unless
    0 <= successes <= total.

    >>> round(wilson(8, 10).low, 3), round(wilson(8, 10).high, 3)
    (0.49, 0.943)
    """
    if not 0 <= successes <= total:
        raise ValueError(f"expected 0 <= successes <= total, got {successes} of {total}")
    if total == 0:
        return Estimate.undefined(empty, method="Wilson")
    p = successes / total
    return Estimate(p, *wilson_limits(p, total, level), "Wilson", int(successes), int(total - successes))


def wilson_limits(share: float, total: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a share of ``total`` independent cases, in [0, 1]."""
    z = z_score(level)
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return 0.0 if share == 0 else centre - half, 1.0 if share == 1 else centre + half


def logit_interval(value: float, variance: float, level: float = 0.95) -> tuple[float, float]:
    """Interval of a number in (0, 1) by the delta method on its logit; it stays in (0, 1).

    Raises ValueError at 0 and 1, where the logit has no value.
    """
    if not 0 < value < 1 or variance < 0:
        raise ValueError(f"a logit interval needs a value in (0, 1) and a variance >= 0, got {value} and {variance}")
    centre = math.log(value / (1 - value))
    half = z_score(level) * math.sqrt(variance) / (value * (1 - value))
    return _expit(centre - half), _expit(centre + half)


def difference(first: Estimate, second: Estimate, correlation: float = 0.0) -> Estimate:
    """``first - second`` with an interval from their two intervals (MOVER: Zou and Donner 2008, Stat Med 27:1693).

    It keeps their asymmetry, so it is valid near 0 and 1; from two Wilson intervals it is Newcombe's hybrid score
    (1998, method 10). ``correlation`` is that of their errors: 0 where no patient is in both. Undefined where either
    is, with its why.
    """
    one, two = first.triple, second.triple
    if one is None or two is None:
        return Estimate.undefined((first if one is None else second).why or "undefined")
    counts = first.n_pos + second.n_pos, first.n_neg + second.n_neg
    return Estimate(*mover(one, two, correlation), "MOVER (Zou and Donner 2008)", *counts)


def mover(
    first: tuple[float, float, float], second: tuple[float, float, float], correlation: float = 0.0
) -> tuple[float, float, float]:
    """``difference`` of plain numbers, each (value, low, high), on any scale."""
    down = first[0] - first[1], second[2] - second[0]
    up = first[2] - first[0], second[0] - second[1]
    value = first[0] - second[0]
    return value, value - _joined(*down, correlation), value + _joined(*up, correlation)


def p_of(difference: Estimate, level: float = 0.95) -> float | None:
    """Two-sided p of no difference, from the interval's end towards 0 (Altman and Bland 2011, BMJ 343:d2304).

    Below ``1 - level`` exactly where the interval excludes 0. None where there is no interval.
    """
    if difference.triple is None:
        return None
    value, low, high = difference.triple
    reach = value - low if value > 0 else high - value
    if reach <= 0:
        return 1.0 if value == 0 else 0.0
    return two_sided_p(value / reach * z_score(level))


def _joined(one: float, other: float, correlation: float) -> float:
    return math.sqrt(max(one * one + other * other - 2 * correlation * one * other, 0.0))


def newcombe(area: float, n_pos: int, n_neg: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of an AUROC from its value and counts alone, for areas of 0 and 1, where DeLong's variance is 0.

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
