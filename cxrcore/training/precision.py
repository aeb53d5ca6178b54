"""The floating-point type of a training step, and the loss scaling that fp16 needs."""

from __future__ import annotations

import torch

from cxrcore.errors import InvalidRecipe
from cxrcore.models.precision import default_dtype
from cxrcore.training.config import Precision


def training_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """The type of matrix products and convolutions. Raises InvalidRecipe for fp16 without a GPU."""
    if precision == "fp16" and device.type != "cuda":
        raise InvalidRecipe("optimizer.precision fp16 needs a GPU; use auto, bf16 or fp32")
    named = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    return named[precision] if precision in named else default_dtype(device)


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """A context that runs operations in ``dtype`` where that is safe; weights stay float32."""
    return torch.autocast(device.type, dtype, enabled=dtype is not torch.float32)


def scaler_for(dtype: torch.dtype, device: torch.device) -> torch.amp.GradScaler:
    """Loss scaling for fp16, whose small gradients would vanish (Micikevicius 2018, arXiv:1710.03740); else off."""
    return torch.amp.GradScaler(device.type, enabled=dtype is torch.float16)
