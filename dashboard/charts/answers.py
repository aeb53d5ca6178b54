"""Shares of films with each of three answers."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from cxrcore.metrics.triage import Measured
from dashboard.charts.style import BLUE, GREY, RED, ROW, styled


def answers_figure(names: Sequence[str], measured: Sequence[Measured]) -> go.Figure:
    """Draw a bar a row: ruled out, unsure and ruled in add up to all films."""
    figure = go.Figure()
    parts = (("ruled out", BLUE, "ruled_out"), ("unsure", GREY, "unsure"), ("ruled in", RED, "ruled_in"))
    for title, colour, key in parts:
        shares = [getattr(one, key) or 0.0 for one in measured]
        figure.add_bar(
            y=list(names),
            x=shares,
            name=title,
            orientation="h",
            marker={"color": colour},
            text=[f"{100 * share:.0f} %" if share >= 0.08 else "" for share in shares],
            textangle=0,
            textposition="inside",
            hovertemplate=f"%{{y}}: %{{x:.1%}} {title}<extra></extra>",
        )
    styled(figure, height=90 + ROW * len(names), legend=True, barmode="stack")
    figure.update_xaxes(range=[0, 1.02], tickformat=".0%", tickvals=[0, 0.25, 0.5, 0.75, 1])
    figure.update_yaxes(autorange="reversed")
    return figure
