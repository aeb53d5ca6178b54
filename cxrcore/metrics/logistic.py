"""Logistic regression with soft targets and an offset, by Newton's method."""

from __future__ import annotations

import numpy as np

from cxrcore.metrics.arrays import sigmoid


def fit_logistic(
    design: np.ndarray, targets: np.ndarray, start: np.ndarray, offset: np.ndarray | float = 0.0
) -> np.ndarray:
    """Coefficients (K,) of minimal cross-entropy for ``sigmoid(offset + design @ coefficients)``.

    ``design`` is (N, K), ``targets`` (N,) in [0, 1], soft labels included; Newton's method, halved steps (Lin 2007).
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
