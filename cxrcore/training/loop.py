"""The training loop: an epoch of steps, validation, a checkpoint, until the recipe's last epoch or an early stop.

Deterministic: every random number comes from a generator seeded by (seed, epoch, step), so the same recipe on the same
films, threads and library gives the same weights, interrupted or not. Several processes share each batch; losses are
sums divided by what the whole batch holds, so the gradient does not depend on how many share it.
"""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn
from torch.distributed import broadcast
from torch.nn import functional

from cxrcore.datasets.cache import DecodedFilms
from cxrcore.errors import InvalidRecipe, TrainingStopped
from cxrcore.evaluation.forward import unpack_on
from cxrcore.models.distributed import join_processes
from cxrcore.training.averaging import average_of
from cxrcore.training.batches import Batch, batches_of
from cxrcore.training.checkpoint import BEST, CHECKPOINT, load_checkpoint, load_tensors, save_checkpoint, save_tensors
from cxrcore.training.config import Recipe
from cxrcore.training.losses import make_loss
from cxrcore.training.precision import (
    NAMES,
    autocast,
    faster_dtype,
    is_measured,
    name_of,
    scaler_for,
    training_dtype,
)
from cxrcore.training.prefetch import Prefetcher
from cxrcore.training.progress import Progress
from cxrcore.training.reporters import Reporter
from cxrcore.training.schedules import rate
from cxrcore.training.unfreezing import set_trainable, train_mode
from cxrcore.training.validation import ValidationScores, validate

_OUT_OF_MEMORY = (torch.OutOfMemoryError, MemoryError)


def train_network(
    network: Any,
    recipe: Recipe,
    train: DecodedFilms,
    val: DecodedFilms,
    folder: Path,
    resume: bool = False,
    accelerator: Accelerator | None = None,
    reporter: Reporter | None = None,
) -> Any:
    """Train ``network`` on ``train``; checkpoints and the best epoch's weights go into ``folder``.

    Returns the network with the weights that ``keep.weights`` names, of the moving average where the recipe has one.
    Raises TrainingStopped on a loss that is not finite (naming films of that batch), too little memory, a checkpoint
    of another recipe, or a full disk.
    """
    trainer = Trainer(network, recipe, train, val, folder, accelerator or join_processes(), reporter or Reporter())
    if resume:
        trainer.restore()
    return trainer.run()


class Trainer:
    """One training run: a network, everything that changes with it, and the steps that change it."""

    def __init__(
        self,
        network: Any,  # a timm module
        recipe: Recipe,
        train: DecodedFilms,
        val: DecodedFilms,
        folder: Path,
        accelerator: Accelerator,
        reporter: Reporter,
    ) -> None:
        options = recipe.optimizer
        if options.batch_size < options.accumulate * accelerator.num_processes:
            raise InvalidRecipe("optimizer.batch_size must be at least optimizer.accumulate times the processes")
        self.recipe, self.train, self.val, self.folder = recipe, train, val, folder
        self.accelerator, self.reporter = accelerator, reporter
        self.device, self.processes = accelerator.device, accelerator.num_processes
        self.network = network.to(self.device).to(memory_format=torch.channels_last)
        self.wrapped: Any = None  # the network as the processes share it; remade when other parameters learn
        self.optimizer = _make_optimizer(self.network, recipe)
        self.average = average_of(self.network, options.ema) if options.ema else None
        self.scored = self.network if self.average is None else self.average.module  # validated, and returned
        self.dtype = training_dtype(options.precision, self.device, self.network)
        # The first run measures, a resumed one does not.
        self.undecided = is_measured(options.precision, self.device, self.network)
        self.scaler = scaler_for(self.dtype, self.device)
        self.loss_of = make_loss(recipe.loss, recipe.loss_name, train.table.targets, self.device)
        self.steps = math.ceil(len(train) / options.batch_size)  # in an epoch
        self.epoch, self.step = 0, 0  # the next to be run
        self.losses: list[float] = []  # of this epoch's steps
        self.progress = Progress(smaller_is_better=recipe.keep.metric == "val_loss")

    @property
    def modules(self) -> dict[str, nn.Module]:
        """What a checkpoint stores, by name."""
        return {"network": self.network} | ({} if self.average is None else {"average": self.average})

    def restore(self) -> None:
        """Continue from the folder's checkpoint, if there is one. Raises TrainingStopped if it does not fit."""
        facts = load_checkpoint(self.folder / CHECKPOINT, self.modules, self.optimizer, self.recipe)
        if not facts:
            return
        if facts.get("scaler"):
            self.scaler.load_state_dict(facts["scaler"])
        self.epoch, self.step, self.losses = facts["epoch"], facts["step"], facts["losses"]
        self.progress = Progress(facts["metrics"], self.progress.smaller_is_better)
        self.dtype, self.undecided = NAMES[facts["precision"]], False

    def run(self) -> Any:
        """Run the remaining epochs; returns the network with the weights that ``keep.weights`` names."""
        epochs, keep = self.recipe.optimizer.epochs, self.recipe.keep
        self.reporter.start(self.recipe, len(self.train), self.epoch)
        if self.undecided:
            self._decide_precision()
        while self.epoch < epochs and not self.progress.stalled(keep.patience):
            self._run_epoch()
        self.reporter.close(stopped_early=self.epoch < epochs, best_epoch=self.progress.best_epoch)
        self.network.requires_grad_(True)
        self.accelerator.wait_for_everyone()
        if keep.weights == "best" and (self.folder / BEST).exists():
            load_tensors(self.folder / BEST, {"network": self.scored})
        return self.scored

    def _decide_precision(self) -> None:
        """Measure the network's own steps in fp32 and bf16 and take the faster; all processes take the first's."""
        share = self.recipe.optimizer.batch_size // (self.recipe.optimizer.accumulate * self.processes)
        films = unpack_on(torch.from_numpy(self.train.pixels[self.train.rows[:share]]), self.device)
        inputs = self.recipe.preprocessing.normalise(films).contiguous(memory_format=torch.channels_last)
        train_mode(self.network)
        self.dtype, seconds = faster_dtype(self.network, inputs)
        if self.processes > 1:
            (self.dtype,) = broadcast_object_list([self.dtype])
        times = ", ".join(f"{len(inputs) / value:.1f} films/s in {name}" for name, value in seconds.items())
        self.reporter.note(f"precision: {name_of(self.dtype)} ({times}; optimizer.precision=fp32 or bf16 fixes it)")

    def _run_epoch(self) -> None:
        first_step, started = self.step, time.perf_counter()
        self._choose_parameters()
        waited = self._train_epoch()
        seconds = time.perf_counter() - started
        if self.processes > 1:
            for buffer in self.scored.buffers():  # batch norm statistics differ: the first process's are stored
                broadcast(buffer, 0)
        scores = validate(self.scored, self.recipe, self.val, self.accelerator, self.dtype)
        self.progress = self.progress.with_value(scores[self.recipe.keep.metric])
        if self.accelerator.is_main_process:
            self._report(scores, len(self.train) * (self.steps - first_step) / self.steps, seconds, waited)
        self.epoch, self.step, self.losses = self.epoch + 1, 0, []
        self._save()

    def _choose_parameters(self) -> None:
        """Freeze and unfreeze parameters for this epoch."""
        if set_trainable(self.network, self.recipe.model, self.epoch) or self.wrapped is None:
            self.wrapped = None  # releases the hooks on the parameters that learned until now
            self.wrapped = self.accelerator.prepare_model(self.network) if self.processes > 1 else self.network
        train_mode(self.network)

    def _train_epoch(self) -> float:
        """Run the epoch's remaining steps; returns the seconds in which a step waited for its films."""
        self.reporter.epoch_started(self.epoch, self.step)
        saved = time.monotonic()
        batches = Prefetcher(batches_of(self.train, self.recipe, self.epoch, self.step, self.accelerator))
        for batch in batches:
            loss = self._checked_step(batch)
            if self.average is not None:
                self.average.update_parameters(self.network)
            self.losses.append(loss)
            self.step = batch.step + 1
            self.reporter.step(len(batch.rows), loss)
            if time.monotonic() - saved > 60 * self.recipe.keep.checkpoint_minutes and self.step < self.steps:
                self._save()
                saved = time.monotonic()
        return batches.waited

    def _checked_step(self, batch: Batch) -> float:
        """One step at its learning rate. Raises TrainingStopped when memory is too small or the loss not finite."""
        options = self.recipe.optimizer
        step, cuts = self.epoch * self.steps + batch.step, self.progress.reductions(options.plateau_patience)
        for group in self.optimizer.param_groups:
            group["lr"] = rate(options, step, self.steps, cuts)
        try:
            with autocast(self.device, self.dtype):
                loss = self._step(batch)
        except _OUT_OF_MEMORY:
            at_once = options.batch_size // options.accumulate
            raise TrainingStopped(
                f"not enough memory for {at_once} films at once; "
                f"try --set optimizer.accumulate={math.ceil(options.batch_size / max(1, at_once // 2))}"
            ) from None
        if not math.isfinite(loss):
            films = ", ".join(self.train.table.images[row] for row in batch.rows[:3])
            raise TrainingStopped(
                f"the loss became {loss} in epoch {self.epoch + 1}, step {batch.step + 1}, on films such as {films}; "
                "try a smaller optimizer.lr"
            )
        return loss

    def _step(self, batch: Batch) -> float:
        """Update the weights from this process's share of a batch; returns the whole batch's loss before that."""
        total = torch.zeros((), device=self.device)
        self.optimizer.zero_grad(set_to_none=True)
        for part in range(len(batch.parts)):
            more = part + 1 < len(batch.parts)  # gradients are exchanged once, with the last part
            with self.accelerator.no_sync(self.wrapped) if self.processes > 1 and more else nullcontext():
                total += self._add_gradients(batch, part)
        if self.recipe.optimizer.clip:
            self.scaler.unscale_(self.optimizer)
            learning = [p for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]
            nn.utils.clip_grad_norm_(learning, self.recipe.optimizer.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.processes > 1:
            total = self.accelerator.reduce(total)
        return total.item()

    def _add_gradients(self, batch: Batch, part: int) -> Tensor:
        """Forward and backward pass of one part of a batch; returns its share of the batch's loss, a scalar."""
        recipe, (packed, targets) = self.recipe, batch.parts[part]
        key: tuple[int, ...] = (recipe.seed, self.epoch, batch.step)
        if self.processes > 1 or len(batch.parts) > 1:
            key = (*key, part * self.processes + self.accelerator.process_index)
        torch.manual_seed(_mix(*key))  # dropout
        films, targets = self._reduced(unpack_on(packed, self.device)), targets.to(self.device)
        with torch.autocast(self.device.type, enabled=False):
            augmented = recipe.augmentation(films, torch.Generator(self.device).manual_seed(_mix(*key)))
            inputs = recipe.preprocessing.normalise(augmented)
        if recipe.loss.mixup:
            share = float(np.random.default_rng(key).beta(recipe.loss.mixup, recipe.loss.mixup))
            inputs = share * inputs + (1 - share) * inputs.flip(0)
            targets = share * targets + (1 - share) * targets.flip(0)
        logits = self.wrapped(inputs.contiguous(memory_format=torch.channels_last))
        with torch.autocast(self.device.type, enabled=False):
            loss = self.loss_of(logits, targets).sum() / batch.count
            self.scaler.scale(loss * self.processes).backward()  # the processes' gradients are averaged
        return loss.detach()

    def _reduced(self, films: Tensor) -> Tensor:
        """Films, (n, 1, H, W), at the size that this epoch learns from."""
        options, (height, width) = self.recipe.optimizer, films.shape[-2:]
        if self.epoch >= options.small_epochs:
            return films
        size = (options.small_side, round(width * options.small_side / height))
        return functional.interpolate(films, size=size, mode="bilinear", antialias=True, align_corners=False)

    def _report(self, scores: ValidationScores, films: float, seconds: float, waited: float) -> None:
        """Keep the weights of the best epoch so far, and report the epoch; ``films`` were trained in ``seconds``."""
        best = self.progress.last_is_best
        if best:
            save_tensors(self.folder / BEST, {"network": self.scored}, {"epoch": self.epoch + 1, **scores})
        self.reporter.epoch_ended(
            {
                "epoch": self.epoch + 1,
                "train_loss": float(np.mean(self.losses)),
                **scores,
                "lr": self.optimizer.param_groups[0]["lr"],
                "images_per_second": films / seconds,
                "data_wait": waited / seconds,
            },
            self.scored,
            best,
        )

    def _save(self) -> None:
        if self.accelerator.is_main_process:
            facts = {
                "epoch": self.epoch,
                "step": self.step,
                "losses": self.losses,
                "metrics": self.progress.values,
                "recipe": self.recipe.to_dict(),
                "scaler": self.scaler.state_dict(),
                "precision": name_of(self.dtype),
            }
            save_checkpoint(self.folder / CHECKPOINT, self.modules, self.optimizer, facts)


def _make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Weights decay; biases and norms (one-dimensional) do not."""
    options = recipe.optimizer
    parameters = list(network.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    kinds: dict[str, Any] = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}
    optimizer: torch.optim.Optimizer = kinds[options.name](groups, lr=options.lr)
    return optimizer


def _mix(*key: int) -> int:
    """A 63-bit seed from several numbers."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1)
