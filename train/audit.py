"""``cxr audit``: what could explain a model's score on a split of a dataset, other than disease."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tqdm import tqdm

import cxrcore
from cxrcore.bundle.folder import EMBEDDED
from cxrcore.bundle.reference import origin
from cxrcore.errors import CxrError
from cxrcore.evaluation.audit import audit, predictions_of
from cxrcore.evaluation.audit_report import AUDIT, as_table
from cxrcore.evaluation.evaluate import read_split
from cxrcore.models.base import Model
from cxrcore.publishing.model_card import show_checks
from cxrcore.resources import keep_freed_memory
from cxrcore.storage import write_json


def audit_model(
    reference: str,
    dataset: str,
    data: Path,
    split: str,
    out: Path | None = None,
    predictions: Path | None = None,
    folders: Sequence[str] = (),
) -> None:
    """Write ``audit.json`` and print it; the card of a bundle that it lies in shows it. Raises CxrError."""
    model = cxrcore.load(reference)
    keep_freed_memory()
    place = f"evaluation/{dataset}-{split}"
    folder = out or _own_folder(model, place)
    part = read_split(model, dataset, data, split, partial(tqdm, disable=None, leave=False), tqdm.write, folders)
    stored = [folder] if model.folder is None else [folder, model.folder / place]
    result = audit(model, part, predictions_of(model, part, split, predictions, *stored), split, tqdm.write)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / AUDIT, result)
        if model.folder is not None and folder.resolve().parent.parent == model.folder.resolve():
            show_checks(model.folder)
    except OSError:
        raise CxrError(f"cannot write into {folder.name!r}; choose another --out") from None
    tqdm.write(as_table(result))
    tqdm.write(f"audit written to {folder / AUDIT}")


def _own_folder(model: Model, place: str) -> Path:
    """Where the bundle keeps its scores. Raises CxrError where it is not the user's to write into."""
    folder = model.folder
    if folder is None or folder.parent == EMBEDDED or origin(folder) or not os.access(folder, os.W_OK):
        raise CxrError(f"{model.name} is no run of yours, so name the folder of the audit with --out")
    return folder / place
