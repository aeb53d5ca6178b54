"""What if other patients had come? The bootstrap by patient: slower than the closed forms, and their oracle.

Each resample draws patients with replacement; a film then counts as often as its patient was drawn. No film is ever
copied: the counts of all resamples multiply one sparse table of where the scores rank.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cxrcore.metrics.arrays import group_codes, known, tied_runs

_CHUNK = 100  # resamples at a time: bounds memory, and is part of what the seed means


def bootstrap_auroc(
    targets: np.ndarray, scores: np.ndarray, groups: np.ndarray | None = None, resamples: int = 1000, seed: int = 0
) -> np.ndarray:
    """AUROC of each resample, shape (resamples,), float64; NaN where a resample has one class only."""
    areas = []
    for positive, negative in _resampled(targets, scores, groups, resamples, seed):
        below = negative.sum(axis=0) - np.cumsum(negative, axis=0) + negative / 2
        areas.append(_ratio((positive * below).sum(axis=0), positive.sum(axis=0) * negative.sum(axis=0)))
    return np.concatenate(areas)


def bootstrap_auprc(
    targets: np.ndarray, scores: np.ndarray, groups: np.ndarray | None = None, resamples: int = 1000, seed: int = 0
) -> np.ndarray:
    """Average precision of each resample, shape (resamples,), float64; NaN where a resample has no positive film."""
    values = []
    for positive, negative in _resampled(targets, scores, groups, resamples, seed):
        true = np.cumsum(positive, axis=0)
        flagged = true + np.cumsum(negative, axis=0)
        values.append(_ratio((positive * _ratio(true, flagged, 0.0)).sum(axis=0), positive.sum(axis=0)))
    return np.concatenate(values)


def percentile_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The middle ``level`` of the resamples that have a value."""
    low, high = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _resampled(
    targets: np.ndarray, scores: np.ndarray, groups: np.ndarray | None, resamples: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Positive and negative films of each resample by rank, highest score first: two arrays (ranks, resamples).

    Only ranks that hold a positive film need a row of their own; the negatives between two of them share one.
    """
    from scipy.sparse import csr_matrix

    positive, scores, groups = known(targets, scores, groups)
    if resamples < 1 or not len(scores):
        raise ValueError("a bootstrap needs at least one film with a known label and one resample")
    codes = np.arange(len(scores)) if groups is None else np.unique(group_codes(groups), return_inverse=True)[1]
    runs = tied_runs(positive, scores, descending=True)
    holds = runs.positives > 0
    rank = (2 * np.cumsum(holds) - holds)[runs.run]
    shape = (int(rank.max()) + 1, int(codes.max()) + 1)
    ones = np.ones(len(codes))
    tables = [csr_matrix((ones[part], (rank[part], codes[part])), shape=shape) for part in (positive, ~positive)]
    generator = np.random.default_rng(seed)
    for start in range(0, resamples, _CHUNK):
        counts = _draw(generator, shape[1], min(_CHUNK, resamples - start))
        yield tables[0] @ counts, tables[1] @ counts


def _draw(generator: np.random.Generator, patients: int, resamples: int) -> np.ndarray:
    """How often each patient is drawn in each resample, shape (patients, resamples), float64."""
    drawn = generator.integers(0, patients, size=(resamples, patients))
    drawn += patients * np.arange(resamples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=patients * resamples).reshape(resamples, patients)
    return np.ascontiguousarray(counts.T, dtype=np.float64)


def _ratio(above: np.ndarray, below: np.ndarray, otherwise: float = np.nan) -> np.ndarray:
    """Elementwise quotient, ``otherwise`` where the divisor is 0."""
    return np.divide(above, below, out=np.full_like(above, otherwise), where=below > 0)
