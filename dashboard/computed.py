"""Numbers that a page needs beyond metrics.json, computed once per source from its table of films.

Every formula is in ``cxrcore.metrics``. For a source without a table, its stored curves are used where they suffice.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from cxrcore.bundle.calibrators import to_probabilities
from cxrcore.evaluation.record import METRICS
from cxrcore.metrics.calibration import ece, reliability
from cxrcore.metrics.confusion import Matrix, Mistakes, co_occurrence, mistaken_for
from cxrcore.metrics.curves import roc_curve
from cxrcore.metrics.intervals import Estimate
from cxrcore.metrics.rates import Rates, rates_of, rates_of_each
from cxrcore.metrics.recalibration import Recalibration, fit_recalibration
from dashboard.charts.roc_pr import Band
from dashboard.sources.bundles import read_metrics
from dashboard.sources.source import Source
from dashboard.thresholds import decisions, scored_films

_BAND_POINTS, _BAND_RESAMPLES = 60, 400
ALONG = ("sensitivity", "specificity", "ppv")  # drawn by threshold
_MOST_MISTAKES = 8  # sets of thresholds


def history(source: Source) -> list[dict[str, Any]]:
    """The training log, a dict per epoch; empty where there is none or it cannot be read."""
    path = None if source.folder is None else source.folder / "training" / "history.jsonl"
    if path is None or not path.is_file():
        return []
    rows = []
    for line in path.read_text("utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("epoch"), int):
            rows.append(row)
    return rows


def validation_prevalence(source: Source) -> list[float] | None:
    """Share of validation films with each finding, in the metrics' order; None where it is not known."""
    if source.validation is None:
        path = None if source.folder is None else source.folder / "evaluation" / f"{source.dataset}-val" / METRICS
        if path is None or source.split == "val" or not path.is_file():
            return None
        stored = read_metrics(path).findings
        shares = [stored[name].prevalence if name in stored else None for name in source.scores]
        return [np.nan if share is None else share for share in shares]
    targets = source.validation.targets
    known = (~np.isnan(targets)).sum(axis=0)
    counted = np.divide((targets == 1).sum(axis=0), known, out=np.full(len(known), np.nan), where=known > 0)
    return [float(counted[source.labels.index(name)]) for name in source.scores]


def bands(source: Source, finding: str) -> tuple[Band | None, Band | None]:
    """Pointwise 95 % intervals around the ROC curve (of sensitivity) and the precision-recall curve (of precision).

    By patient from the table; without one, Wilson's from the stored curve, which takes films as independent.
    """
    roc = source.curves["findings"][finding]["roc"]
    if roc is None:
        return None, None

    def find() -> tuple[Band, Band]:
        x, y = np.array(roc["false_positive_rate"]), np.array(roc["sensitivity"])
        where = _spread(x + y, _BAND_POINTS)
        if source.predictions is None:
            each = [_at_point(source, finding, x[k], y[k]) for k in where]
        else:
            each = _rates_at_each(source, finding, np.array(roc["thresholds"])[where])
        sensitivity, precision = ([getattr(one, name) for one in each] for name in ("sensitivity", "ppv"))
        return band(x[where], sensitivity), band(y[where], precision)

    return source.once(("bands", finding), find)


def roc_band(targets: np.ndarray, scores: np.ndarray, patients: np.ndarray) -> Band | None:
    """A pointwise interval of sensitivity around a ROC curve, by patient; all (N,). None without both classes."""
    curve = roc_curve(targets, scores)
    if curve is None:
        return None
    where = _spread(curve.false_positive_rate + curve.sensitivity, _BAND_POINTS)
    calls = scores.astype(np.float64)[:, None] >= curve.thresholds[where]
    copies = np.repeat(targets[:, None], len(where), axis=1)
    each = rates_of_each(copies, calls, groups=patients, resamples=_BAND_RESAMPLES)
    return band(curve.false_positive_rate[where], [one.sensitivity for one in each])


def along_thresholds(source: Source, finding: str, rule: str) -> tuple[np.ndarray, dict[str, list[Estimate]]] | None:
    """Thresholds (K,), rising, and sensitivity, specificity and PPV at each, with intervals; None without a curve.

    Of the films that a decision by ``rule`` is scored on, as in ``thresholds.rates``.
    """
    roc = source.curves["findings"][finding]["roc"]
    if roc is None:
        return None
    films = scored_films(source, rule)

    def find() -> tuple[np.ndarray, dict[str, list[Estimate]]]:
        x, y, cuts = (np.array(roc[name]) for name in ("false_positive_rate", "sensitivity", "thresholds"))
        even = np.unique(np.searchsorted(-cuts, -np.linspace(0, cuts[0], _BAND_POINTS)).clip(max=len(cuts) - 1))
        where = np.unique(np.concatenate([_spread(x + y, _BAND_POINTS), even]))[::-1]
        if source.predictions is None:
            each = [_at_point(source, finding, x[k], y[k]) for k in where]
        else:
            each = _rates_at_each(source, finding, cuts[where], films)
        return cuts[where], {name: [one.estimates[name] for one in each] for name in ALONG}

    return source.once(("along", finding, films is None), find)


def _spread(along: np.ndarray, points: int) -> np.ndarray:
    """Indices of about ``points`` even steps of a rising quantity."""
    return np.unique(np.searchsorted(along, np.linspace(along[0], along[-1], points)).clip(max=len(along) - 1))


def _rates_at_each(
    source: Source, finding: str, thresholds: np.ndarray, films: np.ndarray | None = None
) -> list[Rates]:
    """Rates at thresholds, with intervals by patient, of some films, bool (N,). Needs the table."""
    rows = slice(None) if films is None else films
    targets, probabilities = source.arrays(finding)
    calls = probabilities[rows].astype(np.float64)[:, None] >= thresholds
    copies = np.repeat(targets[rows][:, None], len(thresholds), axis=1)
    return rates_of_each(copies, calls, groups=source.patients[rows], resamples=_BAND_RESAMPLES)


def _at_point(source: Source, finding: str, x: float, y: float) -> Rates:
    """Rates at a point of the stored ROC curve; intervals are Wilson's, which take films as independent."""
    n_pos, n_neg = source.scores[finding].n_pos, source.scores[finding].n_neg
    tp, fp = round(y * n_pos), round(x * n_neg)
    cells = [tp, fp, n_pos - tp, n_neg - fp]
    return rates_of(np.repeat([1.0, 0.0, 1.0, 0.0], cells), np.repeat([True, True, False, False], cells))


def band(x: np.ndarray, estimates: Sequence[Estimate]) -> Band:
    """The intervals of estimates at ``x``, where they have one."""
    defined = [k for k, estimate in enumerate(estimates) if estimate.low is not None]
    low, high = (np.array([getattr(estimates[k], end) for k in defined]) for end in ("low", "high"))
    return Band(x[defined], low, high)


def before_calibration(source: Source, finding: str) -> list[dict[str, Any]] | None:
    """The reliability table of the raw logits; None without logits."""
    raw = _uncalibrated(source, finding)
    if raw is None:
        return None
    y, _ = source.arrays(finding)

    def compute() -> list[dict[str, Any]]:
        bins: list[dict[str, Any]] = reliability(y, raw, groups=source.patients).to_dict()["bins"]
        return bins

    return source.once(("before", finding), compute)


def _uncalibrated(source: Source, finding: str) -> np.ndarray | None:
    """Probabilities before calibration, (N,); None without logits."""
    films = source.predictions
    if films is None or films.logits is None:
        return None
    logits = films.logits
    raw: np.ndarray = source.once("raw", lambda: np.clip(to_probabilities(logits, source.labels.kind), 0, 1))
    column: np.ndarray = raw[:, source.labels.index(finding)]
    return column


def ece_before(source: Source, finding: str) -> float | None:
    """ECE of the raw logits; None without them."""
    raw = _uncalibrated(source, finding)
    return None if raw is None else ece(source.arrays(finding)[0], raw)


def calibration_line(source: Source, finding: str) -> Recalibration | None:
    """Calibration slope and intercepts; None where they are neither stored nor computable."""
    stored = source.scores[finding].calibration
    if stored is not None or source.predictions is None:
        return stored
    return source.once(("line", finding), lambda: fit_recalibration(*source.arrays(finding), source.patients))


def together(source: Source) -> Matrix:
    """Which labels occur together. Needs the table."""
    films = source.predictions
    assert films is not None
    return source.once("together", lambda: co_occurrence(films.targets, source.labels.names))


def mistakes(source: Source) -> Mistakes | None:
    """Which findings films with false positives have; None without thresholds or for exclusive classes."""
    if source.multiclass or (made := decisions(source)) is None:
        return None
    targets, calls, cuts = made
    return source.once(
        ("mistakes", *cuts.values()), lambda: mistaken_for(targets, calls, source.labels.names), most=_MOST_MISTAKES
    )
