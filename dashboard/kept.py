"""What takes longer than a blink is computed once for a table and kept: gaps, comparisons, where its pictures lie.

Known by the table's content, so that two uploads of one name are never taken for each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import streamlit as st

from cxrcore.metrics.operating_points import OperatingPoints
from cxrcore.metrics.subgroups import Gap, groups_of, subgroup_gaps
from cxrcore.predictions import Predictions
from cxrcore.side_by_side import SameFilms, compare_tables, same_films
from dashboard.film_table import filters_of
from dashboard.pictures import Pictures
from dashboard.sources import Source


def fingerprint(films: Predictions, points: OperatingPoints | None = None) -> str:
    """A digest of what a table says, and of the thresholds it is read with."""
    digest = hashlib.blake2b(digest_size=16)
    for values in (films.images, films.patient_ids, films.targets, films.probabilities):
        digest.update(values.tobytes())
    for name, column in films.metadata.items():
        digest.update(name.encode())
        digest.update("\0".join(map(str, column.tolist())).encode())
    digest.update("\0".join(films.labels).encode())
    if points is not None:
        digest.update(points.thresholds.tobytes())
    return digest.hexdigest()


def gaps(source: Source, findings: Sequence[str], attributes: Sequence[str], together: int) -> list[Gap]:
    """The groups of these attributes, up to so many together, and their gaps, for some findings."""
    assert source.predictions is not None
    key = fingerprint(source.predictions, source.points)
    return _gaps(key, tuple(findings), tuple(attributes), together, source.predictions, source.points)


@st.cache_resource(show_spinner="Comparing groups …", max_entries=32)
def _gaps(
    key: str,
    findings: tuple[str, ...],
    attributes: tuple[str, ...],
    together: int,
    _films: Predictions,
    _points: OperatingPoints | None,
) -> list[Gap]:
    return subgroup_gaps(_films, _points, groups_of(_films.metadata, attributes, together), findings)


def filters(films: Predictions) -> tuple[dict[str, list[str]], dict[str, tuple[float, float]]]:
    """As ``filters_of``."""
    return _filters(fingerprint(films), films)


@st.cache_resource(show_spinner=False, max_entries=8)
def _filters(key: str, _films: Predictions) -> tuple[dict[str, list[str]], dict[str, tuple[float, float]]]:
    return filters_of(_films)


def compared(first: Source, second: Source) -> tuple[SameFilms, dict]:
    """Two sources on the films that both have. Raises InvalidPredictions where there are none."""
    assert first.predictions is not None
    assert second.predictions is not None
    one, other = fingerprint(first.predictions, first.points), fingerprint(second.predictions, second.points)
    return _compared(one, other, first, second)


@st.cache_resource(show_spinner="Comparing the two …", max_entries=4)
def _compared(one: str, other: str, _first: Source, _second: Source) -> tuple[SameFilms, dict]:
    assert _first.predictions is not None
    assert _second.predictions is not None
    pair = same_films(_first.predictions, _second.predictions)
    return pair, compare_tables(pair, _first.points, _second.points)


def pictures(images: np.ndarray, folder: str = "") -> Pictures:
    """The films that can be shown, from a folder or, for phantoms, from nowhere. Raises InvalidDataset."""
    key = hashlib.blake2b(images.astype(str).tobytes(), digest_size=16).hexdigest()
    return _pictures(key, folder, images)


@st.cache_resource(show_spinner="Looking for the films …", max_entries=8)
def _pictures(key: str, folder: str, _images: np.ndarray) -> Pictures:
    return Pictures(_images.tolist(), Path(folder).expanduser() if folder else None)
