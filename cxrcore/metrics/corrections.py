"""Which of many differences would chance have shown anyway? p-values corrected for their number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjusted p-values (1979), in the order given: below .05 holds the chance of any false alarm under 5 %.

    A None is no comparison: it stays None and is not counted.
    """
    return _adjusted(p_values, lambda p: np.maximum.accumulate(p * np.arange(len(p), 0, -1)))


def benjamini_hochberg(p_values: Sequence[float | None]) -> list[float | None]:
    """Benjamini and Hochberg's adjusted p-values (1995): below .05 holds the expected share of false alarms under 5 %.

    Valid for independent and for positively dependent comparisons. A None stays None and is not counted.
    """
    return _adjusted(p_values, lambda p: np.minimum.accumulate((p * len(p) / np.arange(1, len(p) + 1))[::-1])[::-1])


def _adjusted(p_values: Sequence[float | None], rule) -> list[float | None]:
    there = [k for k, p in enumerate(p_values) if p is not None]
    values = np.array([p_values[k] for k in there], dtype=np.float64)
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise ValueError("p-values lie in [0, 1]")
    order = np.argsort(values, kind="stable")
    adjusted: list[float | None] = [None] * len(p_values)
    if len(order):
        for place, value in zip(order, np.minimum(rule(values[order]), 1.0), strict=True):
            adjusted[there[place]] = float(value)
    return adjusted
