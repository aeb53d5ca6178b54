"""Models on the Hugging Face Hub: which a text names, whether a visitor may open it, and whether a newer one is there.

A link names a whole commit, so that it opens the same tomorrow and a branch that moves changes nobody's page.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import streamlit as st

from cxrcore.bundle.reference import Reference, parse_reference
from cxrcore.hub.client import wait_at_most
from cxrcore.serving.hub_catalog import HubCatalog, NewerRevision
from dashboard import host

_GLANCE_S = 0.05  # what a page waits for an answer that is not here yet
_LOOK_AGAIN_S = 5.0  # how often an open page looks whether the answer has come
_WANTED = "hub-wanted"  # what a visitor just asked for, until it is open or refused


def reference_of(text: str) -> Reference | None:
    """The model on the Hub that a text names; None where it names none, or a folder here that may be asked for."""
    here = host.may_type_folders() or text == host.started_with()
    return None if here and text and Path(text.split("/")[0]).exists() else parse_reference(text)


def models() -> HubCatalog:
    """Those that visitors of this server may open, once for all of them."""
    started = host.started_with()
    return _models(host.may_open_hub(), host.may_type_folders(), started if reference_of(started) is not None else "")


@st.cache_resource
def _models(opened: bool, own_computer: bool, started: str) -> HubCatalog:
    return HubCatalog(opened, None if own_computer else False, parse_reference(started))


def find(text: str, newest: bool = False) -> tuple[str, Path]:
    """The link to a model, ``user/repo`` with the whole commit, and its folder, fetched where need be.

    Raises HubError or InvalidBundle, in one sentence.
    """
    name, folder = models().find(text, newest)
    return f"{name.partition('@')[0]}@{folder.name}", folder


def short(text: str) -> str:
    """A link's text as a reader sees it: 12 digits of a commit."""
    found = parse_reference(text)
    return f"{found.repo}@{found.revision[:12]}" if found and found.pinned and found.revision else text


def is_started_model(text: str) -> bool:
    """Whether a text names the model on the Hub that this server was started with, at any of its commits."""
    own, found = reference_of(host.started_with()), parse_reference(text)
    return own is not None and found is not None and (found == own or (found.pinned and found.repo == own.repo))


def want(text: str, newest: bool = False, prefix: str = "") -> None:
    """Note what a visitor asks for; the next run of the page opens it."""
    st.session_state[prefix + _WANTED] = text, newest


def wanted(prefix: str = "") -> tuple[str, bool] | None:
    """What was asked for since the last run, once."""
    return st.session_state.pop(prefix + _WANTED, None)


@st.fragment(run_every=_LOOK_AGAIN_S)
def offer_newer(name: str) -> None:
    """One line where the branch that an open model came from has moved, and a button that opens what is there now.

    ``name``: user/repo@commit, 12 digits of the commit.
    """
    found = _newer(name)
    if found is None:
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(f"A newer revision of {found.repo} is on the Hub (`{found.revision}`).", width="content")
        if st.button("Open it", key="hub-newer"):
            want(found.reference, newest=True)
            st.rerun()


def _newer(name: str) -> NewerRevision | None:
    """As ``HubCatalog.newer``, without waiting for the Hub; what it answers is known when the page looks again."""
    try:
        return wait_at_most(partial(models().newer, name), _GLANCE_S)
    except TimeoutError:
        return None
