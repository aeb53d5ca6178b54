"""Maps by gradients, for any architecture, with pytorch-grad-cam's methods.

The library leaves hooks and gradients on the model it is given and is not thread-safe. Every call here wraps the
shared, frozen network anew and detaches the features before the head, so only the head is differentiated. Nothing
shared is written to, calls may run in parallel, and no hook outlives its call. The library is imported at the first
call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from math import isqrt
from typing import Any

import numpy as np
import torch
from torch import nn

from cxrcore.errors import CxrError

METHODS: dict[str, str] = {
    "gradcam": "GradCAM",  # Selvaraju 2017, arXiv:1610.02391
    "gradcam++": "GradCAMPlusPlus",  # Chattopadhay 2018, arXiv:1710.11063
    "layercam": "LayerCAM",  # Jiang 2021, doi:10.1109/TIP.2021.3089943
    "hirescam": "HiResCAM",  # Draelos 2020, arXiv:2011.08891
    "eigencam": "EigenCAM",  # Muhammad 2020, arXiv:2008.00299
}


class _TappedNetwork(nn.Module):
    """The network with its last feature map cut off from the trunk and led through a layer of this call's own."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.tap = nn.Identity()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        network: Any = self.network  # timm's methods are unknown to nn.Module
        with torch.no_grad():
            features = network.forward_features(inputs)
        logits: torch.Tensor = network.forward_head(self.tap(features.detach().float().requires_grad_(True)))
        return logits


def gradient_maps(
    network: nn.Module,
    inputs: torch.Tensor,
    targets: Sequence[Callable[[torch.Tensor], torch.Tensor]],
    method: str,
) -> list[np.ndarray]:
    """One map per target at feature resolution, unscaled and with its sign: list of float32 (h, w).

    network: a frozen timm network in eval mode; inputs: (1, C, H, W); targets: functions from logits (C,) to the scalar
    to explain. Raises CxrError for a method that does not exist or a network whose features are not places.
    """
    if method not in METHODS:
        raise CxrError(f"no method {method!r}; choose one of: {', '.join([*METHODS, 'random'])}")
    algorithm = getattr(import_module("pytorch_grad_cam"), METHODS[method])
    tapped = _TappedNetwork(network)
    maps = []
    cam = algorithm(tapped, [tapped.tap], reshape_transform=_as_places(network))
    try:
        with torch.enable_grad():
            for target in targets:
                outputs = cam.activations_and_grads(inputs)
                gradients = None
                if cam.uses_gradients:
                    torch.autograd.backward(target(outputs[0]))
                    gradients = cam.activations_and_grads.gradients[0].numpy()
                activations = cam.activations_and_grads.activations[0].numpy()
                raw = cam.get_cam_image(inputs, tapped.tap, [target], activations, gradients, eigen_smooth=False)
                maps.append(np.asarray(raw[0], dtype=np.float32))
    finally:  # not its context manager, which swallows IndexError
        cam.activations_and_grads.release()
    return maps


def _as_places(network: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """A function from the network's features to (N, K, h, w): channels-last maps and tokens are rearranged."""
    channels = network.num_features
    prefix = getattr(network, "num_prefix_tokens", 0)

    def rearrange(features: torch.Tensor) -> torch.Tensor:
        features = features.cpu()
        if features.ndim == 4:
            return features if features.shape[1] == channels else features.permute(0, 3, 1, 2)
        tokens = features[:, prefix:] if features.ndim == 3 else features.new_zeros(0, 0, 0)
        side = isqrt(tokens.shape[1])
        if side == 0 or side * side != tokens.shape[1]:
            raise CxrError("this network's last features are not laid out in places, so it has no heatmap")
        return tokens.transpose(1, 2).reshape(len(tokens), -1, side, side)

    return rearrange
