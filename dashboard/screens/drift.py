"""Drift: how probabilities, prevalence and calls differ between two sets of films."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from cxrcore.errors import CxrError
from cxrcore.evaluation.drift import Drift, measure_drift
from cxrcore.evaluation.subgroups import Group, groups_of
from cxrcore.metrics.operating_points import tuning_films
from cxrcore.predictions.record import Predictions
from dashboard import parts, state, thresholds
from dashboard.cache import fingerprint
from dashboard.charts.drift import distributions_figure
from dashboard.charts.forest import Row, forest, significant_apart
from dashboard.parts import PERCENT, TWO_DIGITS
from dashboard.sources.choosing import choose_source, sentence
from dashboard.sources.source import Source

QUESTION = "Do two sets of films look alike to the model?"
HOW = (
    "Probabilities that shift from one set of films to another may mean other patients, another device or another "
    "selection, and that thresholds and calibration of the first set may not hold on the second. It does not say why."
)
GROUPS, HALVES, TABLE = "groups", "halves", "table"
AGAINST = {
    GROUPS: "Groups of these films",
    HALVES: "Two random halves of the patients",
    TABLE: "Another table",
}
CHANGES = {
    "probability": ("Probability", "Change of the mean probability"),
    "prevalence": ("Prevalence", "Change of the share of films with the finding"),
    "calls": ("Alarms", "Change of the share of films called positive"),
}
LEAST = 20  # films of a group
BINS = 40
_MOST_DRIFTS = 6  # kept with a source


def page() -> None:
    """Draw the page."""
    source = parts.current_source()
    parts.page_head(QUESTION, HOW, source)
    if source.predictions is None:
        parts.needs_table("Comparing two sets of films", source)
        return
    try:
        pair = _choose(source)
        if pair is not None:
            _show(source, *pair)
    except CxrError as error:
        st.error(sentence(error))


def _choose(source: Source) -> tuple[tuple[str, Predictions], tuple[str, Predictions]] | None:
    """Draw the choice of the two sets; their names and films, None until both are there."""
    films = source.predictions
    assert films is not None
    groups = {group.name: group for group in _groups(films)}
    kinds = [kind for kind in AGAINST if kind != GROUPS or groups]
    default = TABLE if state.read("other_model") else kinds[0]
    kind = state.pick("against", "Compare", kinds, default, name=AGAINST.__getitem__)
    if kind == TABLE:
        with st.container(border=True):
            other = choose_source("other_", "Second set of films")
        if other is None or other.predictions is None:
            return None
        names = (source.name, other.name) if source.name != other.name else (source.evaluation, other.evaluation)
        return (names[0], films), (names[1], other.predictions)
    if kind == GROUPS:
        name = state.pick("group", "Group, against all other films", list(groups), next(iter(groups)))
        group = groups[name]
        return (f"not {name}", films.rows(group.rest)), (name, films.rows(group.films))
    half = tuning_films(films.patient_ids, 0.5)
    return ("first half", films.rows(half)), ("second half", films.rows(~half))


def _groups(films: Predictions) -> list[Group]:
    return [
        group
        for group in groups_of(films.metadata, ("view", "sex", "age_years", "source"), together=1)
        if min(group.films.sum(), group.rest.sum()) >= LEAST
    ]


def _show(source: Source, first: tuple[str, Predictions], second: tuple[str, Predictions]) -> None:
    names, tables = (first[0], second[0]), (first[1], second[1])
    points = thresholds.points_of(source)
    cuts = {} if points is None else dict(zip(points.findings, points.thresholds.astype(float).tolist(), strict=True))
    cuts = {name: cut for name, cut in cuts.items() if np.isfinite(cut)}
    key = ("drift", *(fingerprint(table) for table in tables), *cuts.values())

    def compute() -> dict[str, Drift]:
        with st.spinner("Comparing the two sets …"):
            return measure_drift(*tables, cuts)

    found = source.once(key, compute, most=_MOST_DRIFTS) if not _of_an_upload(source) else measure_drift(*tables, cuts)
    shared = len(np.intersect1d(tables[0].patient_ids, tables[1].patient_ids))
    sizes = [
        f"{parts.escape(name)}: {len(t):,} films of {t.n_patients:,} patients"
        for name, t in zip(names, tables, strict=True)
    ]
    both = f" {shared:,} patients are in both, so the intervals of changes are too wide." if shared else ""
    st.markdown(f"{'; '.join(sizes)}.{both}")
    _table(found, names)
    _changes(found, names)
    _one(source, found, tables, names)


def _of_an_upload(source: Source) -> bool:
    """Whether the second set is a visitor's upload, which a shared source must not hold."""
    return not source.uploaded and state.read("against") == TABLE and state.read("other_model") == state.UPLOAD


def _table(found: dict[str, Drift], names: tuple[str, str]) -> None:
    st.subheader("Shift of the probabilities, by finding", anchor=False)
    st.caption(
        "PSI, the population stability index, is 0 for equal distributions; the usual limits, .1 and .25, ignore size. "
        "By chance: 95 of 100 random deals of the patients stay below it; p is of such deals, after Holm's correction. "
        "KS is the largest gap of the cumulative shares, 0 to 1."
    )
    rows = [
        {
            "finding": parts.title(name),
            "psi": one.shift.stability,
            "by_chance": one.shift.by_chance,
            "p": one.p_holm,
            "ks": one.shift.distance,
            **{
                f"{key}_{k}": PERCENT.number(getattr(one, key)[k].value).removesuffix(" %")
                for key in CHANGES
                for k in (0, 1)
            },
        }
        for name, one in found.items()
    ]
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        height="content",
        column_config={
            "finding": text("Finding", pinned=True, width=112),
            "psi": number("PSI", format="%.3f", width=64),
            "by_chance": number("by chance", format="%.3f", width=78),
            "p": number("p (Holm)", format="%.3f", width=74),
            "ks": number("KS", format="%.3f", width=64),
            **{
                f"{key}_{k}": text(f"{label}, %" if k == 0 else "second", width=92 if k == 0 else 62)
                for key, (label, _) in CHANGES.items()
                for k in (0, 1)
            },
        },
    )
    st.caption(f"First: {parts.escape(names[0])}; second: {parts.escape(names[1])}.")
    parts.numbers_as_csv(lambda: pd.DataFrame([one.to_dict() for one in found.values()]), "drift")


def _changes(found: dict[str, Drift], names: tuple[str, str]) -> None:
    quantity = st.segmented_control(
        "Change of",
        list(CHANGES),
        required=True,
        format_func=lambda name: CHANGES[name][0],
        **state.kept("drift", "probability", state.one_of(list(CHANGES))),
    )
    rows, clear = [], []
    for name, one in found.items():
        change = one.change(quantity)
        first, second = getattr(one, quantity)
        note = change.why or f"{PERCENT.estimate(first)}, then {PERCENT.estimate(second)}"
        rows.append(Row(parts.title(name), change.value, change.low, change.high, note))
        clear.append(change.low is not None and change.high is not None and not change.low <= 0 <= change.high)
    parts.chart(
        forest(
            [row.name for row in rows],
            significant_apart(rows, clear),
            CHANGES[quantity][1],
            reference=0.0,
            percent=True,
        ),
        f"drift-{quantity}",
        lambda: pd.DataFrame([one.to_dict() for one in found.values()]),
        f"{CHANGES[quantity][1]} from {names[0]} to {names[1]}, by finding, with intervals",
        f"{parts.escape(names[1])} minus {parts.escape(names[0])}. A red diamond marks an interval that leaves out 0; "
        f"of {len(rows)} findings about {max(1, round(0.05 * len(rows)))} would by chance.",
    )


def _one(
    source: Source, found: dict[str, Drift], tables: tuple[Predictions, Predictions], names: tuple[str, str]
) -> None:
    st.subheader("One finding", anchor=False)
    finding = parts.finding_picker(source, list(found))
    one = found[finding]
    scores = [table.probabilities[:, table.labels.index(finding)].astype(np.float64) for table in tables]
    top = max(0.05, float(np.ceil(20 * max(part.max() for part in scores)) / 20))
    edges = np.linspace(0, top, BINS + 1)
    shares = {name: np.histogram(part, edges)[0] / len(part) for name, part in zip(names, scores, strict=True)}
    cut = "" if one.threshold is None else f" The dashed line is the threshold in use, {one.threshold:.3f}."
    parts.chart(
        distributions_figure(edges, shares, one.threshold),
        f"drift-one-{finding}",
        lambda: pd.DataFrame({"from": edges[:-1], "to": edges[1:], **shares}),
        f"Share of films by probability of {parts.title(finding)} in both sets",
        f"PSI {TWO_DIGITS.number(one.shift.stability)} (by chance up to {TWO_DIGITS.number(one.shift.by_chance)}), "
        f"KS {TWO_DIGITS.number(one.shift.distance)}.{cut}",
    )
    words: list[Any] = [
        f"{label}: {PERCENT.estimate(getattr(one, key)[0])}, then {PERCENT.estimate(getattr(one, key)[1])}"
        for key, (label, _) in CHANGES.items()
    ]
    st.markdown("\n".join(f"- {line}" for line in words))


page()
