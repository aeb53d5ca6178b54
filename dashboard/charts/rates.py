"""Sensitivity, specificity and PPV by threshold."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.roc_pr import Band, add_band
from dashboard.charts.style import BLUE, GREY, ORANGE, RED, faded, styled

LOOK = {  # name -> legend, colour, dash
    "sensitivity": ("sensitivity", BLUE, "solid"),
    "specificity": ("specificity", RED, "dash"),
    "ppv": ("PPV", ORANGE, "dot"),
}


def rates_figure(
    thresholds: np.ndarray,
    values: Mapping[str, np.ndarray],
    bands: Mapping[str, Band],
    threshold: float | None,
    top: float = 1.0,
    height: int = 380,
) -> go.Figure:
    """Draw rates by threshold with their intervals; ``values``: name in LOOK -> (K,), NaN where undefined.

    ``threshold``: the one in use, a dashed line; ``top``: the end of the axis.
    """
    figure = go.Figure()
    for name, (_, colour, _) in LOOK.items():
        add_band(figure, bands[name], f"95 % interval of {LOOK[name][0]}", faded(colour, 0.28), legend=False)
    for name, (legend, colour, dash) in LOOK.items():
        figure.add_scatter(
            x=thresholds,
            y=values[name],
            mode="lines",
            name=legend,
            line={"color": colour, "dash": dash, "width": 2.5},
            hovertemplate=f"threshold %{{x:.3f}}<br>{legend} %{{y:.1%}}<extra></extra>",
        )
    if threshold is not None:
        figure.add_vline(x=threshold, line={"color": GREY, "width": 1.5, "dash": "dash"})
    styled(figure, height, legend=True)
    figure.update_xaxes(title="Threshold", range=[-0.01 * top, 1.01 * top])
    figure.update_yaxes(range=[-0.01, 1.01], tickformat=".0%")
    return figure
