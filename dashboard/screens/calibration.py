"""Calibration: whether about 20 of 100 films have the finding where the model gives 20 %."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import computed, parts, thresholds
from dashboard.charts.calibration import FEW, histogram_figure, reliability_figure
from dashboard.parts import NUMBER, TWO_DIGITS
from dashboard.sources.source import Source

BINS = 50
CARD = 142  # pixels: five stand side by side beside the sidebar
LINE = {  # parts of the recalibration line: label, and help
    "slope": ("Slope", "1 is ideal; below 1 predictions are too extreme, above 1 too cautious."),
    "intercept": ("Intercept", "0 is ideal, with a slope of 1 (log odds)."),
    "in_the_large": (
        "Calibration-in-the-large",
        "Intercept with the slope held at 1. 0 is ideal; above 0 the finding is more common than predicted (log odds).",
    ),
}


def scores_table(source: Source) -> pd.DataFrame:
    """A row per finding; empty where undefined or not recorded."""
    rows = []
    for name, scores in source.scores.items():
        line = computed.calibration_line(source, name)
        row = {
            "finding": name,
            "prevalence": scores.prevalence,
            "ece": scores.ece,
            "ece_by_chance": scores.ece_expected,
            "brier": scores.brier,
        }
        for key in LINE:
            estimate = getattr(line, key, None)
            for suffix, end in (("", "value"), ("_low", "low"), ("_high", "high")):
                row[key + suffix] = getattr(estimate, end, None)
        rows.append(row)
    return parts.scores_frame(rows)


def headlines(source: Source, finding: str) -> None:
    """ECE beside chance, slope and intercepts with intervals, Brier score."""
    scores = source.scores[finding]
    line = computed.calibration_line(source, finding)
    with st.container(horizontal=True, gap="small"):
        parts.card(
            "ECE",
            NUMBER.number(scores.ece),
            "" if scores.ece_expected is None else f"{NUMBER.number(scores.ece_expected)} by chance",
            "Expected calibration error: mean gap between predicted probability and observed frequency, over 15 bins. "
            "A perfectly calibrated model shows the second number on so many films.",
            CARD,
        )
        if line is not None:
            for key, (label, words) in LINE.items():
                estimate = getattr(line, key)
                why = "" if estimate.value is not None else f" Undefined: {estimate.why}."
                parts.estimate_card(label, estimate, words + why, TWO_DIGITS, CARD)
        parts.card("Brier score", NUMBER.number(scores.brier), "", _brier_words(source, finding), CARD)
    if line is None:
        st.caption("Slope and intercept were not recorded with these results, and need a table of films to compute.")


def _brier_words(source: Source, finding: str) -> str:
    words = "Mean squared difference between probability and label; lower is better."
    apart = source.scores[finding].brier_parts
    if apart is not None:
        words += (
            f" Its parts (Murphy 1973): miscalibration {apart.reliability:.4f} − resolution {apart.resolution:.4f} + "
            f"uncertainty of the films {apart.uncertainty:.4f} + within bins {apart.within_bins:.4f}."
        )
    return words


def reliability_chart(source: Source, finding: str) -> None:
    """Predicted against observed, before and after calibration where logits are known."""
    name = parts.title(finding)
    tables = {"calibrated" if source.config else "as given": source.curves["findings"][finding]["reliability"]["bins"]}
    before = computed.before_calibration(source, finding)
    if before is not None:
        tables["before calibration"] = before
    rows = [{"series": series, **row} for series, bins in tables.items() for row in bins]
    st.subheader("Predicted against observed", anchor=False)
    parts.chart(
        reliability_figure(tables),
        f"reliability-{finding}",
        pd.DataFrame(rows),
        f"Reliability of {name}: mean predicted probability against observed frequency, by bin",
        "On the dotted line, 20 of 100 films that are given 20 % have the finding. Below it the model predicts too "
        "much, above it too little. Bars are 95 % intervals; below are the films of each bin. Pale dots, which no line "
        f"joins, are bins of fewer than {FEW} films.",
    )
    if before is None:
        why = "carry no logits" if source.predictions is not None else "come without a table of films"
        st.caption(f"Before against after calibration cannot be shown: these results {why}.")
        return
    ece_before, ece_after = computed.ece_before(source, finding), source.scores[finding].ece
    if ece_before is not None and ece_after is not None:
        st.caption(f"ECE before calibration {NUMBER.number(ece_before)}, after it {NUMBER.number(ece_after)}.")


def histogram(source: Source, finding: str) -> None:
    """How many films get which probability, with and without the finding where a table tells."""
    st.subheader("Distribution of probabilities", anchor=False)
    if source.predictions is not None:
        y, p = source.arrays(finding)
        edges = np.linspace(0, 1, BINS + 1)
        counts = {
            "without finding": np.histogram(p[y == 0], edges)[0],
            "with finding": np.histogram(p[y == 1], edges)[0],
        }
        how = "With good ranking the two groups lie apart."
    else:
        edges = np.linspace(0, 1, 16)
        films = np.zeros(15)
        for row in source.curves["findings"][finding]["reliability"]["bins"]:
            films[round(row["from"] * 15)] = row["n"]
        counts = {"all films": films}
        how = "Films with and without the finding are counted together, as these results come without a table of films."
    threshold = thresholds.decision(source, finding).threshold
    parts.chart(
        histogram_figure(edges, counts, threshold),
        f"histogram-{finding}",
        pd.DataFrame({"from": edges[:-1], "to": edges[1:], **counts}),
        f"Films by probability of {parts.title(finding)}",
        how + " The red line is the threshold in use." * (threshold is not None),
    )


def all_findings(source: Source) -> None:
    """Every finding's calibration as a table."""
    st.subheader("All findings", anchor=False)
    st.caption(
        "Press a column's head to sort by it. A slope whose interval leaves out 1 differs from 1 by more than chance."
    )
    table = scores_table(source)
    labels = {
        "prevalence": "Prevalence",
        "ece": "ECE",
        "ece_by_chance": "ECE by chance",
        "brier": "Brier score",
        "slope": "Slope",
        "slope_low": "from",
        "slope_high": "to",
        "intercept": "Intercept",
        "in_the_large": "Calibration-in-the-large",
        "in_the_large_low": "from ",
        "in_the_large_high": "to ",
    }
    st.dataframe(
        table.assign(finding=[parts.title(name) for name in table["finding"]])[["finding", *labels]],
        hide_index=True,
        height="content",
        column_config={
            "finding": st.column_config.TextColumn("Finding", pinned=True),
            **{key: st.column_config.NumberColumn(label, format="%.3f") for key, label in labels.items()},
        },
    )
    parts.numbers_as_csv(table, "calibration")


def show() -> None:
    """Draw the page."""
    source = parts.current_source()
    parts.page_head(
        "Are the probabilities calibrated?",
        "Of 100 films that are given 20 %, about 20 should have the finding. A model may rank well and still give 90 % "
        "where 60 % would be right, above all where the finding is rarer or more common than in its training films.",
        source,
    )
    finding = parts.finding_picker(source)
    scores = source.scores[finding]
    if scores.ece is None:
        parts.missing(scores.why or "no film has a known label")
        return
    headlines(source, finding)
    reliability_chart(source, finding)
    histogram(source, finding)
    all_findings(source)


show()
