"""Adapt a bundle to a site: score its films, refit what they determine (``evaluation.adapt``), write a new bundle."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cxrcore.bundle.folder import GATE, write_config
from cxrcore.bundle.weights import WEIGHTS
from cxrcore.datasets.cache import DecodedFilms
from cxrcore.datasets.files import first_ten
from cxrcore.datasets.table import FilmTable
from cxrcore.errors import CxrError, InvalidDataset
from cxrcore.evaluation.adapt import Site, adapt
from cxrcore.evaluation.evaluate import splits_of
from cxrcore.evaluation.forward import logits_and_maps
from cxrcore.explain.heatmap import strengths
from cxrcore.gate.fitting import with_films
from cxrcore.gate.input_gate import THRESHOLDS, InputGate, small_film
from cxrcore.models.classifier import Classifier
from cxrcore.models.golden import write_golden
from cxrcore.publishing.model_card import write_model_card
from cxrcore.storage import write_json

REPORT = "adaptation.json"
BATCH = 32
GATE_FILMS = 200  # accepted films that move the gate's border: a hundredth of fewer is not even two films

Log = Callable[[str], None]


def adapt_bundle(model: Classifier, films: DecodedFilms, out: Path, log: Log = lambda text: None) -> dict[str, Any]:
    """Write ``out``: the model with numbers fitted on these films, naming its parent; returns the report.

    Films that the model's gate refuses are named and left out. The parent's scores stay behind, since its thresholds
    are not the new ones. Raises InvalidDataset as ``evaluation.adapt.adapt`` does, CxrError for a folder in use or a
    model without a folder; then nothing is left behind.
    """
    if model.folder is None:
        raise CxrError(f"{model.name} is no bundle, so there is nothing to adapt")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CxrError(f"{out.name!r} is in use; choose a new folder for --out")
    features, small = _seen_by_gate(model, films)
    refused = _refused(model, features, small)
    if refused.any():
        names = [image for image, no in zip(films.table.images, refused, strict=True) if no]
        log(f"{len(names)} of {len(films)} films are refused by the input gate and left out: {first_ten(names)}")
        films = films.select(~refused)
    if not len(films):
        raise InvalidDataset("the input gate refuses every film, so there is nothing to adapt to")
    logits, maps = logits_and_maps(model, films)
    table = films.table
    site = Site(np.array(table.patient_ids), table.targets, logits, None if maps is None else strengths(maps))
    config, report = adapt(model.config, site)
    report = {"parent": model.id, "dataset": table.name, "refused": int(refused.sum()), **report}
    adapted = {key: report[key] for key in ("parent", "dataset", "films", "patients", "adapted")}
    config = replace(config, name=out.name, provenance=model.config.provenance | {"adapted": adapted})
    gate = model.gate and _adapted_gate(model.gate, features[~refused], small[~refused], report)
    if gate is not None and config.guard is not None:
        config = replace(config, guard=config.guard | {"adapted": report["gate"]})
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in (WEIGHTS, GATE, "recipe.yaml"):
            if (model.folder / name).is_file():
                shutil.copyfile(model.folder / name, out / name)
        if gate is not None:
            gate.write(out / GATE)
        write_golden(Classifier(model.network, config, out, model.device), out)
        write_json(out / REPORT, report)
        write_config(out, config)
        write_model_card(out, config)
    except OSError:
        shutil.rmtree(out, ignore_errors=True)
        raise CxrError(f"cannot write into {out.name!r}; choose another --out") from None
    return report


def refused_by_gate(model: Classifier, films: DecodedFilms) -> np.ndarray:
    """Which films the model's gate refuses by their pixels, bool (N,); none where it has no gate."""
    return _refused(model, *_seen_by_gate(model, films))


def _seen_by_gate(model: Classifier, films: DecodedFilms) -> tuple[np.ndarray, np.ndarray]:
    """What the model's gate looks at, features (N, K) and small films (N, S); of no width where it has no gate."""
    if model.gate is None:
        return np.empty((len(films), 0)), np.empty((len(films), 0))
    features, small = [], []
    for start in range(0, len(films), BATCH):
        part = list(films.take(slice(start, start + BATCH)))
        features.append(model.gate_features(part))
        small.append(np.stack([small_film(film) for film in part]))
    return np.concatenate(features), np.concatenate(small)


def _refused(model: Classifier, features: np.ndarray, small: np.ndarray) -> np.ndarray:
    if model.gate is None:
        return np.zeros(len(features), bool)
    verdicts = model.gate.judge(features, small, [set()] * len(features))
    return np.array([verdict.accepted is False for verdict in verdicts], bool)


def _adapted_gate(gate: InputGate, features: np.ndarray, small: np.ndarray, report: dict[str, Any]) -> InputGate | None:
    """The gate with the site's border of FAR_FROM_TRAINING, and what that changes, in the report; None of few films."""
    if len(features) < GATE_FILMS:
        report["gate"] = None
        report["gate_why"] = f"{len(features)} accepted films; its border of FAR_FROM_TRAINING is moved by {GATE_FILMS}"
        return None
    adapted = with_films(gate, features, small)
    distance, place = gate.answers(features, small).distance, THRESHOLDS.index("distance")
    borders = {"before": float(gate.tensors["thresholds"][place]), "after": float(adapted.tensors["thresholds"][place])}
    far = {when: float((distance > border).mean()) for when, border in borders.items()}
    report["gate"] = {"films": len(features), "distance": borders, "far_from_training": far}
    return adapted


def new_to(model: Classifier, table: FilmTable, log: Log = lambda text: None) -> FilmTable:
    """The films of patients that the model did not learn from, where its recipe tells; says how many are left out.

    Raises InvalidDataset where the table is of the dataset that it was trained on and none are left.
    """
    if model.config.provenance.get("dataset") != table.name:
        return table
    try:
        trained = splits_of(model, table, "train")[0] == "train"
    except InvalidDataset:
        log(f"{model.name} was trained on {table.name}; which of these films it learned from is unknown")
        return table
    patients = sorted({patient for patient, known in zip(table.patient_ids, trained, strict=True) if known})
    if trained.all():
        raise InvalidDataset(f"{model.name} learned from every one of these films; adapt it on others")
    if patients:
        log(f"{int(trained.sum()):,} films of {len(patients):,} training patients are left out: {first_ten(patients)}")
    return table.select(np.flatnonzero(~trained))
