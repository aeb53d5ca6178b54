"""ROC and precision-recall curves, thinned to a few hundred points without changing the area.

Thresholds are scores that occur; a film is positive when its score is at or above one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cxrcore.metrics.arrays import known, tied_runs
from cxrcore.metrics.json_record import JsonRecord


@dataclass(frozen=True, eq=False)
class RocCurve(JsonRecord):
    """From (0, 0) to (1, 1), thresholds falling; float64 arrays of K points. ``area`` is that of the full curve."""

    false_positive_rate: np.ndarray
    sensitivity: np.ndarray
    thresholds: np.ndarray  # the first lies just above the highest score
    area: float


@dataclass(frozen=True, eq=False)
class PrCurve(JsonRecord):
    """Precision by sensitivity, thresholds falling; float64 arrays of K points. ``area`` is the average precision.

    Draw it as steps: a point's precision holds back to the point before it (straight lines would flatter, Davis and
    Goadrich 2006), and the steps' area is ``area`` exactly.
    """

    sensitivity: np.ndarray  # also called recall
    precision: np.ndarray  # also called ppv
    thresholds: np.ndarray
    area: float


def roc_curve(targets: np.ndarray, scores: np.ndarray, points: int = 500) -> RocCurve | None:
    """Sensitivity against false positive rate, at most ``points`` points; None when one class is missing.

    ``targets`` (N,) is 0, 1 or NaN (left out). Straight stretches lose their inner points for free; the rest is
    thinned so that the area under the points kept stays within 1e-4 of the full one.
    """
    positive, scores, _ = known(targets, scores)
    if positive.all() or not positive.any():
        return None
    runs = tied_runs(positive, scores, descending=True)
    y = np.concatenate(([0.0], np.cumsum(runs.positives))) / positive.sum()
    x = np.concatenate(([0.0], np.cumsum(runs.negatives))) / (~positive).sum()
    thresholds = np.concatenate(([np.nextafter(runs.scores[0], np.inf)], runs.scores))
    rise, run = np.diff(y), np.diff(x)
    bend = rise[:-1] * run[1:] != rise[1:] * run[:-1]
    corners = np.flatnonzero(np.concatenate(([True], bend, [True])))
    area = np.concatenate(([0.0], np.cumsum(run * (y[1:] + y[:-1]) / 2)))
    keep = corners if len(corners) <= points else corners[_thin_roc(x[corners], y[corners], area[corners], points)]
    return RocCurve(x[keep], y[keep], thresholds[keep], float(area[-1]))


def pr_curve(targets: np.ndarray, scores: np.ndarray, points: int = 500) -> PrCurve | None:
    """Precision against sensitivity in at most ``points`` steps of exact area; None when no film has the finding.

    Where films with the finding outnumber the points, a step stands for several of them and its height is their mean
    precision. Starts at the first true positive and ends at sensitivity 1.
    """
    positive, scores, _ = known(targets, scores)
    if not positive.any():
        return None
    runs = tied_runs(positive, scores, descending=True)
    true, flagged = np.cumsum(runs.positives), np.cumsum(runs.positives + runs.negatives)
    gains = np.flatnonzero(runs.positives)  # between two gains precision only falls
    recall, precision = true[gains] / true[-1], true[gains] / flagged[gains]
    area = np.cumsum(np.diff(recall, prepend=0.0) * precision)
    keep = np.arange(len(gains))
    if len(gains) > points:
        swing = np.cumsum(np.abs(np.diff(precision, prepend=precision[0])))
        along = recall / recall[-1] + swing / max(swing[-1], 1e-12)
        keep = np.unique(np.searchsorted(along, np.linspace(along[0], along[-1], points)).clip(max=len(gains) - 1))
    heights = np.diff(area[keep], prepend=0.0) / np.diff(recall[keep], prepend=0.0)
    return PrCurve(recall[keep], np.minimum(heights, 1.0), runs.scores[gains[keep]], float(area[-1]))


def _thin_roc(x: np.ndarray, y: np.ndarray, area: np.ndarray, points: int) -> np.ndarray:
    """Indices of at most ``points`` points of a curve, ends included, under which the area stays the same.

    Walks in about equal steps of x + y and takes, past the end of each, the point that brings the running difference
    between thinned and true ``area`` (cumulated) closest to 0; what is left is removed by shifting single points.
    """
    if points < 3:
        raise ValueError(f"a curve needs at least 3 points, got {points}")
    along, last = x + y, len(x) - 1
    kept, drift = [0], 0.0
    while kept[-1] < last:
        here = kept[-1]
        step = (along[last] - along[here]) / (points - len(kept))
        first, beyond = np.searchsorted(along, along[here] + step * np.array([1.0, 3.0]))
        first = last if len(kept) == points - 1 else min(max(first, here + 1), last)
        ends = np.arange(first, max(min(beyond, last + 1), first + 1))
        errors = drift + _trapezoid(x, y, here, ends) - (area[ends] - area[here])
        choice = int(np.argmin(np.abs(errors)))
        drift = float(errors[choice])
        kept.append(int(ends[choice]))
    keep = np.array(kept)
    shifts = np.array([-3, -2, -1, 1, 2, 3])
    while abs(drift) > 1e-6:
        before, now, after = keep[:-2, None], keep[1:-1, None], keep[2:, None]
        moved = np.clip(now + shifts, before + 1, after - 1)
        change = _trapezoid(x, y, before, moved) + _trapezoid(x, y, moved, after)
        change -= _trapezoid(x, y, before, now) + _trapezoid(x, y, now, after)
        row, column = np.unravel_index(np.argmin(np.abs(drift + change)), change.shape)
        if abs(drift + change[row, column]) >= abs(drift):
            break
        keep[row + 1] = moved[row, column]
        drift += float(change[row, column])
    return keep


def _trapezoid(x: np.ndarray, y: np.ndarray, start: np.ndarray | int, end: np.ndarray) -> np.ndarray:
    """Area under the straight line between two points of the curve."""
    area: np.ndarray = (x[end] - x[start]) * (y[end] + y[start]) / 2
    return area
