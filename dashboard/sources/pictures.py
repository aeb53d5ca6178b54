"""Pictures of films, read from a folder; a phantom is drawn again from its seed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from cxrcore.datasets.files import find_films
from cxrcore.datasets.phantoms import phantom_film
from cxrcore.errors import InvalidDataset
from cxrcore.films.radiograph import Radiograph, read_radiograph

_PHANTOM = re.compile(r"phantom-(\d{6,9})\.png")


class Pictures:
    """The films of a table that can be shown: found by id, file name, or file name without suffix, in that order.

    Raises InvalidDataset when there is no such folder, or it holds none of the films.
    """

    def __init__(self, images: Iterable[str], folder: Path | None = None) -> None:
        self.folder = folder
        self._paths = {} if folder is None else _paths_of([str(image) for image in images], folder)

    def __contains__(self, image: str) -> bool:
        return image in self._paths or _PHANTOM.fullmatch(image) is not None

    def available(self, images: Iterable[str]) -> np.ndarray:
        """Films that can be shown, bool (N,)."""
        return np.array([str(image) in self for image in images], dtype=bool)

    def any_available(self, images: Iterable[str]) -> bool:
        """Whether any of them can be shown."""
        return any(str(image) in self for image in images)

    def read(self, image: str) -> Radiograph | None:
        """The film, or None where there is no picture of it. Raises UnreadableImage for a damaged file."""
        if path := self._paths.get(image):
            return read_radiograph(path)
        if match := _PHANTOM.fullmatch(image):
            return phantom_film(int(match[1]))
        return None


def _paths_of(images: list[str], folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise InvalidDataset(f"there is no folder {folder.name!r} here; give the one that holds the films")
    by_name: dict[str, list[Path]] = {}
    by_stem: dict[str, list[Path]] = {}
    for path in find_films(folder):
        by_name.setdefault(path.name, []).append(path)
        by_stem.setdefault(path.stem, []).append(path)
    found: dict[str, Path] = {}
    for image in images:
        name = image.replace("\\", "/").rsplit("/", 1)[-1]
        paths = by_name.get(name) or by_stem.get(name) or by_stem.get(Path(name).stem) or []
        whole = [path for path in paths if path.as_posix().endswith(f"/{image}")] if "/" in image else paths
        if whole or paths:
            found[image] = (whole or paths)[0]
    if not found:
        films = sum(map(len, by_name.values()))
        raise InvalidDataset(
            f"folder {folder.name!r} holds {films:,} films and none of these, such as {images[0]!r}; give another one"
            if images
            else f"folder {folder.name!r} has no box file (BBox_List_2017.csv or boxes.csv), so no film is asked for"
        )
    return found
