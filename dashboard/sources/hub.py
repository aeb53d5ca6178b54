"""Models on the Hugging Face Hub: the one that a text names, visitors' rights to it, and newer revisions.

A link names a whole commit, so it opens the same files tomorrow, whatever happens to the branch.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import streamlit as st

from cxrcore.bundle.reference import Reference, parse_reference
from cxrcore.hub.client import wait_at_most
from cxrcore.serving.hub_catalog import HubCatalog, NewerRevision
from dashboard import host

_GLANCE_S = 0.05  # the longest that a page waits for an answer of the Hub
_LOOK_AGAIN_S = 5.0  # interval at which an open page looks for a late answer
_WANTED = "hub-wanted"  # session key of the model that a visitor just asked for, until the next run handles it


def reference_of(text: str) -> Reference | None:
    """The model on the Hub that a text names; None where it names none, or a local folder that the visitor may open."""
    may_be_folder = host.may_type_folders() or text == host.started_with()
    return None if may_be_folder and text and Path(text.split("/")[0]).exists() else parse_reference(text)


def models() -> HubCatalog:
    """The models that visitors of this server may open, one catalog for all visitors."""
    started = host.started_with()
    return _models(host.may_open_hub(), host.may_type_folders(), started if reference_of(started) is not None else "")


@st.cache_resource
def _models(is_open: bool, is_local: bool, started: str) -> HubCatalog:
    return HubCatalog(is_open, None if is_local else False, parse_reference(started))


def find(text: str, newest: bool = False) -> tuple[str, Path]:
    """A model's link (``user/repo`` with the whole commit) and its folder, downloaded unless it is cached.

    ``newest``: of the branch as it is now. Raises HubError or InvalidBundle, in one sentence.
    """
    name, folder = models().find(text, newest)
    return f"{name.partition('@')[0]}@{folder.name}", folder


def short(text: str) -> str:
    """A link's text for a reader: 12 digits of a commit."""
    model = parse_reference(text)
    return f"{model.repo}@{model.revision[:12]}" if model and model.pinned and model.revision else text


def is_started_model(text: str) -> bool:
    """Whether a text names the model on the Hub that this server was started with, at any of its commits."""
    own, model = reference_of(host.started_with()), parse_reference(text)
    return own is not None and model is not None and (model == own or (model.pinned and model.repo == own.repo))


def want(text: str, newest: bool = False, prefix: str = "") -> None:
    """Note which model a visitor asks for; the next run of the page opens it."""
    st.session_state[prefix + _WANTED] = text, newest


def wanted(prefix: str = "") -> tuple[str, bool] | None:
    """The model asked for since the last run, and whether its newest commit; None on a second call."""
    asked: tuple[str, bool] | None = st.session_state.pop(prefix + _WANTED, None)
    return asked


@st.fragment(run_every=_LOOK_AGAIN_S)
def offer_newer(name: str) -> None:
    """Show a line and a button where the branch of an open model has a newer commit.

    ``name``: user/repo@commit, 12 digits of the commit.
    """
    newer = _newer(name)
    if newer is None:
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(f"A newer revision of {newer.repo} is on the Hub (`{newer.revision}`).", width="content")
        if st.button("Open it", key="hub-newer"):
            want(newer.reference, newest=True)
            st.rerun()


def _newer(name: str) -> NewerRevision | None:
    """As ``HubCatalog.newer``, without waiting for the Hub; a late answer is shown when the fragment runs again."""
    try:
        return wait_at_most(partial(models().newer, name), _GLANCE_S)
    except TimeoutError:
        return None
