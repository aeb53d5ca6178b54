"""Numbers that a page needs beyond metrics.json, computed once per source from its table of films.

Every formula is in ``cxrcore.metrics``. For a source without a table, its stored curves are used where they suffice.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from cxrcore.bundle.calibrators import to_probabilities
from cxrcore.evaluation.record import METRICS
from cxrcore.metrics.calibration import ece, reliability
from cxrcore.metrics.confusion import Matrix, Mistakes, co_occurrence, mistaken_for
from cxrcore.metrics.intervals import Estimate, wilson
from cxrcore.metrics.rates import rates_of_each
from cxrcore.metrics.recalibration import Recalibration, fit_recalibration
from dashboard.charts.roc_pr import Band
from dashboard.sources.bundles import read_metrics
from dashboard.sources.source import Source
from dashboard.thresholds import decisions

_BAND_POINTS, _BAND_RESAMPLES = 60, 400


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
        along = x + y
        where = np.unique(np.searchsorted(along, np.linspace(0, 2, _BAND_POINTS)).clip(max=len(along) - 1))
        rates = _along(source, finding, np.array(roc["thresholds"])[where], x[where], y[where])
        sensitivity, precision = zip(*rates, strict=True)
        return _band(x[where], sensitivity), _band(y[where], precision)

    return source.once(("bands", finding), find)


def _along(
    source: Source, finding: str, thresholds: np.ndarray, x: np.ndarray, y: np.ndarray
) -> list[tuple[Estimate, Estimate]]:
    """Sensitivity and precision at points of a ROC curve, with intervals."""
    if source.predictions is not None:
        targets, probabilities = source.arrays(finding)
        calls = probabilities.astype(np.float64)[:, None] >= thresholds
        copies = np.repeat(targets[:, None], len(thresholds), axis=1)
        each = rates_of_each(copies, calls, groups=source.patients, resamples=_BAND_RESAMPLES)
        return [(part.sensitivity, part.ppv) for part in each]
    n_pos, n_neg = source.scores[finding].n_pos, source.scores[finding].n_neg
    counts = [(round(true * n_pos), round(false * n_neg)) for false, true in zip(x, y, strict=True)]
    return [(wilson(tp, n_pos), wilson(tp, tp + fp)) for tp, fp in counts]


def _band(x: np.ndarray, estimates: tuple[Estimate, ...]) -> Band:
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
    return source.once("mistakes", lambda: mistaken_for(made[0], made[1], source.labels.names))
