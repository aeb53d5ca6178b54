"""Steps shared by the metrics: drop unknown labels, number the patients, group tied scores."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Runs(NamedTuple):
    """Films sorted by score, ascending or descending, in R runs of equal score."""

    order: np.ndarray  # (N,) indices that sort the films
    run: np.ndarray  # (N,) run of each film, in the films' own order
    scores: np.ndarray  # (R,) the score of each run
    positives: np.ndarray  # (R,) films with the finding, float64
    negatives: np.ndarray  # (R,) films without it, float64


def known(
    targets: np.ndarray, scores: np.ndarray, groups: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Targets as bool, scores as float64 and groups, each (M,), of the M films whose label is not NaN.

    Raises ValueError on unequal lengths, a target other than 0, 1 and NaN, or a score that is NaN.
    """
    targets, scores = np.asarray(targets, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if targets.ndim != 1 or scores.shape != targets.shape or (groups is not None and len(groups) != len(targets)):
        raise ValueError(f"expected one target, score and group a film, got shapes {targets.shape}, {scores.shape}")
    mask = ~np.isnan(targets)
    targets, scores = targets[mask], scores[mask]
    if not np.isin(targets, (0.0, 1.0)).all():
        raise ValueError("a target is 0, 1 or NaN")
    if np.isnan(scores).any():
        raise ValueError(f"{int(np.isnan(scores).sum())} scores are NaN")
    return targets == 1, scores, None if groups is None else np.asarray(groups)[mask]


def group_codes(groups: np.ndarray) -> np.ndarray:
    """Patients numbered from 0, shape (N,), int64, from ids of any type; codes pass through unchanged.

    >>> group_codes(np.array(["p7", "p2", "p7"])).tolist()
    [1, 0, 1]
    """
    groups = np.asarray(groups)
    if groups.size and groups.dtype.kind in "iu" and groups.min() >= 0 and groups.max() < 4 * groups.size:
        return groups.astype(np.int64)  # codes already; they may have gaps
    return np.unique(groups, return_inverse=True)[1].astype(np.int64).reshape(-1)


def count_patients(codes: np.ndarray) -> int:
    """Number of patients among codes (N,) from ``group_codes``."""
    return int(np.count_nonzero(np.bincount(codes)))


def sums_by_patient(columns: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Columns (N, K) summed over each patient's films, float64 (P, K), rows by patient code (N,)."""
    size = int(codes.max()) + 1 if codes.size else 0
    sums = [np.bincount(codes, weights=column, minlength=size) for column in np.asarray(columns).T]
    return np.stack(sums, axis=1) if sums else np.zeros((size, 0))


def tied_runs(targets: np.ndarray, scores: np.ndarray, descending: bool = False) -> Runs:
    """Sort by score and group ties, O(N log N). ``targets`` is bool, ``scores`` without NaN, N at least 1."""
    order = np.argsort(-scores if descending else scores, kind="stable")
    ranked = scores[order]
    first = np.concatenate(([True], ranked[1:] != ranked[:-1]))
    starts = np.flatnonzero(first)
    run = np.empty(len(order), dtype=np.int64)
    run[order] = np.cumsum(first) - 1
    films = np.diff(np.append(starts, len(order))).astype(np.float64)
    positives = np.bincount(run[targets], minlength=len(starts)).astype(np.float64)
    return Runs(order, run, ranked[starts], positives, films - positives)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Elementwise logistic function, without overflow, float64."""
    tail = np.exp(-np.abs(np.asarray(logits, dtype=np.float64)))
    probabilities: np.ndarray = np.where(np.asarray(logits) >= 0, 1.0, tail) / (1 + tail)
    return probabilities


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, without overflow, float64."""
    logits = np.asarray(logits, dtype=np.float64)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: np.ndarray = powers / powers.sum(axis=-1, keepdims=True)
    return probabilities
