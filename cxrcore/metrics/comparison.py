"""Paired comparison of two models on the same films, by patient: AUROC and decisions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np

from cxrcore.metrics.arrays import group_codes, known
from cxrcore.metrics.corrections import holm
from cxrcore.metrics.discrimination import Placements, auroc, macro_auroc, one_class, placements, variance_of
from cxrcore.metrics.intervals import Estimate, two_sided_p, z_score
from cxrcore.metrics.json_record import JsonRecord

METHOD = "paired DeLong"
METHOD_BY_PATIENT = "paired DeLong by patient (Obuchowski 1997)"


@dataclass(frozen=True)
class Comparison(JsonRecord):
    """Two areas on the same films and their difference, first minus second."""

    first: Estimate
    second: Estimate
    difference: Estimate
    p: float | None  # two-sided, of no difference; None where there is no interval
    p_holm: float | None = None  # corrected for the number of findings compared

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        data = super().to_dict()
        return data | ({"why": self.difference.why or "not corrected"} if None in (self.p, self.p_holm) else {})


def compare_auroc(
    targets: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    groups: np.ndarray | None = None,
    level: float = 0.95,
) -> Comparison:
    """Compare the AUROC of two models for one finding.

    ``targets`` (0, 1, NaN), both models' scores and patient ids have shape (N,), film by film.

    The variance of the difference comes from the difference of each film's two placement values (DeLong 1988, with
    its covariance), summed by patient where patients repeat. Models whose placements agree on every film have a
    difference of 0 without an interval, and p 1.
    """
    positive, first, _ = known(targets, first)
    _, second, groups = known(targets, second, groups)
    areas = auroc(positive, first, groups, level), auroc(positive, second, groups, level)
    n_pos, n_neg = int(positive.sum()), int((~positive).sum())
    if missing := one_class(n_pos, n_neg):
        return Comparison(*areas, Estimate.undefined(missing, n_pos, n_neg), None)
    codes = np.arange(len(positive)) if groups is None else group_codes(groups)
    paired = _difference(placements(positive, first, codes), placements(positive, second, codes))
    method = METHOD_BY_PATIENT if paired.n_patients < len(positive) else METHOD
    return _comparison(areas, paired.area, variance_of(paired), level, method, n_pos, n_neg)


def compare_findings(
    targets: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    names: Sequence[str],
    groups: np.ndarray | None = None,
    level: float = 0.95,
    counted: Collection[str] | None = None,
) -> dict[str, Comparison]:
    """``compare_auroc`` of every finding, with Holm's correction (1979); arrays are (N, C), ``groups`` is (N,).

    ``counted``: the findings that count as comparisons, all by default; the others have no corrected p.
    """
    codes = None if groups is None else group_codes(groups)
    compared = [compare_auroc(targets[:, k], first[:, k], second[:, k], codes, level) for k in range(len(names))]
    pairs = list(zip(names, compared, strict=True))
    corrected = holm([one.p if counted is None or name in counted else None for name, one in pairs])
    return {name: replace(one, p_holm=p) for (name, one), p in zip(pairs, corrected, strict=True)}


def compare_macro(
    targets: np.ndarray, first: np.ndarray, second: np.ndarray, groups: np.ndarray | None = None, level: float = 0.95
) -> Comparison:
    """Compare the mean AUROC over findings (see ``macro_auroc``); arrays are (N, C), ``groups`` is (N,).

    The variance sums each patient's influence over the findings, because findings share films.
    """
    targets = np.asarray(targets)
    codes = np.arange(len(targets)) if groups is None else group_codes(groups)
    areas = macro_auroc(targets, first, codes, level), macro_auroc(targets, second, codes, level)
    if areas[0].value is None or areas[1].value is None:
        return Comparison(*areas, Estimate.undefined(areas[0].why or "undefined"), None)
    size = int(codes.max()) + 1
    influence, seen, count = np.zeros(size), np.zeros(size, dtype=bool), 0
    for column in range(targets.shape[1]):
        positive, one, own = known(targets[:, column], first[:, column], codes)
        _, two, _ = known(targets[:, column], second[:, column])
        if one_class(int(positive.sum()), int((~positive).sum())):
            continue
        assert own is not None
        paired = _difference(placements(positive, one, own, size), placements(positive, two, own, size))
        influence += paired.positive + paired.negative
        seen[own] = True
        count += 1
    patients = int(seen.sum())
    variance = float(np.sum((influence / count) ** 2)) * patients / max(patients - 1, 1)
    value = areas[0].value - areas[1].value
    method = f"{METHOD} by patient, over findings"
    compared = _comparison(areas, value, variance, level, method, areas[0].n_pos, areas[0].n_neg)
    return replace(compared, p_holm=compared.p)


def compare_calls(present: np.ndarray, first: np.ndarray, second: np.ndarray, patients: np.ndarray) -> dict[str, Any]:
    """Agreement of two models' decisions; all arrays are bool (N,) but ``patients``, ids (N,).

    ``agreement``: share of films with the same decision. ``sensitivity`` and ``specificity`` of both, with McNemar's p
    on the films with and without the finding (see ``mcnemar``).
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
    """Two-sided p that two models are right equally often on the same films, bool (N,), by patient ids (N,).

    With one film a patient: the exact binomial test of the discordant pairs (McNemar 1947). Else Durkalski et al. 2003
    (Stat Med 22:2417): ``(sum d_k)^2 / sum d_k^2`` over patients' differences d_k, chi-squared with one degree of
    freedom.
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


def _difference(first: Placements, second: Placements) -> Placements:
    return first._replace(
        area=first.area - second.area,
        positive=first.positive - second.positive,
        negative=first.negative - second.negative,
    )


def _comparison(
    areas: tuple[Estimate, Estimate], value: float, variance: float, level: float, method: str, n_pos: int, n_neg: int
) -> Comparison:
    if variance <= 1e-18:
        why = (
            "the two rank these films alike"
            if abs(value) < 1e-12
            else "the difference shows no spread to base an interval on"
        )
        gap = Estimate(value, None, None, method, n_pos, n_neg, why)
        return Comparison(*areas, gap, 1.0 if abs(value) < 1e-12 else None)
    error = variance**0.5
    half = z_score(level) * error
    gap = Estimate(value, max(value - half, -1.0), min(value + half, 1.0), method, n_pos, n_neg)
    return Comparison(*areas, gap, two_sided_p(value / error))
