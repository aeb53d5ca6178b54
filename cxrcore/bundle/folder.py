"""A model is a folder: config.json (``bundle_config``) and model.safetensors, found, read, written and exported whole.

What does not fit is refused: a missing, extra or misshaped tensor, or one that is not finite. Plain timm opens the same
folder: ``timm.create_model("local-dir:<folder>", pretrained=True)``.

Listing bundles and reading their configs and scores loads no torch; only weights do.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cxrcore.bundle.config import BundleConfig, EnsembleConfig, refuse_outside
from cxrcore.bundle.reference import origin
from cxrcore.errors import InvalidBundle
from cxrcore.resources import ASSETS

if TYPE_CHECKING:
    import torch
    from torch import nn

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
GOLDEN = "evaluation/golden.json"  # outputs on phantoms, for ``cxrcore.models.golden``
PICTURES = ("evaluation/*/roc.png", "evaluation/*/reliability.png")  # of the card, drawn from the scores
MEMBERS = "members"  # the folder of an ensemble's members, each a bundle
FIRST = "pneumonia-resnet18"  # what screens open when nobody chose
EMBEDDED = ASSETS / "models"


def embedded_models() -> list[str]:
    """Names of the bundles that ship with the project: the one to open without being asked, then the others, sorted."""
    names = sorted(path.parent.name for path in EMBEDDED.glob(f"*/{CONFIG}"))
    return sorted(names, key=lambda name: name != FIRST)


def read_config(folder: Path) -> BundleConfig:
    """The bundle's config, or a plain timm classifier's where it says enough of itself.

    Raises InvalidBundle when it is not JSON or does not hold together.
    """
    data = _read_json(folder)
    if "cxrcore" in data or not {"pretrained_cfg", "num_features"} <= data.keys():  # a bundle that lost its section
        return BundleConfig.from_dict(data)
    from cxrcore.bundle.timm_config import timm_config

    refuse_outside(data)
    return timm_config(data, (origin(folder) or folder.name).split("@")[0])


def read_ensemble(folder: Path) -> EnsembleConfig:
    """As ``read_config``, of a folder of several bundles."""
    return EnsembleConfig.from_dict(_read_json(folder))


def is_ensemble(folder: Path) -> bool:
    """Whether the folder holds several bundles that answer as one. Raises InvalidBundle when its config is not JSON."""
    section = _read_json(folder).get("cxrcore")
    return isinstance(section, dict) and section.get("kind") == "ensemble"


def member_folders(folder: Path, config: EnsembleConfig) -> list[Path]:
    """Where an ensemble's members lie, in order. Raises InvalidBundle naming one that is not there."""
    folders = [folder / MEMBERS / name for name in config.members]
    for member in folders:
        if not (member / CONFIG).is_file():
            raise InvalidBundle(f"ensemble {config.name!r} lacks its member {member.name!r}; fetch it again")
    return folders


def _read_json(folder: Path) -> dict:
    try:
        data = json.loads((folder / CONFIG).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        raise InvalidBundle(
            f"the config.json of model {folder.name!r} cannot be read; fetch the bundle again"
        ) from None
    if not isinstance(data, dict):
        raise InvalidBundle(f"the config.json of model {folder.name!r} is not an object; fetch the bundle again")
    return data


def read_network(folder: Path, config: BundleConfig) -> nn.Module:
    """The network in float32, eval mode, frozen, with exactly the bundle's tensors.

    Raises InvalidBundle when the file is corrupt, or a tensor is missing, extra, misshaped or not finite.
    """
    return network_with(_read_tensors(folder), config, folder.name)


def check_weights(folder: Path, config: BundleConfig) -> None:
    """Raise InvalidBundle where ``read_network`` would, sooner: no tensor is made only to be filled."""
    import torch

    from cxrcore.bundle.architectures import import_family

    import_family(config.architecture)  # before the context below, which an import must not see
    with torch.device("meta"):  # shapes and nothing else
        network = config.build_network()
    _refuse_misfit(network, _read_tensors(folder), config, folder.name)


def _read_tensors(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / WEIGHTS
    if not path.is_file():
        raise InvalidBundle(f"model {folder.name!r} has no {WEIGHTS}; fetch the bundle again")
    try:
        return load_file(path)
    except (SafetensorError, OSError):
        raise InvalidBundle(f"the weights of model {folder.name!r} are damaged; fetch the bundle again") from None


def network_with(tensors: dict[str, torch.Tensor], config: BundleConfig, name: str) -> nn.Module:
    """As ``read_network``, of tensors by their names in the state dict; ``name`` is what to call them."""
    network = config.build_network()
    _refuse_misfit(network, tensors, config, name)
    network.load_state_dict(tensors)
    network.eval().requires_grad_(False)
    return network


def _refuse_misfit(network: nn.Module, tensors: dict[str, torch.Tensor], config: BundleConfig, name: str) -> None:
    if problems := _differences(network.state_dict(), tensors):
        raise InvalidBundle(f"the weights of model {name!r} do not fit {config.architecture}: {problems}")


def _differences(wanted: dict[str, torch.Tensor], found: dict[str, torch.Tensor], shown: int = 3) -> str:
    problems = [f"missing {name}" for name in wanted if name not in found]
    problems += [f"unexpected {name}" for name in found if name not in wanted]
    for name in wanted.keys() & found.keys():
        if wanted[name].shape != found[name].shape:
            problems.append(f"{name} is {tuple(found[name].shape)} instead of {tuple(wanted[name].shape)}")
        elif found[name].is_floating_point() and not _finite(found[name]):
            problems.append(f"{name} holds values that are not finite")
    problems.sort()
    more = f" and {len(problems) - shown} more" if len(problems) > shown else ""
    return "; ".join(problems[:shown]) + more


def _finite(tensor: torch.Tensor) -> bool:
    """Whether every value is finite, by a sum that is too wide to overflow: faster than asking each."""
    import torch

    wide = torch.float32 if tensor.dtype is torch.float16 else torch.float64
    return bool(tensor.sum(dtype=wide).isfinite())


def write_bundle(folder: Path, network: nn.Module, config: BundleConfig, half: bool = True) -> None:
    """Write config.json and model.safetensors, each whole or not at all; floating tensors as float16 if ``half``."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: (tensor.half() if half and tensor.is_floating_point() else tensor).contiguous().cpu()
        for name, tensor in network.state_dict().items()
    }
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        save_file(tensors, Path(scratch) / WEIGHTS, metadata={"format": "pt"})
        os.replace(Path(scratch) / WEIGHTS, folder / WEIGHTS)
    write_config(folder, config)


def write_config(folder: Path, config: BundleConfig | EnsembleConfig) -> None:
    """Write config.json, whole or not at all."""
    text = json.dumps(config.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    part = folder / (CONFIG + ".part")
    part.write_text(text, "utf-8")
    os.replace(part, folder / CONFIG)


def weights_digest(folder: Path) -> str:
    """The first 12 hex digits of the weights' SHA-256 (an ensemble's: of its members'): tells namesakes apart."""
    if is_ensemble(folder):
        parts = [weights_digest(member) for member in member_folders(folder, read_ensemble(folder))]
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:12]
    with open(folder / WEIGHTS, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def model_id(name: str, folder: Path | None) -> str:
    """Which model answered: its name, the digest of its weights and, from the Hub's cache, where it came from."""
    if folder is None:
        return name
    on_hub = origin(folder)
    return f"{name}@{weights_digest(folder)}" + (f" ({on_hub})" if on_hub else "")


def read_metrics(folder: Path) -> list[dict]:
    """Every evaluation the bundle carries (``evaluation/*/metrics.json``), sorted by folder name."""
    found = []
    for path in sorted(folder.glob("evaluation/*/metrics.json")):
        try:
            found.append(json.loads(path.read_text("utf-8")))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError):
            raise InvalidBundle(f"the scores in {path.parent.name!r} of model {folder.name!r} cannot be read") from None
    return found


def export_bundle(run: Path, destination: Path) -> None:
    """Copy what may leave the machine: config, weights, card, recipe, history, scores.

    Per-film tables stay behind, but for films of nobody: a model trained on phantoms takes its predictions and boxes
    along. Of an ensemble, each member likewise. Raises InvalidBundle when the run is not a bundle that opens.
    """
    if is_ensemble(run):
        for member in member_folders(run, read_ensemble(run)):
            export_bundle(member, destination / MEMBERS / member.name)
    else:
        check_weights(run, read_config(run))
    patterns = (WEIGHTS, "README.md", "recipe.yaml", "training/history.jsonl", GOLDEN)
    scores: tuple[str, ...] = ("evaluation/*/metrics.json", "evaluation/*/curves.json", *PICTURES)
    if not is_ensemble(run) and read_config(run).provenance.get("synthetic"):
        scores += ("evaluation/*/predictions.parquet", "evaluation/*/boxes.csv")
    for pattern in (*patterns, *scores, CONFIG):  # the config last: half a copy is no bundle
        for path in sorted(run.glob(pattern)):
            target = destination / path.relative_to(run)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


_NAME = r"[\w~][\w.~ -]*"  # never starts with a dot, so never leaves its folder
_FILES = (
    r"config\.json|model\.safetensors|README\.md|recipe\.yaml|training/history\.jsonl|evaluation/golden\.json|"
    rf"evaluation/{_NAME}/(?:metrics\.json|curves\.json|predictions\.parquet|boxes\.csv|roc\.png|reliability\.png)"
)
_BUNDLE_FILE = re.compile(rf"(?:members/{_NAME}/)?(?:{_FILES})")


def is_bundle_file(path: str) -> bool:
    """Whether a path in a repository is one that a bundle has; everything else is neither pushed nor pulled."""
    return _BUNDLE_FILE.fullmatch(path) is not None
