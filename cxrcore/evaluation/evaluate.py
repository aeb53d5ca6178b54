"""Score a model on a split of a dataset, from its weights: at the end of training, and whenever asked later."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from accelerate import Accelerator

from cxrcore.datasets.boxes import Box, boxes_of
from cxrcore.datasets.cache import DecodedFilms, open_films
from cxrcore.datasets.registry import DATASETS
from cxrcore.datasets.splits import SPLITS, carve, limited
from cxrcore.datasets.table import FilmTable
from cxrcore.errors import InvalidDataset
from cxrcore.evaluation.boxed import locate_films, summarise_boxed
from cxrcore.evaluation.faithfulness import NOT_ASKED, measure_faithfulness
from cxrcore.evaluation.forward import logits_and_maps
from cxrcore.evaluation.record import Metrics
from cxrcore.evaluation.robustness import ROBUSTNESS, measure_robustness
from cxrcore.evaluation.shared_findings import read_for
from cxrcore.evaluation.split_origins import OTHER, OWN, UNKNOWN
from cxrcore.evaluation.summary import curves, summarise, with_uncalibrated
from cxrcore.metrics.faithfulness import Faithfulness
from cxrcore.models.base import Model
from cxrcore.models.classifier import Classifier
from cxrcore.models.distributed import join_processes
from cxrcore.predictions.record import PREDICTIONS, Predictions
from cxrcore.storage import write_json

ALL = "all"  # the split that holds every film
_ANYONES = ("folders", "csv")  # layouts that any films may have: the name does not tell which films they are


def evaluate(
    model: Model,
    dataset: str,
    data: Path,
    split: str,
    out: Path,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
    log: Callable[[str], None] = lambda text: None,
    folders: Sequence[str] = (),
    all_negatives: bool = False,
    faithfulness: int = 0,
    shake: int = 0,
) -> Metrics:
    """Score ``model`` on a split of a known dataset; ``out`` gets predictions.parquet, metrics.json and curves.json.

    ``split``: ``test`` is the source's official list where there is one. Otherwise, and for ``train`` and ``val``, the
    patients are those that the model's recipe held out, checked against the stored hash of its split. ``all`` is every
    film, for films that the model was not trained on. ``folders``: as for ``read_dataset``; those of the model's recipe
    where it was trained on this dataset. A model of another label set is scored on the findings that both share, see
    ``shared_findings``. Maps of films with a box (``read_boxes``) are scored against it; ``faithfulness`` is the number
    of films for ``measure_faithfulness``, and ``shake`` that for ``measure_robustness``, whose result goes into
    robustness.json; 0 for none. Returns the metrics. Raises InvalidDataset where the split is unknown. Under
    ``torchrun`` or ``accelerate launch`` the processes share the films.
    """
    accelerator = join_processes()
    part = read_split(model, dataset, data, split, progress, log, folders, all_negatives, accelerator)
    boxes = boxes_of(data)
    metrics = score_split(model, part.sizes, split, out, part.origin, accelerator, boxes, faithfulness, progress)
    if shake and accelerator.is_main_process:
        table, scored = part.sizes[0].table, Predictions.read(out / PREDICTIONS)
        paths = dict(zip(table.images, table.paths, strict=True))
        write_json(out / ROBUSTNESS, measure_robustness(model, paths, scored, metrics, shake, progress))
    return metrics


@dataclass(frozen=True, eq=False)
class SplitFilms:
    """The films of one split of a dataset, decoded."""

    listed: FilmTable  # every film of the dataset, not read
    sizes: list[DecodedFilms]  # the split's readable films at the size of each network of the model
    origin: str  # a key of ``split_origins``


def read_split(
    model: Model,
    dataset: str,
    data: Path,
    split: str,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
    log: Callable[[str], None] = lambda text: None,
    folders: Sequence[str] = (),
    all_negatives: bool = False,
    accelerator: Accelerator | None = None,
) -> SplitFilms:
    """Read and decode the films that ``evaluate`` scores, with its arguments. Raises InvalidDataset as it does."""
    table = read_for(model.labels, dataset, data, folders or _recipe_folders(model, dataset), all_negatives)
    for note in table.notes:
        log(note)
    known = _split_before_decoding(model, table, split)
    wanted = known[0] if known else table
    sizes = []
    for member in members_of(model):
        with accelerator.main_process_first() if accelerator else nullcontext():
            sizes.append(open_films(wanted, member.preprocessing, progress=progress))
    skipped = sizes[-1].skipped
    if skipped:
        log(f"{len(skipped)} of {len(wanted)} films cannot be read and are left out:")
    for line in skipped:
        log(f"skipped {line}")
    if known:
        return SplitFilms(table, sizes, known[1])
    where, origin = splits_of(model, sizes[0].table, split, listed=table)
    if not (where == split).any():
        raise InvalidDataset(f"no film of {dataset} is in split {split!r}")
    return SplitFilms(table, [films.select(where == split) for films in sizes], origin)


def films_of_split(model: Model, dataset: str, data: Path, split: str) -> FilmTable:
    """The films of a split as ``evaluate`` defines it, not read yet. Raises InvalidDataset as it does."""
    table = read_for(model.labels, dataset, data, _recipe_folders(model, dataset))
    rows = np.flatnonzero(splits_of(model, table, split)[0] == split)
    if not len(rows):
        raise InvalidDataset(f"no film of {dataset} is in split {split!r}")
    return table.select(rows)


def _split_before_decoding(model: Model, table: FilmTable, split: str) -> tuple[FilmTable, str] | None:
    """The split's films and origin, so that no other film is decoded.

    None where they depend on which films can be read: training left the unreadable ones out before it split the rest.
    """
    try:
        where, origin = splits_of(model, table, split)
    except InvalidDataset:
        return None
    rows = np.flatnonzero(where == split)
    return (table.select(rows), origin) if len(rows) else None


def score_split(
    model: Model,
    sizes: Sequence[DecodedFilms],
    split: str,
    out: Path,
    origin: str,
    accelerator: Accelerator | None = None,
    boxes: Sequence[Box] = (),
    faithfulness: int = 0,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> Metrics:
    """Predict films, write predictions, metrics and curves into ``out``, and return the metrics.

    ``sizes``: the films at the size of each network of the model (several for an ensemble only). ``origin``:
    a key of ``split_origins``, shown with every score. ``boxes`` of any films; ``faithfulness``: as for ``evaluate``.
    Of several processes the first alone scores maps.
    """
    predictions = predict_films(model, sizes, split, accelerator)
    table = sizes[0].table
    metrics = _measured(model, predictions, table.name, origin)
    if accelerator is None or accelerator.is_main_process:
        metrics = _with_localisation(metrics, model, table, boxes, progress)
        tested = _faithfulness(model, sizes[0], predictions.probabilities, faithfulness, progress)
        metrics = replace(metrics, faithfulness=tested)
        _write(out, metrics, predictions)
    return metrics


def write_scores(model: Model, table: FilmTable, logits: np.ndarray, split: str, out: Path, origin: str) -> Metrics:
    """``score_split`` of one network's logits (N, C) that are known already, without scores of its maps."""
    predictions = _predictions(model, table, [logits], split)
    metrics = _measured(model, predictions, table.name, origin)
    _write(out, metrics, predictions)
    return metrics


def predict_films(
    model: Model, sizes: Sequence[DecodedFilms], split: str, accelerator: Accelerator | None = None
) -> Predictions:
    """Predict films, given at the size of each network of the model; ``split`` is their name for it."""
    logits = [
        logits_and_maps(member, films, accelerator, maps=False)[0]
        for member, films in zip(members_of(model), sizes, strict=True)
    ]
    return _predictions(model, sizes[0].table, logits, split)


def _predictions(model: Model, table: FilmTable, logits: Sequence[np.ndarray], split: str) -> Predictions:
    """From the logits (N, C) of each network of the model."""
    mean, probabilities = model.combine(logits)
    return Predictions(
        labels=table.labels,
        images=np.array(table.images),
        patient_ids=np.array(table.patient_ids),
        split=np.full(len(table), split),
        targets=table.targets,
        probabilities=probabilities.astype(np.float32),
        logits=mean,
        metadata={name: np.array(column) for name, column in table.metadata.items()},
    )


def _measured(model: Model, predictions: Predictions, dataset: str, origin: str) -> Metrics:
    split = str(predictions.split[0])
    metrics = summarise(predictions, model.operating_points, dataset=dataset, split=split, model=model.id)
    metrics = replace(metrics, split_origin=origin)
    return with_uncalibrated(metrics, predictions) if len(members_of(model)) == 1 else metrics


def _write(out: Path, metrics: Metrics, predictions: Predictions) -> None:
    out.mkdir(parents=True, exist_ok=True)
    predictions.write(out / "predictions.parquet")
    write_json(out / "metrics.json", metrics.to_dict())
    write_json(out / "curves.json", curves(predictions, split=metrics.split))


def _with_localisation(
    metrics: Metrics, model: Model, table: FilmTable, boxes: Sequence[Box], progress: Callable[..., Iterable[int]]
) -> Metrics:
    """The scores with those of the maps against boxes, of each finding and of all boxes together."""
    located = locate_films(model, table, boxes, progress)
    findings = {
        name: replace(scores, localisation=summarise_boxed(located[name])) for name, scores in metrics.findings.items()
    }
    overall = summarise_boxed([one for maps in located.values() for one in maps])
    return replace(metrics, findings=findings, localisation=overall)


def _faithfulness(
    model: Model, films: DecodedFilms, probabilities: np.ndarray, count: int, progress: Callable[..., Iterable[int]]
) -> Faithfulness:
    if count == 0:
        return Faithfulness.none(NOT_ASKED)
    if not isinstance(model, Classifier):
        return Faithfulness.none("an ensemble's members see films of different sizes; measure each member by itself")
    return measure_faithfulness(model, films, probabilities, count, progress)


def split_digest(table: FilmTable, splits: np.ndarray) -> str:
    """SHA-256 of ``split_csv``, hexadecimal: identifies which film of which patient is in which split."""
    return hashlib.sha256(split_csv(table, splits).encode()).hexdigest()


def split_csv(table: FilmTable, splits: np.ndarray) -> str:
    """The text of training/split.csv: image, patient_id and split of every film."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("image", "patient_id", "split"))
    writer.writerows(zip(table.images, table.patient_ids, splits.tolist(), strict=True))
    return text.getvalue()


def members_of(model: Model) -> tuple[Classifier, ...]:
    """The networks behind a model: itself, or an ensemble's members."""
    members: Any = getattr(model, "members", (model,))
    return tuple(members)


def splits_of(model: Model, table: FilmTable, split: str, listed: FilmTable | None = None) -> tuple[np.ndarray, str]:
    """The split of each film as ``evaluate`` defines it, str (N,), empty for films in none, and its origin.

    ``listed``: the dataset before unreadable films were left out, where that differs. Raises InvalidDataset where the
    split is unknown.
    """
    if split not in (*SPLITS, ALL):
        raise InvalidDataset(f"no split {split!r}; choose one of: {', '.join((*SPLITS, ALL))}")
    if split == ALL:
        return np.full(len(table), ALL), _origin_of_all(model, table.name)
    members = members_of(model)
    trained = [member.config.provenance for member in members if member.config.provenance.get("dataset") == table.name]
    if split == "test" and "test" in table.splits and all(facts.get("split_origin") != "own" for facts in trained):
        where = np.array([name or "" for name in table.splits])
        surely = table.name not in _ANYONES or _held_out_by(model, table, listed or table)
        return where, DATASETS[table.name].test_split if surely else UNKNOWN.key
    if len(trained) < len(members):
        raise InvalidDataset(
            f"{table.name} has no official {split} list, and {model.name} was not trained on it; use --split all"
        )
    carved = [_carve_again(member, table, listed or table, split) for member in members]
    if any((splits != carved[0]).any() for splits in carved):
        raise InvalidDataset(
            f"the members of {model.name} were trained on different patients; none are held out by all"
        )
    return carved[0], DATASETS[table.name].test_split if split in table.splits else OWN.key


def _origin_of_all(model: Model, dataset: str) -> str:
    """Whether training may have held these films: another dataset's it did not, where both are known by name."""
    facts = [member.config.provenance for member in members_of(model)]
    trained = {str(fact.get("dataset") or "") for fact in facts}
    started = [str(fact.get("initial_weights") or "") for fact in facts]
    plain = all(name.startswith("random") or "imagenet" in name.lower() for name in started)  # not another bundle's
    vague = {"", "composed", dataset, *_ANYONES}
    return OTHER.key if plain and not trained & vague and dataset not in ("composed", *_ANYONES) else UNKNOWN.key


def _held_out_by(model: Model, table: FilmTable, listed: FilmTable) -> bool:
    """Whether every network of the model was trained on exactly these films, but for those of the test list."""
    try:
        return all((_carve_again(member, table, listed, "test") != "").any() for member in members_of(model))
    except InvalidDataset:
        return False


def _recipe_folders(model: Model, dataset: str) -> list[str]:
    """The folders that the model's recipe names, where it was trained on this dataset."""
    for member in members_of(model):
        if member.config.provenance.get("dataset") == dataset and member.folder:
            try:
                recipe: Any = yaml.safe_load((member.folder / "recipe.yaml").read_text("utf-8"))
                return [str(name) for name in recipe["data"].get("folders", ())]
            except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError):
                return []
    return []


def _carve_again(model: Classifier, table: FilmTable, listed: FilmTable, split: str) -> np.ndarray:
    """The split that a model was trained with, from its recipe, checked against its stored hash."""
    try:
        recipe: Any = yaml.safe_load((model.folder / "recipe.yaml").read_text("utf-8")) if model.folder else None
        data = recipe["data"]
        official, fractions = data.get("official_split", True), (data["val_fraction"], data["test_fraction"])
        seed = recipe["seed"] if data.get("split_seed", -1) == -1 else data["split_seed"]
        used = set(limited(listed, data.get("limit", 0), seed).images)
        rows = np.flatnonzero([image in used for image in table.images])
        splits = np.full(len(table), "", dtype="<U5")
        splits[rows] = carve(table.select(rows), official, *fractions, seed, data.get("leave_out", ()))
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        raise InvalidDataset(f"{model.name} carries no recipe, so its {split} patients cannot be told") from None
    if split_digest(table.select(rows), splits[rows]) != model.config.provenance.get("split_sha256"):
        raise InvalidDataset(
            f"these are not exactly the films that {model.name} was trained on, so its {split} patients cannot be "
            "told; use the same download, or --split all for films it has never seen"
        )
    return splits
