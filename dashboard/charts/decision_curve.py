"""Decision curve: net benefit by threshold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.roc_pr import Band, add_band
from dashboard.charts.style import BLUE, GREY, RED, styled


def benefit_figure(curve: Mapping[str, Any]) -> go.Figure:
    """Draw the net benefit of the model with its interval, of treating everybody and of treating nobody."""
    figure = go.Figure()
    x = np.array(curve["thresholds"])
    if "low" in curve:
        add_band(figure, Band(x, np.array(curve["low"]), np.array(curve["high"])), "95 % interval")
    for key, name, colour, dash in (
        ("model", "model", BLUE, "solid"),
        ("everybody", "all films positive", RED, "dash"),
        ("nobody", "no film positive", GREY, "dot"),
    ):
        line = {"color": colour, "dash": dash, "width": 2.5 if key == "model" else 1.5}
        figure.add_scatter(x=x, y=curve[key], mode="lines", name=name, line=line)
    best = max(max(curve.get("high", curve["model"])), curve["prevalence"], 1e-3)
    styled(figure, 320, legend=True)
    figure.update_xaxes(title="Threshold", range=[0, 1])
    figure.update_yaxes(title="Net benefit per film", range=[-0.25 * best, 1.1 * best])
    return figure
