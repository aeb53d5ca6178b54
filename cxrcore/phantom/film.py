"""Draw a synthetic film from a seed and a list of findings, with exact masks and boxes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from cxrcore.films.radiograph import Radiograph
from cxrcore.findings import PHANTOM5
from cxrcore.phantom.anatomy import Anatomy, Grid, contours, smoothstep
from cxrcore.phantom.disease import PLANT, Patient, Planted
from cxrcore.phantom.layers import chest_window, layers, tube

MARGIN = 3  # pixels around a mask that blur may still change

_ANATOMY, _VESSELS, _EXPOSURE, _NOISE, _FINDINGS = range(5)  # independent random streams of one seed


@dataclass(frozen=True, eq=False)
class Phantom:
    """A synthetic film and the truth about it; masks are bool (H, W), boxes (x, y, width, height) in pixels."""

    film: Radiograph
    seed: int
    findings: tuple[str, ...]  # planted, in the order of PHANTOM5
    masks: dict[str, np.ndarray]  # every pixel a finding changes, but for MARGIN
    boxes: dict[str, tuple[int, int, int, int]]  # the smallest that hold the masks
    lungs: np.ndarray  # lung fields above the diaphragm, without the heart
    heart: np.ndarray  # the heart's silhouette above the diaphragm
    thorax_width: float  # widest inner width of the rib cage in pixels

    @property
    def pixels(self) -> np.ndarray:
        """The film, float32 (H, W) in [0, 1], bright = dense."""
        return self.film.pixels

    @property
    def targets(self) -> np.ndarray:
        """1 for each finding planted, float32 (5,) in the order of PHANTOM5."""
        return np.array([name in self.findings for name in PHANTOM5], np.float32)


def draw_phantom(
    seed: int, findings: Iterable[str] = (), size: tuple[int, int] = (512, 512), *, labelled: bool = False
) -> Phantom:
    """Draw the film of a made-up person; the same seed is the same person at any size and with any findings.

    ``size``: (H, W) in pixels. ``labelled`` burns the word SYNTHETIC into a corner. Raises LabelMismatch for a finding
    outside PHANTOM5.

    >>> draw_phantom(7, ["Effusion"]).boxes.keys()
    dict_keys(['Effusion'])
    """
    chosen = {PHANTOM5[name].name for name in findings}
    names = tuple(name for name in PHANTOM5 if name in chosen)
    anatomy = Anatomy.sample(_stream(seed, _ANATOMY))
    grid = Grid.of(anatomy, size)
    chest = chest_window(anatomy, grid)
    inner = grid.crop(*chest)
    edges = contours(anatomy, inner)
    parts = layers(anatomy, grid, chest, inner, edges, _stream(seed, _VESSELS))
    patient = Patient(anatomy, inner, edges, parts)
    planted = {name: PLANT[name](patient, _stream(seed, _FINDINGS, PHANTOM5.index(name))) for name in names}

    pixels = _expose(_thickness(patient, list(planted.values())), anatomy, grid, seed)
    if labelled:
        pixels = _burn_in(pixels, "SYNTHETIC")
    organ = next((p.heart for p in planted.values() if p.heart is not None), parts.heart)
    above = edges.below < 0

    def on_film(part: np.ndarray) -> np.ndarray:
        whole = np.zeros(size, bool)
        whole[chest] = part
        return whole

    masks = {name: on_film(plant.mask) for name, plant in planted.items()}
    return Phantom(
        film=Radiograph(pixels, bits=12, bits_stored=16, encoding="synthetic", name=f"phantom-{seed}"),
        seed=seed,
        findings=names,
        masks=masks,
        boxes={name: _box(mask) for name, mask in masks.items()},
        lungs=on_film(edges.inside & above & (organ <= 0) & (parts.mediastinum <= 0)),
        heart=on_film((organ > 0) & above),
        thorax_width=2 * float((edges.outer * above.any(1, keepdims=True)).max()) / grid.cm,
    )


def random_findings(rng: np.random.Generator, prevalence: float | Mapping[str, float] = 0.3) -> tuple[str, ...]:
    """Findings for one film, each present on its own with its prevalence in [0, 1] (0 where a mapping omits it)."""
    if isinstance(prevalence, Mapping):
        for name in prevalence:
            PHANTOM5.index(name)
        shares: Sequence[float] = [prevalence.get(name, 0.0) for name in PHANTOM5]
    else:
        shares = [prevalence] * len(PHANTOM5)
    present = rng.random(len(PHANTOM5)) < np.asarray(shares)
    return tuple(name for name, here in zip(PHANTOM5, present, strict=True) if here)


def _stream(seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng([seed, *key])


def _thickness(patient: Patient, planted: Sequence[Planted]) -> np.ndarray:
    """Water-equivalent thickness along each ray with the findings in place; float32 (H, W), cm."""
    parts = patient.layers
    organ = next((p.heart for p in planted if p.heart is not None), parts.heart)
    room = np.maximum(parts.lung - np.maximum(organ, parts.mediastinum), 0)
    tissue = np.float32(patient.anatomy.density) * room
    tissue += parts.vessels * (room / np.maximum(parts.lung, 1))
    kept = np.ones_like(room)
    for plant in planted:
        if plant.emptied is not None:
            tissue[plant.emptied] = 0
        if plant.filled is not None:
            kept = kept * (1 - plant.filled)
    total = parts.body.copy()
    total[parts.chest] -= (room - tissue) * kept
    for plant in planted:
        if plant.added is not None:
            total[parts.chest] += plant.added
    total -= np.minimum(parts.gas, 0.9 * np.maximum(total, 0))
    return total


def _expose(thickness: np.ndarray, anatomy: Anatomy, grid: Grid, seed: int) -> np.ndarray:
    """The film a detector makes of it: noise, blur, tone curve, collimation; float32 (H, W) in [0, 1]."""
    rng, a = _stream(seed, _EXPOSURE), anatomy
    u = rng.uniform
    blur, noise = u(0.55, 0.85), u(0.12, 0.4)
    middle, spread, lift = a.depth * u(0.60, 0.70), u(2.5, 4.4), u(-0.2, 0.3)
    low, high = u(0.0, 0.06), u(0.86, 1.0)
    _marker(rng, grid, thickness, a)
    edges_cm = [u(-1.5, 1.2) if u() < 0.5 else -9.0 for _ in range(4)]
    skew = u(-0.02, 0.02)

    # Poisson noise of the log signal grows as exp(mu T / 2); mu is near 0.16 per cm for a chest tube voltage
    grain = _stream(seed, _NOISE).standard_normal(thickness.shape, np.float32)
    grain *= np.exp(np.float32(0.08) * (thickness - 14)) * np.float32(noise)
    seen = ndimage.gaussian_filter(thickness + grain, blur, truncate=MARGIN / blur - 0.5)

    film = 1 / (1 + np.exp((np.float32(middle) - seen) / np.float32(spread)))
    film = np.maximum(film - np.float32(1 / (1 + np.exp(middle / spread))), 0)
    film *= np.float32(1 + lift) / (1 + np.float32(lift) * film)  # darker or brighter in between, ends kept
    film *= np.float32(high - low)
    film += np.float32(low)
    if max(edges_cm) > -9:
        film *= _collimator(grid, film.shape, edges_cm, skew)
    values: np.ndarray = np.clip(film, 0, 1, dtype=np.float32)
    return values


def _collimator(grid: Grid, shape: tuple[int, int], edges_cm: Sequence[float], skew: float) -> np.ndarray:
    """1 inside the beam and 0 outside, with a soft rim; edges are cm from top, right, bottom, left."""
    rows, columns = np.arange(shape[0], dtype=np.float32)[:, None], np.arange(shape[1], dtype=np.float32)
    top, right, bottom, left = (np.float32(e / grid.cm) for e in edges_cm)
    lean_x, lean_y = np.float32(skew) * (rows - shape[0] / 2), np.float32(skew) * (columns - shape[1] / 2)
    inside = np.minimum(columns - left + lean_x, shape[1] - 1 - right - columns - lean_x)
    inside = np.minimum(inside, np.minimum(rows - top - lean_y, shape[0] - 1 - bottom - rows + lean_y))
    return smoothstep(inside / np.float32(0.25 / grid.cm) + 0.5)


def _marker(rng: np.random.Generator, grid: Grid, thickness: np.ndarray, anatomy: Anatomy) -> None:
    """A lead letter for the side, as radiographers place it; its presence says nothing about findings."""
    shown, left, in_from, down = rng.random() < 0.75, rng.random() < 0.7, rng.uniform(2.2, 4.5), rng.uniform(1.5, 4.0)
    if not shown:
        return
    y = float(grid.y[0, 0]) + down
    x = float(grid.x[0, -1] - in_from if left else -grid.x[0, 0] - in_from)
    if left:
        strokes = [[(x, y), (x, y + 1.5), (x + 0.9, y + 1.5)]]
    else:
        bowl = [(-x, y + 1.5), (-x, y), (-x + 0.7, y), (-x + 0.85, y + 0.4), (-x + 0.7, y + 0.8), (-x, y + 0.8)]
        strokes = [bowl, [(-x + 0.4, y + 0.8), (-x + 0.9, y + 1.5)]]
    for stroke in strokes:
        solid, where = tube(grid, stroke, [0.13] * len(stroke))
        thickness[where] = np.where(solid > 0, np.float32(2.5 * anatomy.depth), thickness[where])


def _burn_in(pixels: np.ndarray, text: str) -> np.ndarray:
    """The film with small white letters in its lower left corner."""
    height, width = pixels.shape
    font = ImageFont.load_default(max(height / 36, 9))
    layer = Image.new("L", (width, height))
    ImageDraw.Draw(layer).text((width * 0.02, height * 0.985), text, 255, font, anchor="lb")
    values: np.ndarray = np.maximum(pixels, np.asarray(layer, np.float32) / 255)
    return values


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Smallest (x, y, width, height) that holds the mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return 0, 0, 0, 0
    return (
        int(columns[0]),
        int(rows[0]),
        int(columns[-1] - columns[0] + 1),
        int(rows[-1] - rows[0] + 1),
    )
