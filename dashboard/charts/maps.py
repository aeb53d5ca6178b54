"""Mean heatmaps over the outline of a film, and curves of films whose cells are taken out or put in."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from PIL import Image

from cxrcore.explain.overlay import INFERNO
from dashboard.charts.style import BLUE, GREY, styled

_SIDE = 96  # pixels of a mean map as drawn
_COLOURS = [[k / 255, f"rgb({r}, {g}, {b})"] for k, (r, g, b) in enumerate(INFERNO.tolist()) if k % 17 == 0]


def mean_map(values: np.ndarray, border: float) -> go.Figure:
    """Draw a mean map (h, w) and the border, a share of the side, that is watched for shortcuts."""
    fine = np.asarray(Image.fromarray(values.astype(np.float32)).resize((_SIDE, _SIDE), Image.Resampling.BILINEAR))
    centres = (np.arange(_SIDE) + 0.5) / _SIDE
    figure = go.Figure(
        go.Heatmap(
            z=fine,
            x=centres,
            y=centres,
            colorscale=_COLOURS,
            zmin=0,
            zmax=float(fine.max()) or 1.0,
            showscale=False,
            hovertemplate="%{z:.2f}<extra></extra>",
        )
    )
    line = {"color": "rgba(255, 255, 255, 0.8)", "dash": "dot", "width": 1}
    figure.add_shape(type="rect", x0=border, y0=border, x1=1 - border, y1=1 - border, line=line)
    styled(figure, height=230, margin={"l": 0, "r": 0, "t": 4, "b": 4})
    figure.update_xaxes(visible=False, range=[0, 1], constrain="domain")
    figure.update_yaxes(visible=False, range=[1, 0], scaleanchor="x", constrain="domain")
    return figure


def order_curves(numbers: pd.DataFrame) -> go.Figure:
    """Draw ``map`` and ``random``, a target in logits, by ``share_of_cells``."""
    figure = go.Figure()
    for name, colour, dash, title in (("random", GREY, "dot", "random order"), ("map", BLUE, "solid", "map's order")):
        figure.add_scatter(
            x=numbers["share_of_cells"],
            y=numbers[name],
            name=title,
            mode="lines+markers",
            line={"color": colour, "dash": dash, "width": 2.5},
            hovertemplate="%{x:.0%} of the cells: %{y:.2f}<extra>" + title + "</extra>",
        )
    styled(figure, 280, legend=True)
    figure.update_xaxes(title="Share of the cells", tickformat=".0%")
    figure.update_yaxes(title="Target, logits")
    return figure
