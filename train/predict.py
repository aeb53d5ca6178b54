"""``cxr predict``: one answer per film, in the order given."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

import cxrcore
from cxrcore.errors import CxrError
from cxrcore.explain.overlay import draw_overlay
from cxrcore.films.radiograph import Radiograph
from cxrcore.gate.reasons import reasons_of
from cxrcore.metrics.triage import CONFIDENCE, RISK, Answer
from cxrcore.models.answer_words import by_alarm, in_words, summary, verdict
from cxrcore.models.base import Model, Prediction
from cxrcore.models.shaking import spread
from cxrcore.serving.notices import notices_of
from cxrcore.text import probability_text
from train.terminal import print_json

BATCH = 16
_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".dcm", ".dicom"}
_ANSWERS = {Answer.RULE_IN: "ruled in", Answer.RULE_OUT: "ruled out"}


@dataclass(frozen=True, eq=False)
class _ReadFilm:
    """One path as typed, and the film read from it, or why it could not be read."""

    path: str
    film: Radiograph | None = None  # only where it is read again, for heatmaps or intervals
    prepared: Any = None  # as the model's ``prepare`` gives it
    warnings: tuple[str, ...] = ()
    told: set[str] = field(default_factory=set)  # what the file alone tells the gate
    error: str | None = None


def predict_films(
    reference: str,
    paths: Sequence[str],
    as_json: bool = False,
    heatmap_folder: Path | None = None,
    risk: float = RISK,
    confidence: float = CONFIDENCE,
    intervals: bool = False,
) -> int:
    """Print one answer per film, in the order given; returns how many films could not be read.

    risk, confidence: of the three answers (``metrics.triage``); intervals: also each probability's ``spread``. Raises
    CxrError for a model that cannot be opened, no films, a risk that cannot be promised, or a heatmap folder that
    cannot be written.
    """
    films = [film for path in paths for film in _expand(path)]
    if not films:
        raise CxrError(f"no films in {', '.join(map(repr, paths))}")
    model = cxrcore.load(reference)
    limits = None if model.triage is None else model.triage.limits(risk, confidence)
    overlays = _Overlays(model, heatmap_folder) if heatmap_folder else None
    keep_film, show = intervals or overlays is not None, _print_json if as_json else _print_text
    caveats = notices_of(model).caveats
    unreadable = 0
    with (
        tqdm(total=len(films), unit="film", disable=None, leave=False) as bar,
        ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool,
    ):
        for start in range(0, len(films), BATCH):
            batch = list(pool.map(partial(_read, model, keep_film), films[start : start + BATCH]))
            readable = [film for film in batch if film.error is None]
            predictions = iter(
                model.predict_prepared(
                    [film.prepared for film in readable],
                    [film.warnings for film in readable],
                    [film.told for film in readable],
                )
                if readable
                else []
            )
            for film in batch:
                prediction = next(predictions) if film.error is None else None
                unreadable += prediction is None
                if prediction and limits:
                    triage = limits.answers(prediction.probabilities)
                    prediction = replace(prediction, triage=triage, triage_why=limits.why)
                if prediction and intervals and film.film:
                    prediction = replace(prediction, intervals=spread(model, film.film))
                with tqdm.external_write_mode():  # the bar moves below the line that is printed
                    show(model, film, prediction, caveats)
                if overlays and film.film is not None:
                    overlays.write(film.path, film.film)
            bar.update(len(batch))
    if not as_json and unreadable < len(films):
        print(f"{model.name}: {caveats}", flush=True)
    return unreadable


def _read(model: Model, keep_film: bool, path: str) -> _ReadFilm:
    try:
        film = cxrcore.read_radiograph(path)
    except CxrError as error:
        return _ReadFilm(path, error=str(error))
    return _ReadFilm(path, film if keep_film else None, model.prepare(film), film.warnings, reasons_of(film))


def _print_json(model: Model, film: _ReadFilm, prediction: Prediction | None, caveats: str) -> None:
    answer: Mapping[str, Any] = {"error": film.error}
    if prediction:
        answer = {**in_words(model.labels, prediction), **prediction.to_dict(), "note": caveats}
    print_json({"path": film.path, **answer})


def _print_text(model: Model, film: _ReadFilm, prediction: Prediction | None, caveats: str) -> None:
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
    low, high = (prediction.intervals or {}).get(name, (None, None))
    parts = [
        "" if low is None else f"{probability_text(low)} to {probability_text(high)} on the changed film",
        verdict(model.labels, prediction, name) if prediction.positive[name] or model.labels.binary else "",
        _ANSWERS.get((prediction.triage or {}).get(name, Answer.UNSURE), ""),
    ]
    words = ", ".join(filter(None, parts))
    return f" ({words})" if words else ""


def _expand(path: str) -> list[str]:
    """A file as typed; for a folder, every file in it with a film's extension, sorted."""
    if not Path(path).is_dir():
        return [path]
    return [str(file) for file in sorted(Path(path).rglob("*")) if file.suffix.lower() in _SUFFIXES]


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
