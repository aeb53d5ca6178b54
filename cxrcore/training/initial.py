"""A network's initial weights: random, ImageNet's, a bundle's, or those of a file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from cxrcore.bundle.config import BundleConfig
from cxrcore.bundle.folder import read_config, weights_digest
from cxrcore.bundle.weights import WEIGHTS
from cxrcore.errors import CxrError, InvalidRecipe
from cxrcore.models.opening import find_bundle
from cxrcore.training.config import ModelConfig
from cxrcore.training.imagenet import fit_stem, imagenet_weights

SCRATCH = "random (trained from scratch)"
MIN_SHARED = 0.95  # of the trunk's values, and of the file's; fewer: the weights are of another architecture


@dataclass(frozen=True)
class InitialWeights:
    """Where a run's initial weights come from, as a bundle's config and card give it."""

    name: str  # e.g. "random (trained from scratch)"
    license: str = ""  # SPDX, lower case; empty where none applies or none is known


def start_from(network: Any, model: ModelConfig, config: BundleConfig) -> InitialWeights:
    """Load the recipe's initial weights into ``network``, in place; returns where they come from.

    Raises InvalidRecipe for weights that cannot be had, and for a bundle or file that is missing or does not fit.
    """
    if model.weights == "scratch":
        return InitialWeights(SCRATCH)
    if model.weights in ("imagenet", "pretrained"):
        weights = imagenet_weights(model.architecture)
        tensors, initial = weights.tensors, InitialWeights(weights.source, weights.license)
    else:
        tensors, initial = _read(model.weights)
    share = _copy_trunk(network, tensors, config.preprocessing.channels)
    if share < MIN_SHARED:
        raise InvalidRecipe(
            f"model.weights: {initial.name} shares {share:.0%} of its values with {model.architecture}; "
            "take weights of the same architecture"
        )
    return replace(initial, name=f"{initial.name} ({share:.0%} of the trunk's values; the head is new)")


def _read(reference: str) -> tuple[dict[str, torch.Tensor], InitialWeights]:
    """The tensors of a safetensors file or of a bundle, and what they are called. Raises InvalidRecipe."""
    path = Path(reference)
    if path.suffix == ".safetensors":
        initial = InitialWeights(path.name)
    else:
        try:
            folder = find_bundle(reference)
        except CxrError as error:
            raise InvalidRecipe(
                f"model.weights names {path.name!r}, which cannot be opened ({error}); train or fetch it first, or use "
                "scratch, imagenet or a .safetensors file"
            ) from None
        config = read_config(folder)
        license_id = str(config.provenance.get("license", ""))
        path, initial = folder / WEIGHTS, InitialWeights(f"{config.name}@{weights_digest(folder)}", license_id)
    try:
        return load_file(path), initial
    except (OSError, SafetensorError):
        raise InvalidRecipe(f"model.weights: {path.name} is missing or no safetensors file") from None


def _copy_trunk(network: Any, tensors: dict[str, torch.Tensor], channels: int) -> float:
    """Copy tensors of equal name and shape, but for the head; returns the share that was copied.

    It is the smaller of two: of the values that the network's trunk has, and of those that ``tensors`` has for a trunk.
    """
    tensors = fit_stem(tensors, str(network.pretrained_cfg.get("first_conv")), channels)
    head = {id(parameter) for parameter in network.get_classifier().parameters()}
    own: dict[str, torch.Tensor] = network.state_dict(keep_vars=True)
    heads = {name for name, tensor in own.items() if id(tensor) in head}
    trunk = {name: tensor for name, tensor in own.items() if name not in heads and tensor.is_floating_point()}
    given = sum(t.numel() for name, t in tensors.items() if name not in heads and t.is_floating_point())
    copied = 0
    with torch.no_grad():
        for name, tensor in trunk.items():
            if name in tensors and tensors[name].shape == tensor.shape:
                tensor.copy_(tensors[name])
                copied += tensor.numel()
    return copied / max(1, given, sum(tensor.numel() for tensor in trunk.values()))
