"""Charts as plain SVG, drawn from numbers: they open offline, print, and take their colours from the page's style."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise

import numpy as np

_WIDTH, _HEIGHT = 220, 206
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 10, 8, 36
_LOGIT_TICKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99)
_LOGIT_END = float(np.log(0.9995 / 0.0005))
HISTOGRAM_BINS = 30


class Chart:
    """One small chart; data coordinates run from 0 to the ends given."""

    def __init__(self, x_title: str, y_title: str, x_end: float = 1.0, y_end: float = 1.0) -> None:
        self.ends = x_end, y_end
        self.titles = x_title, y_title
        self.parts: list[str] = []

    def x(self, value: float) -> float:
        return _LEFT + value / self.ends[0] * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - value / self.ends[1] * (_HEIGHT - _TOP - _BOTTOM)

    def path(self, xs: Sequence[float], ys: Sequence[float], kind: str, closed: bool = False) -> None:
        """A line through points; ``kind`` is a class of the page's style."""
        points = [f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in zip(xs, ys, strict=True)]
        kept = [point for k, point in enumerate(points) if not k or point != points[k - 1]]
        self.parts.append(f'<path class="{kind}" d="M{"L".join(kept)}{"Z" if closed else ""}"/>')

    def dot(self, x: float, y: float, kind: str, radius: float = 3) -> None:
        self.parts.append(f'<circle class="{kind}" cx="{self.x(x):.1f}" cy="{self.y(y):.1f}" r="{radius:.1f}"/>')

    def frame(self, x_ticks: dict[float, str], y_ticks: dict[float, str]) -> None:
        """Grid, ticks and titles; call it first."""
        for value, text in x_ticks.items():
            self.path([value, value], [0, self.ends[1]], "grid")
            self.parts.append(
                f'<text class="tick" x="{self.x(value):.1f}" y="{_HEIGHT - _BOTTOM + 13}" text-anchor="middle">'
                f"{text}</text>"
            )
        for value, text in y_ticks.items():
            self.path([0, self.ends[0]], [value, value], "grid")
            self.parts.append(
                f'<text class="tick" x="{_LEFT - 5}" y="{self.y(value) + 3.5:.1f}" text-anchor="end">{text}</text>'
            )
        middle = (_TOP + _HEIGHT - _BOTTOM) / 2
        self.parts.append(
            f'<text class="title" x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 6}" text-anchor="middle">'
            f"{escape(self.titles[0])}</text>"
            f'<text class="title" transform="translate(9 {middle}) rotate(-90)" text-anchor="middle">'
            f"{escape(self.titles[1])}</text>"
        )

    def svg(self, label: str) -> str:
        """The chart; ``label`` says in words what it shows."""
        return (
            f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">'
            f"{''.join(self.parts)}</svg>"
        )


def roc(curve: dict, point: tuple[float, float] | None, label: str) -> str:
    """``curve`` as in curves.json; ``point``: sensitivity and specificity at the threshold."""
    chart = Chart("1 − specificity", "sensitivity")
    chart.frame(_ticks(1), _ticks(1))
    chart.path([0, 1], [0, 1], "chance")
    chart.path(curve["false_positive_rate"], curve["sensitivity"], "line")
    if point:
        chart.dot(1 - point[1], point[0], "point", 4)
    return chart.svg(label)


def pr(curve: dict, prevalence: float | None, point: tuple[float, float] | None, label: str) -> str:
    """``curve`` as in curves.json, drawn as steps; ``point``: sensitivity and precision at the threshold."""
    chart = Chart("sensitivity", "precision (PPV)")
    chart.frame(_ticks(1), _ticks(1))
    if prevalence is not None:
        chart.path([0, 1], [prevalence, prevalence], "chance")
    steps = pairwise([0.0, *curve["sensitivity"]])
    chart.path([x for step in steps for x in step], [y for y in curve["precision"] for _ in (0, 1)], "line")
    if point:
        chart.dot(*point, "point", 4)
    return chart.svg(label)


def reliability(bins: Sequence[dict], label: str) -> str:
    """``bins`` as in curves.json; a dot's area grows with its films, bars are 95 % intervals."""
    end = reliability_end(bins)
    chart = Chart("predicted", "observed", end, end)
    chart.frame(_ticks(end), _ticks(end))
    chart.path([0, end], [0, end], "chance")
    most = max([b["n"] for b in bins], default=1)
    for b in bins:
        if b["probability"] <= end:
            chart.path([b["probability"]] * 2, [b["low"], min(b["high"], end)], "bar")
    for b in bins:
        if b["probability"] <= end:
            chart.dot(b["probability"], b["frequency"], "mark", 2 + 3 * (b["n"] / most) ** 0.5)
    return chart.svg(label)


def reliability_end(bins: Sequence[dict]) -> float:
    """Where the axes of a reliability chart end so that rare findings are not lost in a corner."""
    reach = max([max(b["probability"], b["frequency"]) for b in bins], default=1.0)
    return next(end for end in (0.1, 0.2, 0.5, 1.0) if reach <= end or end == 1.0)


def net_benefit(curve: dict, threshold: float | None, label: str) -> str:
    """``curve`` as in curves.json: the model beside treating everybody and, at 0, nobody, by threshold probability.

    The axis reaches as far as a finding's odds make a decision of it: four times its prevalence, at least .1.
    """
    prevalence = curve["prevalence"]
    end = next(end for end in (0.1, 0.2, 0.5, 1.0) if end >= min(4 * prevalence, 1.0))
    top = max(max(curve["model"]), prevalence, 1e-3) * 1.1
    chart = Chart("threshold probability", "net benefit", end, top)
    chart.frame(_ticks(end), {0.0: "0", prevalence: _short(prevalence, 3)})
    shown = [k for k, t in enumerate(curve["thresholds"]) if t <= end]
    xs = [curve["thresholds"][k] for k in shown]
    for name, kind in (("everybody", "chance"), ("model", "line")):
        chart.path(*_inside(xs, [curve[name][k] for k in shown]), kind)
    if threshold is not None and threshold <= end:
        chart.path([threshold, threshold], [0, top], "cut")
    return chart.svg(label)


def _inside(xs: Sequence[float], ys: Sequence[float]) -> tuple[list[float], list[float]]:
    """A falling line up to where it crosses 0, below which the chart ends."""
    kept_x, kept_y = [], []
    for k, (x, y) in enumerate(zip(xs, ys, strict=True)):
        if y < 0:
            if k and ys[k - 1] >= 0:
                share = ys[k - 1] / (ys[k - 1] - y)
                kept_x.append(xs[k - 1] + share * (x - xs[k - 1]))
                kept_y.append(0.0)
            break
        kept_x.append(x)
        kept_y.append(y)
    return kept_x, kept_y


def histogram(targets: np.ndarray, probabilities: np.ndarray, threshold: float | None, label: str) -> str | None:
    """Probabilities of films with and without a finding, each as shares of its own, on the logit scale; None empty.

    ``targets`` (0, 1, NaN) and ``probabilities`` have shape (N,).
    """
    places = _logit_place(probabilities)
    edges = np.linspace(0, 1, HISTOGRAM_BINS + 1)
    heights = {}
    for kind, group in (("without", places[targets == 0]), ("with", places[targets == 1])):
        if group.size:
            heights[kind] = np.histogram(group, edges)[0] / group.size
    if not heights:
        return None
    tallest = float(max(height.max() for height in heights.values()))
    chart = Chart("predicted probability", "share of films", 1.0, tallest * 1.05)
    chart.frame({float(_logit_place(t)): f"{t:g}".lstrip("0") for t in _LOGIT_TICKS}, {})
    if threshold is not None:
        place = float(_logit_place(threshold))
        chart.path([place, place], [0, tallest * 1.05], "cut")
    for kind, height in heights.items():
        xs = np.repeat(edges, 2)
        chart.path(xs.tolist(), [0, *np.repeat(height, 2).tolist(), 0], f"fill {kind}", closed=True)
    return chart.svg(label)


def interval_bar(value: float, low: float | None, high: float | None, start: float, end: float = 1.0) -> str:
    """One row of a forest plot, as wide as its cell: the interval, its value, on an axis from ``start`` to ``end``."""

    def place(number: float) -> str:
        return f"{100 * (number - start) / (end - start):.2f}%"

    middle = ""
    if start < 0.5 < end:
        middle = f'<line class="chance" x1="{place(0.5)}" x2="{place(0.5)}" y1="0" y2="22"/>'
    bar = ""
    if low is not None and high is not None:
        bar = f'<line class="bar wide" x1="{place(max(low, start))}" x2="{place(min(high, end))}" y1="11" y2="11"/>'
    return (
        f'<svg class="forest" height="22" aria-hidden="true">{middle}{bar}'
        f'<circle class="mark" cx="{place(max(value, start))}" cy="11" r="4.5"/></svg>'
    )


def axis_bar(start: float, end: float = 1.0) -> str:
    """The forest plot's axis."""
    ticks = [start + k * (end - start) / 5 for k in range(6)]
    texts = []
    for k, tick in enumerate(ticks):
        anchor = "start" if not k else "end" if k == 5 else "middle"
        texts.append(f'<text class="tick" x="{20 * k}%" y="12" text-anchor="{anchor}">{_short(tick)}</text>')
    return f'<svg class="forest" height="16" aria-hidden="true">{"".join(texts)}</svg>'


def _ticks(end: float) -> dict[float, str]:
    return {end * k / 2: _short(end * k / 2) for k in range(3)}


def _short(value: float, digits: int = 2) -> str:
    return f"{value:.{digits}f}".rstrip("0").rstrip(".").lstrip("0") or "0"


def _logit_place(probability: np.ndarray | float) -> np.ndarray:
    """Where a probability lies on the logit axis, 0 to 1; beyond .0005 and .9995 it is at the ends."""
    inside = np.clip(np.asarray(probability, dtype=np.float64), 0.0005, 0.9995)
    return (np.log(inside / (1 - inside)) / _LOGIT_END + 1) / 2
