"""Forest plot: estimates with their intervals, a row each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.style import BLUE, FAINT, GREY, RED, ROW, styled


@dataclass(frozen=True)
class Row:
    """One estimate of a series; without a value, the note stands in its place."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    note: str = ""  # more on this estimate, below it under the pointer


@dataclass(frozen=True)
class Series:
    """Estimates of one kind, with their look."""

    rows: Sequence[Row]
    name: str = ""
    colour: str = BLUE
    symbol: str = "circle"


def significant_apart(rows: Sequence[Row], significant: Sequence[bool]) -> list[Series]:
    """Rows as two series: red diamonds for the significant ones, blue dots for the others."""
    picked = [row for row, mark in zip(rows, significant, strict=True) if mark]
    others = [row for row, mark in zip(rows, significant, strict=True) if not mark]
    return [Series(others), Series(picked, colour=RED, symbol="diamond")]


def forest(
    names: Sequence[str],
    series: Sequence[Series],
    axis: str,
    *,
    reference: float | None = None,
    reference_name: str = "",
    reach: Sequence[float] | None = None,
    percent: bool = False,
    beside: bool = False,
) -> go.Figure:
    """Draw series of estimates, first name on top; ``reference`` is a dashed line to compare with.

    ``reach``: ends of the axis; ``percent``: numbers as percentages; ``beside``: series side by side within a row,
    not over one another.
    """
    figure = go.Figure()
    for one in series:
        _add_series(figure, one, percent)
    if beside:
        figure.update_traces(orientation="h")
        figure.for_each_trace(lambda trace: trace.update(offsetgroup=trace.name))
        figure.update_layout(scattermode="group", scattergap=0.4)
    if reference is not None:
        figure.add_vline(x=reference, line={"color": GREY, "dash": "dash", "width": 1})
        figure.add_annotation(
            x=reference,
            y=1,
            yref="paper",
            yanchor="bottom",
            text=reference_name,
            showarrow=False,
            font={"color": GREY, "size": 11},
        )
    legend = sum(bool(one.name) for one in series) > 1
    styled(figure, 80 + (44 if beside else ROW) * max(len(names), 2), legend=legend)
    figure.update_yaxes(
        type="category",
        categoryorder="array",
        categoryarray=list(names)[::-1],
        range=[-0.6, len(names) - 0.4],
        gridcolor=FAINT,
        tickfont_size=12,
    )
    figure.update_xaxes(title=axis, range=reach, tickformat=".0%" if percent else None)
    return figure


def _add_series(figure: go.Figure, series: Series, percent: bool) -> None:
    rows = [row for row in series.rows if row.value is not None]
    values = np.array([row.value for row in rows], dtype=float)
    low = np.array([row.value if row.low is None else row.low for row in rows], dtype=float)
    high = np.array([row.value if row.high is None else row.high for row in rows], dtype=float)
    figure.add_scatter(
        x=values,
        y=[row.name for row in rows],
        mode="markers",
        name=series.name,
        marker={
            "color": series.colour,
            "size": 9,
            "symbol": series.symbol,
            "line": {"width": 2 if series.symbol.endswith("open") else 0},
        },
        error_x={
            "type": "data",
            "symmetric": False,
            "array": high - values,
            "arrayminus": values - low,
            "color": series.colour,
            "thickness": 2.2,
            "width": 0,
        },
        text=[_hover(row, percent) for row in rows],
        hovertemplate="%{y}<br>%{text}<extra>" + series.name + "</extra>",
    )
    for row in series.rows:
        if row.value is None and row.note:
            figure.add_annotation(
                x=0.01,
                xref="paper",
                xanchor="left",
                y=row.name,
                text=row.note,
                showarrow=False,
                font={"color": GREY, "size": 11},
            )


def _hover(row: Row, percent: bool) -> str:
    """The estimate in numbers, and its note."""
    digits = ".1%" if percent else ".3f"
    interval = "" if row.low is None or row.high is None else f" ({row.low:{digits}} to {row.high:{digits}})"
    return f"{row.value:{digits}}{interval}" + (f"<br>{row.note}" if row.note else "")
