"""Where the chest lies on a film: the mean of many films laid over it, and how much of a map lies outside."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from cxrcore.explain.boxes import COARSE, on_grid
from cxrcore.explain.heatmap import Heatmap
from cxrcore.films.quality import histogram, subsample

SIDE = 64  # pixels of the film's longer side here
LEAST_MATCH = 0.6  # correlation with the mean film, below which the chest counts as not outlined
EDGE = 0.1  # of the film's height and width, which stands for what lies outside the chest there

# The mean grey ranks of 177 frontal films of adults and children (NIH 116, Kermany 40, tuberculosis 21), hexadecimal.
_MEAN_FILM = """
17181b1d1e263a61829896805b35221b19181512
1b21262d333b4b6a83979681674a37302c2a2119
384650585a5f616a82939484685f5c5c5a544d3a
5a6c777f7f755c53708f96755158717f7d7a715d
70828c8a815e4d4b69909d6f4b4a567b898b8871
78899091714537436697a96e4435426992908b7a
798995945e382f3c5f9fb67740323a5d8f968c79
74899a8e51352e3c5faabe8848383952879d8a73
6b849f844c3332466eb6c49560403a4e82a1856b
5d7ea27a473338547ec0cda370493e4e79a37f5c
50789f71483740628cc8d4b58257484d72a17a50
47769e68453d4a649ad0dac19e7050536d9c7747
3f7793664a455067a4d4dfc9b190635567997741
3879875f504d536baed8e3ccbaa0775e648e783a
337a7a61616e7889bedde6cebcaa866762807834
2d75747d9aacb6bcd0e4ead2beb19e806c79742d
286f89abc1cdd3d8e0eceee0d2c9baa995836d27
2569a0bfd1dde4e6eaf2f1e8ddd6ccc2af976525
2364a5c6d9e4eaedf0f5f4ede6dfd8cebba35f23
2562a5c8dce7edf0f2f6f5f0eae3dbd0bea15b22
"""
_ACROSS = np.linspace(-1.35, 1.35, 20, dtype=np.float32)  # its columns: 0 the midline, 1 the lungs' widest half
_DOWN = np.linspace(-0.3, 1.45, 20, dtype=np.float32)  # its rows: 0 the upper, 1 the lower end of the lungs
# The right half of the outline in that frame: the lungs and all between them, with a margin of about 1.5 cm.
_HALF = (
    *((0, -0.12), (0.28, -0.22), (0.55, -0.20), (0.80, -0.04), (0.94, 0.18), (1.04, 0.5), (1.12, 0.8), (1.18, 1.02)),
    *((1.18, 1.26), (0.98, 1.22), (0.75, 1.13), (0.5, 1.10), (0.25, 1.13), (0, 1.16)),
)
_OUTLINE = np.array(_HALF + tuple((-x, y) for x, y in _HALF[-2:0:-1]))
# The frame's midline, upper end, half-width and height in shares of a film: their usual values and spread.
_USUAL, _SPREAD = np.array([0.5, 0.19, 0.345, 0.49]), np.array([0.04, 0.06, 0.04, 0.08])
_STEPS = np.array([(shift, size) for shift in range(-2, 3) for size in range(-2, 3)])
_LEVELS = (1.5, 0.75, 0.37, 0.18)  # lengths of a step, in spreads
_PULL = 0.01  # correlation that a distance of one spread from the usual value costs


@dataclass(frozen=True, eq=False)
class Chest:
    """The region in which evidence for a finding of the chest makes sense."""

    outline: np.ndarray  # float64 (P, 2): x, y of its corners in shares of the film; may reach beyond it
    match: float  # correlation of the film with the mean film that lies on it
    found: bool  # else the film resembles no chest enough, and the outline is that of its central part

    def mask(self, shape: tuple[int, int]) -> np.ndarray:
        """The region on a grid over the film, bool of ``shape`` (h, w)."""
        height, width = shape
        picture = Image.new("1", (width, height))
        corners = self.outline * (width, height) - 0.5
        ImageDraw.Draw(picture).polygon([(float(x), float(y)) for x, y in corners], fill=1)
        return np.asarray(picture)


def outline_chest(pixels: np.ndarray) -> Chest:
    """Outline the lungs, the heart and what lies between them, with a margin, on an upright frontal film.

    pixels: float (H, W) in [0, 1], bright = dense. The mean of many films is shifted and stretched until its
    correlation with the film's grey ranks is greatest; no network and no mask of a lung went in. It has neither turn
    nor lean. Where the film resembles it too little, the outline is the film's central part. A few milliseconds.
    """
    place, match = _fit(_grey_ranks(pixels))
    if match < LEAST_MATCH:
        near, far = EDGE, 1 - EDGE
        return Chest(np.array([(near, near), (far, near), (far, far), (near, far)]), match, found=False)
    return Chest(_OUTLINE * place[2:] + place[:2], match, found=True)


def share_outside(heat: Heatmap, chest: Chest) -> float | None:
    """Share of a map's positive part that lies outside the chest, in [0, 1]; None without a positive value."""
    grid = on_grid(heat, COARSE)
    total, (rows, columns) = float(grid.sum()), grid.shape
    return 1 - float(grid[chest.mask((rows, columns))].sum()) / total if total > 0 else None


def _grey_ranks(pixels: np.ndarray) -> np.ndarray:
    """Share of the film's darker pixels at each place of a small copy; pure black and white do not count."""
    height, width = pixels.shape
    scale = SIDE / max(height, width)
    size = (max(2, round(width * scale)), max(2, round(height * scale)))
    small = np.asarray(Image.fromarray(subsample(pixels).astype(np.float32)).resize(size, Image.Resampling.BOX))
    counts = histogram(small)
    counts[:6] = counts[253:] = 0  # frames and collimation
    shares = np.cumsum(counts) / max(1, counts.sum())
    levels = np.rint(small * 255).astype(np.uint8)
    ranks: np.ndarray = shares[levels].astype(np.float32)
    return ranks


def _fit(film: np.ndarray) -> tuple[np.ndarray, float]:
    """Where the mean film correlates best: (x, y, half-width, height) in shares of the film; and the correlation.

    A search by levels: at each, all of 25 places and sizes across with all of 25 down, then the best with finer steps.
    """
    (height, width), best, match = film.shape, _USUAL, 0.0
    for step in _LEVELS:
        across, down = (best[axis::2] + step * _STEPS * _SPREAD[axis::2] for axis in (0, 1))
        rows = _weights(down[:, :1] + down[:, 1:] * _DOWN, height) @ film
        columns = _weights(across[:, :1] + across[:, 1:] * _ACROSS, width)
        parts = (rows.reshape(-1, width) @ columns.reshape(-1, width).T).reshape(len(down), 20, len(across), 20)
        spread = np.einsum("kmjn,kmjn->kj", parts, parts) - 400 * parts.mean(axis=(1, 3)) ** 2
        matches = np.einsum("kmjn,mn->kj", parts, _mean_film()) / np.sqrt(np.maximum(spread, 0.04))
        costs = np.add.outer(_cost(down, axis=1), _cost(across, axis=0))
        k, j = np.unravel_index(np.argmax(matches - costs), matches.shape)
        best, match = np.array([across[j, 0], down[k, 0], across[j, 1], down[k, 1]]), float(matches[k, j])
    return best, match


def _cost(places: np.ndarray, axis: int) -> np.ndarray:
    """Correlation that places and sizes across (axis 0) or down (1) cost for their distance from the usual, (25,)."""
    distance = (places - _USUAL[axis::2]) / _SPREAD[axis::2]
    costs: np.ndarray = _PULL * (distance**2).sum(axis=1)
    return costs


def _weights(places: np.ndarray, cells: int) -> np.ndarray:
    """Weights of a line's cells at places in shares of it, linear between centres, ends held: (..., cells)."""
    at = np.clip(places * cells - 0.5, 0, cells - 1)[..., None]
    weights: np.ndarray = np.maximum(1 - np.abs(at - np.arange(cells)), 0).astype(np.float32)
    return weights


@lru_cache(maxsize=1)
def _mean_film() -> np.ndarray:
    """The mean film less its mean, of length 1, float32 (20, 20)."""
    values = np.frombuffer(bytes.fromhex(_MEAN_FILM), np.uint8).reshape(20, 20).astype(np.float32)
    values -= values.mean()
    unit: np.ndarray = values / np.sqrt((values * values).sum())
    return unit
