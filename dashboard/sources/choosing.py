"""Which results? The pickers in the sidebar, and on a page that compares with a second source."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cxrcore.errors import CxrError
from cxrcore.findings import NIH15
from cxrcore.predictions.column_names import IDENTITY, findings_of, guess_columns
from cxrcore.predictions.table_reader import TableFile
from dashboard import host, state
from dashboard.sources import hub
from dashboard.sources import source as sources
from dashboard.sources.source import Source

FOLDER, HUB, STARTED = "folder", "hub", "started"
_NAMES = {
    FOLDER: "A folder or table on this computer",
    HUB: "A model on the Hugging Face Hub",
    state.UPLOAD: "An uploaded table",
}
_OPEN = "open-source"  # where a visitor's last source is kept, to go on with where another cannot be had
_FAULTS = "hub-faults"  # what was said of links that could not be opened, until asked to try again
_TYPES = ["csv", "gz", "parquet"]
_NONE = "–"


def choose_source(prefix: str = "", label: str = "Results of", above: DeltaGenerator | None = None) -> Source | None:
    """Draw the pickers and open what they say; None, with a sentence on the page, where that cannot be.

    ``prefix``: ``other_`` for a second source, with link keys of its own. ``above``: where the sentence goes.
    """
    above = above or st.container()
    names = _offered()
    options = [*names, *([HUB] if host.may_open_hub() else [])]
    options += [*([FOLDER] if host.may_type_folders() else []), state.UPLOAD]
    said = state.read(f"{prefix}model") or (state.UPLOAD if prefix else host.started_with() or options[0])
    chosen = _kind(said, options)
    if chosen is None:
        above.warning(f"There is no model {_plain(said)!r} here; this is {names[options[0]]}.")
        said = chosen = options[0]
    place = f"{prefix}kind"
    st.session_state[place] = chosen

    def changed() -> None:
        _link(prefix, st.session_state[place])

    st.selectbox(label, options, key=place, on_change=changed, format_func=lambda name: (names | _NAMES)[name])
    try:
        source = _open(prefix, chosen, said, above)
    except CxrError as error:
        above.error(sentence(error))
        return None
    if source is not None:
        st.session_state[prefix + _OPEN] = source
    return source


def _offered() -> dict[str, str]:
    """Models in the menu: the embedded ones, and first what a public server was started with."""
    names, own = sources.offered(), host.started_with()
    return {STARTED: _plain(own)} | names if own and own not in names and not host.may_type_folders() else names


def _plain(reference: str) -> str:
    """A model's name without the folders before it."""
    return hub.short(reference) if hub.reference_of(reference) is not None else Path(reference).name


def _kind(said: str, options: list[str]) -> str | None:
    """Which option a link's model falls under; None where it is none of this server's business."""
    if said in options:
        return said
    if STARTED in options and (said == host.started_with() or hub.is_started_model(said)):
        return STARTED
    wanted = HUB if hub.reference_of(said) is not None else FOLDER
    return wanted if wanted in options else None


def _link(prefix: str, model: str) -> None:
    """Another model: what was chosen for the last one is forgotten."""
    forgotten = dict.fromkeys((f"{prefix}labels", f"{prefix}evaluation"))
    if not prefix:
        forgotten |= dict.fromkeys(("finding", "threshold", "rule"))
    state.write(**forgotten, **{f"{prefix}model": model})


def _open(prefix: str, chosen: str, said: str, above: DeltaGenerator) -> Source | None:
    if chosen == state.UPLOAD:
        return _uploaded(prefix)
    if chosen == FOLDER:
        return _on_disk(prefix, "" if said == FOLDER else said)
    if chosen == HUB:
        return _on_hub(prefix, "" if said == HUB else said, above)
    if chosen == STARTED:
        own = host.started_with()
        is_there = hub.reference_of(own) is not None
        return _from_hub(prefix, own if said == STARTED else said, above) if is_there else _evaluation_of(prefix, own)
    return _evaluation_of(prefix, chosen)


def sentence(error: CxrError) -> str:
    """An error as a sentence; a name that it begins with keeps its letters."""
    text = str(error)
    named = set(text.partition(" ")[0]) & set("./_@")
    return (text if named else text[:1].upper() + text[1:]) + ("" if text.endswith((".", "!", "?")) else ".")


def _evaluation_of(prefix: str, reference: str, labels: str | None = None) -> Source:
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


def _on_hub(prefix: str, link: str, above: DeltaGenerator) -> Source | None:
    """A field for a model on the Hub, those that are here already, and the one that is open."""
    typed, picked, shown = f"{prefix}hub", f"{prefix}hub-here", f"{prefix}hub-shown"
    field = st.container()
    source = _from_hub(prefix, link, above)
    now = hub.short(state.read(f"{prefix}model") or link)
    if st.session_state.get(shown) != now:  # else what was typed and refused stays, to be mended
        st.session_state[shown] = now
        st.session_state[typed] = "" if now == HUB else now

    def wanted(key: str) -> None:
        if (text := st.session_state[key].strip()) not in ("", _NONE):
            hub.want(text, prefix=prefix)

    field.text_input(
        "Model on the Hub", key=typed, on_change=wanted, args=(typed,), placeholder="user/repo or user/repo@revision"
    )
    if here := list(hub.models().cached_models()):
        st.session_state[picked] = _NONE
        field.selectbox("Or one that is here already", [_NONE, *here], key=picked, on_change=wanted, args=(picked,))
    return source


def _from_hub(prefix: str, link: str, above: DeltaGenerator) -> Source | None:
    """What was just asked for, else what the link says; where that cannot be had, what was open before."""
    kept: Source | None = st.session_state.get(prefix + _OPEN)
    faults: dict[str, str] = st.session_state.setdefault(_FAULTS, {})
    asked = hub.wanted(prefix)
    if asked is not None:
        try:
            with st.spinner(f"Looking for {asked[0]} …"):
                found = hub.find(*asked)[0]
                sources.evaluations(found)
        except CxrError as error:
            return _as_before(kept, sentence(error), above if asked[1] else st.container())  # beside the field
        link = found
        _link(prefix, link)
    if not link:
        return kept
    if link in faults:
        st.button("Try again", key=f"{prefix}hub-again", on_click=lambda: faults.clear())
        return _as_before(kept, faults[link], above)
    try:
        with st.spinner(f"Looking for {hub.short(link)} …"):
            pinned = hub.find(link)[0]
        if pinned != link:
            state.write(**{f"{prefix}model": pinned})
        return _evaluation_of(prefix, pinned)
    except CxrError as error:
        faults[link] = sentence(error)
        return _as_before(kept, faults[link], above)


def _as_before(kept: Source | None, said: str, above: DeltaGenerator) -> Source | None:
    above.error(said + (f" Still shown: {kept.name}." if kept else ""))
    return kept


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
