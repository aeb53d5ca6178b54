"""``cxr predict``: one answer per film, in the order given."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

import cxrcore
from cxrcore.datasets.files import first_ten
from cxrcore.datasets.film_files import FilmFile, find_film_files
from cxrcore.errors import CxrError, UnreadableImage
from cxrcore.explain.overlay import draw_overlay
from cxrcore.films.radiograph import Radiograph
from cxrcore.metrics.triage import CONFIDENCE, RISK, Answer, Limits
from cxrcore.models.answer_words import by_alarm, in_words, summary, verdict
from cxrcore.models.base import Model, Prediction
from cxrcore.models.shaking import spread
from cxrcore.resources import keep_freed_memory
from cxrcore.serving.batch import ReadFilm, predict_read, read_film
from cxrcore.serving.notices import notices_of
from cxrcore.text import probability_text
from train.prediction_files import PredictionFiles
from train.terminal import print_json

BATCH = 16
_ANSWERS = {Answer.RULE_IN: "ruled in", Answer.RULE_OUT: "ruled out"}


@dataclass(frozen=True)
class Wanted:
    """What ``cxr predict`` is asked for besides probabilities."""

    as_json: bool = False
    heatmap_folder: Path | None = None
    risk: float = RISK  # of the three answers, as ``confidence`` (``metrics.triage``)
    confidence: float = CONFIDENCE
    intervals: bool = False  # each probability's ``spread``
    table: Path | None = None  # the predictions as CSV
    out: Path | None = None  # a folder: the predictions as CSV, Parquet and JSON lines, and the files left out
    device: str = "auto"


def predict_films(reference: str, paths: Sequence[str], wanted: Wanted = Wanted()) -> int:
    """Print one answer per film, in the order given, or write them down; returns how many films could not be read.

    Raises CxrError for a model that cannot be opened, no films, a risk that cannot be promised, a device that is not
    there, or files that cannot be written.
    """
    found = find_film_files(paths)
    if not found.films:
        raise CxrError(f"no films in {', '.join(map(repr, paths))}")
    files = PredictionFiles(wanted.table, wanted.out)
    model = cxrcore.load(reference, device=_device(wanted.device))
    if len(found.films) > 1:
        keep_freed_memory()  # or every batch gives its memory back and takes it again
    limits = None if model.triage is None else model.triage.limits(wanted.risk, wanted.confidence)
    overlays = _Overlays(model, wanted.heatmap_folder) if wanted.heatmap_folder else None
    keep_film, caveats = wanted.intervals or overlays is not None, notices_of(model).caveats
    unreadable: list[str] = []
    with (
        tqdm(total=len(found.films), unit="film", disable=None, leave=False) as bar,
        ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool,
    ):
        for start in range(0, len(found.films), BATCH):
            batch = list(pool.map(partial(_read, model, keep_film), found.films[start : start + BATCH]))
            for film, plain in zip(batch, predict_read(model, batch), strict=True):
                prediction = plain and _completed(model, film, plain, limits, wanted.intervals)
                files.add(film, prediction)
                if prediction is None:
                    unreadable.append(film.path)
                _show(model, film, prediction, wanted.as_json, caveats, quiet=files.wanted)
                if overlays and film.film is not None:
                    overlays.write(film.path, film.film)
            bar.update(len(batch))
    files.write(found.skipped)
    if not (wanted.as_json or files.wanted) and len(unreadable) < len(found.films):
        print(f"{model.name}: {caveats}", flush=True)
    if len(found.films) > 1 or found.skipped:
        _name_skipped(unreadable, [path for path, _ in found.skipped], len(found.films))
    return len(unreadable)


def _device(name: str) -> str | None:
    """The device that torch is asked for. Raises CxrError for a GPU that is not there."""
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise CxrError("--device cuda: torch sees no CUDA device here; use --device cpu, or auto")
    return None if name == "auto" else name


def _read(model: Model, keep_film: bool, file: FilmFile) -> ReadFilm:
    try:
        content = file.content()
    except UnreadableImage as error:
        return ReadFilm(file.path, error=str(error))
    return read_film(model, file.path, content, keep_film)


def _completed(
    model: Model, film: ReadFilm, prediction: Prediction, limits: Limits | None, intervals: bool
) -> Prediction:
    """The prediction with three answers at the risk asked for, and with intervals where they were."""
    if limits:
        triage = limits.answers(prediction.probabilities)
        prediction = replace(prediction, triage=triage, triage_why=limits.why)
    if intervals and film.film:
        prediction = replace(prediction, intervals=spread(model, film.film))
    return prediction


def _show(
    model: Model, film: ReadFilm, prediction: Prediction | None, as_json: bool, caveats: str, quiet: bool
) -> None:
    """Print a film's answer above the progress bar; where answers go to files, only what could not be read."""
    with tqdm.external_write_mode():
        if as_json:
            _print_json(model, film, prediction, caveats)
        elif prediction is None or not quiet:
            _print_text(model, film, prediction)


def _name_skipped(unreadable: Sequence[str], others: Sequence[str], films: int) -> None:
    """Which files were left out, at the end, on stderr."""
    if unreadable:
        print(f"{len(unreadable)} of {films} films could not be read: {first_ten(unreadable)}", file=sys.stderr)
    if others:
        what = "file that is no film" if len(others) == 1 else "files that are no films"
        print(f"skipped {len(others)} {what}: {first_ten(others)}", file=sys.stderr)


def _print_json(model: Model, film: ReadFilm, prediction: Prediction | None, caveats: str) -> None:
    answer: Mapping[str, Any] = {"error": film.error}
    if prediction:
        answer = {**in_words(model.labels, prediction), **prediction.to_dict(), "note": caveats}
    print_json({"path": film.path, **answer})


def _print_text(model: Model, film: ReadFilm, prediction: Prediction | None) -> None:
    if prediction is None:
        print(f"{film.path}: {film.error}", file=sys.stderr, flush=True)
        return
    answers = (
        f"{name} {probability_text(prediction.probabilities[name])}{_remark(model, prediction, name)}"
        for name in by_alarm(model.labels, prediction)
    )
    notes = [f"note: {note}" for note in dict.fromkeys((*prediction.gate.sentences, *prediction.warnings))]
    lines = [f"{film.path}: {summary(model.labels, prediction)}", ", ".join(answers), *notes]
    print("\n  ".join(lines), flush=True)


def _remark(model: Model, prediction: Prediction, name: str) -> str:
    """What a line says of a finding beside its probability, in brackets; empty where nothing stands out."""
    interval = (prediction.intervals or {}).get(name)
    parts = [
        f"{probability_text(interval[0])} to {probability_text(interval[1])} on the changed film" if interval else "",
        verdict(model.labels, prediction, name) if prediction.positive[name] or model.labels.binary else "",
        _ANSWERS.get((prediction.triage or {}).get(name, Answer.UNSURE), ""),
    ]
    words = ", ".join(filter(None, parts))
    return f" ({words})" if words else ""


class _Overlays:
    """Writes an overlay per finding; films with the same name in different folders get numbered files."""

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
