"""The shift of probabilities between two sets of films, against scipy and against chance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp

from cxrcore.metrics.drift import ks_distance, shifts


def test_the_distance_is_scipys() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random(70).round(2), rng.beta(2, 3, 50).round(2)
    assert ks_distance(first, second) == pytest.approx(ks_2samp(first, second).statistic, abs=1e-12)


def test_the_index_is_the_formula_on_tenths_of_the_first_set() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.random((500, 1)), rng.beta(2, 3, (400, 1))
    edges = np.quantile(first, np.linspace(0, 1, 11)[1:-1])
    p, q = (
        np.bincount(np.searchsorted(edges, part[:, 0], side="right"), minlength=10) + 0.5 for part in (first, second)
    )
    p, q = p / p.sum(), q / q.sum()
    found = shifts(first, second, permutations=19)[0]
    assert found.stability == pytest.approx(((q - p) * np.log(q / p)).sum(), abs=1e-12)
    assert found.p == 1 / 20
    assert found.stability > found.by_chance


def test_sets_that_are_alike_are_not_called_shifted_where_patients_have_many_films() -> None:
    """Films of one patient are alike; dealt as if independent, chance would look like a shift."""
    rng = np.random.default_rng(2)
    levels = rng.random((40, 1))
    scores = np.clip(np.repeat(levels, 20, axis=0) + rng.normal(0, 0.02, (800, 1)), 0, 1)
    patients = np.repeat(np.arange(40), 20)
    first, second = patients < 20, patients >= 20
    by_patient = shifts(scores[first], scores[second], patients[first], patients[second], permutations=199)[0]
    by_film = shifts(scores[first], scores[second], permutations=199)[0]
    assert by_patient.p > 0.05 > by_film.p


def test_an_empty_set_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        shifts(np.zeros((0, 1)), np.zeros((3, 1)))
