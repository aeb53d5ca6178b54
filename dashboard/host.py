"""Whose computer is this, and what was it started with? What visitors may ask of it hangs on that."""

from __future__ import annotations

import os

import streamlit as st

from cxrcore.deployed import Deployed, deployed
from cxrcore.errors import CxrError

_LOCAL = ("", "127.0.0.1", "localhost", "::1")


def may_type_folders() -> bool:
    """Paths are for those who sit at this computer: a public server would tell strangers what it holds."""
    addresses = os.environ.get("CXR_HOST"), st.get_option("server.address")
    return all((address or "") in _LOCAL for address in addresses) and "SPACE_ID" not in os.environ


def may_open_hub() -> bool:
    """Whether visitors may open models on the Hub of their own choice: CXR_HUB 1 or 0, else on this computer alone."""
    return os.environ.get("CXR_HUB", str(int(may_type_folders()))) == "1"


def started_with() -> str:
    """What is open at first: CXR_MODEL, else the model that was deployed, else nothing in particular."""
    return os.environ.get("CXR_MODEL") or told().model or ""


def told() -> Deployed:
    """What the deployment says of itself; nothing where it cannot be read, which ``python -m dashboard`` says."""
    try:
        return deployed()
    except CxrError:
        return Deployed()
