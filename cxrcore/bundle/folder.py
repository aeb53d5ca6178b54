"""A model is a folder of config.json, model.safetensors and scores: list, read, write and export it.

Plain timm opens the same folder: ``timm.create_model("local-dir:<folder>", pretrained=True)``. Listing bundles and
reading their configs and scores loads no torch.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrcore.bundle.config import BundleConfig, EnsembleConfig, refuse_outside
from cxrcore.bundle.reference import origin
from cxrcore.bundle.weights import WEIGHTS, check_weights, write_weights
from cxrcore.errors import InvalidBundle
from cxrcore.resources import ASSETS
from cxrcore.storage import write_json

if TYPE_CHECKING:
    from torch import nn

CONFIG = "config.json"
GOLDEN = "evaluation/golden.json"  # outputs on phantoms, for ``cxrcore.models.golden``
GATE = "gate.safetensors"  # the input gate, where one was fitted
PICTURES = ("evaluation/*/roc.png", "evaluation/*/reliability.png")  # of the card, drawn from the scores
MEMBERS = "members"  # the folder of an ensemble's members, each a bundle
EMBEDDED = ASSETS / "models"  # one folder a task, <task>-<architecture>
TASKS = ("nih14", "pneumonia", "pneumonia3", "tb3", "phantom")  # the first is the default model of the screens


def embedded_models() -> list[str]:
    """Names that open the bundles that ship with the project: their tasks, in the order of ``TASKS``."""
    names = {embedded_name(folder.parent.name) for folder in EMBEDDED.glob(f"*/{CONFIG}")}
    return [task for task in TASKS if task in names] + sorted(names.difference(TASKS))


def embedded_folder(name: str) -> Path | None:
    """The folder of an embedded model, by its name in ``embedded_models``; None where there is none."""
    folders = sorted(path.parent for path in EMBEDDED.glob(f"*/{CONFIG}"))
    return next((folder for folder in folders if embedded_name(folder.name) == name), None)


def embedded_name(bundle: str) -> str:
    """The name that opens an embedded bundle: its task, or its whole name where that begins with no task.

    >>> embedded_name("nih14-densenet121"), embedded_name("my-model")
    ('nih14', 'my-model')
    """
    task = bundle.partition("-")[0]
    return task if task in TASKS else bundle


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
    """The config of an ensemble's folder. Raises InvalidBundle as ``read_config`` does."""
    return EnsembleConfig.from_dict(_read_json(folder))


def is_ensemble(folder: Path) -> bool:
    """Whether the folder holds several bundles that answer as one. Raises InvalidBundle when its config is not JSON."""
    section = _read_json(folder).get("cxrcore")
    return isinstance(section, dict) and section.get("kind") == "ensemble"


def member_folders(folder: Path, config: EnsembleConfig) -> list[Path]:
    """The folders of an ensemble's members, in order. Raises InvalidBundle naming one that is missing."""
    folders = [folder / MEMBERS / name for name in config.members]
    for member in folders:
        if not (member / CONFIG).is_file():
            raise InvalidBundle(f"ensemble {config.name!r} lacks its member {member.name!r}; fetch it again")
    return folders


def _read_json(folder: Path) -> dict[str, Any]:
    try:
        data = json.loads((folder / CONFIG).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        raise InvalidBundle(
            f"the config.json of model {folder.name!r} cannot be read; fetch the bundle again"
        ) from None
    if not isinstance(data, dict):
        raise InvalidBundle(f"the config.json of model {folder.name!r} is not an object; fetch the bundle again")
    return data


def write_bundle(folder: Path, network: nn.Module, config: BundleConfig, half: bool = True) -> None:
    """Write config.json and model.safetensors, each atomically; floating tensors as float16 if ``half``."""
    folder.mkdir(parents=True, exist_ok=True)
    write_weights(folder, network, half)
    write_config(folder, config)


def write_config(folder: Path, config: BundleConfig | EnsembleConfig) -> None:
    """Write config.json, atomically."""
    write_json(folder / CONFIG, config.to_dict())


def weights_digest(folder: Path) -> str:
    """The first 12 hex digits of the weights' SHA-256; of an ensemble, of its members' digests."""
    if is_ensemble(folder):
        parts = [weights_digest(member) for member in member_folders(folder, read_ensemble(folder))]
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:12]
    with open(folder / WEIGHTS, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def model_id(name: str, folder: Path | None) -> str:
    """Name, digest of the weights, and the repository on the Hub, e.g. ``tb@0123456789ab (user/tb@4f3c0aa9d1e2)``."""
    if folder is None:
        return name
    on_hub = origin(folder)
    return f"{name}@{weights_digest(folder)}" + (f" ({on_hub})" if on_hub else "")


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Every evaluation the bundle carries (``evaluation/*/metrics.json``), sorted by folder name."""
    evaluations = []
    for path in sorted(folder.glob("evaluation/*/metrics.json")):
        try:
            evaluations.append(json.loads(path.read_text("utf-8")))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError):
            raise InvalidBundle(f"the scores in {path.parent.name!r} of model {folder.name!r} cannot be read") from None
    return evaluations


def export_bundle(run: Path, destination: Path) -> None:
    """Copy what may leave the machine: config, weights, card, recipe, history, scores; of an ensemble, each member's.

    Per-film tables stay behind, except those of a model trained on phantoms, which show no people. Raises InvalidBundle
    when the run is not a bundle that opens.
    """
    if is_ensemble(run):
        for member in member_folders(run, read_ensemble(run)):
            export_bundle(member, destination / MEMBERS / member.name)
    else:
        check_weights(run, read_config(run))
    patterns = (WEIGHTS, GATE, "README.md", "recipe.yaml", "training/history.jsonl", GOLDEN)
    stored = ("metrics.json", "curves.json", "robustness.json")
    scores: tuple[str, ...] = (*(f"evaluation/*/{name}" for name in stored), *PICTURES)
    if not is_ensemble(run) and read_config(run).provenance.get("synthetic"):
        scores += ("evaluation/*/predictions.parquet", "evaluation/*/boxes.csv", "evaluation/*/audit.json")
    for pattern in (*patterns, *scores, CONFIG):  # the config last: a partial copy is no bundle
        for path in sorted(run.glob(pattern)):
            target = destination / path.relative_to(run)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


_NAME = r"[\w~][\w.~ -]*"  # never starts with a dot, so never leaves its folder
_FILES = (
    r"config\.json|model\.safetensors|gate\.safetensors|README\.md|recipe\.yaml|training/history\.jsonl|evaluation/golden\.json|"
    rf"evaluation/{_NAME}/(?:(?:metrics|curves|robustness)\.json|predictions\.parquet|boxes\.csv|audit\.json|roc\.png|reliability\.png)"
)
_BUNDLE_FILE = re.compile(rf"(?:members/{_NAME}/)?(?:{_FILES})")


def is_bundle_file(path: str) -> bool:
    """Whether a path in a repository belongs to a bundle; only such files are pushed and pulled."""
    return _BUNDLE_FILE.fullmatch(path) is not None
