"""How much each part of the body weakens the beam: layers in cm of water along each ray, float32 (H, W).

Thicknesses add up along a ray (Beer-Lambert), so a film is a sum of layers and air is a thickness taken away. Ribs are
bands on an elliptic cage seen from the front: back and front halves of one rib meet at the side, as in the body.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import ndimage

from cxrcore.phantom.anatomy import Anatomy, Contours, Grid, half_circle, lung_edges, smoothstep

Point = tuple[float, float]
Window = tuple[slice, slice]  # rows and columns of the film
CAGE = 0.75  # cm from the lung to the outside of the ribs


@dataclass(frozen=True, eq=False)
class Layers:
    """One person's parts before any finding is planted; float32, cm of water.

    Whole-film layers are (H, W); those of the chest cover only ``chest`` = (rows, columns), shape (h, w).
    """

    chest: tuple[slice, slice]
    body: np.ndarray  # (H, W) soft tissue and bone as if the lungs were solid
    gas: np.ndarray  # (H, W) air outside the lungs: windpipe, stomach
    lung: np.ndarray  # (h, w) front-to-back room inside the pleura
    heart: np.ndarray  # (h, w) of that room, taken by the heart
    mediastinum: np.ndarray  # (h, w) of that room, taken by all else between the lungs
    vessels: np.ndarray  # (h, w) of that room, taken by vessels, and fine texture about zero


def tube(grid: Grid, points: Sequence[Point], radii: Sequence[float], shell: float = 1.0) -> tuple[np.ndarray, Window]:
    """Thickness in [0, 1] of a round tube along a polyline (cm), and the (rows, columns) it occupies.

    ``shell`` is the wall's share of the radius: 1 is solid, 0.2 a bone with bright edges.
    """
    spots = [(float(x), float(y), float(r)) for (x, y), r in zip(points, radii, strict=True)]

    def window(ends: Sequence[tuple[float, float, float]]) -> tuple[slice, slice]:
        pad = max(r for _, _, r in ends) + grid.cm
        xs, ys = [x for x, _, _ in ends], [y for _, y, _ in ends]
        return grid.rows(min(ys) - pad, max(ys) + pad), grid.columns(min(xs) - pad, max(xs) + pad)

    where = window(spots)
    first_row, first_column = where[0].start, where[1].start
    nearest = np.full(grid.x[where].shape, 9, np.float32)
    for (x0, y0, r0), (x1, y1, r1) in pairwise(spots):
        rows, columns = window([(x0, y0, r0), (x1, y1, r1)])
        x, y = grid.x[rows, columns] - x0, grid.y[rows] - y0
        dx, dy = x1 - x0, y1 - y0
        along = np.clip((x * dx + y * dy) / (dx * dx + dy * dy), 0, 1)
        across = np.sqrt((x - along * dx) ** 2 + (y - along * dy) ** 2) / (r0 + along * (r1 - r0))
        part = nearest[rows.start - first_row :, columns.start - first_column :][: x.shape[0], : x.shape[1]]
        np.minimum(part, across, out=part)
    solid = half_circle(nearest)
    if shell < 1:
        solid -= 0.75 * (1 - shell) * half_circle(nearest / (1 - shell))
    return solid, where


def ellipse(grid: Grid, centre: Point, axes: Point, angle: float = 0.0) -> np.ndarray:
    """Thickness in [0, 1] of an ellipsoid whose first axis points ``angle`` radians below the x axis; (H, W)."""
    c, s = np.cos(angle), np.sin(angle)
    dx, dy = grid.x - np.float32(centre[0]), grid.y - np.float32(centre[1])
    u = (dx * np.float32(c) + dy * np.float32(s)) / np.float32(axes[0])
    v = (dy * np.float32(c) - dx * np.float32(s)) / np.float32(axes[1])
    return np.sqrt(np.maximum(1 - u * u - v * v, 0))


def heart(anatomy: Anatomy, grid: Grid, size: float) -> np.ndarray:
    """The heart's thickness in cm at ``size`` times average: left ventricle, right atrium, pulmonary trunk; (H, W)."""
    a = anatomy
    floor = (a.dome_right + a.dome_left) / 2
    grow = size - 1
    left = ellipse(grid, (2.3 + a.turn + 1.8 * grow, floor - 3.1 - 1.5 * grow), (6.9 * size, 4.5 * size), 0.74)
    right = ellipse(grid, (-0.3 + a.turn, floor - 3.8 - grow), (3.7 * size, 6.0 * size), 0.1)
    trunk = ellipse(grid, (1.9 + a.turn, floor - 8.6 - 2 * grow), (2.3 * size**0.5, 4.2), -0.22)
    values: np.ndarray = np.maximum(np.maximum(11.5 * size * left, 10 * right), 8 * trunk)
    return values


def _mediastinum(anatomy: Anatomy, grid: Grid) -> np.ndarray:
    """Thickness in cm of great vessels, aorta and all else around the midline but the heart; (H, W)."""
    a, y = anatomy, grid.y
    arch = a.apex + 7.6
    down = y - a.apex
    right = 2.4 + 0.4 * np.exp(-(((down - 6) / 4) ** 2)) + 0.4 * np.exp(-(((down - 12.0) / 2.6) ** 2))
    left = 2.2 + 0.5 * smoothstep((4 - down) / 4) + 0.4 * np.exp(-(((down - 11.5) / 2.6) ** 2))
    x = grid.x - a.turn * 0.6
    thickness = 12 * half_circle(np.where(x < 0, x / right, x / left))
    knob = ellipse(grid, (2.0 + a.turn, arch), (a.knob, a.knob * 1.2))
    np.maximum(thickness, 9 * knob, out=thickness)
    line = [(2.0 + a.turn, arch), (2.2 + a.turn, arch + 4), (1.9 - a.turn, arch + 11), (1.2 - a.turn, arch + 20)]
    aorta, where = tube(grid, line, [1.35, 1.3, 1.25, 1.1])
    np.maximum(thickness[where], 6 * aorta, out=thickness[where])
    return thickness


def _trunk(anatomy: Anatomy, grid: Grid) -> np.ndarray:
    """Soft tissue of trunk, neck, shoulders and upper arms, lungs taken as solid; (H, W)."""
    a, y = anatomy, grid.y
    distance = np.abs(grid.x)
    down = smoothstep((y - 1) / 16)
    profile = a.depth * (0.6 + 0.4 * down)
    side = lung_edges(a, y)[0] + CAGE + a.wall + 0.6 * smoothstep((y - 26) / 12)
    trunk = profile * np.sqrt(half_circle(distance / side))
    neck = 14.5 * half_circle(distance / (5.0 + 0.4 * a.wall + 0.35 * np.maximum(y + 1.5, 0) ** 1.7))
    slope = -0.8 - a.shoulder + 0.22 * distance + 0.000015 * np.square(np.square(distance))
    fold = 15.5 + 1.6 * np.sqrt(np.square(distance - side - 1.2) + 2.2)  # the armpits
    shoulders = 0.68 * a.depth * half_circle(1 - np.clip((y - slope) / 4.0, 0, 1)) * smoothstep((fold - y) / 8)
    centre = side + 3.4 + a.arm + 0.05 * (y - 15)
    arms = 11.0 * half_circle((distance - centre) / 4.6) * smoothstep((y - 6) / 5)
    body = np.maximum(np.maximum(trunk * smoothstep((y - 3) / 5), neck), np.maximum(shoulders, arms))
    if a.breast:
        x0, y0 = 7.5 + 0.3 * a.wall, a.apex + 19
        u, v = (distance - x0) / 6.8, np.maximum(y - y0, (y - y0) * 0.55) / 5.2
        body += a.breast * half_circle(np.sqrt(u * u + v * v))
    values: np.ndarray = body
    return values


def _ribs(anatomy: Anatomy, grid: Grid, edges: Contours) -> np.ndarray:
    """Ten pairs of ribs, back and front; (H, W) cm of water beyond soft tissue."""
    a = anatomy
    y = grid.y + 0.02 * a.turn * grid.x
    distance = np.abs(grid.x)
    cage = edges.outer + CAGE
    across = distance / cage
    back = half_circle(across)
    inner = half_circle(np.minimum(across * (cage / (cage - 0.7)), 1))
    slant = np.minimum((back - inner) * cage / 0.7, 2.2)  # path through the cage wall; 1 where seen face on
    total = np.zeros_like(distance)
    for front in (False, True):
        fall = (a.rib_drop + a.rib_fall * back if front else a.rib_drop * (1 - back)) - a.rib_rise * across
        grow = 0.055 * fall + a.rib_spacing
        number = (y - a.apex - a.rib_phase - 0.62 * fall) / grow
        nearest = np.rint(number)
        height = 0.56 if not front else 0.66
        off = np.abs(number - nearest) * (grow / height)
        solid = half_circle(off)
        solid -= 0.68 * half_circle(off * 1.22)
        if front:  # bone ends where cartilage begins, further out for lower ribs
            solid *= 0.5 * smoothstep((distance - 3.2 - 0.55 * nearest) / 1.6)
        solid *= np.clip((10.6 - 2.5 * front - nearest) / 2, 0, 1) * (nearest >= 0)
        total += solid
    values: np.ndarray = 2.2 * a.bone * total * slant
    return values


def _add(layer: np.ndarray, amount: float, part: tuple[np.ndarray, Window]) -> None:
    """Add ``amount`` cm times a tube's thickness to a layer in place."""
    thickness, where = part
    layer[where] += np.float32(amount) * thickness


def _bones(anatomy: Anatomy, grid: Grid, layer: np.ndarray) -> None:
    """Add clavicles, scapulae, upper arms and spine to ``layer`` in place."""
    a = anatomy
    top = a.apex - a.shoulder
    for s in (-1, 1):
        inner, outer = 1.9 - s * a.turn, 15.6
        t = np.linspace(0, 1, 9)
        path = s * (inner + (outer - inner) * t), a.apex + 3.6 - 5.0 * t**0.8 - a.shoulder * t + 0.5 * np.sin(6 * t)
        radii = 0.62 + 0.35 * (1 - t) ** 4 + 0.2 * t**5
        _add(layer, 1.7 * a.bone, tube(grid, list(zip(*path, strict=True)), list(radii), 0.25))
        arm = 17.0 + 0.55 * max(a.arm, 0)
        shaft = [(s * (arm - 0.1), top + 2.9), (s * (arm + 0.2), top + 3.9), (s * (arm + 0.6), top + 6.5)]
        shaft += [(s * (arm + 1.0), top + 11), (s * (arm + 2.5 + 0.4 * a.arm), top + 46)]
        _add(layer, 1.9 * a.bone, tube(grid, shaft, [2.3, 2.3, 1.35, 1.1, 1.1], 0.25))
        socket, tip, root = (s * 14.4, top + 4.5), (s * 12.4, top + 17.0), (s * 11.6, top + 5.6)
        _add(layer, 0.8 * a.bone, tube(grid, [socket, (s * 13.7, top + 9), tip], [1.1, 0.5, 0.4], 0.4))
        _add(layer, 0.35 * a.bone, tube(grid, [tip, (s * 11.3, top + 11), root], [0.35, 0.3, 0.3]))
        _add(layer, 0.6 * a.bone, tube(grid, [root, (s * 13.6, top + 3), (s * 16.4, top + 1)], [0.3, 0.5, 0.8], 0.4))
        _add(layer, 0.28 * a.bone, tube(grid, [(s * 13.0, top + 6.5), (s * 12.3, top + 14.5)], [1.7, 0.7]))
    columns = grid.columns(-3.6 - abs(a.turn), 3.6 + abs(a.turn))
    x, y = grid.x[:, columns] + a.turn, grid.y
    width = 1.45 + 0.02 * y
    number = (y + 0.9) / (1.9 + 0.016 * y)
    off = np.abs(number - np.rint(number)) * 2  # 0 in the middle of a vertebra, 1 in the disc
    body = smoothstep((0.82 - off) / 0.15) * 0.35 + 0.65
    edge = smoothstep((off - 0.55) / 0.15) * smoothstep((0.82 - off) / 0.08)
    q = x / width
    spine = (body + 0.2 * edge) * (1.05 * half_circle(q) - 0.35 * half_circle(q * 1.15))
    eye = np.hypot((np.abs(x) - width * 0.62) / 0.42, (off - 0.35) * 1.9)
    spine += 0.4 * (half_circle(eye) - half_circle(eye * 1.6))
    process = np.hypot(x / 0.3, (off - 0.75) / 0.5)
    spine += 0.3 * half_circle(process)
    wing = smoothstep((3.3 - np.abs(x)) / 1.2) * smoothstep((0.6 - off) / 0.3)
    layer[:, columns] += a.bone * (1.5 * spine + 0.3 * wing)


def _branches(anatomy: Anatomy, grid: Grid, rng: np.random.Generator, side: int) -> np.ndarray:
    """One lung's vessel tree as rows of (x, y, radius, spacing) in cm, a point at least every pixel."""
    a = anatomy
    root = np.array([side * 3.3 + a.turn, a.apex + (12.2 if side < 0 else 11.2)])
    count = 10
    angle = np.linspace(-1.3, 1.4, count) + rng.normal(0, 0.12, count)
    start = root + rng.normal(0, 0.3, (count, 2)) + np.array([[0, 1.7]]) * angle[:, None]
    radius = 0.36 + 0.30 * np.clip(angle, 0, 1.3) / 1.3 + rng.uniform(-0.06, 0.06, count)
    points = []
    for generation in range(7):
        length = rng.uniform(0.8, 2.8, len(angle)) * (1 if generation else 0.7)
        curve = rng.normal(0, 0.5, len(angle))
        end_radius = radius * 0.83
        steps = int(2.8 / grid.cm) + 1
        t = np.linspace(0, 1, steps)[:, None]
        heading = angle + curve * (t - 0.5)
        x = start[:, 0] + side * np.cos(heading) * length * t
        y = start[:, 1] + np.sin(heading) * length * t
        r = radius + (end_radius - radius) * t
        points.append(np.stack([x, y, r, np.broadcast_to(length / steps, x.shape)], -1).reshape(-1, 4))
        end = np.stack([x[-1], y[-1]], -1)
        spread = rng.uniform(0.2, 0.55, len(angle))
        share = rng.uniform(0.55, 0.85, len(angle))
        fork = rng.random(len(angle)) < 0.8
        angle = np.concatenate([angle + spread * (1 - share), (angle - spread * share - 0.1)[fork]])
        angle = np.clip(angle, -1.9, 1.9)
        radius = np.concatenate([end_radius * share**0.4, (end_radius * (1 - share) ** 0.4)[fork]])
        start = np.concatenate([end, end[fork]])
        keep = np.abs(start[:, 0]) < a.chest + 0.5
        keep &= (start[:, 1] > a.apex) & (start[:, 1] < a.dome_left + a.sulcus)
        angle, radius, start = angle[keep], radius[keep], start[keep]
    return np.concatenate(points)


def _splat(grid: Grid, points: np.ndarray) -> np.ndarray:
    """Project round vessels: rows of (x, y, radius, spacing) in cm to their thickness along the beam; (H, W)."""
    height, width = grid.x.shape
    row, column = grid.pixel(points[:, 0], points[:, 1])
    good = (row > 0) & (row < height - 2) & (column > 0) & (column < width - 2)
    row, column, points = row[good], column[good], points[good]
    i, j = row.astype(np.int64), column.astype(np.int64)
    down, along = row - i, column - j
    mass = np.pi * points[:, 2] ** 2 * points[:, 3] / grid.cm**2
    sigma = points[:, 2] * 0.6 / grid.cm
    widths = 0.55 * 1.6 ** np.arange(8)
    group = np.digitize(sigma, widths[1:] / 1.26)
    out = np.zeros((height, width), np.float32)
    for k in range(int(group.max()), -1, -1):  # wide ones first: each later blur, small, is added to the former
        chosen = group == k
        index = i[chosen] * width + j[chosen]
        m, d, c = mass[chosen], down[chosen], along[chosen]
        corners = np.concatenate([index, index + 1, index + width, index + width + 1])
        weights = np.concatenate([m * (1 - d) * (1 - c), m * (1 - d) * c, m * d * (1 - c), m * d * c])
        out += np.bincount(corners, weights, height * width).reshape(height, width).astype(np.float32)
        if k:
            step = float(np.sqrt(widths[k] ** 2 - widths[k - 1] ** 2))
            out = ndimage.gaussian_filter(out, step, truncate=2.5)
    return out


def cloud(rng: np.random.Generator, grid: Grid, grain: float) -> np.ndarray:
    """Smooth noise of unit spread whose grains measure ``grain`` cm; (H, W), the same pattern at any resolution."""
    pitch = grain / 2
    height, width = grid.x.shape
    rows = int(max(height, width) * grid.cm / pitch) + 3
    coarse = ndimage.gaussian_filter(rng.standard_normal((rows, rows), np.float32), 1.0) * np.float32(3.54)
    row = np.clip((np.arange(height) * grid.cm) / pitch, 0, rows - 2)
    column = np.clip((np.arange(width) * grid.cm) / pitch, 0, rows - 2)
    i, j = row.astype(int), column.astype(int)
    fi, fj = (row - i).astype(np.float32)[:, None], (column - j).astype(np.float32)
    tall = coarse[i] * (1 - fi) + coarse[i + 1] * fi
    values: np.ndarray = tall[:, j] * (1 - fj) + tall[:, j + 1] * fj
    return values


def chest_window(anatomy: Anatomy, grid: Grid) -> tuple[slice, slice]:
    """Rows and columns that hold both lungs and the rib cage."""
    a = anatomy
    rows = grid.rows(a.apex - 2, a.dome_left + a.sulcus + 5.6)
    height, width = grid.x.shape
    columns = grid.columns(-a.chest - CAGE - 0.2, a.chest + CAGE + 0.2)
    return slice(rows.start, min(rows.stop, height)), slice(columns.start, min(columns.stop, width))


def layers(
    anatomy: Anatomy, grid: Grid, chest: tuple[slice, slice], inner: Grid, edges: Contours, rng: np.random.Generator
) -> Layers:
    """Every part of one person; ``inner`` is the grid of the chest window, ``rng`` grows vessels and fine texture."""
    a = anatomy
    body = _trunk(a, grid)
    body[chest] += _ribs(a, inner, edges)
    _bones(a, grid, body)

    lung = a.lung_depth * (0.3 + 0.7 * smoothstep(edges.rise * 0.9)) * half_circle(inner.x / edges.outer)
    recess = 0.22 * smoothstep(np.abs(inner.x) / 5 - 0.8) * np.clip(1 - edges.below / 5.5, 0, 1)
    lung *= edges.inside
    lung *= np.where(edges.below < 0, np.float32(1), recess)

    points = np.concatenate([_branches(a, grid, rng, side) for side in (-1, 1)])
    vessels = 1.5 * _splat(inner, points) + 0.10 * cloud(rng, inner, 0.35) + 0.25 * cloud(rng, inner, 1.6)
    return Layers(chest, body, _gas(a, grid, rng), lung, heart(a, inner, a.heart), _mediastinum(a, inner), vessels)


def _gas(anatomy: Anatomy, grid: Grid, rng: np.random.Generator) -> np.ndarray:
    """Air in the windpipe, the main bronchi and the stomach; (H, W) cm."""
    a = anatomy
    gas = np.zeros_like(grid.x)
    carina, middle = a.apex + 9.3, 0.1 + 0.5 * a.turn
    airways = [([(middle - 0.1, -3.0), (middle, a.apex), (middle + 0.1, carina)], [0.8, 0.85, 0.85], 2.4)]
    for step in (-1.1, 1.4):
        path = [(middle, carina), (middle + step, carina + 1.5), (middle + 2 * step, carina + 4)]
        airways.append((path, [0.75, 0.6, 0.2], 1.1))
    for path, radii, air in airways:
        thickness, where = tube(grid, path, radii)
        np.maximum(gas[where], air * thickness, out=gas[where])
    x0, y0, wide, high = a.bubble
    y0 += a.dome_left
    where = grid.rows(y0 - high, y0 + high), grid.columns(x0 - wide, x0 + wide)
    part = grid.crop(*where)
    level = smoothstep((y0 + 0.6 * high - part.y) / 0.5)
    gas[where] += (2.6 + 0.9 * cloud(rng, part, 1.6)) * level * ellipse(part, (x0, y0), (wide, high))
    return gas
