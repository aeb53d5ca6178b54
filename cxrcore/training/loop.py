"""One training run, read top to bottom: set up, an epoch, a checkpoint, again, and the network at the end.

Deterministic: every random number comes from a generator seeded by (seed, epoch, step), so the same recipe on the same
films, threads and library gives the same weights, interrupted or not.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from cxrcore.errors import TrainingStopped
from cxrcore.metrics.discrimination import auroc
from cxrcore.precision import default_dtype
from cxrcore.preprocessing import unpack
from cxrcore.training.checkpoint import CHECKPOINT, load_checkpoint, read_facts, save_checkpoint
from cxrcore.training.config import Recipe


@dataclass(frozen=True, eq=False)
class Films:
    """Films at the network's size with what is known of them."""

    pixels: np.ndarray  # uint16 (N, h, w), see preprocessing.pack
    targets: np.ndarray  # float32 (N, C)
    images: tuple[str, ...]  # ids, length N


def train_network(
    network: nn.Module,
    recipe: Recipe,
    train: Films,
    val: Films,
    folder: Path,
    resume: bool = False,
    device: str | torch.device = "cpu",
) -> nn.Module:
    """Train ``network`` on ``train``, writing history.jsonl and a checkpoint an epoch under ``folder``.

    Returns the weights to keep: the moving average where the recipe asks for one, else the last. Raises TrainingStopped
    on a loss that is no number (naming films of that batch), on another recipe's checkpoint, or a full disk.
    """
    device = torch.device(device)
    options = recipe.optimizer
    network = network.to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(_parameter_groups(network, options.weight_decay), lr=options.lr)
    steps = math.ceil(len(train.images) / options.batch_size)
    average = (
        AveragedModel(network, multi_avg_fn=moving_average(options.ema), use_buffers=True) if options.ema else None
    )
    modules = {"network": network} | ({"average": average} if average else {})
    first = _resume(folder, recipe, modules, optimizer) if resume else 0
    history = _History(folder / "history.jsonl", keep=first)
    weights = class_weights(train.targets).to(device) if recipe.loss.class_weights else None

    for epoch in range(first, options.epochs):
        started, losses = time.perf_counter(), []
        network.train()
        bar = tqdm(
            total=len(train.images), unit="film", desc=f"epoch {epoch + 1}/{options.epochs}", disable=None, leave=False
        )
        for step, rows in enumerate(_batches(len(train.images), options.batch_size, recipe.seed, epoch)):
            lr = one_cycle(epoch * steps + step, options.epochs * steps, options.warmup, options.lr)
            for group in optimizer.param_groups:
                group["lr"] = lr
            loss = _step(network, optimizer, recipe, train, rows, weights, (recipe.seed, epoch, step), device)
            if not math.isfinite(loss):
                raise TrainingStopped(
                    f"the loss became {loss} in epoch {epoch + 1}, step {step + 1}, on films such as "
                    f"{', '.join(train.images[i] for i in rows[:3])}; try a smaller optimizer.lr"
                )
            if average is not None:
                average.update_parameters(network)
            losses.append(loss)
            bar.update(len(rows))
            bar.set_postfix(loss=f"{np.mean(losses[-50:]):.3f}")
        bar.close()
        seconds = time.perf_counter() - started
        kept = average.module if average is not None else network
        history.append(
            {
                "epoch": epoch + 1,
                "train_loss": float(np.mean(losses)),
                **_validate(kept, recipe, val, device),
                "lr": lr,
                "images_per_second": len(train.images) / seconds,
            }
        )
        save_checkpoint(folder / CHECKPOINT, modules, optimizer, {"epoch": epoch + 1, "recipe": _identity(recipe)})
    return average.module if average is not None else network


def _step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    films: Films,
    rows: np.ndarray,
    weights: torch.Tensor | None,
    key: tuple[int, int, int],
    device: torch.device,
) -> float:
    """One step on the films of ``rows``; returns the loss before it."""
    generator = torch.Generator(device).manual_seed(_mix(*key))
    torch.manual_seed(_mix(*key))  # dropout
    batch = torch.from_numpy(unpack(films.pixels[rows])).unsqueeze(1).to(device)
    targets = torch.from_numpy(films.targets[rows]).to(device)
    inputs = recipe.preprocessing.normalise(recipe.augmentation(batch, generator))
    if recipe.loss.mixup:
        share = float(np.random.default_rng(key).beta(recipe.loss.mixup, recipe.loss.mixup))
        inputs = share * inputs + (1 - share) * inputs.flip(0)
        targets = share * targets + (1 - share) * targets.flip(0)
    with _autocast(device):
        logits = network(inputs.contiguous(memory_format=torch.channels_last))
    loss = functional.cross_entropy(
        logits.float(), targets, weight=weights, label_smoothing=recipe.loss.label_smoothing
    )
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if recipe.optimizer.clip:
        nn.utils.clip_grad_norm_(network.parameters(), recipe.optimizer.clip)
    optimizer.step()
    return loss.item()


def _validate(network: nn.Module, recipe: Recipe, val: Films, device: torch.device) -> dict[str, float | None]:
    """Loss and mean AUROC (one against the rest) on validation films, unaugmented."""
    network.eval()
    found = []
    with torch.inference_mode():
        for start in range(0, len(val.images), 64):
            batch = torch.from_numpy(unpack(val.pixels[start : start + 64])).unsqueeze(1).to(device)
            inputs = recipe.preprocessing.normalise(batch).contiguous(memory_format=torch.channels_last)
            with _autocast(device):
                found.append(network(inputs).float().cpu())
    logits = torch.cat(found)
    loss = functional.cross_entropy(logits, torch.from_numpy(val.targets)).item()
    scores = logits.softmax(1).numpy()
    areas = [auroc(val.targets[:, c], scores[:, c]).value for c in range(scores.shape[1])]
    known = [area for area in areas if area is not None]
    return {"val_loss": loss, "val_auroc": float(np.mean(known)) if known else None}


def one_cycle(step: int, total: int, warmup: float, peak: float) -> float:
    """Learning rate at a step: cosine up from peak/25 over the first ``warmup`` share, then cosine to nearly 0."""
    rise = max(1.0, warmup * total)
    if step < rise:
        return peak * (1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * step / rise)) / 2)
    return peak * max(1e-5, (1 + math.cos(math.pi * (step - rise) / max(1.0, total - rise))) / 2)


def moving_average(decay: float) -> Callable[[Any, Any, Any], None]:
    """AveragedModel's update rule; its decay rises from .1 to ``decay`` so that early weights are soon forgotten."""

    def update(averages: Any, current: Any, count: Any) -> None:
        get_ema_multi_avg_fn(min(decay, (1 + int(count)) / (10 + int(count))))(averages, current, count)

    return update


def _parameter_groups(network: nn.Module, weight_decay: float) -> list[dict]:
    """Weights decay; biases and norms (one-dimensional) do not."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _batches(n: int, size: int, seed: int, epoch: int) -> Iterator[np.ndarray]:
    """Rows of every batch of an epoch; batches differ by at most one film, so none is too small for its statistics."""
    order = np.random.default_rng((seed, epoch)).permutation(n)
    yield from np.array_split(order, math.ceil(n / size))


def _mix(*key: int) -> int:
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1)


def _autocast(device: torch.device) -> torch.autocast:
    dtype = default_dtype(device)
    return torch.autocast(device.type, dtype, enabled=dtype is not torch.float32)


def class_weights(targets: np.ndarray) -> torch.Tensor:
    """Inverse frequency, mean 1 over films, float32 (C,), from one-hot targets (N, C)."""
    counts = np.maximum(targets.sum(axis=0), 1)
    return torch.tensor(len(targets) / (len(counts) * counts), dtype=torch.float32)


def undo_class_weights(network: Any, weights: torch.Tensor) -> None:
    """Take the weights' shift out of the head's biases, in place, so that logits speak of the training films' own mix.

    A loss weighted by w is least at probabilities proportional to w times the true ones, hence ``bias -= log w`` (the
    logit adjustment of Menon 2021, arXiv:2007.07314). One temperature could not take that shift out.
    """
    with torch.no_grad():
        bias = network.get_classifier().bias
        bias -= weights.log().to(bias)


def _identity(recipe: Recipe) -> dict:
    """What must not change between a run and its resumption."""
    return json.loads(json.dumps(recipe.to_dict()))


def _resume(folder: Path, recipe: Recipe, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer) -> int:
    path = folder / CHECKPOINT
    if not path.exists():
        return 0
    before, now = read_facts(path)["recipe"], _identity(recipe)
    if before != now:
        changed = [key for key in now if now[key] != before.get(key)]
        raise TrainingStopped(f"cannot resume: the recipe changed in {', '.join(changed)}; choose another --out")
    return load_checkpoint(path, modules, optimizer)["epoch"]


class _History:
    """One JSON line an epoch; lines of epochs that will be run again are dropped."""

    def __init__(self, path: Path, keep: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text("utf-8").splitlines()[:keep] if path.exists() else []
        path.write_text("".join(line + "\n" for line in lines), "utf-8")
        self.path = path

    def append(self, row: dict) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, allow_nan=False) + "\n")
        area = "-" if row["val_auroc"] is None else f"{row['val_auroc']:.4f}"
        tqdm.write(
            f"epoch {row['epoch']:3d}  loss {row['train_loss']:.4f}  val loss {row['val_loss']:.4f}  val AUROC {area}  "
            f"{row['images_per_second']:.0f} films/s"
        )
