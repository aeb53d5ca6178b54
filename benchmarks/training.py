"""How many films a second does training see? Ours beside a plain loop, in one run.

    python -m benchmarks.training                    # minutes; --help lists networks, films, threads, device

The plain loop is what tutorials do: torchvision's ImageFolder decodes every 1024-pixel PNG again each epoch, its
transforms change each film by itself (resize, flip, rotation, jitter, to tensor, normalise), a DataLoader has a worker
a core, all in float32. Ours is ``open_films`` once and then ``train_network``: mapped films, augmentation of whole
batches, bfloat16 where the hardware has it, channels last. Same films, network, batch size and number of threads; an
epoch of each in turn, so the ratio holds on a noisy machine; medians, from the second epoch on. "From memory" is our
own step fed a batch that lies ready on the device, time after time: what no reading of films can exceed. "Wait" is the
share of an epoch in which the step waits for its films.

Films are the 1024-pixel ones of NIH in ``CXR_DATA_DIR``, else phantoms, copied until there are enough.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
import timm
import torch
from accelerate import Accelerator
from PIL import Image
from torchvision import datasets, transforms

from benchmarks.measuring import print_header, print_row
from cxrcore.datasets.cache import DecodedFilms, open_films
from cxrcore.datasets.table import FilmTable
from cxrcore.films.preprocessing import Preprocessing
from cxrcore.findings import PNEUMONIA2
from cxrcore.phantom import draw_phantom
from cxrcore.training import loop
from cxrcore.training.augmentation import Augmentation
from cxrcore.training.batches import batches_of
from cxrcore.training.config import ModelConfig, OptimizerConfig, Recipe
from cxrcore.training.loop import train_network
from cxrcore.training.reporters import EpochRow, Reporter

SIDE = 224
CLASSES = PNEUMONIA2.names


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to."""

    films_per_second: float
    wait: float  # share of the epoch


def gather_films(folder: Path, count: int) -> str:
    """Fill ``folder`` with one sub-folder a class of 1024-pixel PNGs; returns what they are."""
    real = os.environ.get("CXR_DATA_DIR")
    sources = sorted((Path(real) / "nih" / "images-1024").glob("*.png")) if real else []
    kind = "NIH films" if sources else "phantoms"
    if not sources:
        (folder / "drawn").mkdir(parents=True)
        for seed in range(min(count, 24)):
            pixels = np.rint(draw_phantom(seed, size=(1024, 1024)).pixels * 255).astype(np.uint8)
            sources.append(folder / "drawn" / f"{seed}.png")
            Image.fromarray(pixels).save(sources[-1])
    for n in range(count):
        path = folder / "films" / CLASSES[n % 2] / f"{n:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(sources[n % len(sources)], path)
    copies = "copies of " if count > len(sources) else ""
    return f"{count} PNGs of 1024 x 1024, {copies}{len(sources)} {kind}"


def plain_epochs(architecture: str, folder: Path, batch: int, workers: int, device: torch.device) -> Iterator[Epoch]:
    """A tutorial's training loop, an epoch a time it is asked."""
    transform = transforms.Compose(
        [
            transforms.Resize((SIDE, SIDE)),
            transforms.RandomHorizontalFlip(),
            transforms.RandomRotation(10),
            transforms.ColorJitter(0.2, 0.2),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    films = datasets.ImageFolder(str(folder / "films"), transform)
    loader = torch.utils.data.DataLoader(
        films, batch, shuffle=True, num_workers=workers, pin_memory=device.type == "cuda"
    )
    network = timm.create_model(architecture, num_classes=2).to(device).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    criterion = torch.nn.CrossEntropyLoss()
    while True:
        started, waited = time.perf_counter(), 0.0
        batches = iter(loader)
        while True:
            asked = time.perf_counter()
            found = next(batches, None)
            waited += time.perf_counter() - asked
            if found is None:
                break
            inputs, targets = (part.to(device, non_blocking=True) for part in found)
            optimizer.zero_grad()
            loss = criterion(network(inputs), targets)
            loss.backward()
            optimizer.step()
            loss.item()
        seconds = time.perf_counter() - started
        yield Epoch(len(films) / seconds, waited / seconds)


def same_batch_again(*arguments: Any) -> Iterator[Any]:
    """In place of the loop's own batches: the first of them, on the device, as often as there would be steps."""
    train, recipe, _, _, accelerator = arguments
    first = next(_real_batches(*arguments))
    parts = [(films.to(accelerator.device), targets.to(accelerator.device)) for films, targets in first.parts]
    for step in range(math.ceil(len(train) / recipe.optimizer.batch_size)):
        yield replace(first, step=step, parts=parts)


_real_batches = batches_of


def table_of(folder: Path) -> FilmTable:
    """The same films as rows."""
    paths = tuple(sorted((folder / "films").glob("*/*.png")))
    names = tuple(path.name for path in paths)
    targets = np.array([[path.parent.name == name for name in CLASSES] for path in paths], np.float32)
    return FilmTable("benchmark", PNEUMONIA2, paths, names, names, targets, (None,) * len(paths))


def ours(architecture: str, decoded: DecodedFilms, batch: int, device: torch.device, repeats: int) -> Epoch:
    """The second epoch of ``train_network`` on films that each come ``repeats`` times."""
    recipe = Recipe(
        name="benchmark",
        reproduces="films a second",
        model=ModelConfig(architecture),
        preprocessing=Preprocessing(SIDE, SIDE, channels=3),
        augmentation=Augmentation(flip=0.5, rotation=10, contrast=0.2, brightness=0.2),
        optimizer=OptimizerConfig(epochs=2, batch_size=batch, name="adam", weight_decay=0, lr=1e-4, clip=0),
    )
    train = decoded.select(np.tile(np.arange(len(decoded)), repeats))
    val = decoded.select(np.arange(8))
    lines: list[EpochRow] = []

    class Listener(Reporter):
        def epoch_ended(self, row: EpochRow, network: object, best: bool) -> None:
            lines.append(row)

    network = timm.create_model(architecture, num_classes=2)
    accelerator = Accelerator(mixed_precision="no", cpu=device.type == "cpu")
    with tempfile.TemporaryDirectory() as folder:
        train_network(network, recipe, train, val, Path(folder), accelerator=accelerator, reporter=Listener())
    return Epoch(lines[-1]["images_per_second"], lines[-1]["data_wait"])


def middle(epochs: list[Epoch]) -> tuple[float, float]:
    """Median films a second and median wait."""
    return median(epoch.films_per_second for epoch in epochs), median(epoch.wait for epoch in epochs)


def ratio_of(ours: list[Epoch], theirs: list[Epoch]) -> float:
    """Median over rounds of how many times as fast."""
    return median(a.films_per_second / b.films_per_second for a, b in zip(ours, theirs, strict=True))


def main() -> None:
    """Print the table."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--networks", nargs="+", default=["resnet18", "densenet121"], help="timm names")
    parser.add_argument("--films", type=int, default=192, help="files in the plain loop's epoch")
    parser.add_argument("--repeats", type=int, help="times each comes in an epoch of ours; default 1, on a GPU 50")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=cores, help="of torch, and workers of the plain loop")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    device = torch.device(options.device)
    repeats = options.repeats or (50 if device.type == "cuda" else 1)
    torch.set_num_threads(options.threads)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        what = gather_films(folder, options.films)
        started = time.perf_counter()
        decoded = open_films(table_of(folder), Preprocessing(SIDE, SIDE), folder / "cache")
        seconds = time.perf_counter() - started
        print(
            f"{what}, to {SIDE} pixels; batches of {options.batch}; {name}, {options.threads} threads; medians of "
            f"{options.rounds} epochs; decoding once took {seconds:.1f} s ({options.films / seconds:.0f} films/s)\n"
        )
        plain_titles = ("network", "plain loop, films/s", "wait")
        print_header(*plain_titles, "ours, films/s", "wait", "ratio", "from memory", "ours of it")
        for architecture in options.networks:
            plain = plain_epochs(architecture, folder, options.batch, options.threads, device)
            next(plain)
            found: dict[str, list[Epoch]] = {"plain": [], "ours": [], "memory": []}
            for _ in range(options.rounds):
                found["plain"].append(next(plain))
                found["ours"].append(ours(architecture, decoded, options.batch, device, repeats))
                with patch.object(loop, "batches_of", same_batch_again):
                    found["memory"].append(ours(architecture, decoded, options.batch, device, repeats))
            (p, p_wait), (o, o_wait), (m, _) = (middle(epochs) for epochs in found.values())
            ratio, share = (ratio_of(found["ours"], found[other]) for other in ("plain", "memory"))
            cells = [architecture, f"{p:.1f}", f"{p_wait:.0%}", f"{o:.1f}", f"{o_wait:.1%}", f"{ratio:.1f}x"]
            print_row(*cells, f"{m:.1f}", f"{share:.0%}")


if __name__ == "__main__":
    main()
