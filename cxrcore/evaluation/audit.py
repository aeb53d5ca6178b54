"""What could explain a score without disease: baselines that see no signs of it, sources, labels, near-duplicates.

Every number is of the audited films alone. A baseline above chance does not prove that the model uses what it uses;
it shows that the films would let a model score without looking for the finding.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cxrcore.datasets.duplicates import hash_files, near_pairs
from cxrcore.datasets.sources import notes_on_sources
from cxrcore.datasets.table import FilmTable
from cxrcore.errors import InvalidDataset, InvalidPredictions
from cxrcore.evaluation.audit_report import SCHEMA, sentences
from cxrcore.evaluation.baselines import BASELINES, FOLDS, Columns, baseline_columns, out_of_fold
from cxrcore.evaluation.evaluate import SplitFilms, members_of, predict_films, splits_of
from cxrcore.evaluation.score import metrics_beside
from cxrcore.findings import Kind, LabelSet
from cxrcore.metrics.comparison import compare_auroc
from cxrcore.metrics.discrimination import auroc, one_class
from cxrcore.metrics.intervals import Estimate
from cxrcore.metrics.label_errors import likely_label_errors
from cxrcore.metrics.operating_points import disease_of
from cxrcore.models.base import Model
from cxrcore.predictions.record import PREDICTIONS, Predictions

MARGIN = 0.05  # of AUROC: an interval this far from .5 names a source
FEWEST_FILMS = 10  # of a source within a class, and of the other sources, to be compared
MOST_FILMS = 10  # listed a finding
MOST_PAIRS = 100  # near-duplicates listed

Log = Callable[[str], None]


def audit(model: Model, part: SplitFilms, predictions: Predictions, split: str, log: Log = print) -> dict[str, Any]:
    """The content of ``audit.json``: the split's films, a model's predictions of them, and what else explains these.

    Raises InvalidDataset where no finding has films both with and without it.
    """
    films = part.sizes[0]
    labels, targets = predictions.labels, predictions.targets
    if all(one_class(int((column == 1).sum()), int((column == 0).sum())) for column in targets.T):
        raise InvalidDataset(
            f"no finding of {model.name} has films both with and without it in this split, so there is no score to "
            "explain"
        )
    log(f"{len(films):,} films: border, tone, and a regression on each")
    sources = [str(source) for source in films.table.metadata.get("source", ())]
    data = {
        "schema": SCHEMA,
        "model": model.id,
        "dataset": films.table.name,
        "split": split,
        "split_origin": part.origin,
        "n": len(films),
        "n_patients": predictions.n_patients,
        "folds": FOLDS,
        "baselines": BASELINES,
        "findings": beside_baselines(predictions, baseline_columns(films)),
        "sources": by_source(predictions, sources),
        "label_errors": {name: _label_errors(predictions, name) for name in audited_findings(labels)},
        "near_duplicates": near_duplicates(model, part.listed, films.table, log),
    }
    return data | {"sentences": sentences(data)}


def audited_findings(labels: LabelSet) -> tuple[str, ...]:
    """Every finding; of two exclusive classes the disease, since the other is its complement."""
    disease = disease_of(labels)
    return labels.names if disease is None else (disease,)


def predictions_of(model: Model, part: SplitFilms, split: str, file: Path | None, *folders: Path) -> Predictions:
    """The model's predictions of a split's films, in their order: from ``file``, stored ones, or predicted now.

    ``folders``: evaluations whose table is taken where it is of this model and has all of these films. Raises
    InvalidPredictions where ``file`` lacks some.
    """
    if file is not None:
        return _in_order(Predictions.read(file), part.sizes[0].table, file.name)
    for table in (folder / PREDICTIONS for folder in folders):
        metrics = metrics_beside(table) if table.is_file() else None
        if metrics is not None and metrics.model == model.id:
            try:
                return _in_order(Predictions.read(table), part.sizes[0].table, table.name)
            except InvalidPredictions:
                continue
    return predict_films(model, part.sizes, split)


def _in_order(predictions: Predictions, table: FilmTable, name: str) -> Predictions:
    """The rows of these films, with the labels and patients of the dataset."""
    place = {image: row for row, image in enumerate(predictions.images.tolist())}
    if predictions.labels.names != table.labels.names:
        raise InvalidPredictions(f"{name!r} has other findings than the model; write it again with cxr evaluate")
    if missing := [image for image in table.images if image not in place]:
        raise InvalidPredictions(f"{name!r} lacks {len(missing):,} of the {len(table):,} films, first {missing[0]}")
    rows = predictions.rows(np.array([place[image] for image in table.images]))
    return replace(rows, targets=table.targets, patient_ids=np.array(table.patient_ids))


def beside_baselines(predictions: Predictions, columns: Mapping[str, Columns]) -> dict[str, Any]:
    """By finding: AUROC of the model, of each baseline, and how much the model has more, on the same films."""
    found = {}
    for name in audited_findings(predictions.labels):
        k = predictions.labels.index(name)
        y, scores, patients = predictions.targets[:, k], predictions.probabilities[:, k], predictions.patient_ids
        found[name] = {
            "n_pos": int((y == 1).sum()),
            "n_neg": int((y == 0).sum()),
            "auroc": auroc(y, scores, patients).to_dict(),
            "baselines": {key: _baseline(y, scores, patients, table) for key, table in columns.items()},
        }
    return found


def _baseline(y: np.ndarray, scores: np.ndarray, patients: np.ndarray, columns: Columns) -> dict[str, Any]:
    fitted = columns if isinstance(columns, str) else out_of_fold(columns, y, patients)
    if isinstance(fitted, str):
        nothing = Estimate.undefined(fitted).to_dict()
        return {"auroc": nothing, "difference": nothing}
    rows = ~np.isnan(fitted)
    compared = compare_auroc(y[rows], scores[rows], fitted[rows], patients[rows])
    return {"auroc": compared.second.to_dict(), "difference": compared.difference.to_dict()}


def by_source(predictions: Predictions, sources: Sequence[str]) -> dict[str, Any]:
    """Films by source and finding, sources of one class, and how the model's probability differs between sources.

    ``told_apart``: among films alike in the finding (of exclusive classes: films of one class), the AUROC of the
    model's probability between one source and the others; ``named`` where its interval lies beyond ``MARGIN`` of .5.
    """
    names, labels, targets = sorted(set(sources)), predictions.labels, predictions.targets
    if len(names) < 2:
        why = "the films come from one source, or the set does not say from which"
        return {"films": None, "notes": [], "told_apart": None, "why": why}
    origin = np.array(sources)
    films = {}
    for source in names:
        own = targets[origin == source]
        counts = {
            name: {"with": int((own[:, k] == 1).sum()), "without": int((own[:, k] == 0).sum())}
            for k, name in enumerate(labels)
        }
        films[source] = {"n": len(own), "findings": counts}
    exclusive = labels.kind is Kind.MULTICLASS
    notes = notes_on_sources(sources, targets, labels) if exclusive else []
    return {"films": films, "notes": notes, "told_apart": list(_told_apart(predictions, origin))}


def _told_apart(predictions: Predictions, origin: np.ndarray) -> Iterator[dict[str, Any]]:
    labels, names = predictions.labels, np.unique(origin)
    for finding in labels.abnormal:
        k = labels.index(finding)
        for among, rows in _alike(predictions, k):
            for source in names[:1] if len(names) == 2 else names:
                own = (origin[rows] == source).astype(float)
                if min(own.sum(), (1 - own).sum()) < FEWEST_FILMS:
                    continue
                area = auroc(own, predictions.probabilities[rows, k], predictions.patient_ids[rows])
                low, high = area.low, area.high
                named = low is not None and high is not None and (low > 0.5 + MARGIN or high < 0.5 - MARGIN)
                yield {"finding": finding, "among": among, "source": source, "auroc": area.to_dict(), "named": named}


def _alike(predictions: Predictions, column: int) -> list[tuple[str, np.ndarray]]:
    """Films that the finding, or the class, does not tell apart: in words, and bool (N,)."""
    labels, targets = predictions.labels, predictions.targets
    if labels.kind is Kind.MULTICLASS:
        return [(f"films of class {name}", targets[:, k] == 1) for k, name in enumerate(labels)]
    name = labels.names[column]
    return [(f"films {word} {name}", targets[:, column] == value) for word, value in (("without", 0), ("with", 1))]


def _label_errors(predictions: Predictions, finding: str) -> dict[str, Any]:
    k = predictions.labels.index(finding)
    y, p = predictions.targets[:, k], predictions.probabilities[:, k]
    if missing := one_class(int((y == 1).sum()), int((y == 0).sum())):
        return {"candidates": None, "films": None, "why": missing}
    ranked = likely_label_errors(y, p)
    films = [
        {"image": str(predictions.images[row]), "label": int(y[row]), "probability": round(float(p[row]), 4)}
        for row in ranked[:MOST_FILMS]
    ]
    return {"candidates": len(ranked), "films": films}


def near_duplicates(model: Model, listed: FilmTable, audited: FilmTable, log: Log) -> dict[str, Any]:
    """Films that the model learned from and that nearly equal an audited one (see ``datasets.duplicates``)."""
    trained = _training_films(model, listed)
    if isinstance(trained, str):
        return {"pairs": None, "count": None, "training_films": None, "why": trained}
    learned = listed.select(np.flatnonzero(trained & ~np.isin(listed.images, audited.images)))
    log(f"comparing them with {len(learned):,} training films")
    pairs = near_pairs(hash_files([*audited.paths, *learned.paths]))
    across = pairs[(pairs[:, 0] < len(audited)) & (pairs[:, 1] >= len(audited))]
    listing = [
        {"image": audited.images[one], "training_image": learned.images[other - len(audited)]}
        for one, other in across[:MOST_PAIRS].tolist()
    ]
    return {"pairs": listing, "count": len(across), "training_films": len(learned)}


def _training_films(model: Model, listed: FilmTable) -> np.ndarray | str:
    """Which films of the dataset the model learned from, bool (N,); or why that cannot be told."""
    members = members_of(model)
    datasets = sorted({str(member.config.provenance.get("dataset")) for member in members})
    if datasets != [listed.name]:
        return f"{model.name} learned from {' and '.join(datasets)}, and those films are not in this folder"
    if listed.name == "phantom":
        return "drawn films resemble each other, so near-duplicates say nothing"
    table = None if model.folder is None else model.folder / "training" / "split.csv"
    if table is not None and table.is_file():
        with table.open(encoding="utf-8", newline="") as file:
            names = {row["image"] for row in csv.DictReader(file) if row["split"] == "train"}
        trained = np.isin(listed.images, list(names))
    else:
        try:
            trained = splits_of(model, listed, "train")[0] == "train"
        except InvalidDataset as error:
            return str(error)
    return trained if trained.any() else "none of the films that it learned from is in this folder"
