"""Faithfulness: does the answer follow the evidence that a map shows? Deletion and insertion curves, beside chance.

Petsiuk 2018 (RISE, arXiv:1806.07421, sec. 4.2): the cells of a map are taken out of the film, or put into an empty
one, those with the strongest evidence first. Of a faithful map the target falls fast in deletion and rises fast in
insertion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from cxrcore.metrics.arrays import count_patients, group_codes
from cxrcore.metrics.intervals import Estimate
from cxrcore.metrics.json_record import JsonRecord
from cxrcore.metrics.rates import mean, share

MIN_FILMS = 10  # for an interval
ORDERS = DELETION, INSERTION = "deletion", "insertion"


@dataclass(frozen=True)
class Ordered(JsonRecord):
    """Areas under the curves of films, in logits: cells in the map's order, and in a random one."""

    map: Estimate
    random: Estimate
    difference: Estimate  # map less random, film by film; below 0 is good in deletion, above 0 in insertion
    better: Estimate  # share of films on which the map's order is better than the random one
    curve: list[float]  # mean target after each step, from the first to the last; of all findings together alone
    random_curve: list[float]

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {name: value for name, value in super().to_dict().items() if value != []}

    @classmethod
    def of(cls, curves: np.ndarray, rising: bool, codes: np.ndarray) -> Self:
        """From curves (N, 2, steps + 1) in logits, of the map's order and a random one; ``codes`` (N,) are patients."""
        areas = np.trapezoid(curves, dx=1 / (curves.shape[2] - 1), axis=2)
        gain = areas[:, 0] - areas[:, 1]
        better = gain > 0 if rising else gain < 0
        few = len(curves) < MIN_FILMS
        why = f"{len(curves)} film(s), fewer than {MIN_FILMS}: no interval" if few else None

        def over_films(values: np.ndarray) -> Estimate:
            return _without_interval(values, why) if why else mean(values, codes)

        return cls(
            map=over_films(areas[:, 0]),
            random=over_films(areas[:, 1]),
            difference=over_films(gain),
            better=_without_interval(better, why) if why else share(better, codes),
            curve=curves[:, 0].mean(axis=0).tolist(),
            random_curve=curves[:, 1].mean(axis=0).tolist(),
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_dict`` wrote."""
        return cls(
            map=Estimate.from_dict(data["map"]),
            random=Estimate.from_dict(data["random"]),
            difference=Estimate.from_dict(data["difference"]),
            better=Estimate.from_dict(data["better"]),
            curve=data.get("curve", []),
            random_curve=data.get("random_curve", []),
        )


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
    def from_dict(cls, data: Mapping[str, Any]) -> Faithfulness:
        """Read what ``to_dict`` wrote."""
        return cls(
            n=data["n"],
            n_patients=data["n_patients"],
            deletion=Ordered.from_dict(data[DELETION]) if data.get(DELETION) else None,
            insertion=Ordered.from_dict(data[INSERTION]) if data.get(INSERTION) else None,
            findings={name: cls.from_dict(own) for name, own in data.get("findings", {}).items()},
            fill=data.get("fill"),
            why=data.get("why"),
        )

    @classmethod
    def none(cls, why: str) -> Faithfulness:
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

    each = {name: _without_curves(part(findings == name)) for name in dict.fromkeys(findings.tolist())}
    return part(np.ones(len(codes), bool), findings=each, fill=fill)


def _without_curves(part: Faithfulness) -> Faithfulness:
    both = {name: replace(one, curve=[], random_curve=[]) for name in ORDERS if (one := getattr(part, name))}
    return replace(part, **both)


def _without_interval(values: np.ndarray, why: str) -> Estimate:
    return Estimate(float(values.mean()), None, None, "none", len(values), 0, why)
