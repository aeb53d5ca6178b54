"""Pictures that are no chest films, drawn by a program: pages of text, screenshots, charts, shapes, noise, blanks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

_WORDS = (
    "patient",
    "film",
    "report",
    "name",
    "date",
    "study",
    "left",
    "right",
    "view",
    "finding",
    "page",
    "result",
    "of",
)


def draw_negatives(count: int, seed: int = 0) -> list[np.ndarray]:
    """``count`` pictures of all kinds in turn, float32 (H, W) in [0, 1]; the same for the same seed."""
    rng = np.random.default_rng(seed)
    pictures = []
    for n in range(count):
        size = (int(rng.integers(200, 420)), int(rng.integers(200, 420)))
        picture = KINDS[n % len(KINDS)](rng, size)
        pictures.append((1 - picture if rng.random() < 0.3 else picture).astype(np.float32))
    return pictures


def _blank(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    return np.clip(rng.uniform() + rng.normal(0, rng.uniform(0, 0.03), size), 0, 1)


def _gradient(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    rows, columns = 2 * rows / size[0] - 1, 2 * columns / size[1] - 1
    if rng.random() < 0.5:
        return _stretched(rows * rng.normal() + columns * rng.normal())
    return _stretched(np.hypot(rows - rng.uniform(-1, 1), columns - rng.uniform(-1, 1)) ** rng.uniform(0.5, 2))


def _noise(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Noise whose amplitude falls with frequency to a random power, from white to clouds."""
    rows, columns = np.fft.fftfreq(size[0])[:, None], np.fft.fftfreq(size[1])[None]
    fall = np.maximum(np.hypot(rows, columns), 1 / max(size)) ** -rng.uniform(0, 2.5)
    return _stretched(np.fft.ifft2(np.fft.fft2(rng.normal(size=size)) * fall).real)


def _shapes(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    picture = Image.new("L", size[::-1], int(rng.integers(256)))
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(2, 25))):
        (left, right), (top, bottom) = (np.sort(rng.integers(0, side, 2)) for side in size[::-1])
        figure: Callable[..., None] = (draw.rectangle, draw.ellipse, draw.line)[int(rng.integers(3))]
        figure((int(left), int(top), int(right), int(bottom)), fill=int(rng.integers(256)))
    return _softened(rng, picture)


def _tiles(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    tile = rng.uniform(size=rng.integers(1, 5, 2))
    step = int(rng.integers(8, 50))
    big = np.kron(np.tile(tile, (-(-size[0] // step), -(-size[1] // step))), np.ones((step, step)))
    return big[: size[0], : size[1]]


def _text(rng: np.random.Generator, size: tuple[int, int], screen: bool) -> np.ndarray:
    """A page of words; as a screenshot with bars, boxes and a picture."""
    paper = int(rng.integers(200, 256))
    picture = Image.new("L", size[::-1], paper)
    draw = ImageDraw.Draw(picture)
    if screen:
        for _ in range(int(rng.integers(2, 6))):
            left, top = int(rng.integers(0, size[1])), int(rng.integers(0, size[0]))
            box = (left, top, left + int(rng.integers(20, 200)), top + int(rng.integers(10, 120)))
            draw.rectangle(box, fill=int(rng.integers(60, 256)), outline=int(rng.integers(256)))
        draw.rectangle((0, 0, size[1], int(rng.integers(10, 40))), fill=int(rng.integers(0, 160)))
    points = int(rng.integers(8, 22))
    font = ImageFont.load_default(points)
    top, margin = int(rng.integers(4, 60)), int(rng.integers(4, 60))
    while top < size[0]:
        line = " ".join(rng.choice(_WORDS, int(rng.integers(1, 14))))
        draw.text((margin, top), line, fill=int(rng.integers(0, 100)), font=font)
        top += int(points * rng.uniform(1.1, 2.5))
    return _softened(rng, picture)


def _chart(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    picture = Image.new("L", size[::-1], 255)
    draw, steps = ImageDraw.Draw(picture), int(rng.integers(4, 40))
    across = np.linspace(0.1 * size[1], 0.95 * size[1], steps)
    for _ in range(int(rng.integers(1, 5))):
        heights = size[0] * (1 - np.clip(np.cumsum(rng.normal(0, 0.1, steps)) + rng.uniform(0.2, 0.8), 0.05, 0.95))
        if rng.random() < 0.5:
            draw.line(list(zip(across.tolist(), heights.tolist(), strict=True)), int(rng.integers(150)), width=2)
        else:
            width = across[1] - across[0]
            for x, y in zip(across, heights, strict=True):
                draw.rectangle((x, y, x + 0.7 * width, 0.95 * size[0]), fill=int(rng.integers(40, 200)))
    draw.line((0.1 * size[1], 0, 0.1 * size[1], 0.95 * size[0], size[1], 0.95 * size[0]), fill=0)
    return _softened(rng, picture)


def _softened(rng: np.random.Generator, picture: Image.Image) -> np.ndarray:
    soft = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0, 2))) if rng.random() < 0.5 else picture
    return np.asarray(soft, np.float64) / 255


def _stretched(values: np.ndarray) -> np.ndarray:
    low, high = values.min(), values.max()
    stretched: np.ndarray = (values - low) / max(high - low, 1e-9)
    return stretched


KINDS: tuple[Callable[[np.random.Generator, tuple[int, int]], np.ndarray], ...] = (
    partial(_text, screen=False),
    partial(_text, screen=True),
    _noise,
    _shapes,
    _chart,
    _gradient,
    _tiles,
    _blank,
)
