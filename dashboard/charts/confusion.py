"""Confusion matrices: at a threshold, of exclusive classes, and of pairs of findings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.matrix import share_matrix


def confusion_figure(tp: int, fp: int, fn: int, tn: int, dark: bool = False) -> go.Figure:
    """Draw counts at a threshold, and their share of the films with and without the finding."""
    counts = np.array([[tp, fn], [fp, tn]])
    shares = _of_row(counts)
    names = (("true positives", "false negatives"), ("false positives", "true negatives"))
    plain = (("<br>(found)", "<br>(missed)"), ("<br>(false alarms)", ""))
    text = [
        [
            f"<b>{counts[i, j]:,}</b> {names[i][j]}{plain[i][j]}<br>{100 * shares[i, j]:.1f} % of {counts[i].sum():,}"
            for j in (0, 1)
        ]
        for i in (0, 1)
    ]
    rows, columns = ["with finding", "without"], ["called positive", "called negative"]
    return share_matrix(rows, columns, shares, text, ("Model", "Label"), 300, dark)


def classes_figure(names: Sequence[str], counts: np.ndarray, dark: bool = False) -> go.Figure:
    """Draw true class by predicted class, in counts and as shares of the true class; ``counts`` is (C, C)."""
    counts = np.asarray(counts)
    shares = _of_row(counts)
    text = [
        [f"<b>{n:,}</b><br>{100 * share:.1f} %" for n, share in zip(*row, strict=True)]
        for row in zip(counts, shares, strict=True)
    ]
    return share_matrix(names, names, shares, text, ("Predicted class", "True class"), 110 + 80 * len(names), dark)


def pairs_figure(
    names: Sequence[str], values: np.ndarray, text: Sequence[Sequence[str]], x: str, y: str, dark: bool = False
) -> go.Figure:
    """Draw two findings against each other, (C, C); NaN is left blank."""
    height = 150 + 30 * len(names)
    figure = share_matrix(names, names, values, text, (x, y), height, dark, textfont={"size": 11}, xgap=1, ygap=1)
    figure.update_xaxes(tickangle=-50)
    return figure


def _of_row(counts: np.ndarray) -> np.ndarray:
    """Counts (R, C) as shares of their row; 0 in an empty row."""
    totals = counts.sum(axis=1, keepdims=True)
    shares: np.ndarray = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    return shares
