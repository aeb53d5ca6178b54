"""From a film to a network's input: one code path for training, evaluation and the app.

Two steps, so that a film is decoded and resized once and still augmented before it is normalised::

    prepared = preprocessing.prepare(film.pixels)      # numpy, (h, w) in [0, 1]: what a cache keeps
    augmented = augmentation(prepared batch)           # training only
    inputs = preprocessing.normalise(augmented batch)  # torch, (N, C, h, w): what the network sees

Both steps treat every film by itself, so the composition of a batch never matters.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from PIL import Image

from cxrcore.errors import InvalidBundle

if TYPE_CHECKING:
    import torch

Geometry = Literal["squash", "letterbox", "crop"]
Intensity = Literal["none", "stretch", "standardise", "equalise"]
_LEVELS = 1024  # of the histogram behind `equalise`


@dataclass(frozen=True)
class Preprocessing:
    """How a film becomes an input tensor; travels inside the bundle. Raises InvalidBundle on unknown values."""

    height: int = 224
    width: int = 224
    channels: int = 1  # the one grey channel is repeated to this many
    # squash: both axes to size, aspect lost; letterbox: aspect kept, padded with black; crop: the middle square alone
    geometry: Geometry = "squash"
    intensity: Intensity = "none"  # what each film's own grey values are normalised by, see `normalise`
    mean: float = 0.5  # subtracted after that,
    std: float = 0.25  # then divided by

    def __post_init__(self) -> None:
        if self.geometry not in get_args(Geometry) or self.intensity not in get_args(Intensity):
            raise InvalidBundle(
                f"unknown preprocessing: geometry {self.geometry!r} (one of {', '.join(get_args(Geometry))}), "
                f"intensity {self.intensity!r} (one of {', '.join(get_args(Intensity))})"
            )
        if min(self.height, self.width, self.channels) < 1 or not self.std > 0:
            raise InvalidBundle(
                f"preprocessing needs a positive size, channels and std, got {self.height}x{self.width}, "
                f"{self.channels}, {self.std}"
            )
        if self.geometry == "crop" and self.height != self.width:
            raise InvalidBundle(f"geometry 'crop' is for a square input, not one of {self.height}x{self.width}")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the input in pixels."""
        return self.height, self.width

    def prepare(self, pixels: np.ndarray) -> np.ndarray:
        """A film's pixels at the network's size: float32 (H, W) in [0, 1] to float32 (h, w) in [0, 1].

        Antialiased bilinear resampling of the float values (Pillow's; of a crop scikit-image's), then rounded to 16
        bits, so that a cache of uint16 (``pack``, ``unpack``) holds exactly what the app computes.
        """
        return unpack(pack(self._resize(pixels)))

    def _resize(self, pixels: np.ndarray) -> np.ndarray:
        if self.geometry == "crop":
            return smooth_resize(pixels[middle_square(pixels.shape)], self.height)
        image = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.float32))
        top, left, height, width = self.film_area(pixels.shape)
        resized = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
        if (height, width) == self.size:
            return resized
        canvas = np.zeros(self.size, dtype=np.float32)
        canvas[top : top + height, left : left + width] = resized
        return canvas

    def film_area(self, film_size: tuple[int, ...]) -> tuple[int, int, int, int]:
        """Where the film lies in the input: (top, left, height, width) in input pixels."""
        if self.geometry == "squash":
            return 0, 0, self.height, self.width
        if self.geometry == "crop":  # it starts above and left of the input (negative) and is larger
            rows, columns = middle_square(film_size)
            scale = self.height / (rows.stop - rows.start)
            top, left = round(-rows.start * scale), round(-columns.start * scale)
            return top, left, round(film_size[0] * scale), round(film_size[1] * scale)
        scale = min(self.height / film_size[0], self.width / film_size[1])
        height = min(self.height, max(1, round(film_size[0] * scale)))
        width = min(self.width, max(1, round(film_size[1] * scale)))
        return (self.height - height) // 2, (self.width - width) // 2, height, width

    def to_film_grid(self, feature_map: np.ndarray, film_size: tuple[int, int]) -> np.ndarray:
        """A map at feature resolution, float32 (h, w), on the film's own grid, float32 (H, W), bilinear.

        0 where a crop left the film out.
        """
        if self.geometry == "crop":
            grid = np.zeros(film_size, dtype=np.float32)
            rows, columns = middle_square(film_size)
            side = (columns.stop - columns.start, rows.stop - rows.start)
            image = Image.fromarray(np.ascontiguousarray(feature_map, dtype=np.float32))
            grid[rows, columns] = np.asarray(image.resize(side, Image.Resampling.BILINEAR))
            return grid
        top, left, height, width = self.film_area(film_size)
        rows, columns = feature_map.shape[0] / self.height, feature_map.shape[1] / self.width
        box = (left * columns, top * rows, (left + width) * columns, (top + height) * rows)
        image = Image.fromarray(np.ascontiguousarray(feature_map, dtype=np.float32))
        return np.asarray(image.resize(film_size[::-1], Image.Resampling.BILINEAR, box=box))

    def normalise(self, films: torch.Tensor) -> torch.Tensor:
        """Prepared (or augmented) films, float32 (N, 1, h, w) in [0, 1], as the network's input, float32 (N, C, h, w).

        ``intensity`` says what is taken out of each film by itself before mean and std: ``none``; ``stretch``: its 1st
        and 99th percentile become 0 and 1; ``standardise``: its mean and standard deviation become 0 and 1;
        ``equalise``: grey values become ranks in [0, 1], which no monotone change of exposure can move.
        """
        films = _INTENSITIES[self.intensity](films)
        films = (films - self.mean) / self.std
        return films.expand(-1, self.channels, -1, -1) if self.channels > 1 else films

    def to_dict(self) -> dict[str, Any]:
        """As stored in a bundle."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Preprocessing:
        """Read what ``to_dict`` wrote. Raises InvalidBundle on a key it does not know, rather than ignore it."""
        unknown = set(data) - {field.name for field in fields(cls)}
        if unknown:
            raise InvalidBundle(f"unknown preprocessing keys: {', '.join(sorted(unknown))}")
        return cls(**data)


def middle_square(film_size: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of the largest square in a film's middle, as in torchxrayvision's ``XRayCenterCrop``."""
    side = min(film_size)
    top, left = (length // 2 - side // 2 for length in film_size)
    return slice(top, top + side), slice(left, left + side)


def smooth_resize(square: np.ndarray, side: int) -> np.ndarray:
    """Grey values in [0, 1], float32 (n, n), as float32 (side, side), as torchxrayvision calls scikit-image.

    A Gaussian of half the excess of the scale, then linear interpolation. Beyond the border lies mid-grey, which is 0
    in that package's range of [-1024, 1024] and does shade the border here as it does there.
    """
    from scipy import ndimage

    beyond, factor = 0.5, len(square) / side
    square = np.asarray(square, dtype=np.float32)
    smooth = ndimage.gaussian_filter(square, max(0.0, (factor - 1) / 2), mode="constant", cval=beyond)
    resized = ndimage.zoom(smooth, 1 / factor, order=1, mode="grid-constant", cval=beyond, grid_mode=True)
    clipped: np.ndarray = np.clip(resized, square.min(), square.max())
    return clipped


def pack(prepared: np.ndarray) -> np.ndarray:
    """Grey values in [0, 1] as uint16, half the size; exact for what ``prepare`` returns."""
    levels: np.ndarray = np.rint(np.clip(prepared, 0, 1) * np.float32(65535))
    return levels.astype(np.uint16)


def unpack(packed: np.ndarray) -> np.ndarray:
    """What ``pack`` stored, float32 in [0, 1]."""
    return packed.astype(np.float32) / np.float32(65535)


def _unchanged(films: torch.Tensor) -> torch.Tensor:
    return films


def _stretch(films: torch.Tensor) -> torch.Tensor:
    import torch

    limits = torch.quantile(films.flatten(1), torch.tensor([0.01, 0.99], device=films.device), dim=1)
    low, high = limits[0].view(-1, 1, 1, 1), limits[1].view(-1, 1, 1, 1)
    return ((films - low) / (high - low).clamp_min(1e-3)).clamp(0, 1)


def _standardise(films: torch.Tensor) -> torch.Tensor:
    mean = films.mean(dim=(1, 2, 3), keepdim=True)
    std = films.std(dim=(1, 2, 3), keepdim=True, correction=0)
    return (films - mean) / std.clamp_min(1e-3)


def _equalise(films: torch.Tensor) -> torch.Tensor:
    """Each grey value's mid-rank among its film's, from a histogram of _LEVELS levels, interpolated between levels."""
    import torch

    flat = films.flatten(1).clamp(0, 1) * (_LEVELS - 1)
    level = flat.round().long()
    counts = torch.zeros(len(flat), _LEVELS, device=films.device, dtype=films.dtype)
    counts.scatter_add_(1, level, torch.ones_like(flat))
    ranks = (counts.cumsum(1) - counts / 2) / flat.shape[1]
    below = flat.floor().clamp_(max=_LEVELS - 2)
    lower = below.long()
    return torch.lerp(ranks.gather(1, lower), ranks.gather(1, lower + 1), flat - below).view_as(films)


_INTENSITIES = {"none": _unchanged, "stretch": _stretch, "standardise": _standardise, "equalise": _equalise}
