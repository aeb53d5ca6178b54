"""Where a split comes from: the badge that every score carries on the command line, the screens, reports and cards."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SplitOrigin:
    """One kind of split and what its scores are worth."""

    key: str  # ``split_origin`` in metrics.json
    label: str
    patients: str  # who was scored, for a sentence
    explanation: str


OFFICIAL = SplitOrigin(
    "official",
    "official split",
    "official test list",
    "The test list that the data's makers published: comparable with other work that uses it.",
)
FIXED = SplitOrigin(
    "fixed",
    "fixed split",
    "patients kept from every seed",
    "Patients set aside by a fixed rule, the same for every seed; where a part has an official test list, that list.",
)
OWN = SplitOrigin(
    "own",
    "own split",
    "held-out patients",
    "Patients that this model's training held out: not comparable with official test lists.",
)
CROSS_VALIDATED = SplitOrigin(
    "cross_validated",
    "cross-validated by patient",
    "patients held out in turn",
    "Each patient scored by a head fitted on other patients; the head that is used learned from all of them.",
)
RANDOM = SplitOrigin(
    "random",
    "random split",
    "films drawn at random",
    "Films drawn at random: scores are usually higher than on an official list, so never compare the two.",
)
OTHER = SplitOrigin(
    "other",
    "another dataset than the model was trained on",
    "patients of another dataset",
    "Films of another collection than the model's training films: how well it does elsewhere.",
)
UNKNOWN = SplitOrigin(
    "unknown",
    "unknown whether the model saw these patients",
    "patients of unknown origin",
    "Nothing records how these films were chosen, or whether the model was trained on them: read every score as an "
    "upper bound.",
)
SPLIT_ORIGINS = {origin.key: origin for origin in (OFFICIAL, FIXED, OWN, CROSS_VALIDATED, RANDOM, OTHER, UNKNOWN)}


def split_origin_of(key: str | None) -> SplitOrigin:
    """The origin of that key; ``UNKNOWN`` for any other.

    >>> split_origin_of("own").label
    'own split'
    """
    return SPLIT_ORIGINS.get(key or "", UNKNOWN)
