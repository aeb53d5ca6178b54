"""Write the folder of an ensemble: copies of its members, and a config that names them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from cxrcore.bundle.config import BundleConfig, EnsembleConfig
from cxrcore.bundle.folder import MEMBERS, export_bundle, is_ensemble, read_config, weights_digest, write_config
from cxrcore.errors import CxrError, LabelMismatch
from cxrcore.findings import label_difference


def write_ensemble(
    folders: Sequence[Path], out: Path, finish: Callable[[Path, EnsembleConfig], EnsembleConfig]
) -> EnsembleConfig:
    """Make ``out`` an ensemble of copies of these bundles, each with what may leave the machine (``export_bundle``).

    ``finish(out, config)`` writes the model card and returns the config, perhaps with what it fitted. Raises
    LabelMismatch naming what differs, or CxrError for fewer than two bundles, a repeat, an ensemble of ensembles, or a
    folder that is in use; then nothing is left behind.
    """
    _refuse_folders(folders, out)
    configs = [read_config(folder) for folder in folders]
    digests = [weights_digest(folder) for folder in folders]
    _refuse_members(configs, digests)
    names = _member_names(folders)
    provenance = {
        "members": [
            {"name": config.name, "architecture": config.architecture, "weights": digest}
            for config, digest in zip(configs, digests, strict=True)
        ],
        "synthetic": any(config.provenance.get("synthetic") for config in configs),
        "license": " and ".join(sorted({config.provenance.get("license", "apache-2.0") for config in configs})),
    }
    ensemble = EnsembleConfig(out.name, configs[0].labels, tuple(names), provenance)
    try:
        for folder, name in zip(folders, names, strict=True):
            export_bundle(folder, out / MEMBERS / name)
        ensemble = finish(out, ensemble)
        write_config(out, ensemble)
    except OSError:
        shutil.rmtree(out, ignore_errors=True)
        raise CxrError(f"cannot write into {out.name!r}; choose another --out") from None
    except CxrError:
        shutil.rmtree(out, ignore_errors=True)
        raise
    return ensemble


def _refuse_folders(folders: Sequence[Path], out: Path) -> None:
    if len(folders) < 2:
        raise CxrError("an ensemble needs two bundles or more")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CxrError(f"{out.name!r} is in use; choose a new folder for --out")
    for folder in folders:
        if is_ensemble(folder):
            raise CxrError(f"{folder.name!r} is itself an ensemble; name its members instead")


def _refuse_members(configs: Sequence[BundleConfig], digests: Sequence[str]) -> None:
    first = configs[0]
    for config in configs[1:]:
        if difference := label_difference(first.labels, config.labels):
            raise LabelMismatch(f"{first.name!r} and {config.name!r} cannot be averaged: {difference}")
    for place, digest in enumerate(digests):
        if digest in digests[:place]:
            raise CxrError(f"{configs[place].name!r} is there twice (the same weights); name each bundle once")


def _member_names(folders: Sequence[Path]) -> list[str]:
    """Each folder's name, with ~2, ~3, ... where several have the same."""
    names: list[str] = []
    for folder in folders:
        same = sum(name == folder.name or name.startswith(f"{folder.name}~") for name in names)
        names.append(f"{folder.name}~{same + 1}" if same else folder.name)
    return names
