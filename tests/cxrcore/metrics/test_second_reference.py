"""The same probabilities against a second opinion: the right films, the right columns."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from cxrcore.errors import InvalidPredictions
from cxrcore.findings import NIH14
from cxrcore.metrics.second_reference import against_second_reference

NAMES = ("Mass", "Nodule", "Pneumothorax")
SECOND = ("Fracture", "Pneumothorax", "Nodule or mass")


def tables(n=400, shared=250, seed=0):
    rng = np.random.default_rng(seed)
    images = np.array([f"{k}.png" for k in range(n)])
    targets = (rng.random((n, 3)) < 0.3).astype(float)
    probabilities = 1 / (1 + np.exp(-(2 * targets - 1 + rng.normal(size=(n, 3)))))
    order = rng.permutation(n)[:shared]
    second = np.stack([rng.random(shared) < 0.1, targets[order, 2], targets[order, :2].max(axis=1)], 1).astype(float)
    second[:20, 1] = np.nan
    return images, probabilities, targets, np.append(images[order], "elsewhere.png"), np.vstack([second, [0, 0, 0]])


def test_films_are_joined_by_name_and_findings_by_the_greatest_probability():
    images, probabilities, targets, second_images, second = tables()
    found = against_second_reference(images, probabilities, NAMES, second_images, second, SECOND, targets=targets)
    assert list(found) == ["Pneumothorax", "Nodule or mass"]  # nobody predicts fractures
    rows = [np.flatnonzero(images == image)[0] for image in second_images[:-1]]
    either = found["Nodule or mass"]
    assert either.findings == ("Nodule", "Mass")
    assert either.auroc.value == pytest.approx(roc_auc_score(second[:-1, 2], probabilities[rows, :2].max(axis=1)))
    assert either.first_auroc.value == pytest.approx(either.auroc.value)  # the two references agree here
    alone = found["Pneumothorax"]
    assert alone.n == 230
    assert alone.auroc.value == pytest.approx(roc_auc_score(second[20:-1, 1], probabilities[rows[20:], 2]))
    assert alone.first_auroc.n_pos + alone.first_auroc.n_neg == 230
    plain = {name: one.to_dict() for name, one in found.items()}
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_without_the_first_reference_the_second_stands_alone():
    images, probabilities, _, second_images, second = tables()
    found = against_second_reference(images, probabilities, NAMES, second_images, second, SECOND)
    assert found["Pneumothorax"].first_auroc is None
    assert "first_auroc" in found["Pneumothorax"].to_dict()["why"]


def test_tables_that_have_nothing_in_common_are_said():
    images, probabilities, _, second_images, second = tables()
    with pytest.raises(InvalidPredictions, match="none of these films"):
        against_second_reference(images, probabilities, NAMES, ["a.png"] * len(second), second, SECOND)
    with pytest.raises(InvalidPredictions, match="nothing in common"):
        against_second_reference(images, probabilities[:, :1], ["Hernia"], second_images, second, SECOND)


@pytest.mark.data
def test_radiologists_confirm_the_published_model(data_dir):
    folder = data_dir / "nih"
    table = pd.read_csv(folder / "chexnet_predictions.csv.gz")
    with gzip.open(folder / "adjudicated_labels_2019.csv.gz", "rt") as file:
        second = pd.read_csv(file)
    columns = ["Fracture", "Pneumothorax", "Airspace opacity", "Nodule or mass"]
    found = against_second_reference(
        table["Image Index"],
        table[[f"prob_{name}" for name in NIH14]].to_numpy(),
        NIH14.names,
        second["Image Index"],
        (second[columns] == "YES").to_numpy(float),
        columns,
        groups=table["Image Index"].str[:8].to_numpy(),
    )
    joined = table.merge(second, on="Image Index")
    either = joined[["prob_Nodule", "prob_Mass"]].max(axis=1)
    assert found["Nodule or mass"].n == len(joined) == 505
    assert found["Nodule or mass"].auroc.value == pytest.approx(
        roc_auc_score(joined["Nodule or mass"] == "YES", either)
    )
    assert found["Pneumothorax"].auroc.value > 0.85
