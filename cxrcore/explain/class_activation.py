"""Every finding's Grad-CAM from one forward pass, in closed form, for heads of mean pooling and one linear layer.

There Grad-CAM equals CAM up to a constant: with y_c = b_c + (1/Z) sum_k w_ck sum_ij A_kij the gradient is
dy_c/dA_kij = w_ck / Z (Selvaraju 2017, arXiv:1610.02391, sec. 3.1; Zhou 2016, arXiv:1512.04150). So all maps are one
product of the features with the head's weights, signed and in logits: mean over places plus bias is the logit. No
hooks, no gradients, nothing kept between calls, hence safe with many threads.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from cxrcore.findings import Kind


def linear_head(network: Any) -> nn.Linear | None:
    """The network's classifier if its head is exactly mean pooling over places followed by that linear layer.

    Decided by behaviour rather than by name: the head is run on random features and compared. None for any other head
    (transformers, a non-linear neck after pooling), which then goes through gradients instead.
    """
    classifier = network.get_classifier() if hasattr(network, "get_classifier") else None
    if not isinstance(classifier, nn.Linear) or not hasattr(network, "forward_head"):
        return None
    generator = torch.Generator().manual_seed(0)
    features = torch.rand((2, classifier.in_features, 3, 5), generator=generator).to(classifier.weight.device)
    try:
        with torch.inference_mode():
            found = network.forward_head(features)
            expected = classifier(features.mean(dim=(2, 3)))
    except (RuntimeError, IndexError, ValueError):
        return None  # this head expects another layout, e.g. tokens
    matches = found.shape == expected.shape and torch.allclose(found, expected, rtol=1e-4, atol=1e-5)
    return classifier if matches else None


def target_transform(classes: int, kind: Kind) -> torch.Tensor:
    """The matrix T, float32 (C, C), that takes logits z to map targets T z.

    Multilabel: the logit itself. Multiclass: z_c minus the mean of the others; softmax cannot tell the two.
    """
    identity = torch.eye(classes)
    if kind is Kind.MULTILABEL:
        return identity
    return identity - (1 - identity) / (classes - 1)


def class_activation_maps(
    features: torch.Tensor, classifier: nn.Linear, kind: Kind
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits and every finding's signed map from the last feature map.

    features: (N, K, h, w), any float type; computed in float32 here. Returns logits (N, C), maps (N, C, h, w) in logits
    and their biases (C,), with ``maps.mean((2, 3)) + biases`` the map targets.
    """
    features = features.float()
    weight = classifier.weight.float()
    bias = classifier.bias.float() if classifier.bias is not None else weight.new_zeros(len(weight))
    per_class = torch.einsum("ck,nkhw->nchw", weight, features)
    logits = per_class.mean(dim=(2, 3)) + bias
    transform = target_transform(len(weight), kind).to(weight.device)
    if kind is Kind.MULTILABEL:
        return logits, per_class, bias
    return logits, torch.einsum("dc,nchw->ndhw", transform, per_class), transform @ bias
