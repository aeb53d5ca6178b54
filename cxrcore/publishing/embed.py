"""Put a trained model into ``assets/models``, where it ships with the project and opens offline."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from cxrcore.bundle.folder import (
    EMBEDDED,
    is_ensemble,
    read_config,
    read_ensemble,
    write_config,
)
from cxrcore.datasets.boxes import BOXES
from cxrcore.evaluation.audit_report import AUDIT
from cxrcore.evaluation.record import METRICS, read_metrics
from cxrcore.evaluation.robustness import ROBUSTNESS
from cxrcore.predictions.record import PREDICTIONS, Predictions
from cxrcore.publishing.deidentify import refuse_films
from cxrcore.publishing.model_card import write_model_card
from cxrcore.publishing.push import stage_bundle
from cxrcore.storage import write_json


def embed_bundle(run: Path, name: str, into: Path = EMBEDDED) -> Path:
    """Write what ships of the bundle in ``run`` as ``into/name``, replacing it; returns that folder.

    As a push, less the card's pictures, and of the per-film tables only those of held-out films whose ids are public
    (``deidentify.ids_are_public``). They are made small: logits are rounded to float16, probabilities are exact, so
    that scores computed from them equal the stored ones. Raises InvalidBundle where the bundle does not open.
    """
    with tempfile.TemporaryDirectory(prefix="cxr-embed-") as scratch:
        staging = Path(scratch) / name
        for path in stage_bundle(run, staging):  # ids that are hashed are not public
            (staging / path).unlink()
        for picture in staging.rglob("*.png"):
            picture.unlink()
        for scores in sorted(staging.glob(f"**/evaluation/*/{METRICS}")):
            _embed_table(scores, keep_all=_is_synthetic(staging))
        _rename(staging, name)
        refuse_films(staging)
        into.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(into / name, ignore_errors=True)
        shutil.copytree(staging, into / name)
    return into / name


def _is_synthetic(folder: Path) -> bool:
    return not is_ensemble(folder) and bool(read_config(folder).provenance.get("synthetic"))


def _embed_table(scores: Path, keep_all: bool) -> None:
    """Make the table beside ``scores`` small, or remove it where its films are not held out."""
    table = scores.with_name(PREDICTIONS)
    if not keep_all:
        scores.with_name(BOXES).unlink(missing_ok=True)  # experts' boxes stay with their source
    if read_metrics(scores).split in ("train", "val") and not keep_all:
        table.unlink(missing_ok=True)
        scores.with_name(AUDIT).unlink(missing_ok=True)
    elif table.is_file():
        films = Predictions.read(table)
        logits = None if films.logits is None else films.logits.astype(np.float16).astype(np.float32)
        replace(films, probabilities=films.probabilities.astype(np.float32), logits=logits).write(table)


def _rename(folder: Path, name: str) -> None:
    """Give the bundle, its scores and its card another name."""
    if is_ensemble(folder):
        write_config(folder, replace(read_ensemble(folder), name=name))
        return
    config = read_config(folder)
    for path in folder.glob(f"evaluation/*/{METRICS}"):
        metrics = read_metrics(path)
        if metrics.model and metrics.model.startswith(config.name):
            write_json(path, replace(metrics, model=name + metrics.model.removeprefix(config.name)).to_dict())
    for path in [*folder.glob(f"evaluation/*/{AUDIT}"), *folder.glob(f"evaluation/*/{ROBUSTNESS}")]:
        data = json.loads(path.read_text("utf-8"))
        write_json(path, data | {"model": name + data["model"].removeprefix(config.name)})
    config = replace(config, name=name)
    write_config(folder, config)
    write_model_card(folder, config, pictures=False, embedded=True)
