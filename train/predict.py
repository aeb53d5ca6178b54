"""``cxr predict``: films in, one answer each, in the order they were given."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

import cxrcore
from cxrcore.errors import CxrError
from cxrcore.explain.overlay import draw_overlay
from cxrcore.films.radiograph import Radiograph
from cxrcore.models.base import Model, Prediction

BATCH = 16
_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".dcm", ".dicom"}


@dataclass(frozen=True, eq=False)
class _Read:
    """One path as typed, and what came of reading it."""

    path: str
    film: Radiograph | None = None  # kept only where it will be drawn
    prepared: Any = None  # as the model's ``prepare`` gives it
    warnings: tuple[str, ...] = ()
    error: str | None = None


def predict_films(
    reference: str, paths: Sequence[str], as_json: bool = False, heatmap_folder: Path | None = None
) -> int:
    """Print an answer a film; return how many could not be read. Raises CxrError for a bad model or folder."""
    from train.terminal import print_json

    films = [film for path in paths for film in _expand(path)]
    if not films:
        raise CxrError(f"no films in {', '.join(map(repr, paths))}")
    model = cxrcore.load(reference)
    overlays = _Overlays(model, heatmap_folder) if heatmap_folder else None
    unreadable = 0
    bar = tqdm(total=len(films), unit="film", disable=None if not sys.stdout.isatty() else True, leave=False)

    def read(path: str) -> _Read:
        try:
            film = cxrcore.read_radiograph(path)
        except CxrError as error:
            return _Read(path, error=str(error))
        return _Read(path, film if overlays else None, model.prepare(film), film.warnings)

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for batch in _in_batches(films):
            reads = list(pool.map(read, batch))
            good = [(r.prepared, r.warnings) for r in reads if r.prepared is not None]
            answers = iter(model.predict_prepared([p for p, _ in good], [w for _, w in good]) if good else [])
            for item in reads:
                answer = next(answers) if item.error is None else None
                unreadable += answer is None
                if as_json:
                    print_json({"path": item.path, **(answer.to_dict() if answer else {"error": item.error})})
                elif answer:
                    print(_as_text(item.path, answer), flush=True)
                else:
                    print(f"{item.path}: {item.error}", file=sys.stderr, flush=True)
                if overlays and item.film is not None:
                    overlays.write(item.path, item.film)
            bar.update(len(batch))
    bar.close()
    return unreadable


def _in_batches(films: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(films), BATCH):
        yield films[start : start + BATCH]


def _expand(path: str) -> list[str]:
    """A file as typed; of a folder, every film in it by its usual extensions, sorted."""
    if not Path(path).is_dir():
        return [path]
    return [str(found) for found in sorted(Path(path).rglob("*")) if found.suffix.lower() in _SUFFIXES]


def _as_text(path: str, prediction: Prediction) -> str:
    ordered = sorted(prediction.probabilities.items(), key=lambda item: -item[1])
    marks = {True: " (above its threshold)", False: "", None: ""}
    answers = ", ".join(f"{name} {value:.1%}{marks[prediction.positive[name]]}" for name, value in ordered)
    return "\n  note: ".join([f"{path}: {answers}", *prediction.warnings])


class _Overlays:
    """Writes every finding's overlay; films of one name in different folders do not overwrite each other."""

    def __init__(self, model: Model, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            raise CxrError(f"cannot write heatmaps into {folder.name!r}; choose another folder") from None
        self.model = model
        self.folder = folder
        self.used: dict[str, int] = {}

    def write(self, path: str, film: Radiograph) -> None:
        stem = Path(path).stem
        self.used[stem] = self.used.get(stem, 0) + 1
        stem += f"-{self.used[stem]}" if self.used[stem] > 1 else ""
        for finding, heatmap in self.model.explain_all(film).items():
            name = f"{stem}-{finding.replace(' ', '_')}.png"
            Image.fromarray(draw_overlay(film.pixels, heatmap)).save(self.folder / name)
