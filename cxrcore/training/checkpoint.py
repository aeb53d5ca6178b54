"""A run's state in one safetensors file, written atomically, so that a killed run can resume.

No pickle: tensors are stored by name, numbers as JSON in the header. Random numbers need no state, since every step
draws from a generator seeded by (seed, epoch, step).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from cxrcore.errors import CxrError, TrainingStopped
from cxrcore.storage import atomic_write
from cxrcore.training.config import Recipe

CHECKPOINT = "checkpoint.safetensors"
BEST = "best.safetensors"  # only the weights of the best epoch


def save_tensors(
    path: Path, modules: dict[str, nn.Module], facts: dict[str, Any], extra: dict[str, torch.Tensor] | None = None
) -> None:
    """Write modules, further tensors and facts (JSON), atomically. Raises TrainingStopped when the disk is full."""
    tensors = dict(extra or {})
    for name, module in modules.items():
        tensors |= {f"{name}/{key}": tensor for key, tensor in module.state_dict().items()}
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as part:
            save_file(tensors, part, metadata={"facts": json.dumps(facts)})
    except (OSError, SafetensorError) as error:
        raise TrainingStopped(f"the checkpoint could not be written ({error}); the one before it is whole") from None


def save_checkpoint(
    path: Path, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer, facts: dict[str, Any]
) -> None:
    """Write modules, the optimizer's state and facts; see ``save_tensors``."""
    state = {
        f"optimizer/{index}/{key}": torch.as_tensor(value)
        for index, entries in optimizer.state_dict()["state"].items()
        for key, value in entries.items()
    }
    save_tensors(path, modules, facts, state)


def load_checkpoint(
    path: Path, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer, recipe: Recipe
) -> dict[str, Any]:
    """Restore a checkpoint's tensors and return its facts; an empty dict where there is no checkpoint.

    Raises TrainingStopped if it is damaged, of another recipe or of another network.
    """
    if not path.exists():
        return {}
    tensors, facts = _read(path)
    refuse_other_recipe(facts["recipe"], recipe)
    load_tensors(path, modules)
    entries: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer/"):
            _, index, key = name.split("/")
            entries.setdefault(int(index), {})[key] = tensor
    try:
        optimizer.load_state_dict({**optimizer.state_dict(), "state": entries})
    except (ValueError, KeyError):
        raise TrainingStopped(f"{path.name} is of another network; start again without --resume") from None
    return facts


def load_tensors(path: Path, modules: dict[str, nn.Module]) -> None:
    """Load a file's tensors into modules. Raises TrainingStopped if it is damaged or of another network."""
    tensors, _ = _read(path)
    try:
        for name, module in modules.items():
            prefix = name + "/"
            own = {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}
            module.load_state_dict(own)
    except RuntimeError:
        raise TrainingStopped(f"{path.name} is of another network; start again without --resume") from None


def _read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """A file's tensors and facts. Raises TrainingStopped if it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["facts"])  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        raise TrainingStopped(f"{path.name} is damaged; start again without --resume") from None


def refuse_other_recipe(before: dict[str, Any], recipe: Recipe) -> None:
    """Raise TrainingStopped naming the keys in which ``recipe`` differs from the one a run began with."""
    if changed := _changed_keys(before, recipe):
        raise TrainingStopped(f"cannot resume: the recipe changed in {', '.join(changed)}; choose another --out")


def _changed_keys(before: dict[str, Any], recipe: Recipe) -> list[str]:
    """Dotted keys in which two recipes differ; an option that did not exist yet counts as its default.

    Descriptions, which change no weight, may differ.
    """
    try:
        then = Recipe.from_dict(before).to_dict()
    except CxrError:
        return ["ways this version does not know"]
    changed = []
    for key, value in recipe.to_dict().items():
        if isinstance(value, dict):
            changed += [f"{key}.{inner}" for inner in value if value[inner] != then[key][inner]]
        elif value != then[key]:
            changed.append(key)
    return [key for key in changed if key not in ("reproduces", "data.note")]
