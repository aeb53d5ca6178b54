"""What does a link keep? The reader's choices, in the address bar and in the session alike.

The address wins when a page opens; every choice is written to both, so the address can be copied at any time.
Streamlit drops the address's parameters when a reader turns to another page; ``sync`` puts them back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

KEYS = (
    "model",  # an embedded name, a path, or UPLOAD
    "labels",  # path of a label file, for a table
    "evaluation",  # dataset-split of a bundle, a split of a table
    "finding",
    "threshold",  # a probability, as a decimal
    "rule",  # how a threshold is chosen, as fit_operating_points spells it
    "other_model",  # the second source of a comparison
    "other_labels",
    "other_evaluation",
)
UPLOAD = "upload"  # the model of a link to an uploaded table: the file has to be given again
_KEPT = "link"


def sync() -> None:
    """Bring address and session together; once a run, before any choice is read."""
    kept = st.session_state.setdefault(_KEPT, {})
    for key in KEYS:
        if key in st.query_params:
            kept[key] = st.query_params[key]
        elif key in kept:
            st.query_params[key] = kept[key]


def read(key: str) -> str | None:
    """A choice, or None where nothing was chosen."""
    return st.session_state.setdefault(_KEPT, {}).get(key)


def write(**choices: str | None) -> None:
    """Keep choices; None forgets one."""
    kept = st.session_state.setdefault(_KEPT, {})
    for key, value in choices.items():
        if key not in KEYS:
            raise KeyError(key)
        if value:
            kept[key] = st.query_params[key] = value
        else:
            kept.pop(key, None)
            if key in st.query_params:
                del st.query_params[key]


def pick(
    key: str,
    label: str,
    options: Sequence[str],
    default: str,
    forget: Sequence[str] = (),
    name: Callable[[str], str] = str,
    widget: Callable[..., Any] = st.selectbox,
    **more: Any,
) -> str:
    """A select box whose choice a link keeps; choices that hang on it (``forget``) are dropped when it changes.

    A choice in the address that is not among the options gives way to ``default``.
    """
    chosen = read(key)
    place = f"pick-{key}"
    st.session_state[place] = chosen if chosen in options else default

    def changed() -> None:
        write(**{key: st.session_state[place]}, **dict.fromkeys(forget))

    widget(label, list(options), key=place, on_change=changed, format_func=name, **more)
    return st.session_state[place]
