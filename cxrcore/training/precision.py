"""The floating-point type of a training step, and the loss scaling that fp16 needs."""

from __future__ import annotations

import copy
import math
import os
import time

import torch
from torch import Tensor, nn

from cxrcore.errors import InvalidRecipe
from cxrcore.models.precision import default_dtype
from cxrcore.training.config import Precision

NAMES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def training_dtype(precision: Precision, device: torch.device, network: nn.Module) -> torch.dtype:
    """The type of matrix products and convolutions; of ``auto`` the one that predictions have too (``default_dtype``).

    Raises InvalidRecipe for fp16 without a GPU.
    """
    if precision == "fp16" and device.type != "cuda":
        raise InvalidRecipe("optimizer.precision fp16 needs a GPU; use auto, bf16 or fp32")
    return NAMES[precision] if precision in NAMES else default_dtype(device, network)


def name_of(dtype: torch.dtype) -> str:
    """The type as a recipe names it: fp32, bf16 or fp16."""
    return next(name for name, known in NAMES.items() if known is dtype)


def is_measured(precision: Precision, device: torch.device, network: nn.Module) -> bool:
    """Whether ``faster_dtype`` decides: auto, on a CPU where bfloat16 is fast and exact enough, and no CXR_DTYPE."""
    if precision != "auto" or device.type != "cpu" or os.environ.get("CXR_DTYPE"):
        return False
    return default_dtype(device, network) is torch.bfloat16


def faster_dtype(network: nn.Module, films: Tensor) -> tuple[torch.dtype, dict[str, float]]:
    """Which of float32 and bfloat16 trains ``network`` faster here, and the seconds that a step takes in each.

    ``films`` are one batch, float32 (n, channels, H, W). A step is a forward and a backward pass; each type has one
    that does not count and then the best of two, in turn. Neither the network nor any generator changes.
    """
    copied = copy.deepcopy(network)
    seconds = dict.fromkeys(("fp32", "bf16"), math.inf)
    with torch.random.fork_rng(devices=[]):
        for attempt in range(3):
            for name in seconds:
                started = time.perf_counter()
                with autocast(films.device, NAMES[name]):
                    logits = copied(films)
                logits.float().square().mean().backward()
                elapsed = time.perf_counter() - started
                seconds[name] = min(seconds[name], elapsed) if attempt else math.inf
    return NAMES[min(seconds, key=seconds.__getitem__)], seconds


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """A context that runs operations in ``dtype`` where that is safe; weights stay float32."""
    return torch.autocast(device.type, dtype, enabled=dtype is not torch.float32)


def scaler_for(dtype: torch.dtype, device: torch.device) -> torch.amp.GradScaler:
    """Loss scaling for fp16, whose small gradients would vanish (Micikevicius 2018, arXiv:1710.03740); else off."""
    return torch.amp.GradScaler(device.type, enabled=dtype is torch.float16)
