"""The moving average of a network's weights, which scores better and steadier than its last step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def average_of(network: nn.Module, decay: float) -> AveragedModel:
    """An average that follows ``network``, buffers included; call ``update_parameters`` after each step."""
    return AveragedModel(network, multi_avg_fn=moving_average(decay), use_buffers=True)


def moving_average(decay: float) -> Callable[[Any, Any, Any], None]:
    """AveragedModel's update rule; its decay rises from .1 to ``decay`` so that early weights are soon forgotten."""

    def update(averages: Any, current: Any, count: Any) -> None:
        get_ema_multi_avg_fn(min(decay, (1 + int(count)) / (10 + int(count))))(averages, current, count)

    return update
