"""Charts of groups, places and pairs: forests of intervals, a matrix of gaps, two models' curves, mean maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from cxrcore.explain.overlay import colours
from dashboard.charts.curves import BLUE, GREY, ORANGE, RED, styled

_ROW = 27  # pixels
_FINE = 96  # pixels of a mean map as drawn
_INFERNO = [
    [k / 10, f"rgb({red:.0f}, {green:.0f}, {blue:.0f})"]
    for k, (red, green, blue) in enumerate(colours(np.linspace(0, 1, 11)).tolist())
]
_DIVERGING = [[0.0, RED], [0.5, "#eceff1"], [1.0, BLUE]]


@dataclass(frozen=True)
class Row:
    """A line of a forest plot; a value of None is a line that says why."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    note: str = ""  # under the pointer; instead of a point where there is none
    marked: bool = False  # drawn to be seen


def forest(
    rows: Sequence[Row],
    axis: str,
    reference: float | None = None,
    reference_name: str = "",
    percent: bool = False,
) -> go.Figure:
    """Estimates with their intervals, one a line, the first on top, and a dashed line to hold them against."""
    figure = go.Figure()
    show = ".1%" if percent else ".3f"
    for marked, colour, symbol in ((False, BLUE, "circle"), (True, RED, "diamond")):
        some = [row for row in rows if row.value is not None and row.marked == marked]
        if not some:
            continue
        _add_intervals(
            figure,
            [(row.value, row.low, row.high) for row in some],
            [row.name for row in some],
            {"color": colour, "size": 9, "symbol": symbol},
            text=[row.note for row in some],
            hovertemplate=f"%{{y}}<br>%{{x:{show}}} (%{{customdata[0]:{show}}} to %{{customdata[1]:{show}}})"
            "<br>%{text}<extra></extra>",
        )
    for row in rows:
        if row.value is None:
            figure.add_annotation(
                x=0.01,
                xref="paper",
                xanchor="left",
                y=row.name,
                text=row.note,
                showarrow=False,
                font={"color": GREY, "size": 11},
            )
    if reference is not None:
        figure.add_vline(x=reference, line={"color": GREY, "dash": "dash", "width": 1})
        if reference_name:
            figure.add_annotation(
                x=reference, y=1, yref="paper", yanchor="bottom", text=reference_name, showarrow=False,
                font={"color": GREY, "size": 11},
            )  # fmt: skip
    styled(figure, height=70 + _ROW * max(len(rows), 2))
    names = [row.name for row in rows]
    figure.update_yaxes(
        categoryorder="array",
        categoryarray=names[::-1],
        range=[-0.6, len(rows) - 0.4],
        showgrid=False,
        tickfont_size=12,
    )
    figure.update_xaxes(title=axis, tickformat=".0%" if percent else None)
    return figure


def gap_matrix(
    values: np.ndarray, findings: Sequence[str], groups: Sequence[str], holds: np.ndarray, axis: str
) -> go.Figure:
    """Gaps of every finding (F, G), NaN where not scored; those that hold after correction carry a star."""
    reach = float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else 0.1
    words = [
        [_signed(gap, bool(star)) for gap, star in zip(*pair, strict=True)] for pair in zip(values, holds, strict=True)
    ]
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=list(groups),
            y=list(findings),
            text=words,
            texttemplate="%{text}",
            textfont={"size": 11},
            colorscale=_DIVERGING,
            zmin=-reach,
            zmax=reach,
            xgap=2,
            ygap=2,
            colorbar={"title": axis, "thickness": 10, "orientation": "h", "y": -0.08, "yanchor": "top", "len": 0.6},
            hovertemplate="%{y}, %{x}<br>%{z:+.3f}<extra></extra>",
        )
    )
    styled(figure, height=130 + 26 * len(findings))
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(side="top", showgrid=False, type="category")
    return figure


def dumbbells(
    names: Sequence[str],
    own: Sequence[tuple[float | None, float | None, float | None]],
    control: Sequence[tuple[float | None, float | None, float | None]],
    notes: Sequence[str],
    axis: str,
) -> go.Figure:
    """The model's maps beside a control that knows nothing, one finding a line, each with its interval."""
    figure = go.Figure()
    for label, series, colour, symbol, shift in (
        ("noise", control, GREY, "x", -0.14),
        ("model", own, BLUE, "circle", 0.14),
    ):
        rows = [(k, ends) for k, ends in enumerate(series) if ends[0] is not None]
        _add_intervals(
            figure,
            [ends for _, ends in rows],
            [len(names) - 1 - k + shift for k, _ in rows],
            {"color": colour, "size": 10, "symbol": symbol},
            name=label,
            text=[f"{names[k]}, {label}, {notes[k]}" for k, _ in rows],
            hovertemplate="%{text}: %{x:.2f} (%{customdata[0]:.2f} to %{customdata[1]:.2f})<extra></extra>",
        )
    styled(figure, height=100 + 44 * len(names), legend=True)
    figure.update_yaxes(
        tickvals=[len(names) - 1 - k for k in range(len(names))], ticktext=list(names), range=[-0.6, len(names) - 0.4],
        showgrid=False,
    )  # fmt: skip
    figure.update_xaxes(title=axis, range=[-0.02, 1.02])
    return figure


def two_rocs(curves: Sequence[tuple[str, np.ndarray, np.ndarray, float]]) -> go.Figure:
    """ROC curves of two models on the same films: (name, false positive rate, sensitivity, area)."""
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": GREY, "dash": "dot", "width": 1}, hoverinfo="skip",
        showlegend=False,
    )  # fmt: skip
    for (name, x, y, area), colour, dash in zip(curves, (BLUE, RED), ("solid", "dash"), strict=False):
        figure.add_scatter(
            x=x, y=y, mode="lines", name=f"{name} ({area:.3f})", line={"color": colour, "dash": dash, "width": 2},
            hovertemplate="false positives %{x:.1%}<br>found %{y:.1%}<extra></extra>",
        )  # fmt: skip
    styled(figure, height=420, legend=True)
    figure.update_layout(legend={"orientation": "v", "x": 0.99, "xanchor": "right", "y": 0.02, "yanchor": "bottom"})
    figure.update_xaxes(title="False positive rate", range=[-0.01, 1.01])
    figure.update_yaxes(title="Sensitivity", range=[-0.01, 1.01])
    return figure


def disagreement(
    first: np.ndarray,
    second: np.ndarray,
    targets: np.ndarray,
    images: Sequence[str],
    names: tuple[str, str],
    thresholds: tuple[float | None, float | None] = (None, None),
) -> go.Figure:
    """Each film's two probabilities, all (N,): off the diagonal the models disagree."""
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": GREY, "dash": "dot", "width": 1}, hoverinfo="skip",
        showlegend=False,
    )  # fmt: skip
    pictured = np.asarray(images, dtype=object)
    for value, label, colour, symbol in (
        (0.0, "without the finding", BLUE, "circle"),
        (1.0, "with the finding", ORANGE, "diamond"),
        (np.nan, "unknown", GREY, "x"),
    ):
        rows = np.isnan(targets) if np.isnan(value) else targets == value
        if rows.any():
            figure.add_scatter(
                x=np.round(first[rows].astype(float), 4),
                y=np.round(second[rows].astype(float), 4),
                mode="markers",
                name=label,
                marker={"color": colour, "symbol": symbol, "size": 6, "opacity": 0.55},
                text=pictured[rows],
                hovertemplate="%{text}<br>%{x:.3f} and %{y:.3f}<extra></extra>",
            )
    for threshold, add in zip(thresholds, (figure.add_vline, figure.add_hline), strict=True):
        if threshold is not None:
            add(threshold, line={"color": GREY, "dash": "dash", "width": 1})
    styled(figure, height=420, legend=True)
    figure.update_xaxes(title=f"Probability by {names[0]}", range=[-0.02, 1.02])
    figure.update_yaxes(title=f"Probability by {names[1]}", range=[-0.02, 1.02])
    return figure


def mean_map(values: np.ndarray, border: float) -> go.Figure:
    """A mean map (h, w) over the outline of a film, with the border that is watched for shortcuts."""
    fine = Image.fromarray(values.astype(np.float32)).resize((_FINE, _FINE), Image.Resampling.BILINEAR)
    values, rows, columns = np.asarray(fine), _FINE, _FINE
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=(np.arange(columns) + 0.5) / columns,
            y=(np.arange(rows) + 0.5) / rows,
            colorscale=_INFERNO,
            zmin=0,
            zmax=float(values.max()) or 1.0,
            showscale=False,
            hovertemplate="%{z:.2f}<extra></extra>",
        )
    )
    figure.add_shape(
        type="rect", x0=border, y0=border, x1=1 - border, y1=1 - border,
        line={"color": "rgba(255, 255, 255, 0.8)", "dash": "dot", "width": 1},
    )  # fmt: skip
    styled(figure, height=230)
    figure.update_layout(margin={"l": 0, "r": 0, "t": 4, "b": 4})
    figure.update_xaxes(visible=False, range=[0, 1], constrain="domain")
    figure.update_yaxes(visible=False, range=[1, 0], scaleanchor="x", constrain="domain")
    return figure


def _add_intervals(
    figure: go.Figure,
    ends: Sequence[tuple[float | None, float | None, float | None]],
    y: Sequence[str] | Sequence[float],
    marker: dict,
    **more: Any,
) -> None:
    """Markers at values with a bar from low to high, which hover templates know as ``customdata``; none without."""
    values = np.array([value for value, _, _ in ends], dtype=float)
    lows = np.array([value if low is None else low for value, low, _ in ends], dtype=float)
    highs = np.array([value if high is None else high for value, _, high in ends], dtype=float)
    figure.add_scatter(
        x=values,
        y=list(y),
        mode="markers",
        marker=marker,
        error_x={
            "type": "data",
            "symmetric": False,
            "array": highs - values,
            "arrayminus": values - lows,
            "color": marker["color"],
            "thickness": 1.6,
            "width": 0,
        },
        customdata=np.stack([lows, highs], axis=1),
        **more,
    )


def _signed(gap: float, star: bool) -> str:
    """``+0.06*``; nothing where there is no gap, and no sign on a zero."""
    if np.isnan(gap):
        return ""
    return ("0.00" if abs(gap) < 0.005 else f"{gap:+.2f}") + ("*" if star else "")
