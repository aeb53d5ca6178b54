"""The pickers of results: in the sidebar, and on the page that compares with a second source."""

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
from dashboard.parts import escape
from dashboard.sources import hub
from dashboard.sources.opening import embedded_titles, evaluations, open_source
from dashboard.sources.source import Source
from dashboard.sources.tables import open_upload, upload_splits
from dashboard.sources.uploads import Upload, uploads

FOLDER, HUB, STARTED = "folder", "hub", "started"
_NAMES = {
    FOLDER: "A folder or table on this computer",
    HUB: "A model on the Hugging Face Hub",
    state.UPLOAD: "An uploaded table",
}
_OPEN = "open-source"  # session key of the visitor's last source, which stays open where another cannot be opened
_FAULTS = "hub-faults"  # session key of the error messages of links, until the visitor tries again
_TYPES = ["csv", "gz", "parquet"]
_NONE = "–"


def choose_source(prefix: str = "", label: str = "Results of", above: DeltaGenerator | None = None) -> Source | None:
    """Draw the pickers and open what is chosen; None, with a message on the page, where that fails.

    ``prefix``: ``other_`` for a second source, with link keys of its own. ``above``: where messages go.
    """
    above = above or st.container()
    titles = _titles()
    options = [*titles, *([HUB] if host.may_open_hub() else [])]
    options += [*([FOLDER] if host.may_type_folders() else []), state.UPLOAD]
    reference = state.read(f"{prefix}model") or (state.UPLOAD if prefix else host.started_with() or options[0])
    chosen = _option_of(reference, options)
    if chosen is None:
        above.warning(f"There is no model {_short(reference)!r} here; this is {titles[options[0]]}.")
        reference = chosen = options[0]
    key = f"{prefix}kind"
    st.session_state[key] = chosen

    def changed() -> None:
        _write_model(prefix, st.session_state[key])

    st.selectbox(label, options, key=key, on_change=changed, format_func=lambda name: (titles | _NAMES)[name])
    try:
        source = _open(prefix, chosen, reference, above)
    except CxrError as error:
        above.error(sentence(error))
        return None
    if source is not None:
        st.session_state[prefix + _OPEN] = source
    return source


def _titles() -> dict[str, str]:
    """Models in the menu: the embedded ones, and before them the model that a public server was started with."""
    titles, own = embedded_titles(), host.started_with()
    is_extra = own and own not in titles and not host.may_type_folders()
    return {STARTED: _short(own)} | titles if is_extra else titles


def _short(reference: str) -> str:
    """A model's name without the folders before it."""
    return hub.short(reference) if hub.reference_of(reference) is not None else Path(reference).name


def _option_of(reference: str, options: list[str]) -> str | None:
    """The option that a link's model belongs to; None where this server does not offer it."""
    if reference in options:
        return reference
    if STARTED in options and (reference == host.started_with() or hub.is_started_model(reference)):
        return STARTED
    wanted = HUB if hub.reference_of(reference) is not None else FOLDER
    return wanted if wanted in options else None


def _write_model(prefix: str, model: str) -> None:
    """Write another model into the link, and drop the choices that belonged to the last one."""
    for key in (f"{prefix}upload", f"{prefix}upload_labels"):
        uploads().drop(state.read(key) or "")
    state.write(**dict.fromkeys(f"{prefix}{key}" for key in state.SOURCE_KEYS) | {f"{prefix}model": model})
    if not prefix:
        state.forget_choices()


def _open(prefix: str, chosen: str, reference: str, above: DeltaGenerator) -> Source | None:
    if chosen == state.UPLOAD:
        return _uploaded(prefix)
    if chosen == FOLDER:
        return _on_disk(prefix, "" if reference == FOLDER else reference)
    if chosen == HUB:
        return _on_hub(prefix, "" if reference == HUB else reference, above)
    if chosen == STARTED:
        own = host.started_with()
        if hub.reference_of(own) is None:
            return _evaluation_of(prefix, own)
        return _from_hub(prefix, own if reference == STARTED else reference, above)
    return _evaluation_of(prefix, chosen)


def sentence(error: CxrError) -> str:
    """An error as a sentence; a name that it begins with keeps its letters."""
    text = str(error)
    named = set(text.partition(" ")[0]) & set("./_@")
    return (text if named else text[:1].upper() + text[1:]) + ("" if text.endswith((".", "!", "?")) else ".")


def _evaluation_of(prefix: str, reference: str, labels: str | None = None) -> Source:
    chosen = _pick_evaluation(prefix, evaluations(reference, labels), forget=() if prefix else ("threshold",))
    return open_source(reference, chosen, labels)


def _pick_evaluation(prefix: str, names: list[str], forget: tuple[str, ...] = ()) -> str:
    if len(names) == 1:
        return names[0]
    return state.pick(f"{prefix}evaluation", "Scored on", names, names[0], forget=forget)


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
    """Draw a field for a model on the Hub and a menu of those in the cache, and open the one that is chosen."""
    typed, picked, shown = f"{prefix}hub", f"{prefix}hub-here", f"{prefix}hub-shown"
    field = st.container()
    source = _from_hub(prefix, link, above)
    now = hub.short(state.read(f"{prefix}model") or link)
    if st.session_state.get(shown) != now:  # else a name that was refused stays, to be corrected
        st.session_state[shown] = now
        st.session_state[typed] = "" if now == HUB else now

    def submitted(key: str) -> None:
        if (text := st.session_state[key].strip()) not in ("", _NONE):
            hub.want(text, prefix=prefix)

    field.text_input(
        "Model on the Hub", key=typed, on_change=submitted, args=(typed,), placeholder="user/repo or user/repo@revision"
    )
    if cached := list(hub.models().cached_models()):
        st.session_state[picked] = _NONE
        field.selectbox(
            "Or one that is downloaded already", [_NONE, *cached], key=picked, on_change=submitted, args=(picked,)
        )
    return source


def _from_hub(prefix: str, link: str, above: DeltaGenerator) -> Source | None:
    """Open what the visitor just asked for, else what the link names; where that fails, keep what was open before."""
    previous: Source | None = st.session_state.get(prefix + _OPEN)
    faults: dict[str, str] = st.session_state.setdefault(_FAULTS, {})
    asked = hub.wanted(prefix)
    if asked is not None:
        try:
            with st.spinner(f"Looking for {asked[0]} …"):
                link = hub.find(*asked)[0]
                evaluations(link)
        except CxrError as error:
            return _keep(previous, sentence(error), above if asked[1] else st.container())  # beside the field
        _write_model(prefix, link)
    if not link:
        return previous
    if link in faults:
        st.button("Try again", key=f"{prefix}hub-again", on_click=faults.clear)
        return _keep(previous, faults[link], above)
    try:
        with st.spinner(f"Looking for {hub.short(link)} …"):
            pinned = hub.find(link)[0]
        if pinned != link:
            state.write(**{f"{prefix}model": pinned})
        return _evaluation_of(prefix, pinned)
    except CxrError as error:
        faults[link] = sentence(error)
        return _keep(previous, faults[link], above)


def _keep(previous: Source | None, message: str, above: DeltaGenerator) -> Source | None:
    above.error(message + (f" Still shown: {previous.name}." if previous else ""))
    return previous


def _uploaded(prefix: str) -> Source | None:
    upload = _kept_file(
        f"{prefix}upload",
        "Predictions: CSV, CSV.GZ or Parquet",
        "One row per film: a column for the film, prob_<finding> for each finding, and target_<finding> unless "
        "you add a label file. The table stays in this server's memory, for this page's address only, and is forgotten "
        "an hour after its last use.",
    )
    labels = _kept_file(f"{prefix}upload_labels", "Label file, if the table has no labels")
    if upload is None:
        st.info("Upload a table of predictions of any model. Its columns are checked, then every page shows it.")
        return None
    mapping = _columns(prefix, upload)
    chosen = _pick_evaluation(prefix, upload_splits(upload, labels, mapping))
    return open_upload(upload, chosen, labels, mapping)


def _kept_file(key: str, label: str, words: str | None = None) -> Upload | None:
    """Draw an uploader whose file is kept under a token in the link, so that it is there after a reload."""
    widget = key.replace("_labels", "-labels")

    def changed() -> None:
        if token := state.read(key):
            uploads().drop(token)
        file = st.session_state[widget]
        state.write(**{key: None if file is None else uploads().put(file.name, file.getvalue())})

    in_field = st.file_uploader(label, type=_TYPES, key=widget, on_change=changed, help=words)
    token = state.read(key)
    file = uploads().get(token) if token else None
    if token and file is None:
        st.warning("The uploaded file is no longer kept here; upload it again.")
    if file is not None and in_field is None:
        left, right = st.columns([3, 1], vertical_alignment="center")
        left.markdown(f"{escape(file.name)} is still open.")
        right.button("Close", key=f"{widget}-close", on_click=_close, args=(key,), type="tertiary")
    return file


def _close(key: str) -> None:
    """Forget an uploaded file."""
    uploads().drop(state.read(key) or "")
    state.write(**{key: None})


def _columns(prefix: str, upload: Any) -> Mapping[str, str] | None:
    """Draw what each column was guessed to mean, and return the reader's corrections; None where there are none."""
    upload.seek(0)
    names = TableFile.of(upload).columns()
    try:
        guessed = guess_columns(names)
    except CxrError:  # two columns of one meaning: the reader chooses
        guessed = {}
    corrections = {}
    with st.expander("Columns", expanded=not findings_of(guessed, "prob") or "image" not in guessed):
        st.caption("What each column means; correct what was guessed wrongly.")
        for meaning in IDENTITY:
            guess = guessed.get(meaning, _NONE)
            options = [_NONE, *names]
            label, key = meaning.replace("_", " ").capitalize(), f"{prefix}column-{meaning}-{upload.file_id}"
            column = st.selectbox(label, options, index=options.index(guess), key=key)
            if column not in (_NONE, guess):
                corrections[meaning] = column
        for column in [name for name in names if name not in guessed.values()][:20]:
            finding = st.selectbox(
                f"{column} is the probability of",
                [_NONE, *NIH15],
                key=f"{prefix}prob-{column}-{upload.file_id}",
                accept_new_options=True,
            )
            if finding not in (_NONE, None, ""):
                corrections[f"prob:{finding}"] = column
    return corrections or None
