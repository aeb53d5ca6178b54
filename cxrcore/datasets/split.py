"""A dataset's films into train, val and test: the source's own lists where it has them, the rest carved by patient."""

from __future__ import annotations

from cxrcore.datasets.table import FilmTable
from cxrcore.splits import split_by_patient


def carve(table: FilmTable, official: bool, val_fraction: float, test_fraction: float, seed: int) -> list[str]:
    """A split per film, length N.

    ``official``: keep the lists the source has, and carve only what it lacks, from its training films; else carve all
    of it. Fractions are of patients. Raises InvalidDataset on leakage, or when a split would be empty.
    """
    given = table.splits if official else None
    return split_by_patient(table.patient_ids, table.targets, val_fraction, test_fraction, seed, given)
