"""Checks of a film's pixels that warn before its prediction is trusted: size, aspect, grey levels, inversion.

Each check is a pure function on float32 pixels (H, W) in [0, 1], bright = dense, and looks at a grid of at most about
256 × 256 of them. Thresholds were set on 1,274 NIH and 5,216 Kermany films; hardly any of them gets a
warning.
"""

from __future__ import annotations

import numpy as np

SMALLEST_SIDE = 200  # pixels; networks here look at about as many
LARGEST_ASPECT = 2.0  # longer side over shorter; chest films lie between 0.7 and 1.5 wide for high
FEWEST_LEVELS = 64  # of 256; real films have 113 or more
MOST_WHITE = 0.25  # share of pixels at pure white; real films have up to 0.024
BLANK_RANGE = 0.1  # 1st to 99th percentile; real films have 0.33 or more
COLOUR_SPREAD = 20  # of 255, between the channels of one pixel; JPEG noise stays below
COLOUR_SHARE = 0.05  # of pixels; a coloured marker on a film stays below
INVERTED_WARNING = "The film may be inverted: it should show air dark and bone bright."
INVERTED_SCORE = -0.1  # see ``inversion_score``


def warnings_for(pixels: np.ndarray) -> tuple[str, ...]:
    """Plain sentences about a film, ready to show; none for most films."""
    notes = []
    height, width = pixels.shape
    if is_small(height, width):
        notes.append(
            f"The image is small ({width} × {height} pixels); fine detail is lost below {SMALLEST_SIDE} pixels a side."
        )
    if is_oblong(height, width):
        notes.append("The image is much longer than wide or the reverse, unlike a whole chest film.")
    grid = subsample(pixels)
    levels = histogram(grid)
    white = is_saturated(levels)
    if is_blank(levels) and not white:
        return (*notes, "The image is almost blank.")
    if has_few_levels(levels):
        shades = np.count_nonzero(levels)
        notes.append(f"Only {shades} shades of grey are left; bit depth was probably lost in a conversion.")
    if white:
        notes.append("Much of the image is pure white: a window too narrow, or detail lost in a conversion to 8 bits.")
    elif inversion_score(grid) < INVERTED_SCORE:
        notes.append(INVERTED_WARNING)
    return tuple(notes)


def subsample(pixels: np.ndarray, side: int = 256) -> np.ndarray:
    """Every k-th row and column, so that each side holds fewer than two times ``side`` points (a view)."""
    height, width = pixels.shape[:2]
    return pixels[:: max(1, height // side), :: max(1, width // side)]


def histogram(pixels: np.ndarray) -> np.ndarray:
    """Counts of the 256 grey levels of an 8-bit display, int64, shape (256,)."""
    return np.bincount(np.rint(pixels * np.float32(255)).astype(np.uint8).ravel(), minlength=256)


def is_small(height: int, width: int) -> bool:
    """Whether the shorter side has fewer than SMALLEST_SIDE pixels."""
    return min(height, width) < SMALLEST_SIDE


def is_oblong(height: int, width: int) -> bool:
    """Whether one side is more than LARGEST_ASPECT times the other."""
    return max(height, width) > LARGEST_ASPECT * min(height, width)


def is_blank(levels: np.ndarray) -> bool:
    """Whether the middle 98 % of pixels span less than BLANK_RANGE of the grey scale."""
    share = np.cumsum(levels) / levels.sum()
    low, high = np.searchsorted(share, (0.01, 0.99))
    return bool((high - low) / 255 < BLANK_RANGE)


def has_few_levels(levels: np.ndarray) -> bool:
    """Whether fewer than FEWEST_LEVELS of 256 grey levels occur."""
    return bool(np.count_nonzero(levels) < FEWEST_LEVELS)


def is_saturated(levels: np.ndarray) -> bool:
    """Whether more than MOST_WHITE of the pixels are pure white, as when 16-bit values are clipped to 8."""
    return bool(levels[-1] > MOST_WHITE * levels.sum())


def inversion_score(pixels: np.ndarray) -> float:
    """How much brighter the dense parts of an upright front view are than its airy parts; negative when inverted.

    The sum of three contrasts, each in [-1, 1]: spine minus lungs, centre minus upper corners, upper abdomen minus
    lungs. Inverting the brightness inverts its sign.
    """
    height, width = pixels.shape

    def mean(top: float, bottom: float, left: float, right: float) -> float:
        rows = slice(int(top * height), max(int(bottom * height), int(top * height) + 1))
        columns = slice(int(left * width), max(int(right * width), int(left * width) + 1))
        return float(pixels[rows, columns].mean())

    spine = mean(0.3, 0.7, 0.44, 0.56)
    lungs = (mean(0.25, 0.6, 0.2, 0.36) + mean(0.25, 0.6, 0.64, 0.8)) / 2
    corners = (mean(0, 0.15, 0, 0.12) + mean(0, 0.15, 0.88, 1)) / 2
    centre = mean(0.2, 0.8, 0.2, 0.8)
    abdomen = mean(0.8, 1, 0.3, 0.7)
    return (spine - lungs) + (centre - corners) + (abdomen - lungs)


def in_colour(rgb: np.ndarray) -> bool:
    """Whether more than COLOUR_SHARE of an RGB array, uint8 (H, W, 3), is clearly not grey."""
    red, green, blue = (rgb[..., channel].astype(np.int16) for channel in range(3))
    spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    return bool((spread > COLOUR_SPREAD).mean() > COLOUR_SHARE)
