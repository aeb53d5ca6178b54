"""No patient in two splits, findings spread alike, the source's own decisions kept."""

from collections import Counter

import numpy as np
import pytest

from cxrcore.errors import InvalidDataset
from cxrcore.splits import check_leakage, split_by_patient


@pytest.fixture
def films() -> tuple[list[str], np.ndarray]:
    rng = np.random.default_rng(0)
    patients = [f"p{n}" for n in range(300) for _ in range(rng.integers(1, 6))]
    return patients, (rng.random((len(patients), 3)) < 0.15).astype(np.float32)


def test_patients_stay_together_and_fractions_hold(films):
    patients, targets = films
    splits = split_by_patient(patients, targets, 0.15, 0.2, seed=1)
    where = {p: {s for q, s in zip(patients, splits, strict=True) if q == p} for p in set(patients)}
    assert all(len(found) == 1 for found in where.values())
    share = Counter(next(iter(found)) for found in where.values())
    assert share["val"] == pytest.approx(45, abs=8)
    assert share["test"] == pytest.approx(60, abs=8)
    prevalence = {s: targets[np.array(splits) == s].mean() for s in ("train", "val", "test")}
    assert max(prevalence.values()) - min(prevalence.values()) < 0.05


def test_same_seed_same_split_whatever_the_order(films):
    patients, targets = films
    first = dict(zip(patients, split_by_patient(patients, targets, 0.1, 0.1, seed=5), strict=True))
    backwards = split_by_patient(patients[::-1], targets[::-1], 0.1, 0.1, seed=5)
    assert first == dict(zip(patients[::-1], backwards, strict=True))
    assert first != dict(zip(patients, split_by_patient(patients, targets, 0.1, 0.1, seed=6), strict=True))


def test_an_official_test_split_is_kept_and_none_is_carved(films):
    patients, targets = films
    given = ["test" if int(p[1:]) < 30 else None for p in patients]
    splits = split_by_patient(patients, targets, 0.1, 0.1, seed=0, given=given)
    assert [s == "test" for s in splits] == [g == "test" for g in given]


def test_leakage_is_an_error_that_names_the_patient():
    with pytest.raises(InvalidDataset, match="p7"):
        check_leakage(["p7", "p8", "p7"], ["train", "train", "test"])


def test_too_few_patients_are_refused():
    with pytest.raises(InvalidDataset, match="too few"):
        split_by_patient(["a", "b"], np.eye(2), 0.1, 0.1, seed=0)
