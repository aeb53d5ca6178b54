"""What takes longer than a blink is computed once for a source and kept with it: gaps, comparisons, its pictures.

A source on disk is shared by all visitors, and so is what is kept with it; an uploaded one lives in its visitor's
session, and what is computed from it stays there and goes with it (see ``computed.once``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import streamlit as st

from cxrcore.evaluation.compare import SameFilms, compare_tables, same_films
from cxrcore.evaluation.subgroups import Gap, groups_of, subgroup_gaps
from cxrcore.metrics.operating_points import OperatingPoints
from cxrcore.predictions.record import Predictions
from dashboard.computed import once
from dashboard.sources.film_table import filters_of
from dashboard.sources.pictures import Pictures
from dashboard.sources.source import Source

_PAIRS = 4  # comparisons kept with a source, each as large as both tables
_PLACES = 8  # folders of pictures kept with a source


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
    films = source.predictions
    assert films is not None

    def compute() -> list[Gap]:
        with st.spinner("Comparing groups …"):
            return subgroup_gaps(films, source.points, groups_of(films.metadata, attributes, together), findings)

    return once(source, ("gaps", tuple(findings), tuple(attributes), together), compute)


def filters(source: Source) -> tuple[dict[str, list[str]], dict[str, tuple[float, float]]]:
    """As ``filters_of``."""
    films = source.predictions
    assert films is not None
    return once(source, "filters", lambda: filters_of(films))


def same_results(first: Source, second: Source) -> bool:
    """Whether two sources say the same of the same films."""
    one, other = _digest(first), _digest(second)
    return one[0] == other[0]


def compared(first: Source, second: Source) -> tuple[SameFilms, dict]:
    """Two sources on the films that both have. Raises InvalidPredictions where there are none."""
    films, others = first.predictions, second.predictions
    assert films is not None
    assert others is not None

    def compute() -> tuple[SameFilms, dict]:
        with st.spinner("Comparing the two …"):
            pair = same_films(films, others)
            return pair, compare_tables(pair, first.points, second.points)

    owner, other = (second, first) if second.uploaded else (first, second)  # never an upload with what is shared
    return once(owner, ("compared", owner is first, _digest(other)), compute, most=_PAIRS)


def pictures(source: Source, images: np.ndarray, folder: str = "") -> Pictures:
    """Those of a source's films that can be shown, from a folder or, for phantoms, from nowhere.

    Raises InvalidDataset where the folder is none, or holds none of them.
    """

    def find() -> Pictures:
        with st.spinner("Looking for the films …"):
            return Pictures(images.tolist(), Path(folder).expanduser() if folder else None)

    listed = hashlib.blake2b(images.astype(str).tobytes(), digest_size=16).hexdigest()
    return once(source, ("pictures", folder, listed), find, most=_PLACES)


def _digest(source: Source) -> tuple[str, str]:
    """Of the table alone, and of the table with its thresholds."""
    films = source.predictions
    assert films is not None
    return once(source, "digest", lambda: (fingerprint(films), fingerprint(films, source.points)))
