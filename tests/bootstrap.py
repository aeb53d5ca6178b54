"""Bootstrapped AUROC and average precision, the oracles of the closed-form intervals.

Each resample draws patients with replacement; a film then counts as often as its patient was drawn. No film is copied:
the counts of all resamples multiply one sparse table of where the scores rank.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_matrix

from cxrcore.metrics.arrays import group_codes, known, tied_runs
from cxrcore.metrics.bootstrap import draws_of_patients


def bootstrap_auroc(
    targets: np.ndarray, scores: np.ndarray, groups: np.ndarray | None = None, resamples: int = 1000, seed: int = 0
) -> np.ndarray:
    """AUROC of each resample, shape (resamples,), float64; NaN where a resample has one class only."""
    areas = []
    for positive, negative in _resampled(targets, scores, groups, resamples, seed):
        passed = np.cumsum(negative, axis=0)
        n_pos, n_neg = positive.sum(axis=0, dtype=np.float64), passed[-1].astype(np.float64)
        passed -= negative / 2
        lost = (positive * passed).sum(axis=0, dtype=np.float64)  # pairs that the negative film wins
        areas.append(_ratio(n_pos * n_neg - lost, n_pos * n_neg))
    return np.concatenate(areas)


def bootstrap_auprc(
    targets: np.ndarray, scores: np.ndarray, groups: np.ndarray | None = None, resamples: int = 1000, seed: int = 0
) -> np.ndarray:
    """Average precision of each resample, shape (resamples,), float64; NaN where a resample has no positive film."""
    values = []
    for positive, negative in _resampled(targets, scores, groups, resamples, seed):
        true = np.cumsum(positive, axis=0, dtype=np.float64)
        flagged = true + np.cumsum(negative, axis=0)
        values.append(_ratio((positive * _ratio(true, flagged, 0.0)).sum(axis=0), true[-1]))
    return np.concatenate(values)


def _resampled(
    targets: np.ndarray, scores: np.ndarray, groups: np.ndarray | None, resamples: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Positive and negative films of each resample by rank, highest score first: two arrays (ranks, resamples).

    Only ranks that hold a positive film need a row of their own; the negatives between two of them share one.
    """
    positive, scores, groups = known(targets, scores, groups)
    if resamples < 1 or not len(scores):
        raise ValueError("a bootstrap needs at least one film with a known label and one resample")
    codes = np.arange(len(scores)) if groups is None else np.unique(group_codes(groups), return_inverse=True)[1]
    runs = tied_runs(positive, scores, descending=True)
    holds = runs.positives > 0
    rank = (2 * np.cumsum(holds) - holds)[runs.run]
    shape = (int(rank.max()) + 1, int(codes.max()) + 1)
    ones = np.ones(len(codes), dtype=np.float32)  # counts stay exact in float32, which halves the memory moved
    tables = [csr_matrix((ones[part], (rank[part], codes[part])), shape=shape) for part in (positive, ~positive)]
    for draws in draws_of_patients(shape[1], resamples, seed):
        counts = draws.astype(np.float32)
        yield tables[0] @ counts, tables[1] @ counts


def _ratio(above: np.ndarray, below: np.ndarray, otherwise: float = np.nan) -> np.ndarray:
    """Elementwise quotient, ``otherwise`` where the divisor is 0."""
    return np.divide(above, below, out=np.full_like(above, otherwise), where=below > 0)
