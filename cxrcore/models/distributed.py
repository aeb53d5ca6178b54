"""The processes that share the work: one, or as many as ``accelerate launch`` or ``torchrun`` started."""

from __future__ import annotations

import os

import torch
from accelerate import Accelerator


def join_processes() -> Accelerator:
    """Device and number of processes, from the launcher's environment; without a GPU they communicate through gloo."""
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    return Accelerator(mixed_precision="no", cpu=several and not torch.cuda.is_available())
