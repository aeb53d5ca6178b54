"""The bootstrap by patient (Efron 1979): a resample draws patients with replacement, each with all of its films."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

_CHUNK = 32  # resamples at a time: what one needs stays in the processor's cache, and memory is bounded
_BLOCK = 2048  # patients at a time: stays in the processor's cache


def resampled_sums(by_patient: np.ndarray, resamples: int = 1000, seed: int = 0) -> np.ndarray:
    """Sums over the patients of each resample, float64 (resamples, K), from one row a patient (P, K).

    Rates, means and F1 are quotients of such sums, so one call serves all of them, and they share their resamples.
    """
    by_patient = np.asarray(by_patient, dtype=np.float64)
    if resamples < 1 or not len(by_patient):
        raise ValueError("a bootstrap needs at least one patient and one resample")
    parts = []
    for counts in draws_of_patients(len(by_patient), resamples, seed):
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


@lru_cache(maxsize=2)  # every finding of a table, and every move of a threshold, resamples the same patients
def draws_of_patients(patients: int, resamples: int, seed: int) -> list[np.ndarray]:
    """How often each patient is drawn in each resample: arrays (patients, up to 32), uint8, not to be written to."""
    generator = np.random.default_rng(seed)
    chunks = []
    for start in range(0, resamples, _CHUNK):
        counts = np.empty((min(_CHUNK, resamples - start), patients), dtype=np.uint8)  # nobody is drawn 256 times
        for row in counts:
            row[:] = np.bincount(generator.integers(0, patients, patients), minlength=patients)
        chunks.append(np.ascontiguousarray(counts.T))
    return chunks
