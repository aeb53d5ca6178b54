"""Distributions of one finding's probability in two sets of films."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.calibration import PROBABILITY
from dashboard.charts.style import COLOURS, GREY, faded, styled


def distributions_figure(edges: np.ndarray, shares: Mapping[str, np.ndarray], threshold: float | None) -> go.Figure:
    """Draw the share of films by probability as steps; ``shares``: set -> (B,), ``edges``: (B + 1,)."""
    figure = go.Figure()
    dashes = ("solid", "dash")
    for k, (name, values) in enumerate(shares.items()):
        figure.add_scatter(
            x=edges,
            y=[*values, values[-1]],
            mode="lines",
            name=name,
            line={"color": COLOURS[k], "width": 2.2, "shape": "hv", "dash": dashes[k % 2]},
            fill="tozeroy",
            fillcolor=faded(COLOURS[k], 0.16),
            hovertemplate="%{y:.1%} of films from %{x:.2f}<extra>" + name + "</extra>",
        )
    if threshold is not None:
        figure.add_vline(x=threshold, line={"color": GREY, "width": 1.5, "dash": "dash"})
    styled(figure, 340, legend=True)
    figure.update_xaxes(title=PROBABILITY, range=[-0.01, float(edges[-1]) * 1.01])
    figure.update_yaxes(title="Share of films", tickformat=".0%", rangemode="tozero")
    return figure
