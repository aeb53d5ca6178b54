"""Whose computer is this, and what was it started with? What visitors may ask of it hangs on that."""

from __future__ import annotations

import os

import streamlit as st

from cxrcore.errors import CxrError
from cxrcore.serving.deployment import DeploymentConfig, read_deployment
from cxrcore.serving.hub_catalog import hub_open_to_visitors, is_local

_HERE = "127.0.0.1"  # where a server listens that nobody told otherwise


def may_type_folders() -> bool:
    """Paths are for those who sit at this computer: a public server would tell strangers what it holds."""
    return is_local(os.environ.get("CXR_HOST") or _HERE, st.get_option("server.address") or _HERE)


def may_open_hub() -> bool:
    """Whether visitors may open models on the Hub of their own choice."""
    return hub_open_to_visitors(may_type_folders())


def started_with() -> str:
    """What is open at first: CXR_MODEL, else the model that was deployed, else nothing in particular."""
    return os.environ.get("CXR_MODEL") or told().model or ""


def told() -> DeploymentConfig:
    """What the deployment says of itself; nothing where it cannot be read, which ``python -m dashboard`` says."""
    try:
        return read_deployment()
    except CxrError:
        return DeploymentConfig()
