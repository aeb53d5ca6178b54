"""Make an ensemble of bundles: find them, copy them into one folder, fit its decisions, write its card."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cxrcore.bundle.calibrators import fit_calibration, from_probabilities, to_probabilities
from cxrcore.bundle.config import BundleConfig, EnsembleConfig
from cxrcore.bundle.ensemble_folder import write_ensemble
from cxrcore.bundle.folder import member_folders, read_config
from cxrcore.errors import InvalidPredictions
from cxrcore.evaluation.evaluate import films_of_split
from cxrcore.explain.heatmap import evidence_levels
from cxrcore.films.radiograph import read_radiograph
from cxrcore.metrics.operating_points import fit_operating_points
from cxrcore.metrics.triage import fit_triage
from cxrcore.models.ensemble import Ensemble
from cxrcore.models.opening import find_bundle, load_one
from cxrcore.predictions.record import PREDICTIONS, Predictions
from cxrcore.publishing.model_card import write_ensemble_card

Progress = Callable[[Iterable[Any]], Iterable[Any]]


class _Validation(NamedTuple):
    """The mean's answers to films that no member learned from."""

    patient_ids: Sequence[str]  # N
    targets: np.ndarray  # (N, C): 0, 1 or NaN
    probabilities: np.ndarray  # (N, C): the mean of the members'
    strengths: np.ndarray | None = None  # (N, C), logits, of the mean maps; None where the films were not read


def make_ensemble(
    references: Sequence[str | os.PathLike[str]], out: Path, data: Path | None = None, progress: Progress = iter
) -> EnsembleConfig:
    """Make ``out`` an ensemble of copies of these models (embedded models' tasks, folders or ``user/repo``).

    Members of one split validated on the same films: calibration and operating points of their mean are fitted on
    these, from the tables in the members' folders; with ``data``, the dataset's folder, the films are read again and
    the evidence levels of the mean maps fitted too. Otherwise the config's ``why`` says why nothing was fitted. Raises
    BundleNotFound, InvalidDataset, or what ``write_ensemble`` raises; then nothing is left behind.
    """
    folders = [find_bundle(reference) for reference in references]

    def finish(target: Path, config: EnsembleConfig) -> EnsembleConfig:
        fitted = _fitted(config, folders, target, data, progress)
        write_ensemble_card(target, fitted)
        return fitted

    return write_ensemble(folders, out, finish)


def _fitted(
    config: EnsembleConfig, folders: Sequence[Path], target: Path, data: Path | None, progress: Progress
) -> EnsembleConfig:
    members = [read_config(folder) for folder in folders]
    splits = {(member.provenance.get("dataset"), member.provenance.get("split_sha256")) for member in members}
    dataset, digest = splits.pop()
    if splits or not (dataset and digest):
        return replace(config, why="its members have no split in common, so no film is sure to be new to all of them")
    films = _stored(folders, dataset) if data is None else _read_again(config, target, dataset, data, progress)
    if films is None:
        why = f"the members' folders hold no predictions of one set of validation films ({dataset}); give --data"
        return replace(config, why=why)
    kind = config.labels.kind
    logits = from_probabilities(films.probabilities, kind)
    calibration = fit_calibration(kind, films.targets, logits)
    probabilities = to_probabilities(calibration.apply(logits), kind)
    patients = len(set(films.patient_ids))
    fitted_on = {"dataset": dataset, "split": "val", "films": len(films.targets), "patients": patients}
    levels = [None] * len(config.labels) if films.strengths is None else evidence_levels(films.strengths, films.targets)
    return replace(
        config,
        calibration=calibration,
        operating_points=fit_operating_points(config.labels, films.targets, probabilities, _rule(members)),
        triage=fit_triage(config.labels.names, films.targets, probabilities, films.patient_ids),
        evidence_levels=dict(zip(config.labels, levels, strict=True)),
        provenance=config.provenance | {"fitted_on": fitted_on | {"split_sha256": digest}},
    )


def _rule(members: Sequence[BundleConfig]) -> str:
    """The members' rule of operating points where they have one in common, else Youden's."""
    rules = {member.operating_points.rule if member.operating_points else "" for member in members}
    return rules.pop() if len(rules) == 1 and "" not in rules else "youden"


def _stored(folders: Sequence[Path], dataset: str) -> _Validation | None:
    """From the members' own tables; None where one is missing or of other films."""
    try:
        tables = [Predictions.read(folder / "evaluation" / f"{dataset}-val" / PREDICTIONS) for folder in folders]
    except InvalidPredictions:
        return None
    first = tables[0]
    for table in tables[1:]:
        same = table.images.tolist() == first.images.tolist()
        if not same or not np.array_equal(table.targets, first.targets, equal_nan=True):
            return None
    mean = np.mean([table.probabilities for table in tables], axis=0)
    return _Validation(first.patient_ids.tolist(), first.targets, mean)


def _read_again(config: EnsembleConfig, target: Path, dataset: str, data: Path, progress: Progress) -> _Validation:
    model = Ensemble([load_one(folder) for folder in member_folders(target, config)], config)
    films = films_of_split(model, dataset, data, "val")
    probabilities, strengths = [], []
    for path in progress(films.paths):
        answer = model.analyse(read_radiograph(path))
        probabilities.append(list(answer.prediction.probabilities.values()))
        strengths.append([heat.strength for heat in answer.heatmaps.values()])
    on_scale = all(strength is not None for strength in strengths[0])
    return _Validation(
        films.patient_ids, films.targets, np.array(probabilities), np.array(strengths) if on_scale else None
    )
