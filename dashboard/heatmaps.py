"""The network's heatmaps: on single films, and summed up over a set of films.

The only module of the dashboard that opens a network, and only when a map is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from cxrcore.datasets.boxes import Box, box_frame
from cxrcore.errors import UnreadableImage
from cxrcore.evaluation.boxed import BoxedMap, by_film, locate_heatmap, summarise_boxed
from cxrcore.metrics.localisation import Localisation, border_share
from dashboard.sources.pictures import Pictures

if TYPE_CHECKING:
    from cxrcore import Analysis, Radiograph
    from cxrcore.models.base import Model

MEAN_GRID = (32, 32)  # of a mean map, over the film
MEAN_FILMS = 100  # of a finding are enough for a mean map


@dataclass(frozen=True, eq=False)
class MapStudy:
    """The heatmaps of a set of films, summed up by finding."""

    localisation: dict[str, Localisation]  # of findings with a box on a film that could be read
    mean_maps: dict[str, np.ndarray]  # float64 (32, 32) over the film: mean positive contribution
    mean_films: dict[str, int]  # films with the finding that went into its mean map
    borders: dict[str, float | None]  # share of the mean map's mass in the outer tenth
    unreadable: tuple[str, ...]  # films left out


@st.cache_resource(show_spinner="Opening the network …", max_entries=2)
def open_model(folder: str, stamp: str) -> Model:
    """The network of a bundle, once for all visitors; ``stamp`` changes when its weights do. Raises InvalidBundle."""
    import torch

    import cxrcore

    torch.set_num_threads(1)  # a second thread on a busy core costs more than it gives
    return cxrcore.load(folder)


def stamp_of(folder: Path) -> str:
    """Changes when a bundle's weights do, so that nothing computed from the old ones is shown for the new."""
    files = sorted(folder.rglob("*.safetensors"))
    return ";".join(f"{file.stat().st_mtime_ns}:{file.stat().st_size}" for file in files)


def model_of(folder: Path) -> Model:
    """As ``open_model``."""
    return open_model(str(folder), stamp_of(folder))


@st.cache_resource(show_spinner="Reading the film …", max_entries=12)
def film_of(image: str, folder: str, _pictures: Pictures) -> Radiograph | None:
    """One film's picture; None where there is none. Raises UnreadableImage."""
    return _pictures.read(image)


@st.cache_resource(show_spinner="Computing the heatmap …", max_entries=64)
def analysis_of(image: str, folder: str, bundle: str, stamp: str, _film: Radiograph) -> Analysis:
    """The network's answer and every finding's map on one film, from one forward pass; ``stamp`` as ``stamp_of``."""
    return open_model(bundle, stamp).analyse(_film)


def study_maps(
    model: Model,
    pictures: Pictures,
    boxes: Sequence[Box],
    present: Mapping[str, Sequence[str]],
    patients: Mapping[str, str],
    progress: Callable[[Iterable[str]], Iterable[str]] = iter,
) -> MapStudy:
    """One forward pass a film: maps against boxes, beside a random map of the same grain, and mean maps.

    ``boxes``: those of the model's findings on films that can be shown; ``present``: for each finding the films of its
    mean map; ``patients``: film -> patient, a film being its own where it is not named. ``progress`` wraps the films.
    """
    marked = by_film(boxes)
    shown = {finding: set(images) for finding, images in present.items()}
    images = sorted(set(marked).union(*shown.values()) if shown else marked)
    located: dict[str, list[BoxedMap]] = {}
    sums: dict[str, np.ndarray] = {}
    counts: dict[str, int] = {}
    unreadable = []
    for image in progress(images):
        try:
            film = pictures.read(image)
        except UnreadableImage:
            film = None
        if film is None:
            unreadable.append(image)
            continue
        heats = model.analyse(film).heatmaps
        for finding, corners in marked.get(image, {}).items():
            own, control = locate_heatmap(heats[finding], film, corners, box_frame(image))
            located.setdefault(finding, []).append((own, control, patients.get(image, image)))
        for finding in (finding for finding, names in shown.items() if image in names):
            sums[finding] = sums.get(finding, 0) + _over_film(heats[finding])
            counts[finding] = counts.get(finding, 0) + 1
    means = {finding: total / counts[finding] for finding, total in sums.items()}
    return MapStudy(
        localisation={finding: summarise_boxed(rows) for finding, rows in located.items()},
        mean_maps=means,
        mean_films=counts,
        borders={finding: border_share(values) for finding, values in means.items()},
        unreadable=tuple(unreadable),
    )


def _over_film(heat: Any) -> np.ndarray:
    """The positive part on a common grid that covers exactly the film, float64 (32, 32)."""
    from cxrcore.explain.resampling import to_film_frame

    return to_film_frame(replace(heat, signed=np.maximum(heat.signed, 0)), MEAN_GRID)
