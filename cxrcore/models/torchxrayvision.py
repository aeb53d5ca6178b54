"""TorchXRayVision's chest networks, opened as ``xrv:densenet121-res224-all`` (Cohen 2022, arXiv:2111.00595).

The package's DenseNet-121 and ResNet-50 are timm's, tensor for tensor. The first opening converts its weights to an
ordinary bundle beside the package's own download; later openings need no package. Labels, thresholds and addresses come
from the package's tables. The head leaves out findings that the package names "" (never trained) and those without a
threshold (it answers 0.5 for every film).

``.probabilities`` are the sigmoid of the network's outputs, not calibrated; ``.positive`` is the package's own decision
(its rescaled outputs put the operating point at 0.5, see ``op_norm`` there, and have the same order).
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import shutil
import warnings
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np

from cxrcore.bundle.config import BundleConfig
from cxrcore.bundle.folder import CONFIG, write_bundle
from cxrcore.bundle.weights import network_with
from cxrcore.errors import BundleNotFound
from cxrcore.films.preprocessing import Preprocessing
from cxrcore.findings import NIH14, Finding, Kind, LabelSet
from cxrcore.hub.client import TIMEOUT_S, wait_at_most
from cxrcore.metrics.operating_points import OperatingPoints
from cxrcore.models.pickle_reader import read_tensors
from cxrcore.storage import atomic_write

PREFIX = "xrv:"
EXTRA = 'pip install "torchxrayvision~=1.5"'
MAX_BYTES = 500_000_000  # the largest of the package's files has 95 MB
STALL_S = 30.0  # between two pieces of a running download
_HOME = os.path.join("~", ".torchxrayvision", "models_data")  # the package's own, for its files
_HEADS = {"densenet121": "classifier", "resnet50": "fc"}  # by architecture, which timm calls so too
_PLAIN_WORDS = {
    "Lung Lesion": "Any spot or damaged place in the lung.",
    "Fracture": "A broken bone, often a rib.",
    "Lung Opacity": "Any place in the lung that looks whiter than it should.",
    "Enlarged Cardiomediastinum": "The middle of the chest, heart and great vessels, looks wider than usual.",
}
_NOTE = (
    "A TorchXRayVision network, not made by this project: its probabilities are not calibrated, nothing here measured "
    "it, and its operating points are those that its authors chose on films they held back."
)
_LATE = (
    "Its operating points all lie just above 0.5, as if measured on a sigmoid of a sigmoid, so it may miss what its "
    "authors meant it to find."
)


def open_xrv(weights: str) -> Path:
    """The bundle of one of the package's weights, converted at the first call and kept.

    Raises BundleNotFound where the package, the name or the file is missing, InvalidBundle for a file that holds
    something other than a network.
    """
    if _is_name(weights) and (_folder(weights) / CONFIG).is_file():
        return _folder(weights)
    known = _package().models.model_urls
    names = ", ".join(sorted(name for name in known if name.partition("-")[0] in _HEADS))
    if weights not in known:
        raise BundleNotFound(f"torchxrayvision has no weights {weights!r}; there are: {names}")
    entry = known[weights]
    weights = max((name for name, other in known.items() if other is entry), key=len)  # "all" is short for another
    if weights.partition("-")[0] not in _HEADS:
        raise BundleNotFound(f"{PREFIX}{weights} is of an architecture that is not known here; there are: {names}")
    folder = _folder(weights)
    if not (folder / CONFIG).is_file():
        _convert(weights, entry, folder)
    return folder


def _convert(weights: str, entry: dict[str, Any], folder: Path) -> None:
    """Write the bundle of these weights into ``folder``, downloading the package's file where it is missing."""
    path = Path(os.path.expanduser(_HOME)) / entry["weights_url"].rpartition("/")[2]
    if not path.is_file():
        _download(weights, entry["weights_url"], path)
    content = path.read_bytes()
    tensors = read_tensors(content, path.name)
    head, columns = _HEADS[weights.partition("-")[0]], _trained(entry)
    for name in (f"{head}.weight", f"{head}.bias"):
        if name in tensors and tensors[name].shape[:1] == (len(entry["labels"]),):  # others are refused below
            tensors[name] = tensors[name][columns]
    config = xrv_config(weights, entry, hashlib.sha256(content).hexdigest())
    network = network_with(tensors, config, config.name)
    try:
        write_bundle(folder, network, config, half=False)
    except OSError:
        raise BundleNotFound(f"{PREFIX}{weights} cannot be kept: {_HOME} may not be written to, or is full") from None


def xrv_config(weights: str, entry: dict[str, Any], digest: str) -> BundleConfig:
    """The bundle's config by the package's own table (``torchxrayvision.models.model_urls``)."""
    columns, side = _trained(entry), int(entry["input_resolution"])
    findings = tuple(_finding(entry["labels"][column]) for column in columns)
    labels = LabelSet(f"xrv-{weights}", Kind.MULTILABEL, findings)
    thresholds = np.array([entry["op_threshs"][column] for column in columns], dtype=np.float32)
    hidden = [label for column, label in enumerate(entry["labels"]) if label and column not in columns]
    note = _NOTE
    if thresholds.min() > 0.5:  # a sigmoid is never below 0.5 where it is taken of another
        note += " " + _LATE
    if hidden:
        note += f" Left out, since the package has no operating point for them: {', '.join(hidden)}."
    return BundleConfig(
        name=PREFIX + weights,
        architecture=weights.partition("-")[0],
        labels=labels,
        preprocessing=Preprocessing(side, side, 1, geometry="crop", mean=0.5, std=1 / 2048),  # [0, 1] to [-1024, 1024]
        operating_points=OperatingPoints(labels.names, thresholds, fitted_on="val", rule="youden"),
        provenance={
            "note": note,
            "license": "apache-2.0",
            "source": {
                "title": str(entry.get("description") or "see torchxrayvision's description of these weights"),
                "url": "https://github.com/mlmed/torchxrayvision",
                "license": "each collection's own terms",
            },
            "weights_url": entry["weights_url"],
            "weights_sha256": digest,
        },
    )


def _trained(entry: dict[str, Any]) -> list[int]:
    """Columns of the head that were trained: those with a name and an operating point."""
    return [
        column
        for column, (label, threshold) in enumerate(zip(entry["labels"], entry["op_threshs"], strict=True))
        if label and np.isfinite(threshold)
    ]


def _finding(name: str) -> Finding:
    return NIH14[name] if name in NIH14 else Finding(name, _PLAIN_WORDS.get(name, ""))


def _package() -> Any:
    """Import torchxrayvision without its side effect of silencing every warning of the process."""
    try:
        with warnings.catch_warnings():
            import torchxrayvision
    except ImportError:
        raise BundleNotFound(f"opening one of torchxrayvision's models takes that package, once: {EXTRA}") from None
    return torchxrayvision


def _is_name(weights: str) -> bool:
    return re.fullmatch(r"[\w-]+", weights) is not None


def _folder(weights: str) -> Path:
    return Path(os.path.expanduser(_HOME)) / "cxrcore" / weights


def _download(weights: str, url: str, path: Path) -> None:
    """Download the package's file to the package's own place. Raises BundleNotFound when it does not arrive whole."""
    by_hand = f"fetch {url} elsewhere and put it into {_HOME}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            wait_at_most(lambda: urlopen(url, timeout=STALL_S), TIMEOUT_S) as answer,
            atomic_write(path) as part,
        ):
            expected = int(answer.headers.get("Content-Length") or 0)
            if expected > MAX_BYTES:
                raise BundleNotFound(f"the weights of {PREFIX}{weights} have grown to {expected:,} bytes; {by_hand}")
            with part.open("wb") as file:
                shutil.copyfileobj(answer, file)
            if part.stat().st_size != expected:
                raise ConnectionError
    except HTTPError as error:
        raise BundleNotFound(
            f"the weights of {PREFIX}{weights} cannot be fetched (the server says {error.code}); {by_hand}"
        ) from None
    except (OSError, http.client.HTTPException):
        raise BundleNotFound(
            f"the weights of {PREFIX}{weights} cannot be fetched: no answer, or no room; {by_hand}"
        ) from None
