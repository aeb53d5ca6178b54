"""TorchXRayVision's chest networks, opened as ``xrv:densenet121-res224-all`` (Cohen 2022, arXiv:2111.00595).

The package's DenseNet-121 and ResNet-50 are timm's, tensor for tensor, so its weights become an ordinary bundle once,
beside the package's own download, and from then on open without the package. Labels, thresholds and addresses are the
package's own tables. Findings it names "" were never trained; those without a threshold it answers with 0.5 whatever
the film. Both kinds are left out of the head.

``.probabilities`` are the sigmoid of the network's outputs, not calibrated; ``.positive`` is the package's own decision
(its rescaled outputs put the operating point at 0.5, see ``op_norm`` there, and have the same order).

Its files are pickles, most of them of whole modules in the format before PyTorch 1.6, which ``weights_only=True``
refuses. They are read by ``_Reader`` instead, which knows tensors and plain containers, takes every class of a network
for an empty record, and refuses any other name. Nothing that the file names is ever called or imported.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import os
import pickle
import re
import tarfile
import tempfile
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np

from cxrcore.bundle.config import BundleConfig
from cxrcore.bundle.folder import CONFIG, write_bundle
from cxrcore.bundle.weights import network_with
from cxrcore.errors import BundleNotFound, InvalidBundle
from cxrcore.films.preprocessing import Preprocessing
from cxrcore.findings import NIH14, Finding, Kind, LabelSet
from cxrcore.hub.client import TIMEOUT_S, wait_at_most
from cxrcore.metrics.operating_points import OperatingPoints

if TYPE_CHECKING:
    import torch

PREFIX = "xrv:"
EXTRA = 'pip install "torchxrayvision~=1.5"'
MAX_BYTES = 500_000_000  # the largest of the package's files has 95 MB
STALL_S = 30.0  # without a byte, once the download runs
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
_DAMAGED = "the weights file {} is damaged or no network; delete it and open it again"
_LATE = (
    "Its operating points all lie just above 0.5, as if measured on a sigmoid of a sigmoid, so it may miss what its "
    "authors meant it to find."
)


def open_xrv(weights: str) -> Path:
    """The bundle of one of the package's weights, made from its file at the first call and kept.

    Raises BundleNotFound where the package, the name or the file is not there to be had, InvalidBundle for a file that
    holds something else.
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
    path = Path(os.path.expanduser(_HOME)) / entry["weights_url"].rpartition("/")[2]
    if not path.is_file():
        _download(weights, entry["weights_url"], path)
    content = path.read_bytes()
    tensors = read_tensors(content, path.name)
    head, kept = _HEADS[weights.partition("-")[0]], _trained(entry)
    for name in (f"{head}.weight", f"{head}.bias"):
        if name in tensors and tensors[name].shape[:1] == (len(entry["labels"]),):  # else told below, as misshaped
            tensors[name] = tensors[name][kept]
    config = xrv_config(weights, entry, hashlib.sha256(content).hexdigest())
    network = network_with(tensors, config, config.name)
    try:
        write_bundle(folder, network, config, half=False)
    except OSError:
        raise BundleNotFound(f"{PREFIX}{weights} cannot be kept: {_HOME} may not be written to, or is full") from None


def xrv_config(weights: str, entry: dict[str, Any], digest: str) -> BundleConfig:
    """The bundle's config by the package's own table (``torchxrayvision.models.model_urls``)."""
    kept, side = _trained(entry), int(entry["input_resolution"])
    findings = tuple(_finding(entry["labels"][column]) for column in kept)
    labels = LabelSet(f"xrv-{weights}", Kind.MULTILABEL, findings)
    thresholds = np.array([entry["op_threshs"][column] for column in kept], dtype=np.float32)
    hidden = [label for column, label in enumerate(entry["labels"]) if label and column not in kept]
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
    """Columns of the head that say something: named, and with an operating point."""
    return [
        column
        for column, (label, threshold) in enumerate(zip(entry["labels"], entry["op_threshs"], strict=True))
        if label and np.isfinite(threshold)
    ]


def _finding(name: str) -> Finding:
    return NIH14[name] if name in NIH14 else Finding(name, _PLAIN_WORDS.get(name, ""))


def _package() -> Any:
    """torchxrayvision, whose import would otherwise silence every warning of this process."""
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
    """Fetch the package's file to where the package would. Raises BundleNotFound where nothing comes, or not all."""
    by_hand = f"fetch {url} elsewhere and put it into {_HOME}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            wait_at_most(lambda: urlopen(url, timeout=STALL_S), TIMEOUT_S) as answer,
            tempfile.TemporaryDirectory(dir=path.parent) as scratch,
            open(Path(scratch) / path.name, "wb") as part,
        ):
            expected = int(answer.headers.get("Content-Length") or 0)
            if expected > MAX_BYTES:
                raise BundleNotFound(f"the weights of {PREFIX}{weights} have grown to {expected:,} bytes; {by_hand}")
            for piece in iter(lambda: answer.read(1 << 20), b""):
                part.write(piece)
            part.close()
            if os.path.getsize(part.name) != expected:
                raise ConnectionError
            os.replace(part.name, path)
    except HTTPError as error:
        raise BundleNotFound(
            f"the weights of {PREFIX}{weights} cannot be fetched (the server says {error.code}); {by_hand}"
        ) from None
    except (OSError, http.client.HTTPException):
        raise BundleNotFound(
            f"the weights of {PREFIX}{weights} cannot be fetched: no answer, or no room; {by_hand}"
        ) from None


def read_tensors(content: bytes, name: str) -> dict[str, torch.Tensor]:
    """The tensors of a file of ``torch.save``, old format or new, by their names in the state dict; on the CPU.

    The file holds a state dict or a whole module; ``name`` is what to call it. Raises InvalidBundle for anything else,
    and for a file that asks for a name that no network needs.
    """
    import torch

    _refuse_archives(content, name)
    readers: Any = SimpleNamespace(__name__=__name__, Unpickler=_Reader, load=_load)
    try:
        with warnings.catch_warnings():
            # False leaves reading to ``_Reader``, which is the stricter one: nothing that the file names is called.
            warnings.simplefilter("ignore")  # that the source of the empty record differs from the network's
            found = torch.load(io.BytesIO(content), map_location="cpu", pickle_module=readers, weights_only=False)
        tensors = dict(found.items() if isinstance(found, dict) else _state(found))
    except InvalidBundle as error:
        raise InvalidBundle(f"the weights file {name} is refused: {error}") from None
    except (pickle.UnpicklingError, RuntimeError, LookupError, TypeError, ValueError, AttributeError, EOFError):
        raise InvalidBundle(_DAMAGED.format(name)) from None
    if not tensors or not all(isinstance(tensor, torch.Tensor) for tensor in tensors.values()):
        raise InvalidBundle(f"the weights file {name} holds something other than a network's tensors")
    return tensors


def _refuse_archives(content: bytes, name: str) -> None:
    """Raise InvalidBundle for what ``torch.load`` hands on to other readers: TorchScript and tar."""
    if content.startswith(b"PK"):
        try:
            members = zipfile.ZipFile(io.BytesIO(content)).namelist()
        except zipfile.BadZipFile:
            raise InvalidBundle(_DAMAGED.format(name)) from None
        if any(member.endswith("constants.pkl") for member in members):
            raise InvalidBundle(f"the weights file {name} is refused: it is a program (TorchScript), no plain network")
    elif tarfile.is_tarfile(io.BytesIO(content)):
        raise InvalidBundle(f"the weights file {name} is refused: it is a tar archive, no plain network")


class _Record:
    """What a class of the file becomes: a bag of attributes, without its code."""

    dump_patches = False  # PyTorch asks, to tell whether the source has changed

    def __init__(self, *_: object) -> None:
        """Whatever the file would have had constructed is not."""

    def __setstate__(self, state: object) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)


class _Reader(pickle.Unpickler):
    """An unpickler that cannot be made to call or import anything of the file's choosing."""

    def find_class(self, module: str, name: str) -> Any:
        """A few constructors of plain data; the empty record for a network's classes. Raises InvalidBundle else."""
        from torch import _utils

        plain = {
            ("collections", "OrderedDict"): OrderedDict,
            ("__builtin__", "set"): set,
            ("builtins", "set"): set,
            ("torch._utils", "_rebuild_tensor_v2"): _utils._rebuild_tensor_v2,
            ("torch._utils", "_rebuild_parameter"): _utils._rebuild_parameter,
        }
        if (module, name) in plain:
            return plain[module, name]
        if module.partition(".")[0] in ("torch", "torchvision", "torchxrayvision", "numpy"):
            return _Record
        raise InvalidBundle(f"it asks for {module}.{name}, which no network needs")


def _load(file: Any, **more: Any) -> Any:
    return _Reader(file, **more).load()


def _state(module: Any, prefix: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """A module's state dict, from its record."""
    for name, tensor in [*module._parameters.items(), *module._buffers.items()]:
        if tensor is not None:
            yield prefix + name, tensor
    for name, part in module._modules.items():
        yield from _state(part, f"{prefix}{name}.")
