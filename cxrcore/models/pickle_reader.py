"""Read the tensors of a ``torch.save`` file without running anything that the file names.

Such files are pickles, and many hold a whole module in the format before PyTorch 1.6, which ``weights_only=True``
refuses. The unpickler here knows tensors and plain containers, replaces every class of a network by an empty record,
and refuses all other names.
"""

from __future__ import annotations

import io
import pickle
import tarfile
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from cxrcore.errors import InvalidBundle

if TYPE_CHECKING:
    import torch

_DAMAGED = "the weights file {} is damaged or no network; delete it and open it again"
_NETWORK_PACKAGES = ("torch", "torchvision", "torchxrayvision", "numpy")


def read_tensors(content: bytes, name: str) -> dict[str, torch.Tensor]:
    """The tensors of a ``torch.save`` file, old format or new, by their names in the state dict; on the CPU.

    The file holds a state dict or a whole module; messages call it ``name``. Raises InvalidBundle for anything else,
    and for a file that asks for a name that no network needs.
    """
    import torch

    _refuse_archives(content, name)
    reader: Any = SimpleNamespace(__name__=__name__, Unpickler=_Unpickler, load=_load)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the source of the empty record differs from the network's
            # weights_only=False leaves reading to ``_Unpickler``, which is stricter: it calls nothing of the file's
            loaded = torch.load(io.BytesIO(content), map_location="cpu", pickle_module=reader, weights_only=False)
        tensors = dict(loaded.items() if isinstance(loaded, dict) else _state(loaded))
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
    """Stands for a class that the file names: attributes without code."""

    dump_patches = False  # PyTorch reads it, to tell whether the source has changed

    def __init__(self, *_: object) -> None:
        """Construct nothing, whatever the arguments."""

    def __setstate__(self, state: object) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)


class _Unpickler(pickle.Unpickler):
    """An unpickler that calls and imports nothing of the file's choosing."""

    def find_class(self, module: str, name: str) -> Any:
        """A few constructors of plain data; ``_Record`` for a network's classes. Raises InvalidBundle otherwise."""
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
        if module.partition(".")[0] in _NETWORK_PACKAGES:
            return _Record
        raise InvalidBundle(f"it asks for {module}.{name}, which no network needs")


def _load(file: Any, **options: Any) -> Any:
    return _Unpickler(file, **options).load()


def _state(module: Any, prefix: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """A module's state dict, from its record."""
    for name, tensor in [*module._parameters.items(), *module._buffers.items()]:
        if tensor is not None:
            yield prefix + name, tensor
    for name, part in module._modules.items():
        yield from _state(part, f"{prefix}{name}.")
