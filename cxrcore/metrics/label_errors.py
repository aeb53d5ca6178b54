"""Labels that a model's probabilities contradict: confident learning (Northcutt 2021, arXiv:1911.00068)."""

from __future__ import annotations

import numpy as np


def likely_label_errors(targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Films whose label is likely wrong, int (M,), the most contradicted first.

    ``targets`` (N,) is 0, 1 or NaN (left out), ``probabilities`` (N,) in [0, 1] come from a model that did not learn
    from these films. A film counts as confidently of a class where its probability reaches the mean probability of the
    films labelled so (eq. 1; the likelier class where both are reached). Listed are films that are confidently of the
    other class, which is also the likelier one; ranked by the probability of the given label. As cleanlab's
    ``find_label_issues(filter_by="confident_learning", return_indices_ranked_by="self_confidence")``. Empty with one
    class.
    """
    rows = np.flatnonzero(~np.isnan(targets))
    given = targets[rows].astype(np.int64)
    if len(np.unique(given)) < 2:
        return np.zeros(0, np.int64)
    p = probabilities[rows].astype(np.float64)
    both = np.column_stack([1 - p, p])
    thresholds = np.array([both[given == label, label].mean() for label in (0, 1)])
    confident = both >= thresholds - 1e-6
    other, each = 1 - given, np.arange(len(given))
    wrong = confident[each, other] & (both[each, other] > both[each, given])
    found = np.flatnonzero(wrong)
    ranked: np.ndarray = rows[found[np.argsort(both[found, given[found]], kind="stable")]]
    return ranked
