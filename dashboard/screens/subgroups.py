"""For whom does it fail? Sex, age, view and their intersections, with intervals, gaps and small groups suppressed."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import streamlit as st

from cxrcore.evaluation.subgroups import AGE_BANDS, RULE, Gap
from cxrcore.metrics.intervals import Estimate
from dashboard import cache, parts
from dashboard.charts.groups import Row, forest, gap_matrix
from dashboard.sources.source import Source

QUESTION = "For whom does it fail?"
HOW = (
    "Each line is a group of people: the dot is the model's score among them, the bar its 95 % interval. A group whose "
    "gap to everybody else lies clear of 0 is served better or worse than the rest."
)
WORDS = {"sex": "sex", "age_years": "age", "view": "view"}
MEASURES = {
    "auroc": ("Ranking (AUROC)", "AUROC", "Does a film with the finding score above one without it, in this group?"),
    "sensitivity": (
        "Found when present",
        "Sensitivity",
        "Of the films with the finding, how many are called positive?",
    ),
    "underdiagnosis": (
        "Ill but called healthy",
        "Underdiagnosis rate",
        "Of the films with a disease, how many are called healthy (Seyyed-Kalantari 2021)? Here more is worse.",
    ),
}


def page() -> None:
    """The whole page."""
    source = parts.current_source()
    parts.page_head(QUESTION, HOW, source)
    if source.predictions is None:
        parts.needs_table("Comparing groups of people", source)
        return
    attributes, lacking = known_attributes(source)
    if lacking:
        st.info(
            f"This table does not tell films apart by {join_words([WORDS[name] for name in lacking])}"
            f"{'' if attributes else ', so no groups can be compared'}. A table or label file with columns "
            f"{', '.join(lacking)} would."
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
        chosen = st.multiselect(
            "Groups by", attributes, default=[name for name in attributes if name in WORDS] or attributes[:1],
            format_func=lambda name: WORDS.get(name, parts.title(name)), key="groups-by",
        )  # fmt: skip
    measure = st.segmented_control(
        "Measure", list(MEASURES), default="auroc", required=True, format_func=lambda name: MEASURES[name][0],
        key="groups-measure",
    )  # fmt: skip
    together = st.segmented_control(
        "Groups", [1, 2], default=1, required=True, key="groups-together",
        format_func=lambda size: "One attribute at a time" if size == 1 else "Two together",
        help="A single attribute can hide a group that is failed only where two meet, such as young women.",
    )  # fmt: skip
    if not chosen:
        st.info("Choose at least one attribute to group by.")
        return
    found = [gap for gap in cache.gaps(source, [finding], chosen, 2) if gap.measure == measure]
    shown = [gap for gap in found if len(gap.attributes) == together]
    if not shown:
        st.info("Choose two attributes to see groups where both meet.")
        return
    st.caption(MEASURES[measure][2])
    if all(gap.score.value is None for gap in shown) and (why := _nobody_scored(shown)):
        st.info(f"Not defined here: {why}.")
    else:
        _forests(source, shown, finding, measure)
    _rules(found, shown)
    with st.expander("Every number in a table", expanded=False):
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
    """A row a group; undefined is empty, with its reason."""
    rows = []
    for gap in gaps:
        row: dict = {"group": gap.group, "finding": gap.finding, "films": gap.n, "patients": gap.n_patients}
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
    overall = (source.metrics["findings"].get(finding) or {}).get(measure)
    whole = parts.ends(overall)[0] if isinstance(overall, dict) else overall
    about = axis if measure == "underdiagnosis" else f"{axis}, {parts.title(finding)}"
    frame = as_frame(shown)
    left, right = st.columns(2)
    with left:
        rows = [_row(gap, gap.score) for gap in shown]
        parts.chart(
            forest(rows, about, whole, "all films" if whole is not None else "", percent=percent),
            f"groups-{measure}",
            frame,
            f"{name} of {len(rows)} groups with intervals; the numbers are in the table below.",
        )
    with right:
        rows = [_row(gap, gap.gap) for gap in shown]
        worse = "worse served →" if measure == "underdiagnosis" else "← worse served"
        parts.chart(
            forest(rows, f"Gap to everybody else ({worse})", 0.0, percent=percent),
            f"gaps-{measure}",
            frame,
            f"Gaps of {len(rows)} groups to the rest, with intervals; the numbers are in the table below.",
        )


def _row(gap: Gap, estimate: Estimate) -> Row:
    note = _note(gap) if estimate.value is not None else _short_why(estimate.why)
    return Row(gap.group, estimate.value, estimate.low, estimate.high, note, _holds(gap))


def _rules(found: list[Gap], shown: list[Gap]) -> None:
    """What was left out, and how many comparisons were made."""
    suppressed = [gap.group for gap in shown if gap.score.value is None]
    tested = sum(gap.p is not None for gap in found)
    holding = [gap.group for gap in found if _holds(gap)]
    lines = [
        f"**Small groups.** {RULE[:1].upper() + RULE[1:]}" + (f": here {'; '.join(suppressed)}." if suppressed else ".")
    ]
    lines.append(
        f"**Several comparisons.** {tested} gaps were tested for this measure (single attributes and pairs), so about "
        f"{max(1, round(tested * 0.05))} would look remarkable at p < 0.05 by chance alone. A red diamond marks a gap "
        "that holds after Holm's correction over all of them: "
        + (f"{'; '.join(holding)}." if holding else "none does.")
        if tested
        else "**Several comparisons.** No gap could be tested."
    )
    bands = ", ".join(f"{low}–{high}" for low, high in pairwise(AGE_BANDS))
    lines.append(
        f"Age bands are {bands} and {AGE_BANDS[-1]}+ years, the upper end not included. A gap is to all other films "
        "whose attribute is known; intervals know that a patient may have several films. A gap says that the model "
        "does worse, not why: prevalence, devices, how ill people were when filmed and how labels were made differ too."
    )
    for line in lines:
        st.caption(line)


def _all_findings(source: Source, chosen: list[str], measure: str) -> None:
    with st.expander("Every finding at once", expanded=False):
        if not st.toggle("Compare all findings (takes some seconds the first time)", key="groups-all"):
            return
        names = list(source.labels.abnormal)
        found = [gap for gap in cache.gaps(source, names, chosen, 1) if gap.measure == measure]
        groups = list(dict.fromkeys(gap.group for gap in found))
        values, holds = np.full((len(names), len(groups)), np.nan), np.zeros((len(names), len(groups)), bool)
        for gap in found:
            place = names.index(str(gap.finding)), groups.index(gap.group)
            values[place] = np.nan if gap.gap.value is None else gap.gap.value
            holds[place] = _holds(gap)
        parts.chart(
            gap_matrix(values, [parts.title(name) for name in names], groups, holds, "gap"),
            f"gaps-all-{measure}",
            as_frame(found),
            "Gaps of every group to the rest, for every finding; the numbers are in the CSV.",
            "A group's score less everybody else's; red is worse. A star holds after Holm's correction over all "
            f"{sum(gap.p is not None for gap in found)} gaps tested here; an empty field is too small to score.",
        )


def _holds(gap: Gap) -> bool:
    return gap.p_holm is not None and gap.p_holm < 0.05


def _note(gap: Gap) -> str:
    counts = f"{gap.n:,} films of {gap.n_patients:,} patients, {gap.n_pos:,} with it"
    if gap.p is None:
        return counts
    return f"{counts}<br>p {gap.p:.2g}, after Holm {gap.p_holm:.2g}"


def _short_why(why: str | None) -> str:
    """The reason without the rule, which is stated below."""
    return f"not scored: {(why or 'undefined').partition(';')[0]}"


def _nobody_scored(shown: list[Gap]) -> str | None:
    """One reason for all, where it is one."""
    reasons = {gap.score.why for gap in shown}
    return reasons.pop() if len(reasons) == 1 else None


def _columns() -> dict:
    numbers = {
        name: st.column_config.NumberColumn(format="%.3f")
        for name in ("score", "score_low", "score_high", "rest", "rest_low", "rest_high", "gap", "gap_low", "gap_high")
    }
    return numbers | {name: st.column_config.NumberColumn(format="%.2g") for name in ("p", "p_holm", "p_bh")}


page()
