"""Fit a gate from a model's own films, turned, mirrored and inverted, and from pictures that are no films.

How a film lies is learned from training films. What a chest is, is learned from validation films: the features of films
that a network was trained on are unlike those of any others. Only arrays are seen here; ``training.gate`` makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cxrcore.gate.input_gate import CROPPED, INVERTED, MIRRORED, THRESHOLDS, TURNS, VIEW_ANSWERS, InputGate

FEATURE_COMPONENTS, SMALL_COMPONENTS = 48, 96  # principal components kept, at most
CHEST_HIDDEN, VIEW_HIDDEN = 96, 256
EPOCHS = 30
REFUSED = 0.01  # share of validation films, half of them in other tones, that a refusal or a remark may hit
MARGIN = 1.0  # logits: a turn, an inversion or a remark must be likelier than not by so much
MISSED = 0.01  # share of other pictures that may pass for a chest, as far as those held out tell
STRICTNESS = 0.33  # where the threshold for a chest lies between other pictures and films: films of hospitals that
# were not seen score lower than validation films


@dataclass(frozen=True)
class Views:
    """N films at SIDE x SIDE points, and what was done to each."""

    small: np.ndarray  # float32 (N, SIDE * SIDE), of ``small_film``
    turn: np.ndarray  # int (N,): quarter turns, counter-clockwise
    inverted: np.ndarray  # bool (N,)
    mirrored: np.ndarray  # bool (N,)
    cropped: np.ndarray  # bool (N,)

    def where(self, rows: np.ndarray) -> Self:
        """Those that a mask chooses."""
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))

    @property
    def orientated(self) -> np.ndarray:
        """Which are neither turned nor inverted, bool (N,)."""
        orientated: np.ndarray = (self.turn == 0) & ~self.inverted
        return orientated


@dataclass(frozen=True)
class GateExamples(Views):
    """Films and pictures that are no films, with what a network makes of them."""

    features: np.ndarray  # float32 (N, K), of ``Classifier.gate_features``
    chest: np.ndarray  # bool (N,)

    @property
    def upright(self) -> np.ndarray:
        """Which are films as they should be, bool (N,)."""
        upright: np.ndarray = self.chest & self.orientated & ~(self.mirrored | self.cropped)
        return upright


def fit_gate(
    train: GateExamples, view_network: Mapping[str, np.ndarray], val: GateExamples, seed: int = 0
) -> InputGate:
    """A gate that learns from ``train`` what a chest is, with thresholds from ``val``.

    view_network: how films lie, of ``fit_view_network``. Raises ValueError without upright films, or without pictures
    that are no films, in ``train`` or ``val``.
    """
    for part in (train, val):
        if not part.upright.any() or part.chest.all():
            raise ValueError("a gate needs upright films and pictures that are no films")
    learned = train.where(train.upright | ~train.chest)
    feature_mean, feature_axes = _whitening(learned.features, FEATURE_COMPONENTS)
    whitened = (learned.features - feature_mean) @ feature_axes
    own_mean, own_axes = _whitening(whitened[learned.chest], FEATURE_COMPONENTS)
    tensors = {
        "feature_mean": feature_mean,
        "feature_axes": feature_axes,
        "own_mean": own_mean,
        "own_axes": own_axes,
        **_network("chest", whitened, CHEST_HIDDEN, 1, _chest_loss(learned), seed),
        **view_network,
        "thresholds": np.zeros(len(THRESHOLDS), np.float32),
    }
    return InputGate(tensors | {"thresholds": _thresholds(InputGate(tensors), val)})


def fit_view_network(views: Views, seed: int = 0) -> dict[str, np.ndarray]:
    """The tensors of a gate that tell how films lie, learned from these views."""
    small_mean, small_axes = _whitening(views.small, SMALL_COMPONENTS)
    points = (views.small - small_mean) @ small_axes
    return {
        "small_mean": small_mean,
        "small_axes": small_axes,
        **_network("view", points, VIEW_HIDDEN, len(VIEW_ANSWERS), _view_loss(views), seed),
    }


def _whitening(rows: np.ndarray, components: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean (K,) and axes (K, P) that give the rows' leading principal components a deviation of 1."""
    mean = rows.mean(axis=0)
    _, deviations, axes = np.linalg.svd(rows - mean, full_matrices=False)
    kept = min(components, int((deviations > 1e-3 * deviations[0]).sum()))
    scale = np.sqrt(len(rows) - 1) / deviations[:kept]
    return mean.astype(np.float32), (axes[:kept].T * scale).astype(np.float32)


Loss = Callable[[Tensor, Tensor], Tensor]  # of logits (n, answers) and the rows (n,) they are of


def _network(
    name: str, inputs: np.ndarray, hidden: int, answers: int, loss_of: Loss, seed: int
) -> dict[str, np.ndarray]:
    """Train a network with one hidden layer; its tensors, called by ``name``."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Linear(inputs.shape[1], hidden), nn.ReLU(), nn.Dropout(0.2), nn.Linear(hidden, answers)
        )
        x = torch.from_numpy(np.clip(inputs, -8, 8).astype(np.float32))
        optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.1)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
        for _ in range(EPOCHS):
            for rows in torch.split(torch.randperm(len(x)), 128):
                optimizer.zero_grad()
                torch.autograd.backward(loss_of(network(x[rows] + 0.2 * torch.randn_like(x[rows])), rows))
                optimizer.step()
            schedule.step()
    weights = {key: tensor.detach().numpy().T.copy() for key, tensor in network.state_dict().items()}
    return {
        f"{name}_hidden_weight": weights["0.weight"],
        f"{name}_hidden_bias": weights["0.bias"],
        f"{name}_answer_weight": weights["3.weight"],
        f"{name}_answer_bias": weights["3.bias"],
    }


def _chest_loss(examples: GateExamples) -> Loss:
    chest = torch.from_numpy(examples.chest.astype(np.float32))
    balance = torch.where(chest > 0, 1 / chest.mean(), 1 / (1 - chest).mean()) / 2

    def loss(logits: Tensor, rows: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits[:, 0], chest[rows], balance[rows])

    return loss


def _view_loss(views: Views) -> Loss:
    """Each question is asked only of the films that it makes sense for.

    Not whether a cropped film is turned or inverted, since small windows taught as upright blur both questions; and not
    whether a film that is turned or inverted is mirrored or cropped.
    """
    turn, orientated = torch.from_numpy(views.turn.astype(np.int64)), torch.from_numpy(views.orientated)
    inverted, mirrored, cropped = (
        torch.from_numpy(column.astype(np.float32)) for column in (views.inverted, views.mirrored, views.cropped)
    )

    def loss(logits: Tensor, rows: Tensor) -> Tensor:
        whole, asked = cropped[rows] == 0, orientated[rows]
        total = F.cross_entropy(logits[whole, TURNS], turn[rows][whole])
        total = total + F.binary_cross_entropy_with_logits(logits[whole, INVERTED], inverted[rows][whole])
        for column, truth in ((MIRRORED, mirrored), (CROPPED, cropped)):
            if asked.any():
                total = total + F.binary_cross_entropy_with_logits(logits[asked, column], truth[rows][asked])
        return total

    return loss


def with_films(gate: InputGate, features: np.ndarray, small: np.ndarray) -> InputGate:
    """The gate with the border of FAR_FROM_TRAINING moved outwards: at most REFUSED of these N films lie beyond it.

    features: (N, K); small: (N, SIDE * SIDE), both of films that the gate accepts. The other thresholds stay: that of a
    chest lies between films and pictures of other things, of which there are none here, and films that were accepted
    cannot tell how sure a turn must be.
    """
    thresholds, place = gate.tensors["thresholds"].copy(), THRESHOLDS.index("distance")
    border = float(np.quantile(gate.answers(features, small).distance, 1 - REFUSED))
    thresholds[place] = max(float(thresholds[place]), border)
    return InputGate(gate.tensors | {"thresholds": thresholds})


def _thresholds(gate: InputGate, val: GateExamples) -> np.ndarray:
    """By THRESHOLDS. For the chest between the lowest films and the highest of other pictures, nearer to these."""
    answers = gate.answers(val.features, val.small)
    good, spoilt = val.upright, val.chest & ~val.orientated
    others = float(np.quantile(answers.chest[~val.chest], 1 - MISSED))
    lowest = float(np.quantile(answers.chest[spoilt], REFUSED)) if spoilt.any() else others

    def above(values: np.ndarray) -> float:
        return max(float(np.quantile(values[good], 1 - REFUSED)), MARGIN)

    found = {
        "chest": others + STRICTNESS * (float(np.quantile(answers.chest[good], REFUSED)) - others),
        "spoilt": max(lowest, float(np.median(answers.chest[~val.chest]))),
        "turned": above(answers.turned),
        "inverted": above(answers.views[:, INVERTED]),
        "mirrored": above(answers.views[:, MIRRORED]),
        "cropped": above(answers.views[:, CROPPED]),
        "distance": float(np.quantile(answers.distance[good], 1 - REFUSED)),
    }
    return np.array([found[name] for name in THRESHOLDS], np.float32)
