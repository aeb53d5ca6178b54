"""Findings planted in a phantom, each with the region it changes: what fills the lung, what leaves it, what grows.

A finding acts only inside its mask and is drawn from its own random stream, so a film with it and the film of the
same seed without it are equal everywhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from cxrcore.phantom.anatomy import Anatomy, Contours, Grid, half_circle, lung_edges, smoothstep
from cxrcore.phantom.layers import Layers, cloud, heart

FAINT = 0.1  # filling below this share is no part of a finding


@dataclass(frozen=True, eq=False)
class Planted:
    """What one finding does to the layers of the chest; arrays (h, w), None where it does nothing of the kind."""

    mask: np.ndarray  # bool, every pixel it may change
    filled: np.ndarray | None = None  # share of the air replaced by fluid, in [0, 1]
    emptied: np.ndarray | None = None  # bool, air without lung in it
    added: np.ndarray | None = None  # cm of water added
    heart: np.ndarray | None = None  # thickness of the heart in cm instead of the usual one


@dataclass(frozen=True, eq=False)
class Patient:
    """All that a planting function may look at; grid and edges are those of the chest, (h, w)."""

    anatomy: Anatomy
    grid: Grid
    edges: Contours
    layers: Layers

    @property
    def aerated(self) -> np.ndarray:
        """Where the beam meets enough air in a lung for a change in it to show, bool (h, w)."""
        values: np.ndarray = self.layers.lung - np.maximum(self.layers.heart, self.layers.mediastinum) > 0.3
        return values


def _side(rng: np.random.Generator) -> int:
    return -1 if rng.random() < 0.5 else 1


def _dome(anatomy: Anatomy, side: int) -> float:
    return anatomy.dome_right if side < 0 else anatomy.dome_left


def _clear(anatomy: Anatomy, side: int, y: float, margin: float) -> tuple[float, float]:
    """Least and greatest distance from the midline (cm) free of hilum and heart and ``margin`` within the ribs."""
    outer = float(lung_edges(anatomy, np.array([y]))[0][0])
    beside_heart = float(smoothstep(np.array((y - anatomy.apex - 12) / 6))) if side > 0 else 0.0
    return min(5.0 + 3.5 * beside_heart, outer - margin), outer - margin


def _fill(patient: Patient, share: np.ndarray, side: int) -> Planted:
    """Fluid in one lung, cut off where it would be too faint to see."""
    mask = (share > FAINT) & patient.aerated & (patient.grid.x * side > 0)
    return Planted(mask, filled=np.where(mask, (share - FAINT) / (1 - FAINT), 0).astype(np.float32))


def consolidation(patient: Patient, rng: np.random.Generator) -> Planted:
    """A patch of filled air spaces with a fluffy edge, sometimes cut straight by the right minor fissure."""
    a, x, y = patient.anatomy, patient.grid.x, patient.grid.y
    side = _side(rng)
    fissure = side < 0 and rng.random() < 0.4
    at_y = rng.uniform(a.apex + 6, _dome(a, side) - 2)
    at_x = side * rng.uniform(*_clear(a, side, at_y, 1.5))
    wide, high, angle = rng.uniform(2.2, 4.6), rng.uniform(2.2, 4.6), rng.uniform(0, np.pi)
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    u, v = ((x - at_x) * c + (y - at_y) * s) / wide, ((y - at_y) * c - (x - at_x) * s) / high
    ragged = 0.2 * cloud(rng, patient.grid, 3.0) + 0.06 * cloud(rng, patient.grid, 0.9)
    share = rng.uniform(0.5, 0.85) * smoothstep((1.3 - np.sqrt(u * u + v * v) + ragged) / 1.0)
    if fissure:
        line = a.apex + 12.5 + 0.12 * (-x - 7)
        share *= smoothstep((line - y if at_y < a.apex + 12.5 else y - line) / 0.3)
    return _fill(patient, np.minimum(share, 1), side)


def effusion(patient: Patient, rng: np.random.Generator) -> Planted:
    """Fluid at the base of one lung of an upright person: blunt angle, surface rising towards the side."""
    a, x, y = patient.anatomy, patient.grid.x, patient.grid.y
    side = _side(rng)
    bottom = _dome(a, side) + a.sulcus
    level = bottom - rng.uniform(5.5, 9.5) - 5.0 * rng.random() ** 3
    across = np.clip(np.abs(x) / patient.edges.outer.clip(1), 0, 1)
    surface = level + rng.uniform(2.0, 4.0) * (1 - across**3)
    return _fill(patient, rng.uniform(0.88, 0.98) * smoothstep((y - surface) / rng.uniform(1.6, 3.0)), side)


def nodule(patient: Patient, rng: np.random.Generator) -> Planted:
    """A round solid spot of 1.2 to 3 cm, away from the midline."""
    a, grid = patient.anatomy, patient.grid
    side, radius = _side(rng), rng.uniform(0.6, 1.5)
    at_y = rng.uniform(a.apex + 4.5, _dome(a, side) - 1 - radius)
    at_x = rng.uniform(*_clear(a, side, at_y, radius + 1))
    around = np.arctan2(grid.y - at_y, grid.x - side * at_x)
    bumps = 1 + 0.05 * np.sin(2 * around + rng.uniform(0, 6)) + 0.04 * np.sin(3 * around + rng.uniform(0, 6))
    distance = np.hypot(grid.x - side * at_x, grid.y - at_y) / (radius * bumps)
    mask = distance < 1
    return Planted(mask, added=(rng.uniform(1.1, 1.7) * 2 * radius * half_circle(distance)).astype(np.float32))


def pneumothorax(patient: Patient, rng: np.random.Generator) -> Planted:
    """Air over the top and side of one lung: no vessels there, and a thin line where the lung now ends."""
    a, grid = patient.anatomy, patient.grid
    side, gap, drop = _side(rng), rng.uniform(1.3, 4.6), rng.uniform(1.5, 6.0)
    inward = gap * (1 - 0.75 * np.clip((grid.y - a.apex - drop) / 24, 0, 1) ** 1.5)
    outer, inner, rise = lung_edges(a, grid.y, drop, inward)
    distance = grid.x * np.float32(side)
    lung = (distance < outer) & (distance > inner) & (rise > 0)
    room = patient.aerated & (distance > 0) & (patient.edges.below < 0.5)
    air = room & ~lung
    line = ndimage.binary_dilation(air, iterations=max(round(0.08 / grid.cm), 1)) & lung & room
    return Planted(air | line, emptied=air, added=np.float32(rng.uniform(0.35, 0.6)) * line)


def cardiomegaly(patient: Patient, rng: np.random.Generator) -> Planted:
    """A heart a quarter to a half larger than this person's own, mostly to the left."""
    a, grid = patient.anatomy, patient.grid
    large = heart(a, grid, min(a.heart * rng.uniform(1.28, 1.5), 1.4 * a.chest / 13.1))
    mask = (large > 0) & (patient.edges.below < 3)
    return Planted(mask, heart=np.where(mask, np.maximum(large, patient.layers.heart), patient.layers.heart))


PLANT: dict[str, Callable[[Patient, np.random.Generator], Planted]] = {
    "Cardiomegaly": cardiomegaly,
    "Effusion": effusion,
    "Nodule": nodule,
    "Pneumothorax": pneumothorax,
    "Consolidation": consolidation,
}
