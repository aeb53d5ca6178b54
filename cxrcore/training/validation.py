"""Loss and AUROC on the validation films, after every epoch."""

from __future__ import annotations

from dataclasses import replace
from typing import TypedDict

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from cxrcore.bundle.calibrators import to_probabilities
from cxrcore.datasets.cache import DecodedFilms
from cxrcore.errors import TrainingStopped
from cxrcore.evaluation.forward import forward_films
from cxrcore.metrics.discrimination import auroc
from cxrcore.training.config import Recipe
from cxrcore.training.losses import labels_counted, make_loss
from cxrcore.training.precision import autocast


class ValidationScores(TypedDict):
    """Scores of one epoch, as in history.jsonl."""

    val_loss: float  # mean over known labels, without class weights or smoothing
    val_auroc: float | None  # mean over findings with both kinds of film; None where there is none


def validate(
    network: nn.Module, recipe: Recipe, films: DecodedFilms, accelerator: Accelerator, dtype: torch.dtype
) -> ValidationScores:
    """Score ``network`` on films without augmentation; matrix products and convolutions run in ``dtype``.

    Raises TrainingStopped where a logit is not finite.
    """
    network.eval()

    def forward(batch: Tensor) -> list[Tensor]:
        inputs = recipe.preprocessing.normalise(batch)
        with autocast(accelerator.device, dtype):
            return [network(inputs.contiguous(memory_format=torch.channels_last))]

    (logits,) = forward_films(films, forward, accelerator.device, accelerator)
    finite = np.isfinite(logits).all(axis=1)
    if not finite.all():
        raise TrainingStopped(
            f"after this epoch the network's answers are no numbers, first on validation film "
            f"{films.table.images[int(np.argmin(finite))]}; try a smaller optimizer.lr, or optimizer.precision=fp32"
        )
    targets = films.table.targets
    plain = replace(recipe.loss, class_weights=False, weights=(), label_smoothing=0.0)
    name = "bce" if recipe.loss_name == "focal" else recipe.loss_name
    losses = make_loss(plain, name, targets, torch.device("cpu"))(torch.from_numpy(logits), torch.from_numpy(targets))
    probabilities = to_probabilities(logits, recipe.kind)
    areas = [auroc(targets[:, column], probabilities[:, column]).value for column in range(targets.shape[1])]
    defined = [area for area in areas if area is not None]
    return {
        "val_loss": float(losses.sum()) / labels_counted(targets, name),
        "val_auroc": float(np.mean(defined)) if defined else None,
    }
