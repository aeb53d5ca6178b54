"""Matrices against scikit-learn and pandas, mistakes against a planted one."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix as sklearn_matrix

from cxrcore.metrics.confusion import co_occurrence, confusion_matrix, mistaken_for

NAMES = ("A", "B", "C")


def test_exclusive_classes_equal_scikit_learn():
    rng = np.random.default_rng(0)
    true, decided = rng.integers(0, 2, 300), rng.integers(0, 3, 300)  # nobody has C
    targets = np.eye(3)[true]
    targets[::10] = np.nan
    kept = np.arange(300) % 10 != 0
    found = confusion_matrix(targets, np.eye(3)[decided] == 1, NAMES)
    np.testing.assert_array_equal(found.counts, sklearn_matrix(true[kept], decided[kept], labels=[0, 1, 2]))
    np.testing.assert_allclose(found.shares[:2].sum(axis=1), 1)
    assert np.isnan(found.shares[2]).all()
    plain = found.to_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["shares"][2] == [None] * 3


def test_exclusive_classes_must_be_exclusive():
    with pytest.raises(ValueError, match="exactly one"):
        confusion_matrix(np.ones((4, 3)), np.eye(3)[[0, 1, 2, 0]] == 1, NAMES)
    with pytest.raises(ValueError, match="expected"):
        confusion_matrix(np.ones((4, 2)), np.ones((4, 2)), NAMES)


def test_co_occurrence_counts_films_on_which_both_are_known():
    rng = np.random.default_rng(0)
    targets = (rng.random((400, 3)) < 0.4).astype(float)
    targets[:, 1] = np.where(targets[:, 0] == 1, rng.random(400) < 0.8, targets[:, 1])
    targets[rng.random((400, 3)) < 0.2] = np.nan
    found, frame = co_occurrence(targets, NAMES), pd.DataFrame(targets, columns=NAMES)
    for a, row in enumerate(NAMES):
        for b, column in enumerate(NAMES):
            both = frame[[row, column]].dropna() if a != b else frame[[row]].dropna()
            assert found.counts[a, b] == int((both[row] * both[column]).sum() if a != b else both[row].sum())
            assert found.shares[a, b] == pytest.approx(both.loc[both[row] == 1, column].mean())
    assert found.shares[0, 1] > 0.7


def test_a_planted_mistake_is_found():
    rng = np.random.default_rng(1)
    targets = (rng.random((4000, 3)) < [0.1, 0.2, 0.2]).astype(float)
    decisions = targets == 1
    taken = (targets[:, 1] == 1) & (targets[:, 0] == 0) & (rng.random(4000) < 0.5)
    decisions[taken, 0] = True  # B is called A every other time
    decisions[rng.random(4000) < 0.02, 0] = True
    found = mistaken_for(targets, decisions, NAMES)
    wrong = decisions[:, 0] & (targets[:, 0] == 0)
    assert found.alarms[0, 1] == wrong.sum()
    assert found.share[0, 1] == pytest.approx(targets[wrong, 1].mean())
    assert found.base[0, 1] == pytest.approx(targets[targets[:, 0] == 0, 1].mean())
    assert found.lift[0, 1] > 3.5
    assert found.lift[0, 2] == pytest.approx(1, abs=0.3)
    assert np.isnan(found.share[1, 0])  # B was never called wrongly
    plain = found.to_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
