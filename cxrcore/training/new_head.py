"""A bundle for one's own labels: another bundle's trunk as it is, and a new linear head on its pooled features.

Everything that is fitted beside the head (calibration, operating points, evidence levels, map ceilings) and every score
comes from out-of-fold outputs: of each film by a head fitted on the other folds' patients.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cxrcore.bundle.calibrators import MIN_FILMS
from cxrcore.bundle.config import BundleConfig
from cxrcore.bundle.folder import GATE, write_bundle
from cxrcore.bundle.weights import network_with, read_network
from cxrcore.datasets.cache import DecodedFilms
from cxrcore.datasets.registry import DATASETS
from cxrcore.datasets.table import FilmTable
from cxrcore.errors import CxrError, InvalidDataset
from cxrcore.evaluation.evaluate import write_scores
from cxrcore.evaluation.forward import forward_films, logits_and_maps
from cxrcore.evaluation.record import Metrics
from cxrcore.evaluation.split_origins import CROSS_VALIDATED
from cxrcore.explain.class_activation import linear_head
from cxrcore.films.preprocessing import Preprocessing
from cxrcore.findings import Kind, LabelSet
from cxrcore.models.classifier import Classifier
from cxrcore.models.golden import write_golden
from cxrcore.publishing.model_card import write_model_card
from cxrcore.storage import write_json
from cxrcore.training.config import ModelConfig
from cxrcore.training.linear_probe import FOLDS, LinearHead, Probe, fit_probe, learnable, patient_folds
from cxrcore.training.run import with_numbers

LEAST = 50  # labelled films
REPORT = "head.json"
NUMBERS_FROM = f"out-of-fold outputs, {FOLDS} folds by patient"

Log = Callable[[str], None]
Progress = Callable[[Iterable[Any]], Iterable[Any]]


@dataclass(frozen=True, eq=False)
class Labelled:
    """The films that a head is fitted on, with their folds, and the findings that are left out."""

    films: DecodedFilms
    folds: np.ndarray  # int (N,)
    left_out: dict[str, str]  # finding -> why


def fit_head(
    model: Classifier, films: DecodedFilms, out: Path, log: Log = lambda text: None, progress: Progress = iter
) -> Metrics:
    """Write ``out``: a bundle of the model's trunk with a head for the films' labels; returns its out-of-fold scores.

    Raises InvalidDataset for under LEAST films, under FOLDS patients, or no finding with MIN_FILMS films with and
    without it; CxrError for a folder in use, a model without a folder or without a linear layer after global pooling.
    Then nothing is left behind.
    """
    refuse_unfit(model, out)
    labelled = _labelled(films, log)
    films, table = labelled.films, labelled.films.table
    (features,) = forward_films(
        films, lambda batch: [model.pooled_features(model.preprocessing.normalise(batch))], model.device, None, progress
    )
    probe = fit_probe(features, table.targets, table.labels.kind, labelled.folds)
    config = replace(
        model.config,
        name=out.name,
        labels=table.labels,
        test_time_augmentation="none",
        provenance=_provenance(model, table, probe),
    )
    network = with_head(model, probe.head, config)
    logits, maps = _out_of_fold(model, labelled, probe, config, progress)
    config = with_numbers(config, table, logits, maps, ModelConfig())
    try:
        write_bundle(out, network, config)
        classifier = Classifier(read_network(out, config), config, out, model.device, model.dtype)
        metrics = _write_beside(classifier, model, labelled, logits, probe)
        write_model_card(out, config)
    except OSError:
        shutil.rmtree(out, ignore_errors=True)
        raise CxrError(f"cannot write into {out.name!r}; choose another --out") from None
    return metrics


def refuse_unfit(model: Classifier, out: Path) -> None:
    """Raise CxrError for a model that can carry no new head, or a folder in use."""
    if model.folder is None or type(model.preprocessing) is not Preprocessing:
        raise CxrError(f"{model.name} is no bundle of this project, so no head can be put on it")
    head = linear_head(model.network)
    if head is None or head.bias is None:
        raise CxrError(f"{model.name} has no linear layer after global pooling, so no head can be put on its features")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CxrError(f"{out.name!r} is in use; choose a new folder for --out")


def with_head(model: Classifier, head: LinearHead, config: BundleConfig) -> Any:
    """The model's network with this head, for the findings of ``config``."""
    tensors = dict(model.network.state_dict())
    place = next(name for name, part in model.network.named_modules() if part is model.network.get_classifier())
    for name, values in (("weight", head.weight), ("bias", head.bias)):
        tensors[f"{place}.{name}"] = torch.from_numpy(values).float()
    return network_with(tensors, config, config.name)


def _labelled(films: DecodedFilms, log: Log) -> Labelled:
    """The films without the source's test part, of the findings that can be learned."""
    test = np.array([split == "test" for split in films.table.splits])
    if test.any():
        log(f"{int(test.sum()):,} films of the test part are left out, to score the head on")
        films = films.select(~test)
    films = films.select(~np.isnan(films.table.targets).all(axis=1)) if len(films) else films
    table = films.table
    if len(films) < LEAST:
        raise InvalidDataset(f"{len(films)} labelled films are here; fitting a head needs {LEAST}")
    if (patients := len(set(table.patient_ids))) < FOLDS:
        raise InvalidDataset(f"the films are of {patients} patients; cross-validation by patient needs {FOLDS}")
    folds = patient_folds(np.array(table.patient_ids), table.targets)
    kept = learnable(table.targets, folds)
    if kept.sum() < (2 if table.labels.kind is Kind.MULTICLASS else 1):
        raise InvalidDataset(
            f"no finding has {MIN_FILMS} films with it and {MIN_FILMS} without, of several patients: nothing to learn"
        )
    left_out = {
        name: f"{int((column == 1).sum())} films with it and {int((column == 0).sum())} without"
        for name, column, keep in zip(table.labels, table.targets.T, kept, strict=True)
        if not keep
    }
    for name, why in left_out.items():
        log(f"{name} is left out: {why}; {MIN_FILMS} of each, of several patients, are needed")
    return Labelled(*_of_findings(films, folds, kept), left_out) if left_out else Labelled(films, folds, {})


def _of_findings(films: DecodedFilms, folds: np.ndarray, kept: np.ndarray) -> tuple[DecodedFilms, np.ndarray]:
    """The films with only these columns; of exclusive classes also without the other classes' films."""
    labels, targets = films.table.labels, films.table.targets[:, kept]
    findings = tuple(finding for finding, keep in zip(labels.findings, kept, strict=True) if keep)
    known = (targets == 1).any(axis=1) if labels.kind is Kind.MULTICLASS else ~np.isnan(targets).all(axis=1)
    table = replace(films.table, labels=LabelSet("own", labels.kind, findings), targets=targets)
    return replace(films, table=table).select(known), folds[known]


def _out_of_fold(
    model: Classifier, labelled: Labelled, probe: Probe, config: BundleConfig, progress: Progress
) -> tuple[np.ndarray, np.ndarray | None]:
    """Logits (N, C) and maps (N, C, h, w) of each film by the head that did not learn from its fold."""
    films, folds = labelled.films, labelled.folds
    logits, maps = np.empty(films.table.targets.shape, np.float32), []
    for fold, head in enumerate(progress(probe.fold_heads)):
        rows = np.flatnonzero(folds == fold)
        classifier = Classifier(with_head(model, head, config), config, None, model.device, model.dtype)
        logits[rows], activations = logits_and_maps(classifier, films.select(rows))
        maps.append(activations)
    order = np.argsort(np.concatenate([np.flatnonzero(folds == fold) for fold in range(FOLDS)]))
    return logits, np.concatenate([part for part in maps if part is not None])[order]


def _write_beside(
    classifier: Classifier, parent: Classifier, labelled: Labelled, logits: np.ndarray, probe: Probe
) -> Metrics:
    """The gate, golden outputs, out-of-fold scores and the report, into the classifier's folder."""
    out = classifier.folder
    assert out is not None
    assert parent.folder is not None
    if (parent.folder / GATE).is_file():
        shutil.copyfile(parent.folder / GATE, out / GATE)
    write_golden(classifier, out)
    table = labelled.films.table
    folder = out / "evaluation" / f"{table.name}-val"
    metrics = write_scores(classifier, table, logits, "val", folder, CROSS_VALIDATED.key)
    report = {
        **classifier.config.provenance["head"],
        "left_out": labelled.left_out,
        "findings": {
            name: {"n_pos": scores.n_pos, "n_neg": scores.n_neg, "auroc": scores.auroc.to_dict()}
            for name, scores in metrics.findings.items()
        },
    }
    write_json(out / REPORT, report)
    return metrics


def _provenance(model: Classifier, table: FilmTable, probe: Probe) -> dict[str, Any]:
    facts = model.config.provenance
    license = str(facts.get("license", "unknown"))
    source, trunk = DATASETS[table.name].provenance, dict(facts.get("source") or {})
    patients = len(set(table.patient_ids))
    strengths = [float(strength) for strength in probe.strengths]
    return {
        "dataset": table.name,
        "source": source | {"who": f"{source['who']}; its trunk learned from {trunk.get('who', 'unknown films')}"},
        "synthetic": bool(facts.get("synthetic")) and table.name == "phantom",
        "initial_weights": f"{model.id}, whose trunk is kept as it is; the head is new",
        "initial_weights_license": license,
        "note": facts.get("note", ""),
        "films": {"train": len(table)},
        "patients": {"train": patients},
        "head": {
            "parent": model.id,
            "parent_license": license,
            "dataset": table.name,
            "films": len(table),
            "patients": patients,
            "folds": FOLDS,
            "numbers_from": NUMBERS_FROM,
            "C": dict(zip(table.labels, strengths, strict=True)) if len(strengths) > 1 else strengths[0],
        },
        "split_origin": CROSS_VALIDATED.key,
        "trained_on": datetime.now(UTC).date().isoformat(),
        "versions": {name: version(name) for name in ("torch", "timm", "scikit-learn")},
        "license": license,
    }
