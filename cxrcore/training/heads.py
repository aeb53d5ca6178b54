"""The training head (batch norm, dropout, linear), and the linear layer it is folded into when the run ends."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from cxrcore.errors import InvalidRecipe
from cxrcore.training.config import ModelConfig


def put_training_head(network: Any, model: ModelConfig) -> None:
    """For ``head: batchnorm``, replace the linear classifier by batch norm, dropout and linear, in place.

    Raises InvalidRecipe for an architecture whose classifier is not a single linear layer.
    """
    if model.head == "linear":
        return
    linear = network.get_classifier()
    if not isinstance(linear, nn.Linear):
        raise InvalidRecipe(f"model.head batchnorm needs a linear classifier, and {model.architecture} has none")
    head = nn.Sequential(nn.BatchNorm1d(linear.in_features), nn.Dropout(model.dropout), linear)
    setattr(network, _name_of(network, linear), head)


def fold_training_head(network: Any) -> None:
    """Fold batch norm, dropout and linear into one linear layer with the same logits in eval mode, in place.

    W (s x + t) + b = (W s) x + (W t + b), with s and t the batch norm's scale and shift. A linear head is unchanged.
    """
    head = network.get_classifier()
    if not isinstance(head, nn.Sequential):
        return
    norm, _, linear = head
    assert isinstance(norm, nn.BatchNorm1d)
    assert isinstance(linear, nn.Linear)
    with torch.no_grad():
        assert norm.running_var is not None
        assert norm.running_mean is not None
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        shift = norm.bias - norm.running_mean * scale
        folded = nn.Linear(linear.in_features, linear.out_features).to(linear.weight)
        folded.weight.copy_(linear.weight * scale)
        folded.bias.copy_(linear.bias + linear.weight @ shift)
    setattr(network, _name_of(network, head), folded)


def _name_of(network: nn.Module, module: nn.Module) -> str:
    return next(name for name, child in network.named_children() if child is module)
