"""Two models compared on the same films: AUROC, and decisions at their thresholds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cxrcore.errors import InvalidPredictions
from cxrcore.findings import Kind, LabelSet
from cxrcore.metrics.arrays import group_codes
from cxrcore.metrics.comparison import compare_calls, compare_findings, compare_macro
from cxrcore.metrics.operating_points import OperatingPoints, decide, disease_of
from cxrcore.predictions.record import Predictions

SCHEMA = 1
NO_THRESHOLDS = "not both tables have thresholds: validation films, or a metrics.json beside them"


@dataclass(frozen=True, eq=False)
class SameFilms:
    """Two tables reduced to the films and findings in both; the same film in each row, with the same labels."""

    first: Predictions
    second: Predictions
    only_first: np.ndarray  # names of films that only the first has
    only_second: np.ndarray
    findings_left_out: tuple[str, ...]  # those that only one table has


def same_films(first: Predictions, second: Predictions) -> SameFilms:
    """Join two tables by the films' names. Raises InvalidPredictions where no film is in both, or the labels differ.

    A label that is unknown in one table is taken from the other. Patients are the first table's, unless only the second
    names them.
    """
    shared, rows, other_rows = np.intersect1d(first.images, second.images, return_indices=True)
    if not shared.size:
        named = [str(table.images[0]) for table in (first, second) if len(table)]
        raise InvalidPredictions(
            f"no film is in both tables: the first calls one {named[0]!r}, the second {named[1]!r}"
            if len(named) == 2
            else "one of the two tables has no films"
        )
    names = [name for name in first.labels if name in second.labels]
    left_out = tuple(name for name in (*first.labels, *second.labels) if name not in names)
    multiclass = Kind.MULTICLASS in (first.labels.kind, second.labels.kind)
    if not names or (multiclass and (left_out or first.labels.kind is not second.labels.kind)):
        raise InvalidPredictions(
            f"these tables are of different findings: {', '.join(first.labels)}, and {', '.join(second.labels)}"
        )
    one, other = _part(first, rows, names), _part(second, other_rows, names)
    differ = (one.targets != other.targets) & ~np.isnan(one.targets) & ~np.isnan(other.targets)
    if differ.any():
        raise InvalidPredictions(
            f"the tables disagree on {int(differ.sum())} label(s) of {int(differ.any(axis=1).sum())} film(s), "
            "so they were scored against different truths; give one label file for both"
        )
    targets = np.where(np.isnan(one.targets), other.targets, one.targets)
    patients = one.patient_ids
    if (patients == one.images).all():
        patients = other.patient_ids
    return SameFilms(
        replace(one, targets=targets, patient_ids=patients),
        replace(other, targets=targets, patient_ids=patients),
        np.setdiff1d(first.images, shared),
        np.setdiff1d(second.images, shared),
        left_out,
    )


def compare_tables(
    pair: SameFilms, first: OperatingPoints | None = None, second: OperatingPoints | None = None
) -> dict[str, Any]:
    """Paired differences of AUROC, first minus second, and of decisions where both models have thresholds.

    The content of ``cxr compare --json``: ``findings`` (see ``metrics.comparison``; each with ``calls`` or null),
    ``macro`` and counts of films. Of two exclusive classes only the disease counts in Holm's correction.
    """
    one, other = pair.first, pair.second
    patients = group_codes(one.patient_ids)
    disease = disease_of(one.labels)
    compared = compare_findings(
        one.targets,
        one.probabilities,
        other.probabilities,
        one.labels.names,
        patients,
        counted=None if disease is None else (disease,),  # the other of two classes is the same comparison
    )
    columns = one.labels.averaged
    macro = compare_macro(
        one.targets[:, columns], one.probabilities[:, columns], other.probabilities[:, columns], patients
    )
    calls = _compare_decisions(pair, first, second, patients)
    return {
        "schema": SCHEMA,
        "n": len(one),
        "n_patients": one.n_patients,
        "only_first": len(pair.only_first),
        "only_second": len(pair.only_second),
        "findings_left_out": list(pair.findings_left_out),
        "findings": {name: comparison.to_dict() | calls[name] for name, comparison in compared.items()},
        "macro": macro.to_dict(),
    }


def _compare_decisions(
    pair: SameFilms, first: OperatingPoints | None, second: OperatingPoints | None, patients: np.ndarray
) -> dict[str, dict[str, Any]]:
    """By finding, ``calls`` as ``metrics.comparison.compare_calls``, or null and ``why_no_calls``."""
    labels, targets = pair.first.labels, pair.first.targets
    one, undecided = decide(labels, pair.first.probabilities, _points_for(first, labels))
    other, more = decide(labels, pair.second.probabilities, _points_for(second, labels))
    undecided |= more
    found: dict[str, dict[str, Any]] = {}
    for column, name in enumerate(labels):
        if name in undecided:
            why = NO_THRESHOLDS if None in (first, second) else undecided[name]
            found[name] = {"calls": None, "why_no_calls": why}
        else:
            known = ~np.isnan(targets[:, column])
            positive = targets[known, column] == 1
            calls = compare_calls(positive, one[known, column], other[known, column], patients[known])
            found[name] = {"calls": calls}
    return found


def _points_for(points: OperatingPoints | None, labels: LabelSet) -> OperatingPoints | None:
    """The points of these findings only, in their order."""
    if points is None or tuple(points.findings) == labels.names:
        return points
    columns = [list(points.findings).index(name) for name in labels]
    return replace(points, findings=labels.names, thresholds=points.thresholds[columns])


def _part(table: Predictions, rows: np.ndarray, names: list[str]) -> Predictions:
    """These films and findings of a table."""
    films = table.rows(rows)
    columns = [table.labels.index(name) for name in names]
    labels = table.labels
    if names != list(labels):
        own_name = labels.name if len(names) == len(labels) else f"{labels.name}-part"
        labels = replace(labels, name=own_name, findings=tuple(labels[name] for name in names))
    return replace(
        films,
        labels=labels,
        targets=films.targets[:, columns],
        probabilities=films.probabilities[:, columns],
        logits=None if films.logits is None else films.logits[:, columns],
    )
