"""The config of a plain timm classifier, without our section: usable where it gives labels and preprocessing.

timm's config.json names them in ``pretrained_cfg``: ``label_names``, ``input_size``, ``mean``, ``std``, and with timm's
own defaults ``crop_pct``, ``crop_mode`` and ``interpolation``. Such a model was never calibrated here and has no
operating points; its outputs are exclusive classes unless ``problem_type`` says ``multi_label_classification``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from cxrcore.bundle.config import BundleConfig
from cxrcore.errors import InvalidBundle, LabelMismatch
from cxrcore.films.preprocessing import Preprocessing
from cxrcore.findings import Finding, Kind, LabelSet

if TYPE_CHECKING:
    import torch

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_CROPS = ("center", "squash")
_NORMAL = ("normal", "no finding", "no_finding")
_NOTE = (
    "A plain timm classifier, not made by this project: its probabilities are not calibrated, it has no operating "
    "points, and nothing here measured it."
)


@dataclass(frozen=True)
class TimmPreprocessing(Preprocessing):
    """timm's evaluation transform for one grey channel: resize, cut out the centre, a mean and std a channel.

    The same as timm's up to its rounding to 8 bits after the resize.
    """

    means: tuple[float, ...] = (0.5,)  # one a channel
    stds: tuple[float, ...] = (0.5,)
    crop_pct: float = 0.875  # share of the resized film's side that the network sees
    crop_mode: str = "center"  # center: aspect kept, squash: lost
    interpolation: str = "bicubic"

    def __post_init__(self) -> None:
        """Checked by ``timm_config``."""

    def film_area(self, film_size: tuple[int, ...]) -> tuple[int, int, int, int]:
        """Where the film lies around the input: it starts above and left of it (negative) and is larger."""
        rows, columns = film_size
        if self.crop_mode == "squash":
            height, width = (math.floor(side / self.crop_pct) for side in self.size)
        else:
            side = math.floor(self.height / self.crop_pct)
            height, width = (
                (side, int(side * columns / rows)) if rows <= columns else (int(side * rows / columns), side)
            )
        return -round((height - self.height) / 2), -round((width - self.width) / 2), height, width

    def _resize(self, pixels: np.ndarray) -> np.ndarray:
        top, left, height, width = self.film_area(pixels.shape)
        image = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.float32))
        resized = np.asarray(image.resize((width, height), _FILTERS[self.interpolation]))
        return resized[-top : self.height - top, -left : self.width - left]

    def to_film_grid(self, feature_map: np.ndarray, film_size: tuple[int, int]) -> np.ndarray:
        """A map at feature resolution on the film's own grid, 0 where the network did not look."""
        top, left, height, width = self.film_area(film_size)
        first, last = (round(film_size[0] * edge / height) for edge in (-top, self.height - top))
        begin, end = (round(film_size[1] * edge / width) for edge in (-left, self.width - left))
        image = Image.fromarray(np.ascontiguousarray(feature_map, dtype=np.float32))
        grid = np.zeros(film_size, dtype=np.float32)
        grid[first:last, begin:end] = np.asarray(image.resize((end - begin, last - first), Image.Resampling.BILINEAR))
        return grid

    def normalise(self, films: torch.Tensor) -> torch.Tensor:
        """The grey channel, float32 (N, 1, h, w) in [0, 1], repeated, each channel with its own mean and std."""
        import torch

        means, stds = (
            torch.tensor(values, device=films.device).view(1, -1, 1, 1) for values in (self.means, self.stds)
        )
        return (films.expand(-1, self.channels, -1, -1) - means) / stds


def timm_config(data: dict[str, Any], name: str) -> BundleConfig:
    """A bundle's config from timm's own config.json. Raises InvalidBundle naming everything that is missing."""
    cfg = data.get("pretrained_cfg")
    cfg = data if not isinstance(cfg, dict) else {**data, **cfg}
    needed = {"label_names": "its labels", "input_size": "its input size", "mean": "its mean", "std": "its std"}
    missing = [f"{what} ({key})" for key, what in needed.items() if not isinstance(cfg.get(key), list) or not cfg[key]]
    if not isinstance(data.get("architecture"), str):
        missing.insert(0, "its architecture")
    if missing:
        raise InvalidBundle(
            f"{name!r} is no bundle of this project, and its config.json does not say {', '.join(missing)}"
        )
    try:
        labels, preprocessing = _labels(cfg, name), _preprocessing(cfg, name)
    except (TypeError, ValueError, LabelMismatch) as error:
        raise InvalidBundle(f"the config.json of {name!r} is malformed: {error}") from None
    outputs = data.get("num_classes", cfg.get("num_classes"))
    if outputs != len(labels):
        raise InvalidBundle(f"{name!r} has {outputs} outputs and names {len(labels)} labels")
    model_args = {k: v for k, v in (data.get("model_args") or {}).items() if k not in ("in_chans", "num_classes")}
    provenance = {"note": _NOTE, "license": str(cfg.get("license") or "unknown"), "source": {"title": "unknown films"}}
    return BundleConfig(name, data["architecture"], labels, preprocessing, model_args, provenance=provenance)


def _labels(cfg: dict[str, Any], name: str) -> LabelSet:
    descriptions = cfg.get("label_descriptions") or {}
    multilabel = cfg.get("problem_type") == "multi_label_classification"
    findings = tuple(
        Finding(str(label), str(descriptions.get(label, "")), normal=str(label).lower() in _NORMAL)
        for label in cfg["label_names"]
    )
    return LabelSet(name, Kind.MULTILABEL if multilabel else Kind.MULTICLASS, findings)


def _preprocessing(cfg: dict[str, Any], name: str) -> TimmPreprocessing:
    channels, height, width = (int(value) for value in cfg["input_size"])
    means, stds = (tuple(float(value) for value in cfg[key]) for key in ("mean", "std"))
    crop, mode = float(cfg.get("crop_pct") or 0.875), cfg.get("crop_mode") or "center"
    interpolation = cfg.get("interpolation") or "bicubic"
    if not (channels == len(means) == len(stds) and min(height, width, channels) > 0 and min(stds) > 0):
        raise ValueError("its input size, mean and std do not agree")
    if (
        not 0 < crop <= 1
        or mode not in _CROPS
        or interpolation not in _FILTERS
        or (mode == "center" and height != width)
    ):
        raise InvalidBundle(
            f"{name!r} wants a preprocessing that is not known here: crop_mode {mode!r} of {crop:g}, {interpolation}, "
            f"to {height} x {width}"
        )
    return TimmPreprocessing(
        height,
        width,
        channels,
        geometry=f"timm-{mode}-{crop:g}-{interpolation}",  # type: ignore[arg-type]  # its own place in the film cache
        means=means,
        stds=stds,
        crop_pct=crop,
        crop_mode=mode,
        interpolation=interpolation,
    )
