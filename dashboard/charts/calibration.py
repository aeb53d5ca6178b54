"""Reliability diagram and histogram of probabilities."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.style import COLOURS, RED, REFERENCE, faded, styled, unit_axes

PROBABILITY = "Predicted probability"


FEW = 10  # films of a bin below which its frequency is mostly chance


def reliability_figure(tables: Mapping[str, Sequence[Mapping[str, Any]]], height: int = 500) -> go.Figure:
    """Draw the observed frequency by predicted probability, a series a table of bins, above the films of each bin.

    The first series stands out. Bins of fewer than ``FEW`` films are pale dots that no line joins.
    """
    figure = go.Figure()
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", name="perfect calibration", line=REFERENCE, hoverinfo="skip")
    symbols = ("circle", "diamond-open")
    for k, (name, bins) in enumerate(tables.items()):
        _add_reliability(figure, name, bins, COLOURS[k], symbols[k % 2], stands_out=k == 0)
    for k, (name, bins) in enumerate(tables.items()):
        _add_counts(figure, name, bins, COLOURS[k], written=k == 0)
    unit_axes(styled(figure, height, legend=True, barmode="overlay"), PROBABILITY, "Observed frequency of the finding")
    most = max((row["n"] for bins in tables.values() for row in bins), default=1)
    figure.update_layout(
        xaxis={"anchor": "y2"},
        yaxis={"domain": [0.3, 1.0]},
        yaxis2={
            "domain": [0.0, 0.22],
            "type": "log",
            "range": [-0.3, math.log10(most) + 0.7],
            "title": "Films (log)",
            "tickvals": [10**power for power in range(7)],
            "fixedrange": True,
            "automargin": True,
        },
    )
    return figure


def _add_reliability(
    figure: go.Figure, name: str, bins: Sequence[Mapping[str, Any]], colour: str, symbol: str, stands_out: bool
) -> None:
    joined = [row for row in bins if row["n"] >= FEW]
    sparse = [row for row in bins if row["n"] < FEW]
    for rows, few in ((joined, False), (sparse, True)):
        observed = np.array([row["frequency"] for row in rows])
        strength = (0.6 if stands_out else 0.35) * (0.5 if few else 1)
        figure.add_scatter(
            x=[row["probability"] for row in rows],
            y=observed,
            mode="markers" if few else "lines+markers",
            name=name,
            legendgroup=name,
            showlegend=not few,
            line={"color": colour, "width": 2 if stands_out else 1.2, "dash": "solid" if stands_out else "dash"},
            marker={"symbol": symbol, "size": 7 if few else 9, "opacity": 0.45 if few else 1, "color": colour},
            error_y={
                "type": "data",
                "array": np.array([row["high"] for row in rows]) - observed,
                "arrayminus": observed - np.array([row["low"] for row in rows]),
                "color": faded(colour, strength),
                "width": 3,
            },
            customdata=[row["n"] for row in rows],
            hovertemplate="predicted %{x:.1%}<br>observed %{y:.1%}<br>%{customdata:,} films<extra>" + name + "</extra>",
        )


def _add_counts(figure: go.Figure, name: str, bins: Sequence[Mapping[str, Any]], colour: str, written: bool) -> None:
    """Bars of the films of each bin, on a log scale, ``written`` above them too."""
    figure.add_bar(
        x=[(row["from"] + row["to"]) / 2 for row in bins],
        y=[row["n"] for row in bins],
        width=[0.9 * (row["to"] - row["from"]) for row in bins],
        yaxis="y2",
        name=name,
        legendgroup=name,
        showlegend=False,
        marker={"color": faded(colour, 0.55 if written else 0.0), "line": {"color": colour, "width": 1}},
        text=[short_count(row["n"]) for row in bins] if written else None,
        textposition="outside",
        textangle=0,
        textfont={"size": 10},
        cliponaxis=False,
        customdata=[[row["from"], row["to"]] for row in bins],
        hovertemplate="%{y:,} films from %{customdata[0]:.2f} to %{customdata[1]:.2f}<extra>" + name + "</extra>",
    )


def short_count(films: int) -> str:
    """A number of films that fits above a narrow bar.

    >>> short_count(912), short_count(10_643)
    ('912', '10.6k')
    """
    return str(films) if films < 10_000 else f"{films / 1000:.1f}k"


def histogram_figure(edges: np.ndarray, counts: Mapping[str, np.ndarray], threshold: float | None = None) -> go.Figure:
    """Draw films by probability; the log scale shows the rare finding too. ``counts``: series -> films, (B,)."""
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
    figure.update_xaxes(title=PROBABILITY, range=[-0.01, 1.01])
    figure.update_yaxes(title="Films (log scale)", type="log", dtick=1)
    return figure
