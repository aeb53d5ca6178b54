"""Fit a model's input gate on its own training films, turned, inverted, mirrored and cropped, and on other pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import avg_pool2d

from cxrcore.bundle.folder import GATE, write_config
from cxrcore.datasets.cache import DecodedFilms
from cxrcore.datasets.files import find_films
from cxrcore.errors import CxrError, InvalidBundle, InvalidDataset
from cxrcore.films.radiograph import Radiograph, read_radiograph
from cxrcore.gate.fitting import GateExamples, Views, fit_gate, fit_view_network
from cxrcore.gate.input_gate import small_film
from cxrcore.gate.negatives import draw_negatives
from cxrcore.models.classifier import Classifier
from cxrcore.training.augmentation import Augmentation

TRAIN_FILMS, VAL_FILMS = 3000, 600  # at most
DRAWN = 240  # pictures drawn by ``draw_negatives``
FEWEST = {"train": 200, "val": 100}  # films: of fewer, a hundredth of the held-out ones is not even one film
HELD_OUT = 0.3  # share of the validation patients, and of the other pictures, that thresholds come from
BATCH = 32
SMALLER = 2  # by how much films shrink before they are turned, for ``film_views``
TONES = Augmentation(
    rotation=6, zoom=0.12, shift=0.05, tone_swap=0.3, gamma=0.5, curve=0.3, contrast=0.3, brightness=0.1,
    blur=0.3, noise=0.04, frame_swap=0.3, collimation=0.3,
)  # fmt: skip
CROPPED_SIDE = (0.45, 0.7)  # share of each side that a cropped film keeps

Progress = Callable[[Iterable[Any]], Iterable[Any]]


def fit_bundle_gate(
    classifier: Classifier,
    train: DecodedFilms,
    val: DecodedFilms,
    negatives: Sequence[Path] = (),
    seed: int = 0,
    progress: Progress = iter,
) -> dict[str, Any]:
    """Fit the gate (``gate.fitting``) on at most TRAIN_FILMS and VAL_FILMS films, and store it in the bundle.

    negatives: folders of pictures that are no front views of a
    chest, beside those that are drawn. Returns what was used, which config.json keeps as ``guard``. Raises
    InvalidDataset for an empty folder, InvalidBundle for a network without ``gate_stages``.
    """
    if classifier.folder is None or not classifier.gate_stages:
        raise InvalidBundle(f"{classifier.name} has no convolutional stages that a gate could look at")
    pictures = read_negatives(negatives) + draw_negatives(DRAWN, seed)
    rng = np.random.default_rng(seed)
    learned, tuned = (
        gate_examples(classifier, films, [pictures[n] for n in others], spoilt, seed, progress)
        for films, others, spoilt in zip(
            two_parts(val, VAL_FILMS, rng), _cut(np.arange(len(pictures)), rng), (False, True), strict=True
        )
    )
    view_network = fit_view_network(film_views(classifier, train, TRAIN_FILMS, seed), seed)
    gate = fit_gate(learned, view_network, tuned, seed)
    gate.write(classifier.folder / GATE)
    classifier.__dict__.pop("gate", None)
    counts = {"films": {"train": min(len(train), TRAIN_FILMS), "val": min(len(val), VAL_FILMS)}}
    others = {"drawn": DRAWN, "pictures": len(pictures) - DRAWN, "folders": [folder.name for folder in negatives]}
    guard = {**counts, "not_films": others, "seed": seed}
    write_config(classifier.folder, replace(classifier.config, guard=guard))
    return guard


def why_no_gate(classifier: Classifier, train: int, val: int) -> str:
    """Why no gate can be fitted on so many films; empty where one can."""
    if not classifier.gate_stages:
        return f"{classifier.name} has no convolutional stages that a gate could look at"
    if train < FEWEST["train"] or val < FEWEST["val"]:
        return (
            f"it is fitted on {FEWEST['train']} training and {FEWEST['val']} validation films or more, "
            f"and here are {train} and {val}"
        )
    return ""


def check_negatives(folders: Sequence[Path]) -> None:
    """Raise InvalidDataset for a folder without pictures."""
    for folder in folders:
        if not find_films(folder):
            raise InvalidDataset(f"no pictures in {folder.name!r}, which should hold what is no chest film")


def read_negatives(folders: Sequence[Path]) -> list[np.ndarray]:
    """The pictures below these folders, float32 (H, W). Raises InvalidDataset for a folder without any."""
    check_negatives(folders)
    pictures = []
    for folder in folders:
        for path in find_films(folder):
            try:
                pictures.append(read_radiograph(path).pixels)
            except CxrError:
                continue  # an animation, or cut short
    return pictures


def gate_examples(
    classifier: Classifier,
    films: np.ndarray,
    pictures: Sequence[np.ndarray],
    spoilt: bool,
    seed: int = 0,
    progress: Progress = iter,
) -> GateExamples:
    """Each film as it is and in other tones, with ``spoilt`` also in the ways of ``film_views``; each picture twice.

    films: float32 (N, h, w) in [0, 1] at the network's size; pictures: float32 (H, W) of any size, whole and in part.
    """
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    seen: list[Seen] = []
    for start in range(0, len(films), BATCH):
        part = films[start : start + BATCH]
        seen += [(film, 0, False, False, False) for film in (*part, *_toned(part, generator))]
        seen += _spoilt(classifier, part, rng, generator) if spoilt else []
    chest = len(seen)
    for picture in pictures:
        shown = 1 - picture if rng.random() < 0.2 else picture
        window = _part(classifier, shown[:, :: rng.choice((1, -1))], rng, (0.4, 0.95))
        seen += [(film, 0, False, False, False) for film in (classifier.prepare(Radiograph(picture, 8, 8, "")), window)]
    inputs = [film for film, *_ in seen]
    features = [
        classifier.gate_features(inputs[start : start + BATCH]) for start in progress(range(0, len(inputs), BATCH))
    ]
    return GateExamples(**vars(_views(seen)), features=np.concatenate(features), chest=np.arange(len(seen)) < chest)


def film_views(classifier: Classifier, films: DecodedFilms, most: int, seed: int = 0) -> Views:
    """At most so many films in eight views each: in other tones, mirrored, cropped, and turned and inverted."""
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    rows = _some(len(films), most, rng)
    views = []
    for start in range(0, len(rows), BATCH):
        smaller = avg_pool2d(torch.from_numpy(films.take(rows[start : start + BATCH])), SMALLER).numpy()
        seen: list[Seen] = [(film, 0, False, False, False) for film in _toned(smaller, generator)]
        seen += _spoilt(classifier, smaller, rng, generator)
        seen += [view for _ in range(2) for view in _turned(_toned(smaller, generator), rng)]
        views.append(_views(seen))
    columns = zip(*(vars(part).values() for part in views), strict=True)
    return Views(*(np.concatenate(column) for column in columns))


Seen = tuple[np.ndarray, int, bool, bool, bool]  # a film, its turn, and whether it is inverted, mirrored, cropped


def _views(seen: Sequence[Seen]) -> Views:
    films, *facts = zip(*seen, strict=True)
    return Views(np.stack([small_film(film) for film in films]), *map(np.array, facts))


def _spoilt(
    classifier: Classifier, films: np.ndarray, rng: np.random.Generator, generator: torch.Generator
) -> list[Seen]:
    """Each film mirrored, cropped, turned, and inverted, the first two and the last two in other tones."""
    mirrored = [(_whole(film[:, ::-1]), 0, False, True, False) for film in _toned(films, generator)]
    cropped = [(_part(classifier, film, rng, CROPPED_SIDE), 0, False, False, True) for film in films]
    turned = _turned(_toned(films, generator), rng, (1, 2, 3), (False,))
    return [*mirrored, *cropped, *turned, *_turned(_toned(films, generator), rng, (0, 0, 1, 2, 3), (True,))]


def _turned(
    films: Sequence[np.ndarray] | np.ndarray,
    rng: np.random.Generator,
    turns: tuple[int, ...] = (0, 0, 1, 2, 3),
    inversions: tuple[bool, ...] = (False, False, True),
) -> list[Seen]:
    """Each film turned and inverted at random, half of them mirrored, which is not asked of them."""
    seen: list[Seen] = []
    for film in films:
        turn, inverted, mirrored = int(rng.choice(turns)), bool(rng.choice(inversions)), rng.random() < 0.5
        flipped = film[:, ::-1] if mirrored else film
        seen.append((_whole(np.rot90(1 - flipped if inverted else flipped, turn)), turn, inverted, mirrored, False))
    return seen


def _toned(films: np.ndarray, generator: torch.Generator) -> np.ndarray:
    toned: np.ndarray = TONES(torch.from_numpy(films).unsqueeze(1), generator)[:, 0].numpy()
    return toned


def _whole(film: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(film, np.float32)


def two_parts(films: DecodedFilms, most: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """At most so many films, float32 (n, h, w), to learn from, and those of other patients, to set thresholds on."""
    rows = _some(len(films), most, rng)
    patients = np.array(films.table.patient_ids)[rows]
    learned, held_out = _cut(np.unique(patients), rng)
    return films.take(rows[np.isin(patients, learned)]), films.take(rows[np.isin(patients, held_out)])


def _cut(things: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The things in random order, cut in two: HELD_OUT of them are the second part."""
    shuffled = rng.permutation(things)
    cut = len(shuffled) - round(HELD_OUT * len(shuffled))
    return shuffled[:cut], shuffled[cut:]


def _some(films: int, most: int, rng: np.random.Generator) -> np.ndarray:
    """At most so many of the rows, in their order."""
    return np.sort(rng.permutation(films)[:most])


def _part(classifier: Classifier, film: np.ndarray, rng: np.random.Generator, sides: tuple[float, float]) -> np.ndarray:
    """A random window of a film, each side this share of the film's, at the network's size."""
    height, width = (max(2, int(rng.uniform(*sides) * side)) for side in film.shape)
    top, left = int(rng.integers(film.shape[0] - height + 1)), int(rng.integers(film.shape[1] - width + 1))
    window = np.ascontiguousarray(film[top : top + height, left : left + width], np.float32)
    return classifier.prepare(Radiograph(window, 8, 8, ""))
