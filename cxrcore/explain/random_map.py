"""A random map: the control for every localisation score."""

from __future__ import annotations

import zlib

import numpy as np


def random_map(shape: tuple[int, int], pixels: np.ndarray, finding: str) -> np.ndarray:
    """Uniform noise in [0, 1), float32 (h, w), the same for the same film and finding.

    shape: (h, w) of the map it is compared with, so that both have the same grain once enlarged.
    """
    seed = zlib.crc32(np.ascontiguousarray(pixels).data, zlib.crc32(finding.encode()))
    return np.random.default_rng(seed).random(shape, dtype=np.float32)
