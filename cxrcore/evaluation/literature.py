"""Published AUROCs with their splits, for context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_ORDER = (
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
)


@dataclass(frozen=True)
class Published:
    """The scores that a paper reports on a dataset."""

    name: str
    split: str  # official or random
    auroc: dict[str, float]

    @property
    def title(self) -> str:
        """Name and split, e.g. ``Wang 2017, official split``."""
        return f"{self.name}, {self.split} split"

    def mean(self, findings: Sequence[str]) -> float | None:
        """Unweighted mean over these findings; None where the paper lacks one."""
        if not findings or any(name not in self.auroc for name in findings):
            return None
        return sum(self.auroc[name] for name in findings) / len(findings)


_WANG = (0.700, 0.810, 0.759, 0.661, 0.693, 0.669, 0.658, 0.799, 0.703, 0.805, 0.833, 0.786, 0.684, 0.872)
_CHEXNET = (0.809, 0.925, 0.864, 0.735, 0.868, 0.780, 0.768, 0.889, 0.790, 0.888, 0.937, 0.805, 0.806, 0.916)
NIH = (
    Published("Wang 2017", "official", dict(zip(_ORDER, _WANG, strict=True))),
    Published("CheXNet 2017", "random", dict(zip(_ORDER, _CHEXNET, strict=True))),
)


def published(dataset: str) -> tuple[Published, ...]:
    """The reports on a dataset, official splits first; empty for a dataset without any.

    >>> [report.title for report in published("nih")]
    ['Wang 2017, official split', 'CheXNet 2017, random split']
    """
    return NIH if dataset == "nih" else ()
