"""A dataset's films into train, val and test: the source's own lists where it has them, the rest carved by patient."""

from __future__ import annotations

import numpy as np

from cxrcore.datasets.table import FilmTable
from cxrcore.splits import split_by_patient


def limited(table: FilmTable, limit: int, seed: int) -> FilmTable:
    """At most ``limit`` films (0: all), whole patients first, by a seeded shuffle of patients."""
    if not limit or limit >= len(table):
        return table
    patients = np.array(table.patient_ids)
    order = np.random.default_rng(seed).permutation(np.unique(patients))
    rank = {patient: place for place, patient in enumerate(order)}
    return table.select(np.sort(np.argsort([rank[patient] for patient in patients], kind="stable")[:limit]))


def carve(table: FilmTable, official: bool, val_fraction: float, test_fraction: float, seed: int) -> list[str]:
    """A split per film, length N.

    ``official``: keep the lists the source has, and carve only what it lacks, from its training films; else carve all
    of it. Fractions are of patients. Raises InvalidDataset on leakage, or when a split would be empty.
    """
    given = table.splits if official else None
    return split_by_patient(table.patient_ids, table.targets, val_fraction, test_fraction, seed, given)
