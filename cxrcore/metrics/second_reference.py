"""Do the scores hold against other readers? The same probabilities, scored against a second reference standard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cxrcore.errors import InvalidPredictions
from cxrcore.metrics.calibration import brier
from cxrcore.metrics.discrimination import auprc, auroc
from cxrcore.metrics.intervals import Estimate

# NIH's labels were read from reports by a program; for 4,376 films radiologists looked again (Majkowska 2020,
# Radiology 294:421). Their `Fracture` and `Airspace opacity` have no counterpart among the fourteen findings.
ADJUDICATED_2019: dict[str, tuple[str, ...]] = {"Pneumothorax": ("Pneumothorax",), "Nodule or mass": ("Nodule", "Mass")}


@dataclass(frozen=True)
class SecondReading:
    """One finding of the second reference, against the greatest probability of the findings it corresponds to."""

    name: str
    findings: tuple[str, ...]
    n: int  # films that both tables know
    auroc: Estimate
    auprc: Estimate
    brier: float | None
    first_auroc: Estimate | None  # of the same films against the first reference, where given

    def to_dict(self) -> dict:
        """Ready for JSON."""
        data = {
            "findings": list(self.findings),
            "n": self.n,
            "auroc": self.auroc.to_dict(),
            "auprc": self.auprc.to_dict(),
            "brier": self.brier,
            "first_auroc": self.first_auroc.to_dict() if self.first_auroc else None,
        }
        missing = [name for name in ("brier", "first_auroc") if data[name] is None]
        return data | ({"why": f"{', '.join(missing)}: no label to score against"} if missing else {})


def against_second_reference(
    images: Sequence[str] | np.ndarray,
    probabilities: np.ndarray,
    names: Sequence[str],
    second_images: Sequence[str] | np.ndarray,
    second_targets: np.ndarray,
    second_names: Sequence[str],
    mapping: Mapping[str, Sequence[str]] = ADJUDICATED_2019,
    groups: np.ndarray | None = None,
    targets: np.ndarray | None = None,
) -> dict[str, SecondReading]:
    """Score the films that both tables hold, for each finding of ``mapping`` that both can speak of.

    ``probabilities`` (N, C) and ``targets`` (N, C, the first reference, for comparison) have columns ``names`` and rows
    ``images``; ``second_targets`` (M, D) is 0, 1 or NaN. A finding that corresponds to several is given their greatest
    probability, and is present in the first reference where any is. A mapping whose columns are missing is left out.
    Raises InvalidPredictions when the tables share no film, or no finding of the mapping.
    """
    place = {str(image): row for row, image in enumerate(images)}
    pairs = [(place[str(image)], row) for row, image in enumerate(second_images) if str(image) in place]
    if not pairs:
        raise InvalidPredictions("none of these films is in the second reference; check the image names of both tables")
    ours, theirs = (np.array(rows) for rows in zip(*pairs, strict=True))
    usable = {
        name: tuple(findings)
        for name, findings in mapping.items()
        if name in second_names and all(finding in names for finding in findings)
    }
    if not usable:
        raise InvalidPredictions(
            f"the second reference ({', '.join(second_names)}) and these findings have nothing in common"
        )
    own_groups = None if groups is None else np.asarray(groups)[ours]
    found = {}
    for name, findings in usable.items():
        columns = [list(names).index(finding) for finding in findings]
        second = np.asarray(second_targets, dtype=np.float64)[theirs, list(second_names).index(name)]
        score = np.asarray(probabilities)[ours][:, columns].max(axis=1)
        first = None
        if targets is not None:
            known = np.asarray(targets, dtype=np.float64)[ours][:, columns]
            any_of = np.where((known == 1).any(axis=1), 1.0, np.where(np.isnan(known).any(axis=1), np.nan, 0.0))
            any_of[np.isnan(second)] = np.nan  # the same films on both sides
            first = auroc(any_of, score, own_groups)
        n = int((~np.isnan(second)).sum())
        scores = auroc(second, score, own_groups), auprc(second, score, own_groups)
        found[name] = SecondReading(name, findings, n, *scores, brier(second, score), first)
    return found
