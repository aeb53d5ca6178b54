"""Does the answer hold when the film is changed in ways that do not change the patient?"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from cxrcore.films.radiograph import Radiograph
from cxrcore.models.base import Model, Prediction
from cxrcore.models.ensemble import Ensemble

LONGEST = 512  # pixels, twice what the networks see; larger films are reduced to it first


def shake(model: Model, film: Radiograph, seed: int = 0) -> dict[str, dict[str, float]]:
    """The model's probabilities for the film in nine changes, name -> finding -> probability in [0, 1].

    One batch: nine forward passes. The noise is the same for the same seed.

    >>> shake(model, film)["mirrored"]["Effusion"]
    0.43
    """
    changed = changed_films(film, seed)
    answers = model.predict_batch(list(changed.values()))
    return {name: answer.probabilities for name, answer in zip(changed, answers, strict=True)}


def changed_films(film: Radiograph, seed: int = 0) -> dict[str, Radiograph]:
    """The film in each of the nine changes, by name; a film of more than ``LONGEST`` pixels is reduced to it first."""
    pixels = _reduced(film.pixels)
    changed = {name: change(pixels, np.random.default_rng(seed)) for name, change in CHANGES.items()}
    return {
        name: replace(film, pixels=np.ascontiguousarray(np.clip(one, 0, 1), np.float32), stored=None)
        for name, one in changed.items()
    }


def spread(model: Model, film: Radiograph) -> dict[str, tuple[float, float]]:
    """How far each finding's probability moves: its least and greatest, in [0, 1].

    Over the film as it is, its nine changes and, of an ensemble, each member alone: ten forward passes and one a
    member. It tells how much the answer depends on what should not matter, and is no confidence interval.
    """
    readers = [model, *model.members] if isinstance(model, Ensemble) else [model]
    answers = [reader.predict(film).probabilities for reader in readers] + list(shake(model, film).values())
    return {
        name: (min(answer[name] for answer in answers), max(answer[name] for answer in answers))
        for name in model.labels
    }


@dataclass(frozen=True)
class Change:
    """One finding on two films: its probability on each, and how far each moves when its film is changed."""

    before: float  # in [0, 1], as is ``after``
    after: float
    before_range: tuple[float, float]  # as ``spread`` gives it
    after_range: tuple[float, float]

    @property
    def difference(self) -> float:
        """After less before, in [-1, 1]."""
        return self.after - self.before

    @property
    def beyond(self) -> bool:
        """Whether the two ranges do not meet: the films differ by more than shaking either gives."""
        return self.before_range[1] < self.after_range[0] or self.after_range[1] < self.before_range[0]


def compare_films(
    model: Model, before: Prediction, after: Prediction, films: tuple[Radiograph, Radiograph]
) -> dict[str, Change]:
    """Each finding on two films by one model, with the ``spread`` of each film: twenty forward passes and two a member.

    before, after: the model's own answers to ``films``. No test of significance: a range of ten readings of one film
    holds nothing of what another exposure of the same chest on the same day would give.
    """
    ranges = [spread(model, film) for film in films]
    return {
        name: Change(before.probabilities[name], after.probabilities[name], ranges[0][name], ranges[1][name])
        for name in model.labels
    }


def _reduced(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape
    scale = LONGEST / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def _rotated(degrees: float) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
    return lambda pixels, rng: np.asarray(Image.fromarray(pixels).rotate(degrees, Image.Resampling.BILINEAR))


def _cropped(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    top, left = (round(0.05 * side) for side in pixels.shape)
    return pixels[top : pixels.shape[0] - top, left : pixels.shape[1] - left]


def _compressed(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(file, "JPEG", quality=40)
    return np.asarray(Image.open(file), np.float32) / 255


CHANGES: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "brighter (gamma 0.7)": lambda pixels, rng: pixels**0.7,
    "darker (gamma 1.4)": lambda pixels, rng: pixels**1.4,
    "less contrast": lambda pixels, rng: 0.5 + 0.75 * (pixels - 0.5),
    "turned by 5° left": _rotated(5),
    "turned by 5° right": _rotated(-5),
    "5 % cut off each side": _cropped,
    "noise": lambda pixels, rng: pixels + rng.normal(0, 0.02, pixels.shape),
    "JPEG, quality 40": _compressed,
    "mirrored": lambda pixels, rng: pixels[:, ::-1],
}
