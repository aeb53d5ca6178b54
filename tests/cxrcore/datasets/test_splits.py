"""No patient in two splits, findings spread alike, the source's own decisions kept."""

import hashlib
import json
from collections import Counter

import numpy as np
import pytest
import yaml

from cxrcore.datasets.kermany import read_kermany
from cxrcore.datasets.splits import check_leakage, split_by_patient, torn_patients
from cxrcore.errors import InvalidDataset
from cxrcore.models.opening import find_bundle


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


def test_rare_findings_are_spread_in_proportion():
    """Fourteen findings as rare as NIH's: most combinations occur once, and each finding still keeps its share."""
    rng = np.random.default_rng(3)
    prevalence = np.geomspace(0.005, 0.2, 14)
    targets = (rng.random((4000, 14)) < prevalence).astype(np.float32)
    targets[rng.random(targets.shape) < 0.05] = np.nan
    patients = [f"p{n}" for n in range(4000)]
    splits = np.array(split_by_patient(patients, targets, 0.1, 0.2, seed=0))
    had = np.nan_to_num(targets)
    for split, share in (("train", 0.7), ("val", 0.1), ("test", 0.2)):
        assert (splits == split).sum() == pytest.approx(share * 4000, abs=8)
        np.testing.assert_allclose(had[splits == split].sum(axis=0), share * had.sum(axis=0), atol=4)
        none = had.sum(axis=1) == 0
        assert none[splits == split].sum() == pytest.approx(share * none.sum(), abs=4)


def test_what_the_source_leaves_out_is_carved_from_its_train_part(films):
    patients, targets = films
    given = ["test" if int(p[1:]) < 30 else "train" for p in patients]
    splits = split_by_patient(patients, targets, 0.1, 0.1, seed=0, given=given)
    assert [s == "test" for s in splits] == [g == "test" for g in given]
    assert {p for p, s in zip(patients, splits, strict=True) if s == "val"}
    whole = ["val" if g == "train" and int(p[1:]) > 250 else g for p, g in zip(patients, given, strict=True)]
    assert split_by_patient(patients, targets, 0.1, 0.1, seed=0, given=whole) == whole


def test_leakage_is_an_error_that_names_the_patient():
    with pytest.raises(InvalidDataset, match="p7"):
        check_leakage(["p7", "p8", "p7"], ["train", "train", "test"])


def test_a_film_left_open_follows_its_patient_into_train_or_val_and_leaks_beside_test():
    assert torn_patients(["a", "a", "b", "b", "c", "c"], ["train", None, "val", None, "test", None]) == ["c"]
    patients = ["a", "a", "b", "b", "c", "d"]
    given = ["train", None, "val", None, "test", "train"]
    splits = split_by_patient(patients, np.eye(2)[[0, 1, 0, 1, 0, 1]], 0.1, 0.1, seed=0, given=given)
    assert splits == ["train", "train", "val", "val", "test", "train"]


def test_exclusive_classes_keep_the_split_that_shipped_models_were_scored_on(kermany_dir):
    """The held-out patients of the embedded model, by the hash it was published with."""
    config = json.loads((find_bundle("pneumonia") / "config.json").read_text())["cxrcore"]["provenance"]
    seed = yaml.safe_load((find_bundle("pneumonia") / "recipe.yaml").read_text())["data"]["split_seed"]
    table = read_kermany(kermany_dir)
    if len(table) != sum(config["films"].values()):
        pytest.skip("other films than the model was trained on")
    splits = split_by_patient(table.patient_ids, table.targets, 0.1, 0.1, seed, table.splits)
    rows = ["image,patient_id,split"]
    rows += [",".join(row) for row in zip(table.images, table.patient_ids, splits, strict=True)]
    assert hashlib.sha256(("\n".join(rows) + "\n").encode()).hexdigest() == config["split_sha256"]


def test_too_few_patients_are_refused():
    with pytest.raises(InvalidDataset, match="too few"):
        split_by_patient(["a", "b"], np.eye(2), 0.1, 0.1, seed=0)
