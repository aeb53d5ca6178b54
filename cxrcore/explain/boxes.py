"""Boxes around the strongest places of a map, as a reader or an evaluation would compare them with a radiologist's."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from cxrcore.explain.heatmap import Heatmap

GRID = 256  # pixels of the longest side on which maps meet boxes
COARSE = 64  # plenty for the boxes of maps of a few cells, and quick
OF_MAXIMUM = 0.5  # a place belongs to a box where the map reaches this share of its own maximum


def on_grid(heat: Heatmap, longest: int = GRID) -> np.ndarray:
    """A map's positive part over the whole film, float32, on a grid of the film's shape but no finer than needed."""
    scale = min(1.0, longest / max(heat.film_size))
    size = (max(1, round(heat.film_size[0] * scale)), max(1, round(heat.film_size[1] * scale)))
    return heat.preprocessing.to_film_grid(np.maximum(heat.signed, 0), size)


def boxes_of(heat: Heatmap, longest: int = COARSE) -> list[tuple[float, float, float, float]]:
    """Boxes around a map's strongest places, (x, y, width, height) in pixels of its film, the strongest place first.

    Each isolated region of at least half the map's maximum is boxed (Wang 2017, arXiv:1705.02315, sec. 4.2, there at
    two fixed levels), on a grid of ``longest`` cells along the film's longer side; neighbours share an edge. Empty for
    a map without a positive value.

    >>> boxes_of(model.explain(film, "Effusion"))
    [(16.0, 608.0, 320.0, 288.0)]
    """
    grid = on_grid(heat, longest)
    if not grid.max() > 0:
        return []
    regions, _ = ndimage.label(grid >= OF_MAXIMUM * grid.max())
    found = ndimage.find_objects(regions)
    peaks = [-float(grid[places][regions[places] == region].max()) for region, places in enumerate(found, start=1)]
    down, across = (side / cells for side, cells in zip(heat.film_size, grid.shape, strict=True))
    return [
        (x.start * across, y.start * down, (x.stop - x.start) * across, (y.stop - y.start) * down)
        for _, (y, x) in sorted(zip(peaks, found, strict=True), key=lambda pair: pair[0])
    ]
