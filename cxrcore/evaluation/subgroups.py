"""Scores by sex, age, view and their intersections, and the gap of each group to all other films."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise, product
from typing import Any

import numpy as np

from cxrcore.metrics.arrays import count_patients, group_codes
from cxrcore.metrics.corrections import benjamini_hochberg, holm
from cxrcore.metrics.discrimination import area_of, placements
from cxrcore.metrics.intervals import Estimate, difference, p_of
from cxrcore.metrics.json_record import JsonRecord
from cxrcore.metrics.operating_points import OperatingPoints, decide
from cxrcore.metrics.rates import correlation, shares
from cxrcore.predictions.record import Predictions

AGE_BANDS = (0, 20, 40, 60, 80)  # years, as in Seyyed-Kalantari 2021; a band starts with its number, the last is open
MIN_POSITIVES, MIN_NEGATIVES, MIN_PATIENTS = 20, 20, 10
RULE = (
    f"groups with fewer than {MIN_POSITIVES} films with the finding, {MIN_NEGATIVES} without it, or {MIN_PATIENTS} "
    "patients of either kind are not scored"
)
MEASURES = ("auroc", "sensitivity", "underdiagnosis")


@dataclass(frozen=True, eq=False)
class Group:
    """Films of one subgroup, e.g. ``{"sex": "F", "age_years": "20-40"}``."""

    attributes: dict[str, str]
    films: np.ndarray  # bool (N,)
    rest: np.ndarray  # bool (N,): the other films whose attributes are known too

    @property
    def name(self) -> str:
        """The values in one line: ``F, 20-40``."""
        return ", ".join(self.attributes.values())


@dataclass(frozen=True)
class Gap(JsonRecord):
    """A group's score and that of all other films, for one measure and one finding."""

    group: str
    attributes: dict[str, str]
    measure: str  # auroc, sensitivity or underdiagnosis
    finding: str | None  # None: underdiagnosis is a property of the whole film
    n: int  # films with a known label
    n_patients: int
    n_pos: int
    n_neg: int
    score: Estimate  # n_pos and n_neg of a rate count its hits and misses
    rest: Estimate
    gap: Estimate  # score - rest
    p: float | None = None
    p_holm: float | None = None  # corrected over all gaps of the measure
    p_bh: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        data = super().to_dict()
        return data | ({"why": self.gap.why or "no interval to test"} if self.p is None else {})


def groups_of(
    metadata: Mapping[str, np.ndarray],
    attributes: Sequence[str] = ("sex", "age_years", "view"),
    together: int = 2,
    age_bands: Sequence[float] = AGE_BANDS,
) -> list[Group]:
    """One group for each value of each attribute, then for each pair of values (``together=2``), triple, and so on.

    ``age_years`` is cut into bands; other columns are grouped by value, and empty means unknown. Attributes that the
    table lacks, or that have a single value, are skipped.
    """
    values: dict[str, np.ndarray] = {}
    for name in attributes:
        if name in metadata:
            column = _bands(metadata[name], age_bands) if name == "age_years" else _words(metadata[name])
            if len(set(column.tolist()) - {""}) > 1:
                values[name] = column
    groups = []
    for size in range(1, together + 1):
        for names in combinations(values, size):
            known = np.all([values[name] != "" for name in names], axis=0)
            for chosen in product(*(_ordered(values[name]) for name in names)):
                films = np.all([values[name] == value for name, value in zip(names, chosen, strict=True)], axis=0)
                if films.any():
                    groups.append(Group(dict(zip(names, chosen, strict=True)), films, known & ~films))
    return groups


def subgroup_gaps(
    predictions: Predictions,
    points: OperatingPoints | None = None,
    groups: Sequence[Group] | None = None,
    findings: Sequence[str] | None = None,
    level: float = 0.95,
) -> list[Gap]:
    """AUROC and sensitivity by group and finding, and underdiagnosis by group, each with its gap to the rest.

    Underdiagnosis is the share of films with a disease that the model calls healthy (Seyyed-Kalantari 2021, Nat Med
    27:2176): where the label set has ``No Finding`` or ``Normal``, its false positives; else films with any finding
    for which no finding is predicted. Without ``points``, rates are undefined
    (but for three or more exclusive classes, which the winner decides).

    Small groups are suppressed by ``RULE``, on either side of a gap. A gap's interval comes from those of its two sides
    and the correlation of their errors by patient, because one patient may have films in two age bands (Zou and Donner
    2008); p is that of the interval, corrected over the gaps of a measure by Holm and by Benjamini
    and Hochberg; two groups that are each other's rest (men, women) make one comparison. ``findings``: by default all
    diseases of the set.
    """
    labels, codes = predictions.labels, group_codes(predictions.patient_ids)
    names = list(findings) if findings is not None else list(labels.abnormal or labels.names)
    groups = groups_of(predictions.metadata) if groups is None else groups
    decisions, undecided = decide(labels, predictions.probabilities, points)
    targets = predictions.targets
    twin = _twins(groups)
    gaps: list[Gap] = []
    for name in names:
        column = labels.index(name)
        y, scores = targets[:, column], predictions.probabilities[:, column]
        gaps += _area_gaps(groups, name, y, scores, codes, level)
        gaps += _rate_gaps(
            groups, "sensitivity", name, y == 1, decisions[:, column], ~np.isnan(y), codes, level, undecided.get(name)
        )
    diseased, missed, known, why = _underdiagnosis(predictions, decisions, undecided)
    gaps += _rate_gaps(groups, "underdiagnosis", None, diseased, missed, known, codes, level, why)
    return [gap for measure in MEASURES for gap in _corrected([g for g in gaps if g.measure == measure], twin)]


def _underdiagnosis(
    predictions: Predictions, decisions: np.ndarray, undecided: Mapping[str, str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, str | None]:
    """Films with a disease, films called healthy, films where both are known, and the reason where undefined."""
    labels, targets = predictions.labels, predictions.targets
    if labels.normal is not None:
        column = labels.index(labels.normal)
        y = targets[:, column]
        return y == 0, decisions[:, column], ~np.isnan(y), undecided.get(labels.normal)
    columns = [labels.index(name) for name in labels if name not in undecided]
    why = None if columns else next(iter(undecided.values()), "no finding can be decided")
    y = targets[:, columns]
    diseased = np.any(y == 1, axis=1)
    return diseased, ~np.any(decisions[:, columns], axis=1), diseased | ~np.any(np.isnan(y), axis=1), why


def _area_gaps(
    groups: Sequence[Group], finding: str, y: np.ndarray, scores: np.ndarray, codes: np.ndarray, level: float
) -> list[Gap]:
    order = np.argsort(scores, kind="stable")  # sorted once for all groups
    order = order[~np.isnan(y[order])]
    positive, scores, codes = y[order] == 1, scores[order].astype(np.float64), codes[order]
    size = int(codes.max()) + 1 if codes.size else 0
    gaps = []
    for group in groups:
        sides, errors = [], []
        for rows in (np.flatnonzero(group.films[order]), np.flatnonzero(group.rest[order])):
            present, patients = positive[rows], codes[rows]
            if small := _too_small(present, patients):
                sides.append(Estimate.undefined(small))
                continue
            parts, n_pos = placements(present, scores[rows], patients, size), int(present.sum())
            sides.append(area_of(parts, n_pos, len(rows) - n_pos, level))
            errors.append(parts.positive + parts.negative)
        shared = correlation(errors[0], errors[1]) if len(errors) == 2 else 0.0
        gaps.append(_gap(group, "auroc", finding, positive, group.films[order], codes, sides, shared, level))
    return gaps


def _rate_gaps(
    groups: Sequence[Group],
    measure: str,
    finding: str | None,
    among: np.ndarray,
    hits: np.ndarray,
    known: np.ndarray,
    codes: np.ndarray,
    level: float,
    why: str | None,
) -> list[Gap]:
    """Share of ``hits`` among the films ``among`` in each group, all on the same resamples."""
    films = [side for group in groups for side in (group.films & known, group.rest & known)]
    small = [why or _too_small(among[side], codes[side], finding is not None) for side in films]
    scored = [k for k, reason in enumerate(small) if reason is None]
    estimates: list[Estimate] = [Estimate.undefined(reason or "not scored") for reason in small]
    if scored:
        picked = np.stack([films[k] & among for k in scored], axis=1)
        for k, estimate in zip(scored, shares(hits[:, None], picked, codes, level), strict=True):
            estimates[k] = estimate
    gaps = []
    for k, group in enumerate(groups):
        sides, shared = estimates[2 * k : 2 * k + 2], 0.0
        if sides[0].value is not None and sides[1].value is not None:
            parts = []
            for side, estimate in zip(films[2 * k : 2 * k + 2], sides, strict=True):
                rows = side & among
                parts.append(np.bincount(codes[rows], hits[rows] - float(estimate.value or 0), int(codes.max()) + 1))
            shared = correlation(*parts)
        gaps.append(_gap(group, measure, finding, among, group.films & known, codes, sides, shared, level))
    return gaps


def _gap(
    group: Group,
    measure: str,
    finding: str | None,
    positive: np.ndarray,
    films: np.ndarray,
    codes: np.ndarray,
    sides: Sequence[Estimate],
    shared: float,
    level: float,
) -> Gap:
    n_pos = int((positive & films).sum())
    gap = difference(sides[0], sides[1], shared)
    if sides[0].value is not None and sides[1].value is None:
        gap = Estimate.undefined(f"the rest: {sides[1].why}")
    counts = int(films.sum()), count_patients(codes[films]), n_pos, int(films.sum()) - n_pos
    return Gap(group.name, group.attributes, measure, finding, *counts, sides[0], sides[1], gap, p_of(gap, level))


def _too_small(positive: np.ndarray, codes: np.ndarray, both: bool = True) -> str | None:
    """The reason not to score these films; ``both`` False where healthy films do not enter."""
    kinds = [(positive, MIN_POSITIVES, "with the finding" if both else "with a disease")]
    if both:
        kinds.append((~positive, MIN_NEGATIVES, "without the finding"))
    for picked, least, words in kinds:
        films, patients = int(picked.sum()), count_patients(codes[picked])
        if films < least:
            return f"{films} film(s) {words}; fewer than {least} are not scored"
        if patients < MIN_PATIENTS:
            return f"{patients} patient(s) {words}; fewer than {MIN_PATIENTS} are not scored"
    return None


def _corrected(gaps: Sequence[Gap], twin: Sequence[int]) -> list[Gap]:
    """Gaps of one measure with corrected p; they run through all groups, finding by finding.

    ``twin``: for each group the first one with the same comparison: itself, or the group that it is the rest of.
    """
    same = [k - k % len(twin) + twin[k % len(twin)] for k in range(len(gaps))]
    counted = [k for k, first in enumerate(same) if k == first]
    p_values = [gaps[k].p for k in counted]
    adjusted = dict(zip(counted, zip(holm(p_values), benjamini_hochberg(p_values), strict=True), strict=True))
    return [replace(gap, p_holm=adjusted[k][0], p_bh=adjusted[k][1]) for gap, k in zip(gaps, same, strict=True)]


def _twins(groups: Sequence[Group]) -> list[int]:
    found: list[int] = []
    for k, group in enumerate(groups):
        others = (j for j in range(k) if np.array_equal(groups[j].rest, group.films))
        found.append(next((j for j in others if np.array_equal(groups[j].films, group.rest)), k))
    return found


def _bands(ages: np.ndarray, starts: Sequence[float]) -> np.ndarray:
    """``20-40`` for ages from 20 to under 40, ``80+`` in the last band; empty where unknown or below the first."""
    years = np.array([_number(age) for age in np.asarray(ages, dtype=object)])
    words = [f"{low:g}-{high:g}" for low, high in pairwise(starts)] + [f"{starts[-1]:g}+"]
    place = np.searchsorted(np.asarray(starts, dtype=np.float64), years, side="right") - 1
    return np.where(np.isnan(years) | (place < 0), "", np.array(words)[np.clip(place, 0, len(words) - 1)])


def _words(column: np.ndarray) -> np.ndarray:
    """Values as text; missing ones empty."""
    return np.array(["" if v is None or v != v else str(v).strip() for v in np.asarray(column, dtype=object)])


def _ordered(column: np.ndarray) -> list[str]:
    """Values that occur, bands by age and the rest by alphabet."""

    def key(value: str) -> tuple[int, float, str]:
        start = value.rstrip("+").split("-")[0]
        return (0, float(start), value) if start.replace(".", "", 1).isdigit() else (1, 0.0, value)

    return sorted(set(column.tolist()) - {""}, key=key)


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return float("nan")
