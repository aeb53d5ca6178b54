"""A finding's map on a film: contributions by place, their strength, and whether they amount to evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cxrcore.films.preprocessing import Preprocessing

EVIDENCE_PERCENTILE = 95.0  # of the strengths on validation films without the finding
CEILING_PERCENTILE = 25.0  # of the maxima on validation films with the finding
LEAST_CEILING = 1.0  # logits: e times the odds, were the whole film like that


@dataclass(frozen=True, eq=False)
class Heatmap:
    """A map at feature resolution with the size and preprocessing of its film.

    On the logit scale (``scale == "logit"``) every value is that place's contribution to the uncalibrated target:
    ``signed.mean() + bias == target``, where the target is the finding's logit (multilabel) or its logit minus the
    mean of the others (multiclass, since softmax ignores a common shift). Methods without that scale carry None for
    ``bias``, ``target``, ``strength``, ``evidence`` and ``evidence_level``, and their values only rank places.
    """

    finding: str
    method: str
    signed: np.ndarray  # float32 (h, w), read-only
    film_size: tuple[int, int]  # (H, W) of the film in pixels
    preprocessing: Preprocessing = field(repr=False)
    scale: str | None = None  # "logit", or None where values have no unit
    bias: float | None = None  # logits
    evidence_level: float | None = None  # logits; strength of the 95th percentile film without the finding
    ceiling: float | None = None  # logits drawn in full colour: one for every finding of a film, see ``scale_top``

    def __post_init__(self) -> None:
        if self.signed.ndim != 2 or self.signed.dtype != np.float32:
            raise ValueError(f"expected a float32 map of shape (h, w), got {self.signed.dtype} {self.signed.shape}")
        self.signed.flags.writeable = False

    @property
    def target(self) -> float | None:
        """The explained target in logits: mean of ``signed`` plus ``bias``; None without a logit scale."""
        return None if self.bias is None else float(self.signed.mean(dtype=np.float64)) + self.bias

    @property
    def strength(self) -> float | None:
        """Mean positive contribution over the film, in logits; None without a logit scale."""
        return float(strengths(self.signed)) if self.scale == "logit" else None

    @property
    def evidence(self) -> bool | None:
        """Whether the strength exceeds that of 95 % of validation films without the finding; None where unknown."""
        if self.strength is None or self.evidence_level is None:
            return None
        return self.strength > self.evidence_level

    def __array__(self, dtype: np.dtype[Any] | None = None, copy: bool | None = None) -> np.ndarray:
        """The positive part on the film's own grid, float32 (H, W), computed at every call."""
        grid = self.preprocessing.to_film_grid(np.maximum(self.signed, 0), self.film_size)
        return grid if dtype is None else grid.astype(dtype)

    def contribution(self, box: Sequence[float]) -> float | None:
        """What a part of the film contributes to ``target``, in logits; None without a logit scale.

        box: left, top, right, bottom in shares of the film. The sum of its cells' values by the share of each that
        lies in the box, over the number of cells: parts that make up the network's input sum to ``signed.mean()``.
        """
        if self.scale != "logit":
            return None
        (top, left, height, width), (rows, columns) = self.preprocessing.film_area(self.film_size), self.signed.shape
        down = _covered(rows, *((top + y * height) / self.preprocessing.height for y in (box[1], box[3])))
        across = _covered(columns, *((left + x * width) / self.preprocessing.width for x in (box[0], box[2])))
        return float(down @ self.signed.astype(np.float64) @ across / self.signed.size)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the values, for JSON."""
        return {
            "finding": self.finding,
            "method": self.method,
            "scale": self.scale,
            "strength": self.strength,
            "evidence": self.evidence,
            "evidence_level": self.evidence_level,
            "ceiling": self.ceiling,
            "target": self.target,
            "bias": self.bias,
            "shape": list(self.signed.shape),
        }


def _covered(cells: int, start: float, stop: float) -> np.ndarray:
    """The share of each of ``cells`` equal parts of [0, 1] that lies between start and stop, float64 (cells,)."""
    edges = np.clip(np.arange(cells + 1) / cells, start, stop)
    shares: np.ndarray = np.diff(edges) * cells
    return shares


def scale_top(maps: np.ndarray, ceilings: Mapping[str, float]) -> float:
    """The contribution drawn in full colour on one film, in logits: one for all its findings, never exceeded on it.

    maps: (C, h, w) of the film, in logits; ceilings: finding -> logits, the model's (``map_ceilings``). It is the
    highest of the ceilings, so that films with little evidence look so, or the film's strongest place, if stronger.
    """
    return max(LEAST_CEILING, *ceilings.values(), float(maps.max()))


def strengths(signed: np.ndarray) -> np.ndarray:
    """Mean positive contribution of maps on the logit scale: (..., h, w) to (...,), in logits.

    The mean, not the maximum: on one pneumonia network the maximum was 6.9 logits on the median normal film and 8.4
    on the median pneumonia film, so it says little about presence; the mean separates them.
    """
    means: np.ndarray = np.maximum(signed, 0).mean(axis=(-2, -1))
    return means


def evidence_levels(strength: np.ndarray, targets: np.ndarray) -> list[float | None]:
    """Per finding, the strength that 95 % of films without it stay below; None where fewer than 20 such films exist.

    strength: float (N, C) in logits, of validation films; targets: (N, C) of 0, 1 or NaN (unknown, left out).
    """
    levels: list[float | None] = []
    for column in range(strength.shape[1]):
        without = strength[targets[:, column] == 0, column]
        levels.append(float(np.percentile(without, EVIDENCE_PERCENTILE)) if len(without) >= 20 else None)
    return levels


def map_ceilings(signed: np.ndarray, targets: np.ndarray | None = None) -> list[float]:
    """Per finding, the contribution that most films with it reach somewhere, in logits; see ``scale_top`` for its use.

    signed: float (N, C, h, w), of validation films; targets: (N, C) of 0, 1 or NaN. It is the lower quartile of the
    maxima of the maps of films with the finding: three in four of them show full colour somewhere. (A high percentile
    of all contributions let a few extreme films set the scale, and a film at 93 % hardly glowed.) With fewer than 20
    such films, or without targets, the median of all films' maxima. The scale ends at the highest of them or beyond, so
    a film with little evidence looks like little evidence. It is never finer than 1 logit: where the maps of a weak
    network stay below zero on most films with the finding, the quartile is 0, and the faintest contribution would glow
    in full.
    """
    peaks = np.maximum(signed, 0).max(axis=(-2, -1))
    ceilings = []
    for column in range(signed.shape[1]):
        present = peaks[targets[:, column] == 1, column] if targets is not None else peaks[:0, column]
        enough = len(present) >= 20
        ceiling = np.percentile(present, CEILING_PERCENTILE) if enough else np.median(peaks[:, column])
        ceilings.append(max(float(ceiling), LEAST_CEILING))
    return ceilings
