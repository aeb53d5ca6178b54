"""A network's initial weights: random, ImageNet's, a bundle's, or those of a file."""

from __future__ import annotations

from dataclasses import dataclass
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
from cxrcore.training.imagenet import grey_stem, imagenet_weights

SCRATCH = "random (trained from scratch)"
MIN_SHARED = 0.5  # of the trunk's values; fewer means that the weights are of another architecture


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
        stem = network.pretrained_cfg["first_conv"]
        _copy_trunk(network, grey_stem(weights.tensors, stem, config.preprocessing.channels))
        return InitialWeights(f"{weights.source}; the head is new", weights.license)
    path = Path(model.weights)
    if path.suffix == ".safetensors":
        name = path.name
    else:
        try:
            folder = find_bundle(model.weights)
        except CxrError as error:
            raise InvalidRecipe(
                f"model.weights names {Path(model.weights).name!r}, which cannot be opened ({error}); train or fetch "
                "it first, or use scratch, imagenet or a .safetensors file"
            ) from None
        path, name = folder / WEIGHTS, f"{read_config(folder).name}@{weights_digest(folder)}"
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError):
        raise InvalidRecipe(f"model.weights: {path.name} is missing or no safetensors file") from None
    share = _copy_trunk(network, tensors)
    if share < MIN_SHARED:
        raise InvalidRecipe(
            f"model.weights: {name} shares {share:.0%} of its values with {model.architecture}; "
            "take weights of the same architecture"
        )
    return InitialWeights(f"{name} ({share:.0%} of the trunk's values; the head is new)")


def _copy_trunk(network: Any, tensors: dict[str, torch.Tensor]) -> float:
    """Copy tensors of equal name and shape, but for the head; returns the share of the trunk's values copied."""
    head = {id(parameter) for parameter in network.get_classifier().parameters()}
    own: dict[str, torch.Tensor] = network.state_dict(keep_vars=True)
    trunk = {name: tensor for name, tensor in own.items() if id(tensor) not in head and tensor.is_floating_point()}
    copied = 0
    with torch.no_grad():
        for name, tensor in trunk.items():
            if name in tensors and tensors[name].shape == tensor.shape:
                tensor.copy_(tensors[name])
                copied += tensor.numel()
    return copied / max(1, sum(tensor.numel() for tensor in trunk.values()))
