"""Are the probabilities honest? Whether of the films given 20 %, about 20 in a hundred have the finding."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import computed, parts
from dashboard.charts.curves import histogram_figure, reliability_figure
from dashboard.parts import ends, number
from dashboard.sources.source import Source

BINS = 50


def scores_table(source: Source) -> pd.DataFrame:
    """A row a finding; empty where undefined or not recorded."""
    rows = []
    for name, scores in source.metrics["findings"].items():
        line = computed.calibration_line(source, name) or {}
        row = {
            "finding": name,
            "prevalence": scores.get("prevalence"),
            "ece": scores["ece"],
            "ece_by_chance": scores.get("ece_expected"),
            "brier": scores["brier"],
        }
        for key in ("slope", "intercept", "in_the_large"):
            row[key], row[f"{key}_low"], row[f"{key}_high"] = ends(line.get(key))
        rows.append(row)
    frame = pd.DataFrame(rows)
    return frame.astype({name: float for name in frame.columns if name != "finding"})


def headlines(source: Source, finding: str) -> None:
    """ECE beside chance, slope and intercept with intervals, Brier."""
    scores = source.metrics["findings"][finding]
    line = computed.calibration_line(source, finding)
    chance = scores.get("ece_expected")
    cards: list[tuple[str, str, str | None, str]] = [
        (
            "ECE",
            number(scores["ece"]),
            None if chance is None else f"{number(chance)} by chance",
            "Mean gap between probability and frequency, over 15 bins. Even perfectly honest probabilities show the "
            "second number on so many films.",
        )
    ]
    words = {
        "slope": ("Slope", "1 is ideal; below 1 the model is too sure of itself, above 1 too timid."),
        "in_the_large": ("Shift", "0 is ideal; above 0 the finding is commoner than the model says (log odds)."),
    }
    for key, (label, explained) in words.items():
        if line is not None:
            value, low, high = ends(line[key])
            span = parts.span(low, high, lambda end: number(end, 2), " to ")
            why = "" if value is not None else f" Undefined: {line[key]['why']}."
            cards.append((label, number(value, 2), span, explained + why))
    apart = scores.get("brier_parts")
    told = "Mean squared distance between probability and outcome; less is better."
    if apart:
        told += (
            f" Its parts (Murphy 1973): miscalibration {apart['reliability']:.4f} − resolution "
            f"{apart['resolution']:.4f} + uncertainty of the films {apart['uncertainty']:.4f} + within bins "
            f"{apart['within_bins']:.4f}."
        )
    cards.append(("Brier score", number(scores["brier"]), None, told))
    with st.container(horizontal=True, gap="small"):
        for label, score, span, explained in cards:
            parts.card(label, score, span, explained)
    if line is None:
        st.caption("Slope and intercept were not recorded with these results, and need a table of films to compute.")


def reliability_chart(source: Source, finding: str) -> None:
    name = parts.title(finding)
    tables = {"calibrated" if source.config else "as given": source.curves["findings"][finding]["reliability"]["bins"]}
    before = computed.before_calibration(source, finding)
    if before is not None:
        tables["before calibration"] = before
    rows = [{"series": series, **row} for series, bins in tables.items() for row in bins]
    st.subheader("Said against seen", anchor=False)
    parts.chart(
        reliability_figure(tables),
        f"reliability-{finding}",
        pd.DataFrame(rows),
        f"Reliability of {name}: mean probability against share with the finding, by bin",
        "On the dotted line, films given 20 % have the finding 20 times in a hundred. Below it the model says too "
        "much, above it too little. Bars are 95 % intervals: a long one holds few films.",
    )
    if before is None:
        why = "carry no logits" if source.predictions is not None else "come without a table of films"
        st.caption(f"Before against after calibration cannot be shown: these results {why}.")
    else:
        change = calibration_change(source, finding)
        if change is not None:
            st.caption(f"ECE before calibration {change[0]:.3f}, after it {change[1]:.3f}.")


def calibration_change(source: Source, finding: str) -> tuple[float, float] | None:
    before = computed.ece_before(source, finding)
    after = source.metrics["findings"][finding]["ece"]
    return None if before is None or after is None else (before, after)


def histogram(source: Source, finding: str) -> None:
    """How sure the model is, and of whom."""
    st.subheader("How sure it is", anchor=False)
    scores = source.metrics["findings"][finding]
    if source.predictions is not None:
        y, p = source.arrays(finding)
        edges = np.linspace(0, 1, BINS + 1)
        counts = {
            "without the finding": np.histogram(p[y == 0], edges)[0],
            "with it": np.histogram(p[y == 1], edges)[0],
        }
    else:
        bins = source.curves["findings"][finding]["reliability"]["bins"]
        edges = np.linspace(0, 1, 16)
        films = np.zeros(15)
        for row in bins:
            films[round(row["from"] * 15)] = row["n"]
        counts = {"all films": films}
    frame = pd.DataFrame({"from": edges[:-1], "to": edges[1:], **counts})
    parts.chart(
        histogram_figure(edges, counts, scores.get("threshold")),
        f"histogram-{finding}",
        frame,
        f"Films by probability of {parts.title(finding)}",
        "Good ranking pulls the two groups apart." + " The red line is the threshold." * bool(scores.get("threshold")),
    )


def show() -> None:
    source = parts.current_source()
    parts.page_head(
        "Are the probabilities honest?",
        "Of the films given 20 %, do about 20 in a hundred have the finding? A model may rank well and still say 90 % "
        "where 60 % would be true, above all where the finding is rarer or commoner than where it learned.",
        source,
    )
    finding = parts.finding_picker(source)
    scores = source.metrics["findings"][finding]
    if scores["ece"] is None:
        parts.missing(scores.get("why") or "no film has a known label")
        return
    headlines(source, finding)
    reliability_chart(source, finding)
    histogram(source, finding)
    st.subheader("All findings", anchor=False)
    st.caption(
        "Press a column's head to sort by it. Where a slope's interval leaves out 1, chance alone does not explain it."
    )
    table = scores_table(source)
    labels = {
        "prevalence": "Prevalence",
        "ece": "ECE",
        "ece_by_chance": "ECE by chance",
        "brier": "Brier",
        "slope": "Slope",
        "slope_low": "from",
        "slope_high": "to",
        "in_the_large": "Shift",
        "in_the_large_low": "shift from",
        "in_the_large_high": "shift to",
    }
    st.dataframe(
        table.assign(finding=[parts.title(name) for name in table["finding"]])[["finding", *labels]],
        hide_index=True,
        height="content",
        column_config={
            "finding": st.column_config.TextColumn("Finding", pinned=True),
            **{key: st.column_config.NumberColumn(words, format="%.3f") for key, words in labels.items()},
        },
    )
    parts.numbers_as_csv(table, "calibration")


show()
