"""One forward pass over a set of films, in batches that several processes may share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from cxrcore.datasets.cache import DecodedFilms
from cxrcore.models.classifier import Classifier

BATCH = 64  # fixed, so that a film's logits do not depend on how many processes share the work


def forward_films(
    films: DecodedFilms,
    forward: Callable[[Tensor], Sequence[Tensor]],
    device: torch.device,
    accelerator: Accelerator | None = None,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> list[np.ndarray]:
    """Run ``forward`` on every film exactly once; returns its outputs, float32 (N, ...), in the order of ``films``.

    ``forward`` takes a batch as ``unpack_on`` gives it and returns one or more tensors with a row for each film. The
    processes of ``accelerator`` share the batches, and each gets the whole result. ``progress`` wraps the batches.
    """
    rank, processes = (accelerator.process_index, accelerator.num_processes) if accelerator else (0, 1)
    batches: list[tuple[int, list[np.ndarray]]] = []
    for start in progress(range(0, len(films), BATCH)[rank::processes]):
        packed = torch.from_numpy(films.pixels[films.rows[start : start + BATCH]])
        with torch.inference_mode():
            outputs = forward(unpack_on(packed, device))
        batches.append((start, [output.float().cpu().numpy() for output in outputs]))
    if processes > 1:
        batches = gather_object(batches)
    batches.sort(key=lambda batch: batch[0])
    return [np.concatenate(parts) for parts in zip(*(outputs for _, outputs in batches), strict=True)]


def logits_and_maps(
    model: Classifier, films: DecodedFilms, accelerator: Accelerator | None = None, maps: bool = True
) -> tuple[np.ndarray, np.ndarray | None]:
    """Logits (N, C) and class activation maps (N, C, h, w); no maps where the head gives none or ``maps`` is false."""

    def forward(batch: Tensor) -> list[Tensor]:
        logits, activations = model.forward(model.preprocessing.normalise(batch))
        return [logits] if activations is None or not maps else [logits, activations]

    outputs = forward_films(films, forward, model.device, accelerator)
    return outputs[0], outputs[1] if len(outputs) > 1 else None


def unpack_on(packed: Tensor, device: torch.device) -> Tensor:
    """Films as ``preprocessing.pack`` stores them, uint16 (n, h, w), as float32 (n, 1, h, w) in [0, 1] on ``device``.

    They travel as integers, half the size; the values are those of ``preprocessing.unpack``, bit for bit.
    """
    whole = packed.view(torch.int16).to(device, non_blocking=True).to(torch.int32) & 0xFFFF
    # A number instead of a tensor would be multiplied by its rounded inverse on a GPU.
    return (whole.float() / torch.tensor(65535.0, device=device)).unsqueeze(1)
