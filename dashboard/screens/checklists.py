"""Reporting checklists: what reviewers ask for, answered from what the model's folder holds."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from cxrcore.reporting.bundle_facts import read_facts
from cxrcore.reporting.checklist_answers import Status
from cxrcore.reporting.checklists import Checklist, fill_checklists
from dashboard import parts, state
from dashboard.sources.source import Source

ALL = "all"
_BADGES = {Status.DONE: "green", Status.NOT_DONE: "orange", Status.OPEN: "blue"}


def filled(source: Source) -> list[Checklist]:
    """The checklists of the open model, filled once."""
    folder = source.folder
    return [] if folder is None else source.once("checklists", lambda: fill_checklists(read_facts(folder)))


def table(checklist: Checklist, status: str) -> str:
    """Markdown of the rows with that status, or of all of them."""
    rows = [row for row in checklist.rows if status in (ALL, row.status)]
    badges = {status: f":{colour}-badge[{status}]" for status, colour in _BADGES.items()}
    lines = [
        f"| {row.number} {parts.escape(row.item)} | {badges[row.status]} {parts.escape(row.text)} |" for row in rows
    ]
    return "\n".join(["| Item | Answer |", "|---|---|", *lines])


def show() -> None:
    """Draw the page."""
    source = parts.current_source()
    parts.page_head(
        "What would a reviewer still ask for?",
        "Reporting checklists, filled from what the model's folder holds: done with the measured fact, not done with "
        "the reason, or for the publisher to say. The items' wording is short; the published lists decide.",
        source,
    )
    checklists = filled(source)
    if not checklists:
        place = f"DIR/evaluation/{source.dataset or 'DATASET'}-{source.split or 'test'}"
        st.info(
            "A table of predictions says nothing about how its model was made. Open a model's folder instead, DIR, as "
            f"`cxr fit` and `cxr pull` write it; `cxr evaluate {parts.arguments(source)} --out {place}` puts scores "
            "into it."
        )
        return
    st.markdown("\n".join(f"- {checklist.summary}" for checklist in checklists))
    names = [checklist.name for checklist in checklists]
    chosen = state.pick("checklist", "Checklist", names, names[0])
    status = state.pick("status", "Status", [ALL, *map(str, Status)], ALL)
    checklist = checklists[names.index(chosen)]
    if status == ALL or checklist.count(Status(status)):
        st.markdown(table(checklist, status))
    else:
        st.info(f"No item of {chosen} is {status}.")
    st.caption(f"The list: {checklist.source}.")
    rows = [
        {"item": row.number, "wording": row.item, "status": str(row.status), "answer": row.text}
        for row in checklist.rows
    ]
    parts.numbers_as_csv(pd.DataFrame(rows), "checklist")


show()
