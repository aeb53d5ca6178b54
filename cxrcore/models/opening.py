"""Open a model by name: embedded, a folder, TorchXRayVision's, or a repository on the Hugging Face Hub."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from cxrcore.bundle.folder import (
    CONFIG,
    embedded_folder,
    embedded_models,
    embedded_name,
    is_ensemble,
    member_folders,
    read_config,
    read_ensemble,
)
from cxrcore.bundle.reference import parse_reference
from cxrcore.bundle.weights import read_network
from cxrcore.errors import BundleNotFound
from cxrcore.hub.client import Token

if TYPE_CHECKING:
    import torch

    from cxrcore.models.base import Model
    from cxrcore.models.classifier import Classifier


def load(
    reference: str | os.PathLike[str],
    device: str | None = None,
    dtype: torch.dtype | None = None,
    token: Token = None,
    limit_bytes: int | None = None,
) -> Model:
    """Open a model by task (embedded), folder or ``user/repo[@revision]``: a ``Classifier``, or an ``Ensemble``.

    A model in the Hub's cache opens offline. ``token``: the Hub's; ``False`` reads only public repositories.
    ``limit_bytes``: refuse larger downloads. ``dtype``: of convolutions, default by the hardware (``default_dtype``).
    Raises BundleNotFound, listing the names there are, HubError, or InvalidBundle naming what does not fit.

    >>> load("pneumonia").predict(film).probabilities
    {'Normal': 0.106, 'Pneumonia': 0.894}
    """
    from cxrcore.models.ensemble import Ensemble

    folder = find_bundle(reference, token, limit_bytes)
    if is_ensemble(folder):
        config = read_ensemble(folder)
        return Ensemble([load_one(member, device, dtype) for member in member_folders(folder, config)], config, folder)
    return load_one(folder, device, dtype)


def load_one(folder: Path, device: str | None = None, dtype: torch.dtype | None = None) -> Classifier:
    """The classifier in a bundle's folder. Raises InvalidBundle naming what does not fit."""
    from cxrcore.models.classifier import Classifier

    config = read_config(folder)
    return Classifier(read_network(folder, config), config, folder, device, dtype)


def find_bundle(reference: str | os.PathLike[str], token: Token = None, limit_bytes: int | None = None) -> Path:
    """The folder of an embedded model's task, a path, or ``user/repo[@revision]`` on the Hub, downloaded if necessary.

    Local folders come first; a reference whose first part is a local folder is never looked up on the Hub.
    ``xrv:<weights>`` is one of torchxrayvision's. ``token`` and ``limit_bytes`` as in ``load``. Raises BundleNotFound
    with the names there are, or what ``hub.pull.open_reference`` or ``torchxrayvision.open_xrv`` raises.
    """
    text = os.fspath(reference)
    for folder in (embedded_folder(text), Path(text)):
        if text and folder and (folder / CONFIG).is_file():
            return folder
    if text.startswith("xrv:"):
        from cxrcore.models.torchxrayvision import open_xrv

        return open_xrv(text.removeprefix("xrv:"))
    on_hub = parse_reference(text) if isinstance(reference, str) else None
    if on_hub is not None and not Path(text.split("/")[0]).exists():
        from cxrcore.hub.pull import open_reference

        return open_reference(on_hub, token, limit_bytes)
    names = embedded_models()
    if Path(text).is_dir():
        why = "that folder has no config.json"
    elif (task := embedded_name(text)) in names:
        raise BundleNotFound(f"cannot open model {text!r}: embedded models are opened by task: use {task!r}")
    else:
        why = "there is no such model or folder"
    listed = ", ".join(names) or "none yet"
    raise BundleNotFound(f"cannot open model {Path(text).name!r}: {why}; embedded models: {listed}")
