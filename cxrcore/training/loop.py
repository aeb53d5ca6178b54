"""One training run, read top to bottom: set up, an epoch, a checkpoint, again, and the network at the end.

Deterministic: every random number comes from a generator seeded by (seed, epoch, step), so the same recipe on the same
films, threads and library gives the same weights, interrupted or not. Several processes share each batch; losses are
sums divided by what the whole batch holds, so the gradient does not depend on how many share it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn
from torch.distributed import broadcast

from cxrcore.bundle.calibrators import to_probabilities
from cxrcore.errors import InvalidRecipe, TrainingStopped
from cxrcore.films.preprocessing import Preprocessing
from cxrcore.metrics.discrimination import auroc
from cxrcore.models.distributed import join_processes
from cxrcore.training.averaging import average_of
from cxrcore.training.checkpoint import BEST, CHECKPOINT, load_checkpoint, load_tensors, save_checkpoint, save_tensors
from cxrcore.training.config import Recipe
from cxrcore.training.losses import Loss, labels_counted, make_loss
from cxrcore.training.precision import autocast, scaler_for, training_dtype
from cxrcore.training.prefetch import Ahead
from cxrcore.training.progress import Progress
from cxrcore.training.reporters import Watcher
from cxrcore.training.schedules import rate
from cxrcore.training.unfreezing import set_trainable, train_mode

EVALUATION_BATCH = 64  # fixed, so that a film's numbers do not depend on how many processes share the work
_OUT_OF_MEMORY = (torch.OutOfMemoryError, MemoryError)


@dataclass(frozen=True, eq=False)
class Films:
    """Films at the network's size with what is known of them; ``pixels`` may be a mapped file of more films."""

    pixels: np.ndarray  # uint16 (M, h, w), see preprocessing.pack
    rows: np.ndarray  # int (N,), which of them
    targets: np.ndarray  # float32 (N, C), NaN unknown
    images: tuple[str, ...]  # ids, length N

    def __len__(self) -> int:
        return len(self.rows)


@dataclass
class _Batch:
    """What one process computes of one step: its share of every part of the batch."""

    step: int
    rows: np.ndarray  # of the whole batch
    count: int  # labels in the whole batch
    parts: list[tuple[torch.Tensor, torch.Tensor]]  # packed films and targets, one a part


def train_network(
    network: Any,
    recipe: Recipe,
    train: Films,
    val: Films,
    folder: Path,
    resume: bool = False,
    accelerator: Accelerator | None = None,
    watcher: Watcher | None = None,
) -> Any:
    """Train ``network`` on ``train``, leaving checkpoints and the best weights under ``folder``.

    Returns the weights to keep (``keep.weights``): of the moving average where the recipe asks for one. Raises
    TrainingStopped on a loss that is no number (naming films of that batch), too little memory, another recipe's
    checkpoint, or a full disk.
    """
    accelerator = accelerator or join_processes()
    watcher = watcher or Watcher()
    device, options = accelerator.device, recipe.optimizer
    if options.batch_size < options.accumulate * accelerator.num_processes:
        raise InvalidRecipe("optimizer.batch_size must be at least optimizer.accumulate times the processes")
    network = network.to(device).to(memory_format=torch.channels_last)
    optimizer = _make_optimizer(network, recipe)
    average = average_of(network, options.ema) if options.ema else None
    kept = average.module if average is not None else network
    modules = {"network": network} | ({"average": average} if average is not None else {})
    dtype = training_dtype(options.precision, device)
    scaler = scaler_for(dtype, device)
    loss_of = make_loss(recipe.loss, recipe.loss_name, train.targets, device)
    steps = math.ceil(len(train) / options.batch_size)

    facts = load_checkpoint(folder / CHECKPOINT, modules, optimizer, recipe) if resume else {}
    if facts.get("scaler"):
        scaler.load_state_dict(facts["scaler"])
    progress = Progress(facts.get("metrics", []), smaller_is_better=recipe.keep.metric == "val_loss")
    epoch, first_step, losses = facts.get("epoch", 0), facts.get("step", 0), list(facts.get("losses", []))
    watcher.start(recipe, len(train), epoch)
    wrapped: Any = None

    while epoch < options.epochs and not progress.stalled(recipe.keep.patience):
        started, waited, saved = time.perf_counter(), 0.0, time.monotonic()
        if set_trainable(network, recipe.model, epoch) or wrapped is None:
            wrapped = None  # lets go of the hooks on parameters that no longer learn, or did not before
            wrapped = accelerator.prepare_model(network) if accelerator.num_processes > 1 else network
        train_mode(network)
        watcher.epoch_started(epoch, first_step)
        batches = Ahead(_batches(train, recipe, epoch, first_step, accelerator))
        for batch in batches:
            lr = rate(options, epoch * steps + batch.step, steps, progress.reductions(options.plateau_patience))
            for group in optimizer.param_groups:
                group["lr"] = lr
            try:
                with autocast(device, dtype):
                    loss = _step(wrapped, batch, loss_of, recipe, accelerator, scaler, optimizer, epoch)
            except _OUT_OF_MEMORY:
                half = max(1, options.batch_size // options.accumulate // 2)
                raise TrainingStopped(
                    f"not enough memory for {options.batch_size // options.accumulate} films at once; "
                    f"try --set optimizer.accumulate={math.ceil(options.batch_size / half)}"
                ) from None
            if not math.isfinite(loss):
                raise TrainingStopped(
                    f"the loss became {loss} in epoch {epoch + 1}, step {batch.step + 1}, on films such as "
                    f"{', '.join(train.images[i] for i in batch.rows[:3])}; try a smaller optimizer.lr"
                )
            if average is not None:
                average.update_parameters(network)
            losses.append(loss)
            watcher.step(len(batch.rows), loss)
            if time.monotonic() - saved > 60 * recipe.keep.checkpoint_minutes and batch.step + 1 < steps:
                state = {"epoch": epoch, "step": batch.step + 1, "losses": losses, "metrics": progress.values}
                _save(accelerator, folder, modules, optimizer, recipe, scaler, state)
                saved = time.monotonic()
        waited, seconds = batches.waited, time.perf_counter() - started
        if accelerator.num_processes > 1:
            for buffer in kept.buffers():  # each process has its own batch norm statistics; the first's are stored
                broadcast(buffer, 0)
        scores = validate(kept, recipe, val, accelerator, dtype)
        progress = progress.with_value(scores[recipe.keep.metric])
        if accelerator.is_main_process:
            if progress.last_is_best:
                save_tensors(folder / BEST, {"network": kept}, {"epoch": epoch + 1, **scores})
            trained = len(train) * (steps - first_step) / steps
            row = {
                "epoch": epoch + 1,
                "train_loss": float(np.mean(losses)),
                **scores,
                "lr": lr,
                "images_per_second": trained / seconds,
                "data_wait": waited / seconds,
            }
            watcher.epoch_ended(row, kept, progress.last_is_best)
        epoch, first_step, losses = epoch + 1, 0, []
        state = {"epoch": epoch, "step": 0, "losses": [], "metrics": progress.values}
        _save(accelerator, folder, modules, optimizer, recipe, scaler, state)
    watcher.close(stopped_early=epoch < options.epochs, best_epoch=progress.best_epoch)
    network.requires_grad_(True)
    accelerator.wait_for_everyone()
    if recipe.keep.weights == "best" and (folder / BEST).exists():
        load_tensors(folder / BEST, {"network": kept})
    return kept


def _step(
    wrapped: Any,
    batch: _Batch,
    loss_of: Loss,
    recipe: Recipe,
    accelerator: Accelerator,
    scaler: torch.amp.GradScaler,
    optimizer: torch.optim.Optimizer,
    epoch: int,
) -> float:
    """One step on this process's share of a batch; returns the whole batch's loss before it."""
    device, world = accelerator.device, accelerator.num_processes
    total = torch.zeros((), device=device)
    optimizer.zero_grad(set_to_none=True)
    for part, (packed, targets) in enumerate(batch.parts):
        key: tuple[int, ...] = (recipe.seed, epoch, batch.step)
        if world > 1 or len(batch.parts) > 1:
            key = (*key, part * world + accelerator.process_index)
        generator = torch.Generator(device).manual_seed(_mix(*key))
        torch.manual_seed(_mix(*key))  # dropout
        films, targets = unpack_on(packed, device), targets.to(device)
        with torch.autocast(device.type, enabled=False):
            inputs = recipe.preprocessing.normalise(recipe.augmentation(films, generator))
        if recipe.loss.mixup:
            share = float(np.random.default_rng(key).beta(recipe.loss.mixup, recipe.loss.mixup))
            inputs = share * inputs + (1 - share) * inputs.flip(0)
            targets = share * targets + (1 - share) * targets.flip(0)
        whole = part + 1 == len(batch.parts)
        with accelerator.no_sync(wrapped) if world > 1 and not whole else nullcontext():
            logits = wrapped(inputs.contiguous(memory_format=torch.channels_last))
            with torch.autocast(device.type, enabled=False):
                loss = loss_of(logits, targets).sum() / batch.count
                scaler.scale(loss * world).backward()  # processes' gradients are averaged
        total += loss.detach()
    if recipe.optimizer.clip:
        scaler.unscale_(optimizer)
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        nn.utils.clip_grad_norm_(parameters, recipe.optimizer.clip)
    scaler.step(optimizer)
    scaler.update()
    if world > 1:
        total = accelerator.reduce(total)
    return total.item()


def validate(
    network: Any, recipe: Recipe, val: Films, accelerator: Accelerator, dtype: torch.dtype
) -> dict[str, float | None]:
    """Loss without weights or smoothing, and mean AUROC over findings that have both kinds of film; unaugmented.

    Raises TrainingStopped where the network's answers are no numbers.
    """
    logits = predict_logits(network, recipe.preprocessing, val, accelerator, dtype)
    if not np.isfinite(logits).all():
        first = val.images[int(np.argmin(np.isfinite(logits).all(axis=1)))]
        raise TrainingStopped(
            f"after this epoch the network's answers are no numbers, first on validation film {first}; try a smaller "
            f"optimizer.lr, or optimizer.precision=fp32"
        )
    plain = replace(recipe.loss, class_weights=False, weights=(), label_smoothing=0.0)
    name = "bce" if recipe.loss_name == "focal" else recipe.loss_name
    loss_of = make_loss(plain, name, val.targets, torch.device("cpu"))
    loss = float(loss_of(torch.from_numpy(logits), torch.from_numpy(val.targets)).sum())
    scores = to_probabilities(logits, recipe.kind)
    areas = [auroc(val.targets[:, c], scores[:, c]).value for c in range(scores.shape[1])]
    found = [area for area in areas if area is not None]
    return {
        "val_loss": loss / labels_counted(val.targets, name),
        "val_auroc": float(np.mean(found)) if found else None,
    }


def predict_logits(
    network: Any, preprocessing: Preprocessing, films: Films, accelerator: Accelerator, dtype: torch.dtype
) -> np.ndarray:
    """Logits, float32 (N, C), each film exactly once and in order, whatever the number of processes."""
    network.eval()
    found = []
    starts = range(0, len(films), EVALUATION_BATCH)
    for start in list(starts)[accelerator.process_index :: accelerator.num_processes]:
        packed = torch.from_numpy(films.pixels[films.rows[start : start + EVALUATION_BATCH]])
        with torch.inference_mode():
            inputs = preprocessing.normalise(unpack_on(packed, accelerator.device))
            with autocast(accelerator.device, dtype):
                logits = network(inputs.contiguous(memory_format=torch.channels_last))
        found.append((start, logits.float().cpu().numpy()))
    if accelerator.num_processes > 1:
        found = gather_object(found)
    return np.concatenate([logits for _, logits in sorted(found, key=lambda item: item[0])])


def unpack_on(packed: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Films as ``preprocessing.pack`` stores them, uint16 (n, h, w), as float32 (n, 1, h, w) in [0, 1] on ``device``.

    They travel as integers, half the size; the values are those of ``preprocessing.unpack``, bit for bit.
    """
    whole = packed.view(torch.int16).to(device, non_blocking=True).to(torch.int32) & 0xFFFF
    return (whole.float() / 65535).unsqueeze(1)


def _batches(films: Films, recipe: Recipe, epoch: int, first_step: int, accelerator: Accelerator) -> Iterator[_Batch]:
    """This process's share of every batch of an epoch, from ``first_step`` on.

    Batches differ by at most one film, so none is too small for its statistics.
    """
    options, world, rank = recipe.optimizer, accelerator.num_processes, accelerator.process_index
    order = np.random.default_rng((recipe.seed, epoch)).permutation(len(films))
    for step, rows in enumerate(np.array_split(order, math.ceil(len(films) / options.batch_size))):
        if step < first_step:
            continue
        count = labels_counted(films.targets[rows], recipe.loss_name)
        parts = []
        for part in np.array_split(rows, options.accumulate):
            mine = part[rank::world]
            packed = torch.from_numpy(films.pixels[films.rows[mine]])
            if accelerator.device.type == "cuda":
                packed = packed.pin_memory()
            parts.append((packed, torch.from_numpy(films.targets[mine])))
        yield _Batch(step, rows, count, parts)


def _make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Weights decay; biases and norms (one-dimensional) do not."""
    options = recipe.optimizer
    parameters = list(network.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[options.name]
    return kind(groups, lr=options.lr)


def _save(
    accelerator: Accelerator,
    folder: Path,
    modules: dict[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    scaler: torch.amp.GradScaler,
    state: dict[str, Any],
) -> None:
    if accelerator.is_main_process:
        facts = {**state, "recipe": recipe.to_dict(), "scaler": scaler.state_dict()}
        save_checkpoint(folder / CHECKPOINT, modules, optimizer, facts)


def _mix(*key: int) -> int:
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1)
