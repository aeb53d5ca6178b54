"""Numbers, intervals and sizes as text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Protocol


class HasInterval(Protocol):
    """Anything with a value and the ends of its interval, such as ``metrics.intervals.Estimate``."""

    @property
    def value(self) -> float | None:
        """The estimate; None where it is undefined."""

    @property
    def low(self) -> float | None:
        """The interval's lower end; None without an interval."""

    @property
    def high(self) -> float | None:
        """The interval's upper end; None without an interval."""


@dataclass(frozen=True)
class NumberFormat:
    """How a number and its interval are written; ``None`` is an undefined number.

    >>> NumberFormat().estimate({"value": 0.8712, "low": 0.852, "high": 0.89})
    '0.871 (0.852-0.890)'
    >>> NumberFormat(digits=1, factor=100, unit=" %").estimate({"value": 0.8712, "low": 0.852, "high": 0.89})
    '87.1 % (85.2-89.0 %)'
    >>> NumberFormat(signed=True).estimate({"value": 0.012, "low": -0.003, "high": 0.027})
    '+0.012 (-0.003 to +0.027)'
    """

    digits: int = 3
    factor: float = 1
    unit: str = ""
    signed: bool = False  # a plus before positive numbers
    leading_zero: bool = True  # False: .871, as journals print numbers that cannot pass 1
    minus: str = "-"
    between: str = "-"  # between the ends of an interval; " to " where an end has a sign
    undefined: str = "-"

    def number(self, value: float | None) -> str:
        """One number with its unit, e.g. ``0.871`` or ``87.1 %``."""
        return self.undefined if value is None else self._digits(value) + self.unit

    def interval(self, low: float | None, high: float | None) -> str:
        """The ends of an interval without their unit, e.g. ``0.852-0.890``; empty where undefined."""
        if low is None or high is None:
            return ""
        ends = self._digits(low), self._digits(high)
        signs = (self.minus, "+")
        return (" to " if any(end.startswith(signs) for end in ends) else self.between).join(ends)

    def estimate(self, estimate: HasInterval | Mapping[str, Any] | None) -> str:
        """A number and its interval, e.g. ``0.871 (0.852-0.890)``; the number alone where it has no interval."""
        value, low, high = ends(estimate)
        interval = self.interval(low, high)
        return self.number(value) + (f" ({interval}{self.unit})" if value is not None and interval else "")

    def _digits(self, value: float) -> str:
        text = f"{value * self.factor:{'+' if self.signed else ''}.{self.digits}f}"
        if not self.leading_zero:
            text = re.sub(r"^([+-]?)0\.", r"\1.", text)
        return text.replace("-", self.minus)


def ends(estimate: HasInterval | Mapping[str, Any] | None) -> tuple[float | None, float | None, float | None]:
    """Value, low and high of a record or of its JSON; three times None for None."""
    if estimate is None:
        return None, None, None
    if isinstance(estimate, Mapping):
        return estimate.get("value"), estimate.get("low"), estimate.get("high")
    return estimate.value, estimate.low, estimate.high


def size_text(count: int) -> str:
    """A number of bytes for a reader.

    >>> size_text(4_200_000), size_text(812)
    ('4.2 MB', '1 kB')
    """
    if count < 1_000_000:
        return f"{max(count // 1000, 1)} kB"
    if count < 1_000_000_000:
        return f"{count / 1e6:.{1 if count < 10_000_000 else 0}f} MB".replace(".0 ", " ")
    return f"{count / 1e9:.1f} GB"


def rate_text(share: float) -> str:
    """A threshold or a rate in per cent; the page's ``wholePercent`` rounds alike.

    >>> rate_text(0.044), rate_text(0.8), rate_text(0.125)
    ('4.4 %', '80 %', '13 %')
    """
    return _percent(share, 1 if share < 0.1 else 0)


def probability_text(share: float) -> str:
    """A probability in per cent, never 0 or 100; the page's ``percent``.

    >>> probability_text(0.4567), probability_text(0.0001), probability_text(0.9999)
    ('45.7 %', '< 0.1 %', '> 99.9 %')
    """
    if share < 0.0005:
        return "< 0.1 %"
    return "> 99.9 %" if share >= 0.9995 else _percent(share, 1)


def _percent(share: float, digits: int) -> str:
    exact = Decimal(100 * share)  # of the binary number, and a tie goes up, as JavaScript's toFixed rounds
    return f"{exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)} %"


def listed(words: Sequence[str]) -> str:
    """Words as a sentence has them.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else ""
