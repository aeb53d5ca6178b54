"""How far the probabilities of one set of films lie from those of another: stability index, distance, a test."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cxrcore.metrics.arrays import group_codes, sums_by_patient

BINS = 10  # of the index: tenths of the first set's films
PERMUTATIONS = 499
_EMPTY = 0.5  # films added to every bin, so that an empty one has a logarithm


@dataclass(frozen=True)
class Shift:
    """The distance of two distributions of one finding's probability."""

    stability: float  # population stability index: 0 where they are alike
    by_chance: float  # 95th percentile of the index where patients are dealt to the two sets at random
    p: float  # of an index at least as large by chance
    distance: float  # Kolmogorov and Smirnov's: the largest gap of the cumulative shares, in [0, 1]


def shifts(
    first: np.ndarray,
    second: np.ndarray,
    groups: np.ndarray | None = None,
    other_groups: np.ndarray | None = None,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> list[Shift]:
    """The shift of every finding between two sets of films: probabilities (N, C) and (M, C), and patient ids.

    The population stability index is ``sum (q - p) ln(q / p)`` over bins that hold a tenth of the first set's films
    each, with half a film added to every bin (Siddiqi 2006, Credit Risk Scorecards). Its usual limits, .1 and .25,
    ignore how many films there are, so it is tested by dealing patients, each with all films, to the two sets at
    random. A patient in both sets counts as two. Raises ValueError for a set without films.

    >>> same = np.linspace(0, 1, 100)[:, None]
    >>> shifts(same, same)[0].stability
    0.0
    """
    if not len(first) or not len(second):
        raise ValueError("a shift is between two sets of films, and one is empty")
    patients = [
        np.arange(len(part)) if own is None else group_codes(own)
        for part, own in ((first, groups), (second, other_groups))
    ]
    counts, ends = [], [0]
    for column in range(first.shape[1]):
        one, two = (np.asarray(part[:, column], np.float64) for part in (first, second))
        edges = np.unique(np.quantile(one, np.linspace(0, 1, BINS + 1)[1:-1]))
        counts.append([_in_bins(edges, part, own) for part, own in zip((one, two), patients, strict=True)])
        ends.append(ends[-1] + len(edges) + 1)
    both = [np.hstack([pair[k] for pair in counts]) for k in (0, 1)]
    observed = _index(both[0].sum(axis=0)[None], both[1].sum(axis=0)[None], ends)[0]
    dealt = _dealt(np.vstack(both), len(both[0]), permutations, seed)
    total = both[0].sum(axis=0) + both[1].sum(axis=0)
    chance = _index(dealt, total - dealt, ends)
    return [
        Shift(
            float(observed[k]),
            float(np.quantile(chance[:, k], 0.95)),
            float((1 + (chance[:, k] >= observed[k] - 1e-12).sum()) / (1 + permutations)),
            ks_distance(first[:, k], second[:, k]),
        )
        for k in range(first.shape[1])
    ]


def ks_distance(first: np.ndarray, second: np.ndarray) -> float:
    """The largest gap between the cumulative shares of two sets of numbers, (N,) and (M,); scipy's ``ks_2samp``."""
    ends = np.unique(np.concatenate([first, second]))
    shares = [np.searchsorted(np.sort(part), ends, side="right") / len(part) for part in (first, second)]
    return float(np.abs(shares[0] - shares[1]).max())


def _in_bins(edges: np.ndarray, scores: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """Films of each patient in each bin, (P, B); patients without films are left out."""
    bins = np.searchsorted(edges, scores, side="right")
    by_patient = sums_by_patient(bins[:, None] == np.arange(len(edges) + 1), patients)
    return by_patient[np.bincount(patients, minlength=len(by_patient)) > 0]


def _dealt(by_patient: np.ndarray, size: int, permutations: int, seed: int) -> np.ndarray:
    """Sums over ``size`` patients drawn without replacement, (permutations, K)."""
    generator = np.random.default_rng(seed)
    drawn = np.zeros((permutations, len(by_patient)), np.float32)
    for row in drawn:
        row[generator.permutation(len(by_patient))[:size]] = 1
    sums: np.ndarray = drawn @ by_patient.astype(np.float32)
    return sums.astype(np.float64)


def _index(first: np.ndarray, second: np.ndarray, ends: list[int]) -> np.ndarray:
    """The stability index of each finding, (R, C), from films by bin, (R, K) each; ``ends``: where findings end."""
    columns = []
    for start, end in pairwise(ends):
        one, two = (part[:, start:end] + _EMPTY for part in (first, second))
        p, q = one / one.sum(axis=1, keepdims=True), two / two.sum(axis=1, keepdims=True)
        columns.append(((q - p) * np.log(q / p)).sum(axis=1))
    return np.stack(columns, axis=1)
