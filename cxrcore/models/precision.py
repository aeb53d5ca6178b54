"""Which floating-point type a forward pass runs in on this machine, and why.

bfloat16 on a CPU pays only where the CPU multiplies it in hardware (AMX, AVX512-BF16): several times faster there,
several times slower elsewhere. Networks with depthwise convolutions stay in float32 everywhere: in bfloat16 the pooled
features of three EfficientNet-Lite0 moved by .15, .16 and 1.8 of their deviation between films, a ResNet-10's by .01.
"""

from __future__ import annotations

import logging
import os
from functools import cache
from pathlib import Path

import torch
from torch import nn

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


def default_dtype(device: torch.device, network: nn.Module) -> torch.dtype:
    """The type of a network's forward pass on this device: ``CXR_DTYPE`` if set, else what is fast and exact enough.

    Raises CxrError when ``CXR_DTYPE`` names no type this library runs in.
    """
    asked = os.environ.get("CXR_DTYPE", "").strip().lower()
    if asked and asked not in _DTYPES:
        raise CxrError(f"CXR_DTYPE is {asked!r}; use float32 or bfloat16, or leave it unset")
    if asked:
        return _DTYPES[asked]
    return torch.float32 if has_depthwise_convolutions(network) else _fastest(device.type)


def has_depthwise_convolutions(network: nn.Module) -> bool:
    """Whether some convolution of the network sees each channel by itself, as in MobileNet and EfficientNet."""
    return any(isinstance(m, nn.Conv2d) and m.groups == m.in_channels > 1 for m in network.modules())


@cache
def _fastest(device_type: str) -> torch.dtype:
    if device_type == "cuda":
        dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    else:
        dtype = torch.bfloat16 if device_type == "cpu" and cpu_has_bfloat16() else torch.float32
    log.info("forward passes on %s run in %s", device_type, str(dtype).removeprefix("torch."))
    return dtype
