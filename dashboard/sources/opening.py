"""Opening results by reference: an embedded model, one on the Hub, a folder or a table."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from cxrcore.bundle.folder import embedded_models, embedded_name
from cxrcore.errors import BundleNotFound, InvalidBundle, InvalidPredictions
from cxrcore.models.opening import find_bundle
from cxrcore.predictions.import_table import read_predictions
from cxrcore.predictions.record import Predictions
from cxrcore.serving.notices import read_notices
from dashboard.sources import hub
from dashboard.sources.bundles import bundle_source, name_of, scored_folders
from dashboard.sources.source import Source
from dashboard.sources.tables import MOST_TABLES, splits_of, table_source


def embedded_titles() -> dict[str, str]:
    """Titles of the embedded models for a menu, by name."""
    return {name: read_notices(find_bundle(name)).title(name) for name in embedded_models()}


def evaluations(reference: str, labels: str | None = None) -> list[str]:
    """A model's evaluations, or a table's splits; test sets first. Raises CxrError where there are none."""
    path = _path_of(reference)
    if path.is_file():
        return splits_of(_table(reference, labels, _stamp(path)))
    names = [folder.name for folder in scored_folders(path)]
    if not names:
        raise InvalidBundle(
            f"{name_of(path)} carries no evaluation, so there is nothing to show; cxr evaluate writes one"
        )
    return sorted(names, key=lambda name: (not name.endswith("test"), name))


def open_source(reference: str, evaluation: str | None = None, labels: str | None = None) -> Source:
    """Open an embedded name, a folder of a bundle or an evaluation, or a table.

    ``evaluation``: one of ``evaluations``; the first for anything else. ``labels``: path of a label file, for a table
    without labels of its own. Raises CxrError, in a sentence.
    """
    names = evaluations(reference, labels)
    name = evaluation if evaluation in names else names[0]
    return _opened(reference, name, labels, _stamp(_path_of(reference)))


@st.cache_resource(show_spinner="Opening …", max_entries=2 * MOST_TABLES)
def _opened(reference: str, evaluation: str, labels: str | None, stamp: str) -> Source:
    path = _path_of(reference)
    if path.is_file():
        return table_source(reference, path.name, _table(reference, labels, stamp), evaluation)
    folder = next(folder for folder in scored_folders(path) if folder.name == evaluation)
    return bundle_source(reference, path, folder)


@st.cache_resource(show_spinner="Reading the table …", max_entries=MOST_TABLES)
def _table(reference: str, labels: str | None, stamp: str) -> Predictions:
    if labels and not Path(labels).is_file():
        raise InvalidPredictions(f"there is no label file {Path(labels).name!r}")
    return read_predictions(_path_of(reference), Path(labels) if labels else None)


def _path_of(reference: str) -> Path:
    """The folder of an embedded model or of one on the Hub, or a path. Raises BundleNotFound or HubError."""
    embedded, path = embedded_models(), Path(reference).expanduser()
    if reference in embedded or (not path.exists() and embedded_name(reference) in embedded):
        return find_bundle(reference)
    if hub.reference_of(reference) is not None:
        return hub.find(reference)[1]
    if not reference or not path.exists():
        names = ", ".join(embedded)
        raise BundleNotFound(f"there is no model, folder or table {path.name!r}; embedded models: {names}")
    return path


def _stamp(path: Path) -> str:
    """A text that changes when the results are written again."""
    files = [path] if path.is_file() else [f for folder in scored_folders(path) for f in sorted(folder.iterdir())]
    return ";".join(f"{file.stat().st_mtime_ns}:{file.stat().st_size}" for file in files)
