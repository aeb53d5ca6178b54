"""Gaps between subgroups, of every finding at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.matrix import matrix_figure
from dashboard.charts.style import BLUE, RED

_DIVERGING = [[0.0, RED], [0.5, "#eceff1"], [1.0, BLUE]]


def gap_matrix(
    gaps: np.ndarray, findings: Sequence[str], groups: Sequence[str], significant: np.ndarray, axis: str
) -> go.Figure:
    """Draw gaps (F, G), NaN where not scored; those that are significant after correction carry a star."""
    limit = float(np.nanmax(np.abs(gaps))) if np.isfinite(gaps).any() else 0.1
    text = [
        [_signed(gap, bool(star)) for gap, star in zip(*row, strict=True)]
        for row in zip(gaps, significant, strict=True)
    ]
    figure = matrix_figure(
        findings,
        groups,
        gaps,
        text,
        130 + 26 * len(findings),
        textfont={"size": 11},
        colorscale=_DIVERGING,
        zmin=-limit,
        zmax=limit,
        showscale=True,
        colorbar={"title": axis, "thickness": 10, "orientation": "h", "y": -0.08, "yanchor": "top", "len": 0.6},
        hovertemplate="%{y}, %{x}<br>%{z:+.3f}<extra></extra>",
    )
    figure.update_xaxes(side="top", type="category")
    return figure


def _signed(gap: float, star: bool) -> str:
    """``+0.06*``; empty where there is no gap, and no sign on a zero."""
    if np.isnan(gap):
        return ""
    return ("0.00" if abs(gap) < 0.005 else f"{gap:+.2f}") + ("*" if star else "")
