"""Which is taken for which? Exclusive classes in a matrix, findings that go together, findings behind false alarms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Matrix:
    """Counts by two findings, and their share of a row's films; NaN where a row has none."""

    names: tuple[str, ...]  # length C, rows and columns alike
    counts: np.ndarray  # (C, C), int64
    films: np.ndarray  # (C, C), int64: what a share is taken of; along a row the same unless labels are unknown

    @property
    def shares(self) -> np.ndarray:
        """``counts / films``, float64 (C, C), NaN for 0 of 0."""
        return _over(self.counts, self.films)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; null for NaN."""
        return {
            "names": list(self.names),
            "counts": self.counts.tolist(),
            "films": self.films.tolist(),
            "shares": _plain(self.shares),
        }


def confusion_matrix(targets: np.ndarray, decisions: np.ndarray, names: Sequence[str]) -> Matrix:
    """Exclusive classes: row, the true one; column, the decided one; a row's shares sum to 1.

    ``targets`` (0, 1; rows with NaN are left out) and ``decisions`` (bool) have shape (N, C), one class a row.
    """
    targets, decisions = _checked(targets, decisions, names)
    rows = ~np.isnan(targets).any(axis=1)
    true, decided = (targets[rows] == 1).astype(np.int64), decisions[rows].astype(np.int64)
    if not ((true.sum(axis=1) == 1).all() and (decided.sum(axis=1) == 1).all()):
        raise ValueError("expected exactly one true and one decided class a film")
    counts = true.T @ decided
    return Matrix(tuple(names), counts, np.broadcast_to(counts.sum(axis=1, keepdims=True), counts.shape).copy())


def co_occurrence(targets: np.ndarray, names: Sequence[str]) -> Matrix:
    """Findings that may coincide: of the films with the row's finding, how many have the column's too.

    ``targets`` (0, 1, NaN) have shape (N, C). A cell counts films on which both are known; the diagonal is the
    finding's own count. Given decisions instead of targets it shows which findings the model calls together.
    """
    targets, _ = _checked(targets, np.asarray(targets) == 1, names)
    present, known = (targets == 1).astype(np.int64), (~np.isnan(targets)).astype(np.int64)
    return Matrix(tuple(names), present.T @ present, present.T @ known)


@dataclass(frozen=True, eq=False)
class Mistakes:
    """Behind the false alarms of the row's finding, how often is the column's there? Arrays (C, C); NaN on 0 of 0.

    The base rate is the column's share of all films without the row's finding, false alarm or not. A ``lift`` of 3:
    false alarms for the row hold the column three times as often as such films do, so the two are mistaken, or the
    model reads a sign that both share. The diagonal has no meaning and is NaN.
    """

    names: tuple[str, ...]
    alarms: np.ndarray  # false alarms of the row on which the column is known, int64
    present: np.ndarray  # of these, films with the column's finding, int64
    share: np.ndarray  # present / alarms
    base: np.ndarray

    @property
    def lift(self) -> np.ndarray:
        """``share / base``, float64 (C, C)."""
        return _over(self.share, self.base)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; null for NaN."""
        return {
            "names": list(self.names),
            "alarms": self.alarms.tolist(),
            "present": self.present.tolist(),
            "share": _plain(self.share),
            "base": _plain(self.base),
            "lift": _plain(self.lift),
        }


def mistaken_for(targets: np.ndarray, decisions: np.ndarray, names: Sequence[str]) -> Mistakes:
    """What is truly there where a finding was called wrongly; ``targets`` (0, 1, NaN), ``decisions`` (bool), (N, C)."""
    targets, decisions = _checked(targets, decisions, names)
    present, known = (targets == 1).astype(np.int64), (~np.isnan(targets)).astype(np.int64)
    absent = (targets == 0).astype(np.int64)
    wrong = absent * decisions
    alarms, there = wrong.T @ known, wrong.T @ present
    share, base = _over(there, alarms), _over(absent.T @ present, absent.T @ known)
    for array in (share, base):
        np.fill_diagonal(array, np.nan)
    return Mistakes(tuple(names), alarms, there, share, base)


def _checked(targets: np.ndarray, decisions: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    targets, decisions = np.asarray(targets, dtype=np.float64), np.asarray(decisions, dtype=bool)
    if targets.ndim != 2 or targets.shape != decisions.shape or targets.shape[1] != len(names):
        raise ValueError(f"expected (films, {len(names)}) twice, got {targets.shape} and {decisions.shape}")
    return targets, decisions


def _over(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    above, below = above.astype(np.float64), below.astype(np.float64)
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)


def _plain(values: np.ndarray) -> list:
    return [[None if np.isnan(value) else float(value) for value in row] for row in values]
