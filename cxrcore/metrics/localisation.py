"""Localisation: heatmaps scored against boxes, and against random maps as a control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from cxrcore.metrics.arrays import group_codes
from cxrcore.metrics.intervals import Estimate, difference, p_of
from cxrcore.metrics.json_record import JsonRecord
from cxrcore.metrics.rates import correlation, mean, share

MIN_FILMS = 10  # with a box of the finding
BORDER = 0.1  # of the film's height and width, on each side
BOX_AREA = "box"
OVERLAPS = (0.1, 0.25, 0.5)  # of a drawn box with the radiologist's that count as found, as in Wang 2017, table 4
_MEASURED = ("hit", "centre_hit", "iou", "iobb", "border_share", "box_iou")
_OVERLAPPING = {f"box_iou_{100 * least:.0f}": least for least in OVERLAPS}
SCORES = (*_MEASURED, *_OVERLAPPING)  # of which there are means over films
_SHARES = ("hit", "centre_hit", *_OVERLAPPING)

Corners = tuple[float, float, float, float]  # x, y, width, height


@dataclass(frozen=True)
class Located(JsonRecord):
    """One map against the boxes of one finding on one film (several boxes count as their union)."""

    _keys = (*_MEASURED, "box_share", "empty")

    hit: bool  # pointing game (Zhang 2018, IJCV 126:1084): the map's maximum lies in a box, without a margin
    centre_hit: bool  # the centre of mass of the positive part lies in a box
    iou: float  # of the thresholded region and the boxes: shared area over joint area
    iobb: float  # shared area over the region's, as in Wang 2017 (there: over the box drawn around the region)
    border_share: float | None  # of the positive mass; None for a map without any
    box_share: float  # of the film inside the boxes: the chance of a hit at random
    empty: bool = False  # no positive value anywhere: every score is 0
    box_iou: float | None = (
        None  # of the boxes drawn from the map and the radiologist's; None where none were asked for
    )

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        reasons = {"border_share": "the map has no positive value", "box_iou": "no boxes were drawn from the map"}
        why = "; ".join(f"{name}: {reason}" for name, reason in reasons.items() if getattr(self, name) is None)
        return super().to_dict() | ({"why": why} if why else {})

    def score(self, name: str) -> float | None:
        """One of ``SCORES``; those by an overlap are 0 or 1."""
        if name in _OVERLAPPING:
            return None if self.box_iou is None else float(self.box_iou >= _OVERLAPPING[name])
        value: float | None = getattr(self, name)
        return value


def locate(
    heat: np.ndarray,
    boxes: Sequence[Corners],
    film_size: tuple[float, float] | None = None,
    threshold: str | float = BOX_AREA,
    drawn: Sequence[Corners] | None = None,
) -> Located:
    """Score a map (h, w) against boxes (x, y, width, height) in pixels from the film's upper left corner.

    ``film_size`` is the (height, width), in the boxes' pixels, of the film that the map covers; by default the
    map's own grid. A pixel is in a box when its centre is; a box without a centre gets the nearest pixel. Negative
    values count as 0. ``threshold`` defines the region: ``"box"``, as many of the highest pixels as the boxes have, so
    that the region's size gives no method an advantage; or a share of the maximum, in (0, 1]. Where pixels tie for the
    maximum, it is a hit if most of them lie in a box. ``drawn``: boxes drawn from the map, as ``boxes``. Raises
    ValueError for a map or box without area.
    """
    heat = np.maximum(np.asarray(heat, dtype=np.float64), 0.0)
    if heat.ndim != 2 or not heat.size or not np.isfinite(heat).all():
        raise ValueError(f"expected a finite map (h, w), got shape {heat.shape}")
    if threshold != BOX_AREA and not (isinstance(threshold, float | int) and 0 < threshold <= 1):
        raise ValueError(f"a threshold is {BOX_AREA!r} or a share of the maximum in (0, 1], got {threshold!r}")
    if not boxes:
        raise ValueError("a map is scored against at least one box")
    inside = _inside(heat.shape, boxes, film_size or heat.shape)
    box_share = float(inside.mean())
    box_iou = None if drawn is None else _overlap(_inside(heat.shape, drawn, film_size or heat.shape), inside)
    if not heat.any():
        return Located(False, False, 0.0, 0.0, None, box_share, empty=True, box_iou=box_iou)
    total = float(heat.sum())
    row = float(heat.sum(axis=1) @ np.arange(heat.shape[0])) / total
    column = float(heat.sum(axis=0) @ np.arange(heat.shape[1])) / total
    peak = heat == heat.max()
    if threshold == BOX_AREA:
        region = np.zeros(heat.size, dtype=bool)
        region[np.argsort(-heat, axis=None, kind="stable")[: int(inside.sum())]] = True
        region = region.reshape(heat.shape) & (heat > 0)
    else:
        region = heat >= float(threshold) * heat.max()
    both = int((region & inside).sum())
    return Located(
        hit=bool(inside[peak].mean() > 0.5),
        centre_hit=bool(inside[round(row), round(column)]),
        iou=_overlap(region, inside),
        iobb=both / int(region.sum()),
        border_share=border_share(heat),
        box_share=box_share,
        box_iou=box_iou,
    )


def border_share(heat: np.ndarray, border: float = BORDER) -> float | None:
    """Share of the positive mass of a map (h, w) in the outer ``border`` of each side; None without positive values.

    Attention to the border, where markers and collimation lie, is a known shortcut. A pixel that the line crosses
    counts in part, so a uniform map gives ``1 - (1 - 2 border)^2`` (0.36) on any grid.
    """
    if not 0 < border < 0.5:
        raise ValueError(f"a border lies between 0 and 0.5, got {border}")
    heat = np.maximum(np.asarray(heat, dtype=np.float64), 0.0)
    total = float(heat.sum())
    if total <= 0:
        return None
    weights = []
    for size in heat.shape:
        edges = np.clip(np.arange(size + 1) / size, border, 1 - border)
        weights.append(np.diff(edges) * size)
    return float(np.clip(1 - weights[0] @ heat @ weights[1] / total, 0.0, 1.0))


@dataclass(frozen=True)
class Localisation(JsonRecord):
    """One finding's mean scores over films, those of the control, and the pointing game's gain over it.

    In JSON each score stands under its name and the control's under ``noise_<name>``, its hit under ``noise``.
    """

    n: int  # films with a box
    n_patients: int
    n_empty: int  # maps without a positive value
    scores: dict[str, Estimate]  # by the names in SCORES
    control: dict[str, Estimate] | None
    gain: Estimate | None  # hit less the control's
    gain_p: float | None
    chance: float | None  # mean share of the film inside the boxes
    why: str | None = None  # too few films

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; without a film hit, noise and IoU are null, and the other scores are left out."""
        data: dict[str, Any] = {name: getattr(self, name) for name in ("n", "n_patients")}
        if not self.n:
            return data | {"hit": None, "noise": None, "iou": None, "why": self.why}
        data |= {"n_empty": self.n_empty, "chance": self.chance}
        data |= {name: self.scores[name].to_dict() for name in SCORES}
        data |= {_of_noise(name): self.control[name].to_dict() if self.control else None for name in SCORES}
        data |= {"gain": self.gain.to_dict() if self.gain else None, "gain_p": self.gain_p}
        reasons = [self.why] if self.why else []
        if self.control is None:
            reasons.append("noise, gain: no control maps were given")
        elif self.gain_p is None:
            reasons.append("gain_p: no interval to test")
        return data | ({"why": "; ".join(reasons)} if reasons else {})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_dict`` wrote."""
        why = None if data.get("why") is None else data["why"].partition("; ")[0]
        few = why if why and not why.startswith(("noise, gain:", "gain_p:")) else None
        missing = Estimate.undefined(few or "not recorded")

        def read(name: str) -> Estimate:
            return missing if data.get(name) is None else Estimate.from_dict(data[name])

        return cls(
            n=data["n"],
            n_patients=data["n_patients"],
            n_empty=data.get("n_empty", 0),
            scores={name: read(name) for name in SCORES},
            control=None if data.get("noise") is None else {name: read(_of_noise(name)) for name in SCORES},
            gain=None if data.get("gain") is None else read("gain"),
            gain_p=data.get("gain_p"),
            chance=data.get("chance"),
            why=few,
        )


def _of_noise(name: str) -> str:
    return "noise" if name == "hit" else f"noise_{name}"


def summarise_localisation(
    maps: Sequence[Located],
    control: Sequence[Located] | None = None,
    groups: np.ndarray | None = None,
    level: float = 0.95,
) -> Localisation:
    """Means over the films of one finding, with intervals by patient; ``control`` holds random maps of the same films.

    Hits are shares of films (Wilson, or resampled by patient where patients repeat); IoU, IoBB and border share are
    means, always resampled by patient. With fewer than ten films there are no intervals, and ``why`` says so.
    """
    if control is not None and len(control) != len(maps):
        raise ValueError(f"expected a control map for each of {len(maps)} films, got {len(control)}")
    codes = np.arange(len(maps)) if groups is None else np.unique(group_codes(groups), return_inverse=True)[1]
    why = None if maps else "no film here has a box of this finding"
    if 0 < len(maps) < MIN_FILMS:
        why = f"{len(maps)} film(s) with a box of this finding, fewer than {MIN_FILMS}: too few for a statement"
    scores = _means(maps, codes, level, why)
    controls = gain = None
    if control is not None:
        controls = _means(control, codes, level, why)
        first, second = (np.array([one.hit for one in some], dtype=np.float64) for some in (maps, control))
        size = int(codes.max()) + 1 if len(maps) else 0
        parts = [np.bincount(codes, one - one.mean(), size) if size else np.zeros(0) for one in (first, second)]
        gain = difference(scores["hit"], controls["hit"], correlation(*parts))
    return Localisation(
        n=len(maps),
        n_patients=len(np.unique(codes)),
        n_empty=sum(one.empty for one in maps),
        scores=scores,
        control=controls,
        gain=gain,
        gain_p=p_of(gain, level) if gain else None,
        chance=float(np.mean([one.box_share for one in maps])) if maps else None,
        why=why,
    )


def _means(maps: Sequence[Located], codes: np.ndarray, level: float, why: str | None) -> dict[str, Estimate]:
    found = {}
    for name in SCORES:
        scores = [one.score(name) for one in maps]
        rows = [k for k, score in enumerate(scores) if score is not None]
        values = np.array([scores[k] for k in rows], dtype=np.float64)
        if not rows:
            found[name] = Estimate.undefined(why or "no map has a positive value or a box drawn from it")
        elif why:
            found[name] = Estimate(float(values.mean()), None, None, "none", len(rows), 0, why)
        elif name in _SHARES:
            found[name] = share(values > 0.5, codes[rows], level)
        else:
            found[name] = mean(values, codes[rows], level)
    return found


def _overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two areas, bool (h, w), of which one has some."""
    return int((one & other).sum()) / int((one | other).sum())


def _inside(shape: tuple[int, ...], boxes: Sequence[Corners], film_size: tuple[float, ...]) -> np.ndarray:
    """Pixels of a map whose centre lies in a box, bool (h, w)."""
    inside = np.zeros(shape, dtype=bool)
    for x, y, width, height in boxes:
        if not (width > 0 and height > 0):
            raise ValueError(f"a box has a width and a height above 0, got {width} x {height}")
        spans = []
        for start, length, size, pixels in ((y, height, film_size[0], shape[0]), (x, width, film_size[1], shape[1])):
            scale = pixels / size
            first, last = np.ceil(start * scale - 0.5), np.ceil((start + length) * scale - 0.5)
            if last <= first:  # between two centres
                first = np.floor((start + length / 2) * scale)
                last = first + 1
            spans.append(slice(int(np.clip(first, 0, pixels - 1)), int(np.clip(last, 1, pixels))))
        inside[spans[0], spans[1]] = True
    return inside
