"""A matrix of numbers with text in its cells; confusion matrices and subgroup gaps are drawn with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.style import styled

LIGHT_BLUES = [[0.0, "#f1f6fa"], [1.0, "#7fbbe3"]]  # opaque, so that Plotly picks a readable colour for the text
DARK_BLUES = [[0.0, "#1d2730"], [1.0, "#0072B2"]]


def matrix_figure(
    rows: Sequence[str],
    columns: Sequence[str],
    values: np.ndarray,
    text: Sequence[Sequence[str]],
    height: int,
    **heatmap: Any,
) -> go.Figure:
    """Draw values (R, C), first row on top, NaN blank; ``heatmap``: for ``go.Heatmap``."""
    look: dict[str, Any] = {"showscale": False, "xgap": 2, "ygap": 2, "textfont": {"size": 13}}
    look["hovertemplate"] = "%{y} → %{x}: %{text}<extra></extra>"
    figure = go.Figure(
        go.Heatmap(x=list(columns), y=list(rows), z=values, text=text, texttemplate="%{text}", **{**look, **heatmap})
    )
    styled(figure, height)
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def share_matrix(
    rows: Sequence[str],
    columns: Sequence[str],
    shares: np.ndarray,
    text: Sequence[Sequence[str]],
    axes: tuple[str, str],
    height: int,
    dark: bool,
    **heatmap: Any,
) -> go.Figure:
    """Draw shares (R, C) in blues that suit the theme; ``axes``: titles of x and y."""
    blues = DARK_BLUES if dark else LIGHT_BLUES
    figure = matrix_figure(rows, columns, shares, text, height, colorscale=blues, zmin=0, **heatmap)
    figure.update_xaxes(title=axes[0])
    figure.update_yaxes(title=axes[1])
    return figure
