"""Folders with results as sources: a bundle's evaluations, or an evaluation alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from cxrcore.bundle.config import BundleConfig
from cxrcore.bundle.folder import CONFIG, EMBEDDED, embedded_name, is_ensemble, read_config, read_ensemble
from cxrcore.bundle.reference import origin
from cxrcore.datasets.boxes import BOXES, read_boxes
from cxrcore.datasets.files import first_ten
from cxrcore.errors import InvalidBundle, InvalidPredictions
from cxrcore.evaluation.audit_report import AUDIT, read_audit
from cxrcore.evaluation.record import METRICS, Metrics
from cxrcore.evaluation.robustness import read_robustness
from cxrcore.evaluation.score import score_table
from cxrcore.findings import Kind, LabelSet
from cxrcore.metrics.arrays import group_codes
from cxrcore.predictions.record import Predictions
from cxrcore.serving.notices import read_notices
from dashboard.sources.source import Source

PREDICTIONS, CURVES = "predictions.parquet", "curves.json"


def name_of(path: Path) -> str:
    """The name for a reader: user/repo@commit on the Hub, an embedded model's task, else the folder's or table's."""
    return origin(path) or (embedded_name(path.name) if path.parent == EMBEDDED else path.name)


def scored_folders(path: Path) -> list[Path]:
    """Folders with results: those in a bundle's ``evaluation``, or the folder itself."""
    folders = [path, *sorted((path / "evaluation").glob("*/"))]
    return [folder for folder in folders if (folder / PREDICTIONS).is_file() or (folder / METRICS).is_file()]


def bundle_source(reference: str, path: Path, folder: Path) -> Source:
    """Open the results in ``folder``, of the bundle at ``path``; what is not stored is computed from its table."""
    bundle = path if (path / CONFIG).is_file() else None
    settings = None if bundle is None else read_ensemble(bundle) if is_ensemble(bundle) else read_config(bundle)
    config = settings if isinstance(settings, BundleConfig) else None
    name = config.name if config is not None and origin(path) else name_of(path)
    points = None if settings is None else settings.operating_points
    films = Predictions.read(folder / PREDICTIONS) if (folder / PREDICTIONS).is_file() else None
    metrics = read_metrics(folder / METRICS) if (folder / METRICS).is_file() else None
    curves = _read_json(folder / CURVES) if (folder / CURVES).is_file() else None
    notes: tuple[str, ...] = ()
    if films is not None and metrics is not None:
        films = films.of_split(metrics.split) if metrics.split in films.split.tolist() else films
        if difference := _difference(metrics, films):
            notes = (f"{METRICS} beside {PREDICTIONS} is not of these films ({difference}), so they were scored anew.",)
            metrics = curves = None
    if films is not None and (metrics is None or curves is None):
        scored = score_table(films, points=points, dataset=folder.name.rpartition("-")[0], model=name)
        metrics, curves, films = metrics or scored.metrics, curves or scored.curves, scored.films
    if metrics is None or curves is None:
        raise InvalidBundle(f"evaluation {folder.name!r} lacks its metrics or curves; run cxr evaluate again")
    validation = folder.parent / f"{metrics.dataset}-val" / PREDICTIONS
    return Source(
        reference=reference,
        name=name,
        evaluation=folder.name,
        labels=_labels_of(bundle, config, films, metrics),
        metrics=metrics,
        load_curves=lambda: curves,
        predictions=films,
        config=config,
        points=points,
        triage=None if settings is None else settings.triage,
        validation=Predictions.read(validation) if validation.is_file() and validation.parent != folder else None,
        boxes=read_boxes(folder / BOXES) if (folder / BOXES).is_file() else (),
        audit=read_audit(folder / AUDIT) if (folder / AUDIT).is_file() else None,
        robustness=read_robustness(folder, metrics.model),
        folder=bundle,
        origin=origin(path) or "",
        notices=None if bundle is None else read_notices(bundle),
        notes=notes,
        patients=np.zeros(0, np.int64) if films is None else group_codes(films.patient_ids),
    )


def _difference(metrics: Metrics, films: Predictions) -> str:
    """How stored metrics show that they were not computed on these films; empty where nothing does."""
    scores, names = metrics.findings, films.labels.names
    if set(scores) != set(names):
        return f"it scores {first_ten(list(scores))}, and they have {first_ten(names)}"
    patients = len(np.unique(films.patient_ids))
    counts = [
        ("films", metrics.n, len(films)),
        ("patients", metrics.n_patients, patients),
    ]
    counts += [
        (f"films with {name}", scores[name].n_pos, int((films.targets[:, k] == 1).sum()))
        for k, name in enumerate(names)
    ]
    for what, stored, counted in counts:
        if stored != counted:
            return f"it counts {stored} {what}, and there are {counted:,}"
    return ""


def _labels_of(
    bundle: Path | None, config: BundleConfig | None, films: Predictions | None, metrics: Metrics
) -> LabelSet:
    if config is not None:
        return config.labels
    if bundle is not None:
        return read_ensemble(bundle).labels
    if films is not None:
        return films.labels
    from cxrcore.predictions.column_names import known_finding

    return LabelSet("own", Kind(metrics.kind), tuple(known_finding(name) for name in metrics.findings))


def read_metrics(path: Path) -> Metrics:
    """Read a metrics.json. Raises InvalidBundle where it cannot be read."""
    try:
        return Metrics.from_dict(_read_json(path))
    except InvalidPredictions:
        raise _unreadable(path) from None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        data = None
    if not isinstance(data, dict) or "findings" not in data:
        raise _unreadable(path)
    return data


def _unreadable(path: Path) -> InvalidBundle:
    return InvalidBundle(f"{path.name} of evaluation {path.parent.name!r} cannot be read; run cxr evaluate again")
