"""A run's state in one safetensors file, written whole or not at all, so that a killed run goes on where it was.

No pickle: tensors go in by name, numbers as JSON in the header. Random numbers need no state, since every step draws
from a generator seeded by (run, epoch, step); the loader's position is the epoch and step.
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

from cxrcore.errors import CxrError, TrainingStopped
from cxrcore.training.config import Recipe

CHECKPOINT = "checkpoint.safetensors"
BEST = "best.safetensors"  # the weights of the best epoch alone


def save_tensors(
    path: Path, modules: dict[str, nn.Module], facts: dict[str, Any], extra: dict[str, torch.Tensor] | None = None
) -> None:
    """Write modules, further tensors and JSON-able facts. Raises TrainingStopped when the disk does not take them; the
    file before then stays whole.
    """
    tensors = {
        f"{name}/{key}": tensor for name, module in modules.items() for key, tensor in module.state_dict().items()
    }
    part = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(
            {name: tensor.detach().cpu().contiguous().clone() for name, tensor in {**tensors, **(extra or {})}.items()},
            part,
            metadata={"facts": json.dumps(facts)},
        )
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except (OSError, SafetensorError) as error:
        part.unlink(missing_ok=True)
        raise TrainingStopped(f"the checkpoint could not be written ({error}); the one before it is whole") from None


def save_checkpoint(
    path: Path, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer, facts: dict[str, Any]
) -> None:
    """As ``save_tensors``, with the optimizer's state."""
    state = {
        f"optimizer/{index}/{key}": torch.as_tensor(value)
        for index, entries in optimizer.state_dict()["state"].items()
        for key, value in entries.items()
    }
    save_tensors(path, modules, facts, state)


def load_checkpoint(
    path: Path, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer, recipe: Recipe
) -> dict[str, Any]:
    """Put a checkpoint's tensors back and return its facts; an empty dict where there is none.

    Raises TrainingStopped if it is damaged, of another recipe or of another network.
    """
    if not path.exists():
        return {}
    facts = read_facts(path)
    refuse_other_recipe(facts["recipe"], recipe)
    load_tensors(path, modules)
    try:
        with safe_open(path, framework="pt") as file:
            entries: dict[int, dict] = {}
            for name in file.keys():  # noqa: SIM118 (no mapping)
                if name.startswith("optimizer/"):
                    _, index, key = name.split("/")
                    entries.setdefault(int(index), {})[key] = file.get_tensor(name)
        optimizer.load_state_dict({**optimizer.state_dict(), "state": entries})
    except (OSError, SafetensorError, ValueError, KeyError):
        raise TrainingStopped(f"{path.name} is of another network; start again without --resume") from None
    return facts


def load_tensors(path: Path, modules: dict[str, nn.Module]) -> dict[str, Any]:
    """Put a file's tensors into modules and return its facts. Raises TrainingStopped if damaged or of others."""
    facts = read_facts(path)
    try:
        with safe_open(path, framework="pt") as file:
            for name, module in modules.items():
                prefix = name + "/"
                keys = [key for key in file.keys() if key.startswith(prefix)]  # noqa: SIM118
                module.load_state_dict({key.removeprefix(prefix): file.get_tensor(key) for key in keys})
    except (OSError, SafetensorError):
        raise TrainingStopped(f"{path.name} is damaged; start again without --resume") from None
    except RuntimeError:
        raise TrainingStopped(f"{path.name} is of another network; start again without --resume") from None
    return facts


def read_facts(path: Path) -> dict[str, Any]:
    """A checkpoint's facts alone. Raises TrainingStopped when it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            return json.loads(file.metadata()["facts"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        raise TrainingStopped(f"{path.name} is damaged; start again without --resume") from None


def refuse_other_recipe(before: dict, recipe: Recipe) -> None:
    """Raises TrainingStopped naming the keys in which ``recipe`` differs from the one a run began with."""
    if changed := _changed(before, recipe):
        raise TrainingStopped(f"cannot resume: the recipe changed in {', '.join(changed)}; choose another --out")


def _changed(before: dict, recipe: Recipe) -> list[str]:
    """Dotted keys in which the recipe of a checkpoint differs; options it did not know yet count as their defaults.

    Words for people, which change no weight, may differ.
    """
    try:
        then = Recipe.from_dict(before).to_dict()
    except CxrError:
        return ["ways this version does not know"]
    now = recipe.to_dict()
    found = []
    for key, value in now.items():
        if isinstance(value, dict):
            found += [f"{key}.{inner}" for inner in value if value[inner] != then[key][inner]]
        elif value != then[key]:
            found.append(key)
    return [key for key in found if key not in ("reproduces", "data.note")]
