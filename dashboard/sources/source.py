"""Whose results are on show? One record for an embedded model, one on the Hub, a folder, a table, or an uploaded one.

Nothing here loads a network. What lies on disk is opened once and shared by every visitor and every move of a slider;
an upload stays in the session of the visitor who gave it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import streamlit as st

from cxrcore.bundle.config import BundleConfig
from cxrcore.bundle.folder import (
    CONFIG,
    EMBEDDED,
    embedded_models,
    is_ensemble,
    read_config,
    read_ensemble,
)
from cxrcore.bundle.reference import origin
from cxrcore.datasets.boxes import BOXES, Box, read_boxes
from cxrcore.datasets.files import first_ten
from cxrcore.errors import BundleNotFound, CxrError, InvalidBundle, InvalidPredictions
from cxrcore.evaluation.score import score_table
from cxrcore.evaluation.split_origins import SPLIT_ORIGINS
from cxrcore.findings import Kind, LabelSet
from cxrcore.metrics.arrays import group_codes
from cxrcore.metrics.operating_points import OperatingPoints, disease_of
from cxrcore.predictions.import_table import read_predictions
from cxrcore.predictions.record import Predictions
from cxrcore.serving.notices import Notices, read_notices
from dashboard.sources import hub
from dashboard.state import UPLOAD

Badge = Literal["official", "own", "random", "unknown"]
PREDICTIONS, METRICS, CURVES = "predictions.parquet", "metrics.json", "curves.json"
_KEPT_TABLES = 4  # each a few tens of megabytes
_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Source:
    """One model's results on one set of films; every number drawn is in here or computed from ``predictions``."""

    reference: str  # what a link calls it: an embedded name, a path, user/repo@commit, ``upload``
    name: str  # what a reader calls it
    evaluation: str  # dataset-split, or a split of a table
    labels: LabelSet
    metrics: dict  # the content of metrics.json
    curves_of: Callable[[], dict]  # the content of curves.json, computed when a page asks for it
    predictions: Predictions | None = None  # these films only; None where no table ships
    config: BundleConfig | None = None  # of a single network's bundle
    points: OperatingPoints | None = None  # thresholds that its metrics were reported at
    validation: Predictions | None = None  # films that may choose other thresholds, where there are some
    boxes: tuple[Box, ...] = ()  # where findings truly are, where the evaluation says
    folder: Path | None = None  # the bundle's
    origin: str = ""  # user/repo@commit of a model on the Hub, 12 digits of the commit
    caveats: Notices | None = None  # what to know before believing it; None of a table
    notes: tuple[str, ...] = ()  # what reading a table left out or assumed
    patients: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # (N,) numbered
    memo: dict = field(default_factory=dict, repr=False)  # what pages computed from it, see ``computed.once``

    @property
    def curves(self) -> dict:
        """ROC, precision-recall, reliability and decision curve of every finding."""
        return self.curves_of()

    @property
    def dataset(self) -> str:
        return str(self.metrics.get("dataset") or "")

    @property
    def split(self) -> str:
        return str(self.metrics.get("split") or "")

    @property
    def badge(self) -> Badge:
        """Where the split comes from."""
        origin = self.metrics.get("split_origin")
        known: Badge = origin if origin in SPLIT_ORIGINS else "unknown"  # type: ignore[assignment]
        return known

    @property
    def uploaded(self) -> bool:
        """Whether it belongs to one visitor, so that nothing made of it may be shared."""
        return self.reference == UPLOAD

    @property
    def multiclass(self) -> bool:
        return self.labels.kind is Kind.MULTICLASS

    @property
    def repeats(self) -> bool:
        """Whether some patient has more than one film."""
        return int(self.metrics["n_patients"]) < int(self.metrics["n"])

    @property
    def main_finding(self) -> str:
        """What to show first: of two classes the disease, else the first disease."""
        return disease_of(self.labels) or (self.labels.abnormal or self.labels.names)[0]

    def arrays(self, finding: str) -> tuple[np.ndarray, np.ndarray]:
        """Targets (0, 1, NaN) and probabilities of a finding, each (N,). Only where there is a table."""
        assert self.predictions is not None
        column = self.labels.index(finding)
        return self.predictions.targets[:, column], self.predictions.probabilities[:, column]


def offered() -> dict[str, str]:
    """Embedded models, name -> title with its caveats, for a menu."""
    return {name: read_notices(EMBEDDED / name).title(name) for name in embedded_models()}


def evaluations(reference: str, labels: str | None = None) -> list[str]:
    """What a model was scored on, or a table's splits; test sets first. Raises CxrError where there is nothing."""
    place = _place(reference)
    if place.is_file():
        return _splits(_table(reference, labels, _stamp(place)))
    found = [folder.name for folder in _scored_folders(place)]
    if not found:
        raise InvalidBundle(
            f"{_name_of(place)} carries no evaluation, so there is nothing to show; cxr evaluate writes one"
        )
    return sorted(found, key=lambda name: (not name.endswith("test"), name))


def open_source(reference: str, evaluation: str | None = None, labels: str | None = None) -> Source:
    """An embedded name, a folder of a bundle or an evaluation, or a table; its first evaluation unless one is named.

    ``labels``: path of a label file, for a table without labels of its own. Raises CxrError, in a sentence.
    """
    there = evaluations(reference, labels)
    name = evaluation if evaluation in there else there[0]
    return _opened(reference, name, labels, _stamp(_place(reference)))


def upload_splits(upload: Any, labels: Any = None, mapping: Mapping[str, str] | None = None) -> list[str]:
    """As ``evaluations``, of an uploaded table."""
    return _splits(_read_upload(upload, labels, mapping))


def open_upload(
    upload: Any, split: str | None = None, labels: Any = None, mapping: Mapping[str, str] | None = None
) -> Source:
    """An uploaded table and, where it has no labels, an uploaded label file; ``mapping`` as ``read_predictions``."""
    table = _read_upload(upload, labels, mapping)
    there = _splits(table)
    name = split if split in there else there[0]
    key = ("scored", name, *_upload_key(upload, labels, mapping))
    return _kept(key, "Scoring the table …", lambda: _scored_source(UPLOAD, upload.name, table, name))


def _read_upload(upload: Any, labels: Any, mapping: Mapping[str, str] | None) -> Predictions:
    def read() -> Predictions:
        for given in (upload, labels):
            if given is not None:
                given.seek(0)
        return read_predictions(upload, labels, mapping)

    return _kept(("table", *_upload_key(upload, labels, mapping)), "Reading the table …", read)


def _upload_key(upload: Any, labels: Any, mapping: Mapping[str, str] | None) -> tuple:
    """Uploads have an id each, given by the server."""
    return upload.file_id, "" if labels is None else labels.file_id, tuple(sorted((mapping or {}).items()))


def _kept(key: tuple, doing: str, make: Callable[[], _T]) -> _T:
    """In the visitor's own session, and gone with it: an upload may be of patients."""
    kept = st.session_state.setdefault("uploads", {})
    if key not in kept:
        with st.spinner(doing):
            made = make()
        for old in list(kept)[: max(len(kept) + 1 - _KEPT_TABLES, 0)]:
            del kept[old]
        kept[key] = made
    return kept[key]


@st.cache_resource(show_spinner="Opening …", max_entries=2 * _KEPT_TABLES)
def _opened(reference: str, evaluation: str, labels: str | None, stamp: str) -> Source:
    place = _place(reference)
    if place.is_file():
        return _scored_source(reference, place.name, _table(reference, labels, stamp), evaluation)
    folder = next(found for found in _scored_folders(place) if found.name == evaluation)
    return _bundle_source(reference, place, folder)


@st.cache_resource(show_spinner="Reading the table …", max_entries=_KEPT_TABLES)
def _table(reference: str, labels: str | None, stamp: str) -> Predictions:
    if labels and not Path(labels).is_file():
        raise InvalidPredictions(f"there is no label file {Path(labels).name!r}")
    return read_predictions(_place(reference), Path(labels) if labels else None)


def _bundle_source(reference: str, place: Path, folder: Path) -> Source:
    """From a folder's stored numbers; what is not stored is computed from its table."""
    bundle = place if (place / CONFIG).is_file() else None
    config = None if bundle is None or is_ensemble(bundle) else read_config(bundle)
    films = Predictions.read(folder / PREDICTIONS) if (folder / PREDICTIONS).is_file() else None
    name = config.name if config is not None and origin(place) else _name_of(place)
    metrics, curves = (read_json(path) if path.is_file() else None for path in (folder / METRICS, folder / CURVES))
    points = None if config is None else config.operating_points
    notes: tuple[str, ...] = ()
    if films is not None and metrics is not None:
        films = films.of_split(metrics["split"]) if metrics.get("split") in films.split.tolist() else films
        if differs := _differs(metrics, films):
            notes = (f"{METRICS} beside {PREDICTIONS} is not of these films ({differs}), so they were scored anew.",)
            metrics = curves = None
    if films is not None and (metrics is None or curves is None):
        scored = score_table(films, points=points, dataset=folder.name.rpartition("-")[0], model=name)
        metrics, curves, films = metrics or scored.metrics.to_dict(), curves or scored.curves, scored.films
    if metrics is None or curves is None:
        raise InvalidBundle(f"evaluation {folder.name!r} lacks its metrics or curves; run cxr evaluate again")
    labels = _labels_of(bundle, config, films, metrics)
    beside = folder.parent / f"{metrics.get('dataset')}-val" / PREDICTIONS
    return Source(
        reference=reference,
        name=name,
        evaluation=folder.name,
        labels=labels,
        metrics=metrics,
        curves_of=lambda: curves,
        predictions=films,
        config=config,
        points=points,
        validation=Predictions.read(beside) if beside.is_file() and beside.parent != folder else None,
        boxes=read_boxes(folder / BOXES) if (folder / BOXES).is_file() else (),
        folder=bundle,
        origin=origin(place) or "",
        caveats=None if bundle is None else read_notices(bundle),
        notes=notes,
        patients=np.zeros(0, np.int64) if films is None else group_codes(films.patient_ids),
    )


def _differs(metrics: dict, films: Predictions) -> str:
    """How stored metrics show that they were not taken on these films; empty where nothing does."""
    told, names = metrics["findings"], films.labels.names
    if set(told) != set(names):
        return f"it scores {first_ten(list(told))}, and they have {first_ten(names)}"
    patients = len(np.unique(films.patient_ids))
    for what, said, there in (
        ("films", metrics.get("n"), len(films)),
        ("patients", metrics.get("n_patients"), patients),
    ):
        if said != there:
            return f"it counts {said} {what}, and there are {there:,}"
    for k, name in enumerate(names):
        said, there = told[name].get("n_pos"), int((films.targets[:, k] == 1).sum())
        if said != there:
            return f"it counts {said} films with {name}, and there are {there:,}"
    return ""


def _scored_source(reference: str, name: str, table: Predictions, split: str) -> Source:
    scored = score_table(table, split, dataset=table.dataset, model=name)
    has_validation = split != "val" and (table.split == "val").any()
    return Source(
        reference=reference,
        name=name,
        evaluation=split,
        labels=table.labels,
        metrics=scored.metrics.to_dict(),
        curves_of=lambda: scored.curves,
        predictions=scored.films,
        points=scored.points,
        validation=table.of_split("val") if has_validation else None,
        notes=table.notes,
        patients=group_codes(scored.films.patient_ids),
    )


def _place(reference: str) -> Path:
    """The folder of an embedded name, of a model on the Hub, or a path. Raises BundleNotFound or HubError."""
    if reference in embedded_models():
        return EMBEDDED / reference
    if hub.reference_of(reference) is not None:
        return hub.find(reference)[1]
    path = Path(reference).expanduser()
    if not reference or not path.exists():
        names = ", ".join(embedded_models())
        raise BundleNotFound(f"there is no model, folder or table {path.name!r}; embedded models: {names}")
    return path


def _name_of(place: Path) -> str:
    """What to call a folder or table."""
    return origin(place) or place.name


def _scored_folders(place: Path) -> list[Path]:
    """Folders with results: those in a bundle's ``evaluation``, or the folder itself."""
    parts = [place, *sorted((place / "evaluation").glob("*/"))]
    return [part for part in parts if (part / PREDICTIONS).is_file() or (part / METRICS).is_file()]


def _stamp(place: Path) -> str:
    """Changes when what lies there is written again."""
    files = [place] if place.is_file() else [f for part in _scored_folders(place) for f in sorted(part.iterdir())]
    return ";".join(f"{file.stat().st_mtime_ns}:{file.stat().st_size}" for file in files)


def _splits(table: Predictions) -> list[str]:
    return sorted(set(table.split.tolist()), key=lambda name: (name != "test", name))


def _labels_of(bundle: Path | None, config: BundleConfig | None, films: Predictions | None, metrics: dict) -> LabelSet:
    if config is not None:
        return config.labels
    if bundle is not None:
        return read_ensemble(bundle).labels
    if films is not None:
        return films.labels
    from cxrcore.predictions.column_names import known_finding

    kind = Kind(metrics.get("kind", Kind.MULTILABEL))
    return LabelSet("own", kind, tuple(known_finding(name) for name in metrics["findings"]))


def read_json(path: Path) -> dict:
    """A metrics.json or curves.json. Raises InvalidBundle where it is neither."""
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        data = None
    if not isinstance(data, dict) or "findings" not in data:
        raise InvalidBundle(f"{path.name} of evaluation {path.parent.name!r} cannot be read; run cxr evaluate again")
    return data


__all__ = ["CxrError", "Source", "evaluations", "offered", "open_source", "open_upload", "upload_splits"]
