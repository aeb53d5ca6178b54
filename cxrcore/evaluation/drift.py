"""Two sets of films under one model: how probabilities, prevalence and calls differ, by finding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cxrcore.errors import InvalidPredictions
from cxrcore.metrics.corrections import holm
from cxrcore.metrics.drift import Shift, shifts
from cxrcore.metrics.intervals import Estimate, difference
from cxrcore.metrics.rates import means, shares
from cxrcore.predictions.record import Predictions


@dataclass(frozen=True, eq=False)
class Drift:
    """One finding in two sets of films; every pair is (first, second), every difference second minus first."""

    finding: str
    shift: Shift
    p_holm: float | None  # of the shift, corrected for the number of findings
    probability: tuple[Estimate, Estimate]  # mean
    prevalence: tuple[Estimate, Estimate]
    calls: tuple[Estimate, Estimate]  # share at or above the threshold; undefined without one
    threshold: float | None

    def change(self, name: str) -> Estimate:
        """The difference of ``probability``, ``prevalence`` or ``calls``, as of two independent sets."""
        first, second = getattr(self, name)
        return difference(second, first)

    def to_dict(self) -> dict[str, Any]:
        """A flat row for a table."""
        row: dict[str, Any] = {"finding": self.finding, "threshold": self.threshold}
        row |= {"psi": self.shift.stability, "psi_by_chance": self.shift.by_chance, "psi_p": self.shift.p}
        row |= {"psi_p_holm": self.p_holm, "ks": self.shift.distance}
        for name in ("probability", "prevalence", "calls"):
            first, second = getattr(self, name)
            for part, estimate in (("first", first), ("second", second), ("change", self.change(name))):
                key = f"{name}_{part}"
                row |= {key: estimate.value, f"{key}_low": estimate.low, f"{key}_high": estimate.high}
        return row


def measure_drift(
    first: Predictions, second: Predictions, thresholds: Mapping[str, float] | None = None, seed: int = 0
) -> dict[str, Drift]:
    """The drift of every finding that both tables have, by name; ``thresholds``: finding -> the one for both.

    Intervals are by patient, and of differences as if no patient were in both tables: with patients in both they are
    too wide. Raises InvalidPredictions where no finding is in both, or a table has no films.
    """
    names = [name for name in first.labels if name in second.labels]
    if not names or not len(first) or not len(second):
        raise InvalidPredictions(
            f"these tables share no finding: {', '.join(first.labels)}, and {', '.join(second.labels)}"
            if not names
            else "one of the two tables has no films"
        )
    tables = one, two = [_Part.of(table, names, thresholds or {}) for table in (first, second)]
    moved = shifts(one.probabilities, two.probabilities, one.patients, two.patients, seed=seed)
    corrected = holm([one.p for one in moved])
    return {
        name: Drift(
            name,
            moved[k],
            corrected[k],
            (tables[0].probability[k], tables[1].probability[k]),
            (tables[0].prevalence[k], tables[1].prevalence[k]),
            (tables[0].calls[k], tables[1].calls[k]),
            (thresholds or {}).get(name),
        )
        for k, name in enumerate(names)
    }


@dataclass(frozen=True, eq=False)
class _Part:
    """One table's probabilities (N, C), patients (N,), and its means and shares by finding."""

    probabilities: np.ndarray
    patients: np.ndarray
    probability: list[Estimate]
    prevalence: list[Estimate]
    calls: list[Estimate]

    @classmethod
    def of(cls, table: Predictions, names: list[str], thresholds: Mapping[str, float]) -> _Part:
        columns = [table.labels.index(name) for name in names]
        targets = table.targets[:, columns]
        scores = table.probabilities[:, columns].astype(np.float64)
        cuts = np.array([thresholds.get(name, np.nan) for name in names])
        known = ~np.isnan(targets)
        called = shares(scores >= cuts, np.ones(scores.shape, bool), table.patient_ids)
        without = Estimate.undefined("no threshold was chosen")
        return cls(
            scores,
            table.patient_ids,
            means(scores, table.patient_ids),
            shares(targets == 1, known, table.patient_ids, empty="no film has a known label"),
            [without if np.isnan(cut) else one for cut, one in zip(cuts, called, strict=True)],
        )
