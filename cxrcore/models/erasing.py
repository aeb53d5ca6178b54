"""What happens to the answer when a region of the film is erased, beside what the maps say of that region?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import eigh_tridiagonal

from cxrcore.errors import CxrError
from cxrcore.films.preprocessing import Preprocessing
from cxrcore.films.radiograph import Radiograph
from cxrcore.models.base import Analysis, Model

Box = tuple[float, float, float, float]  # left, top, right, bottom in shares of the film's width and height
Span = tuple[int, int]  # first pixel, and the one after the last


@dataclass(frozen=True)
class Erased:
    """One finding before and after a region was erased."""

    probabilities: tuple[float, float]  # before, after; in [0, 1]
    targets: tuple[float, float]  # before, after; what the finding's map explains, in logits
    claim: float | None  # logits that the map says the region contributes; None without a logit scale

    @property
    def move(self) -> float:
        """Logits by which the target moved; about ``-claim`` where the map is right."""
        return self.targets[1] - self.targets[0]


@dataclass(frozen=True, eq=False)
class Erasure:
    """A region erased, and every finding before and after."""

    box: Box  # the region, on whole pixels of the (first) network's input
    fill: np.ndarray  # what it was filled with, float32 (h, w) in [0, 1], pixels of that input
    findings: dict[str, Erased]


def erase(model: Model, film: Radiograph, box: Sequence[float], analysis: Analysis | None = None) -> Erasure:
    """Every finding before and after a region of the film was filled from its surroundings.

    box: left, top, right, bottom in shares of the film's width and height, each in [0, 1]. The fill is harmonic
    (Laplace's equation with the pixels around the region as its border), on the film at each network's size. One
    forward pass with ``analysis``, the film's own answer by this model, else one more. Raises CxrError for a box that
    leaves the film, has no area, lies where no network looks, or leaves nothing to fill it from.

    >>> erase(model, film, (0.5, 0.6, 0.9, 0.9)).findings["Effusion"].move
    -0.83
    """
    wanted = checked(box)
    prepared, frames = model.prepare(film), model.frames
    inputs = prepared if isinstance(prepared, tuple) else (prepared,)
    spans = [pixels_of(frame, film.pixels.shape, wanted) for frame in frames]
    areas = [film_pixels(frame, film.pixels.shape) for frame in frames]
    filled = tuple(filled_from_around(*each) for each in zip(inputs, spans, areas, strict=True))
    before = analysis or model.analyse(film)
    logits, probabilities = model.score([filled if isinstance(prepared, tuple) else filled[0]])
    exact, (rows, columns) = shares_of(frames[0], film.pixels.shape, spans[0]), spans[0]
    targets = model.targets(np.array([list(before.prediction.logits.values()), logits[0]]))
    findings = {
        name: Erased(
            (before.prediction.probabilities[name], float(probabilities[0, column])),
            (float(targets[0, column]), float(targets[1, column])),
            before.heatmaps[name].contribution(exact),
        )
        for column, name in enumerate(model.labels)
    }
    return Erasure(exact, filled[0][slice(*rows), slice(*columns)], findings)


def checked(box: Any) -> Box:
    """The box as four numbers. Raises CxrError where it leaves the film or has no area."""
    try:
        left, top, right, bottom = (float(value) for value in box)
    except (TypeError, ValueError):
        raise CxrError("a region is four numbers: left, top, right and bottom in shares of the film") from None
    if not (0 <= left <= 1 and 0 <= top <= 1 and 0 <= right <= 1 and 0 <= bottom <= 1):
        raise CxrError("the region to erase leaves the film; its four numbers lie between 0 and 1")
    if not (left < right and top < bottom):
        raise CxrError("the region to erase has no area; its right lies after its left, its bottom below its top")
    return left, top, right, bottom


def film_pixels(frame: Preprocessing, film_size: tuple[int, ...]) -> tuple[Span, Span]:
    """Rows and columns of a network's input that show the film, without the bars beside it."""
    top, left, height, width = frame.film_area(film_size)
    rows, columns = ((top, top + height), (left, left + width))
    return (max(0, rows[0]), min(frame.height, rows[1])), (max(0, columns[0]), min(frame.width, columns[1]))


def pixels_of(frame: Preprocessing, film_size: tuple[int, ...], box: Box) -> tuple[Span, Span]:
    """Rows and columns of a network's input that a box covers: whole pixels, at least one.

    Raises CxrError where a crop leaves the box out.
    """
    top, left, height, width = frame.film_area(film_size)
    sides = ((top, height, box[1], box[3]), (left, width, box[0], box[2]))
    spans = []
    for (start, length, low, high), (first, last) in zip(sides, film_pixels(frame, film_size), strict=True):
        begin = min(round(start + low * length), start + length - 1)
        end = max(begin + 1, round(start + high * length))
        begin, end = max(begin, first), min(end, last)
        if begin >= end:
            raise CxrError("this model does not look at that part of the film: it reads the middle square alone")
        spans.append((begin, end))
    return spans[0], spans[1]


def shares_of(frame: Preprocessing, film_size: tuple[int, ...], spans: tuple[Span, Span]) -> Box:
    """The box that rows and columns of a network's input cover, in shares of the film."""
    top, left, height, width = frame.film_area(film_size)
    (above, below), (before, after) = spans
    return (before - left) / width, (above - top) / height, (after - left) / width, (below - top) / height


def filled_from_around(pixels: np.ndarray, spans: tuple[Span, Span], area: tuple[Span, Span]) -> np.ndarray:
    """A copy of float32 (h, w) whose ``spans`` of rows and columns are the harmonic surface of what lies around them.

    Only pixels in ``area`` count as surroundings; where the region meets the border of it, the surface ends level. The
    discrete Laplace equation on a rectangle is solved exactly by the eigenvectors of its two axes. Raises CxrError
    where the region is the whole area.
    """
    (above, below), (before, after) = spans
    known = np.zeros((below - above, after - before))
    axes, filled = [], pixels.copy()
    for axis, ((first, last), (start, stop)) in enumerate(zip(spans, area, strict=True)):
        diagonal = np.full(last - first, 2.0)
        for end, beyond, inside in ((0, first - 1, first > start), (-1, last, last < stop)):
            if inside and axis == 0:
                known[end] += pixels[beyond, before:after]
            elif inside:
                known[:, end] += pixels[above:below, beyond]
            else:
                diagonal[end] -= 1
        axes.append(eigh_tridiagonal(diagonal, np.full(last - first - 1, -1.0)))
    if spans == area:
        raise CxrError("the region to erase is the whole film; leave some of it, from which the region is filled")
    (down, rows), (across, columns) = axes
    surface = rows @ (rows.T @ known @ columns / (down[:, None] + across)) @ columns.T
    filled[above:below, before:after] = np.clip(surface, 0, 1)
    return filled
