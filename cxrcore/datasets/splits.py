"""Train, validation and test splits by patient: no patient is in two of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from cxrcore.datasets.sources import left_out
from cxrcore.datasets.table import FilmTable
from cxrcore.errors import InvalidDataset
from cxrcore.findings import Kind

SPLITS = ("train", "val", "test")


def split_by_patient(
    patient_ids: Sequence[str],
    targets: np.ndarray,
    val_fraction: float,
    test_fraction: float,
    seed: int,
    given: Sequence[str | None] | None = None,
) -> list[str]:
    """A split per film, such that no patient is in two, and findings are spread alike.

    The fractions are shares of patients; targets: (N, C), where NaN counts as absent. Where every film has exactly one
    class, patients are shuffled within each class and cut; where findings may coincide, most combinations of them are
    too rare to cut, and patients are dealt one by one to the split that lacks their rarest finding most.

    ``given`` holds what the source decided, and is kept: only the splits it does not name are carved, out of the films
    it leaves open or calls train. Raises InvalidDataset on leakage, or when a split would be empty.
    """
    fixed = list(given) if given is not None else [None] * len(patient_ids)
    check_leakage(patient_ids, fixed)
    named = set(fixed)
    test_fraction = 0.0 if "test" in named else test_fraction
    val_fraction = 0.0 if "val" in named else val_fraction
    closed = SPLITS if named >= {"val", "test"} else ("val", "test")
    chosen = {patient: split for patient, split in zip(patient_ids, fixed, strict=True) if split and split in closed}
    present = np.nan_to_num(targets) > 0
    had: dict[str, np.ndarray] = {}
    for patient, row in zip(patient_ids, present, strict=True):
        had[patient] = had[patient] | row if patient in had else row
    fractions = {"test": test_fraction, "val": val_fraction}
    exclusive = present.shape[1] > 1 and bool((present.sum(axis=1) == 1).all())
    deal = _cut_strata if exclusive else _deal_by_rarest
    open_patients = sorted(patient for patient in had if patient not in chosen)
    if open_patients:
        rows = np.stack([had[patient] for patient in open_patients])
        chosen |= zip(open_patients, deal(rows, fractions, np.random.default_rng(seed)), strict=True)
    splits = [chosen[patient] for patient in patient_ids]
    empty = [name for name in SPLITS if name not in splits]
    if empty:
        raise InvalidDataset(f"{len(had)} patients are too few: nobody is left for {', '.join(empty)}")
    return splits


def check_leakage(patient_ids: Sequence[str], splits: Sequence[str | None]) -> None:
    """Raises InvalidDataset naming the first patients who are in two splits (see ``torn_patients``)."""
    torn = torn_patients(patient_ids, splits)
    if torn:
        more = f" and {len(torn) - 5} more" if len(torn) > 5 else ""
        raise InvalidDataset(
            f"patients in more than one split: {', '.join(torn[:5])}{more}; a score on them is no score: "
            f"take them out of one split, or have all splits carved anew (data.official_split=false)"
        )


def torn_patients(patient_ids: Sequence[str], splits: Sequence[str | None]) -> list[str]:
    """Patients whose films lie in two splits, sorted.

    None means that the source leaves a film open, to be learned from or tuned on. Such a film follows its patient into
    train or val; beside a film in test it is a leak.
    """
    seen: dict[str, set[str | None]] = defaultdict(set)
    for patient, split in zip(patient_ids, splits, strict=True):
        seen[patient].add(split)
    return sorted(patient for patient, where in seen.items() if len(where - {None}) > 1 or where == {None, "test"})


def _cut_strata(had: np.ndarray, fractions: dict[str, float], rng: np.random.Generator) -> list[str]:
    """Shuffle the patients of each combination of classes and cut it by the fractions; had: bool (patients, C)."""
    strata: dict[bytes, list[int]] = defaultdict(list)
    for patient, row in enumerate(had):
        strata[row.tobytes()].append(patient)
    chosen = ["train"] * len(had)
    for key in sorted(strata):
        patients = [strata[key][i] for i in rng.permutation(len(strata[key]))]
        test = round(fractions["test"] * len(patients))
        val = round(fractions["val"] * len(patients))
        for i, patient in enumerate(patients[: test + val]):
            chosen[patient] = "test" if i < test else "val"
    return chosen


def _deal_by_rarest(had: np.ndarray, fractions: dict[str, float], rng: np.random.Generator) -> list[str]:
    """Iterative stratification (Sechidis 2011, doi:10.1007/978-3-642-23808-6_10); had: bool (patients, C).

    The finding with the fewest patients left is dealt first, each patient to the split that still wants it most, while
    every split's wish for that patient's other findings shrinks. Having none is dealt last, as a finding of its own.
    """
    findings = np.column_stack([had, ~had.any(axis=1)])
    shares = np.array([1 - sum(fractions.values()), fractions["val"], fractions["test"]])
    wanted = np.outer(shares, findings.sum(axis=0))  # (3, C + 1) patients, as a real number
    room = shares * len(had)
    order = rng.permutation(len(had))
    left = np.ones(len(had), dtype=bool)
    chosen = np.zeros(len(had), dtype=np.int64)
    while left.any():
        counts = findings[left].sum(axis=0)
        counts[-1] = 0 if counts[:-1].any() else counts[-1]
        rarest = int(np.where(counts > 0, counts, len(had) + 1).argmin())
        for patient in order[left[order] & findings[order, rarest]]:
            wish = wanted[:, rarest]
            best = np.flatnonzero(np.isclose(wish, wish.max()) & (shares > 0))
            split = best[room[best].argmax()]  # a tie goes to the split with most room
            chosen[patient] = split
            wanted[split, findings[patient]] -= 1
            room[split] -= 1
            left[patient] = False
    return [SPLITS[split] for split in chosen]


def limited(table: FilmTable, limit: int, seed: int) -> FilmTable:
    """At most ``limit`` films (0: all), whole patients first, by a seeded shuffle of patients."""
    if not limit or limit >= len(table):
        return table
    patients = np.array(table.patient_ids)
    order = np.random.default_rng(seed).permutation(np.unique(patients))
    rank = {patient: place for place, patient in enumerate(order)}
    return table.select(np.sort(np.argsort([rank[patient] for patient in patients], kind="stable")[:limit]))


def strata_of(table: FilmTable) -> np.ndarray:
    """Which combination of source and targets each film has, int (N,): films to be spread alike over the splits."""
    sources = np.unique(table.metadata.get("source", ("",) * len(table)), return_inverse=True)[1]
    rows = np.column_stack([sources.reshape(-1, 1), np.nan_to_num(table.targets, nan=-1)])
    strata: np.ndarray = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)
    return strata


def carve(
    table: FilmTable,
    official: bool,
    val_fraction: float,
    test_fraction: float,
    seed: int,
    leave_out: Sequence[str] = (),
) -> list[str]:
    """A split per film, length N.

    ``official``: keep the lists the source has, and carve only what it lacks, from its training films; else carve all
    of it. Fractions are of patients; where films have a source and one class each, patients are cut within each source
    and class. Patients of the sources in ``leave_out`` are all test. Raises InvalidDataset on leakage, for a source
    that is not there, or when a split would be empty.
    """
    given = table.splits if official else (None,) * len(table)
    if leave_out:
        given = tuple("test" if out else split for out, split in zip(left_out(table, leave_out), given, strict=True))
    targets = table.targets
    if "source" in table.metadata and table.labels.kind is Kind.MULTICLASS:
        strata = strata_of(table)
        targets = np.eye(strata.max() + 1)[strata]
    return split_by_patient(table.patient_ids, targets, val_fraction, test_fraction, seed, given)
