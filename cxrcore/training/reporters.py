"""What a person sees of a run: a progress bar, history.jsonl, TensorBoard, a closing line; one process speaks."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from cxrcore.training.config import Recipe

HISTORY = "history.jsonl"
TENSORBOARD = "tensorboard"
Sample = Callable[[Any], Sequence[tuple[str, np.ndarray]]]  # a network to captioned RGB pictures, uint8 (H, W, 3)


class Watcher:
    """Told what happens and does nothing about it: for library use and for all processes but the first."""

    def start(self, recipe: Recipe, films: int, epoch: int) -> None:
        """Before the first step; ``epoch`` is the first to be run, from 0."""

    def epoch_started(self, epoch: int, first_step: int) -> None:
        """``epoch`` from 0; ``first_step`` is above 0 where a run goes on within it."""

    def step(self, films: int, loss: float) -> None:
        """After each step."""

    def epoch_ended(self, row: dict, network: Any, best: bool) -> None:
        """``row`` is the epoch's line of history."""

    def close(self, stopped_early: bool, best_epoch: int | None) -> None:
        """After the last step."""


class Console(Watcher):
    """A progress bar with films/s, time left and the running loss, and a line an epoch; history.jsonl; TensorBoard."""

    def __init__(self, folder: Path, sample: Sample | None = None) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.folder = folder
        self.sample = sample
        self.board = SummaryWriter(str(folder / TENSORBOARD))
        self.bar: tqdm | None = None
        self.recent: list[float] = []

    def start(self, recipe: Recipe, films: int, epoch: int) -> None:
        self.recipe, self.films = recipe, films
        path = self.folder / HISTORY
        lines = path.read_text("utf-8").splitlines()[:epoch] if path.exists() else []
        path.write_text("".join(line + "\n" for line in lines), "utf-8")  # epochs that will be run again are dropped

    def epoch_started(self, epoch: int, first_step: int) -> None:
        options = self.recipe.optimizer
        self.bar = tqdm(
            total=self.films,
            initial=min(first_step * options.batch_size, self.films),
            unit="film",
            desc=f"epoch {epoch + 1}/{options.epochs}",
            disable=None,
            leave=False,
        )
        self.recent = []

    def step(self, films: int, loss: float) -> None:
        assert self.bar is not None
        self.recent = [*self.recent[-49:], loss]
        self.bar.update(films)
        self.bar.set_postfix(loss=f"{np.mean(self.recent):.3f}")

    def epoch_ended(self, row: dict, network: Any, best: bool) -> None:
        assert self.bar is not None
        self.bar.close()
        with (self.folder / HISTORY).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, allow_nan=False) + "\n")
        area = "-" if row["val_auroc"] is None else f"{row['val_auroc']:.4f}"
        tqdm.write(
            f"epoch {row['epoch']:3d}  loss {row['train_loss']:.4f}  val loss {row['val_loss']:.4f}  val AUROC {area}  "
            f"{row['images_per_second']:.0f} films/s{'  best so far' if best else ''}"
        )
        for key, value in row.items():
            if key != "epoch" and value is not None:
                self.board.add_scalar(key, value, row["epoch"])
        for caption, picture in self.sample(network) if self.sample else ():
            self.board.add_image(caption, picture, row["epoch"], dataformats="HWC")
        self.board.flush()

    def close(self, stopped_early: bool, best_epoch: int | None) -> None:
        self.board.close()
        if stopped_early:
            tqdm.write(f"stopped early: no better {self.recipe.keep.metric} for {self.recipe.keep.patience} epochs")
        keep = self.recipe.keep
        if best_epoch is not None:
            told = "its weights are kept" if keep.weights == "best" else "the last epoch's weights are kept"
            tqdm.write(f"best {keep.metric} in epoch {best_epoch}; {told}, as the recipe says")
