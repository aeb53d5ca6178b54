"""Comparison of two models on the same films: paired tests, both ROC curves, and films on which they disagree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from cxrcore.errors import CxrError
from cxrcore.evaluation.compare import SameFilms
from cxrcore.metrics.arrays import group_codes
from cxrcore.metrics.curves import roc_curve
from cxrcore.metrics.operating_points import OperatingPoints
from cxrcore.text import ends
from dashboard import cache, computed, parts, state, thresholds
from dashboard.charts.agreement import disagreement
from dashboard.charts.forest import Row, Series, forest, significant_apart
from dashboard.charts.roc_pr import Band, Roc, overlaid_rocs
from dashboard.parts import NUMBER, PERCENT
from dashboard.sources.choosing import choose_source, sentence
from dashboard.sources.film_table import outcomes_of, safe_csv
from dashboard.sources.opening import embedded_titles, open_source
from dashboard.sources.pictures import Pictures
from dashboard.sources.source import Source
from dashboard.viewing import choose_folder, show_film

QUESTION = "Is the model better than another one on the same films?"
HOW = (
    "Only films that both models scored are compared, film by film, so luck in the choice of films cancels out. A "
    "difference whose interval leaves out 0, and whose p stays small after correction, is more than chance."
)
SHOWN = 10  # films with the largest disagreement
POINTS = 2000  # of a scatter plot; more would hide one another


def page() -> None:
    """Draw the page."""
    source = parts.current_source()
    parts.page_head(QUESTION, HOW, source)
    if source.predictions is None:
        parts.needs_table("A paired comparison", source)
        return
    with st.container(border=True):
        other = choose_source("other_", "Compare with")
    if other is None:
        _models_here()
        return
    if other.predictions is None:
        parts.needs_table("A paired comparison", other)
        return
    for note in other.notes:
        st.caption(f"Note: {parts.escape(note)}")
    if cache.same_results(source, other):
        st.info("These are the same results twice; choose another model's to compare with.")
        return
    try:
        pair, result = cache.compared(source, other)
    except CxrError as error:
        st.error(sentence(error))
        return
    names = _names(source, other)
    _left_out(pair, result, names)
    _differences(result, names)
    _one_finding(source, other, pair, result, names)


def _models_here() -> None:
    """Scores of the models that ship, each on its own films, while there is nothing to pair."""
    st.subheader("The models that ship, each on its own films", anchor=False)
    st.caption(
        "Not paired: these scores are of different films and findings, so their differences say nothing about the "
        "models. Choose a second model or table above that scored the same films."
    )
    rows, columns = [], {}
    for name, title in embedded_titles().items():
        one = open_source(name)
        metrics, area = one.metrics, one.metrics.macro.auroc
        rows.append(Row(title, area.value, area.low, area.high, f"{one.evaluation}, {metrics.n:,} films"))
        columns[name] = {
            "model": title,
            "scored on": " ".join((one.dataset, one.split)),
            "films": metrics.n,
            "patients": metrics.n_patients,
            "findings": len(one.labels),
            "mean AUROC": NUMBER.estimate(area),
            "split": metrics.origin.label,
        }
    frame = pd.DataFrame(list(columns.values()))
    parts.chart(
        forest([row.name for row in rows], [Series(rows)], "Mean AUROC", reference=0.5),
        "models",
        frame,
        "Mean AUROC of every model that ships, with its interval; the numbers are in the table below",
    )
    st.dataframe(frame, hide_index=True, height="content")


def _names(source: Source, other: Source) -> tuple[str, str]:
    """Two different names for the models, also where both have the same."""
    first, second = (name.replace("<", "‹").replace(">", "›") for name in (source.name, other.name))  # no markup
    return (first, second) if first != second else (f"{first} (first)", f"{second} (second)")


def _left_out(pair: SameFilms, result: dict[str, Any], names: tuple[str, str]) -> None:
    lines = [f"{result['n']:,} films of {result['n_patients']:,} patients are in both."]
    for name, films in zip(names, (pair.only_first, pair.only_second), strict=True):
        if len(films):
            lines.append(
                f"Left out: {len(films):,} that only {parts.escape(name)} has, such as {parts.escape(films[0])}."
            )
    if pair.findings_left_out:
        lines.append(
            f"Findings that only one of them knows, left out: {', '.join(map(parts.title, pair.findings_left_out))}."
        )
    st.markdown(" ".join(lines))


def _differences(result: dict[str, Any], names: tuple[str, str]) -> None:
    st.subheader("Differences in AUROC", anchor=False)
    findings = result["findings"]
    entries = {parts.title(name): entry for name, entry in findings.items()}
    if len(findings) > 1:
        entries["Mean over findings"] = result["macro"]
    significant = [entry["p_holm"] is not None and entry["p_holm"] < 0.05 for entry in entries.values()]
    series = significant_apart([_row(name, entry) for name, entry in entries.items()], significant)
    tested = sum(entry["p"] is not None for entry in findings.values())
    frame = as_frame(result)
    parts.chart(
        forest(list(entries), series, "Difference of AUROC", reference=0.0, reference_name="equal"),
        "versus-differences",
        frame,
        f"Differences of AUROC for {len(entries)} findings, with intervals; the numbers are in the table.",
        f"AUROC of {parts.escape(names[0])} minus that of {parts.escape(names[1])}: right of the dashed line the "
        f"former ranks better. Paired DeLong test, by patient where patients repeat; a red diamond marks a difference "
        f"that is significant after Holm's correction over the {tested} finding(s) tested.",
    )
    for name, why in {n: e["difference"].get("why") for n, e in findings.items()}.items():
        if why and findings[name]["difference"]["value"] is None:
            st.caption(f"{parts.title(name)}: not defined, {why}.")
    with st.expander("All numbers as a table"):
        numbers = {
            name: st.column_config.NumberColumn(format="%.3f")
            for name in frame.columns
            if name.startswith(("first", "second", "difference", "agreement"))
        }
        st.dataframe(frame, hide_index=True, column_config=numbers | {
            name: st.column_config.NumberColumn(format="%.2g") for name in frame.columns if name.startswith("p")
        })  # fmt: skip
        parts.numbers_as_csv(frame, "versus-table")


def _row(name: str, entry: dict[str, Any]) -> Row:
    value, low, high = ends(entry["difference"])
    p = entry["p_holm"]
    areas = f"{NUMBER.number(entry['first']['value'])} and {NUMBER.number(entry['second']['value'])}"
    note = f"{areas}<br>p after Holm {p:.2g}" if p is not None else areas
    if value is None:
        note = f"not defined: {entry['difference'].get('why', 'undefined')}"
    return Row(name, value, low, high, note)


def as_frame(result: dict[str, Any]) -> pd.DataFrame:
    """A row per finding and one for their mean: areas, difference, p, and how often their calls agree."""
    rows = []
    for name, entry in {**result["findings"], "mean over findings": result["macro"]}.items():
        row: dict[str, Any] = {"finding": name}
        for part in ("first", "second", "difference"):
            value, low, high = ends(entry[part])
            row |= {part: value, f"{part}_low": low, f"{part}_high": high}
        row |= {"p": entry["p"], "p_holm": entry["p_holm"]}
        calls = entry.get("calls")
        if calls:
            row |= {"agreement": calls["agreement"]}
            for rate in ("sensitivity", "specificity"):
                row |= {f"first_{rate}": calls[rate]["first"], f"second_{rate}": calls[rate]["second"]}
                row |= {f"p_{rate}": calls[rate]["p"]}
        rows.append(row)
    return pd.DataFrame(rows)


@dataclass(frozen=True, eq=False)
class _Scored:
    """Both models' probabilities of one finding, all (N,), and their thresholds."""

    finding: str
    names: tuple[str, str]
    images: np.ndarray
    patient_ids: np.ndarray
    targets: np.ndarray
    first: np.ndarray
    second: np.ndarray
    cuts: tuple[float | None, float | None]

    def table(self, rows: np.ndarray) -> pd.DataFrame:
        """Some films as a table and a CSV: label, both probabilities, outcomes at the thresholds in use."""
        targets = self.targets[rows]
        first, second = self.first[rows], self.second[rows]
        frame = pd.DataFrame(
            {
                "image": self.images[rows],
                "patient_id": self.patient_ids[rows],
                "truth": np.where(np.isnan(targets), "unknown", np.where(targets == 1, "with it", "without it")),
                self.names[0]: first,
                self.names[1]: second,
                "apart": np.abs(first - second),
            }
        )
        for name, scores, cut in zip(self.names, (first, second), self.cuts, strict=True):
            if cut is not None:
                frame[f"{name}: outcome"] = outcomes_of(targets, scores >= cut)
        return frame


def _one_finding(
    source: Source, other: Source, pair: SameFilms, result: dict[str, Any], names: tuple[str, str]
) -> None:
    st.subheader("One finding", anchor=False)
    pictures = choose_folder(source)
    _finding(source, other, pair, result, names, pictures)


@st.fragment
def _finding(
    source: Source,
    other: Source,
    pair: SameFilms,
    result: dict[str, Any],
    names: tuple[str, str],
    pictures: Pictures,
) -> None:
    finding = parts.finding_picker(source, list(pair.first.labels))
    column = pair.first.labels.index(finding)
    first, second = (one.probabilities[:, column].astype(np.float64) for one in (pair.first, pair.second))
    cuts = _cut(thresholds.points_of(source), finding), _cut(thresholds.points_of(other, by_hand=False), finding)
    targets = pair.first.targets[:, column]
    scored = _Scored(finding, names, pair.first.images, pair.first.patient_ids, targets, first, second, cuts)
    left, right = st.columns(2)
    with left:
        _both_curves(pair, scored, result)
    with right:
        _scatter(scored)
    calls = result["findings"][finding].get("calls")
    if calls:
        st.caption(
            f"At the thresholds in use they agree on {PERCENT.number(calls['agreement'])} of the films; "
            f"{calls['only_first']:,} are positive for {parts.escape(names[0])} alone and {calls['only_second']:,} for "
            f"{parts.escape(names[1])} alone."
        )
    else:
        st.caption(f"Their calls are not compared: {result['findings'][finding].get('why_no_calls', 'no thresholds')}.")
    _largest_differences(source, scored, pictures)


def _cut(points: OperatingPoints | None, finding: str) -> float | None:
    """A finding's threshold, None where it has none."""
    if points is None or finding not in points.findings:
        return None
    value = float(points.thresholds[points.findings.index(finding)])
    return value if np.isfinite(value) else None


def _both_curves(pair: SameFilms, scored: _Scored, result: dict[str, Any]) -> None:
    curves = [roc_curve(scored.targets, scores) for scores in (scored.first, scored.second)]
    drawn = [
        Roc(name, curve.false_positive_rate, curve.sensitivity, curve.area, band)
        for name, curve, band in zip(scored.names, curves, _bands(pair, scored), strict=True)
        if curve is not None
    ]
    if len(drawn) < 2:
        parts.missing(result["findings"][scored.finding]["difference"].get("why"))
        return
    parts.chart(
        overlaid_rocs(drawn),
        f"versus-roc-{scored.finding}",
        lambda: pd.concat(
            pd.DataFrame({"model": one.name, "false_positive_rate": one.x, "sensitivity": one.y}) for one in drawn
        ),
        f"ROC curves of {scored.names[0]} and {scored.names[1]} for {parts.title(scored.finding)}.",
        "Higher is better: more films with the finding found at the same false positive rate. Shaded: 95 % intervals.",
    )


def _bands(pair: SameFilms, scored: _Scored) -> list[Band | None]:
    """Pointwise intervals around both curves, by patient."""
    patients = group_codes(pair.first.patient_ids)
    return [computed.roc_band(scored.targets, scores, patients) for scores in (scored.first, scored.second)]


def _scatter(scored: _Scored) -> None:
    total = len(scored.first)
    rows = _sample(scored.first, scored.second)
    sampled = f" {len(rows):,} of {total:,} films are drawn, among them those with the largest differences."
    parts.chart(
        disagreement(
            scored.first[rows],
            scored.second[rows],
            scored.targets[rows],
            scored.images[rows],
            scored.names,
            scored.cuts,
        ),
        f"versus-films-{scored.finding}",
        lambda: scored.table(np.arange(total)),
        f"Probability of {parts.title(scored.finding)} by either model, a dot per film.",
        "Each dot is a film; far from the diagonal the models disagree. Dashed: the thresholds in use."
        + sampled * (len(rows) < total),
    )


def _largest_differences(source: Source, scored: _Scored, pictures: Pictures) -> None:
    st.markdown("**Films with the largest disagreement**")
    names = scored.names
    kinds = {"all": "All", "first": f"{names[0]} is closer", "second": f"{names[1]} is closer"}
    closer = st.segmented_control(
        "Show",
        list(kinds),
        format_func=kinds.__getitem__,
        required=True,
        label_visibility="collapsed",
        help="Closer to the label.",
        **state.kept("closer", "all", state.one_of(list(kinds)), widget="versus-closer"),
    )
    rows = _by_difference(scored, closer)
    if not len(rows):
        st.info("There is no such film.")
        return
    shown = rows[:SHOWN]
    event = st.dataframe(
        scored.table(shown),
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        key=f"versus-{scored.finding}-{closer}",
        column_config={
            "truth": "label",
            "apart": st.column_config.NumberColumn("difference", format="%.3f"),
            **{name: st.column_config.ProgressColumn(min_value=0, max_value=1, format="%.3f") for name in names},
        },
    )
    st.download_button(
        f"All {len(rows):,} as CSV",
        lambda: safe_csv(scored.table(rows)),
        file_name="disagreement.csv",
        mime="text/csv",
        key="versus-csv",
        on_click="ignore",
        type="tertiary",
    )
    picked = event["selection"]["rows"]
    if picked and picked[0] < len(shown):
        with st.container(width=520):
            show_film(source, str(scored.images[shown[picked[0]]]), scored.finding, pictures)


def _by_difference(scored: _Scored, closer: str) -> np.ndarray:
    """Rows by the difference of the probabilities, largest first; those where one model is closer to the label."""
    gain = np.abs(scored.second - scored.targets) - np.abs(scored.first - scored.targets)  # > 0: the first is closer
    kept = {"all": np.ones(len(gain), dtype=bool), "first": gain > 0, "second": gain < 0}
    keep = kept[closer]
    order = np.argsort(-np.abs(scored.first - scored.second)[keep], kind="stable")
    return np.flatnonzero(keep)[order]


def _sample(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Rows to draw: all if they are few, else those with the largest differences and an even part of the rest."""
    if len(first) <= POINTS:
        return np.arange(len(first))
    order = np.argsort(-np.abs(first - second), kind="stable")
    rest = order[POINTS // 4 :]
    return np.concatenate([order[: POINTS // 4], rest[:: -(-len(rest) // (POINTS * 3 // 4))]])


page()
