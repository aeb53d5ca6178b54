"""Findings and label sets: the outputs of a classifier, in order, each with a plain description.

A label set is an ordered, typed record; its order is the column order of a classifier's head, and its names are
verbatim those of the data source (NIH: Wang 2017, arXiv:1705.02315; Kermany 2018, doi:10.1016/j.cell.2018.02.010).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cxrcore.errors import LabelMismatch


class Kind(StrEnum):
    """How the findings of one film relate: several may be present, or exactly one is."""

    MULTILABEL = "multilabel"  # one sigmoid a finding
    MULTICLASS = "multiclass"  # one softmax over all


@dataclass(frozen=True)
class Finding:
    """One finding: the name the data source uses, and one line a layperson understands."""

    name: str
    description: str
    normal: bool = False  # the label for the absence of disease: No Finding, Normal

    @property
    def title(self) -> str:
        """The name as prose: ``Pleural_Thickening`` reads ``Pleural thickening``."""
        return self.name.replace("_", " ").capitalize()


@dataclass(frozen=True)
class LabelSet:
    """An ordered set of findings; iterating gives names in head order. Raises LabelMismatch on repeats or under two."""

    name: str
    kind: Kind
    findings: tuple[Finding, ...]

    def __post_init__(self) -> None:
        names = self.names
        if len(set(names)) != len(names):
            raise LabelMismatch(f"label set {self.name!r} repeats a finding: {', '.join(names)}")
        if len(names) < (2 if self.kind is Kind.MULTICLASS else 1):
            raise LabelMismatch(f"label set {self.name!r} has {len(names)} finding(s); a multiclass set needs two")

    @property
    def names(self) -> tuple[str, ...]:
        """Names in head order, length C."""
        return tuple(finding.name for finding in self.findings)

    @property
    def abnormal(self) -> tuple[str, ...]:
        """Names that denote disease, in head order."""
        return tuple(finding.name for finding in self.findings if not finding.normal)

    @property
    def normal(self) -> str | None:
        """The name that denotes its absence (``No Finding``, ``Normal``), if the set has one."""
        return next((finding.name for finding in self.findings if finding.normal), None)

    @property
    def binary(self) -> bool:
        """True for a two-class softmax: the operating point sits on the disease and the other is its complement."""
        return self.kind is Kind.MULTICLASS and len(self.findings) == 2

    @property
    def averaged(self) -> list[int]:
        """Columns that macro and micro scores are taken over: without ``No Finding`` of a multilabel set."""
        names = self.abnormal if self.kind is Kind.MULTILABEL and self.abnormal else self.names
        return [self.index(name) for name in names]

    def index(self, name: str) -> int:
        """Column of a finding. Raises LabelMismatch naming the set's findings."""
        try:
            return self.names.index(name)
        except ValueError:
            raise LabelMismatch(f"no finding {name!r} here; choose one of: {', '.join(self.names)}") from None

    def __getitem__(self, name: str) -> Finding:
        return self.findings[self.index(name)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.findings)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def to_dict(self) -> dict[str, Any]:
        """As stored in a bundle's config.json; ``from_dict`` reads it back."""
        return {
            "name": self.name,
            "kind": str(self.kind),
            "findings": [{"name": f.name, "description": f.description, "normal": f.normal} for f in self.findings],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> LabelSet:
        """Read what ``to_dict`` wrote. Raises LabelMismatch when a part is missing or of the wrong type."""
        try:
            findings = tuple(
                Finding(str(f["name"]), str(f.get("description", "")), bool(f.get("normal", False)))
                for f in data["findings"]
            )
            return cls(str(data["name"]), Kind(data["kind"]), findings)
        except (KeyError, TypeError, ValueError) as error:
            raise LabelMismatch(f"the label set is incomplete or malformed: {error}") from None


_NIH14 = (
    Finding("Atelectasis", "Part of a lung has collapsed or holds too little air."),
    Finding("Cardiomegaly", "The heart looks larger than usual for the chest."),
    Finding("Effusion", "Fluid has collected between lung and chest wall."),
    Finding("Infiltration", "A hazy or patchy whitening of the lung; a broad word for several causes."),
    Finding("Mass", "A solid-looking spot in the lung, larger than 3 cm."),
    Finding("Nodule", "A small, roundish spot in the lung, up to 3 cm."),
    Finding("Pneumonia", "Signs of a lung infection; an image alone rarely proves it."),
    Finding("Pneumothorax", "Air has escaped between lung and chest wall, and the lung may have fallen away from it."),
    Finding("Consolidation", "Air spaces of the lung are filled, so a region looks solid and white."),
    Finding("Edema", "Fluid in the lung tissue, often from a heart that pumps too weakly."),
    Finding("Emphysema", "Overinflated lungs with damaged air sacs."),
    Finding("Fibrosis", "Scarring of the lung tissue."),
    Finding("Pleural_Thickening", "The lining around the lung is thicker than usual."),
    Finding("Hernia", "Part of the stomach or bowel has slipped up into the chest."),
)
_NORMAL = Finding("Normal", "Nothing that this model was trained to find.", normal=True)
_PNEUMONIA = Finding("Pneumonia", "Signs of a lung infection; an image alone rarely proves it.")

NIH14 = LabelSet("nih14", Kind.MULTILABEL, _NIH14)
NIH15 = LabelSet(
    "nih15",
    Kind.MULTILABEL,
    (*_NIH14, Finding("No Finding", "The report named none of the fourteen findings.", normal=True)),
)
PNEUMONIA2 = LabelSet("pneumonia2", Kind.MULTICLASS, (_NORMAL, _PNEUMONIA))
PNEUMONIA3 = LabelSet(
    "pneumonia3",
    Kind.MULTICLASS,
    (
        _NORMAL,
        Finding("Bacterial pneumonia", "A lung infection by bacteria, often one dense region."),
        Finding("Viral pneumonia", "A lung infection by a virus, often a fine pattern on both sides."),
    ),
)
_TUBERCULOSIS = Finding("Tuberculosis", "Signs of tuberculosis, often in the upper parts of the lungs.")
TB2 = LabelSet("tb2", Kind.MULTICLASS, (_NORMAL, _TUBERCULOSIS))
TB3 = LabelSet("tb3", Kind.MULTICLASS, (_NORMAL, _PNEUMONIA, _TUBERCULOSIS))
PHANTOM5 = LabelSet(
    "phantom5",
    Kind.MULTILABEL,
    tuple(NIH14[name] for name in ("Cardiomegaly", "Effusion", "Nodule", "Pneumothorax", "Consolidation")),
)

LABEL_SETS: dict[str, LabelSet] = {
    labels.name: labels for labels in (NIH14, NIH15, PNEUMONIA2, PNEUMONIA3, TB2, TB3, PHANTOM5)
}


def label_set(name: str) -> LabelSet:
    """A label set by name. Raises LabelMismatch listing those there are."""
    try:
        return LABEL_SETS[name]
    except KeyError:
        raise LabelMismatch(f"no label set {name!r}; there are: {', '.join(LABEL_SETS)}") from None


def label_difference(one: LabelSet, other: LabelSet) -> str:
    """The difference that keeps two label sets from being averaged, in words; empty if there is none."""
    if one.kind != other.kind:
        return f"one is {one.kind} and the other {other.kind}"
    missing, extra = sorted(set(one.names) - set(other.names)), sorted(set(other.names) - set(one.names))
    if missing or extra:
        parts = (("only the first knows", missing), ("only the second knows", extra))
        return "; ".join(f"{who} {', '.join(names)}" for who, names in parts if names)
    if one.names != other.names:
        return f"the findings are in another order: {', '.join(one.names)} against {', '.join(other.names)}"
    return "" if one.normal == other.normal else "they call different findings normal"
