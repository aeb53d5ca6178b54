"""Figures of a model card: ROC curves and reliability diagrams, a panel per finding, as PNG.

They are drawn from metrics.json and curves.json alone, so they need no film and show nothing of one. They have a white
background of their own and read the same on a light page and on a dark one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from cxrcore.evaluation.record import METRICS, FindingMetrics, Metrics, read_metrics
from cxrcore.metrics.intervals import wilson_limits
from cxrcore.reporting.figures import (
    CARD,
    draw_reference,
    draw_reliability,
    draw_roc,
    font,
    new_figure,
    reliability_end,
    save_png,
    set_axes,
    set_titles,
    short,
    unit_ticks,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Curves = Mapping[str, Mapping[str, Any]]  # finding -> its curves, as in curves.json

ROC, RELIABILITY = "roc.png", "reliability.png"
_SOURCE, _DRAWING = "scores", 2  # text in the PNG; raise the number when the drawing changes
DENSITY = 2  # dots of the PNG per page pixel
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 14, 50, 42  # page pixels around a panel's square
_SIDES = {1: 250, 2: 250, 3: 190}  # of a panel's square, page pixels, by the number of columns
_WIDE, _COLUMNS = 140, 4


def draw_figures(folder: Path) -> list[str]:
    """Draw both figures of every held-out evaluation into its folder; returns their paths in the bundle.

    A figure that was drawn from these scores is kept.
    """
    paths = []
    for path in sorted(folder.glob(f"evaluation/*/{METRICS}")):
        metrics, curves = read_metrics(path), path.with_name("curves.json")
        if metrics.split != "test" or not curves.is_file():
            continue
        for name, draw in ((ROC, roc_figure), (RELIABILITY, reliability_figure)):
            picture = path.with_name(name)
            if not matches_scores(picture):
                findings = json.loads(curves.read_bytes())["findings"]
                save_png(draw(metrics, findings), picture, {_SOURCE: _digest(path.parent)})
            paths.append(picture.relative_to(folder).as_posix())
    return paths


def matches_scores(picture: Path) -> bool:
    """Whether a file is a figure drawn here from the scores beside it; the PNG's text says so, and no film has it."""
    try:
        with Image.open(picture, formats=["PNG"]) as opened:
            return bool(opened.info.get(_SOURCE) == _digest(picture.parent))
    except (OSError, ValueError, SyntaxError):
        return False


def _digest(evaluation: Path) -> str:
    parts = [(evaluation / name).read_bytes() for name in (METRICS, "curves.json")]
    return hashlib.sha256(b"%d %d " % (_DRAWING, len(parts[0])) + b"".join(parts)).hexdigest()


def roc_figure(metrics: Metrics, curves: Curves) -> Figure:
    """Each finding's ROC curve, the 95 % interval of its sensitivity, and its operating point.

    The interval is Wilson's, with as many cases as there are patients per film: films of one patient count as alike.
    Where patients have several films it is too wide rather than too narrow.
    """
    share = metrics.n_patients / max(metrics.n, 1)
    figure, panels = _sheet(list(metrics.findings), "1 − specificity", "sensitivity")
    for finding, panel in panels.items():
        scores, curve = metrics.findings[finding], curves.get(finding, {}).get("roc")
        _heading(panel, finding, _area(scores), f"{scores.n_pos} with, {scores.n_neg} without")
        _frame(panel, 1.0)
        if curve is None:
            continue
        limits = [wilson_limits(y, max(round(scores.n_pos * share), 1)) for y in curve["sensitivity"]]
        panel.fill_between(curve["false_positive_rate"], *np.transpose(limits), color=CARD.band, linewidth=0, zorder=1)
        rates = scores.sensitivity, scores.specificity
        draw_roc(panel, CARD, curve, None if rates[0] is None or rates[1] is None else (rates[0], rates[1]))
    return figure


def reliability_figure(metrics: Metrics, curves: Curves) -> Figure:
    """Each finding's observed frequency by predicted probability, with 95 % intervals."""
    figure, panels = _sheet(list(metrics.findings), "predicted", "observed")
    for finding, panel in panels.items():
        scores = metrics.findings[finding]
        bins = (curves.get(finding, {}).get("reliability") or {}).get("bins", [])
        end = reliability_end(bins)
        error, chance = scores.ece, scores.ece_expected
        text = "" if error is None or chance is None else f"error {short(error)}; chance alone {short(chance)}"
        _heading(panel, finding, text, f"{scores.n_pos + scores.n_neg} films")
        _frame(panel, end)
        draw_reliability(panel, CARD, bins, end)
    return figure


def _sheet(findings: Sequence[str], x_title: str, y_title: str) -> tuple[Figure, dict[str, Axes]]:
    """Square panels in rows of up to four; the axes' titles stand at the sheet's edges only."""
    columns = min(len(findings), _COLUMNS)
    rows = -(-len(findings) // columns)
    side = _SIDES.get(columns, _WIDE)
    wide, high = (_LEFT + side + _RIGHT) * columns, (_TOP + side + _BOTTOM) * rows
    figure = new_figure(wide, high, DENSITY, CARD.paper)
    grid = figure.add_gridspec(
        rows,
        columns,
        left=_LEFT / wide,
        right=1 - _RIGHT / wide,
        top=1 - _TOP / high,
        bottom=_BOTTOM / high,
        wspace=(_LEFT + _RIGHT) / side,
        hspace=(_TOP + _BOTTOM) / side,
    )
    panels = {}
    for k, finding in enumerate(findings):
        panels[finding] = panel = figure.add_subplot(grid[divmod(k, columns)], facecolor=CARD.paper)
        set_titles(panel, CARD, x_title if k + columns >= len(findings) else "", y_title if k % columns == 0 else "")
    figure.align_ylabels()
    return figure, panels


def _heading(panel: Axes, finding: str, result: str, count: str) -> None:
    lines = ((34, finding.replace("_", " "), CARD.ink, 13), (21, result, CARD.ink, 10), (8, count, CARD.faint, 9.5))
    for up, text, colour, size in lines:
        panel.annotate(
            text,
            (0.5, 1),
            (0, up),
            "axes fraction",
            "offset points",
            color=colour,
            font=font(size),
            horizontalalignment="center",
            parse_math=False,
        )


def _frame(panel: Axes, end: float) -> None:
    """Both axes from 0 to ``end``, their grid, and the diagonal: guessing, or perfect calibration."""
    panel.set(xlim=(0, end), ylim=(0, end))
    set_axes(panel, CARD, unit_ticks(end), unit_ticks(end))
    draw_reference(panel, CARD, [0, end], [0, end])


def _area(scores: FindingMetrics) -> str:
    area = scores.auroc
    if area.value is None:
        return "AUROC undefined"
    interval = (
        f" ({short(area.low, 3)} to {short(area.high, 3)})" if area.low is not None and area.high is not None else ""
    )
    return f"AUROC {short(area.value, 3)}{interval}"
