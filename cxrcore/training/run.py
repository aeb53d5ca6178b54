"""From a recipe and a folder of films to a bundle with numbers of its own: split, decode, train, calibrate, score.

Everything that is fitted after training (temperature, operating points, evidence levels) sees validation patients only;
the test patients are scored once, through the stored half-precision weights that users will open.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from accelerate import Accelerator
from tqdm import tqdm

from cxrcore.bundle.calibrators import fit_calibration
from cxrcore.bundle.config import BundleConfig
from cxrcore.bundle.folder import read_network, write_bundle, write_config
from cxrcore.datasets import SOURCES, read_dataset
from cxrcore.datasets.boxes import BOXES, Box, boxes_of, write_boxes
from cxrcore.datasets.cache import open_films
from cxrcore.datasets.splits import SPLITS, carve, limited
from cxrcore.datasets.table import FilmTable
from cxrcore.errors import TrainingStopped
from cxrcore.evaluation.evaluate import ScoredFilms, forward_films, score_split, split_csv, split_digest
from cxrcore.evaluation.record import as_table
from cxrcore.explain.heatmap import evidence_levels, map_ceilings, strengths
from cxrcore.explain.overlay import draw_overlay
from cxrcore.films.preprocessing import unpack
from cxrcore.films.radiograph import Radiograph
from cxrcore.findings import label_set
from cxrcore.metrics.operating_points import fit_operating_points
from cxrcore.models.classifier import Classifier
from cxrcore.models.distributed import join_processes
from cxrcore.models.golden import write_golden
from cxrcore.publishing.model_card import write_model_card
from cxrcore.training.checkpoint import CHECKPOINT, refuse_other_recipe
from cxrcore.training.config import Recipe, read_recipe
from cxrcore.training.heads import fold_training_head, put_training_head
from cxrcore.training.initial import start_from
from cxrcore.training.loop import Films, train_network
from cxrcore.training.losses import label_weights, undo_weights
from cxrcore.training.reporters import Console, Sample, Watcher

_SAMPLES = 4  # validation films whose heatmaps TensorBoard shows


def fit(recipe: Recipe, data: Path, out: Path, resume: bool = False) -> Path:
    """Train ``recipe`` on the films in ``data``; ``out`` becomes a bundle. Returns ``out``.

    Under ``accelerate launch`` or ``torchrun`` several processes share the work. Raises InvalidDataset or InvalidRecipe
    before the first step, TrainingStopped after it.
    """
    accelerator = join_processes()
    first = accelerator.is_main_process
    say = tqdm.write if first else _quiet
    training = out / "training"
    if first:
        _claim(training, resume)
    accelerator.wait_for_everyone()

    table = read_dataset(recipe.data.dataset, data, label_set(recipe.data.labels))
    for note in table.notes:
        say(note)
    table = limited(table, recipe.data.limit, recipe.seed)
    with accelerator.main_process_first():
        decoded = open_films(table, recipe.preprocessing, progress=_reading_bar(len(table)) if first else iter)
    if decoded.skipped:
        are = "is" if len(decoded.skipped) == 1 else "are"
        say(f"{len(decoded.skipped)} of {len(table)} films cannot be read and {are} left out:")
    for line in decoded.skipped:
        say(f"skipped {line}")
    films = ScoredFilms(decoded.table, decoded.pixels, decoded.rows)
    table = films.table
    options = recipe.data
    splits = np.array(carve(table, options.official_split, options.val_fraction, options.test_fraction, recipe.seed))
    if first:
        _record(out, recipe, split_csv(table, splits))
    parts = {name: _part(films, splits == name) for name in SPLITS}
    say(", ".join(f"{name}: {len(part)} films" for name, part in parts.items()))
    untrained = _one_sided(table.labels.names, parts["train"].targets)
    if untrained:
        say(f"nothing can be learned of {', '.join(untrained)}: the training films are all alike in it")

    preprocessing = recipe.preprocessing
    if recipe.data.training_statistics:
        mean, std = _statistics(parts["train"], preprocessing)
        preprocessing = replace(preprocessing, mean=mean, std=std)
        say(f"training films have mean {mean:.4f} and standard deviation {std:.4f}")
    config = BundleConfig(
        name=out.name,
        architecture=recipe.model.architecture,
        labels=table.labels,
        preprocessing=preprocessing,
        test_time_augmentation=recipe.model.test_time_augmentation,
    )
    torch.manual_seed(recipe.seed)
    network = config.build_network(drop_rate=recipe.model.dropout if recipe.model.head == "linear" else 0.0)
    start = start_from(network, recipe.model, config, say)
    say(f"starting weights: {start}")
    put_training_head(network, recipe.model)
    watcher = Console(training, _sampler(config, parts["val"])) if first else Watcher()
    told = replace(recipe, preprocessing=preprocessing)
    network = train_network(network, told, parts["train"], parts["val"], training, resume, accelerator, watcher)
    if recipe.loss.class_weights or recipe.loss.weights:
        weights = label_weights(recipe.loss, recipe.loss_name, parts["train"].targets)
        fold_training_head(network)
        undo_weights(network, weights, recipe.kind)
    fold_training_head(network)
    provenance = _provenance(recipe, table, splits, start) | ({"untrained": untrained} if untrained else {})
    finish(network, replace(config, provenance=provenance), films, splits, out, accelerator, boxes_of(data))
    return out


def finish(
    network: Any,
    config: BundleConfig,
    films: ScoredFilms,
    splits: np.ndarray,
    out: Path,
    accelerator: Accelerator,
    boxes: Sequence[Box] = (),
) -> None:
    """Store the weights, fit what validation decides, score the test patients, and write the card."""
    first = accelerator.is_main_process
    if first:
        write_bundle(out, network, config)
    accelerator.wait_for_everyone()
    stored = read_network(out, config)
    device = str(accelerator.device)
    val = films.select(splits == "val")
    logits, maps = forward_films(Classifier(stored, config, out, device), val, accelerator)
    targets = val.table.targets
    config = replace(config, calibration=fit_calibration(config.labels.kind, targets, logits))
    probabilities = Classifier(stored, config).probabilities(logits)
    points = fit_operating_points(config.labels, targets, probabilities, rule="youden", fitted_on="val")
    config = replace(config, operating_points=points)
    if maps is not None:
        levels = dict(zip(config.labels, evidence_levels(strengths(maps), targets), strict=True))
        ceilings = dict(zip(config.labels, map_ceilings(maps, targets), strict=True))
        config = replace(config, evidence_levels=levels, map_ceilings=ceilings)
    if first:
        write_config(out, config)
    accelerator.wait_for_everyone()
    classifier = Classifier(stored, config, out, device)
    for split in ("val", "test"):
        origin = "official" if split in films.table.splits and config.provenance["split_origin"] != "own" else "own"
        folder = out / "evaluation" / f"{films.table.name}-{split}"
        part = films.select(splits == split)
        metrics = score_split(classifier, [part], split, folder, origin, accelerator)
        if first and boxes:
            write_boxes(folder / BOXES, [box for box in boxes if box.image in set(part.table.images)])
    if first:
        write_golden(classifier, out)
        write_model_card(out, config)
        tqdm.write(as_table(metrics))
        tqdm.write(f"bundle written to {out}")


def _claim(training: Path, resume: bool) -> None:
    out = training.parent
    if (training / CHECKPOINT).exists() and not resume:
        raise TrainingStopped(
            f"{out.name!r} already holds a run; add --resume to go on with it, or choose another --out"
        )
    try:
        training.mkdir(parents=True, exist_ok=True)
    except OSError:
        raise TrainingStopped(f"cannot write into {out.name!r}; choose another --out") from None


def _record(out: Path, recipe: Recipe, split: str) -> None:
    """Write the run's recipe.yaml and split.csv; a run that goes on must have begun with the same, else
    TrainingStopped.
    """
    recipe_file, split_file = out / "recipe.yaml", out / "training" / "split.csv"
    if (out / "training" / CHECKPOINT).exists() and recipe_file.is_file() and split_file.is_file():
        refuse_other_recipe(read_recipe(recipe_file).to_dict(), recipe)
        if split_file.read_text("utf-8") != split:
            raise TrainingStopped(
                "cannot resume: these are not the films, or not the patients held out, that the run began with; "
                "choose another --out"
            )
        return
    split_file.write_text(split, "utf-8")
    recipe_file.write_text(yaml.safe_dump(recipe.to_dict(), sort_keys=False), "utf-8")


def _part(films: ScoredFilms, mask: np.ndarray) -> Films:
    part = films.select(mask)
    return Films(part.pixels, part.rows, part.table.targets, part.table.images)


def _one_sided(names: Sequence[str], targets: np.ndarray) -> list[str]:
    """Findings that no training film has, or that all have."""
    return [
        name for name, column in zip(names, targets.T, strict=True) if not ((column == 1).any() and (column == 0).any())
    ]


def _statistics(films: Films, preprocessing: Any, at_most: int = 2000) -> tuple[float, float]:
    """Mean and standard deviation of training films after their own intensity normalisation, before mean and std."""
    plain = replace(preprocessing, mean=0.0, std=1.0, channels=1)
    rows = films.rows[:: max(1, len(films) // at_most)]
    means, squares = [], []
    for start in range(0, len(rows), 64):
        batch = torch.from_numpy(unpack(films.pixels[rows[start : start + 64]])).unsqueeze(1)
        values = plain.normalise(batch).double()
        means.append(values.mean(dim=(1, 2, 3)))
        squares.append(values.square().mean(dim=(1, 2, 3)))
    mean = float(torch.cat(means).mean())
    return round(mean, 6), round(float(torch.cat(squares).mean() - mean**2) ** 0.5, 6)


def _sampler(config: BundleConfig, val: Films) -> Sample | None:
    """Heatmaps of the first few validation films, each of the finding it has, for TensorBoard."""
    chosen = [int(np.flatnonzero(column == 1)[0]) for column in val.targets.T if (column == 1).any()][:_SAMPLES]
    if not chosen:
        return None

    def sample(network: Any) -> list[tuple[str, np.ndarray]]:
        network = copy.deepcopy(network).cpu().eval()
        fold_training_head(network)
        classifier = Classifier(network, config, device="cpu")
        if not classifier.one_pass:
            return []
        pictures = []
        for row in chosen:
            pixels = unpack(val.pixels[val.rows[row]])
            finding = config.labels.names[int(np.flatnonzero(val.targets[row] == 1)[0])]
            heatmap = classifier.explain(Radiograph(pixels, 16, 16, "cache"), finding)
            pictures.append((f"{val.images[row]}: {finding}", draw_overlay(pixels, heatmap)))
        return pictures

    return sample


def _reading_bar(total: int) -> Any:
    return lambda films: tqdm(films, total=total, unit="film", desc="reading", disable=None, leave=False)


def _quiet(text: str) -> None:
    """What processes other than the first have to say."""


def _provenance(recipe: Recipe, table: FilmTable, splits: np.ndarray, start: str) -> dict:
    """What made this model, for its card and its screens; no names of machines or people."""
    patients = np.array(table.patient_ids)
    source = SOURCES[table.name]
    return {
        "dataset": table.name,
        "source": source,
        "synthetic": table.name == "phantom",
        "recipe": recipe.name,
        "reproduces": recipe.reproduces,
        "seed": recipe.seed,
        "initial_weights": start,
        "note": recipe.data.note,
        "films": {name: int((splits == name).sum()) for name in SPLITS},
        "patients": {name: len(np.unique(patients[splits == name])) for name in SPLITS},
        "split_sha256": split_digest(table, splits),
        "split_origin": "official" if recipe.data.official_split and "test" in table.splits else "own",
        "trained_on": datetime.now(UTC).date().isoformat(),
        "versions": {name: version(name) for name in ("torch", "timm")},
        "license": "apache-2.0",
    }
