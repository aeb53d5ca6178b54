"""Losses, summed over known labels, so that the parts of a batch add up to the whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cxrcore.findings import Kind
from cxrcore.training.config import LossConfig

Loss = Callable[[Tensor, Tensor], Tensor]  # logits and targets, both (n, C), to the loss of every label, (n, C)


def make_loss(config: LossConfig, name: str, targets: np.ndarray, device: torch.device) -> Loss:
    """A function from logits and targets, (n, C), to the loss of every label, float32 (n, C), 0 where unknown.

    ``targets``, (N, C): those of the training films, which class weights are computed from. Cross-entropy of exclusive
    classes is in the columns of the true classes, so its sum over a row is the film's loss. A film of which only some
    classes are known to be absent has the loss -log p(one of the others) (partial labels, Jin 2002), in the first of
    these columns. Divide sums by ``labels_counted``.
    """
    weights = label_weights(config, name, targets)
    positive, negative = (torch.from_numpy(w).to(device) for w in weights)
    smoothing = config.label_smoothing

    def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
        whole = ~targets.isnan().any(1, keepdim=True)
        absent = targets == 0
        smooth = targets.nan_to_num() * (1 - smoothing) + smoothing / targets.shape[1]
        logp = logits.float().log_softmax(1)
        one_of = logp.masked_fill(absent, -torch.inf).logsumexp(1, keepdim=True)
        first = (~absent).int().argmax(1, keepdim=True)
        partial = torch.zeros_like(logp).scatter(1, first, one_of) * absent.any(1, keepdim=True)
        return -torch.where(whole, smooth * positive * logp, partial)

    def binary(logits: Tensor, targets: Tensor) -> Tensor:
        targets, known = _known(targets)
        targets = targets * (1 - smoothing) + smoothing / 2
        present = functional.logsigmoid(logits.float())
        absent = functional.logsigmoid(-logits.float())
        if name == "focal":  # (1 - p)^gamma log p, and p^gamma log(1 - p)
            p = logits.float().sigmoid()
            present, absent = present * (1 - p) ** config.focal_gamma, absent * p**config.focal_gamma
        return -known * (positive * targets * present + negative * (1 - targets) * absent)

    return cross_entropy if name == "cross_entropy" else binary


def label_weights(config: LossConfig, name: str, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights of positive and of negative labels, two float32 (C,), from training targets (N, C), NaN unknown.

    Exclusive classes: inverse frequency with mean 1 over films, or ``loss.weights``; the second array is all ones and
    unused. Findings: positives by twice the share of negatives and negatives by twice that of positives, so that the
    mean weight stays near 1 (Rajpurkar 2017, arXiv:1711.05225).
    """
    classes = targets.shape[1]
    ones = np.ones(classes, dtype=np.float32)
    if config.weights:
        return np.array(config.weights, dtype=np.float32), ones
    if not config.class_weights:
        return ones, ones
    known = ~np.isnan(targets)
    if name == "cross_entropy":
        counts = np.maximum(np.nansum(targets, axis=0), 1)
        return (known.all(axis=1).sum() / (classes * counts)).astype(np.float32), ones
    share = np.nansum(targets, axis=0) / np.maximum(known.sum(axis=0), 1)
    share = np.where((share == 0) | (share == 1), 0.5, share)  # one kind of label only: nothing to balance
    return (2 * (1 - share)).astype(np.float32), (2 * share).astype(np.float32)


def labels_counted(targets: np.ndarray, name: str) -> int:
    """The divisor of a sum of losses over ``targets`` (n, C): films with a known class, or known labels; 1 or more."""
    known = ~np.isnan(targets)
    return max(int(known.any(axis=1).sum() if name == "cross_entropy" else known.sum()), 1)


def undo_weights(network: Any, weights: tuple[np.ndarray, np.ndarray], kind: Kind) -> None:
    """Subtract the shift that class weights add to the head's biases, in place.

    A weighted loss is least at odds multiplied by the ratio of the weights, hence ``bias -= log(positive / negative)``
    (the logit adjustment of Menon 2021, arXiv:2007.07314). Then the logits match the prevalence in the training films.
    Temperature scaling cannot remove a shift, and findings too rare for Platt scaling would keep theirs.
    """
    positive, negative = weights
    shift = np.log(positive / (1 if kind is Kind.MULTICLASS else negative))
    with torch.no_grad():
        bias = network.get_classifier().bias
        bias -= torch.from_numpy(shift).to(bias)


def _known(targets: Tensor) -> tuple[Tensor, Tensor]:
    known = (~targets.isnan()).to(targets.dtype)
    return targets.nan_to_num(), known
