"""Reliability diagram and histogram of probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.style import COLOURS, RED, REFERENCE, faded, styled, unit_axes

PROBABILITY = "Predicted probability"


def reliability_figure(tables: Mapping[str, Sequence[Mapping[str, Any]]], height: int = 420) -> go.Figure:
    """Draw the observed frequency by predicted probability, a series a table of bins; the first series stands out."""
    figure = go.Figure()
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", name="perfect calibration", line=REFERENCE, hoverinfo="skip")
    symbols = ("circle", "diamond-open")
    for k, (name, bins) in enumerate(tables.items()):
        observed = np.array([row["frequency"] for row in bins])
        figure.add_scatter(
            x=[row["probability"] for row in bins],
            y=observed,
            mode="lines+markers",
            name=name,
            line={"color": COLOURS[k], "width": 2 if k == 0 else 1.2, "dash": "solid" if k == 0 else "dash"},
            marker={"symbol": symbols[k % 2], "size": 9},
            error_y={
                "type": "data",
                "array": np.array([row["high"] for row in bins]) - observed,
                "arrayminus": observed - np.array([row["low"] for row in bins]),
                "color": faded(COLOURS[k], 0.6 if k == 0 else 0.35),
                "width": 3,
            },
            customdata=[row["n"] for row in bins],
            hovertemplate="predicted %{x:.1%}<br>observed %{y:.1%}<br>%{customdata:,} films<extra>" + name + "</extra>",
        )
    return unit_axes(styled(figure, height, legend=True), PROBABILITY, "Observed frequency of the finding")


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
