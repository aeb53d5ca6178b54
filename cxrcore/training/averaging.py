"""An exponential moving average of a network's weights, which scores better than the weights of its last step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def average_of(network: nn.Module, decay: float) -> AveragedModel:
    """The average of ``network``, buffers included; call ``update_parameters`` after each step."""
    return AveragedModel(network, multi_avg_fn=moving_average(decay), use_buffers=True)


def moving_average(decay: float) -> Callable[[Any, Any, Any], None]:
    """AveragedModel's update rule. The decay rises from .1 to ``decay``, so that early weights soon fade."""
    step: Any = get_ema_multi_avg_fn

    def update(averages: Any, current: Any, count: Any) -> None:
        step(min(decay, (1 + int(count)) / (10 + int(count))))(averages, current, count)

    return update
