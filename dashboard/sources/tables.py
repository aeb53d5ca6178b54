"""Tables of predictions as sources: those on disk, and uploads, which stay in their visitor's session."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

import streamlit as st

from cxrcore.evaluation.score import score_table
from cxrcore.metrics.arrays import group_codes
from cxrcore.predictions.import_table import read_predictions
from cxrcore.predictions.record import Predictions
from dashboard.sources.source import Source
from dashboard.state import UPLOAD

MOST_TABLES = 4  # in memory, each a few tens of megabytes
_T = TypeVar("_T")


def splits_of(table: Predictions) -> list[str]:
    """Names of a table's splits, the test split first."""
    return sorted(set(table.split.tolist()), key=lambda name: (name != "test", name))


def table_source(reference: str, name: str, table: Predictions, split: str) -> Source:
    """Score a split of a table."""
    scored = score_table(table, split, dataset=table.dataset, model=name)
    has_validation = split != "val" and (table.split == "val").any()
    return Source(
        reference=reference,
        name=name,
        evaluation=split,
        labels=table.labels,
        metrics=scored.metrics,
        load_curves=lambda: scored.curves,
        predictions=scored.films,
        points=scored.points,
        validation=table.of_split("val") if has_validation else None,
        notes=table.notes,
        patients=group_codes(scored.films.patient_ids),
    )


def upload_splits(upload: Any, labels: Any = None, mapping: Mapping[str, str] | None = None) -> list[str]:
    """As ``opening.evaluations``, of an uploaded table."""
    return splits_of(_read_upload(upload, labels, mapping))


def open_upload(
    upload: Any, split: str | None = None, labels: Any = None, mapping: Mapping[str, str] | None = None
) -> Source:
    """Open an uploaded table and, where it has no labels, an uploaded label file.

    ``upload``, ``labels``: as ``st.file_uploader`` returns them; ``mapping``: as for ``read_predictions``.
    """
    table = _read_upload(upload, labels, mapping)
    names = splits_of(table)
    name = split if split in names else names[0]
    key = ("scored", name, *_upload_key(upload, labels, mapping))
    return _in_session(key, "Scoring the table …", lambda: table_source(UPLOAD, upload.name, table, name))


def _read_upload(upload: Any, labels: Any, mapping: Mapping[str, str] | None) -> Predictions:
    def read() -> Predictions:
        for file in (upload, labels):
            if file is not None:
                file.seek(0)
        return read_predictions(upload, labels, mapping)

    return _in_session(("table", *_upload_key(upload, labels, mapping)), "Reading the table …", read)


def _upload_key(upload: Any, labels: Any, mapping: Mapping[str, str] | None) -> tuple[Hashable, ...]:
    """The server gives every upload an id of its own."""
    return upload.file_id, "" if labels is None else labels.file_id, tuple(sorted((mapping or {}).items()))


def _in_session(key: tuple[Hashable, ...], doing: str, make: Callable[[], _T]) -> _T:
    """Cached in the visitor's own session and gone with it: an upload may be of patients."""
    cache = st.session_state.setdefault("uploads", {})
    if key not in cache:
        with st.spinner(doing):
            made = make()
        for old in list(cache)[: max(len(cache) + 1 - MOST_TABLES, 0)]:
            del cache[old]
        cache[key] = made
    value: _T = cache[key]
    return value
