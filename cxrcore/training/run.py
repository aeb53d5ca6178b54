"""From a recipe and a folder of films to a bundle with numbers of its own: split, decode, train, calibrate, score.

Everything that is fitted after training (temperature, operating points, evidence levels) sees validation patients only;
the test patients are scored once, through the stored half-precision weights that users will open.
"""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import yaml
from tqdm import tqdm

from cxrcore.bundle import BundleConfig, read_network, write_bundle, write_config
from cxrcore.classifier import Classifier
from cxrcore.datasets import SOURCES, read_dataset
from cxrcore.datasets.table import FilmTable
from cxrcore.errors import TrainingStopped
from cxrcore.explain.heatmap import evidence_levels, map_ceilings, strengths
from cxrcore.findings import label_set
from cxrcore.metrics.calibration import fit_calibration
from cxrcore.metrics.operating_points import fit_operating_points
from cxrcore.metrics.summary import curves, summarise
from cxrcore.model_card import write_model_card
from cxrcore.predictions import Predictions
from cxrcore.preprocessing import unpack
from cxrcore.splits import SPLITS, split_by_patient
from cxrcore.training.checkpoint import CHECKPOINT
from cxrcore.training.config import Recipe
from cxrcore.training.films import decode_films
from cxrcore.training.loop import Films, class_weights, train_network, undo_class_weights


def fit(recipe: Recipe, data: Path, out: Path, resume: bool = False) -> Path:
    """Train ``recipe`` on the films in ``data``; ``out`` becomes a bundle. Returns ``out``.

    Raises InvalidDataset or InvalidRecipe before the first step, TrainingStopped after it.
    """
    training = out / "training"
    if (training / CHECKPOINT).exists() and not resume:
        raise TrainingStopped(
            f"{out.name!r} already holds a run; add --resume to go on with it, or choose another --out"
        )
    try:
        training.mkdir(parents=True, exist_ok=True)
    except OSError:
        raise TrainingStopped(f"cannot write into {out.name!r}; choose another --out") from None

    table = read_dataset(recipe.data.dataset, data, label_set(recipe.data.labels))
    table, packed, skipped = decode_films(
        table,
        recipe.preprocessing,
        lambda films: tqdm(films, total=len(table), unit="film", desc="reading", disable=None),
    )
    for line in skipped:
        tqdm.write(f"skipped {line}")
    table, packed = _limited(table, packed, recipe)
    splits = np.array(
        split_by_patient(
            table.patient_ids,
            table.targets,
            recipe.data.val_fraction,
            recipe.data.test_fraction,
            recipe.seed,
            table.splits,
        )
    )
    _write_split(training / "split.csv", table, splits)
    (out / "recipe.yaml").write_text(yaml.safe_dump(recipe.to_dict(), sort_keys=False), "utf-8")
    parts = {
        name: Films(
            packed[splits == name], table.targets[splits == name], tuple(np.array(table.images)[splits == name])
        )
        for name in SPLITS
    }
    tqdm.write(", ".join(f"{name}: {len(part.images)} films" for name, part in parts.items()))

    config = BundleConfig(
        name=out.name,
        architecture=recipe.model.architecture,
        labels=table.labels,
        preprocessing=recipe.preprocessing,
        provenance=_provenance(recipe, table, splits, out),
    )
    torch.manual_seed(recipe.seed)
    network = config.build_network(drop_rate=recipe.model.dropout)
    network = train_network(network, recipe, parts["train"], parts["val"], training, resume, _device())
    if recipe.loss.class_weights:
        undo_class_weights(network, class_weights(parts["train"].targets))
    finish(network, config, table, packed, splits, out)
    return out


def finish(
    network: torch.nn.Module, config: BundleConfig, table: FilmTable, packed: np.ndarray, splits: np.ndarray, out: Path
) -> None:
    """Store the weights, fit what validation decides, score the test patients, and write the card."""
    write_bundle(out, network, config)
    stored = Classifier(read_network(out, config), config, out)
    val = splits == "val"
    logits, maps = _forward(stored, packed[val])
    targets = table.targets[val]
    calibration = fit_calibration(config.labels.kind, targets, logits)
    config = replace(config, calibration=calibration)
    probabilities = Classifier(stored.network, config).probabilities(logits)
    points = fit_operating_points(config.labels, targets, probabilities, rule="youden", fitted_on="val")
    if maps is not None:
        levels = dict(zip(config.labels, evidence_levels(strengths(maps), targets), strict=True))
        ceilings = dict(zip(config.labels, map_ceilings(maps), strict=True))
        config = replace(config, evidence_levels=levels, map_ceilings=ceilings)
    config = replace(config, operating_points=points)
    write_config(out, config)
    classifier = Classifier(stored.network, config, out)
    for split in ("val", "test"):
        score_split(classifier, table, packed, splits, split, out)
    write_model_card(out, config)
    tqdm.write(f"bundle written to {out}")


def score_split(
    classifier: Classifier, table: FilmTable, packed: np.ndarray, splits: np.ndarray, split: str, out: Path
) -> dict:
    """Predict a split's films, write evaluation/<dataset>-<split>/, and return its metrics."""
    rows = np.flatnonzero(splits == split)
    part = table.select(rows)
    logits, _ = _forward(classifier, packed[rows])
    predictions = Predictions(
        labels=table.labels,
        images=np.array(part.images),
        patient_ids=np.array(part.patient_ids),
        split=np.full(len(part), split),
        targets=part.targets,
        probabilities=classifier.probabilities(logits).astype(np.float32),
        logits=logits,
    )
    folder = out / "evaluation" / f"{table.name}-{split}"
    folder.mkdir(parents=True, exist_ok=True)
    predictions.write(folder / "predictions.parquet")
    metrics = summarise(
        predictions, classifier.config.operating_points, dataset=table.name, split=split, model=classifier.id
    )
    metrics["split_origin"] = "official" if split in part.splits else "own"  # the badge that every score travels with
    _write_json(folder / "metrics.json", metrics)
    _write_json(folder / "curves.json", curves(predictions, split=split))
    return metrics


def _forward(classifier: Classifier, packed: np.ndarray, size: int = 64) -> tuple[np.ndarray, np.ndarray | None]:
    """Logits (N, C) and maps (N, C, h, w) of films at the network's size."""
    logits, maps = [], []
    for start in range(0, len(packed), size):
        batch = torch.from_numpy(unpack(packed[start : start + size])).unsqueeze(1)
        found, places = classifier.forward(classifier.preprocessing.normalise(batch))
        logits.append(found.cpu().numpy())
        if places is not None:
            maps.append(places.cpu().numpy())
    return np.concatenate(logits), np.concatenate(maps) if maps else None


def _limited(table: FilmTable, packed: np.ndarray, recipe: Recipe) -> tuple[FilmTable, np.ndarray]:
    """The first ``data.limit`` films of a seeded shuffle of patients, or all."""
    limit = recipe.data.limit
    if not limit or limit >= len(table):
        return table, packed
    patients = np.array(table.patient_ids)
    order = np.random.default_rng(recipe.seed).permutation(np.unique(patients))
    rank = {patient: place for place, patient in enumerate(order)}
    rows = np.sort(np.argsort([rank[patient] for patient in patients], kind="stable")[:limit])
    return table.select(rows), packed[rows]


def _write_split(path: Path, table: FilmTable, splits: np.ndarray) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("image", "patient_id", "split"))
        writer.writerows(zip(table.images, table.patient_ids, splits.tolist(), strict=True))


def _write_json(path: Path, data: dict) -> None:
    path.write_text(json.dumps(data, indent=2, allow_nan=False) + "\n", "utf-8")


def _provenance(recipe: Recipe, table: FilmTable, splits: np.ndarray, out: Path) -> dict:
    """What made this model, for its card and its screens; no names of machines or people."""
    patients = np.array(table.patient_ids)
    return {
        "dataset": table.name,
        "source": SOURCES[table.name],
        "recipe": recipe.name,
        "seed": recipe.seed,
        "initial_weights": "random (trained from scratch)",
        "films": {name: int((splits == name).sum()) for name in SPLITS},
        "patients": {name: len(np.unique(patients[splits == name])) for name in SPLITS},
        "split_sha256": hashlib.sha256((out / "training" / "split.csv").read_bytes()).hexdigest(),
        "trained_on": datetime.now(UTC).date().isoformat(),
        "versions": {name: version(name) for name in ("torch", "timm")},
        "license": "apache-2.0",
    }


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
