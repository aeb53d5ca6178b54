"""Fit a model's input gate on its own training films, turned, inverted, mirrored and cropped, and on other pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cxrcore.bundle.folder import GATE, write_config
from cxrcore.datasets.cache import DecodedFilms
from cxrcore.datasets.files import find_films
from cxrcore.errors import CxrError, InvalidBundle, InvalidDataset
from cxrcore.films.radiograph import Radiograph, read_radiograph
from cxrcore.gate.fitting import GateExamples, fit_gate
from cxrcore.gate.input_gate import small_film
from cxrcore.gate.negatives import draw_negatives
from cxrcore.models.classifier import Classifier
from cxrcore.training.augmentation import Augmentation

TRAIN_FILMS, VAL_FILMS = 700, 350  # at most; each is seen in six ways
DRAWN = 240  # pictures drawn by ``draw_negatives``
VAL_SHARE = 0.25  # of the negatives
BATCH = 32
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
    """Fit the gate on films of training patients, its thresholds on validation patients, and store it in the bundle.

    At most TRAIN_FILMS and VAL_FILMS of them are used. negatives: folders of pictures that are no front views of a
    chest, beside those that are drawn. Returns what was used, which config.json keeps as ``guard``. Raises
    InvalidDataset for an empty folder, InvalidBundle for a network without one linear head on its last feature map.
    """
    if classifier.folder is None or not classifier.one_pass:
        raise InvalidBundle(f"{classifier.name} has no linear head on its last feature map, which a gate needs")
    pictures = read_negatives(negatives) + draw_negatives(DRAWN, seed)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(pictures))
    held_out = set(order[: int(VAL_SHARE * len(order))].tolist())

    def examples(films: DecodedFilms, most: int, others: list[np.ndarray]) -> GateExamples:
        rows = np.sort(rng.permutation(len(films))[:most])
        return gate_examples(classifier, films.take(rows), others, seed, progress)

    learned = examples(train, TRAIN_FILMS, [picture for n, picture in enumerate(pictures) if n not in held_out])
    tuned = examples(val, VAL_FILMS, [picture for n, picture in enumerate(pictures) if n in held_out])
    gate = fit_gate(learned, tuned, seed)
    gate.write(classifier.folder / GATE)
    classifier.__dict__.pop("gate", None)
    counts = {"films": {"train": int(learned.upright.sum() // 2), "val": int(tuned.upright.sum() // 2)}}
    guard = {**counts, "not_films": {"drawn": DRAWN, "pictures": len(pictures) - DRAWN}, "seed": seed}
    write_config(classifier.folder, replace(classifier.config, guard=guard))
    return guard


def read_negatives(folders: Sequence[Path]) -> list[np.ndarray]:
    """The pictures below these folders, float32 (H, W). Raises InvalidDataset for a folder without any."""
    pictures = []
    for folder in folders:
        paths = find_films(folder)
        if not paths:
            raise InvalidDataset(f"no pictures in {folder.name!r}, which should hold what is no chest film")
        for path in paths:
            try:
                pictures.append(read_radiograph(path).pixels)
            except CxrError:
                continue  # an animation, or cut short
    return pictures


def gate_examples(
    classifier: Classifier, films: np.ndarray, pictures: Sequence[np.ndarray], seed: int = 0, progress: Progress = iter
) -> GateExamples:
    """Each film as it is, in other tones, mirrored, cropped, turned and inverted; each picture whole and in part.

    films: float32 (N, h, w) in [0, 1] at the network's size; pictures: float32 (H, W) of any size.
    """
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    inputs: list[np.ndarray] = []
    facts: list[tuple[bool, int, bool, bool, bool]] = []

    def add(film: np.ndarray, *, chest: bool = True, turn: int = 0, inverted: bool = False, **told: bool) -> None:
        turned = np.rot90(1 - film if inverted else film, turn)
        inputs.append(np.ascontiguousarray(turned, np.float32))
        facts.append((chest, turn, inverted, told.get("mirrored", False), told.get("cropped", False)))

    for start in range(0, len(films), BATCH):
        part = torch.from_numpy(films[start : start + BATCH]).unsqueeze(1)
        toned = [TONES(part, generator)[:, 0].numpy() for _ in range(4)]
        for n, film in enumerate(films[start : start + BATCH]):
            add(film)
            add(toned[0][n])
            add(toned[1][n][:, ::-1], mirrored=True)
            add(_part(classifier, film, rng, CROPPED_SIDE), cropped=True)
            add(toned[2][n][:, :: rng.choice((1, -1))], turn=int(rng.integers(1, 4)))
            add(toned[3][n][:, :: rng.choice((1, -1))], turn=int(rng.choice((0, 0, 1, 2, 3))), inverted=True)
    for picture in pictures:
        add(classifier.prepare(Radiograph(picture, 8, 8, "")), chest=False)
        seen = 1 - picture if rng.random() < 0.2 else picture
        add(_part(classifier, seen[:, :: rng.choice((1, -1))], rng, (0.4, 0.95)), chest=False)
    pooled = [
        classifier.pooled_features(inputs[start : start + BATCH]) for start in progress(range(0, len(inputs), BATCH))
    ]
    columns = [np.array(column) for column in zip(*facts, strict=True)]
    return GateExamples(np.concatenate(pooled), np.stack([small_film(film) for film in inputs]), *columns)


def _part(classifier: Classifier, film: np.ndarray, rng: np.random.Generator, sides: tuple[float, float]) -> np.ndarray:
    """A random window of a film, each side this share of the film's, at the network's size."""
    height, width = (max(2, int(rng.uniform(*sides) * side)) for side in film.shape)
    top, left = int(rng.integers(film.shape[0] - height + 1)), int(rng.integers(film.shape[1] - width + 1))
    window = np.ascontiguousarray(film[top : top + height, left : left + width], np.float32)
    return classifier.prepare(Radiograph(window, 8, 8, ""))
