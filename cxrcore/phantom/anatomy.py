"""What one made-up person looks like: sizes and positions drawn from a seed, and the film's grid in centimetres.

Coordinates are those of a reader facing the film: x in cm from the midline, negative on the image's left (the
patient's right); y in cm from the film's upper edge, downwards. Sizes are rough adult means with a spread that covers
slim to heavy and deep to shallow breath; no measurement of any real person went in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FILM_HEIGHT_CM = 42.0


def smoothstep(t: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, smooth between; any shape."""
    t = np.clip(t, 0, 1)
    values: np.ndarray = t * t * (3 - 2 * t)
    return values


def half_circle(t: np.ndarray) -> np.ndarray:
    """sqrt(1 - t^2) and 0 where |t| > 1: the thickness of a unit ball along the beam; any shape."""
    values: np.ndarray = np.sqrt(np.maximum(1 - t * t, 0))
    return values


@dataclass(frozen=True)
class Anatomy:
    """One person and how they stood; lengths in cm, ``turn`` and ``tilt`` as described."""

    scale: float  # body size on the film relative to an average adult
    shift_x: float  # midline from the film's centre
    shift_y: float
    tilt: float  # sideways lean, cm per cm of height
    bend: float  # sideways curve of the spine, cm at mid-height
    turn: float  # rotation about the long axis: spine and heart move apart by twice this
    apex: float  # y of the lung tops
    chest: float  # widest half-width of the inner chest wall
    taper: float  # upper half-width relative to the widest
    dome_right: float  # y of the right diaphragm's crest
    dome_left: float
    sulcus: float  # how far the costophrenic angle lies below the crest
    depth: float  # front-to-back thickness of the trunk
    lung_depth: float  # front-to-back air at the widest
    wall: float  # soft tissue outside the ribs
    breast: float  # thickness of the breast shadow, 0 for none
    arm: float  # distance of the upper arms from the trunk
    shoulder: float  # extra height of the shoulders
    heart: float  # size of the heart relative to average
    knob: float  # radius of the aortic knob
    density: float  # of aerated lung relative to water
    rib_rise: float  # how far posterior ribs arch up
    rib_drop: float  # how far a rib falls from the spine to the side, the arch left aside
    rib_fall: float  # how far it falls from the side to the front
    rib_spacing: float
    rib_phase: float
    bone: float  # mineral content relative to average
    bubble: tuple[float, float, float, float]  # stomach gas: x, depth below the left crest, half-width, half-height

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Anatomy:
        """One person; the number of draws is fixed, so every later one is independent of these."""
        u, n = rng.uniform, rng.standard_normal
        habitus, breath = float(np.clip(n(), -1.8, 1.8)), float(np.clip(n(), -1.8, 1.8))
        apex = u(4.8, 6.8)
        chest = 13.1 + 0.35 * habitus + u(-0.4, 0.4)
        crest = apex + 23.0 + 1.3 * breath - 0.5 * habitus
        return cls(
            scale=float(np.clip(1.08 + 0.07 * n(), 0.93, 1.24)),
            shift_x=u(-1, 1),
            shift_y=u(-0.9, 0.9),
            tilt=0.018 * float(np.clip(n(), -2, 2)),
            bend=0.25 * float(np.clip(n(), -2, 2)),
            turn=0.35 * float(np.clip(n(), -2, 2)),
            apex=apex,
            chest=chest,
            taper=u(0.74, 0.82),
            dome_right=crest,
            dome_left=crest + u(0.3, 1.7),
            sulcus=u(5.0, 6.6) + 0.3 * breath,
            depth=21.5 + 1.8 * habitus,
            lung_depth=14.8 + 0.6 * breath,
            wall=2.1 + 0.7 * max(habitus, -1),
            breast=u(1.0, 3.0) if u() < 0.45 else 0.0,
            arm=u(-0.4, 4.5),
            shoulder=u(-0.8, 0.8),
            heart=chest / 13.1 * float(np.clip(0.94 + 0.04 * n() - 0.02 * breath, 0.84, 1.02)),
            knob=u(1.35, 1.95),
            density=u(0.24, 0.34),
            rib_rise=u(1.5, 2.7),
            rib_drop=u(2.6, 4.0),
            rib_fall=u(4.5, 6.0),
            rib_spacing=u(2.65, 2.95),
            rib_phase=u(0.4, 1.0),
            bone=u(0.8, 1.25),
            bubble=(u(4.5, 7.5), u(2.0, 2.8), u(1.8, 3.4), u(0.9, 1.7)),
        )


@dataclass(frozen=True, eq=False)
class Grid:
    """The film's pixels in cm: x float32 (H, W) from the midline, y float32 (H, 1) from the upper edge."""

    x: np.ndarray
    y: np.ndarray
    cm: float  # size of a pixel
    middle: float  # column of x = 0 where the body does not lean
    lean: np.ndarray  # float32 (H,), how far the midline lies to the right of it in each row, cm

    @classmethod
    def of(cls, anatomy: Anatomy, size: tuple[int, int]) -> Grid:
        """The grid on which this person stands before a film of ``size`` = (H, W) pixels."""
        height, width = size
        cm = FILM_HEIGHT_CM / height / anatomy.scale
        y = (np.arange(height, dtype=np.float32)[:, None] + 0.5) * cm
        y -= (FILM_HEIGHT_CM / anatomy.scale - FILM_HEIGHT_CM) / 2 + anatomy.shift_y
        lean = anatomy.shift_x + anatomy.tilt * (y - 21) + anatomy.bend * np.sin(y * np.float32(np.pi / 30))
        x = (np.arange(width, dtype=np.float32)[None, :] + 0.5 - width / 2) * np.float32(cm) - lean
        return cls(x.astype(np.float32), y.astype(np.float32), cm, width / 2, lean[:, 0])

    def columns(self, left: float, right: float) -> slice:
        """Columns that hold every pixel with left <= x <= right."""
        first = int(self.middle + (left + float(self.lean.min())) / self.cm) - 1
        last = int(self.middle + (right + float(self.lean.max())) / self.cm) + 2
        return slice(max(first, 0), max(last, 0))

    def rows(self, top: float, bottom: float) -> slice:
        """Rows that hold every pixel with top <= y <= bottom."""
        first, last = np.searchsorted(self.y[:, 0], [top, bottom])
        return slice(max(int(first) - 1, 0), int(last) + 1)

    def pixel(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Row and column (fractions of pixels, any shape) of points in cm."""
        row = (y - float(self.y[0, 0])) / self.cm
        lean = self.lean[np.clip(row, 0, len(self.lean) - 1).astype(np.int64)]
        return row, self.middle - 0.5 + (x + lean) / self.cm

    def crop(self, rows: slice, columns: slice) -> Grid:
        """The part of the grid in these rows and columns."""
        return Grid(self.x[rows, columns], self.y[rows], self.cm, self.middle - columns.start, self.lean[rows])


@dataclass(frozen=True, eq=False)
class Contours:
    """Edges of the lungs on the grid: per row (H, 1) in cm, and per pixel (H, W)."""

    outer: np.ndarray  # (H, 1) distance of the lung's outer edge from the midline
    rise: np.ndarray  # (H, 1) 0 at the lung tops to 1 where the chest has its full width
    inside: np.ndarray  # bool (H, W) within the pleura, in front of or behind whatever else lies there
    below: np.ndarray  # (H, W) depth below the diaphragm's dome, negative above it


def lung_edges(
    anatomy: Anatomy, y: np.ndarray, lower: float = 0.0, inward: np.ndarray | float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outer and inner edge (cm from the midline) and rise of a lung lowered at its top, drawn in at its side (cm)."""
    a = anatomy
    rise = np.clip((y - a.apex - lower) / 6.2, 0, 1)
    round_top = half_circle(1 - rise)
    down = np.clip((y - a.apex) / 29, 0, 1)
    wide = a.chest * (a.taper + (1 - a.taper) * down**0.85) - inward
    tip = 5.0
    outer = np.maximum(tip + (wide - tip) * round_top, 0)
    return outer, tip - tip * round_top, rise


def contours(anatomy: Anatomy, grid: Grid) -> Contours:
    """Where this person's lungs and diaphragm lie on the grid."""
    a, x, y = anatomy, grid.x, grid.y
    outer, inner, rise = lung_edges(a, y)
    distance = np.abs(x)
    leftness = smoothstep((x + 2.5) / 5)
    crest_at = 6.2 + 0.6 * leftness
    crest = a.dome_right + (a.dome_left - a.dome_right) * leftness
    lateral = np.clip((distance - crest_at) / (a.chest - crest_at), 0, 1)
    medial = np.clip(1 - distance / crest_at, 0, 1)
    fall = a.sulcus * (0.6 * lateral * lateral + 0.4 * (1 - half_circle(lateral))) + 1.6 * medial * medial
    below = y - crest - fall
    inside = (distance < outer) & (distance > inner) & (rise > 0)
    return Contours(outer, rise, inside, below.astype(np.float32))
