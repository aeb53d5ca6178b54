"""What a run reports while it trains: a progress bar and a line per epoch, history.jsonl and TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from cxrcore.storage import write_text
from cxrcore.training.config import Recipe
from cxrcore.training.validation import ValidationScores

HISTORY = "history.jsonl"
TENSORBOARD = "tensorboard"
Sample = Callable[[Any], Sequence[tuple[str, np.ndarray]]]  # a network to captioned RGB pictures, uint8 (H, W, 3)


class EpochRow(ValidationScores):
    """One line of history.jsonl."""

    epoch: int  # from 1
    train_loss: float  # mean over the epoch's steps
    lr: float  # of the last step
    images_per_second: float
    data_wait: float  # share of the epoch in which a step waited for its films


class Reporter:
    """Receives a run's events and ignores them: for library use, and for every process but the first."""

    def start(self, recipe: Recipe, films: int, epoch: int) -> None:
        """Before the first step; ``epoch`` is the first to be run, from 0."""

    def note(self, text: str) -> None:
        """One line of what the run decided by itself."""

    def epoch_started(self, epoch: int, first_step: int) -> None:
        """``epoch`` counts from 0; ``first_step`` is above 0 when a run resumes within it."""

    def step(self, films: int, loss: float) -> None:
        """After each step."""

    def epoch_ended(self, row: EpochRow, network: Any, best: bool) -> None:
        """After validation; ``best``: better than every epoch before."""

    def close(self, stopped_early: bool, best_epoch: int | None) -> None:
        """After the last epoch; ``best_epoch`` counts from 1."""


class ConsoleReporter(Reporter):
    """A progress bar with films/s, remaining time and recent loss; a line per epoch; history.jsonl; TensorBoard."""

    def __init__(self, folder: Path, sample: Sample | None = None) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.folder = folder
        self.sample = sample
        self.board = SummaryWriter(str(folder / TENSORBOARD))
        self.bar: Any = None
        self.recent: list[float] = []

    def start(self, recipe: Recipe, films: int, epoch: int) -> None:
        """Drop the lines of history.jsonl from ``epoch`` on: those epochs are run again."""
        self.recipe, self.films = recipe, films
        path = self.folder / HISTORY
        lines = path.read_text("utf-8").splitlines()[:epoch] if path.exists() else []
        write_text(path, "".join(line + "\n" for line in lines))

    def note(self, text: str) -> None:
        """Print it."""
        tqdm.write(text)

    def epoch_started(self, epoch: int, first_step: int) -> None:
        """Open the epoch's progress bar."""
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
        """Advance the bar; it shows the mean loss of the last 50 steps."""
        self.recent = [*self.recent[-49:], loss]
        self.bar.update(films)
        self.bar.set_postfix(loss=f"{np.mean(self.recent):.3f}")

    def epoch_ended(self, row: EpochRow, network: Any, best: bool) -> None:
        """Append to history.jsonl, print the epoch's line, and draw it and the sample films in TensorBoard."""
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
        """Print why the run ended and which weights it keeps."""
        self.board.close()
        keep = self.recipe.keep
        if stopped_early:
            tqdm.write(f"stopped early: no better {keep.metric} for {keep.patience} epochs")
        if best_epoch is not None:
            which = "its weights are kept" if keep.weights == "best" else "the last epoch's weights are kept"
            tqdm.write(f"best {keep.metric} in epoch {best_epoch}; {which}, as the recipe says")
