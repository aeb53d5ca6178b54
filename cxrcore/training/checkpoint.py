"""A run's state in one safetensors file, written whole or not at all, so that a killed run goes on where it was.

No pickle: tensors go in by name, numbers as JSON in the header. Random numbers need no state, since every step draws
from a generator seeded by (run, epoch, step).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from cxrcore.errors import TrainingStopped

CHECKPOINT = "checkpoint.safetensors"


def save_checkpoint(
    path: Path, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer, facts: dict[str, Any]
) -> None:
    """Write modules, optimizer and JSON-able facts. Raises TrainingStopped when the disk does not take them; the
    checkpoint before then stays whole.
    """
    tensors = {
        f"{name}/{key}": tensor.contiguous()
        for name, module in modules.items()
        for key, tensor in module.state_dict().items()
    }
    state = optimizer.state_dict()
    for index, entries in state["state"].items():
        for key, value in entries.items():
            tensors[f"optimizer/{index}/{key}"] = torch.as_tensor(value).contiguous()
    part = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(
            {name: tensor.clone() for name, tensor in tensors.items()}, part, metadata={"facts": json.dumps(facts)}
        )
        os.replace(part, path)
    except (OSError, SafetensorError) as error:
        part.unlink(missing_ok=True)
        raise TrainingStopped(f"the checkpoint could not be written ({error}); the one before it is whole") from None


def load_checkpoint(path: Path, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Put a checkpoint's tensors back and return its facts. Raises TrainingStopped if damaged or of another network."""
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()["facts"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        raise TrainingStopped(f"{path.name} is damaged; start again without --resume") from None
    try:
        for name, module in modules.items():
            prefix = name + "/"
            module.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
        state = optimizer.state_dict()
        state["state"] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimizer/"):
                _, index, key = name.split("/")
                state["state"].setdefault(int(index), {})[key] = tensor
        optimizer.load_state_dict(state)
    except (RuntimeError, ValueError, KeyError):
        raise TrainingStopped(f"{path.name} is of another network; start again without --resume") from None
    return facts


def read_facts(path: Path) -> dict[str, Any]:
    """A checkpoint's facts alone. Raises TrainingStopped when it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            return json.loads(file.metadata()["facts"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        raise TrainingStopped(f"{path.name} is damaged; start again without --resume") from None
