"""Draw a heatmap over its film, on one colour scale for all findings of a film."""

from __future__ import annotations

import numpy as np

from cxrcore.explain.heatmap import Heatmap

OPACITY = 0.8  # of the strongest colour, here, on the page and in the dashboard
AGAINST_COVER = 0.6  # of that, for evidence against: a whole lung may speak against a finding, and stays visible
_LEVELS = 256
# Anchors of matplotlib's "inferno" (Smith and van der Walt 2015), perceptually uniform and safe for colour blindness.
_ANCHORS = np.array(
    [
        (0, 0, 4), (22, 11, 57), (66, 10, 104), (106, 23, 110), (147, 38, 103), (188, 55, 84),
        (221, 81, 58), (243, 120, 25), (252, 165, 10), (246, 215, 70), (252, 255, 164),
    ],
    dtype=np.float32,
)  # fmt: skip
# From dark to light blue, steadily lighter like inferno; it ends before white, as most of a film may speak against.
_BLUE_ANCHORS = np.array(
    [(4, 18, 43), (8, 41, 92), (15, 67, 141), (26, 96, 184), (47, 128, 214), (85, 160, 234)], dtype=np.float32
)


def _table(anchors: np.ndarray) -> np.ndarray:
    """256 colours evenly between the anchors, float32 (256, 3) in [0, 255]."""
    steps, at = np.linspace(0, 1, _LEVELS), np.linspace(0, 1, len(anchors))
    return np.stack([np.interp(steps, at, anchors[:, c]) for c in range(3)], axis=-1).astype(np.float32)


_TABLE = _table(_ANCHORS)
_BLUE_TABLE = _table(_BLUE_ANCHORS)
INFERNO: np.ndarray = np.rint(_TABLE).astype(np.uint8)
"""The colour table of every heatmap, uint8 (256, 3) of red, green, blue: row 0 is no contribution, row 255 the ceiling.

One for Python and the page's viewer, which is handed ``INFERNO.tolist()``.
"""
BLUES: np.ndarray = np.rint(_BLUE_TABLE).astype(np.uint8)
"""The colour table of evidence against a finding, uint8 (256, 3), as on the page (``assets/app/maps.js``)."""


def colours(values: np.ndarray) -> np.ndarray:
    """Values in [0, 1] of any shape as inferno colours, float32 (..., 3) in [0, 255], in 256 steps."""
    chosen: np.ndarray = _TABLE[np.rint(np.asarray(values) * (_LEVELS - 1)).astype(np.uint8)]
    return chosen


def draw_overlay(pixels: np.ndarray, heatmap: Heatmap, opacity: float = OPACITY, against: bool = True) -> np.ndarray:
    """The film with a finding's contributions over it, uint8 (H, W, 3), on the film's own grid.

    pixels: the film, float (H, W) in [0, 1]. A place is coloured, and covers the film, in proportion to its
    contribution over the map's ceiling, which is one for all findings of a film: evidence for the finding in inferno,
    with ``against`` evidence against it in blue, whichever is stronger there. Maps without a logit scale are drawn
    relative to their own maximum, their positive part alone; zero maps leave the film as it is.
    """
    positive = np.asarray(heatmap)
    ceiling = heatmap.ceiling or max(float(positive.max()), 1e-6)
    step = _steps(positive, ceiling)
    if against and heatmap.scale == "logit":
        negative = heatmap.preprocessing.to_film_grid(np.maximum(-heatmap.signed, 0), heatmap.film_size)
        below = _steps(negative, ceiling)
        step = np.where(below > step, -below, step)
    return _blend(np.clip(pixels, 0, 1) * np.float32(255), step, opacity)


def scale_strip(width: int = 256, height: int = 1, against: bool = True) -> np.ndarray:
    """The colours of ``draw_overlay`` over a film's mid grey, from most against to most for, uint8 (h, w, 3)."""
    step = np.rint(np.linspace(-(_LEVELS - 1) if against else 0, _LEVELS - 1, width)).astype(np.int16)
    return _blend(np.full((height, width), 141, np.float32), np.broadcast_to(step, (height, width)), 1.0)


def _steps(values: np.ndarray, ceiling: float) -> np.ndarray:
    """Non-negative contributions as steps of the colour table, int16 in [0, 255]."""
    share = np.clip(values / np.float32(ceiling), 0, 1)
    steps: np.ndarray = np.rint(share * (_LEVELS - 1)).astype(np.int16)
    return steps


def _blend(grey: np.ndarray, step: np.ndarray, opacity: float) -> np.ndarray:
    """Colours over grey, float32 (H, W) in [0, 255]; step, (H, W) in [-255, 255], is negative for evidence against."""
    cover = np.linspace(0, opacity, _LEVELS, dtype=np.float32)
    cover = np.concatenate([AGAINST_COVER * cover[:0:-1], cover])[:, None]
    table = np.concatenate([_BLUE_TABLE[:0:-1], _TABLE])
    row = step + (_LEVELS - 1)
    drawn = grey[..., None] * (1 - cover)[row] + (table * cover)[row]
    rounded: np.ndarray = (drawn + np.float32(0.5)).astype(np.uint8)
    return rounded
