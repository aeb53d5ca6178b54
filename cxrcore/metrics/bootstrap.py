"""What if other patients had come? The bootstrap by patient: slower than the closed forms, and their oracle.

Each resample draws patients with replacement; a film then counts as often as its patient was drawn. No film is ever
copied: the counts of all resamples multiply one sparse table of where the scores rank.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from cxrcore.metrics.arrays import group_codes, known, tied_runs

_CHUNK = 32  # resamples at a time: what one needs stays in the processor's cache, and memory is bounded
_BLOCK = 2048  # patients at a time: stays in the processor's cache


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


def resampled_sums(by_patient: np.ndarray, resamples: int = 1000, seed: int = 0) -> np.ndarray:
    """Sums over the patients of each resample, float64 (resamples, K), from one row a patient (P, K).

    Rates, means and F1 are quotients of such sums, so one call serves all of them, and they share their resamples.
    """
    by_patient = np.asarray(by_patient, dtype=np.float64)
    if resamples < 1 or not len(by_patient):
        raise ValueError("a bootstrap needs at least one patient and one resample")
    parts = []
    for counts in _draws(len(by_patient), resamples, seed):
        sums = np.zeros((counts.shape[1], by_patient.shape[1]))
        for start in range(0, len(by_patient), _BLOCK):
            block = slice(start, start + _BLOCK)
            sums += counts[block].T.astype(np.float64) @ by_patient[block]
        parts.append(sums)
    return np.concatenate(parts)


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
    ones = np.ones(len(codes), dtype=np.float32)  # counts stay exact in float32, which halves the memory moved
    tables = [csr_matrix((ones[part], (rank[part], codes[part])), shape=shape) for part in (positive, ~positive)]
    for draws in _draws(shape[1], resamples, seed):
        counts = draws.astype(np.float32)
        yield tables[0] @ counts, tables[1] @ counts


@lru_cache(maxsize=2)  # every finding of a table, and every move of a threshold, resamples the same patients
def _draws(patients: int, resamples: int, seed: int) -> list[np.ndarray]:
    """How often each patient is drawn in each resample: arrays (patients, up to 32), uint8, not to be written to."""
    generator = np.random.default_rng(seed)
    chunks = []
    for start in range(0, resamples, _CHUNK):
        counts = np.empty((min(_CHUNK, resamples - start), patients), dtype=np.uint8)  # nobody is drawn 256 times
        for row in counts:
            row[:] = np.bincount(generator.integers(0, patients, patients), minlength=patients)
        chunks.append(np.ascontiguousarray(counts.T))
    return chunks


def _ratio(above: np.ndarray, below: np.ndarray, otherwise: float = np.nan) -> np.ndarray:
    """Elementwise quotient, ``otherwise`` where the divisor is 0."""
    return np.divide(above, below, out=np.full_like(above, otherwise), where=below > 0)
