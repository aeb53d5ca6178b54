"""Deletion and insertion curves of a network's exact maps, on the films on which it is surest of each finding."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from cxrcore.datasets.cache import DecodedFilms
from cxrcore.evaluation.forward import logits_and_maps
from cxrcore.explain.random_map import random_map
from cxrcore.findings import LabelSet
from cxrcore.metrics.faithfulness import Faithfulness, summarise_faithfulness
from cxrcore.models.classifier import Classifier

STEPS = 7  # a row's worth of cells each on a map of 7 x 7
FILL = "the film blurred by a Gaussian whose standard deviation is a cell of the map"
NOT_ASKED = "not measured; cxr evaluate --faithfulness N measures it on N films"

Score = Callable[[np.ndarray], np.ndarray]  # films, float32 (n, h, w) in [0, 1], to targets in logits (n,)


def measure_faithfulness(
    model: Classifier,
    films: DecodedFilms,
    probabilities: np.ndarray,
    count: int,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Faithfulness:
    """Take cells out of ``count`` films, and put them in, in the order of their evidence and in a random one.

    ``probabilities``: float (N, C), of these films. ``count`` is shared out among the findings that are diseases. A
    film costs 24 forward passes beside those of the film and of its fill. ``progress`` wraps the films.
    """
    rows, columns = surest_films(model.labels, probabilities, np.array(films.table.patient_ids), count)
    chosen = films.select(rows)
    _, maps = logits_and_maps(model, chosen)
    if maps is None:
        return Faithfulness.none(f"{model.name} gives no map from its own forward pass")
    curves = []
    for row in progress(range(len(rows))):
        column, (film,) = int(columns[row]), chosen.take(slice(row, row + 1))
        signed = maps[row, column]
        orders = signed, random_map(signed.shape, film, model.labels.names[column])
        curves.append(deletion_and_insertion(_target(model, column), film, orders))
    deletion, insertion = np.moveaxis(np.array(curves), 2, 0)
    names, patients = np.array(model.labels.names)[columns], np.array(chosen.table.patient_ids)
    return summarise_faithfulness(deletion, insertion, names, patients, FILL)


def surest_films(
    labels: LabelSet, probabilities: np.ndarray, patients: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns, int (n,) each, of the films with the highest probability of each disease.

    ``count`` is shared out evenly, the first diseases taking what is left over; a patient has one film of a disease.
    """
    names = labels.abnormal or labels.names
    rows: list[int] = []
    columns: list[int] = []
    for place, name in enumerate(names):
        column, own = labels.index(name), count // len(names) + (place < count % len(names))
        order = np.argsort(-probabilities[:, column], kind="stable")
        highest = np.sort(np.unique(patients[order], return_index=True)[1])
        rows += order[highest[:own]].tolist()
        columns += [column] * len(highest[:own])
    return np.array(rows, np.int64), np.array(columns, np.int64)


def deletion_and_insertion(score: Score, film: np.ndarray, orders: Iterable[np.ndarray]) -> np.ndarray:
    """Curves of a film, float64 (orders, 2, STEPS + 1), in logits: deletion, then insertion.

    film: float32 (h, w) in [0, 1]; orders: maps (a, b) of which the highest cells go first. Deletion runs from the film
    to the blurred one, insertion back.
    """
    maps = list(orders)
    blurred = _blurred(film, maps[0].shape)
    altered = [film, blurred]
    for values in maps:
        step = _steps(values, film.shape)
        altered += [np.where(step < k, blurred, film) for k in range(1, STEPS)]
        altered += [np.where(step < k, film, blurred) for k in range(1, STEPS)]
    targets = score(np.stack(altered)).astype(np.float64)
    whole, empty = targets[:2]
    inner = targets[2:].reshape(len(maps), 2, STEPS - 1)
    ends = np.broadcast_to([[[whole], [empty]]], (len(maps), 2, 1))
    return np.concatenate([ends, inner, ends[:, ::-1]], axis=2)


def _steps(values: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """The step, 0 to STEPS - 1, in which each pixel changes, int (h, w)."""
    cells = np.empty(values.size, np.int64)
    for step, part in enumerate(np.array_split(np.argsort(-values, axis=None, kind="stable"), STEPS)):
        cells[part] = step
    down, across = (np.arange(pixels) * count // pixels for pixels, count in zip(size, values.shape, strict=True))
    return cells.reshape(values.shape)[np.ix_(down, across)]


def _blurred(film: np.ndarray, cells: tuple[int, ...]) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    sides = [pixels / count for pixels, count in zip(film.shape, cells, strict=True)]
    blurred: np.ndarray = gaussian_filter(film, sides, mode="nearest")
    return blurred


def _target(model: Classifier, column: int) -> Score:
    """The map's target: the logit, or of exclusive classes the logit less the mean of the others."""

    def score(films: np.ndarray) -> np.ndarray:
        return model.targets(model.score(list(films))[0])[:, column]

    return score
