"""p-values corrected for the number of comparisons."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjusted p-values (1979), in the order given; the family-wise error rate is that of the level.

    A None is no comparison: it stays None and is not counted. Raises ValueError outside [0, 1].

    >>> holm([0.01, None, 0.04])
    [0.02, None, 0.04]
    """
    return _adjusted(p_values, lambda p: np.maximum.accumulate(p * np.arange(len(p), 0, -1)))


def benjamini_hochberg(p_values: Sequence[float | None]) -> list[float | None]:
    """Benjamini and Hochberg's adjusted p-values (1995): they control the false discovery rate.

    Valid for independent and for positively dependent comparisons. A None stays None and is not counted.
    """
    return _adjusted(p_values, lambda p: np.minimum.accumulate((p * len(p) / np.arange(1, len(p) + 1))[::-1])[::-1])


def _adjusted(p_values: Sequence[float | None], rule: Callable[[np.ndarray], np.ndarray]) -> list[float | None]:
    counted = [k for k, p in enumerate(p_values) if p is not None]
    values = np.array([p_values[k] for k in counted], dtype=np.float64)
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise ValueError("p-values lie in [0, 1]")
    order = np.argsort(values, kind="stable")
    adjusted: list[float | None] = [None] * len(p_values)
    if len(order):
        for place, value in zip(order, np.minimum(rule(values[order]), 1.0), strict=True):
            adjusted[counted[place]] = float(value)
    return adjusted
