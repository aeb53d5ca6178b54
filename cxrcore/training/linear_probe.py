"""Logistic regression on a frozen network's pooled features, as one linear layer of that network.

The ridge penalty is chosen by cross-validation by patient. Standardisation becomes part of the layer, since
w ((x - m) / s) + b = (w / s) x + (b - w m / s). Only arrays are seen here; ``new_head`` makes them.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from cxrcore.bundle.calibrators import MIN_FILMS
from cxrcore.findings import Kind

FOLDS = 5
STRENGTHS = tuple(10.0 ** np.arange(-5, 1))  # scikit-learn's C, the inverse of the ridge penalty, weakest last
STILL = 1e-3  # share of the median deviation below which a feature is taken as constant: dead units would blow up


@dataclass(frozen=True, eq=False)
class LinearHead:
    """A linear layer on pooled features: logits are ``features @ weight.T + bias``."""

    weight: np.ndarray  # float64 (C, K)
    bias: np.ndarray  # float64 (C,)

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Float64 (N, C), of features (N, K)."""
        logits: np.ndarray = features @ self.weight.T + self.bias
        return logits


@dataclass(frozen=True, eq=False)
class Probe:
    """A head that learned from all films, and for each fold one that learned from the other folds' films."""

    head: LinearHead
    fold_heads: tuple[LinearHead, ...]  # FOLDS
    strengths: tuple[float, ...]  # the head's C: of each finding, or one of all exclusive classes


def patient_folds(patients: np.ndarray, targets: np.ndarray, seed: int = 0) -> np.ndarray:
    """A fold for each film, int (N,) in 0..FOLDS-1, no patient in two; each film's rarest finding is spread alike.

    patients: (N,) str, of at least FOLDS patients; targets: (N, C) of 0, 1 or NaN.
    """
    counts = (targets == 1).sum(axis=0)
    strata = np.where((targets == 1).any(axis=1), np.where(targets == 1, counts, np.inf).argmin(axis=1), -1)
    strata[np.isin(strata, [k for k, n in zip(*np.unique(strata, return_counts=True), strict=True) if n < FOLDS])] = -1
    folds = np.empty(len(targets), int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that a stratum has fewer films than there are folds
        splits = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(targets, strata, patients)
        for fold, (_, held_out) in enumerate(splits):
            folds[held_out] = fold
    return folds


def learnable(targets: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Findings with MIN_FILMS films with and without them, and some of either outside each fold; bool (C,)."""
    enough = [min((column == 1).sum(), (column == 0).sum()) >= MIN_FILMS for column in targets.T]
    spread = [
        all((column[folds != fold] == value).any() for fold in range(FOLDS) for value in (0, 1)) for column in targets.T
    ]
    both: np.ndarray = np.array(enough) & np.array(spread)
    return both


def fit_probe(features: np.ndarray, targets: np.ndarray, kind: Kind, folds: np.ndarray) -> Probe:
    """Ridge-regularised logistic regression, a model a finding or one multinomial model of exclusive classes.

    features: (N, K); targets: (N, C) of 0, 1 or NaN (left out); folds: (N,), of ``patient_folds``. C has the least log
    loss on held-out folds. A fold's own head takes the C that the films of the other folds prefer, so that its held-out
    films choose nothing.
    """
    features = np.asarray(features, np.float64)
    if kind is Kind.MULTICLASS:
        rows = ~np.isnan(targets).any(axis=1)
        return _fit_output(features[rows], targets[rows].argmax(axis=1), folds[rows])
    known = [~np.isnan(column) for column in targets.T]
    probes = [
        _fit_output(features[rows], column[rows].astype(int), folds[rows], binary=True)
        for column, rows in zip(targets.T, known, strict=True)
    ]
    return Probe(
        _stacked([probe.head for probe in probes]),
        tuple(_stacked(heads) for heads in zip(*(probe.fold_heads for probe in probes), strict=True)),
        tuple(probe.strengths[0] for probe in probes),
    )


def _fit_output(features: np.ndarray, classes: np.ndarray, folds: np.ndarray, binary: bool = False) -> Probe:
    """classes: int (N,). ``binary``: one logit for class 1, else a logit a class."""
    by_fold = [_heads(features[folds != fold], classes[folds != fold], STRENGTHS, binary) for fold in range(FOLDS)]
    losses = np.array(
        [
            [_loss(head.logits(features[folds == fold]), classes[folds == fold]) for head in heads]
            for fold, heads in enumerate(by_fold)
        ]
    )  # (FOLDS, strengths)
    total = losses.sum(axis=0)
    best = int(total.argmin())
    (head,) = _heads(features, classes, STRENGTHS[best : best + 1], binary)
    fold_heads = tuple(heads[int((total - own).argmin())] for heads, own in zip(by_fold, losses, strict=True))
    return Probe(head, fold_heads, (STRENGTHS[best],))


def _heads(features: np.ndarray, classes: np.ndarray, strengths: Sequence[float], binary: bool) -> list[LinearHead]:
    """A head for each C, each fit starting from the last; standardisation by these films alone."""
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    scale = np.where(deviation > STILL * np.median(deviation), deviation, np.inf)
    standard = (features - mean) / scale
    model = LogisticRegression(warm_start=True, max_iter=2000)
    heads = []
    for strength in strengths:
        model.set_params(C=strength).fit(standard, classes)
        weight = model.coef_ / scale
        bias = model.intercept_ - weight @ mean
        if len(weight) == 1 and not binary:  # scikit-learn's one logit of two classes
            weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        heads.append(LinearHead(weight, bias))
    return heads


def _loss(logits: np.ndarray, classes: np.ndarray) -> float:
    """The log loss, summed over films."""
    if logits.shape[1] == 1:
        logits = np.column_stack([np.zeros(len(logits)), logits])
    return float((logsumexp(logits, axis=1) - logits[np.arange(len(logits)), classes]).sum())


def _stacked(heads: Sequence[LinearHead]) -> LinearHead:
    return LinearHead(np.concatenate([head.weight for head in heads]), np.concatenate([head.bias for head in heads]))
