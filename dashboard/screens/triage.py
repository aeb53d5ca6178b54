"""Three answers, ruled in, ruled out or unsure: how many films get which, and how many patients a wrong one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from cxrcore.evaluation.subgroups import groups_of
from cxrcore.metrics.triage import CONFIDENCE, MOST_RISK, RISK, Limits, Measured, Triage, fit_triage
from dashboard import parts, state
from dashboard.charts.answers import answers_figure
from dashboard.parts import PERCENT
from dashboard.sources.source import Source

QUESTION = "How many films can it answer, if it may be unsure?"
HOW = (
    "A finding is ruled out or ruled in only where validation patients show that the answer is rarely wrong; films "
    "between stay unsure. The risk is the share of patients with the finding that have a film ruled out, and of those "
    "without it that have one ruled in."
)
RISKS, CONFIDENCES = (0.01, 0.02, RISK, 0.1, MOST_RISK), (0.8, CONFIDENCE, 0.95)
ATTRIBUTES = ("sex", "age_years", "view", "source")
LEAST = 20  # films of a group


def triage_of(source: Source) -> Triage | None:
    """The bundle's limits, else those that the source's validation films give."""
    val = source.validation
    if source.triage is not None or val is None:
        return source.triage
    return source.once("triage", lambda: fit_triage(val.labels.names, val.targets, val.probabilities, val.patient_ids))


def choose(name: str, label: str, values: tuple[float, ...], default: float) -> float:
    """A percentage that is kept in the link."""
    texts = [f"{value:g}" for value in values]
    chosen = state.pick(name, label, texts, f"{default:g}", name=lambda text: f"{100 * float(text):g} %")
    return float(chosen)


def measured(source: Source, limits: Limits, finding: str, films: np.ndarray | None = None) -> Measured:
    """The answers on the source's films, or on some of them, bool (N,)."""
    targets, probabilities = source.arrays(finding)
    chosen = np.ones(len(targets), bool) if films is None else films
    return limits.measure(finding, targets[chosen], probabilities[chosen], source.patients[chosen])


def as_frame(names: list[str], rows: list[Measured], first: str) -> pd.DataFrame:
    """A row each, in per cent with intervals."""
    return pd.DataFrame(
        [
            {
                first: name,
                **{key: PERCENT.number(getattr(row, key)) for key in ("ruled_out", "unsure", "ruled_in")},
                "with it, ruled out": PERCENT.estimate(row.missed),
                "without it, ruled in": PERCENT.estimate(row.false_alarms),
            }
            for name, row in zip(names, rows, strict=True)
        ]
    ).rename(columns={"ruled_out": "ruled out", "ruled_in": "ruled in"})


def show_findings(source: Source, limits: Limits) -> None:
    """Every finding on all films."""
    names = list(limits.out)
    rows = [measured(source, limits, name) for name in names]
    titles = [parts.title(name) for name in names]
    frame = as_frame(titles, rows, "finding")
    parts.chart(answers_figure(titles, rows), "answers", frame, "Shares of films ruled out, unsure and ruled in")
    st.dataframe(frame, hide_index=True)
    st.caption(
        "The last two columns count patients (Wilson's interval). These films chose no limit, so they check the "
        "promise: it is broken where the whole interval lies above the risk."
    )
    if limits.why:
        with st.expander(f"Of {len(limits.why)} findings an answer is never given", expanded=False):
            st.markdown("\n".join(f"- {parts.title(name)}: {why}." for name, why in limits.why.items()))


def show_groups(source: Source, limits: Limits, finding: str) -> None:
    """One finding by sex, age, view and source."""
    films = source.predictions
    assert films is not None
    groups = [group for group in groups_of(films.metadata, ATTRIBUTES, together=1) if group.films.sum() >= LEAST]
    if not groups:
        st.caption(f"No group of {LEAST} films is known in this table.")
        return
    names = [group.name for group in groups]
    rows = [measured(source, limits, finding, group.films) for group in groups]
    frame = as_frame(names, rows, "group")
    parts.chart(answers_figure(names, rows), f"answers-{finding}", frame, f"Answers on {finding} by group of patients")
    st.dataframe(frame, hide_index=True)
    st.caption("The promise is for patients like those of validation as a whole; it is not made for each group.")


def films_frame(source: Source, limits: Limits) -> pd.DataFrame:
    """The answer of every film to every finding."""
    films = source.predictions
    assert films is not None
    rows = [
        {"image": image, **limits.answers(dict(zip(films.labels.names, row, strict=True)))}
        for image, row in zip(films.images.tolist(), films.probabilities.tolist(), strict=True)
    ]
    return pd.DataFrame(rows)


def _needs_validation(source: Source) -> str:
    if source.folder is None:
        return (
            "The limits of three answers come from validation films, and these results hold none: "
            f"`cxr evaluate {parts.arguments(source, 'val')} --out VALIDATION` writes a table of them, whose rows "
            "belong into one table with these, with a column `split` that says `val` or `test`."
        )
    return (
        "The limits of three answers come from validation films. This model stores none; `cxr evaluate "
        f"{parts.arguments(source, 'val')} --out BUNDLE/evaluation/{source.dataset or 'DATASET'}-val` puts their table "
        "into its folder, BUNDLE."
    )


def page() -> None:
    """Draw the page."""
    source = parts.current_source()
    parts.page_head(QUESTION, HOW, source)
    if source.predictions is None:
        parts.needs_table("Counting answers", source)
        return
    triage = triage_of(source)
    if triage is None:
        st.info(_needs_validation(source))
        return
    left, right = st.columns(2)
    with left:
        risk = choose("risk", "Risk of each wrong answer, at most", RISKS, RISK)
    with right:
        confidence = choose("confidence", "Confidence", CONFIDENCES, CONFIDENCE)
    limits = triage.limits(risk, confidence)
    show_findings(source, limits)
    parts.numbers_as_csv(lambda: films_frame(source, limits), "answers-by-film", "↓ Every film's answers as CSV")
    st.subheader("By group of patients", anchor=False)
    show_groups(source, limits, parts.finding_picker(source, list(limits.out)))


page()
