"""A network's initial weights: random, timm's pretrained ones, a bundle's, or those of a file."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import constants, try_to_load_from_cache
from safetensors import SafetensorError
from safetensors.torch import load_file

from cxrcore.bundle.config import BundleConfig
from cxrcore.bundle.folder import read_config, weights_digest
from cxrcore.bundle.weights import WEIGHTS
from cxrcore.errors import CxrError, InvalidRecipe
from cxrcore.models.opening import find_bundle
from cxrcore.training.config import ModelConfig

SCRATCH = "random (trained from scratch)"
MIN_SHARED = 0.5  # of the trunk's values; fewer means that the weights are of another architecture


def start_from(network: Any, model: ModelConfig, config: BundleConfig, log: Callable[[str], None]) -> str:
    """Load the recipe's initial weights into ``network``, in place; returns a line that names them.

    Where pretrained weights are unavailable (no Hub, none published), the weights stay random, and ``log`` gets the
    reason. Raises InvalidRecipe for a bundle or file that is missing or does not fit.
    """
    if model.weights == "scratch":
        return SCRATCH
    if model.weights == "pretrained":
        return _pretrained(network, model, config, log)
    path = Path(model.weights)
    if path.suffix == ".safetensors":
        name = path.name
    else:
        try:
            folder = find_bundle(model.weights)
        except CxrError as error:
            raise InvalidRecipe(
                f"model.weights names {Path(model.weights).name!r}, which cannot be opened ({error}); train or fetch "
                "it first, or use scratch, pretrained or a .safetensors file"
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
    return f"{name} ({share:.0%} of the trunk's values; the head is new)"


def _pretrained(network: Any, model: ModelConfig, config: BundleConfig, log: Callable[[str], None]) -> str:
    cfg = timm.get_pretrained_cfg(model.architecture)
    source = cfg.hf_hub_id if cfg else None
    if cfg is None or source is None:
        log(f"timm publishes no pretrained weights for {model.architecture}: this run starts from scratch")
        return SCRATCH
    name = f"{cfg.architecture}.{cfg.tag}" if cfg.tag else cfg.architecture
    if not (_cached(source) or _hub_answers()):
        log(f"the Hugging Face Hub does not answer, so {name} cannot be had: this run starts from scratch")
        return f"{SCRATCH}; {name} was asked for and the Hub did not answer"
    try:
        weights = timm.create_model(model.architecture, pretrained=True, in_chans=config.preprocessing.channels)
    except Exception as error:
        log(f"{name} could not be fetched ({type(error).__name__}): this run starts from scratch")
        return f"{SCRATCH}; {name} was asked for and could not be fetched"
    _copy_trunk(network, weights.state_dict())
    return f"timm/{name} (ImageNet or what its tag says; the head is new)"


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


def _cached(source: str) -> bool:
    return any(
        isinstance(try_to_load_from_cache(source, name), str) for name in ("model.safetensors", "pytorch_model.bin")
    )


def _hub_answers(seconds: float = 5.0) -> bool:
    """Whether the Hub can be reached; its client would retry for 45 seconds before it fails."""
    if constants.HF_HUB_OFFLINE:
        return False
    try:
        with urllib.request.urlopen(urllib.request.Request(constants.ENDPOINT, method="HEAD"), timeout=seconds):
            return True
    except urllib.error.HTTPError:
        return True  # an error is an answer
    except (OSError, ValueError):
        return False
