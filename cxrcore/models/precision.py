"""Which floating-point type a forward pass runs in on this machine, and why.

bfloat16 on a CPU pays only where the CPU multiplies it in hardware (AMX, AVX512-BF16): several times faster there,
several times slower elsewhere.
"""

from __future__ import annotations

import logging
import os
from functools import cache
from pathlib import Path

import torch

from cxrcore.errors import CxrError

log = logging.getLogger(__name__)

_DTYPES = {"float32": torch.float32, "fp32": torch.float32, "bfloat16": torch.bfloat16, "bf16": torch.bfloat16}


def cpu_has_bfloat16(cpuinfo: str | None = None) -> bool:
    """Whether the CPU multiplies bfloat16 in hardware, from the flags Linux lists; False where it lists none."""
    if cpuinfo is None:
        path = Path("/proc/cpuinfo")
        cpuinfo = path.read_text(errors="ignore") if path.exists() else ""
    flags = next((line for line in cpuinfo.splitlines() if line.startswith("flags")), "").split()
    return "amx_bf16" in flags or "avx512_bf16" in flags


def default_dtype(device: torch.device) -> torch.dtype:
    """The type a forward pass uses on this device: ``CXR_DTYPE`` if set, else what the hardware is fast at.

    Raises CxrError when ``CXR_DTYPE`` names no type this library runs in.
    """
    asked = os.environ.get("CXR_DTYPE", "").strip().lower()
    if asked and asked not in _DTYPES:
        raise CxrError(f"CXR_DTYPE is {asked!r}; use float32 or bfloat16, or leave it unset")
    return _DTYPES[asked] if asked else _measured_default(device.type)


@cache
def _measured_default(device_type: str) -> torch.dtype:
    if device_type == "cuda":
        dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    else:
        dtype = torch.bfloat16 if device_type == "cpu" and cpu_has_bfloat16() else torch.float32
    log.info("forward passes on %s run in %s", device_type, str(dtype).removeprefix("torch."))
    return dtype
