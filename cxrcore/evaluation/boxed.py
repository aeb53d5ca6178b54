"""A model's heatmaps against boxes, beside a random map of the same grain on the same film."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cxrcore.explain.boxes import on_grid
from cxrcore.explain.heatmap import Heatmap
from cxrcore.explain.random_map import random_map
from cxrcore.films.radiograph import Radiograph
from cxrcore.metrics.localisation import Localisation, Located, locate, summarise_localisation

NIH_SIDE = 1024  # pixels of the films that NIH's boxes were drawn on, whatever copy is at hand

BoxedMap = tuple[Located, Located, str]  # a map's scores, those of its control, the patient


def locate_heatmap(
    heat: Heatmap,
    film: Radiograph,
    boxes: Sequence[tuple[float, float, float, float]],
    film_size: tuple[float, float] | None = None,
) -> tuple[Located, Located]:
    """Scores of a map against a finding's boxes (x, y, width, height), and those of a random map.

    ``film_size``: the (height, width) of the film in the boxes' pixels; by default the film's own.
    """
    control = replace(heat, signed=random_map(heat.signed.shape, film.pixels, heat.finding))
    size = film_size or film.pixels.shape
    return locate(on_grid(heat), boxes, size), locate(on_grid(control), boxes, size)


def summarise_boxed(maps: Sequence[BoxedMap]) -> Localisation:
    """Mean scores of maps and controls, with intervals by patient."""
    own, control, patients = zip(*maps, strict=True)
    return summarise_localisation(own, control, np.array(patients))
