"""Training curves, and how common findings are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from dashboard.charts.style import COLOURS, ROW, styled


def prevalence_figure(rows: Sequence[str], shares: Mapping[str, Sequence[float]]) -> go.Figure:
    """Draw the share of films with each finding, a series a split; shares in [0, 1]."""
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
    styled(figure, 80 + ROW * len(rows), legend=len(shares) > 1, bargap=0.3)
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(title="Films with the finding, %", rangemode="tozero")
    return figure


def training_figure(history: Sequence[Mapping[str, Any]], series: Mapping[str, str], y: str) -> go.Figure:
    """Draw values by epoch; ``series``: key of the history -> name in the legend."""
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
