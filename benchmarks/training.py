"""How many films a second does training see? Ours beside a plain loop, in one run.

    python -m benchmarks.training                    # minutes; --help lists networks, films, threads, device

The plain loop is what tutorials do: torchvision's ImageFolder decodes every 1024-pixel PNG again each epoch, its
transforms change each film by itself (resize, flip, rotation, jitter, to tensor, normalise), a DataLoader has a worker
a core, all in float32. Ours is ``open_films`` once and then ``train_network``: mapped films, augmentation of whole
batches, bfloat16 where the hardware has it, channels last. Same films, network, batch size and number of threads; an
epoch of each in turn, each in a new process, so the ratio holds on a noisy machine; medians of second epochs. On a CPU
ours runs twice: with glibc's own settings, and keeping the memory that large tensors free, as ``cxr fit`` does; "sys"
is the kernel's share of the CPU time, "peak" the process's largest resident memory. "From memory" is our own step fed a
batch that lies ready on the device, time after time: what no reading of films can exceed. "Wait" is the share of an
epoch in which the step waits for its films.

Films are the 1024-pixel ones of NIH in ``CXR_DATA_DIR``, else phantoms, copied until there are enough.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import astuple, dataclass, replace
from multiprocessing import get_context
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
from cxrcore.datasets.cache import open_films
from cxrcore.datasets.table import FilmTable
from cxrcore.films.preprocessing import Preprocessing
from cxrcore.findings import PNEUMONIA2
from cxrcore.phantom import draw_phantom
from cxrcore.resources import keep_freed_memory
from cxrcore.training import loop
from cxrcore.training.augmentation import Augmentation
from cxrcore.training.batches import batches_of
from cxrcore.training.config import ModelConfig, OptimizerConfig, Recipe
from cxrcore.training.loop import train_network
from cxrcore.training.reporters import EpochRow, Reporter

SIDE = 224
CLASSES = PNEUMONIA2.names
NETWORKS = ["resnet18", "densenet121", "tf_efficientnet_lite0"]


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to."""

    films_per_second: float
    wait: float  # share of the epoch
    system: float = 0.0  # share of the CPU time that the kernel took
    peak: float = 0.0  # GB, resident


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


def plain(architecture: str, folder: Path, batch: int, workers: int, device: torch.device) -> Epoch:
    """The second epoch of a tutorial's training loop."""
    torch.set_num_threads(workers)
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
    epoch = Epoch(0, 0)
    for _ in range(2):
        started, waited, before = time.perf_counter(), 0.0, cpu_seconds()
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
        epoch = Epoch(len(films) / seconds, waited / seconds, *since(before))
    return epoch


def cpu_seconds() -> np.ndarray:
    """Of this process so far: the program's and the kernel's."""
    return np.array(os.times()[:2])


def since(before: np.ndarray) -> tuple[float, float]:
    """The kernel's share of the CPU time since, and the largest resident memory so far in GB."""
    user, system = cpu_seconds() - before
    return system / (user + system), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


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


def ours(
    architecture: str, folder: Path, batch: int, threads: int, device: torch.device, repeats: int, way: str
) -> Epoch:
    """The second epoch of ``train_network`` on films that each come ``repeats`` times.

    ``way``: "system", glibc's own settings; "kept", freed memory is kept; "memory", so, and always the same batch.
    """
    torch.set_num_threads(threads)
    if way != "system" and device.type == "cpu":
        keep_freed_memory()
    decoded = open_films(table_of(folder), Preprocessing(SIDE, SIDE), folder / "cache")
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
    times = [cpu_seconds()]
    facts: list[tuple[float, float]] = []

    class Listener(Reporter):
        def epoch_ended(self, row: EpochRow, network: object, best: bool) -> None:
            lines.append(row)
            facts.append(since(times[-1]))
            times.append(cpu_seconds())

    network = timm.create_model(architecture, num_classes=2)
    accelerator = Accelerator(mixed_precision="no", cpu=device.type == "cpu")
    fed = patch.object(loop, "batches_of", same_batch_again) if way == "memory" else nullcontext()
    with tempfile.TemporaryDirectory() as run, fed:
        train_network(network, recipe, train, val, Path(run), accelerator=accelerator, reporter=Listener())
    return Epoch(lines[-1]["images_per_second"], lines[-1]["data_wait"], *facts[-1])


def in_new_process(function: Callable[..., Epoch], *arguments: Any) -> Epoch:
    """What the function returns in a process of its own: memory and the allocator's settings last until its end."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def middle(epochs: list[Epoch]) -> Epoch:
    """The median of each."""
    return Epoch(*(median(values) for values in zip(*map(astuple, epochs), strict=True)))


def ratio_of(ours: list[Epoch], theirs: list[Epoch]) -> float:
    """Median over rounds of how many times as fast."""
    return median(a.films_per_second / b.films_per_second for a, b in zip(ours, theirs, strict=True))


TITLES = (
    *("plain loop, films/s", "wait", "sys", "peak, GB", "ours, glibc's settings", "sys", "peak, GB"),
    *("ours, memory kept", "wait", "sys", "peak, GB", "to glibc's", "to plain", "of what memory alone gives"),
)


def row_of(found: dict[str, list[Epoch]]) -> list[str]:
    """The cells under ``TITLES``; without the run under glibc's settings its cells are dashes."""
    cells = []
    for way in ("plain", "system", "kept"):
        if way not in found:
            cells += ["-"] * 3
            continue
        epoch = middle(found[way])
        waited = [f"{epoch.wait:.1%}"] if way != "system" else []
        cells += [f"{epoch.films_per_second:.1f}", *waited, f"{epoch.system:.0%}", f"{epoch.peak:.1f}"]
    kept = found["kept"]
    gain = f"{ratio_of(kept, found['system']):.2f}x" if "system" in found else "-"
    return [*cells, gain, f"{ratio_of(kept, found['plain']):.1f}x", f"{ratio_of(kept, found['memory']):.0%}"]


def main() -> None:
    """Print the table."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--networks", nargs="+", default=["resnet18", "densenet121", "tf_efficientnet_lite0"], help="timm names"
    )
    parser.add_argument("--films", type=int, default=192, help="files in the plain loop's epoch")
    parser.add_argument("--repeats", type=int, help="times each comes in an epoch of ours; default 1, on a GPU 50")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=cores, help="of torch, and workers of the plain loop")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    device = torch.device(options.device)
    repeats = options.repeats or (50 if device.type == "cuda" else 1)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        what = gather_films(folder, options.films)
        started = time.perf_counter()
        open_films(table_of(folder), Preprocessing(SIDE, SIDE), folder / "cache")
        seconds = time.perf_counter() - started
        print(
            f"{what}, to {SIDE} pixels; batches of {options.batch}; {name}, {options.threads} threads; medians of "
            f"{options.rounds} epochs; decoding once took {seconds:.1f} s ({options.films / seconds:.0f} films/s)\n"
        )
        print_header("network", *TITLES)
        for architecture in options.networks:
            ways = ("system", "kept", "memory") if device.type == "cpu" else ("kept", "memory")
            found: dict[str, list[Epoch]] = {name: [] for name in ("plain", *ways)}
            for _ in range(options.rounds):
                given = (architecture, folder, options.batch, options.threads, device)
                found["plain"].append(in_new_process(plain, *given))
                for way in ways:
                    found[way].append(in_new_process(ours, *given, repeats, way))
            print_row(architecture, *row_of(found))


if __name__ == "__main__":
    main()
