"""Colours, margins and axes that all charts share.

Colours are Okabe and Ito's (2008), which colour-blind readers can tell apart, without the yellow and the black that
vanish on white and on dark; lines that matter also differ in dash. Text and background are left to the page's theme.
"""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

BLUE, ORANGE, GREEN, RED, SKY, PINK = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"
COLOURS = (BLUE, RED, GREEN, ORANGE, PINK, SKY)
GREY = "#8a8f98"  # neutral on white and on dark
GRID = "rgba(138, 143, 152, 0.35)"
FAINT = "rgba(138, 143, 152, 0.16)"  # grid under marks
REFERENCE = {"color": GREY, "dash": "dot", "width": 1}  # chance, perfect calibration, no difference
ROW = 30  # pixels of a row in charts with a row a finding


def faded(colour: str, alpha: float = 0.18) -> str:
    """A colour that lets the page through, e.g. ``rgba(0, 114, 178, 0.18)``."""
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {alpha})"


def styled(figure: go.Figure, height: int = 380, legend: bool = False, **layout: Any) -> go.Figure:
    """Set margins, height and legend; zooming is off, since a thumb on a phone would zoom instead of scroll."""
    figure.update_layout(
        height=height,
        margin=layout.pop("margin", {"l": 8, "r": 8, "t": 34, "b": 8}),
        showlegend=legend,
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "xanchor": "left", "x": 0},
        dragmode=False,
        hoverlabel={"namelength": -1},
        **layout,
    )
    figure.update_xaxes(automargin=True, fixedrange=True, zeroline=False)
    figure.update_yaxes(automargin=True, fixedrange=True, zeroline=False)
    return figure


def unit_axes(figure: go.Figure, x: str, y: str) -> go.Figure:
    """Set both axes from 0 to 1, with titles."""
    figure.update_xaxes(title=x, range=[-0.01, 1.01])
    figure.update_yaxes(title=y, range=[-0.01, 1.01])
    return figure


def add_diagonal(figure: go.Figure, name: str) -> None:
    """Draw the line from (0, 0) to (1, 1)."""
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=REFERENCE, name=name, hoverinfo="skip", showlegend=False)
