"""Charts of the HTML report: each function takes numbers and returns an ``svg`` element (see ``figures.to_svg``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from cxrcore.reporting.figures import (
    REPORT,
    draw_dots,
    draw_line,
    draw_reference,
    draw_reliability,
    draw_roc,
    draw_threshold,
    new_figure,
    reliability_end,
    set_axes,
    set_titles,
    short,
    to_svg,
    unit_ticks,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 220, 206  # page pixels
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 10, 8, 36
_LOGIT_TICKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99)
_LOGIT_END = float(np.log(0.9995 / 0.0005))
HISTOGRAM_BINS = 30

Curve = Mapping[str, Any]  # one curve of curves.json
Rates = tuple[float, float]


def roc(curve: Curve, point: Rates | None, label: str) -> str:
    """ROC curve; ``point``: sensitivity and specificity at the threshold, ``label``: the text alternative."""
    figure, panel = _panel("1 − specificity", "sensitivity")
    draw_reference(panel, REPORT, [0, 1], [0, 1])
    draw_roc(panel, REPORT, curve, point)
    return to_svg(figure, label)


def pr(curve: Curve, prevalence: float | None, point: Rates | None, label: str) -> str:
    """Precision-recall curve as steps; ``point``: sensitivity and precision at the threshold."""
    figure, panel = _panel("sensitivity", "precision (PPV)")
    if prevalence is not None:
        draw_reference(panel, REPORT, [0, 1], [prevalence, prevalence])
    steps = pairwise([0.0, *curve["sensitivity"]])
    draw_line(panel, REPORT, [x for step in steps for x in step], [y for y in curve["precision"] for _ in (0, 1)])
    if point:
        draw_dots(panel, REPORT, [point[0]], [point[1]], [4], REPORT.point)
    return to_svg(figure, label)


def reliability(bins: Sequence[Mapping[str, Any]], label: str) -> str:
    """Reliability diagram; ``bins`` as in curves.json."""
    end = reliability_end(bins)
    figure, panel = _panel("predicted", "observed", end, end)
    draw_reference(panel, REPORT, [0, end], [0, end])
    draw_reliability(panel, REPORT, bins, end)
    return to_svg(figure, label)


def net_benefit(curve: Curve, threshold: float | None, label: str) -> str:
    """Decision curve: net benefit of the model and of treating everybody, by threshold probability.

    The axis ends at four times the prevalence, at least .1: beyond that the odds of the finding decide nothing.
    """
    prevalence = curve["prevalence"]
    end = next(end for end in (0.1, 0.2, 0.5, 1.0) if end >= min(4 * prevalence, 1.0))
    top = max(max(curve["model"]), prevalence, 1e-3) * 1.1
    y_ticks = {0.0: "0", prevalence: short(prevalence, 3).rstrip("0")}
    figure, panel = _panel("threshold probability", "net benefit", end, top, y_ticks=y_ticks)
    shown = [k for k, probability in enumerate(curve["thresholds"]) if probability <= end]
    xs = [curve["thresholds"][k] for k in shown]
    draw_reference(panel, REPORT, *_above_zero(xs, [curve["everybody"][k] for k in shown]))
    draw_line(panel, REPORT, *_above_zero(xs, [curve["model"][k] for k in shown]))
    if threshold is not None and threshold <= end:
        draw_threshold(panel, REPORT, threshold, top)
    return to_svg(figure, label)


def histogram(targets: np.ndarray, probabilities: np.ndarray, threshold: float | None, label: str) -> str | None:
    """Predicted probabilities of films with and without a finding, each as shares of its own, on a logit axis.

    ``targets`` (0, 1, NaN) and ``probabilities`` have shape (N,). None where no target is known.
    """
    positions = _logit_position(probabilities)
    edges = np.linspace(0, 1, HISTOGRAM_BINS + 1)
    groups = ((0, REPORT.line, (0, (3, 2))), (1, REPORT.point, "-"))
    heights = {target: np.histogram(positions[targets == target], edges)[0] for target, _, _ in groups}
    shares = {target: height / height.sum() for target, height in heights.items() if height.sum()}
    if not shares:
        return None
    top = float(max(share.max() for share in shares.values())) * 1.05
    x_ticks = {float(_logit_position(tick)): f"{tick:g}".lstrip("0") for tick in _LOGIT_TICKS}
    figure, panel = _panel("predicted probability", "share of films", 1.0, top, x_ticks, {})
    if threshold is not None:
        draw_threshold(panel, REPORT, float(_logit_position(threshold)), top)
    for target, colour, dashes in groups:
        if target in shares:
            xs, ys = np.repeat(edges, 2), [0, *np.repeat(shares[target], 2), 0]
            panel.fill(xs, ys, facecolor=colour, alpha=0.28, linewidth=0, zorder=3)
            panel.plot(xs, ys, color=colour, linewidth=1.4, linestyle=dashes, zorder=3)
    return to_svg(figure, label)


def _panel(
    x_title: str,
    y_title: str,
    x_end: float = 1.0,
    y_end: float = 1.0,
    x_ticks: Mapping[float, str] | None = None,
    y_ticks: Mapping[float, str] | None = None,
) -> tuple[Figure, Axes]:
    """One small chart without content; both axes start at 0."""
    figure = new_figure(_WIDTH, _HEIGHT, 1, "none")
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    area = (_LEFT / _WIDTH, _BOTTOM / _HEIGHT, width / _WIDTH, height / _HEIGHT)
    panel = figure.add_axes(area, facecolor="none", xlim=(0, x_end), ylim=(0, y_end))
    set_axes(
        panel,
        REPORT,
        unit_ticks(x_end) if x_ticks is None else x_ticks,
        unit_ticks(y_end) if y_ticks is None else y_ticks,
    )
    set_titles(panel, REPORT, x_title, y_title)
    panel.yaxis.set_label_coords(11 / _WIDTH, area[1] + area[3] / 2, transform=figure.transFigure)
    return figure, panel


def _above_zero(xs: Sequence[float], ys: Sequence[float]) -> tuple[list[float], list[float]]:
    """A falling line up to where it crosses 0, below which the chart ends."""
    inside_x, inside_y = [], []
    for k, (x, y) in enumerate(zip(xs, ys, strict=True)):
        if y < 0:
            if k and ys[k - 1] >= 0:
                share = ys[k - 1] / (ys[k - 1] - y)
                inside_x.append(xs[k - 1] + share * (x - xs[k - 1]))
                inside_y.append(0.0)
            break
        inside_x.append(x)
        inside_y.append(y)
    return inside_x, inside_y


def _logit_position(probability: np.ndarray | float) -> np.ndarray:
    """Position of a probability on the logit axis, 0 to 1; below .0005 and above .9995 it is at the ends."""
    inside = np.clip(np.asarray(probability, dtype=np.float64), 0.0005, 0.9995)
    return np.asarray((np.log(inside / (1 - inside)) / _LOGIT_END + 1) / 2)
