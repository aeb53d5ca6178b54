"""Drawing only: a map over its film, in colours that mean the same on every film of a model."""

from __future__ import annotations

import numpy as np

from cxrcore.explain.heatmap import Heatmap

# Anchors of matplotlib's "inferno" (Smith and van der Walt 2015), perceptually uniform and safe for colour blindness.
_INFERNO = np.array(
    [
        (0, 0, 4), (22, 11, 57), (66, 10, 104), (106, 23, 110), (147, 38, 103), (188, 55, 84),
        (221, 81, 58), (243, 120, 25), (252, 165, 10), (246, 215, 70), (252, 255, 164),
    ],
    dtype=np.float32,
)  # fmt: skip


def colours(values: np.ndarray) -> np.ndarray:
    """Values in [0, 1] of any shape as inferno colours, float32 (..., 3) in [0, 255]."""
    positions = np.linspace(0, 1, len(_INFERNO))
    return np.stack([np.interp(values, positions, _INFERNO[:, c]) for c in range(3)], axis=-1).astype(np.float32)


def draw_overlay(pixels: np.ndarray, heatmap: Heatmap, opacity: float = 0.6) -> np.ndarray:
    """The film with a finding's positive contributions over it, uint8 (H, W, 3), on the film's own grid.

    pixels: the film, float (H, W) in [0, 1]. A place is coloured, and covers the film, in proportion to its
    contribution over the model's ceiling; maps without a logit scale are drawn relative to their own maximum, and zero
    maps leave the film as it is.
    """
    positive = np.asarray(heatmap)
    ceiling = heatmap.ceiling or max(float(positive.max()), 1e-6)
    share = np.clip(positive / ceiling, 0, 1)
    cover = (opacity * share)[..., None]
    grey = (np.clip(pixels, 0, 1) * 255)[..., None].astype(np.float32)
    return np.rint(grey * (1 - cover) + colours(share) * cover).astype(np.uint8)
