"""A bundle's tensors: ``model.safetensors`` into the network that the config names, and a network's tensors out.

A file that does not fit is refused: a tensor that is missing, extra, misshaped or not finite. Only this module of the
bundle and ``architectures`` load torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cxrcore.bundle.config import BundleConfig
from cxrcore.errors import InvalidBundle
from cxrcore.storage import write_bytes

if TYPE_CHECKING:
    import torch
    from torch import nn

WEIGHTS = "model.safetensors"


def read_network(folder: Path, config: BundleConfig) -> nn.Module:
    """The network in float32, eval mode, frozen, with exactly the bundle's tensors.

    Raises InvalidBundle when the file is corrupt, or a tensor is missing, extra, misshaped or not finite.
    """
    return network_with(_read_tensors(folder), config, folder.name)


def network_with(tensors: dict[str, torch.Tensor], config: BundleConfig, name: str) -> nn.Module:
    """``read_network`` for tensors by their names in the state dict; messages call the model ``name``."""
    network = config.build_network()
    _refuse_misfit(network, tensors, config, name)
    network.load_state_dict(tensors)
    network.eval().requires_grad_(False)
    return network


def check_weights(folder: Path, config: BundleConfig) -> None:
    """Raise InvalidBundle where ``read_network`` would, in less time: no tensor is allocated only to be overwritten."""
    import torch

    from cxrcore.bundle.architectures import import_family

    import_family(config.architecture)  # before the context below, which an import must not see
    with torch.device("meta"):  # shapes and nothing else
        network = config.build_network()
    _refuse_misfit(network, _read_tensors(folder), config, folder.name)


def write_weights(folder: Path, network: nn.Module, half: bool = True) -> None:
    """Write the network's state dict, atomically; floating tensors as float16 if ``half``."""
    from safetensors.torch import save

    tensors = {
        name: (tensor.half() if half and tensor.is_floating_point() else tensor).contiguous().cpu()
        for name, tensor in network.state_dict().items()
    }
    write_bytes(folder / WEIGHTS, save(tensors, metadata={"format": "pt"}))  # save_file's files are its owner's alone


def _read_tensors(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / WEIGHTS
    if not path.is_file():
        raise InvalidBundle(f"model {folder.name!r} has no {WEIGHTS}; fetch the bundle again")
    try:
        return load_file(path)
    except (SafetensorError, OSError):
        raise InvalidBundle(f"the weights of model {folder.name!r} are damaged; fetch the bundle again") from None


def _refuse_misfit(network: nn.Module, tensors: dict[str, torch.Tensor], config: BundleConfig, name: str) -> None:
    if problems := _differences(network.state_dict(), tensors):
        raise InvalidBundle(f"the weights of model {name!r} do not fit {config.architecture}: {problems}")


def _differences(expected: dict[str, torch.Tensor], tensors: dict[str, torch.Tensor], shown: int = 3) -> str:
    problems = [f"missing {name}" for name in expected if name not in tensors]
    problems += [f"unexpected {name}" for name in tensors if name not in expected]
    for name in expected.keys() & tensors.keys():
        if expected[name].shape != tensors[name].shape:
            problems.append(f"{name} is {tuple(tensors[name].shape)} instead of {tuple(expected[name].shape)}")
        elif tensors[name].is_floating_point() and not _finite(tensors[name]):
            problems.append(f"{name} holds values that are not finite")
    problems.sort()
    more = f" and {len(problems) - shown} more" if len(problems) > shown else ""
    return "; ".join(problems[:shown]) + more


def _finite(tensor: torch.Tensor) -> bool:
    """Whether every value is finite, by a sum that is too wide to overflow: faster than testing each value."""
    import torch

    wide = torch.float32 if tensor.dtype is torch.float16 else torch.float64
    return bool(tensor.sum(dtype=wide).isfinite())
