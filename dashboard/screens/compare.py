"""Against another model: the same films, paired tests, curves overlaid, and the films on which the two disagree."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from cxrcore.errors import CxrError
from cxrcore.evaluation.compare import SameFilms
from cxrcore.metrics.curves import roc_curve
from dashboard import cache, parts
from dashboard.charts.groups import Row, disagreement, forest, two_rocs
from dashboard.sources.choosing import choose_source, sentence
from dashboard.sources.film_table import outcomes_of, safe_csv, threshold_for
from dashboard.sources.pictures import Pictures
from dashboard.sources.source import Source
from dashboard.viewing import choose_folder, show_film

QUESTION = "Is it better than another model on the same films?"
HOW = (
    "Only films that both models saw are compared, film by film, so luck in the choice of films cancels out. A "
    "difference whose interval leaves out 0, and whose p stays small after correction, is more than chance."
)
SHOWN = 10  # films on which they disagree most
POINTS = 2000  # of a scatter; more would only hide each other


def page() -> None:
    """The whole page."""
    source = parts.current_source()
    parts.page_head(QUESTION, HOW, source)
    if source.predictions is None:
        parts.needs_table("A paired comparison", source)
        return
    with st.container(border=True):
        other = choose_source("other_", "Compare with")
    if other is None:
        return
    if other.predictions is None:
        parts.needs_table("A paired comparison", other)
        return
    for note in other.notes:
        st.caption(f"ℹ️ {parts.escape(note)}")
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


def _names(source: Source, other: Source) -> tuple[str, str]:
    """What the two are called here; told apart even where they have one name."""
    first, second = (name.replace("<", "‹").replace(">", "›") for name in (source.name, other.name))  # no markup
    return (first, second) if first != second else (f"{first} (first)", f"{second} (second)")


def _left_out(pair: SameFilms, result: dict, names: tuple[str, str]) -> None:
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


def _differences(result: dict, names: tuple[str, str]) -> None:
    st.subheader("Differences in ranking", anchor=False)
    findings = result["findings"]
    rows = [_row(parts.title(name), entry) for name, entry in findings.items()]
    if len(findings) > 1:
        rows.append(_row("Mean over findings", result["macro"]))
    tested = sum(entry["p"] is not None for entry in findings.values())
    frame = as_frame(result)
    parts.chart(
        forest(rows, "Difference of AUROC", 0.0, "alike"),
        "versus-differences",
        frame,
        f"Differences of AUROC for {len(rows)} findings, with intervals; the numbers are in the table.",
        f"AUROC of {parts.escape(names[0])} less that of {parts.escape(names[1])}: right of the dashed line the former "
        f"ranks better. Paired DeLong, by patient where patients repeat; a red "
        f"diamond marks a difference that holds after Holm's correction over the {tested} finding(s) tested.",
    )
    for name, why in {n: e["difference"].get("why") for n, e in findings.items()}.items():
        if why and findings[name]["difference"]["value"] is None:
            st.caption(f"{parts.title(name)}: not defined, {why}.")
    with st.expander("Every number in a table"):
        numbers = {
            name: st.column_config.NumberColumn(format="%.3f")
            for name in frame.columns
            if name.startswith(("first", "second", "difference", "agreement"))
        }
        st.dataframe(frame, hide_index=True, column_config=numbers | {
            name: st.column_config.NumberColumn(format="%.2g") for name in frame.columns if name.startswith("p")
        })  # fmt: skip
        parts.numbers_as_csv(frame, "versus-table")


def _row(name: str, entry: dict) -> Row:
    value, low, high = parts.ends(entry["difference"])
    p = entry["p_holm"]
    areas = f"{parts.number(entry['first']['value'])} and {parts.number(entry['second']['value'])}"
    note = f"{areas}<br>p after Holm {p:.2g}" if p is not None else areas
    if value is None:
        note = f"not defined: {entry['difference'].get('why', 'undefined')}"
    return Row(name, value, low, high, note, p is not None and p < 0.05)


def as_frame(result: dict) -> pd.DataFrame:
    """A row a finding and one for their mean: areas, difference, p, and how often their calls agree."""
    rows = []
    for name, entry in {**result["findings"], "mean over findings": result["macro"]}.items():
        row: dict = {"finding": name}
        for part in ("first", "second", "difference"):
            value, low, high = parts.ends(entry[part])
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


def _one_finding(source: Source, other: Source, pair: SameFilms, result: dict, names: tuple[str, str]) -> None:
    st.subheader("One finding", anchor=False)
    pictures = choose_folder(source)
    _finding(source, other, pair, result, names, pictures)


@st.fragment
def _finding(
    source: Source, other: Source, pair: SameFilms, result: dict, names: tuple[str, str], pictures: Pictures
) -> None:
    finding = parts.finding_picker(source, list(pair.first.labels))
    column = pair.first.labels.index(finding)
    targets = pair.first.targets[:, column]
    first, second = (one.probabilities[:, column].astype(np.float64) for one in (pair.first, pair.second))
    left, right = st.columns(2)
    with left:
        curves = [
            (name, curve)
            for name, curve in zip(names, (roc_curve(targets, first), roc_curve(targets, second)), strict=True)
        ]
        drawn = [(n, c.false_positive_rate, c.sensitivity, c.area) for n, c in curves if c is not None]
        if len(drawn) == 2:
            parts.chart(
                two_rocs(drawn),
                f"versus-roc-{finding}",
                lambda: pd.concat(
                    pd.DataFrame({"model": n, "false_positive_rate": x, "sensitivity": y}) for n, x, y, _ in drawn
                ),
                f"ROC curves of {names[0]} and {names[1]} for {parts.title(finding)}.",
                "Higher is better: more films with the finding found at the same share of false alarms.",
            )
        else:
            parts.missing(result["findings"][finding]["difference"].get("why"))
    cuts = threshold_for(source, finding), threshold_for(other, finding)
    rows = _sample(first, second)
    with right:
        parts.chart(
            disagreement(first[rows], second[rows], targets[rows], pair.first.images[rows], names, cuts),
            f"versus-films-{finding}",
            lambda: _table(pair, targets, first, second, np.arange(len(first)), cuts, names),
            f"Probability of {parts.title(finding)} by either model, a dot a film.",
            "Each dot is a film; far from the diagonal the models disagree. Dashed: their own thresholds."
            + (
                f" {len(rows):,} of {len(first):,} films are drawn, those furthest apart among them."
                if len(rows) < len(first)
                else ""
            ),
        )
    calls = result["findings"][finding].get("calls")
    if calls:
        st.caption(
            f"At their own thresholds they call {parts.percent(calls['agreement'])} of the films alike; "
            f"{calls['only_first']:,} are positive for {parts.escape(names[0])} alone and {calls['only_second']:,} for "
            f"{parts.escape(names[1])} alone."
        )
    else:
        st.caption(f"Their calls are not compared: {result['findings'][finding].get('why_no_calls', 'no thresholds')}.")
    _most_apart(source, pair, finding, targets, first, second, cuts, names, pictures)


def _most_apart(
    source: Source,
    pair: SameFilms,
    finding: str,
    targets: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    cuts: tuple[float | None, float | None],
    names: tuple[str, str],
    pictures: Pictures,
) -> None:
    st.markdown("**Films on which they disagree most**")
    right = st.segmented_control(
        "Show", ["All", f"{names[0]} is closer", f"{names[1]} is closer"], default="All", required=True,
        key="versus-closer", label_visibility="collapsed",
    )  # fmt: skip
    closer = np.abs(second - targets) - np.abs(first - targets)  # above 0: the first is closer to the truth
    keep = (
        np.ones(len(first), dtype=bool) if right == "All" else closer > 0 if right.startswith(names[0]) else closer < 0
    )
    order = np.flatnonzero(keep)[np.argsort(-np.abs(first - second)[keep], kind="stable")]
    if not len(order):
        st.info("There is no such film.")
        return
    shown = order[:SHOWN]
    frame = _table(pair, targets, first, second, shown, cuts, names)
    event = st.dataframe(
        frame, hide_index=True, on_select="rerun", selection_mode="single-row", key=f"versus-{finding}-{right}",
        column_config={
            "apart": st.column_config.NumberColumn(format="%.3f"),
            **{name: st.column_config.ProgressColumn(min_value=0, max_value=1, format="%.3f") for name in names},
        },
    )  # fmt: skip
    st.download_button(
        f"All {len(order):,} as CSV",
        lambda: safe_csv(_table(pair, targets, first, second, order, cuts, names)),
        file_name="disagreement.csv", mime="text/csv", key="versus-csv", on_click="ignore", type="tertiary",
    )  # fmt: skip
    picked = event["selection"]["rows"]
    if picked and picked[0] < len(shown):
        with st.container(width=520):
            show_film(source, str(pair.first.images[shown[picked[0]]]), finding, pictures)


def _table(
    pair: SameFilms,
    targets: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    rows: np.ndarray,
    cuts: tuple[float | None, float | None],
    names: tuple[str, str],
) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "image": pair.first.images[rows],
            "patient_id": pair.first.patient_ids[rows],
            "truth": np.where(
                np.isnan(targets[rows]), "unknown", np.where(targets[rows] == 1, "with it", "without it")
            ),
            names[0]: first[rows],
            names[1]: second[rows],
            "apart": np.abs(first[rows] - second[rows]),
        }
    )
    for name, scores, cut in zip(names, (first, second), cuts, strict=True):
        if cut is not None:
            frame[f"{name}: outcome"] = outcomes_of(targets[rows], scores[rows] >= cut)
    return frame


def _sample(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Rows to draw: all where they are few, else those furthest apart and an even part of the rest."""
    if len(first) <= POINTS:
        return np.arange(len(first))
    order = np.argsort(-np.abs(first - second), kind="stable")
    rest = order[POINTS // 4 :]
    return np.concatenate([order[: POINTS // 4], rest[:: -(-len(rest) // (POINTS * 3 // 4))]])


page()
