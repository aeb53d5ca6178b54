"""From a recipe and a folder of films to a bundle with scores: split, decode, train, calibrate, evaluate.

Everything fitted after training (calibration, operating points, evidence levels) uses validation patients only. The
test patients are scored once, with the stored half-precision weights that users open.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from accelerate import Accelerator
from tqdm import tqdm

from cxrcore.bundle.calibrators import Temperature, fit_calibration, to_probabilities, with_offset
from cxrcore.bundle.config import BundleConfig
from cxrcore.bundle.folder import write_bundle, write_config
from cxrcore.bundle.weights import read_network
from cxrcore.datasets.boxes import BOXES, Box, boxes_of, write_boxes
from cxrcore.datasets.cache import DecodedFilms, open_films
from cxrcore.datasets.files import first_ten
from cxrcore.datasets.registry import DATASETS, read_dataset
from cxrcore.datasets.splits import SPLITS, carve, limited
from cxrcore.datasets.table import FilmTable
from cxrcore.errors import TrainingStopped
from cxrcore.evaluation.evaluate import score_split, split_csv, split_digest
from cxrcore.evaluation.forward import logits_and_maps
from cxrcore.evaluation.record import as_table
from cxrcore.explain.heatmap import evidence_levels, map_ceilings, strengths
from cxrcore.explain.overlay import draw_overlay
from cxrcore.films.preprocessing import Preprocessing, unpack
from cxrcore.films.radiograph import Radiograph
from cxrcore.findings import label_set
from cxrcore.metrics.operating_points import fit_operating_points, parse_rule
from cxrcore.metrics.triage import fit_triage
from cxrcore.models.classifier import Classifier
from cxrcore.models.distributed import join_processes
from cxrcore.models.golden import write_golden
from cxrcore.publishing.model_card import write_model_card
from cxrcore.resources import keep_freed_memory
from cxrcore.storage import write_text
from cxrcore.training.checkpoint import CHECKPOINT, refuse_other_recipe
from cxrcore.training.config import ModelConfig, Recipe, read_recipe
from cxrcore.training.distillation import open_teacher, taught
from cxrcore.training.gate import check_negatives, fit_bundle_gate, why_no_gate
from cxrcore.training.heads import fold_training_head, put_training_head
from cxrcore.training.initial import InitialWeights, start_from
from cxrcore.training.loop import train_network
from cxrcore.training.losses import label_weights, undo_weights
from cxrcore.training.reporters import ConsoleReporter, Reporter, Sample

Log = Callable[[str], None]
_SAMPLES = 4  # validation films whose heatmaps TensorBoard shows
_STATISTICS_FILMS = 2000  # training films, at most, behind data.training_statistics


def fit(recipe: Recipe, data: Path, out: Path, resume: bool = False, negatives: Sequence[Path] = ()) -> Path:
    """Train ``recipe`` on the films in ``data``; ``out`` becomes a bundle. Returns ``out``.

    negatives: folders of pictures that are no chest films, for the input gate, which a run of enough films ends with.
    Under ``accelerate launch`` or ``torchrun`` several processes share the work. Raises InvalidDataset or InvalidRecipe
    before the first step, TrainingStopped after it.
    """
    accelerator = join_processes()
    if accelerator.device.type == "cpu":
        keep_freed_memory()
    first = accelerator.is_main_process
    log: Log = tqdm.write if first else _ignore
    training = out / "training"
    check_negatives(negatives)
    if first:
        _claim(training, resume)
    accelerator.wait_for_everyone()

    films = _read_films(recipe, data, accelerator, log)
    options, table = recipe.data, films.table
    fractions = options.val_fraction, options.test_fraction
    splits = np.array(carve(table, options.official_split, *fractions, recipe.split_seed, options.leave_out))
    if first:
        _record(out, recipe, split_csv(table, splits))
    parts = {name: films.select(splits == name) for name in SPLITS}
    log(", ".join(f"{name}: {len(part)} films" for name, part in parts.items()))
    untrained = _one_sided(table.labels.names, parts["train"].table.targets)
    if untrained:
        log(f"nothing can be learned of {', '.join(untrained)}: the training films are all alike in it")

    config = _bundle_config(out.name, recipe, parts["train"], log)
    network, initial = _initial_network(recipe, config, log)
    reporter = ConsoleReporter(training, _sampler(config, parts["val"])) if first else Reporter()
    resolved = replace(recipe, preprocessing=config.preprocessing)
    learned = parts["train"]
    teacher: tuple[Classifier, ...] = ()
    if recipe.loss.teacher:
        log(f"the teacher {recipe.loss.teacher} reads the training films")
        teacher = open_teacher(recipe.loss.teacher, learned, split_digest(table, splits))
        learned = taught(learned, teacher, recipe.loss.teacher_weight, accelerator)
    network = train_network(network, resolved, learned, parts["val"], training, resume, accelerator, reporter)
    _fold(network, recipe, parts["train"].table.targets)
    provenance = _provenance(recipe, table, splits, initial) | ({"untrained": untrained} if untrained else {})
    if teacher:
        provenance["teacher"] = [member.id for member in teacher]
    config = replace(config, provenance=provenance)
    finish(network, config, films, splits, out, accelerator, boxes_of(data), recipe.model, negatives)
    return out


def finish(
    network: Any,
    config: BundleConfig,
    films: DecodedFilms,
    splits: np.ndarray,
    out: Path,
    accelerator: Accelerator,
    boxes: Sequence[Box],
    options: ModelConfig,
    negatives: Sequence[Path] = (),
) -> None:
    """Store the weights, fit what validation determines, score validation and test, fit the gate, write the card."""
    first = accelerator.is_main_process
    if first:
        write_bundle(out, network, config)
    accelerator.wait_for_everyone()
    stored, device = read_network(out, config), str(accelerator.device)
    config = _fit_on_validation(
        Classifier(stored, config, out, device), films.select(splits == "val"), accelerator, options
    )
    if first:
        write_config(out, config)
    accelerator.wait_for_everyone()
    classifier = Classifier(stored, config, out, device)
    for split in ("val", "test"):
        origin = config.provenance["split_origin"] if split in films.table.splits else "own"
        folder = out / "evaluation" / f"{films.table.name}-{split}"
        part = films.select(splits == split)
        metrics = score_split(classifier, [part], split, folder, origin, accelerator, boxes)
        if first and boxes:
            write_boxes(folder / BOXES, [box for box in boxes if box.image in set(part.table.images)])
    if first:
        config = _with_gate(classifier, films.select(splits == "train"), films.select(splits == "val"), negatives)
        write_golden(classifier, out)
        write_model_card(out, config)
        tqdm.write(as_table(metrics))
        tqdm.write(f"bundle written to {out}")


def _with_gate(
    classifier: Classifier, train: DecodedFilms, val: DecodedFilms, negatives: Sequence[Path]
) -> BundleConfig:
    """Fit the input gate where the network and the number of films allow it; says what it was fitted on."""
    if why := why_no_gate(classifier, len(train), len(val)):
        tqdm.write(f"no input gate: {why}")
        return classifier.config
    guard = fit_bundle_gate(classifier, train, val, negatives, progress=partial(tqdm, disable=None, leave=False))
    films, others = guard["films"], guard["not_films"]
    real = f"{others['pictures']:,} of {first_ten(others['folders'])}" if others["pictures"] else "no others"
    tqdm.write(
        f"input gate: from {films['train']:,} training and {films['val']:,} validation films, "
        f"{others['drawn']} drawn pictures and {real}"
    )
    if not others["pictures"]:
        tqdm.write(
            "a gate fitted without real pictures of other things refuses fewer of them: --negatives DIR adds some"
        )
    return replace(classifier.config, guard=guard)


def _fit_on_validation(
    classifier: Classifier, val: DecodedFilms, accelerator: Accelerator, options: ModelConfig
) -> BundleConfig:
    logits, maps = logits_and_maps(classifier, val, accelerator)
    return with_numbers(classifier.config, val.table, logits, maps, options)


def with_numbers(
    config: BundleConfig, films: FilmTable, logits: np.ndarray, maps: np.ndarray | None, options: ModelConfig
) -> BundleConfig:
    """The config with what films determine that the network did not learn from.

    That is calibration, operating points, limits of three answers and map scales. logits: (N, C), uncalibrated; maps:
    (N, C, h, w) in logits, where there are any.
    """
    labels, targets, rule = config.labels, films.targets, options.operating_point
    calibration = fit_calibration(labels.kind, targets, logits)
    if isinstance(calibration, Temperature) and options.operating_class:
        column, (_, specificity) = labels.index(options.operating_class), parse_rule(rule)
        calibration = with_offset(calibration, targets, logits, column, specificity)
    config = replace(config, calibration=calibration)
    probabilities = to_probabilities(calibration.apply(logits), labels.kind)
    points = fit_operating_points(labels, targets, probabilities, rule, fitted_on="val")
    triage = fit_triage(labels.names, targets, probabilities, films.patient_ids)
    config = replace(config, operating_points=points, triage=triage)
    if maps is None:
        return config
    return replace(
        config,
        evidence_levels=dict(zip(labels, evidence_levels(strengths(maps), targets), strict=True)),
        map_ceilings=dict(zip(labels, map_ceilings(maps, targets), strict=True)),
    )


def _read_films(recipe: Recipe, data: Path, accelerator: Accelerator, log: Log) -> DecodedFilms:
    """The recipe's films at the network's size; logs notes on the dataset and films that cannot be read."""
    table = read_dataset(recipe.data.dataset, data, label_set(recipe.data.labels), recipe.data.folders)
    for note in table.notes:
        log(note)
    table = limited(table, recipe.data.limit, recipe.split_seed)
    with accelerator.main_process_first():
        progress = _reading_bar(len(table)) if accelerator.is_main_process else iter
        films = open_films(table, recipe.preprocessing, progress=progress)
    if films.skipped:
        are = "is" if len(films.skipped) == 1 else "are"
        log(f"{len(films.skipped)} of {len(table)} films cannot be read and {are} left out:")
    for line in films.skipped:
        log(f"skipped {line}")
    return films


def _bundle_config(name: str, recipe: Recipe, train: DecodedFilms, log: Log) -> BundleConfig:
    """The bundle's config before training; measures the training films' mean and deviation where the recipe asks."""
    preprocessing = recipe.preprocessing
    if recipe.data.training_statistics:
        mean, std = _statistics(train, preprocessing)
        preprocessing = replace(preprocessing, mean=mean, std=std)
        log(f"training films have mean {mean:.4f} and standard deviation {std:.4f}")
    return BundleConfig(
        name=name,
        architecture=recipe.model.architecture,
        labels=train.table.labels,
        preprocessing=preprocessing,
        test_time_augmentation=recipe.model.test_time_augmentation,
    )


def _initial_network(recipe: Recipe, config: BundleConfig, log: Log) -> tuple[Any, InitialWeights]:
    """The network before its first step, with its training head, and where its weights come from."""
    torch.manual_seed(recipe.seed)
    network = config.build_network(drop_rate=recipe.model.dropout if recipe.model.head == "linear" else 0.0)
    initial = start_from(network, recipe.model, config)
    log(f"starting weights: {initial.name}")
    put_training_head(network, recipe.model)
    return network, initial


def _fold(network: Any, recipe: Recipe, targets: np.ndarray) -> None:
    """Turn the trained head into one linear layer without the shift of the loss's weights, in place."""
    fold_training_head(network)
    if recipe.loss.class_weights or recipe.loss.weights:
        undo_weights(network, label_weights(recipe.loss, recipe.loss_name, targets), recipe.kind)


def _claim(training: Path, resume: bool) -> None:
    """Make the run's folder. Raises TrainingStopped if it holds a run that is not to be resumed."""
    out = training.parent
    if (training / CHECKPOINT).exists() and not resume:
        raise TrainingStopped(
            f"{out.name!r} already holds a run; add --resume to go on with it, or choose another --out"
        )
    try:
        training.mkdir(parents=True, exist_ok=True)
        for part in training.glob(".*.part"):  # of a checkpoint during which the run was killed
            part.unlink()
    except OSError:
        raise TrainingStopped(f"cannot write into {out.name!r}; choose another --out") from None


def _record(out: Path, recipe: Recipe, split: str) -> None:
    """Write the run's recipe.yaml and split.csv. Raises TrainingStopped if a resumed run began with others."""
    recipe_file, split_file = out / "recipe.yaml", out / "training" / "split.csv"
    if (out / "training" / CHECKPOINT).exists() and recipe_file.is_file() and split_file.is_file():
        refuse_other_recipe(read_recipe(recipe_file).to_dict(), recipe)
        if split_file.read_text("utf-8") != split:
            raise TrainingStopped(
                "cannot resume: these are not the films, or not the patients held out, that the run began with; "
                "choose another --out"
            )
        return
    write_text(split_file, split)
    write_text(recipe_file, yaml.safe_dump(recipe.to_dict(), sort_keys=False))


def _one_sided(names: Sequence[str], targets: np.ndarray) -> list[str]:
    """Findings that no training film has, or that all have."""
    return [
        name for name, column in zip(names, targets.T, strict=True) if not ((column == 1).any() and (column == 0).any())
    ]


def _statistics(films: DecodedFilms, preprocessing: Preprocessing) -> tuple[float, float]:
    """Mean and standard deviation of training films after their own intensity normalisation, before mean and std."""
    plain = replace(preprocessing, mean=0.0, std=1.0, channels=1)
    rows = films.rows[:: max(1, len(films) // _STATISTICS_FILMS)]
    means, squares = [], []
    for start in range(0, len(rows), 64):
        batch = torch.from_numpy(unpack(films.pixels[rows[start : start + 64]])).unsqueeze(1)
        values = plain.normalise(batch).double()
        means.append(values.mean(dim=(1, 2, 3)))
        squares.append(values.square().mean(dim=(1, 2, 3)))
    mean = float(torch.cat(means).mean())
    return round(mean, 6), round(float(torch.cat(squares).mean() - mean**2) ** 0.5, 6)


def _sampler(config: BundleConfig, val: DecodedFilms) -> Sample | None:
    """Heatmaps for TensorBoard: of each finding, the first validation film that has it, up to _SAMPLES."""
    targets, images = val.table.targets, val.table.images
    chosen = [int(np.flatnonzero(column == 1)[0]) for column in targets.T if (column == 1).any()][:_SAMPLES]
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
            finding = config.labels.names[int(np.flatnonzero(targets[row] == 1)[0])]
            heatmap = classifier.explain(Radiograph(pixels, 16, 16, "cache"), finding)
            pictures.append((f"{images[row]}: {finding}", draw_overlay(pixels, heatmap)))
        return pictures

    return sample


def _reading_bar(total: int) -> Callable[[Any], Any]:
    return lambda films: tqdm(films, total=total, unit="film", desc="reading", disable=None, leave=False)


def _ignore(text: str) -> None:
    """The log of every process but the first."""


def _provenance(recipe: Recipe, table: FilmTable, splits: np.ndarray, initial: InitialWeights) -> dict[str, Any]:
    """How this model was made, for its card and the screens; no names of machines or people."""
    patients = np.array(table.patient_ids)
    listed = recipe.data.official_split and not recipe.data.leave_out and "test" in table.splits
    return {
        "dataset": table.name,
        "source": DATASETS[table.name].provenance,
        "synthetic": table.name == "phantom",
        "recipe": recipe.name,
        "reproduces": recipe.reproduces,
        "seed": recipe.seed,
        "initial_weights": initial.name,
        **({"initial_weights_license": initial.license} if initial.license else {}),
        "note": recipe.data.note,
        "films": {name: int((splits == name).sum()) for name in SPLITS},
        "patients": {name: len(np.unique(patients[splits == name])) for name in SPLITS},
        "split_sha256": split_digest(table, splits),
        "split_origin": DATASETS[table.name].test_split if listed else "own",
        "trained_on": datetime.now(UTC).date().isoformat(),
        "versions": {name: version(name) for name in ("torch", "timm")},
        "license": "apache-2.0",
    }
