"""The phantom set: synthetic films with up to five planted findings, drawn from seeds, and the exact box of each.

    images/phantom-000007.png   8 bits; its findings and boxes also stand in the PNG's own text
    phantoms.csv                image, seed, then the five findings
    boxes.csv                   image, finding, x, y, width, height in pixels of the film

Each seed is a person of its own. For teaching and testing only: a score on phantoms says nothing about people.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from cxrcore.datasets.files import first_ten, read_table
from cxrcore.datasets.reader import DatasetReader
from cxrcore.datasets.table import FilmTable
from cxrcore.errors import InvalidDataset
from cxrcore.films.radiograph import Radiograph
from cxrcore.findings import PHANTOM5, LabelSet
from cxrcore.storage import atomic_write

PREVALENCE = 0.25  # of each finding on its own: 24 % of films have none
SEEDS_A_SET = 1_000_000  # films of set ``seed`` have seeds from seed × this on, so two sets share no person
TABLE, BOXES = "phantoms.csv", "boxes.csv"
_TEXT = "phantom"  # the PNG's text chunk
_FEW = 50  # films that are drawn before a second process has started


def phantom_findings(seed: int) -> tuple[str, ...]:
    """The findings planted in the set's film of this seed."""
    from cxrcore.phantom import random_findings

    return random_findings(np.random.default_rng([seed, 5]), PREVALENCE)


def phantom_film(seed: int, findings: Iterable[str] | None = None, size: tuple[int, int] = (256, 256)) -> Radiograph:
    """The set's film of this seed, drawn again, with its 8-bit values; ``findings`` other than its own on request."""
    return phantom_case(seed, size, findings)[0]


def phantom_case(
    seed: int, size: tuple[int, int], findings: Iterable[str] | None = None
) -> tuple[Radiograph, dict[str, tuple[int, int, int, int]]]:
    """As ``phantom_film``, with the boxes of its findings: x, y, width and height in pixels."""
    from cxrcore.phantom import draw_phantom

    phantom = draw_phantom(seed, phantom_findings(seed) if findings is None else findings, size)
    pixels = _eight_bits(phantom.pixels) / np.float32(255)
    return Radiograph(pixels, bits=8, bits_stored=8, encoding="synthetic", name=_file_name(seed)), phantom.boxes


def write_phantoms(
    folder: Path,
    count: int,
    seed: int = 0,
    size: tuple[int, int] = (256, 256),
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> None:
    """Draw ``count`` films of set ``seed`` into ``folder``, with their tables; size is (height, width) in pixels.

    Films that are there already are kept, so that an interrupted call goes on where it was. ``progress`` wraps the
    iteration over films, one item a film. Many films are drawn by a process a core, so a script that calls this needs
    the usual ``if __name__ == "__main__"``. Raises InvalidDataset when the folder cannot be written, or holds other
    phantoms.
    """
    if not 0 < count <= SEEDS_A_SET or seed < 0:
        raise InvalidDataset(f"a phantom set has 1 to {SEEDS_A_SET:,} films and a seed of 0 or more")
    images = folder / "images"
    try:
        images.mkdir(parents=True, exist_ok=True)
        seeds = [seed * SEEDS_A_SET + n for n in range(count)]
        _refuse_other_films(images, set(map(_file_name, seeds)), size)
        missing = sum(not (images / _file_name(one)).exists() for one in seeds)
        draw = partial(_draw_once, images, size)
        workers = min(_cores(), missing // _FEW)
        if workers > 1:
            with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
                facts = list(progress(pool.map(draw, seeds, chunksize=8)))
        else:
            facts = list(progress(map(draw, seeds)))
        _write_tables(folder, facts)
    except OSError as error:
        raise InvalidDataset(
            f"cannot write phantoms into {folder.name!r} ({error.strerror or 'the disk refuses'}); free some space or "
            f"choose another folder, and run again to go on"
        ) from None


def read_phantoms(folder: Path, labels: LabelSet = PHANTOM5) -> FilmTable:
    """The films of ``phantoms.csv``. Raises InvalidDataset when there is no such table, or films of it are gone."""
    if labels != PHANTOM5:
        raise InvalidDataset(f"phantom has no labels {labels.name!r}; choose {PHANTOM5.name}")
    if not (folder / TABLE).is_file():
        raise InvalidDataset(f"no phantoms in {folder.name!r}; draw them with: cxr data get phantom --out DIR")
    frame = read_table(folder / TABLE)
    if missing := [name for name in ("image", "seed", *PHANTOM5) if name not in frame.columns]:
        raise InvalidDataset(f"{TABLE} lacks {', '.join(missing)}; draw the set again")
    paths = [folder / "images" / str(name) for name in frame["image"]]
    if gone := [path.name for path in paths if not path.is_file()]:
        raise InvalidDataset(f"{len(gone)} phantoms are not there: {first_ten(gone)}; draw the set again to fill it up")
    return FilmTable(
        name="phantom",
        labels=PHANTOM5,
        paths=tuple(paths),
        images=tuple(frame["image"]),
        patient_ids=tuple(f"phantom-{seed}" for seed in frame["seed"]),
        targets=frame[list(PHANTOM5)].to_numpy(np.float32),
        splits=(None,) * len(frame),
        metadata={"seed": tuple(frame["seed"].tolist())},
        notes=("These films are synthetic and show nobody; a score on them says nothing about people.",),
    )


def _draw_once(images: Path, size: tuple[int, int], seed: int) -> dict[str, Any]:
    """Draw the film unless it is there; returns its seed, findings and boxes."""
    from cxrcore.phantom import draw_phantom

    path = images / _file_name(seed)
    if path.exists():
        return _facts_of(path)
    phantom = draw_phantom(seed, phantom_findings(seed), size)
    facts = {"seed": seed, "findings": list(phantom.findings), "boxes": phantom.boxes, "synthetic": True}
    text = PngImagePlugin.PngInfo()
    text.add_text(_TEXT, json.dumps(facts))
    with atomic_write(path, sync=False) as part:  # a film that is there is whole
        Image.fromarray(_eight_bits(phantom.pixels)).save(part, "PNG", pnginfo=text)
    return facts


def _facts_of(path: Path) -> dict[str, Any]:
    """Seed, findings, boxes and size from a phantom's PNG. Raises InvalidDataset for another file."""
    try:
        with Image.open(path, formats=["PNG"]) as image:
            return {**json.loads(image.info[_TEXT]), "size": (image.height, image.width)}
    except (OSError, KeyError, TypeError, ValueError, SyntaxError):
        raise InvalidDataset(f"{path.name} is damaged or is no phantom; delete it and run again") from None


def _refuse_other_films(images: Path, expected: set[str], size: tuple[int, int]) -> None:
    films = sorted(path for path in images.iterdir() if path.suffix == ".png")
    if others := [path.name for path in films if path.name not in expected]:
        raise InvalidDataset(f"the folder holds {len(others)} other films, such as {others[0]}; choose an empty one")
    for path in films:
        if (other := _facts_of(path)["size"]) != tuple(size):
            raise InvalidDataset(
                f"the folder holds phantoms of {other[0]} × {other[1]} pixels, not {size[0]} × {size[1]}; "
                f"choose an empty one"
            )


def _write_tables(folder: Path, facts: Sequence[dict[str, Any]]) -> None:
    films = [
        (_file_name(f["seed"]), f["seed"], *(int(finding in f["findings"]) for finding in PHANTOM5)) for f in facts
    ]
    boxes = [(_file_name(f["seed"]), finding, *box) for f in facts for finding, box in f["boxes"].items()]
    _write_csv(folder / BOXES, ("image", "finding", "x", "y", "width", "height"), boxes)
    _write_csv(folder / TABLE, ("image", "seed", *PHANTOM5), films)  # last: where it is, the set is whole


def _write_csv(path: Path, header: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> None:
    with atomic_write(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _file_name(seed: int) -> str:
    return f"phantom-{seed:06d}.png"


def _eight_bits(pixels: np.ndarray) -> np.ndarray:
    levels: np.ndarray = np.rint(pixels * 255).astype(np.uint8)
    return levels


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


READER = DatasetReader(
    name="phantom",
    read=read_phantoms,
    recognise=lambda folder: (folder / TABLE).is_file(),
    usual_labels=lambda _: PHANTOM5,
    title="Synthetic films drawn from seeds by this project",
    who="nobody: drawings with planted findings, no films of people",
    license="Apache-2.0",
)
