"""Which of two models is better on the same films, and do they call the same films positive?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np

from cxrcore.errors import InvalidPredictions
from cxrcore.findings import Kind
from cxrcore.metrics.arrays import group_codes
from cxrcore.metrics.comparison import compare_findings, compare_macro
from cxrcore.metrics.operating_points import OperatingPoints, decide, disease_of
from cxrcore.predictions.record import Predictions

SCHEMA = 1
NO_THRESHOLDS = "not both tables have thresholds: validation films, or a metrics.json beside them"


@dataclass(frozen=True, eq=False)
class SameFilms:
    """Two tables cut to the films and findings that both have, row by row the same film; one truth."""

    first: Predictions
    second: Predictions
    only_first: np.ndarray  # names of films that only the first has
    only_second: np.ndarray
    findings_left_out: tuple[str, ...]  # those that only one table has


def same_films(first: Predictions, second: Predictions) -> SameFilms:
    """Join two tables by the films' names. Raises InvalidPredictions where no film is in both, or the truths differ.

    A label that one table does not know is taken from the other. Patients are the first table's, unless only the
    second says who they are.
    """
    shared, here, there = np.intersect1d(first.images, second.images, return_indices=True)
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
    one, other = _part(first, here, names), _part(second, there, names)
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
    """Paired differences of AUROC, first minus second, and, with both models' thresholds, of their calls.

    For JSON: ``findings`` (see ``metrics.comparison``; each with ``calls`` or null), ``macro``, counts of films. Of two
    exclusive classes only the disease counts as a comparison in Holm's correction.
    """
    one, other = pair.first, pair.second
    codes = group_codes(one.patient_ids)
    disease = disease_of(one.labels)
    counted = None if disease is None else (disease,)  # of two classes the other says the same again
    compared = compare_findings(
        one.targets, one.probabilities, other.probabilities, one.labels.names, codes, counted=counted
    )
    calls: list[np.ndarray] = []
    undecided: dict[str, str] = {}
    for films, points in ((one, first), (other, second)):
        decisions, without = decide(films.labels, films.probabilities, _for(points, films))
        calls.append(decisions)
        undecided |= without
    findings = {}
    for column, (name, comparison) in enumerate(compared.items()):
        entry = comparison.to_dict()
        known = ~np.isnan(one.targets[:, column])
        entry["calls"] = None
        if name in undecided:
            entry["why_no_calls"] = NO_THRESHOLDS if None in (first, second) else undecided[name]
        else:
            entry["calls"] = compare_calls(
                one.targets[known, column] == 1, calls[0][known, column], calls[1][known, column], codes[known]
            )
        findings[name] = entry
    averaged = one.labels.abnormal if one.labels.kind is Kind.MULTILABEL and one.labels.abnormal else one.labels.names
    columns = [one.labels.index(name) for name in averaged]
    macro = compare_macro(
        one.targets[:, columns], one.probabilities[:, columns], other.probabilities[:, columns], codes
    )
    return {
        "schema": SCHEMA,
        "n": len(one),
        "n_patients": one.n_patients,
        "only_first": len(pair.only_first),
        "only_second": len(pair.only_second),
        "findings_left_out": list(pair.findings_left_out),
        "findings": findings,
        "macro": macro.to_dict(),
    }


def compare_calls(present: np.ndarray, first: np.ndarray, second: np.ndarray, patients: np.ndarray) -> dict[str, Any]:
    """Do two readers call the same films positive? All bool (N,) but ``patients``, ids (N,).

    ``agreement``: share of films called alike. ``sensitivity`` and ``specificity`` of both, with McNemar's p on the
    films with and without the finding: exact where each patient has one film, else summed by patient (Durkalski 2003).
    """
    result: dict[str, Any] = {
        "agreement": float((first == second).mean()) if len(first) else None,
        "only_first": int((first & ~second).sum()),
        "only_second": int((second & ~first).sum()),
    }
    for name, among, right in (("sensitivity", present, True), ("specificity", ~present, False)):
        one, other = first[among] == right, second[among] == right
        result[name] = {
            "first": float(one.mean()) if among.any() else None,
            "second": float(other.mean()) if among.any() else None,
            **mcnemar(one, other, patients[among]),
        }
    return result


def mcnemar(first: np.ndarray, second: np.ndarray, patients: np.ndarray) -> dict[str, Any]:
    """Two-sided p that two are right equally often on the same films, bool (N,), by patient ids (N,).

    One film a patient: the exact binomial of McNemar's discordant pairs. Else Durkalski et al. 2003 (Stat Med 22:2417):
    ``(sum d_k)^2 / sum d_k^2`` over patients' differences d_k, chi-squared with one degree of freedom.
    """
    gaps = first.astype(np.int64) - second.astype(np.int64)
    if not gaps.any():
        return {"p": 1.0 if len(gaps) else None, "method": "McNemar"}
    codes = group_codes(patients)
    if len(np.unique(codes)) == len(codes):
        from scipy.stats import binomtest

        more = int((gaps > 0).sum())
        return {"p": float(binomtest(more, int(np.abs(gaps).sum())).pvalue), "method": "McNemar, exact"}
    sums = np.bincount(codes, weights=gaps)
    z = abs(sums.sum()) / np.sqrt((sums**2).sum()) if sums.any() else 0.0
    return {"p": 2 * NormalDist().cdf(-float(z)), "method": "McNemar by patient (Durkalski 2003)"}


def _for(points: OperatingPoints | None, films: Predictions) -> OperatingPoints | None:
    """The points of these films' findings only, in their order."""
    if points is None or tuple(points.findings) == films.labels.names:
        return points
    columns = [list(points.findings).index(name) for name in films.labels]
    return replace(points, findings=films.labels.names, thresholds=points.thresholds[columns])


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
