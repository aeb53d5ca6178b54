"""Augmentation of whole batches of films: geometry, tone, texture, borders."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional

_TONES = 256  # samples of a tone curve on [0, 1]
_KNOTS = 8  # increments of a random monotone tone curve


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a batch of films; every strength is 0 or more, and 0 disables that change.

    Films are float32 (N, 1, H, W) in [0, 1], before intensity normalisation, and so is the result. All random numbers
    come from the given generator, so equal films, strengths and generator state give equal results. Raises ValueError
    for a negative or infinite strength.
    """

    flip: float = 0.0  # probability of a left-right mirror image
    rotation: float = 0.0  # degrees, uniform in ±rotation
    zoom: float = 0.0  # scale, log-uniform in [1 / (1 + zoom), 1 + zoom]
    aspect: float = 0.0  # width to height, log-uniform in [1 / (1 + aspect), 1 + aspect]
    shift: float = 0.0  # fraction of the side, uniform in ±shift, each axis
    shear: float = 0.0  # degrees, uniform in ±shear, along the rows
    tone_swap: float = 0.0  # probability of moving towards the histogram of another film of the batch, by 0 to 100 %
    gamma: float = 0.0  # exponent, log-uniform in [1 / (1 + gamma), 1 + gamma]
    curve: float = 0.0  # standard deviation of the log slopes of a random monotone tone curve through (0, 0) and (1, 1)
    contrast: float = 0.0  # factor about mid-grey, log-uniform in [1 / (1 + contrast), 1 + contrast]
    brightness: float = 0.0  # offset, uniform in ±brightness
    shading: float = 0.0  # linear change of exposure across the film, up to ±shading at the edges
    blur: float = 0.0  # probability of a Gaussian blur
    blur_sigma: float = 1.5 / 224  # largest standard deviation of the blur, fraction of the film's width
    sharpen: float = 0.0  # probability of unsharp masking at that scale, amount uniform in [0, 2]
    noise: float = 0.0  # largest standard deviation of Gaussian noise; each film's is uniform in [0, noise]
    frame_swap: float = 0.0  # probability of borders of another film of the batch, each side uniform in [0, 15 %]
    collimation: float = 0.0  # probability of dark borders, each side uniform in [0, 12 %] of the film
    erase: float = 0.0  # probability of one rectangle of constant grey, 5 to 30 % of each side

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"expected {field.name} to be 0 or more, got {value}")

    def __call__(self, films: Tensor, generator: torch.Generator) -> Tensor:
        """Return changed films of the same shape, dtype and device, in [0, 1]; the input is unchanged."""
        if films.ndim != 4 or films.shape[1] != 1:
            raise ValueError(f"expected films of shape (N, 1, H, W), got {tuple(films.shape)}")
        draw = _Draw(generator, films)
        changed = self._swap_frames(films, draw)
        changed = self._move(changed, draw)
        changed = self._retone(changed, draw)
        changed = self._retexture(changed, draw)
        changed = self._cover(changed, draw)
        return films.clone() if changed is films else changed.clamp_(0, 1)

    def _swap_frames(self, films: Tensor, draw: _Draw) -> Tensor:
        """Give films the borders of others, so that what is written there says nothing of the class."""
        if not self.frame_swap:
            return films
        outside = _outside(films, draw, 0.15) & (draw.chosen(self.frame_swap) > 0)[:, None, None, None]
        return torch.where(outside, films[draw.partners()], films)

    def _move(self, films: Tensor, draw: _Draw) -> Tensor:
        """Flip, rotate, scale, stretch, shear and shift in one resampling; outside the film is black."""
        if not (self.flip or self.rotation or self.zoom or self.aspect or self.shift or self.shear):
            return films
        height, width = films.shape[-2:]
        angle = torch.deg2rad(draw.symmetric(self.rotation))
        shear = torch.tan(torch.deg2rad(draw.symmetric(self.shear)))
        stretch = draw.factor(self.aspect).sqrt()
        zoom = draw.factor(self.zoom)
        mirror = 1 - 2 * draw.chosen(self.flip)
        # The matrix takes an output position to the input position it shows, so scales are inverse.
        x_scale, y_scale = mirror / (zoom * stretch), stretch / zoom
        cos, sin = angle.cos(), angle.sin()
        x = [cos * x_scale, (shear * cos - sin) * y_scale * height / width, draw.symmetric(2 * self.shift)]
        y = [sin * x_scale * width / height, (shear * sin + cos) * y_scale, draw.symmetric(2 * self.shift)]
        theta = torch.stack(x + y, 1).view(-1, 2, 3)
        grid = functional.affine_grid(theta, list(films.shape), align_corners=False)
        return functional.grid_sample(films, grid, mode="bilinear", padding_mode="zeros", align_corners=False)

    def _retone(self, films: Tensor, draw: _Draw) -> Tensor:
        """Map grey values through one curve a film, composed of every tone change, then shade across the film."""
        if self.tone_swap or self.gamma or self.curve or self.contrast or self.brightness:
            tones = torch.linspace(0, 1, _TONES, device=films.device).expand(len(films), -1)
            if self.tone_swap:
                amount = draw.chosen(self.tone_swap) * draw.uniform()
                tones = torch.lerp(tones, _matched_tones(films, draw.partners()), amount[:, None])
            if self.curve:
                slopes = torch.exp(self.curve * draw.normal(_KNOTS))
                knots = functional.pad((slopes / slopes.sum(1, keepdim=True)).cumsum(1), (1, 0))
                tones = _look_up(tones, knots)
            if self.gamma:
                tones = tones.clamp(0, 1) ** draw.factor(self.gamma)[:, None]
            if self.contrast or self.brightness:
                tones = (tones - 0.5) * draw.factor(self.contrast)[:, None] + 0.5
                tones = tones + draw.symmetric(self.brightness)[:, None]
            films = _look_up(films.flatten(1), tones.clamp(0, 1)).view_as(films)
        if self.shading:
            across, down = (
                draw.symmetric(self.shading)[:, None] * torch.linspace(-1, 1, side, device=films.device)
                for side in (films.shape[-1], films.shape[-2])
            )
            films = films * (1 + across[:, None, None, :] + down[:, None, :, None]).clamp_(min=0)
        return films

    def _retexture(self, films: Tensor, draw: _Draw) -> Tensor:
        """Blur or sharpen, then add noise."""
        if self.blur or self.sharpen:
            sigma = (0.25 + 0.75 * draw.uniform()) * self.blur_sigma * films.shape[-1]
            smooth = _gaussian_blur(films, sigma)
            blurred, sharpened = draw.chosen(self.blur), draw.chosen(self.sharpen) * 2 * draw.uniform()
            weight = torch.where(blurred > 0, torch.ones_like(sharpened), -sharpened)
            films = torch.lerp(films, smooth, weight[:, None, None, None]).clamp_(0, 1)
        if self.noise:
            films = films + draw.like(films) * (self.noise * draw.uniform())[:, None, None, None]
        return films

    def _cover(self, films: Tensor, draw: _Draw) -> Tensor:
        """Darken the borders as a collimator does, then hide one rectangle."""
        rows, columns = _places(films)
        if self.collimation:
            chosen = draw.chosen(self.collimation)
            dark = _outside(films, draw, 0.12) & (chosen > 0)[:, None, None, None]
            films = torch.where(dark, (0.1 * draw.uniform())[:, None, None, None], films)
        if self.erase:
            chosen = draw.chosen(self.erase)
            tall, wide = (0.05 + 0.25 * draw.uniform()[:, None, None] for _ in range(2))
            top, left = (draw.uniform()[:, None, None] for _ in range(2))
            top, left = top * (1 - tall), left * (1 - wide)
            hit = (rows >= top) & (rows < top + tall) & (columns >= left) & (columns < left + wide)
            hidden = (hit & (chosen > 0)[:, None, None])[:, None]
            films = torch.where(hidden, draw.uniform()[:, None, None, None], films)
        return films


class _Draw:
    """Random numbers for one batch, one a film, all from one generator."""

    def __init__(self, generator: torch.Generator, films: Tensor) -> None:
        self.generator = generator
        self.count = len(films)
        self.device = films.device

    def uniform(self) -> Tensor:
        """In [0, 1), shape (N,)."""
        return torch.rand(self.count, generator=self.generator, device=self.generator.device).to(self.device)

    def symmetric(self, limit: float) -> Tensor:
        """Uniform in ±limit, shape (N,)."""
        return (2 * self.uniform() - 1) * limit

    def factor(self, strength: float) -> Tensor:
        """Log-uniform in [1 / (1 + strength), 1 + strength], shape (N,)."""
        return torch.exp(self.symmetric(math.log1p(strength)))

    def chosen(self, probability: float) -> Tensor:
        """1 with the probability given, else 0; float, shape (N,)."""
        return (self.uniform() < probability).float()

    def normal(self, count: int) -> Tensor:
        """Standard normal, shape (N, count)."""
        return torch.randn(self.count, count, generator=self.generator, device=self.generator.device).to(self.device)

    def like(self, films: Tensor) -> Tensor:
        """Standard normal, one a pixel."""
        return torch.randn(films.shape, generator=self.generator, device=self.generator.device).to(self.device)

    def partners(self) -> Tensor:
        """A film of the batch for every film, a permutation, shape (N,)."""
        return torch.randperm(self.count, generator=self.generator, device=self.generator.device).to(self.device)


def _places(films: Tensor) -> tuple[Tensor, Tensor]:
    """Where rows and columns lie, as fractions of the side: shapes (1, H, 1) and (1, 1, W)."""
    rows, columns = ((torch.arange(n, device=films.device) + 0.5) / n for n in films.shape[-2:])
    return rows[None, :, None], columns[None, None, :]


def _outside(films: Tensor, draw: _Draw, widest: float) -> Tensor:
    """A border of each film, every side's width uniform in [0, widest] of the film; bool (N, 1, H, W)."""
    rows, columns = _places(films)
    left, right, top, bottom = (widest * draw.uniform()[:, None, None] for _ in range(4))
    inside = (columns > left) & (columns < 1 - right) & (rows > top) & (rows < 1 - bottom)
    return ~inside[:, None]


def _look_up(values: Tensor, curves: Tensor) -> Tensor:
    """Each row of values in [0, 1], (N, P), through its own curve, (N, K) samples on [0, 1], linear in between."""
    last = curves.shape[1] - 1
    position = values.clamp(0, 1) * last
    below = position.floor().clamp_(max=last - 1)
    index = below.long()
    low = curves.gather(1, index)
    return torch.lerp(low, curves.gather(1, index + 1), position - below)


def _matched_tones(films: Tensor, partners: Tensor) -> Tensor:
    """Tone curves, (N, 256), that give each film the histogram of its partner."""
    levels = (films.flatten(1) * (_TONES - 1)).round().long().clamp_(0, _TONES - 1)
    counts = torch.zeros(len(films), _TONES, device=films.device)
    share = counts.scatter_add_(1, levels, torch.ones_like(levels, dtype=counts.dtype)) / levels.shape[1]
    cumulative = share.cumsum(1)
    rank = cumulative - share / 2
    matched = torch.searchsorted(cumulative[partners].contiguous(), rank.contiguous()).clamp_(max=_TONES - 1)
    return matched.to(films.dtype) / (_TONES - 1)


def _gaussian_blur(films: Tensor, sigma: Tensor) -> Tensor:
    """Each film blurred with its own standard deviation in pixels, shape (N,); edges are repeated."""
    radius = max(1, math.ceil(3 * float(sigma.max())))
    offsets = torch.arange(-radius, radius + 1, device=films.device, dtype=films.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma[:, None].clamp(min=1e-3)) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True))[:, None]
    count = len(films)
    rows = functional.pad(films.transpose(0, 1), (radius, radius, radius, radius), mode="replicate")
    rows = functional.conv2d(rows, kernel[:, :, None, :], groups=count)
    return functional.conv2d(rows, kernel[:, :, :, None], groups=count).transpose(0, 1)
