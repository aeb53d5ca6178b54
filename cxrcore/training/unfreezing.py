"""Gradual unfreezing: first only the head is trained, then one more stage at a time, from the last to the first."""

from __future__ import annotations

from typing import Any

from timm.models import group_parameters
from torch import nn

from cxrcore.training.config import ModelConfig


def stages(network: Any) -> list[list[str]]:
    """Parameter names by stage, first to last, without the classifier; timm's coarse groups where it has them."""
    head = {id(p) for p in network.get_classifier().parameters()}
    names = {name: id(p) for name, p in network.named_parameters()}
    if hasattr(network, "group_matcher"):
        groups = list(group_parameters(network, network.group_matcher(coarse=True)).values())
    else:
        groups = [list(names)]
    trunk = [[name for name in group if names[name] not in head] for group in groups]
    return [group for group in trunk if group]


def open_stages(model: ModelConfig, epoch: int, count: int) -> int:
    """How many of ``count`` stages, from the last, are trained in ``epoch`` (from 0)."""
    if epoch < model.frozen_epochs:
        return 0
    if not model.unfreeze_every:
        return count
    return min(count, 1 + (epoch - model.frozen_epochs) // model.unfreeze_every)


def set_trainable(network: Any, model: ModelConfig, epoch: int) -> bool:
    """Freeze and unfreeze parameters for ``epoch``, in place; returns whether anything changed.

    Batch norms with frozen parameters must also keep their statistics: call ``train_mode`` before each epoch.
    """
    groups = stages(network)
    closed = len(groups) - open_stages(model, epoch, len(groups))
    frozen = {name for group in groups[:closed] for name in group}
    changed = False
    for name, parameter in network.named_parameters():
        changed |= parameter.requires_grad == (name in frozen)
        parameter.requires_grad_(name not in frozen)
    return changed


def train_mode(network: nn.Module) -> None:
    """Set training mode but for frozen modules, so that frozen batch norms keep their statistics."""
    network.train()
    for module in network.modules():
        own = list(module.parameters(recurse=False))
        if own and not any(parameter.requires_grad for parameter in own):
            module.eval()
