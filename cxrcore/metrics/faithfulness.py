"""Faithfulness: does the answer follow the evidence that a map shows? Deletion and insertion curves, beside chance.

Petsiuk 2018 (RISE, arXiv:1806.07421, sec. 4.2): the cells of a map are taken out of the film, or put into an empty
one, those with the strongest evidence first. Of a faithful map the target falls fast in deletion and rises fast in
insertion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from cxrcore.metrics.arrays import count_patients, group_codes
from cxrcore.metrics.intervals import Estimate
from cxrcore.metrics.json_record import JsonRecord
from cxrcore.metrics.rates import mean, share

MIN_FILMS = 10  # for an interval
DELETION, INSERTION = "deletion", "insertion"


@dataclass(frozen=True)
class Ordered(JsonRecord):
    """Areas under the curves of films, in logits: cells in the map's order, and in a random one."""

    map: Estimate
    random: Estimate
    difference: Estimate  # map less random, film by film; below 0 is good in deletion, above 0 in insertion
    better: Estimate  # share of films on which the map's order is better than the random one
    curve: list[float]  # mean target after each step, from the first to the last
    random_curve: list[float]

    @classmethod
    def of(cls, curves: np.ndarray, rising: bool, codes: np.ndarray) -> Self:
        """From curves (N, 2, steps + 1) in logits, of the map's order and a random one; ``codes`` (N,) are patients."""
        areas = np.trapezoid(curves, dx=1 / (curves.shape[2] - 1), axis=2)
        gain = areas[:, 0] - areas[:, 1]
        better = gain > 0 if rising else gain < 0
        few = len(curves) < MIN_FILMS
        why = f"{len(curves)} film(s), fewer than {MIN_FILMS}: no interval" if few else None
        estimates = [_without_interval(values, why) if why else mean(values, codes) for values in (*areas.T, gain)]
        wins = _without_interval(better, why) if why else share(better, codes)
        return cls(*estimates, wins, *curves.mean(axis=0).tolist())

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_dict`` wrote."""
        estimates = (Estimate.from_dict(data[name]) for name in ("map", "random", "difference", "better"))
        return cls(*estimates, data["curve"], data["random_curve"])


@dataclass(frozen=True)
class Faithfulness(JsonRecord):
    """Deletion and insertion over films, of all findings and of each; without a film there is a ``why``."""

    n: int  # pairs of a film and a finding
    n_patients: int
    deletion: Ordered | None
    insertion: Ordered | None
    findings: dict[str, Faithfulness] = field(default_factory=dict)
    fill: str | None = None  # what stands where a cell was taken out
    why: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        optional = ("findings", "fill", "why")
        return {name: value for name, value in super().to_dict().items() if value or name not in optional}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_dict`` wrote."""
        ordered = {name: data.get(name) and Ordered.from_dict(data[name]) for name in (DELETION, INSERTION)}
        findings = {name: cls.from_dict(own) for name, own in data.get("findings", {}).items()}
        counts = {name: data.get(name, 0) for name in ("n", "n_patients")}
        return cls(**counts, **ordered, findings=findings, fill=data.get("fill"), why=data.get("why"))

    @classmethod
    def none(cls, why: str) -> Self:
        """Nothing was measured, and the reason."""
        return cls(0, 0, None, None, why=why)


def summarise_faithfulness(
    deletion: np.ndarray, insertion: np.ndarray, findings: np.ndarray, patients: np.ndarray, fill: str
) -> Faithfulness:
    """Mean areas under the curves of N films, with intervals by patient.

    ``deletion``, ``insertion``: float (N, 2, steps + 1), the target in logits after each step, in the map's order and
    in a random one; ``findings`` and ``patients``: str (N,). Deletion runs from the whole film to the filled one,
    insertion back.
    """
    codes = group_codes(patients)

    def part(rows: np.ndarray, **more: Any) -> Faithfulness:
        own = codes[rows]
        curves = Ordered.of(deletion[rows], False, own), Ordered.of(insertion[rows], True, own)
        return Faithfulness(int(rows.sum()), count_patients(own), *curves, **more)

    names = dict.fromkeys(findings.tolist())
    each = {name: part(findings == name) for name in names}
    return part(np.ones(len(codes), bool), findings=each, fill=fill)


def _without_interval(values: np.ndarray, why: str) -> Estimate:
    return Estimate(float(values.mean()), None, None, "none", len(values), 0, why)
