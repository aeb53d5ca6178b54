"""ROC and precision-recall curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.style import (
    BLUE,
    COLOURS,
    GREY,
    GRID,
    RED,
    REFERENCE,
    SKY,
    add_diagonal,
    faded,
    styled,
    unit_axes,
)

FALSE_POSITIVE_RATE = "False positive rate (1 − specificity)"
SENSITIVITY = "Sensitivity (recall)"


@dataclass(frozen=True)
class Band:
    """An interval around a curve, arrays of K."""

    x: np.ndarray
    low: np.ndarray
    high: np.ndarray


def roc_figure(
    curve: Mapping[str, Any],
    name: str,
    band: Band | None = None,
    point: tuple[float, float] | None = None,
    height: int = 400,
    label: str = "",
) -> go.Figure:
    """Draw a ROC curve, its band and the point of a threshold: (false positive rate, sensitivity)."""
    figure = go.Figure()
    add_diagonal(figure, "chance")
    add_band(figure, band, "95 % interval of sensitivity")
    figure.add_scatter(
        x=curve["false_positive_rate"],
        y=curve["sensitivity"],
        mode="lines",
        line={"color": BLUE, "width": 2.5},
        name=name,
        customdata=curve["thresholds"],
        hovertemplate="false positive rate %{x:.1%}<br>sensitivity %{y:.1%}"
        "<br>threshold %{customdata:.3f}<extra></extra>",
    )
    _add_point(figure, point, label)
    return unit_axes(styled(figure, height), FALSE_POSITIVE_RATE, SENSITIVITY)


def pr_figure(
    curve: Mapping[str, Any],
    name: str,
    prevalence: float | None,
    band: Band | None = None,
    point: tuple[float, float] | None = None,
    height: int = 400,
    label: str = "",
) -> go.Figure:
    """Draw a precision-recall curve in steps; ``point`` is (sensitivity, precision)."""
    figure = go.Figure()
    if prevalence is not None:
        figure.add_hline(
            y=prevalence,
            line=REFERENCE,
            annotation={"text": f"chance: {100 * prevalence:.1f} %", "font": {"color": GREY, "size": 11}},
            annotation_position="top left",
        )
    add_band(figure, band, "95 % interval of precision")
    figure.add_scatter(
        x=[0.0, *curve["sensitivity"]],
        y=[curve["precision"][0], *curve["precision"]],
        mode="lines",
        line={"color": BLUE, "width": 2.5, "shape": "vh"},
        name=name,
        customdata=[curve["thresholds"][0], *curve["thresholds"]],
        hovertemplate="sensitivity %{x:.1%}<br>precision %{y:.1%}<br>threshold %{customdata:.3f}<extra></extra>",
    )
    _add_point(figure, point, label)
    return unit_axes(styled(figure, height), SENSITIVITY, "Precision (PPV)")


def small_curve(x: Sequence[float], y: Sequence[float], heading: str, chance: float | None, steps: bool) -> go.Figure:
    """Draw a curve without numbers on its axes; ``chance`` is the level of chance, None for the diagonal."""
    figure = go.Figure()
    if chance is None:
        add_diagonal(figure, "chance")
    else:
        figure.add_scatter(x=[0, 1], y=[chance, chance], mode="lines", line=REFERENCE)
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines",
        line={"color": BLUE, "width": 2, "shape": "vh" if steps else "linear"},
        fill="tozeroy",
        fillcolor=faded(BLUE, 0.1),
    )
    figure.update_traces(hoverinfo="skip")
    unit_axes(styled(figure, 168, margin={"l": 2, "r": 2, "t": 2, "b": 2}), "", "")
    corner = {"y": 0.03, "yanchor": "bottom"} if chance is None else {"y": 0.97, "yanchor": "top"}  # where it is empty
    figure.add_annotation(text=heading, x=0.97, xanchor="right", align="right", showarrow=False, font_size=12, **corner)
    for axis in (figure.update_xaxes, figure.update_yaxes):
        axis(showticklabels=False, ticks="", showgrid=False, showline=True, linecolor=GRID, mirror=True)
    return figure


@dataclass(frozen=True, eq=False)
class Roc:
    """One of several ROC curves."""

    name: str
    x: np.ndarray  # false positive rate
    y: np.ndarray  # sensitivity
    area: float
    band: Band | None = None


def overlaid_rocs(curves: Sequence[Roc], height: int = 420) -> go.Figure:
    """Draw ROC curves over one another, each with its area and its band; they differ in colour and dash."""
    figure = go.Figure()
    add_diagonal(figure, "chance")
    dashes = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
    for k, one in enumerate(curves):
        add_band(figure, one.band, f"95 % interval, {one.name}", faded(COLOURS[k % len(COLOURS)], 0.25), legend=False)
    for k, one in enumerate(curves):
        figure.add_scatter(
            x=one.x,
            y=one.y,
            mode="lines",
            name=f"{one.name} ({one.area:.3f})",
            line={"color": COLOURS[k % len(COLOURS)], "dash": dashes[k % len(dashes)], "width": 2.2},
            hovertemplate="false positive rate %{x:.1%}<br>sensitivity %{y:.1%}<extra></extra>",
        )
    styled(figure, height, legend=True)
    figure.update_layout(legend={"orientation": "v", "x": 0.99, "xanchor": "right", "y": 0.02, "yanchor": "bottom"})
    return unit_axes(figure, FALSE_POSITIVE_RATE, SENSITIVITY)


def add_band(figure: go.Figure, band: Band | None, name: str, colour: str = "", legend: bool = True) -> None:
    """Shade an interval around a curve; nothing for None. ``legend``: whether the legend names it."""
    if band is None:
        return
    figure.add_scatter(
        x=np.concatenate([band.x, band.x[::-1]]),
        y=np.concatenate([band.high, band.low[::-1]]),
        fill="toself",
        fillcolor=colour or faded(SKY, 0.38),
        line={"width": 0.75, "color": faded(SKY, 0.8)} if not colour else {"width": 0},
        mode="lines",
        name=name,
        showlegend=legend,
        hoverinfo="skip",
    )


def _add_point(figure: go.Figure, point: tuple[float, float] | None, label: str) -> None:
    if point is None:
        return
    figure.add_scatter(
        x=[point[0]],
        y=[point[1]],
        mode="markers",
        name=label or "threshold",
        marker={"color": RED, "size": 13, "line": {"color": "white", "width": 2}},
        hovertemplate=f"{label or 'threshold'}<extra></extra>",
    )
