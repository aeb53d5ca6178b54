"""Labels that probabilities contradict. Oracle: cleanlab 2.9, whose answers on the same numbers are written below."""

import numpy as np

from cxrcore.metrics.label_errors import likely_label_errors


def test_the_films_and_their_order_are_cleanlabs() -> None:
    """Of ``find_label_issues(filter_by="confident_learning", return_indices_ranked_by="self_confidence")``."""
    rng = np.random.default_rng(7)
    truth = rng.random(120) < 0.4
    p = np.clip(rng.normal(np.where(truth, 0.7, 0.25), 0.15), 0.01, 0.99)
    given, wrong = truth.copy(), rng.choice(120, 10, replace=False)
    given[wrong] = ~given[wrong]
    found = likely_label_errors(given.astype(float), p)
    assert found.tolist() == [100, 44, 51, 69, 74, 97]
    assert set(found) <= set(wrong)
    rare = rng.beta(1, 12, 400)
    labels = (rng.random(400) < rare).astype(float)
    assert likely_label_errors(labels, rare).tolist() == [195, 363, 76, 211, 218, 166, 113, 87, 321, 53]


def test_unknown_labels_are_left_out_and_one_class_has_no_errors() -> None:
    y, p = np.array([1, 0, np.nan, 1, 0, 1, 0]), np.array([0.9, 0.1, 0.5, 0.05, 0.2, 0.8, 0.1])
    assert likely_label_errors(y, p).tolist() == [3]
    assert likely_label_errors(np.ones(4), p[:4]).tolist() == []
