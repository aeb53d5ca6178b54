"""Which films are learned from, tuned on and scored on: always by patient, and never twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from cxrcore.errors import InvalidDataset

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

    Patients are shuffled within strata of the findings they ever had (targets: (N, C), NaN counts as absent), and each
    stratum is cut by the two fractions of patients. ``given`` holds what the source decided; where it names a test
    split, none is carved. Raises InvalidDataset on leakage, or when a split would be empty.
    """
    fixed = list(given) if given is not None else [None] * len(patient_ids)
    check_leakage(patient_ids, fixed)
    official = dict(zip(patient_ids, fixed, strict=True))
    if "test" in official.values():
        test_fraction = 0.0
    had: dict[str, np.ndarray] = {}
    for patient, row in zip(patient_ids, np.nan_to_num(targets) > 0, strict=True):
        had[patient] = had[patient] | row if patient in had else row
    strata: dict[bytes, list[str]] = defaultdict(list)
    for patient in sorted(had):
        if official[patient] is None:
            strata[had[patient].tobytes()].append(patient)
    rng = np.random.default_rng(seed)
    chosen = {patient: split for patient, split in official.items() if split}
    for key in sorted(strata):
        patients = [strata[key][i] for i in rng.permutation(len(strata[key]))]
        test = round(test_fraction * len(patients))
        val = round(val_fraction * len(patients))
        for i, patient in enumerate(patients):
            chosen[patient] = "test" if i < test else "val" if i < test + val else "train"
    splits = [chosen[patient] for patient in patient_ids]
    empty = [name for name in SPLITS if name not in splits]
    if empty:
        raise InvalidDataset(f"{len(had)} patients are too few: nobody is left for {', '.join(empty)}")
    return splits


def check_leakage(patient_ids: Sequence[str], splits: Sequence[str | None]) -> None:
    """Raises InvalidDataset naming the first patients whose films lie in two splits (a film without a split counts too
    when the patient's others have one).
    """
    seen: dict[str, set] = defaultdict(set)
    for patient, split in zip(patient_ids, splits, strict=True):
        seen[patient].add(split)
    torn = sorted(patient for patient, where in seen.items() if len(where) > 1)
    if torn:
        more = f" and {len(torn) - 5} more" if len(torn) > 5 else ""
        raise InvalidDataset(
            f"patients in more than one split: {', '.join(torn[:5])}{more}; a score on them is no score"
        )
