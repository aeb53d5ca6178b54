"""Draw a heatmap over its film, on one colour scale for all findings of a film."""

from __future__ import annotations

import numpy as np

from cxrcore.explain.heatmap import Heatmap

_LEVELS = 256
# Anchors of matplotlib's "inferno" (Smith and van der Walt 2015), perceptually uniform and safe for colour blindness.
_ANCHORS = np.array(
    [
        (0, 0, 4), (22, 11, 57), (66, 10, 104), (106, 23, 110), (147, 38, 103), (188, 55, 84),
        (221, 81, 58), (243, 120, 25), (252, 165, 10), (246, 215, 70), (252, 255, 164),
    ],
    dtype=np.float32,
)  # fmt: skip
_TABLE = np.stack(
    [np.interp(np.linspace(0, 1, _LEVELS), np.linspace(0, 1, len(_ANCHORS)), _ANCHORS[:, c]) for c in range(3)], axis=-1
).astype(np.float32)  # (256, 3) in [0, 255]
INFERNO: np.ndarray = np.rint(_TABLE).astype(np.uint8)
"""The colour table of every heatmap, uint8 (256, 3) of red, green, blue: row 0 is no contribution, row 255 the ceiling.

One for Python and the page's viewer, which is handed ``INFERNO.tolist()``.
"""


def colours(values: np.ndarray) -> np.ndarray:
    """Values in [0, 1] of any shape as inferno colours, float32 (..., 3) in [0, 255], in 256 steps."""
    chosen: np.ndarray = _TABLE[np.rint(np.asarray(values) * (_LEVELS - 1)).astype(np.uint8)]
    return chosen


def draw_overlay(pixels: np.ndarray, heatmap: Heatmap, opacity: float = 0.6) -> np.ndarray:
    """The film with a finding's positive contributions over it, uint8 (H, W, 3), on the film's own grid.

    pixels: the film, float (H, W) in [0, 1]. A place is coloured, and covers the film, in proportion to its
    contribution over the map's ceiling, which is one for all findings of a film; maps without a logit scale are drawn
    relative to their own maximum, and zero maps leave the film as it is.
    """
    positive = np.asarray(heatmap)
    ceiling = heatmap.ceiling or max(float(positive.max()), 1e-6)
    share = np.clip(positive / np.float32(ceiling), 0, 1)
    step = np.rint(share * (_LEVELS - 1)).astype(np.uint8)
    cover = np.linspace(0, opacity, _LEVELS, dtype=np.float32)[:, None]  # of each of the 256 steps
    grey = np.clip(pixels, 0, 1) * np.float32(255)
    drawn = grey[..., None] * (1 - cover)[step] + (_TABLE * cover)[step]
    rounded: np.ndarray = (drawn + np.float32(0.5)).astype(np.uint8)
    return rounded
