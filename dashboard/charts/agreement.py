"""Two models' probabilities of the same films."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.style import BLUE, GREY, ORANGE, add_diagonal, styled


def disagreement(
    first: np.ndarray,
    second: np.ndarray,
    targets: np.ndarray,
    images: Sequence[str],
    names: tuple[str, str],
    thresholds: tuple[float | None, float | None] = (None, None),
) -> go.Figure:
    """Draw each film's two probabilities, all (N,); far from the diagonal the models disagree."""
    figure = go.Figure()
    add_diagonal(figure, "agreement")
    film_names = np.asarray(images, dtype=object)
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
                text=film_names[rows],
                hovertemplate="%{text}<br>%{x:.3f} and %{y:.3f}<extra></extra>",
            )
    for threshold, add_line in zip(thresholds, (figure.add_vline, figure.add_hline), strict=True):
        if threshold is not None:
            add_line(threshold, line={"color": GREY, "dash": "dash", "width": 1})
    styled(figure, height=420, legend=True)
    figure.update_xaxes(title=f"Probability by {names[0]}", range=[-0.02, 1.02])
    figure.update_yaxes(title=f"Probability by {names[1]}", range=[-0.02, 1.02])
    return figure
