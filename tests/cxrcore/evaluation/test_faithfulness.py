"""Deletion and insertion on a linear network, whose right order of cells is known by arithmetic."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from cxrcore.bundle.config import BundleConfig
from cxrcore.datasets.cache import DecodedFilms
from cxrcore.datasets.table import FilmTable
from cxrcore.evaluation.faithfulness import STEPS, deletion_and_insertion, measure_faithfulness, surest_films
from cxrcore.films.preprocessing import Preprocessing, pack
from cxrcore.findings import NIH14, TB3, Kind, LabelSet
from cxrcore.metrics.faithfulness import Faithfulness, summarise_faithfulness
from cxrcore.models.classifier import Classifier

CELL, CELLS = 4, 7
SIDE = CELL * CELLS
FINDINGS = LabelSet("two", Kind.MULTILABEL, NIH14.findings[:2])
WEIGHTS = np.random.default_rng(5).normal(0, 3, (CELLS, CELLS)).astype(np.float32)


class Linear(nn.Module):
    """The logit of the first finding is the mean brightness of its cells, that of the second its negative."""

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.head = nn.AvgPool2d(CELL), nn.Linear(1, 2)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[9.0], [-9.0]]))
            self.head.bias.zero_()

    def forward_features(self, films: torch.Tensor) -> torch.Tensor:
        return self.pool(films)

    def forward_head(self, features: torch.Tensor) -> torch.Tensor:
        return self.head(features.mean(dim=(2, 3)))

    def get_classifier(self) -> nn.Linear:
        return self.head


def films_with_bright_cells(count: int) -> DecodedFilms:
    """Dark films, each with five bright cells somewhere, of patients with two films each."""
    rng = np.random.default_rng(0)
    cells = np.zeros((count, CELLS * CELLS), np.float32)
    for row in cells:
        row[rng.permutation(CELLS * CELLS)[:5]] = rng.uniform(0.5, 1, 5)
    pixels = pack(np.kron(cells.reshape(-1, CELLS, CELLS), np.ones((CELL, CELL), np.float32)))
    names = tuple(f"{n}.png" for n in range(count))
    patients = tuple(f"p{n // 2}" for n in range(count))
    table = FilmTable(
        "toy", FINDINGS, tuple(map(Path, names)), names, patients, np.zeros((count, 2), np.float32), (None,) * count
    )
    return DecodedFilms(table, pixels, np.arange(count), (), fresh=True)


@pytest.fixture(scope="module")
def model() -> Classifier:
    config = BundleConfig("linear", "none", FINDINGS, Preprocessing(SIDE, SIDE, 1, mean=0.0, std=1.0))
    return Classifier(Linear(), config, device="cpu", dtype=torch.float32)


def weighted(films: np.ndarray) -> np.ndarray:
    """A linear score: each cell's mean brightness, times a weight."""
    cells = films.reshape(-1, CELLS, CELL, CELLS, CELL).mean(axis=(2, 4))
    return (cells * WEIGHTS).sum(axis=(1, 2))


def test_no_order_deletes_faster_than_that_of_the_contributions_and_its_reverse_is_worst():
    film = np.random.default_rng(1).random((SIDE, SIDE), dtype=np.float32)
    lost = film - gaussian_filter(film, CELL, mode="nearest")
    effect = lost.reshape(CELLS, CELL, CELLS, CELL).mean(axis=(1, 3)) * WEIGHTS  # of each cell on the score
    others = [np.random.default_rng(seed).random((CELLS, CELLS)) for seed in range(40)]
    curves = deletion_and_insertion(weighted, film, [effect, -effect, *others])
    removed = np.r_[0, np.sort(effect.ravel())[::-1].reshape(STEPS, CELLS).sum(axis=1).cumsum()]
    assert curves[0, 0] == pytest.approx(weighted(film[None])[0] - removed, abs=1e-4)
    deletion, insertion = np.trapezoid(curves, axis=2).T
    assert deletion[0] < deletion[2:].min() <= deletion[2:].max() < deletion[1]
    assert insertion[0] > insertion[2:].max() >= insertion[2:].min() > insertion[1]
    assert curves[0, 1] == pytest.approx(curves[1, 0][::-1])  # inserting in one order is deleting in its reverse
    assert np.ptp(curves[:, :, [0, -1]], axis=0) == pytest.approx(0)


def test_the_exact_map_of_a_linear_network_beats_chance_on_every_film(model):
    films = films_with_bright_cells(24)
    logits, _ = model.score(list(films.take(slice(None))))
    found = measure_faithfulness(model, films, model.probabilities(logits), 24)
    assert (found.n, found.n_patients) == (24, 12)  # of each finding the surest film of each patient
    first = found.findings[FINDINGS.names[0]]
    assert (first.deletion.better.value, first.insertion.better.value) == (1, 1)
    assert first.deletion.difference.high < 0 < first.insertion.difference.low
    assert first.deletion.map.value < first.deletion.random.value
    assert found.deletion.curve[0] == pytest.approx(found.insertion.curve[-1]) == found.deletion.random_curve[0]
    data = found.to_dict()
    assert json.loads(json.dumps(data, allow_nan=False)) == data == Faithfulness.from_dict(data).to_dict()


def test_of_exclusive_classes_the_target_is_the_class_less_the_mean_of_the_others(make_bundle):
    import cxrcore

    model: Any = cxrcore.load(make_bundle("resnet10t", TB3, size=SIDE))
    films = films_with_bright_cells(2)
    probabilities = np.array([[0, 1, 0], [0, 0, 1]], np.float32)
    found = measure_faithfulness(model, films, probabilities, 2)
    logits = model.score(list(films.take(slice(None))))[0]
    assert list(found.findings) == ["Pneumonia", "Tuberculosis"]
    targets = [logits[row, row + 1] - np.delete(logits[row], row + 1).mean() for row in (0, 1)]
    assert found.deletion.curve[0] == pytest.approx(np.mean(targets), abs=1e-4)


def test_films_are_shared_out_among_diseases_and_a_patient_counts_once():
    patients = np.array(["a", "a", "b", "c", "d"])
    probabilities = np.array([[0, 0.9, 0], [0, 0.8, 0.1], [0, 0.7, 0.2], [0, 0.6, 0.9], [0, 0.1, 0.3]])
    rows, columns = surest_films(TB3, probabilities, patients, 5)
    assert rows.tolist() == [0, 2, 3, 3, 4]
    assert columns.tolist() == [1, 1, 1, 2, 2]  # none of Normal
    assert len(surest_films(TB3, probabilities, patients, 100)[0]) == 8


def test_few_films_have_no_interval_and_say_so():
    curves = np.random.default_rng(0).normal(size=(9, 2, STEPS + 1))
    found = summarise_faithfulness(curves, -curves, np.array(["Mass"] * 9), np.arange(9), "nothing")
    assert (found.deletion.difference.low, found.deletion.difference.value is None) == (None, False)
    assert "9 film(s), fewer than 10" in found.to_dict()["deletion"]["better"]["why"]
    assert found.deletion.better.value == found.insertion.better.value
