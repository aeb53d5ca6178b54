"""Heatmaps resampled: the mean of several on a common grid, and one on the grid of its film."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cxrcore.explain.heatmap import Heatmap
from cxrcore.explain.random_map import random_map
from cxrcore.films.preprocessing import Preprocessing
from cxrcore.films.radiograph import Radiograph


def mean_heatmap(heatmaps: Sequence[Heatmap], film: Radiograph) -> Heatmap:
    """One map of several of the same finding and film, on the finest of their grids, laid over the film itself.

    On the logit scale the mean of the result plus its bias is the mean of the members' targets: resampling keeps each
    mean, and what a member took from the black bars beside a letterboxed film lies nowhere on it, so it joins the bias.
    Its colour scale ends at the mean of theirs, which the mean of maps within their scales cannot leave. Maps without
    that scale, of which one is enough, are first brought to a maximum of 1 each.
    """
    first = heatmaps[0]
    rows, columns = (max(heat.signed.shape[axis] for heat in heatmaps) for axis in (0, 1))
    height, width = (max(getattr(heat.preprocessing, side) for heat in heatmaps) for side in ("height", "width"))
    frame = Preprocessing(height, width, geometry="squash")  # the film and nothing beside it
    common = replace(first, preprocessing=frame, scale=None, bias=None, evidence_level=None, ceiling=None)
    if first.method == "random":
        return replace(common, signed=random_map((rows, columns), film.pixels, first.finding))
    moved = [to_film_frame(heat, (rows, columns)) for heat in heatmaps]
    biases = [heat.bias for heat in heatmaps if heat.bias is not None]
    if len(biases) < len(heatmaps):
        moved = [values / max(float(np.abs(values).max()), 1e-6) for values in moved]
        return replace(common, signed=np.mean(moved, axis=0).astype(np.float32))
    beside = [heat.signed.mean(dtype=np.float64) - values.mean() for heat, values in zip(heatmaps, moved, strict=True)]
    ceilings = [heat.ceiling for heat in heatmaps if heat.ceiling is not None]
    return replace(
        common,
        signed=np.mean(moved, axis=0).astype(np.float32),
        scale="logit",
        bias=float(np.mean(biases) + np.mean(beside)),
        ceiling=float(np.mean(ceilings)) if len(ceilings) == len(heatmaps) else None,
    )


def to_film_frame(heat: Heatmap, shape: tuple[int, int]) -> np.ndarray:
    """A map's values on a grid of ``shape`` that covers exactly the film, float64; they sum to what lay on the film.

    Every value is the mean of the bilinear interpolant (edges held) over its cell. That interpolant gives each cell of
    the old grid the same weight in all, so the mean over the whole is kept to rounding, and a flat map stays flat.
    """
    (top, left, height, width), (rows, columns) = heat.preprocessing.film_area(heat.film_size), heat.preprocessing.size
    down = cell_means(heat.signed.shape[0], shape[0], top / rows, height / rows)
    across = cell_means(heat.signed.shape[1], shape[1], left / columns, width / columns)
    share = (height / rows) * (width / columns)  # of the network's input that is film
    resampled: np.ndarray = share * (down @ heat.signed.astype(np.float64) @ across.T)
    return resampled


def cell_means(cells: int, targets: int, start: float = 0.0, length: float = 1.0) -> np.ndarray:
    """The matrix (targets, cells) from values on a line of ``cells`` to means of their interpolant over equal parts.

    The parts divide the stretch of ``length`` from ``start``, both in shares of the line.
    """
    edges = cells * np.linspace(start, start + length, targets + 1)
    centres = np.arange(cells) + 0.5
    inside = centres[(centres > edges[0]) & (centres < edges[-1])]
    knots = np.union1d(edges, inside)  # between two of these every interpolant is straight
    heights = np.stack([np.interp(knots, centres, row) for row in np.eye(cells)], axis=1)
    areas = (heights[1:] + heights[:-1]) / 2 * np.diff(knots)[:, None]
    part = np.searchsorted(edges, (knots[1:] + knots[:-1]) / 2) - 1
    matrix = np.zeros((targets, cells))
    np.add.at(matrix, part, areas)
    return matrix / np.diff(edges)[:, None]
