"""Which results? The pickers in the sidebar, and on a page that compares with a second source."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from cxrcore.columns import IDENTITY, findings_of, guess_columns
from cxrcore.errors import CxrError
from cxrcore.findings import NIH15
from cxrcore.table_files import TableFile
from dashboard import sources, state
from dashboard.sources import Source

FOLDER = "folder"
_LOCAL = ("", "127.0.0.1", "localhost", "::1")
_NAMES = {FOLDER: "A folder or table on this computer", state.UPLOAD: "An uploaded table"}
_TYPES = ["csv", "gz", "parquet"]
_NONE = "–"


def choose_source(prefix: str = "", label: str = "Results of") -> Source | None:
    """Draw the pickers and open what they say; None, with a sentence on the page, where that cannot be.

    ``prefix``: ``other_`` for a second source, with link keys of its own.
    """
    names = sources.offered()
    options = [*names, *([FOLDER] if may_type_folders() else []), state.UPLOAD]
    said = state.read(f"{prefix}model") or _preselected(prefix, options)
    chosen = said if said in options else FOLDER if FOLDER in options else options[0]
    if said not in options and FOLDER not in options:
        st.warning(f"There is no model {Path(said).name!r} here; this is {chosen}.")
    place = f"{prefix}kind"
    st.session_state[place] = chosen

    def changed() -> None:
        kind = st.session_state[place]
        forgotten = dict.fromkeys((f"{prefix}labels", f"{prefix}evaluation"))
        if not prefix:
            forgotten |= dict.fromkeys(("finding", "threshold", "rule"))
        state.write(**forgotten, **{f"{prefix}model": kind})

    st.selectbox(label, options, key=place, on_change=changed, format_func=lambda name: (names | _NAMES)[name])
    try:
        if chosen == state.UPLOAD:
            return _uploaded(prefix)
        if chosen == FOLDER:
            return _on_disk(prefix, "" if said == FOLDER else said)
        return _evaluation_of(prefix, chosen, None)
    except CxrError as error:
        st.error(sentence(error))
    return None


def sentence(error: CxrError) -> str:
    """An error as a sentence; a name that it begins with keeps its letters."""
    text = str(error)
    named = set(text.partition(" ")[0]) & set("./_@")
    return (text if named else text[:1].upper() + text[1:]) + ("" if text.endswith((".", "!", "?")) else ".")


def _preselected(prefix: str, options: list[str]) -> str:
    """CXR_MODEL at first; a second source starts as an upload."""
    return state.UPLOAD if prefix else os.environ.get("CXR_MODEL") or options[0]


def may_type_folders() -> bool:
    """Paths are for those who sit at this computer: a public server would tell strangers what it holds."""
    return os.environ.get("CXR_HOST", "") in _LOCAL and "SPACE_ID" not in os.environ


def _evaluation_of(prefix: str, reference: str, labels: str | None) -> Source:
    there = sources.evaluations(reference, labels)
    key = f"{prefix}evaluation"
    chosen = there[0]
    if len(there) > 1:
        chosen = state.pick(key, "Scored on", there, there[0], forget=() if prefix else ("threshold",))
    return sources.open_source(reference, chosen, labels)


def _on_disk(prefix: str, reference: str) -> Source | None:
    model, labels = f"{prefix}path", f"{prefix}label-path"
    st.session_state[model] = reference
    st.session_state[labels] = state.read(f"{prefix}labels") or ""

    def changed() -> None:
        state.write(
            **{
                f"{prefix}model": st.session_state[model].strip() or FOLDER,
                f"{prefix}labels": st.session_state[labels].strip(),
                f"{prefix}evaluation": None,
            }
        )

    st.text_input("Folder of a model, or predictions table", key=model, on_change=changed, placeholder="runs/my-model")
    st.text_input(
        "Label file, for a table without labels",
        key=labels,
        on_change=changed,
        placeholder="Data_Entry_2017_v2020.csv.gz",
    )
    if not reference:
        st.info("Type the path of a model's folder, of an evaluation, or of a predictions table.")
        return None
    return _evaluation_of(prefix, reference, state.read(f"{prefix}labels"))


def _uploaded(prefix: str) -> Source | None:
    upload = st.file_uploader(
        "Predictions: CSV, CSV.GZ or Parquet",
        type=_TYPES,
        key=f"{prefix}upload",
        help="A row a film: a column for the film, prob_<finding> for each finding, and target_<finding> unless a "
        "label file says. It stays in this server's memory and goes when you close the page.",
    )
    labels = st.file_uploader("Label file, where the table has no labels", type=_TYPES, key=f"{prefix}upload-labels")
    if upload is None:
        st.info("Upload a table of anyone's predictions. What it holds is checked, and shown on every page.")
        return None
    mapping = _columns(prefix, upload)
    there = sources.upload_splits(upload, labels, mapping)
    chosen = there[0]
    if len(there) > 1:
        chosen = state.pick(f"{prefix}evaluation", "Scored on", there, there[0])
    return sources.open_upload(upload, chosen, labels, mapping)


def _columns(prefix: str, upload: Any) -> Mapping[str, str] | None:
    """Which column means what: as guessed, and as the reader says otherwise. None: all as guessed."""
    upload.seek(0)
    names = TableFile.of(upload).columns()
    try:
        guessed = guess_columns(names)
    except CxrError:  # two columns of one meaning: the reader chooses
        guessed = {}
    free = [name for name in names if name not in guessed.values()]
    known = findings_of(guessed, "prob")
    with st.expander("Columns", expanded=not known or "image" not in guessed):
        st.caption("What each means; change what was read wrongly.")
        said = {}
        for meaning in IDENTITY:
            words = meaning.replace("_", " ").capitalize()
            found = guessed.get(meaning, _NONE)
            column = st.selectbox(
                words,
                [_NONE, *names],
                index=[_NONE, *names].index(found),
                key=f"{prefix}column-{meaning}-{upload.file_id}",
            )
            if column not in (_NONE, found):
                said[meaning] = column
        for column in free[:20]:
            finding = st.selectbox(
                f"{column} is the probability of",
                [_NONE, *NIH15],
                key=f"{prefix}prob-{column}-{upload.file_id}",
                accept_new_options=True,
            )
            if finding not in (_NONE, None, ""):
                said[f"prob:{finding}"] = column
    return said or None
