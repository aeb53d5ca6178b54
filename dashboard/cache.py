"""Slow results of a source, computed once and cached with it: subgroup gaps, comparisons, pictures.

All visitors share a source on disk, and so its cache. An uploaded source lives in its visitor's session, and its cache
ends with it (see ``Source.once``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from cxrcore.evaluation.compare import SameFilms, compare_tables, same_films
from cxrcore.evaluation.subgroups import Gap, groups_of, subgroup_gaps
from cxrcore.metrics.operating_points import OperatingPoints
from cxrcore.predictions.record import Predictions
from dashboard.sources.film_table import filters_of
from dashboard.sources.pictures import Pictures
from dashboard.sources.source import Source
from dashboard.thresholds import OWN, decision, points_of, scored_films

_MOST_PAIRS = 4  # comparisons cached with a source, each as large as both tables
_MOST_GAPS = 32  # choices of findings, attributes and thresholds
_MOST_FOLDERS = 8  # of pictures, cached with a source


def fingerprint(films: Predictions, points: OperatingPoints | None = None) -> str:
    """A digest of a table and of its thresholds."""
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


def gaps(source: Source, findings: Sequence[str], attributes: Sequence[str], together: int, measure: str) -> list[Gap]:
    """Groups by these attributes, up to ``together`` of them combined, and the gaps of some findings in a measure.

    Ranking needs no threshold and is measured on all films; the rest on those that chose no threshold.
    """
    films, points = source.predictions, points_of(source)
    assert films is not None
    rule = OWN if measure == "auroc" else decision(source, findings[0]).rule
    scored = scored_films(source, rule)

    def compute() -> list[Gap]:
        with st.spinner("Comparing groups …"):
            some = films if scored is None else films.rows(scored)
            found = subgroup_gaps(some, points, groups_of(some.metadata, attributes, together), findings)
            return [gap for gap in found if scored is None or gap.measure != "auroc"]

    cuts = b"" if points is None else points.thresholds.tobytes()
    key = ("gaps", tuple(findings), tuple(attributes), together, cuts, scored is None)
    return [gap for gap in source.once(key, compute, most=_MOST_GAPS) if gap.measure == measure]


def filters(source: Source) -> tuple[dict[str, list[str]], dict[str, tuple[float, float]]]:
    """As ``filters_of``, of the source's table."""
    films = source.predictions
    assert films is not None
    return source.once("filters", lambda: filters_of(films))


def same_results(first: Source, second: Source) -> bool:
    """Whether two sources have the same predictions of the same films."""
    one, other = _digest(first), _digest(second)
    return one[0] == other[0]


def compared(first: Source, second: Source) -> tuple[SameFilms, dict[str, Any]]:
    """Compare two sources on the films that both have, at the thresholds in use.

    Raises InvalidPredictions where there are none.
    """
    films, others = first.predictions, second.predictions
    assert films is not None
    assert others is not None
    points, other_points = points_of(first), points_of(second, by_hand=False)

    def compute() -> tuple[SameFilms, dict[str, Any]]:
        with st.spinner("Comparing the two …"):
            pair = same_films(films, others)
            return pair, compare_tables(pair, points, other_points)

    owner, other = (second, first) if second.uploaded else (first, second)  # a shared source must not hold an upload
    cuts = tuple(one.thresholds.tobytes() if one else b"" for one in (points, other_points))
    return owner.once(("compared", owner is first, _digest(other), cuts), compute, most=_MOST_PAIRS)


def pictures(source: Source, images: np.ndarray, folder: str = "") -> Pictures:
    """Pictures of a source's films from a folder; phantoms need none.

    Raises InvalidDataset where there is no such folder, or it holds none of the films.
    """

    def find() -> Pictures:
        with st.spinner("Looking for the films …"):
            return Pictures(images.tolist(), Path(folder).expanduser() if folder else None)

    digest = hashlib.blake2b(images.astype(str).tobytes(), digest_size=16).hexdigest()
    return source.once(("pictures", folder, digest), find, most=_MOST_FOLDERS)


def _digest(source: Source) -> tuple[str, str]:
    """Of the table alone, and of the table with its thresholds."""
    films = source.predictions
    assert films is not None
    return source.once("digest", lambda: (fingerprint(films), fingerprint(films, source.points)))
