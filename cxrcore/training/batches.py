"""The batches of an epoch, and the share of each that one process computes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from cxrcore.datasets.cache import DecodedFilms
from cxrcore.training.config import Recipe
from cxrcore.training.losses import labels_counted


@dataclass(frozen=True, eq=False)
class Batch:
    """One step's films: the whole batch by index, and this process's share of them as tensors."""

    step: int  # within the epoch, from 0
    rows: np.ndarray  # int (n,), films of the whole batch
    count: int  # labels in the whole batch, see losses.labels_counted
    parts: list[tuple[Tensor, Tensor]]  # packed films and targets; optimizer.accumulate parts


def batches_of(
    films: DecodedFilms, recipe: Recipe, epoch: int, first_step: int, accelerator: Accelerator
) -> Iterator[Batch]:
    """Yield the batches of an epoch from ``first_step`` on, in an order that (seed, epoch) determines.

    Batches differ in size by at most one film, so that none is too small for batch statistics.
    """
    options, processes, rank = recipe.optimizer, accelerator.num_processes, accelerator.process_index
    targets = films.table.targets
    order = np.random.default_rng((recipe.seed, epoch)).permutation(len(films))
    for step, rows in enumerate(np.array_split(order, math.ceil(len(films) / options.batch_size))):
        if step < first_step:
            continue
        parts = []
        for part in np.array_split(rows, options.accumulate):
            share = part[rank::processes]
            packed = torch.from_numpy(films.pixels[films.rows[share]])
            if accelerator.device.type == "cuda":
                packed = packed.pin_memory()
            parts.append((packed, torch.from_numpy(targets[share])))
        yield Batch(step, rows, labels_counted(targets[rows], recipe.loss_name), parts)
