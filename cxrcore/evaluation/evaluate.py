"""How good is a model on these films? The same scores at the end of training, and later from the weights alone."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from accelerate import Accelerator
from accelerate.utils import gather_object

from cxrcore.datasets import read_dataset
from cxrcore.datasets.cache import open_films
from cxrcore.datasets.splits import SPLITS, carve, limited
from cxrcore.datasets.table import FilmTable
from cxrcore.errors import InvalidDataset
from cxrcore.evaluation.record import Metrics
from cxrcore.evaluation.summary import curves, summarise
from cxrcore.films.preprocessing import unpack
from cxrcore.models.base import Model
from cxrcore.models.classifier import Classifier
from cxrcore.models.distributed import join_processes
from cxrcore.predictions.record import Predictions
from cxrcore.storage import write_json

BATCH = 64  # fixed, so that a film's numbers do not depend on how many processes share the work
ALL = "all"


@dataclass(frozen=True, eq=False)
class ScoredFilms:
    """Films of one dataset at a network's size: a table's rows and where their pixels lie."""

    table: FilmTable
    pixels: np.ndarray  # uint16 (M, h, w), see preprocessing.pack
    rows: np.ndarray  # int (N,), a row of pixels for each row of the table

    def select(self, mask: np.ndarray) -> ScoredFilms:
        """Only the films that a bool mask (N,) picks."""
        index = np.flatnonzero(mask)
        return ScoredFilms(self.table.select(index), self.pixels, self.rows[index])


def evaluate(
    model: Model,
    dataset: str,
    data: Path,
    split: str,
    out: Path,
    progress: Callable = iter,
    say: Callable[[str], None] = lambda text: None,
) -> Metrics:
    """Score ``model`` on a split of a known dataset; ``out`` gets predictions.parquet, metrics.json and curves.json.

    ``split``: ``test`` is the source's official list where there is one, else (and for ``train`` and ``val``) the
    patients held out when the model was trained, told by its recipe and checked against the split's stored hash;
    ``all`` is every film, for films it has not been trained on. Returns the metrics. Raises InvalidDataset where the
    split cannot be told. Under ``torchrun`` or ``accelerate launch`` the processes share the films.
    """
    accelerator = join_processes()
    table = read_dataset(dataset, data, model.labels)
    for note in table.notes:
        say(note)
    sizes = []
    for member in members_of(model):
        with accelerator.main_process_first():
            decoded = open_films(table, member.preprocessing, progress=progress)
        sizes.append(ScoredFilms(decoded.table, decoded.pixels, decoded.rows))
    if decoded.skipped:
        say(f"{len(decoded.skipped)} of {len(table)} films cannot be read and are left out:")
    for line in decoded.skipped:
        say(f"skipped {line}")
    where, origin = splits_of(model, sizes[0].table, split, listed=table)
    if not (where == split).any():
        raise InvalidDataset(f"no film of {dataset} is in split {split!r}")
    return score_split(model, [films.select(where == split) for films in sizes], split, out, origin, accelerator)


def score_split(
    model: Model,
    sizes: Sequence[ScoredFilms],
    split: str,
    out: Path,
    origin: str,
    accelerator: Accelerator | None = None,
) -> Metrics:
    """Predict films, write predictions, metrics and curves into ``out``, and return the metrics.

    ``sizes``: the films at the size of each network of the model, one for all but ensembles; ``origin``: ``official``
    or ``own``, the badge that every score travels with.
    """
    table = sizes[0].table
    scores = []
    for member, films in zip(members_of(model), sizes, strict=True):
        logits, _ = forward_films(member, films, accelerator, maps=False)
        scores.append((logits, member.probabilities(logits)))
    predictions = Predictions(
        labels=table.labels,
        images=np.array(table.images),
        patient_ids=np.array(table.patient_ids),
        split=np.full(len(table), split),
        targets=table.targets,
        probabilities=np.mean([found for _, found in scores], axis=0).astype(np.float32),
        logits=np.mean([found for found, _ in scores], axis=0),
        metadata={name: np.array(column) for name, column in table.metadata.items()},
    )
    metrics = summarise(predictions, model.operating_points, dataset=table.name, split=split, model=model.id)
    metrics = replace(metrics, split_origin=origin)
    if accelerator is None or accelerator.is_main_process:
        out.mkdir(parents=True, exist_ok=True)
        predictions.write(out / "predictions.parquet")
        write_json(out / "metrics.json", metrics.to_dict())
        write_json(out / "curves.json", curves(predictions, split=split))
    return metrics


def forward_films(
    model: Classifier, films: ScoredFilms, accelerator: Accelerator | None = None, maps: bool = True
) -> tuple[np.ndarray, np.ndarray | None]:
    """Logits (N, C) and, where wanted and had, maps (N, C, h, w); each film once and in order."""
    rank, world = (accelerator.process_index, accelerator.num_processes) if accelerator else (0, 1)
    found: list[tuple[int, np.ndarray, np.ndarray | None]] = []
    for start in list(range(0, len(films.rows), BATCH))[rank::world]:
        batch = torch.from_numpy(unpack(films.pixels[films.rows[start : start + BATCH]])).unsqueeze(1)
        logits, places = model.forward(model.preprocessing.normalise(batch.to(model.device)))
        kept = places.cpu().numpy() if maps and places is not None else None
        found.append((start, logits.cpu().numpy(), kept))
    if world > 1:
        found = gather_object(found)
    found.sort(key=lambda item: item[0])
    all_maps = [places for _, _, places in found if places is not None]
    return np.concatenate([logits for _, logits, _ in found]), np.concatenate(all_maps) if all_maps else None


def split_digest(table: FilmTable, splits: np.ndarray) -> str:
    """SHA-256 of split.csv: which film of which patient went where."""
    return hashlib.sha256(split_csv(table, splits).encode()).hexdigest()


def split_csv(table: FilmTable, splits: np.ndarray) -> str:
    """The text of training/split.csv."""
    import csv

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("image", "patient_id", "split"))
    writer.writerows(zip(table.images, table.patient_ids, splits.tolist(), strict=True))
    return text.getvalue()


def members_of(model: Model) -> tuple[Classifier, ...]:
    """The networks behind a model: itself, or an ensemble's members."""
    found: tuple[Any, ...] = getattr(model, "members", (model,))
    return found


def splits_of(model: Model, table: FilmTable, split: str, listed: FilmTable | None = None) -> tuple[np.ndarray, str]:
    """A split per film as ``evaluate`` tells it, (N,) str, empty for films in none, and where it comes from.

    ``listed``: the dataset before unreadable films were left out, where that differs. Raises InvalidDataset where the
    split cannot be told.
    """
    if split not in (*SPLITS, ALL):
        raise InvalidDataset(f"no split {split!r}; choose one of: {', '.join((*SPLITS, ALL))}")
    if split == ALL:
        return np.full(len(table), ALL), "own"
    members = members_of(model)
    learned = [member.config.provenance for member in members if member.config.provenance.get("dataset") == table.name]
    if split == "test" and "test" in table.splits and all(facts.get("split_origin") != "own" for facts in learned):
        return np.array([name or "" for name in table.splits]), "official"
    if len(learned) < len(members):
        raise InvalidDataset(
            f"{table.name} has no official {split} list, and {model.name} was not trained on it; use --split all"
        )
    found = [_carved_again(member, table, listed or table, split) for member in members]
    if any((splits != found[0]).any() for splits in found):
        raise InvalidDataset(
            f"the members of {model.name} were trained on different patients; none are held out by all"
        )
    return found[0], "official" if split in table.splits else "own"


def _carved_again(model: Classifier, table: FilmTable, listed: FilmTable, split: str) -> np.ndarray:
    """The split a model was trained with, carved again as its recipe says and checked against its stored hash."""
    try:
        recipe: Any = yaml.safe_load((model.folder / "recipe.yaml").read_text("utf-8")) if model.folder else None
        data = recipe["data"]
        official, fractions = data.get("official_split", True), (data["val_fraction"], data["test_fraction"])
        learned = set(limited(listed, data.get("limit", 0), recipe["seed"]).images)
        rows = np.flatnonzero([image in learned for image in table.images])
        splits = np.full(len(table), "", dtype="<U5")
        splits[rows] = carve(table.select(rows), official, *fractions, recipe["seed"])
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        raise InvalidDataset(f"{model.name} carries no recipe, so its {split} patients cannot be told") from None
    if split_digest(table.select(rows), splits[rows]) != model.config.provenance.get("split_sha256"):
        raise InvalidDataset(
            f"these are not exactly the films that {model.name} was trained on, so its {split} patients cannot be "
            "told; use the same download, or --split all for films it has never seen"
        )
    return splits
