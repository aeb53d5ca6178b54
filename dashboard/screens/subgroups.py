"""Subgroups by sex, age, view and their intersections: scores, gaps and intervals; small groups are not scored."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from cxrcore.evaluation.subgroups import AGE_BANDS, RULE, Gap
from cxrcore.metrics.intervals import Estimate
from dashboard import cache, parts, state, thresholds
from dashboard.charts.forest import Row, forest, significant_apart
from dashboard.charts.subgroups import gap_matrix
from dashboard.sources.source import Source

QUESTION = "Does the model work equally well for all groups of patients?"
HOW = (
    "Each line is a subgroup: the dot is the model's score in it, the bar its 95 % interval. For a subgroup whose gap "
    "to all other patients lies clear of 0 the model works better or worse than for the rest."
)
WORDS = {"sex": "sex", "age_years": "age", "view": "view"}
MEASURES = {
    "auroc": ("AUROC (ranking)", "AUROC", "Chance that a film with the finding scores above one without it."),
    "sensitivity": (
        "Sensitivity (found)",
        "Sensitivity",
        "Of the films with the finding, the share that is called positive.",
    ),
    "underdiagnosis": (
        "Underdiagnosis (missed)",
        "Underdiagnosis rate",
        "Of the films with a disease, the share that is called healthy (Seyyed-Kalantari 2021); higher is worse.",
    ),
}


def page() -> None:
    """Draw the page."""
    source = parts.current_source()
    parts.page_head(QUESTION, HOW, source)
    if source.predictions is None:
        parts.needs_table("Comparing subgroups", source)
        return
    attributes, lacking = known_attributes(source)
    if lacking:
        st.info(
            f"This table does not tell films apart by {join_words([WORDS[name] for name in lacking])}"
            f"{'' if attributes else ', so no groups can be compared'}. Use a table or label file with "
            f"column{'s' * (len(lacking) > 1)} {', '.join(lacking)}."
        )
    if attributes:
        groups(source, attributes)


@st.fragment
def groups(source: Source, attributes: list[str]) -> None:
    """The pickers, the forests and the table."""
    left, right = st.columns(2)
    with left:
        finding = parts.finding_picker(source, list(source.labels.abnormal) or None)
    with right:
        usual = [name for name in attributes if name in WORDS] or attributes[:1]
        chosen = st.multiselect(
            "Groups by", attributes, format_func=lambda name: WORDS.get(name, parts.title(name)),
            **state.kept("by", usual, state.several_of(attributes), state.joined, widget="groups-by"),
        )  # fmt: skip
    measure = st.segmented_control(
        "Measure", list(MEASURES), required=True, format_func=lambda name: MEASURES[name][0],
        **state.kept("measure", "auroc", state.one_of(list(MEASURES)), widget="groups-measure"),
    )  # fmt: skip
    together = st.segmented_control(
        "Groups", [1, 2], required=True, format_func=lambda size: "One attribute" if size == 1 else "Two combined",
        **state.kept("together", 1, state.one_of([1, 2]), widget="groups-together"),
        help="A gap can be hidden in each attribute and show only where two are combined, as in young women.",
    )  # fmt: skip
    if not chosen:
        st.info("Choose at least one attribute to group by.")
        return
    gaps = cache.gaps(source, [finding], chosen, 2, measure)
    shown = [gap for gap in gaps if len(gap.attributes) == together]
    if not shown:
        st.info("Choose two attributes to see groups by both.")
        return
    st.caption(MEASURES[measure][2] + (f" {_at(source, finding)}" if measure != "auroc" else ""))
    if all(gap.score.value is None for gap in shown) and (why := _common_reason(shown)):
        st.info(f"Not defined here: {why}.")
    else:
        _forests(source, shown, finding, measure)
    _rules(gaps, shown)
    with st.expander("All numbers as a table", expanded=False):
        frame = as_frame(shown)
        st.dataframe(frame, hide_index=True, column_config=_columns())
        parts.numbers_as_csv(frame, f"groups-table-{measure}")
    if measure != "underdiagnosis" and len(source.labels.abnormal) > 1:
        _all_findings(source, chosen, measure)


def known_attributes(source: Source) -> tuple[list[str], list[str]]:
    """Columns that can form groups, the usual ones first; and which of the usual ones the table lacks."""
    assert source.predictions is not None
    metadata = source.predictions.metadata
    usable = []
    for name in (*WORDS, *(name for name in metadata if name not in WORDS)):
        values = metadata.get(name)
        if values is None or not len(values):
            continue
        known = [str(value) for value in values.tolist() if value is not None and value == value and str(value) != ""]
        if len(set(known)) > 1 and (name == "age_years" or len(set(known)) <= 8):
            usable.append(name)
    return usable, [name for name in WORDS if name not in usable]


def join_words(words: list[str]) -> str:
    """``sex, age or view``."""
    return " or ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)


def as_frame(gaps: list[Gap]) -> pd.DataFrame:
    """A row per group; undefined is empty, with its reason."""
    rows = []
    for gap in gaps:
        row: dict[str, Any] = {"group": gap.group, "finding": gap.finding, "films": gap.n, "patients": gap.n_patients}
        row |= {"with": gap.n_pos, "without": gap.n_neg}
        for name in ("score", "rest", "gap"):
            estimate = getattr(gap, name)
            row |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
        row |= {"p": gap.p, "p_holm": gap.p_holm, "p_bh": gap.p_bh}
        rows.append(row | {"why": gap.score.why or gap.gap.why or ""})
    return pd.DataFrame(rows)


def _forests(source: Source, shown: list[Gap], finding: str, measure: str) -> None:
    name, axis, _ = MEASURES[measure]
    percent = measure != "auroc"
    whole = _overall(source, finding, measure)
    about = axis if measure == "underdiagnosis" else f"{axis}, {parts.title(finding)}"
    frame = as_frame(shown)
    left, right = st.columns(2)
    with left:
        parts.chart(
            _forest(
                shown,
                "score",
                about,
                reference=whole,
                reference_name="all films" * (whole is not None),
                percent=percent,
            ),
            f"groups-{measure}",
            frame,
            f"{name} of {len(shown)} groups with intervals; the numbers are in the table below.",
        )
    with right:
        worse = "worse →" if measure == "underdiagnosis" else "← worse"
        parts.chart(
            _forest(shown, "gap", f"Gap to all other patients ({worse})", reference=0.0, percent=percent),
            f"gaps-{measure}",
            frame,
            f"Gaps of {len(shown)} groups to the rest, with intervals; the numbers are in the table below.",
        )


def _overall(source: Source, finding: str, measure: str) -> float | None:
    """The score of all films, where the other pages show it."""
    if finding not in source.scores or measure == "underdiagnosis":
        return None
    if measure == "auroc":
        return source.scores[finding].auroc.value
    return thresholds.rates(source, finding, thresholds.decision(source, finding))[1].sensitivity.value


def _forest(gaps: list[Gap], part: str, axis: str, **options: Any) -> go.Figure:
    rows = []
    for gap in gaps:
        estimate: Estimate = getattr(gap, part)
        note = _note(gap) if estimate.value is not None else _short_why(estimate.why)
        rows.append(Row(gap.group, estimate.value, estimate.low, estimate.high, note))
    series = significant_apart(rows, [_is_significant(gap) for gap in gaps])
    return forest([gap.group for gap in gaps], series, axis, **options)


def _at(source: Source, finding: str) -> str:
    """The threshold in use, as on the other pages."""
    made = thresholds.decision(source, finding)
    cut = "" if made.threshold is None else f"{parts.title(finding)} is called positive at {made.threshold:.4g}. "
    return cut + thresholds.described(source, made)


def _rules(gaps: list[Gap], shown: list[Gap]) -> None:
    """What was left out, and how many comparisons were made."""
    suppressed = [gap.group for gap in shown if gap.score.value is None]
    tested = sum(gap.p is not None for gap in gaps)
    significant = [gap.group for gap in gaps if _is_significant(gap)]
    lines = [
        f"**Small groups.** {RULE[:1].upper() + RULE[1:]}" + (f": here {'; '.join(suppressed)}." if suppressed else ".")
    ]
    lines.append(
        f"**Multiple comparisons.** {tested} gaps were tested for this measure (single attributes and pairs), so about "
        f"{max(1, round(tested * 0.05))} would have p < 0.05 by chance alone. A red diamond marks a gap "
        "that is significant after Holm's correction over all of them: "
        + (f"{'; '.join(significant)}." if significant else "none is.")
        if tested
        else "**Multiple comparisons.** No gap could be tested."
    )
    bands = ", ".join(f"{low}–{high}" for low, high in pairwise(AGE_BANDS))
    lines.append(
        f"Age bands are {bands} and {AGE_BANDS[-1]}+ years, the upper end not included. A gap is to all other films "
        "whose attribute is known; intervals allow for several films per patient. A gap shows that the model "
        "does worse, not why: prevalence, devices, severity of disease and the making of labels differ too."
    )
    for line in lines:
        st.caption(line)


def _all_findings(source: Source, chosen: list[str], measure: str) -> None:
    with st.expander("All findings", expanded=False):
        shown = state.kept("all_findings", False, lambda text: text == "yes", _yes, widget="groups-all")
        if not st.toggle("Compare all findings (takes some seconds the first time)", **shown):
            return
        names = list(source.labels.abnormal)
        gaps = cache.gaps(source, names, chosen, 1, measure)
        groups = list(dict.fromkeys(gap.group for gap in gaps))
        values, significant = np.full((len(names), len(groups)), np.nan), np.zeros((len(names), len(groups)), bool)
        for gap in gaps:
            cell = names.index(str(gap.finding)), groups.index(gap.group)
            values[cell] = np.nan if gap.gap.value is None else gap.gap.value
            significant[cell] = _is_significant(gap)
        parts.chart(
            gap_matrix(values, [parts.title(name) for name in names], groups, significant, "gap"),
            f"gaps-all-{measure}",
            as_frame(gaps),
            "Gaps of every group to the rest, for every finding; the numbers are in the CSV.",
            "A group's score minus that of all other patients; red is worse. A star marks a gap that is significant "
            f"after Holm's correction over all {sum(gap.p is not None for gap in gaps)} gaps tested here; an empty "
            "cell has too few films to score.",
        )


def _yes(shown: bool) -> str | None:
    return "yes" if shown else None


def _is_significant(gap: Gap) -> bool:
    return gap.p_holm is not None and gap.p_holm < 0.05


def _note(gap: Gap) -> str:
    counts = f"{gap.n:,} films of {gap.n_patients:,} patients, {gap.n_pos:,} with it"
    if gap.p is None:
        return counts
    return f"{counts}<br>p {gap.p:.2g}, after Holm {gap.p_holm:.2g}"


def _short_why(why: str | None) -> str:
    """The reason without the rule, which is stated below."""
    return f"not scored: {(why or 'undefined').partition(';')[0]}"


def _common_reason(shown: list[Gap]) -> str | None:
    """The reason why no group is scored, where it is the same for all."""
    reasons = {gap.score.why for gap in shown}
    return reasons.pop() if len(reasons) == 1 else None


def _columns() -> dict[str, Any]:
    numbers = {
        name: st.column_config.NumberColumn(format="%.3f")
        for name in ("score", "score_low", "score_high", "rest", "rest_low", "rest_high", "gap", "gap_low", "gap_high")
    }
    return numbers | {name: st.column_config.NumberColumn(format="%.2g") for name in ("p", "p_holm", "p_bh")}


page()
