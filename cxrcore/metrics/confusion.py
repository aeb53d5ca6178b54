"""Confusion matrix of exclusive classes, co-occurrence of findings, and findings present in false positives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cxrcore.metrics.json_record import JsonRecord


@dataclass(frozen=True, eq=False)
class Matrix(JsonRecord):
    """Counts of films by two findings (row, column), and their shares of the row's films."""

    _keys = ("names", "counts", "films", "shares")

    names: tuple[str, ...]  # length C, rows and columns alike
    counts: np.ndarray  # (C, C), int64
    films: np.ndarray  # (C, C), int64: denominators of the shares; equal along a row unless labels are unknown

    @property
    def shares(self) -> np.ndarray:
        """``counts / films``, float64 (C, C), NaN for 0 of 0."""
        return _over(self.counts, self.films)


def confusion_matrix(targets: np.ndarray, decisions: np.ndarray, names: Sequence[str]) -> Matrix:
    """Films of exclusive classes by true class (row) and decided class (column); a row's shares sum to 1.

    ``targets`` (0, 1; rows with NaN are left out) and ``decisions`` (bool) have shape (N, C), one class a row. Raises
    ValueError for rows with no class or several.

    >>> confusion_matrix(np.eye(2)[[0, 0, 1]], np.eye(2)[[0, 1, 1]], ("Normal", "Pneumonia")).counts.tolist()
    [[1, 1], [0, 1]]
    """
    targets, decisions = _checked(targets, decisions, names)
    rows = ~np.isnan(targets).any(axis=1)
    true, decided = (targets[rows] == 1).astype(np.int64), decisions[rows].astype(np.int64)
    if not ((true.sum(axis=1) == 1).all() and (decided.sum(axis=1) == 1).all()):
        raise ValueError("expected exactly one true and one decided class a film")
    counts = true.T @ decided
    return Matrix(tuple(names), counts, np.broadcast_to(counts.sum(axis=1, keepdims=True), counts.shape).copy())


def co_occurrence(targets: np.ndarray, names: Sequence[str]) -> Matrix:
    """Of the films with the row's finding, the number that have the column's finding too.

    ``targets`` (0, 1, NaN) have shape (N, C). A cell counts films on which both labels are known; the diagonal is the
    finding's own count. Decisions in place of targets show which findings the model predicts together.
    """
    targets, _ = _checked(targets, np.asarray(targets) == 1, names)
    present, known = (targets == 1).astype(np.int64), (~np.isnan(targets)).astype(np.int64)
    return Matrix(tuple(names), present.T @ present, present.T @ known)


@dataclass(frozen=True, eq=False)
class Mistakes(JsonRecord):
    """Of the false positives of the row's finding, the share with the column's finding; arrays (C, C), NaN for 0 of 0.

    The base rate is the column's share of all films without the row's finding. A ``lift`` of 3 means that false
    positives of the row have the column's finding three times as often as such films do: the model confuses the two, or
    uses a sign that both share. The diagonal has no meaning and is NaN.
    """

    _keys = ("names", "alarms", "present", "share", "base", "lift")

    names: tuple[str, ...]
    alarms: np.ndarray  # false positives of the row on which the column's label is known, int64
    present: np.ndarray  # of these, films with the column's finding, int64
    share: np.ndarray  # present / alarms
    base: np.ndarray

    @property
    def lift(self) -> np.ndarray:
        """``share / base``, float64 (C, C)."""
        return _over(self.share, self.base)


def mistaken_for(targets: np.ndarray, decisions: np.ndarray, names: Sequence[str]) -> Mistakes:
    """Findings in each finding's false positives, from ``targets`` (0, 1, NaN) and bool ``decisions``, both (N, C)."""
    targets, decisions = _checked(targets, decisions, names)
    present, known = (targets == 1).astype(np.int64), (~np.isnan(targets)).astype(np.int64)
    absent = (targets == 0).astype(np.int64)
    wrong = absent * decisions
    alarms, beside = wrong.T @ known, wrong.T @ present
    share, base = _over(beside, alarms), _over(absent.T @ present, absent.T @ known)
    for array in (share, base):
        np.fill_diagonal(array, np.nan)
    return Mistakes(tuple(names), alarms, beside, share, base)


def _checked(targets: np.ndarray, decisions: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    targets, decisions = np.asarray(targets, dtype=np.float64), np.asarray(decisions, dtype=bool)
    if targets.ndim != 2 or targets.shape != decisions.shape or targets.shape[1] != len(names):
        raise ValueError(f"expected (films, {len(names)}) twice, got {targets.shape} and {decisions.shape}")
    return targets, decisions


def _over(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    above, below = above.astype(np.float64), below.astype(np.float64)
    quotient: np.ndarray = np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
    return quotient
