"""A dataset's films, decoded and resized once, in memory at the network's size."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from cxrcore.datasets.table import FilmTable
from cxrcore.errors import InvalidDataset, UnreadableImage
from cxrcore.images import read_radiograph
from cxrcore.preprocessing import Preprocessing, pack

MAX_UNREADABLE = 0.01  # of the films; more than that is no accident


def decode_films(
    table: FilmTable,
    preprocessing: Preprocessing,
    progress: Callable[[Iterable], Iterable] = iter,
) -> tuple[FilmTable, np.ndarray, list[str]]:
    """Every readable film, uint16 (N, h, w) as ``preprocessing.pack`` stores it, with its rows of the table.

    Unreadable films are left out and listed in the third value. Raises InvalidDataset when they exceed 1 %.
    """

    def decode(row: int) -> np.ndarray | str:
        try:
            return pack(preprocessing.prepare(read_radiograph(table.paths[row]).pixels))
        except (UnreadableImage, OSError) as error:
            return f"{table.images[row]}: {error}"

    films = np.empty((len(table), *preprocessing.size), dtype=np.uint16)
    kept: list[int] = []
    skipped: list[str] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for row, decoded in enumerate(progress(pool.map(decode, range(len(table))))):
            if isinstance(decoded, str):
                skipped.append(decoded)
            else:
                films[len(kept)] = decoded
                kept.append(row)
    if len(skipped) > MAX_UNREADABLE * len(table):
        raise InvalidDataset(f"{len(skipped)} of {len(table)} films cannot be read, first: {'; '.join(skipped[:3])}")
    return table.select(kept), films[: len(kept)], skipped
