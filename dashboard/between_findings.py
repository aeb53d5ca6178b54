"""Findings mistaken for one another, or found together: the last part of the page of decisions."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import computed, parts, state
from dashboard.charts.confusion import classes_figure, pairs_figure
from dashboard.sources.source import Source

TOGETHER, BEHIND = "Findings together", "Behind false positives"


def between_findings(source: Source) -> None:
    """The confusion matrix of exclusive classes; else findings that occur together or behind false positives."""
    if source.multiclass:
        _classes(source)
        return
    st.subheader("Findings together, and findings mistaken for one another", anchor=False)
    if source.predictions is None:
        parts.needs_table("Which findings occur together", source)
    elif len(source.labels.names) < 2:
        st.caption("There is one finding only.")
    else:
        kind = st.segmented_control(
            "Shown",
            [TOGETHER, BEHIND],
            required=True,
            label_visibility="collapsed",
            **state.kept("pairs", TOGETHER, state.one_of([TOGETHER, BEHIND]), widget="pairs-kind"),
        )
        (_together if kind == TOGETHER else _behind_false_positives)(source)


def _classes(source: Source) -> None:
    if source.metrics.confusion is None:
        return
    names = list(source.labels.names)
    counts = np.array(source.metrics.confusion)
    rule = "at the reported threshold" if source.labels.binary else "the most probable class decides"
    st.subheader("Confusion matrix of the classes", anchor=False)
    parts.chart(
        classes_figure([parts.title(name) for name in names], counts, parts.dark()),
        "classes",
        pd.DataFrame(counts, columns=names).assign(true=names),
        "True class by predicted class",
        f"A row is a true class, its shares sum to 100 % ({rule}). The diagonal is correct.",
    )


def _together(source: Source) -> None:
    names, matrix = source.labels.names, computed.together(source)
    values = matrix.shares.copy()
    np.fill_diagonal(values, np.nan)
    text = [["" if math.isnan(v) else f"{100 * v:.0f}" for v in row] for row in values]
    shown = [parts.title(name) for name in names]
    parts.chart(
        pairs_figure(shown, values, text, "also have", "Films with", parts.dark()),
        "together",
        lambda: _pairs(names, {"both": matrix.counts, "finding_known": matrix.films, "share": matrix.shares}),
        "Of the films with the row's finding, the share that has the column's",
        "Of 100 films with the row's finding, how many have the column's too.",
    )


def _behind_false_positives(source: Source) -> None:
    names, mistakes = source.labels.names, computed.mistakes(source)
    if mistakes is None:
        st.info("No thresholds are known for these findings, so there are no false positives to look behind.")
        return
    lift = np.where(mistakes.alarms >= 20, mistakes.lift, np.nan)
    text = [["" if math.isnan(v) else f"{v:.1f}" for v in row] for row in lift]
    shown = [parts.title(name) for name in names]
    columns = {
        "false_alarms": mistakes.alarms,
        "with_other": mistakes.present,
        "share": mistakes.share,
        "base": mistakes.base,
    }
    parts.chart(
        pairs_figure(shown, np.minimum(lift, 5), text, "have in truth", "False positives for", parts.dark()),
        "mistaken",
        lambda: _pairs(names, columns),
        "Among false positives for the row's finding, how much more common the column's is than elsewhere",
        "3.0: false positives for the row's finding have the column's three times as often as other films without the "
        "row's. Blank under 20 false positives.",
    )


def _pairs(names: tuple[str, ...], columns: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Matrices (C, C) as a row per pair."""
    first, second = np.repeat(names, len(names)), np.tile(names, len(names))
    flat = {key: value.reshape(-1) for key, value in columns.items()}
    return pd.DataFrame({"finding": first, "other": second} | flat)
