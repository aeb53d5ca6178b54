"""Numbers in, figures out: the charts of every page. Nothing here knows a screen, a model or a file.

Colours are Okabe and Ito's (2008), told apart by colour-blind readers too, without the yellow and the black that
vanish on white and on dark; lines that matter also differ in dash. Text and background are left to the page's theme.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

BLUE, ORANGE, GREEN, RED, SKY, PINK = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"
COLOURS = (BLUE, RED, GREEN, ORANGE, PINK, SKY)
GREY = "#8a8f98"  # neutral on white and on dark
_ROW = 30  # pixels of a finding's line
LINE = "rgba(138, 143, 152, 0.35)"
LIGHT_BLUES = [[0.0, "#f1f6fa"], [1.0, "#7fbbe3"]]  # opaque, so that text on them is coloured to be read
DARK_BLUES = [[0.0, "#1d2730"], [1.0, "#0072B2"]]


@dataclass(frozen=True)
class Band:
    """An interval around a curve, arrays of K."""

    x: np.ndarray
    low: np.ndarray
    high: np.ndarray


def faded(colour: str, alpha: float = 0.18) -> str:
    """A colour that lets the page through."""
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {alpha})"


def styled(figure: go.Figure, height: int = 380, legend: bool = False, **layout: Any) -> go.Figure:
    """Margins, size and manners that all charts share; nothing zooms by accident on a phone."""
    figure.update_layout(
        height=height,
        margin=layout.pop("margin", {"l": 8, "r": 8, "t": 34, "b": 8}),
        showlegend=legend,
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "xanchor": "left", "x": 0},
        dragmode=False,
        hoverlabel={"namelength": -1},
        **layout,
    )
    figure.update_xaxes(automargin=True, fixedrange=True, zeroline=False)
    figure.update_yaxes(automargin=True, fixedrange=True, zeroline=False)
    return figure


def unit_axes(figure: go.Figure, x: str, y: str, **where: Any) -> go.Figure:
    """Both axes from 0 to 1, with titles."""
    figure.update_xaxes(title=x, range=[-0.01, 1.01], **where)
    figure.update_yaxes(title=y, range=[-0.01, 1.01], **where)
    return figure


def roc_figure(
    curve: Mapping[str, Any],
    name: str,
    band: Band | None = None,
    point: tuple[float, float] | None = None,
    height: int = 400,
    label: str = "",
) -> go.Figure:
    """A ROC curve, its band, and a threshold's place on it; ``point`` is (false positive rate, sensitivity)."""
    figure = go.Figure()
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": GREY, "dash": "dot", "width": 1}, name="chance")
    _add_band(figure, band, BLUE, "95 % interval of sensitivity")
    figure.add_scatter(
        x=curve["false_positive_rate"],
        y=curve["sensitivity"],
        mode="lines",
        line={"color": BLUE, "width": 2.5},
        name=name,
        customdata=curve["thresholds"],
        hovertemplate="false alarms %{x:.1%}<br>found %{y:.1%}<br>threshold %{customdata:.3f}<extra></extra>",
    )
    _add_point(figure, point, label)
    return unit_axes(styled(figure, height), "False alarms (1 − specificity)", "Found (sensitivity)")


def pr_figure(
    curve: Mapping[str, Any],
    name: str,
    prevalence: float | None,
    band: Band | None = None,
    point: tuple[float, float] | None = None,
    height: int = 400,
    label: str = "",
) -> go.Figure:
    """One finding's precision-recall curve in steps; ``point`` is (sensitivity, precision)."""
    figure = go.Figure()
    if prevalence is not None:
        figure.add_hline(
            y=prevalence,
            line={"color": GREY, "dash": "dot", "width": 1},
            annotation={"text": f"chance: {100 * prevalence:.1f} %", "font": {"color": GREY, "size": 11}},
            annotation_position="top left",
        )
    _add_band(figure, band, BLUE, "95 % interval of precision")
    figure.add_scatter(
        x=[0.0, *curve["sensitivity"]],
        y=[curve["precision"][0], *curve["precision"]],
        mode="lines",
        line={"color": BLUE, "width": 2.5, "shape": "vh"},
        name=name,
        customdata=[curve["thresholds"][0], *curve["thresholds"]],
        hovertemplate="found %{x:.1%}<br>right %{y:.1%}<br>threshold %{customdata:.3f}<extra></extra>",
    )
    _add_point(figure, point, label)
    return unit_axes(styled(figure, height), "Found (sensitivity)", "Right when it calls (PPV)")


def small_curve(x: Sequence[float], y: Sequence[float], heading: str, chance: float | None, steps: bool) -> go.Figure:
    """A curve to compare at a glance, without numbers on its axes; ``chance`` is a level, None the diagonal."""
    figure = go.Figure()
    floor = [0, 1] if chance is None else [chance, chance]
    figure.add_scatter(x=[0, 1], y=floor, mode="lines", line={"color": GREY, "dash": "dot", "width": 1})
    shape = "vh" if steps else "linear"
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines",
        line={"color": BLUE, "width": 2, "shape": shape},
        fill="tozeroy",
        fillcolor=faded(BLUE, 0.1),
    )
    figure.update_traces(hoverinfo="skip")
    unit_axes(styled(figure, 168, margin={"l": 2, "r": 2, "t": 2, "b": 2}), "", "")
    corner = {"y": 0.03, "yanchor": "bottom"} if chance is None else {"y": 0.97, "yanchor": "top"}  # where it is empty
    figure.add_annotation(text=heading, x=0.97, xanchor="right", align="right", showarrow=False, font_size=12, **corner)
    for axis in (figure.update_xaxes, figure.update_yaxes):
        axis(showticklabels=False, ticks="", showgrid=False, showline=True, linecolor=LINE, mirror=True)
    return figure


@dataclass(frozen=True)
class Marks:
    """One series of a forest plot: a value a row, intervals where there are some; NaN where there is none."""

    name: str
    values: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    symbol: str = "circle"
    colour: str = BLUE


def forest_figure(
    rows: Sequence[str],
    marks: Sequence[Marks],
    x: str,
    reference: float | None = None,
    reach: Sequence[float] | None = None,
) -> go.Figure:
    """Values with their intervals, a line a row, first row on top; ``reference`` draws a dotted line."""
    figure = go.Figure()
    if reference is not None:
        figure.add_vline(x=reference, line={"color": GREY, "dash": "dot", "width": 1})
    for series in marks:
        values = np.asarray(series.values, dtype=np.float64)
        errors = None
        if series.low is not None and series.high is not None:
            low, high = (np.asarray(part, dtype=np.float64) for part in (series.low, series.high))
            errors = {
                "type": "data",
                "array": high - values,
                "arrayminus": values - low,
                "color": faded(series.colour, 0.7),
                "thickness": 2,
                "width": 4,
            }
        figure.add_scatter(
            x=values,
            y=list(rows),
            mode="markers",
            name=series.name,
            error_x=errors,
            marker={
                "color": series.colour,
                "size": 9,
                "symbol": series.symbol,
                "line": {"width": 2 if series.symbol.endswith("open") else 0},
            },
            hovertemplate="%{y}: %{x:.3f}<extra>" + series.name + "</extra>",
        )
    styled(figure, 80 + _ROW * len(rows), legend=len(marks) > 1)
    figure.update_yaxes(autorange="reversed", showgrid=True, gridcolor=LINE, tickmode="array", tickvals=list(rows))
    figure.update_xaxes(title=x, range=reach)
    return figure


def prevalence_figure(rows: Sequence[str], shares: Mapping[str, Sequence[float]]) -> go.Figure:
    """Share of films with each finding, by split."""
    figure = go.Figure()
    patterns = ("", "/", ".")
    for k, (split, values) in enumerate(shares.items()):
        figure.add_bar(
            x=[100 * value for value in values],
            y=list(rows),
            orientation="h",
            name=split,
            marker={"color": COLOURS[k], "pattern": {"shape": patterns[k % 3]}},
            hovertemplate="%{y}: %{x:.1f} %<extra>" + split + "</extra>",
        )
    styled(figure, 80 + _ROW * len(rows), legend=len(shares) > 1, bargap=0.3)
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(title="Films with the finding, %", rangemode="tozero")
    return figure


def training_figure(history: Sequence[Mapping[str, Any]], series: Mapping[str, str], y: str) -> go.Figure:
    """Numbers an epoch; ``series``: key of the history -> what it is called."""
    figure = go.Figure()
    dashes = ("solid", "dash")
    for k, (key, name) in enumerate(series.items()):
        points = [(row["epoch"], row[key]) for row in history if row.get(key) is not None]
        if points:
            x, values = zip(*points, strict=True)
            line = {"color": COLOURS[k], "dash": dashes[k % 2], "width": 2.5}
            figure.add_scatter(x=x, y=values, mode="lines+markers", name=name, line=line, marker={"size": 5})
    styled(figure, 300, legend=len(series) > 1)
    figure.update_xaxes(title="Epoch")
    figure.update_yaxes(title=y)
    return figure


def confusion_figure(tp: int, fp: int, fn: int, tn: int, dark: bool = False) -> go.Figure:
    """Counts at a threshold, and their share of the films with and without the finding."""
    rows, columns = ["with it", "without it"], ["called", "not called"]
    counts = np.array([[tp, fn], [fp, tn]])
    films = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, films, out=np.zeros((2, 2)), where=films > 0)
    words = [["found", "missed"], ["false alarm", "rightly left"]]
    text = [
        [f"<b>{counts[i, j]:,}</b> {words[i][j]}<br>{100 * shares[i, j]:.1f} % of {films[i, 0]:,}" for j in (0, 1)]
        for i in (0, 1)
    ]
    return _matrix(rows, columns, shares, text, "What the model says", "Films", 300, dark)


def classes_figure(names: Sequence[str], counts: np.ndarray, dark: bool = False) -> go.Figure:
    """True class by decided class, in counts and as shares of the true class; ``counts`` is (C, C)."""
    counts = np.asarray(counts)
    films = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, films, out=np.zeros(counts.shape), where=films > 0)
    text = [
        [f"<b>{counts[i, j]:,}</b><br>{100 * shares[i, j]:.1f} %" for j in range(len(names))] for i in range(len(names))
    ]
    return _matrix(names, names, shares, text, "Decided class", "True class", 110 + 80 * len(names), dark)


def pairs_figure(
    names: Sequence[str], values: np.ndarray, text: Sequence[Sequence[str]], x: str, y: str, dark: bool = False
) -> go.Figure:
    """Two findings against each other, (C, C); NaN is left blank."""
    figure = _matrix(names, names, values, text, x, y, 150 + 30 * len(names), dark)
    figure.update_traces(textfont={"size": 11}, xgap=1, ygap=1)
    figure.update_xaxes(tickangle=-50)
    return figure


def reliability_figure(tables: Mapping[str, Sequence[Mapping[str, Any]]], height: int = 420) -> go.Figure:
    """Said against seen, a series a table of bins; the first is the one that counts."""
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        name="honest",
        line={"color": GREY, "dash": "dot", "width": 1},
        hoverinfo="skip",
    )
    symbols = ("circle", "diamond-open")
    for k, (name, bins) in enumerate(tables.items()):
        seen = np.array([row["frequency"] for row in bins])
        figure.add_scatter(
            x=[row["probability"] for row in bins],
            y=seen,
            mode="lines+markers",
            name=name,
            line={"color": COLOURS[k], "width": 2 if k == 0 else 1.2, "dash": "solid" if k == 0 else "dash"},
            marker={"symbol": symbols[k % 2], "size": 9},
            error_y={
                "type": "data",
                "array": np.array([row["high"] for row in bins]) - seen,
                "arrayminus": seen - np.array([row["low"] for row in bins]),
                "color": faded(COLOURS[k], 0.6 if k == 0 else 0.35),
                "width": 3,
            },
            customdata=[row["n"] for row in bins],
            hovertemplate="said %{x:.1%}<br>seen %{y:.1%}<br>%{customdata:,} films<extra>" + name + "</extra>",
        )
    return unit_axes(styled(figure, height, legend=True), "Probability the model gives", "Share that has the finding")


def histogram_figure(edges: np.ndarray, counts: Mapping[str, np.ndarray], threshold: float | None = None) -> go.Figure:
    """Films by probability, on a log scale so that the rare finding is seen; ``counts``: series -> (B,) films."""
    figure = go.Figure()
    middles, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    for k, (name, films) in enumerate(counts.items()):
        figure.add_bar(
            x=middles,
            y=np.where(films > 0, films, np.nan),
            width=width,
            name=name,
            marker={"color": faded(COLOURS[k], 0.55), "line": {"color": COLOURS[k], "width": 1}},
            hovertemplate="%{y:,} films at %{x:.2f}<extra>" + name + "</extra>",
        )
    if threshold is not None:
        figure.add_vline(x=threshold, line={"color": RED, "width": 2, "dash": "dash"})
    styled(figure, 300, legend=True, barmode="overlay")
    figure.update_xaxes(title="Probability the model gives", range=[-0.01, 1.01])
    figure.update_yaxes(title="Films (log scale)", type="log", dtick=1)
    return figure


def benefit_figure(curve: Mapping[str, Any]) -> go.Figure:
    """Net benefit by threshold: the model and its interval, everybody, nobody."""
    figure = go.Figure()
    x = np.array(curve["thresholds"])
    if "low" in curve:
        _add_band(figure, Band(x, np.array(curve["low"]), np.array(curve["high"])), BLUE, "95 % interval")
    lines = (("model", "the model", BLUE, "solid"), ("everybody", "call everybody", RED, "dash"))
    for key, name, colour, dash in (*lines, ("nobody", "call nobody", GREY, "dot")):
        line = {"color": colour, "dash": dash, "width": 2.5 if key == "model" else 1.5}
        figure.add_scatter(x=x, y=curve[key], mode="lines", name=name, line=line)
    best = max(max(curve.get("high", curve["model"])), curve["prevalence"], 1e-3)
    styled(figure, 320, legend=True)
    figure.update_xaxes(title="Threshold", range=[0, 1])
    figure.update_yaxes(title="Net benefit a film", range=[-0.25 * best, 1.1 * best])
    return figure


def _matrix(
    rows: Sequence[str],
    columns: Sequence[str],
    values: np.ndarray,
    text: Sequence[Sequence[str]],
    x: str,
    y: str,
    height: int,
    dark: bool,
) -> go.Figure:
    figure = go.Figure(
        go.Heatmap(
            x=list(columns),
            y=list(rows),
            z=values,
            text=text,
            texttemplate="%{text}",
            textfont={"size": 13},
            colorscale=DARK_BLUES if dark else LIGHT_BLUES,
            zmin=0,
            showscale=False,
            xgap=2,
            ygap=2,
            hovertemplate="%{y} → %{x}: %{text}<extra></extra>",
        )
    )
    styled(figure, height)
    figure.update_xaxes(title=x, showgrid=False)
    figure.update_yaxes(title=y, autorange="reversed", showgrid=False)
    return figure


def _add_band(figure: go.Figure, band: Band | None, colour: str, name: str) -> None:
    if band is None:
        return
    figure.add_scatter(
        x=np.concatenate([band.x, band.x[::-1]]),
        y=np.concatenate([band.high, band.low[::-1]]),
        fill="toself",
        fillcolor=faded(colour),
        line={"width": 0},
        mode="lines",
        name=name,
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
