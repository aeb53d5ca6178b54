"""Fit a gate from a model's own training films, turned, mirrored and inverted, and from pictures that are no films.

Only arrays are seen here; ``training.gate`` makes them from a bundle and its films.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from cxrcore.gate.input_gate import ANSWERS, THRESHOLDS, TURNS, InputGate

COMPONENTS = 96  # principal components kept of the features, and of the small film
HIDDEN = 96
EPOCHS = 60
REFUSED = 0.01  # share of validation films, half of them in other tones, that each refusal and each remark may hit
MARGIN = 1.5  # logits: at least so sure, since films of other hospitals are less clear than validation films


@dataclass(frozen=True)
class GateExamples:
    """What a network makes of N pictures, and what was done to each."""

    pooled: np.ndarray  # float32 (N, K): the mean of the last feature map
    small: np.ndarray  # float32 (N, SIDE * SIDE), of ``small_film``
    chest: np.ndarray  # bool (N,)
    turn: np.ndarray  # int (N,): quarter turns, counter-clockwise
    inverted: np.ndarray  # bool (N,)
    mirrored: np.ndarray  # bool (N,)
    cropped: np.ndarray  # bool (N,)

    def where(self, rows: np.ndarray) -> GateExamples:
        """The examples that a mask chooses."""
        return GateExamples(*(getattr(self, field.name)[rows] for field in fields(self)))

    @property
    def upright(self) -> np.ndarray:
        """Which are films as they should be, bool (N,)."""
        upright: np.ndarray = self.chest & (self.turn == 0) & ~(self.inverted | self.mirrored | self.cropped)
        return upright


def fit_gate(train: GateExamples, val: GateExamples, seed: int = 0) -> InputGate:
    """The gate fitted on ``train``; each refusal hits ``REFUSED`` of the films of ``val`` that are as they should be.

    Raises ValueError without films, or without pictures that are no films, in either.
    """
    for part in (train, val):
        if not part.upright.any() or part.chest.all():
            raise ValueError("a gate needs upright films and pictures that are no films")
    feature_mean, feature_axes = _whitening(train.pooled[train.upright])
    small_mean, small_axes = _whitening(train.small[train.chest])
    tensors = {
        "feature_mean": feature_mean,
        "feature_axes": feature_axes,
        "small_mean": small_mean,
        "small_axes": small_axes,
        **_train(
            np.hstack([(train.pooled - feature_mean) @ feature_axes, (train.small - small_mean) @ small_axes]),
            train,
            seed,
        ),
        "thresholds": np.zeros(len(THRESHOLDS), np.float32),
    }
    return InputGate(tensors | {"thresholds": _thresholds(InputGate(tensors), val)})


def _whitening(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (K,) and axes (K, P) that give the rows' leading principal components a deviation of 1."""
    mean = rows.mean(axis=0)
    _, deviations, axes = np.linalg.svd(rows - mean, full_matrices=False)
    kept = min(COMPONENTS, int((deviations > 1e-3 * deviations[0]).sum()))
    scale = np.sqrt(len(rows) - 1) / deviations[:kept]
    return mean.astype(np.float32), (axes[:kept].T * scale).astype(np.float32)


def _train(inputs: np.ndarray, examples: GateExamples, seed: int) -> dict[str, np.ndarray]:
    """A network with one hidden layer; each question is asked only of the pictures that it makes sense for."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Linear(inputs.shape[1], HIDDEN), nn.ReLU(), nn.Dropout(0.2), nn.Linear(HIDDEN, len(ANSWERS))
        )
        x = torch.from_numpy(np.clip(inputs, -8, 8).astype(np.float32))
        chest, inverted, mirrored, cropped = (
            torch.from_numpy(getattr(examples, name).astype(np.float32))
            for name in ("chest", "inverted", "mirrored", "cropped")
        )
        turn = torch.from_numpy(examples.turn.astype(np.int64))
        plain = chest.bool() & (turn == 0) & ~inverted.bool()
        balance = torch.where(chest > 0, 1 / chest.mean(), 1 / (1 - chest).mean()) / 2
        optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.1)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
        for _ in range(EPOCHS):
            for rows in torch.split(torch.randperm(len(x)), 128):
                noisy = x[rows] + 0.2 * torch.randn_like(x[rows])
                answers = network(noisy)
                is_chest, is_plain = chest[rows].bool(), plain[rows]
                loss = F.binary_cross_entropy_with_logits(answers[:, 0], chest[rows], balance[rows])
                if is_chest.any():
                    loss = loss + F.cross_entropy(answers[is_chest, TURNS], turn[rows][is_chest])
                    loss = loss + F.binary_cross_entropy_with_logits(answers[is_chest, 5], inverted[rows][is_chest])
                if is_plain.any():
                    loss = loss + F.binary_cross_entropy_with_logits(answers[is_plain, 6], mirrored[rows][is_plain])
                    loss = loss + F.binary_cross_entropy_with_logits(answers[is_plain, 7], cropped[rows][is_plain])
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
            schedule.step()
    weights = {name: tensor.detach().numpy().T.copy() for name, tensor in network.state_dict().items()}
    return {
        "hidden_weight": weights["0.weight"],
        "hidden_bias": weights["0.bias"],
        "answer_weight": weights["3.weight"],
        "answer_bias": weights["3.bias"],
    }


def _thresholds(gate: InputGate, val: GateExamples) -> np.ndarray:
    """By THRESHOLDS: what few validation films pass. A turn or an inversion must be likelier than not by MARGIN."""
    logits, distances = gate.answers(val.pooled, val.small)
    good = val.upright
    turned = logits[:, TURNS][:, 1:].max(axis=1) - logits[:, TURNS.start]
    found = {
        "chest": min(float(np.quantile(logits[good, 0], REFUSED)), MARGIN),
        "turned": max(float(np.quantile(turned[good], 1 - REFUSED)), MARGIN),
        "inverted": max(float(np.quantile(logits[good, 5], 1 - REFUSED)), MARGIN),
        "cropped": max(float(np.quantile(logits[good, 7], 1 - REFUSED)), MARGIN),
        "mirrored": max(float(np.quantile(logits[good, 6], 1 - REFUSED)), MARGIN),
        "distance": float(np.quantile(distances[good], 1 - REFUSED)),
    }
    return np.array([found[name] for name in THRESHOLDS], np.float32)
