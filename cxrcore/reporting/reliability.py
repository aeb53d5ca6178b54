"""A table of how far probabilities can be believed, before and after calibration, from metrics.json."""

from __future__ import annotations

from cxrcore.evaluation.record import FindingMetrics, Metrics, Uncalibrated
from cxrcore.text import NumberFormat

HEAD = ("finding", "", "AUROC", "slope", "intercept", "ECE (by chance)", "Brier")
_NUMBER, _LINE = NumberFormat(), NumberFormat(digits=2)


def reliability_rows(metrics: Metrics) -> list[tuple[str, ...]]:
    """Two rows a finding under ``HEAD``: before calibration and after it; the first is missing where not recorded."""
    rows = []
    for name, scores in metrics.findings.items():
        if scores.uncalibrated is not None:
            rows.append((name, "before", *_cells(scores.uncalibrated)))
        rows.append(("" if scores.uncalibrated else name, "after", *_cells(scores)))
    return rows


def _cells(scores: FindingMetrics | Uncalibrated) -> tuple[str, ...]:
    line = scores.calibration
    return (
        _NUMBER.estimate(scores.auroc),
        _LINE.estimate(line.slope if line else None),
        _LINE.estimate(line.intercept if line else None),
        f"{_NUMBER.number(scores.ece)} ({_NUMBER.number(scores.ece_expected)})",
        _NUMBER.number(scores.brier),
    )
