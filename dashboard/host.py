"""Where the dashboard runs and what it was started with: this decides what visitors may open."""

from __future__ import annotations

import os

import streamlit as st

from cxrcore.errors import CxrError
from cxrcore.serving.deployment import DeploymentConfig, read_deployment
from cxrcore.serving.hub_catalog import hub_open_to_visitors, is_local

_LOCALHOST = "127.0.0.1"  # the default address


def may_type_folders() -> bool:
    """Whether visitors may type paths: only on their own computer, as paths would tell strangers which files exist."""
    return is_local(os.environ.get("CXR_HOST") or _LOCALHOST, st.get_option("server.address") or _LOCALHOST)


def may_open_hub() -> bool:
    """Whether visitors may open models on the Hub of their own choice."""
    return hub_open_to_visitors(may_type_folders())


def started_with() -> str:
    """The model that is open at first: CXR_MODEL, else the deployed one; empty where neither is set."""
    return os.environ.get("CXR_MODEL") or deployment().model or ""


def deployment() -> DeploymentConfig:
    """The deployment's configuration; an empty one where it cannot be read, which ``python -m dashboard`` reports."""
    try:
        return read_deployment()
    except CxrError:
        return DeploymentConfig()
