"""A model's heatmaps against boxes, beside a random map of the same grain on the same film."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from cxrcore.datasets.boxes import Box, box_frame
from cxrcore.datasets.table import FilmTable
from cxrcore.explain.boxes import boxes_of, on_grid
from cxrcore.explain.heatmap import Heatmap
from cxrcore.explain.random_map import random_map
from cxrcore.films.radiograph import Radiograph, read_radiograph
from cxrcore.metrics.localisation import Corners, Localisation, Located, locate, summarise_localisation
from cxrcore.models.base import Model

BoxedMap = tuple[Located, Located, str]  # a map's scores, those of its control, the patient


def by_film(boxes: Iterable[Box]) -> dict[str, dict[str, list[Corners]]]:
    """Image -> finding -> its boxes."""
    marked: dict[str, dict[str, list[Corners]]] = {}
    for box in boxes:
        marked.setdefault(box.image, {}).setdefault(box.finding, []).append((box.x, box.y, box.width, box.height))
    return marked


def boxed_rows(table: FilmTable, boxes: Iterable[Box]) -> np.ndarray:
    """Which films have a box of one of the table's findings, bool (N,)."""
    images = {box.image for box in boxes if box.finding in table.labels}
    return np.array([image in images for image in table.images], dtype=bool)


def locate_films(
    model: Model,
    table: FilmTable,
    boxes: Sequence[Box],
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> dict[str, list[BoxedMap]]:
    """Finding -> scores of the maps of its boxed films, in the order of the model's findings.

    Only films with a box are read, and each takes one forward pass. ``progress`` wraps their rows.
    """
    marked = by_film(boxes)
    located: dict[str, list[BoxedMap]] = {name: [] for name in table.labels}
    for row in progress(np.flatnonzero(boxed_rows(table, boxes)).tolist()):
        image, film = table.images[row], read_radiograph(table.paths[row])
        heats = model.analyse(film).heatmaps
        for finding, corners in marked[image].items():
            if finding in located:
                scores = locate_heatmap(heats[finding], film, corners, box_frame(image))
                located[finding].append((*scores, table.patient_ids[row]))
    return located


def locate_heatmap(
    heat: Heatmap, film: Radiograph, boxes: Sequence[Corners], film_size: tuple[float, float] | None = None
) -> tuple[Located, Located]:
    """Scores of a map against a finding's boxes (x, y, width, height), and those of a random map.

    ``film_size``: the (height, width) of the film in the boxes' pixels; by default the film's own.
    """
    control = replace(heat, signed=random_map(heat.signed.shape, film.pixels, heat.finding))
    size = film_size or film.pixels.shape
    down, across = (side / pixels for side, pixels in zip(size, heat.film_size, strict=True))

    def scores(one: Heatmap) -> Located:
        drawn = [(x * across, y * down, wide * across, high * down) for x, y, wide, high in boxes_of(one)]
        return locate(on_grid(one), boxes, size, drawn=drawn)

    return scores(heat), scores(control)


def summarise_boxed(maps: Sequence[BoxedMap]) -> Localisation:
    """Mean scores of maps and controls, with intervals by patient."""
    own, control, patients = zip(*maps, strict=True) if maps else ((), (), ())
    return summarise_localisation(own, control, np.array(patients))
