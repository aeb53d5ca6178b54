"""Other explanations: baselines that see no disease, sources, labels that the model contradicts, near-duplicates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from cxrcore.evaluation.audit_report import summary_of_films
from cxrcore.evaluation.robustness import HEAD, as_rows, summary
from cxrcore.text import ends
from dashboard import parts
from dashboard.charts.forest import Row, Series, forest
from dashboard.charts.style import COLOURS
from dashboard.sources.source import Source

MODEL = "the model"
ROW_OF_SERIES = 16  # pixels
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x")


def beside_baselines(audit: Mapping[str, Any]) -> None:
    """AUROC of the model and of every baseline, by finding, drawn and as a table."""
    names = audit["baselines"]
    kinds = {key: name for key, name in names.items() if any(_area(row, key)["value"] for row in _rows(audit).values())}
    st.subheader("The model beside baselines that see no disease", anchor=False)
    series = [
        Series(
            [Row(parts.title(name), *ends(_area(row, key))) for name, row in _rows(audit).items()],
            label,
            COLOURS[k % len(COLOURS)],
            SYMBOLS[k % len(SYMBOLS)],
        )
        for k, (key, label) in enumerate({"": MODEL, **kinds}.items())
    ]
    frame = pd.DataFrame(
        [
            {"finding": name, "scored": label, "auroc": value, "low": low, "high": high}
            for name, row in _rows(audit).items()
            for key, label in {"": MODEL, **names}.items()
            for value, low, high in [ends(_area(row, key))]
        ]
    )
    figure = forest([parts.title(name) for name in _rows(audit)], series, "AUROC", reference=0.5, beside=True)
    figure.update_layout(height=140 + ROW_OF_SERIES * len(series) * len(_rows(audit)))
    parts.chart(
        figure,
        "audit",
        frame,
        "AUROC of the model and of each baseline by finding, with intervals; the numbers are in the table below",
        f"Each baseline is a logistic regression on the audited films, {audit['folds']} folds by patient. Right of the "
        "dashed line it tells films with the finding from films without it better than chance.",
    )
    table = [
        {"Finding": parts.title(name), "With": row["n_pos"], "Without": row["n_neg"], MODEL: _cell(row, "")}
        | {label: _cell(row, key) for key, label in names.items()}
        for name, row in _rows(audit).items()
    ]
    st.dataframe(pd.DataFrame(table), hide_index=True, height="content")
    for key, label in names.items():
        whys = {str(_area(row, key)["why"]) for row in _rows(audit).values() if _area(row, key).get("why")}
        if key not in kinds and whys:
            st.caption(f"{label}: not measured, since {parts.escape('; '.join(sorted(whys)))}.")


def by_source(audit: Mapping[str, Any]) -> None:
    """Films by source, and how the model's probability differs between sources."""
    sources = audit["sources"]
    st.subheader("Sources", anchor=False)
    if not sources["films"]:
        parts.missing(sources.get("why"))
        return
    rows = [
        {"Source": source, "Films": row["n"]}
        | {f"With {name}": count["with"] for name, count in row["findings"].items()}
        for source, row in sources["films"].items()
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, height="content")
    told = [
        {
            "Finding": parts.title(row["finding"]),
            "Among": row["among"],
            "Source": row["source"],
            "AUROC, source against the others": parts.NUMBER.estimate(row["auroc"]),
            "Named": row["named"],
        }
        for row in sources["told_apart"]
    ]
    if told:
        st.caption(
            "Among films alike in the finding the model's probability should not tell where they come from (0.5). "
            "Named are those whose interval lies more than 0.05 away: severity, age or devices may differ by source, "
            "or the model reads the source."
        )
        st.dataframe(pd.DataFrame(told), hide_index=True)
        parts.numbers_as_csv(pd.DataFrame(told), "sources")


def single_films(audit: Mapping[str, Any]) -> None:
    """Labels to look at again, and pairs of near-duplicates."""
    st.subheader("Labels to look at again", anchor=False)
    rows = [
        {
            "Finding": parts.title(name),
            "Film": film["image"],
            "Label": film["label"],
            "Probability": film["probability"],
        }
        for name, found in audit["label_errors"].items()
        for film in found["films"] or ()
    ]
    st.caption(
        "Films whose label the model contradicts, by confident learning (Northcutt 2021); at most ten a finding, the "
        "most contradicted first. Either the label is wrong or the model is: look at the film."
    )
    for line in summary_of_films(audit):
        st.markdown(f"- {parts.escape(line)}")
    if rows:
        st.dataframe(
            pd.DataFrame(rows),
            hide_index=True,
            column_config={"Probability": st.column_config.NumberColumn(format="%.3f")},
        )
        parts.numbers_as_csv(pd.DataFrame(rows), "labels")
    if pairs := audit["near_duplicates"]["pairs"]:
        st.subheader("Near-duplicates in training", anchor=False)
        st.dataframe(pd.DataFrame(pairs), hide_index=True)


def _rows(audit: Mapping[str, Any]) -> Mapping[str, Any]:
    rows: Mapping[str, Any] = audit["findings"]
    return rows


def _area(row: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A baseline's area; the model's for an empty key."""
    area: Mapping[str, Any] = row["baselines"][key]["auroc"] if key else row["auroc"]
    return area


def _cell(row: Mapping[str, Any], key: str) -> str:
    return parts.NUMBER.estimate(_area(row, key))


def changed_films(source: Source) -> None:
    """Scores under changes that leave the patient as he is: of one finding, drawn and as a table."""
    st.subheader("Changed films", anchor=False)
    data = source.robustness
    if data is None:
        st.info(
            f"No changed films were scored. `cxr evaluate {parts.arguments(source)} --out RESULTS --shake 300` scores "
            "300 of DIR's films in nine changes of tone, framing and file that leave the patient as he is; then open "
            "RESULTS here."
        )
        return
    st.markdown(f"{parts.escape(summary(data))}.")
    finding = parts.finding_picker(source)
    of_finding = {name: own["findings"][finding] for name, own in data["changes"].items()}
    series = [
        Series([Row(name, *ends(own["difference"])) for name, own in each.items()], label, colour, symbol)
        for each, label, colour, symbol in (
            (of_finding, parts.title(finding), COLOURS[0], SYMBOLS[0]),
            (data["changes"], "mean over findings", COLOURS[1], SYMBOLS[1]),
        )
    ]
    frame = pd.DataFrame(as_rows(data, finding), columns=list(HEAD))
    parts.chart(
        forest(list(of_finding), series, "difference of the AUROC", reference=0, beside=True),
        f"changed-{finding}",
        frame,
        f"AUROC of {finding} under each change less that of the unchanged films; the numbers are in the table below",
        "Left of the dashed line the change costs AUROC. Intervals are 95 %, paired, by patient.",
    )
    wide = {"AUROC": st.column_config.TextColumn(width="medium")}
    st.dataframe(frame, hide_index=True, height="content", column_config=wide)


def _needs_audit(source: Source) -> None:
    first = ""
    if source.folder is None:
        first = (
            f"A table of predictions alone cannot be audited: `cxr evaluate {parts.arguments(source)} --out RESULTS` "
            "scores its model on these films first. "
        )
    st.info(
        f"{first}These results have no audit. `cxr audit {parts.arguments(source)} --out RESULTS` makes one from DIR, "
        "a folder with the data set's films. RESULTS is the folder of the results, and may be left out for a run."
    )


def show() -> None:
    """Draw the page."""
    source = parts.current_source()
    parts.page_head(
        "What else could explain the score?",
        "A score can come from the film's border, its tone, the kind of patient or the hospital instead of disease. A "
        "baseline above chance shows that these films allow it, not that the model does it.",
        source,
    )
    if source.audit is None:
        _needs_audit(source)
    else:
        audited(source, source.audit)
    changed_films(source)


def audited(source: Source, audit: Mapping[str, Any]) -> None:
    """Draw what the audit found."""
    if source.metrics.model and audit["model"] != source.metrics.model:
        st.warning(
            f"The audit is of {parts.escape(audit['model'])}, and the scores are of other weights: make it again."
        )
    for sentence in audit["sentences"] or ["No baseline is above chance, and no source stands out."]:
        st.markdown(f"- {parts.escape(sentence)}")
    beside_baselines(audit)
    by_source(audit)
    single_films(audit)


show()
