"""People who read cases, beside the model whose answers they saw: one reader or several, from files of rounds."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from cxrcore.errors import CxrError
from cxrcore.evaluation.readers import BOX_RULE, CALL_RULE, score_reading, several_readers
from cxrcore.evaluation.readings import Reading, read_reading, same_cases
from cxrcore.text import NumberFormat
from dashboard import parts
from dashboard.charts.forest import Row, Series, forest
from dashboard.charts.style import BLUE, GREEN, GREY
from dashboard.parts import NUMBER, PERCENT, TWO_DIGITS
from dashboard.sources.choosing import sentence

QUESTION = "How well do people read these cases, alone and with the model?"
HOW = (
    "Each file is one reader's round, saved at its end on the app's page “Learn to read”. Reader and model, and a "
    "reader's answers before and after the model's, are compared on the same cases."
)
MAX_READERS = 50
GAIN = NumberFormat(digits=3, signed=True, between="–", undefined="–")
SECONDS = NumberFormat(digits=0, unit=" s", undefined="–")


def page() -> None:
    """Draw the page."""
    st.header(QUESTION, anchor=False)
    st.caption(HOW)
    uploads = st.file_uploader(
        "Rounds, a CSV each",
        type=["csv"],
        accept_multiple_files=True,
        key="readers-upload",
        help="They stay in this server's memory until you close the page.",
    )
    if not uploads:
        st.info("Upload the CSV of one or several rounds. Several readers of the same cases are analysed together.")
        return
    readings = _readings(uploads[:MAX_READERS])
    if not readings:
        return
    scores = [score_reading(one) for one in readings]
    _each_reader(readings, scores)
    if len(readings) > 1:
        _together(readings)
    _one_reader(readings, scores)


def _readings(uploads: list[Any]) -> list[Reading]:
    """The rounds that can be read, each reader under a name of its own; an error for every other file."""
    readings: list[Reading] = []
    for upload in uploads:
        upload.seek(0)
        try:
            reading = read_reading(upload)
        except CxrError as error:
            st.error(sentence(error))
            continue
        names = [one.reader for one in readings]
        number = sum(name == reading.reader or name.startswith(f"{reading.reader} (") for name in names)
        readings.append(reading.called(f"{reading.reader} ({number + 1})") if number else reading)
    return readings


def _each_reader(readings: list[Reading], scores: list[dict[str, Any]]) -> None:
    st.subheader("Each reader, over all findings", anchor=False)
    names = [one.reader for one in readings]
    changed = any(one["changed"]["towards_truth"] + one["changed"]["away_from_truth"] for one in scores)
    looks = {"before": ("alone", BLUE, "circle"), "after": ("with the model", GREEN, "diamond")}
    looks = {part: look for part, look in looks.items() if part == "before" or changed}
    if any(one["overall"]["model"] for one in scores):
        looks["model"] = ("the model on the same cases", GREY, "square")
    series = [
        Series(
            [_row((one["overall"][part] or {}).get("auroc"), name) for name, one in zip(names, scores, strict=True)],
            *look,
        )
        for part, look in looks.items()
    ]
    frame = readers_frame(readings, scores)
    parts.chart(
        forest(names, series, "AUROC, mean over findings", reference=0.5, beside=True),
        "readers",
        frame,
        f"AUROC of {len(names)} readers alone, with the model, and of the model, with intervals.",
        "Further right is better; the dashed line is guessing.",
    )
    st.dataframe(frame, hide_index=True)
    st.caption(f"{CALL_RULE} {BOX_RULE} In brackets: 95 % intervals by patient.")


def _row(estimate: dict[str, Any] | None, name: str) -> Row:
    value, low, high = (None, None, None) if estimate is None else (estimate[key] for key in ("value", "low", "high"))
    return Row(name, value, low, high, "" if estimate is None else estimate.get("why", ""))


def readers_frame(readings: list[Reading], scores: list[dict[str, Any]]) -> pd.DataFrame:
    """A row a reader: cases, scores alone, with the model and of the model, boxes, time and changed answers."""
    rows = []
    for reading, one in zip(readings, scores, strict=True):
        before, after, model = (one["overall"][part] or {} for part in ("before", "after", "model"))
        changed = one["changed"]
        rows.append(
            {
                "reader": reading.reader,
                "cases": one["n"],
                "AUROC": NUMBER.estimate(before["auroc"]),
                "with the model": NUMBER.estimate(after["auroc"]),
                "the model": NUMBER.estimate(model.get("auroc")),
                "gain": GAIN.estimate(one["gain"]["difference"]),
                "sensitivity": PERCENT.estimate(before["sensitivity"]),
                "specificity": PERCENT.estimate(before["specificity"]),
                "boxes that hit": PERCENT.estimate(one["boxes"]["hit"]),
                "overlap (IoU)": TWO_DIGITS.number(one["boxes"]["mean_iou"]),
                "seconds a case": SECONDS.number(one["seconds"]["median"]),
                "changed towards the truth": changed["towards_truth"],
                "changed away from it": changed["away_from_truth"],
            }
        )
    return pd.DataFrame(rows)


def _together(readings: list[Reading]) -> None:
    st.subheader("All readers together", anchor=False)
    try:
        matched, others = same_cases(readings)
    except CxrError as error:
        st.error(sentence(error))
        return
    result = several_readers(matched)
    left = f" {others:,} cases that not all of them read are left out." if others else ""
    st.markdown(f"{len(matched)} readers of the same {result['n']:,} cases.{left}")
    study = result["study"]
    if study is None:
        st.info(f"No interval over readers: {result['why']}.")
        return
    cards = st.columns(4)
    findings = ", ".join(parts.title(name) for name in result["findings"])
    entries: list[tuple[str, dict[str, Any] | None, str, NumberFormat]] = [
        ("AUROC alone", study["before"], "Mean of the readers.", NUMBER),
        ("AUROC with the model", study["after"], "Mean of the readers after they saw the model's answer.", NUMBER),
        ("Gain by the model", study["gain"], "With the model minus alone, paired by reader and case.", GAIN),
        ("Readers minus model", result["versus_model"], "Alone, minus the model on the same cases.", GAIN),
    ]
    for column, (label, estimate, words, style) in zip(cards, entries, strict=True):
        with column:
            value, low, high = _ends(estimate)
            parts.card(label, style.number(value), style.interval(low, high), words)
    p = "" if study["p"] is None else f" The gain's p is {study['p']:.2g}."
    why = [entry["why"] for _, entry, *_ in entries if entry and entry.get("why")]
    st.caption(
        f"Mean over {findings}. Intervals over readers and cases (Obuchowski and Rockette 1995, Hillis 2007) hold "
        f"for other readers and cases of this kind.{p}{' ' + sentence(CxrError(why[0])) if why else ''}"
    )


def _ends(estimate: dict[str, Any] | None) -> tuple[float | None, float | None, float | None]:
    if estimate is None:
        return None, None, None
    return estimate["value"], estimate["low"], estimate["high"]


def _one_reader(readings: list[Reading], scores: list[dict[str, Any]]) -> None:
    st.subheader("One reader beside the model", anchor=False)
    names = [one.reader for one in readings]
    name = st.selectbox("Reader", names, key="readers-one") if len(names) > 1 else names[0]
    frame = findings_frame(scores[names.index(name)])
    st.dataframe(frame, hide_index=True)
    parts.numbers_as_csv(frame, "reader-findings")
    st.caption(
        "Difference: the reader's AUROC alone minus the model's, paired by case (DeLong, by patient where patients "
        "repeat). p is not corrected for the number of findings."
    )
    changed = scores[names.index(name)]["changed"]
    st.markdown(
        f"Of {changed['answers']:,} answers, the model's answer moved {changed['towards_truth']:,} towards the truth "
        f"and {changed['away_from_truth']:,} away from it; calls put right: {changed['calls_corrected']:,}, made "
        f"wrong: {changed['calls_spoiled']:,}."
    )


def findings_frame(scores: dict[str, Any]) -> pd.DataFrame:
    """A row a finding: counts, AUROC alone, with the model and of the model, the paired difference, and rates."""
    rows = []
    for name, one in scores["findings"].items():
        versus = one["versus_model"] or {}
        rows.append(
            {
                "finding": parts.title(name),
                "with it": one["n_pos"],
                "without it": one["n_neg"],
                "AUROC": NUMBER.estimate(one["before"]["auroc"]),
                "with the model": NUMBER.estimate(one["after"]["auroc"]),
                "the model": NUMBER.estimate((one["model"] or {}).get("auroc")),
                "difference": GAIN.estimate(versus.get("difference")),
                "p": "–" if versus.get("p") is None else f"{versus['p']:.2g}",
                "sensitivity": PERCENT.estimate(one["before"]["sensitivity"]),
                "specificity": PERCENT.estimate(one["before"]["specificity"]),
            }
        )
    return pd.DataFrame(rows)


page()
