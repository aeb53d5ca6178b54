"""The reader's choices, in the address bar and in the session.

The address wins when a page opens and when the reader goes back or forward; otherwise the session does, and every
choice is written to both, so the address can be copied at any time. Streamlit drops the address's parameters when a
reader opens another page; ``sync`` puts them back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

SOURCE_KEYS = (  # what is open; the other choices below are dropped where these change
    "model",  # an embedded name, a path, or UPLOAD
    "upload",  # the token of an uploaded table, see sources/uploads.py
    "upload_labels",  # and of its label file
    "labels",  # path of a label file, for a table
    "evaluation",  # dataset-split of a bundle, a split of a table
)
CHOICE_KEYS = (
    "finding",
    "threshold",  # a probability, as a decimal
    "rule",  # how a threshold is chosen, as fit_operating_points spells it
    "prevalence",  # where the reader works, in per cent
    "pairs",  # which matrix of two findings
    "overlay",  # findings whose curves are drawn over one another
    "curve",  # ROC or precision-recall
    "risk",  # of three answers, as a decimal
    "confidence",
    "by",  # attributes that form groups
    "measure",
    "together",  # attributes combined in a group
    "all_findings",
    "score",  # of heatmaps against boxes
    "order",  # of films
    "outcome",
    "low",  # of the probability
    "high",
    "text",  # part of a film's or patient's name
    "also",
    "split",
    "page",
    "film",
    "layer",
    "opacity",
    "checklist",
    "status",  # of the items that are shown
    "closer",
    "drift",  # the quantity whose change is drawn
    "against",  # what a second set of films is
    "group",
)
KEYS = (*SOURCE_KEYS, *CHOICE_KEYS, *(f"other_{key}" for key in SOURCE_KEYS), "format")
WHERE = "where_"  # before the name of a table's column that films are filtered by
UPLOAD = "upload"  # the model in a link to an uploaded table
_LINK = "link"
_BARE = "link-bare"  # session key of pages that were shown while nothing was chosen, so that their address was bare
_BETWEEN = ","  # several values in one parameter


def sync(page: str) -> None:
    """Bring address and session together; called once per run, before any choice is read. ``page``: its url path."""
    session, address = st.session_state, {key: st.query_params[key] for key in st.query_params if _known(key)}
    first = _LINK not in session
    link: dict[str, str] = session.setdefault(_LINK, {})
    bare: set[str] = session.setdefault(_BARE, set())
    if first or (_is_history() and (address or page in bare)):
        link.clear()
        link.update(address)
    if not link:
        bare.add(page)
    _publish()


def _publish() -> None:
    """Write the session's choices into the address, at once, so that they are one step of the browser's history."""
    link = st.session_state[_LINK]
    others = {key: value for key, value in st.query_params.to_dict().items() if not _known(key)}
    if others | link != st.query_params.to_dict():
        st.query_params.from_dict(others | link)


def _is_history() -> bool:
    """Whether the reader went back or forward; a rerun's own address may be older than the session."""
    return bool(getattr(get_script_run_ctx(), "is_history_navigation", False))


def _known(key: str) -> bool:
    return key in KEYS or key.startswith(WHERE)


def read(key: str) -> str | None:
    """A choice, or None where nothing was chosen."""
    link: dict[str, str] = st.session_state.setdefault(_LINK, {})
    return link.get(key)


def write(**choices: str | None) -> None:
    """Write choices to address and session; None or an empty text removes one."""
    link = st.session_state.setdefault(_LINK, {})
    for key, value in choices.items():
        if not _known(key):
            raise KeyError(key)
        if value:
            link[key] = value
        else:
            link.pop(key, None)
    _publish()


def forget_choices() -> None:
    """Drop every choice that belonged to the results that were open."""
    link: dict[str, str] = st.session_state.setdefault(_LINK, {})
    write(**dict.fromkeys(key for key in link if key in CHOICE_KEYS or key.startswith(WHERE)))


def kept(
    key: str,
    default: Any,
    decode: Callable[[str], Any],
    encode: Callable[[Any], str | None] = str,
    *,
    widget: str = "",
    forget: Sequence[str] = (),
    linked: bool = True,
) -> dict[str, Any]:
    """``key`` and ``on_change`` of a widget whose value is kept in the link under ``key``.

    ``decode`` reads the link's text and raises ValueError for one that is no such value, which is then ``default``.
    ``widget``: its own key in the session; ``forget``: choices that are dropped when this one changes. Not ``linked``:
    the value stays in the session only, and is in no address.
    """
    name = widget or f"pick-{key}"
    if not linked:
        st.session_state.setdefault(name, default)
        return {"key": name}
    text = read(key)
    try:
        value = default if text is None else decode(text)
    except ValueError:
        value = default
    st.session_state[name] = value

    def changed() -> None:
        chosen = st.session_state[name]
        write(**(dict.fromkeys(forget) | {key: None if chosen is None else encode(chosen)}))

    return {"key": name, "on_change": changed}


def one_of(options: Sequence[Any]) -> Callable[[str], Any]:
    """Decoder of a link's text that names one of the options."""
    by_text = {str(option): option for option in options}

    def decode(text: str) -> Any:
        if text not in by_text:
            raise ValueError(text)
        return by_text[text]

    return decode


def several_of(options: Sequence[Any], least: int = 0) -> Callable[[str], list[Any]]:
    """Decoder of a link's text that names some of the options; others are left out."""
    by_text = {str(option): option for option in options}

    def decode(text: str) -> list[Any]:
        chosen = [by_text[part] for part in text.split(_BETWEEN) if part in by_text]
        if len(chosen) < least:
            raise ValueError(text)
        return chosen

    return decode


def joined(values: Sequence[Any]) -> str:
    """Several values as a link's text; ``none`` for none, which an absent parameter could not say."""
    return _BETWEEN.join(map(str, values)) or "none"


def number_in(low: float, high: float) -> Callable[[str], float]:
    """Decoder of a number, moved into [low, high]."""

    def decode(text: str) -> float:
        value = float(text)
        if value != value:
            raise ValueError(text)
        return min(max(value, low), high)

    return decode


def pick(
    key: str,
    label: str,
    options: Sequence[str],
    default: str,
    forget: Sequence[str] = (),
    name: Callable[[str], str] = str,
    widget: Callable[..., Any] = st.selectbox,
    key_of_widget: str = "",
    **more: Any,
) -> str:
    """Draw a select box whose choice is kept in the link.

    ``default`` is used where the address names no option; choices under the keys in ``forget`` are dropped when this
    one changes.
    """
    state = kept(key, default, one_of(options), widget=key_of_widget, forget=forget)
    widget(label, list(options), format_func=name, **state, **more)
    return str(st.session_state[state["key"]])
