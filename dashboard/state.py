"""The reader's choices, in the address bar and in the session.

The address wins when a page opens; every choice is written to both, so the address can be copied at any time.
Streamlit drops the address's parameters when a reader opens another page; ``sync`` puts them back.
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
    "risk",  # of three answers, as a decimal
    "confidence",
    "other_model",  # the second source of a comparison
    "other_labels",
    "checklist",
    "status",  # of the items that are shown
    "other_evaluation",
)
UPLOAD = "upload"  # the model in a link to an uploaded table; the file has to be uploaded again
_LINK = "link"


def sync() -> None:
    """Bring address and session together; called once per run, before any choice is read."""
    link = st.session_state.setdefault(_LINK, {})
    for key in KEYS:
        if key in st.query_params:
            link[key] = st.query_params[key]
        elif key in link:
            st.query_params[key] = link[key]


def read(key: str) -> str | None:
    """A choice, or None where nothing was chosen."""
    link: dict[str, str] = st.session_state.setdefault(_LINK, {})
    return link.get(key)


def write(**choices: str | None) -> None:
    """Write choices to address and session; None or an empty text removes one."""
    link = st.session_state.setdefault(_LINK, {})
    for key, value in choices.items():
        if key not in KEYS:
            raise KeyError(key)
        if value:
            link[key] = st.query_params[key] = value
        else:
            link.pop(key, None)
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
    """Draw a select box whose choice is kept in the link.

    ``default`` is used where the address names no option; choices under the keys in ``forget`` are dropped when this
    one changes.
    """
    chosen = read(key)
    widget_key = f"pick-{key}"
    st.session_state[widget_key] = chosen if chosen in options else default

    def changed() -> None:
        write(**{key: st.session_state[widget_key]}, **dict.fromkeys(forget))

    widget(label, list(options), key=widget_key, on_change=changed, format_func=name, **more)
    return str(st.session_state[widget_key])
