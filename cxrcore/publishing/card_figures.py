"""The two pictures of a model card: how well does it rank (ROC), and are its probabilities honest (reliability)?

Drawn with matplotlib from metrics.json and curves.json alone, so no film is needed, nothing of one can be in them, and
the same scores give the same bytes. Small multiples, a panel a finding, on a paper of their own: they read the same on
a light page and on a dark one. Every colour, width and face is given here, so that a caller's style changes none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image

from cxrcore.metrics.intervals import wilson_limits
from cxrcore.reporting.charts import reliability_end

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

ROC, RELIABILITY = "roc.png", "reliability.png"
_SOURCE, _DRAWING = "scores", 2  # what a picture says of itself; raise the number when it is drawn another way
_PAPER, _INK, _FAINT, _GRID = "#ffffff", "#1f2328", "#59636e", "#d8dee4"
_LINE, _BAND, _POINT = "#0072b2", "#cfe3f1", "#d55e00"
DENSITY = 2  # picture dots a page pixel
_POINTS = 72  # an inch: a page pixel is one of matplotlib's points, the unit of its sizes and widths
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 14, 50, 42  # page pixels around a panel's square
_SIDES = {1: 250, 2: 250, 3: 190}  # of a panel's square, page pixels, by the number of columns
_WIDE, _COLUMNS = 140, 4


def draw_pictures(folder: Path) -> list[str]:
    """Draw both pictures of every held-out evaluation of a bundle into its own folder; their paths in the bundle.

    One that is there and was drawn from these very scores stays as it is.
    """
    drawn = []
    for path in sorted(folder.glob("evaluation/*/metrics.json")):
        metrics, curves = json.loads(path.read_bytes()), path.with_name("curves.json")
        if metrics["split"] != "test" or not curves.is_file():
            continue
        for name, draw in ((ROC, roc_picture), (RELIABILITY, reliability_picture)):
            picture = path.with_name(name)
            if not matches_scores(picture):
                findings = json.loads(curves.read_bytes())["findings"]
                save_png(draw(metrics, findings), picture, {_SOURCE: _digest(path.parent)})
            drawn.append(picture.relative_to(folder).as_posix())
    return drawn


def save_png(figure: Figure, to: Path | BinaryIO, told: dict[str, str] | None = None) -> None:
    """Write a figure, with ``told`` as its text and no word of the program that drew it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure).print_png(to, metadata={"Software": None, **(told or {})})


def matches_scores(picture: Path) -> bool:
    """Whether a file is a picture drawn here from the scores beside it, by its own word; a film never says so."""
    try:
        with Image.open(picture, formats=["PNG"]) as opened:
            return bool(opened.info.get(_SOURCE) == _digest(picture.parent))
    except (OSError, ValueError, SyntaxError):
        return False


def _digest(evaluation: Path) -> str:
    parts = [(evaluation / name).read_bytes() for name in ("metrics.json", "curves.json")]
    return hashlib.sha256(b"%d %d " % (_DRAWING, len(parts[0])) + b"".join(parts)).hexdigest()


def roc_picture(metrics: dict, curves: dict[str, dict]) -> Figure:
    """Each finding's ROC curve, the 95 % interval of its sensitivity, and its operating point.

    The interval is Wilson's, on as many cases as there are patients to a film: films of one patient are taken to be
    alike, so where patients repeat it is rather too wide than too narrow.
    """
    share = metrics["n_patients"] / max(metrics["n"], 1)
    figure, panels = _sheet(list(metrics["findings"]), "1 − specificity", "sensitivity")
    for finding, panel in panels.items():
        scores, roc = metrics["findings"][finding], curves.get(finding, {}).get("roc")
        _heading(panel, finding, _area(scores), f"{scores['n_pos']} with, {scores['n_neg']} without")
        _frame(panel, 1.0)
        if roc is None:
            continue
        xs, ys = roc["false_positive_rate"], roc["sensitivity"]
        limits = [wilson_limits(y, max(round(scores["n_pos"] * share), 1)) for y in ys]
        panel.fill_between(xs, *np.transpose(limits), color=_BAND, linewidth=0, zorder=1)
        line = panel.plot(xs, ys, color=_LINE, linewidth=2, linestyle="-", clip_on=False, zorder=3)[0]
        line.set(solid_joinstyle="round", solid_capstyle="butt")
        if scores.get("sensitivity") is not None and scores.get("specificity") is not None:
            _dots(panel, [1 - scores["specificity"]], [scores["sensitivity"]], [4.5], _POINT)
    return figure


def reliability_picture(metrics: dict, curves: dict[str, dict]) -> Figure:
    """Each finding's predicted probabilities against how often it was there, with 95 % intervals."""
    figure, panels = _sheet(list(metrics["findings"]), "predicted", "observed")
    for finding, panel in panels.items():
        scores = metrics["findings"][finding]
        bins = (curves.get(finding, {}).get("reliability") or {}).get("bins", [])
        end = reliability_end(bins)
        ece, chance = scores.get("ece"), scores.get("ece_expected")
        said = "" if ece is None or chance is None else f"error {_short(ece)}; chance alone {_short(chance)}"
        _heading(panel, finding, said, f"{scores['n_pos'] + scores['n_neg']} films")
        _frame(panel, end)
        shown = [one for one in bins if one["probability"] <= end]
        most = max([one["n"] for one in shown], default=1)
        xs, ys = [one["probability"] for one in shown], [one["frequency"] for one in shown]
        lows, highs = [one["low"] for one in shown], [min(one["high"], end) for one in shown]
        panel.vlines(xs, lows, highs, colors=_LINE, linewidth=1.2, linestyles="-", clip_on=False, zorder=3)
        _dots(panel, xs, ys, [2 + 3 * (one["n"] / most) ** 0.5 for one in shown], _LINE)
    return figure


def _sheet(findings: Sequence[str], x_title: str, y_title: str) -> tuple[Figure, dict[str, Axes]]:
    """Square panels in rows of up to four; the axes' titles stand at the sheet's edges only."""
    from matplotlib.figure import Figure

    columns = min(len(findings), _COLUMNS)
    rows = -(-len(findings) // columns)
    side = _SIDES.get(columns, _WIDE)
    wide, high = (_LEFT + side + _RIGHT) * columns, (_TOP + side + _BOTTOM) * rows
    figure = Figure((wide / _POINTS, high / _POINTS), dpi=_POINTS * DENSITY, facecolor=_PAPER)
    figure.set_layout_engine("none")
    grid = figure.add_gridspec(
        rows,
        columns,
        left=_LEFT / wide,
        right=1 - _RIGHT / wide,
        top=1 - _TOP / high,
        bottom=_BOTTOM / high,
        wspace=(_LEFT + _RIGHT) / side,
        hspace=(_TOP + _BOTTOM) / side,
    )
    panels = {}
    for k, finding in enumerate(findings):
        panels[finding] = panel = figure.add_subplot(grid[divmod(k, columns)], facecolor=_PAPER)
        if k + columns >= len(findings):
            panel.set_xlabel(x_title, color=_INK, font=_font(11), labelpad=4)
        if k % columns == 0:
            panel.set_ylabel(y_title, color=_INK, font=_font(11), labelpad=4)
    figure.align_ylabels()
    return figure, panels


def _heading(panel: Axes, finding: str, said: str, counted: str) -> None:
    lines = ((34, finding.replace("_", " "), _INK, 13), (21, said, _INK, 10), (8, counted, _FAINT, 9.5))
    for up, text, colour, size in lines:
        panel.annotate(
            text,
            (0.5, 1),
            (0, up),
            "axes fraction",
            "offset points",
            color=colour,
            font=_font(size),
            horizontalalignment="center",
            parse_math=False,
        )


def _frame(panel: Axes, end: float) -> None:
    """Both axes from 0 to ``end``, their grid, and the diagonal: chance, or honesty."""
    ticks = [end * k / 2 for k in range(3)]
    texts = [_tick(value) for value in ticks]
    panel.set(xlim=(0, end), ylim=(0, end))
    panel.set_xticks(ticks, texts, color=_FAINT, font=_font(10))
    panel.set_yticks(ticks, texts, color=_FAINT, font=_font(10), verticalalignment="center_baseline")
    panel.tick_params(length=0, pad=5)
    panel.grid(True, color=_GRID, linewidth=1, linestyle="-", alpha=1)
    panel.set_axisbelow(True)
    panel.spines[:].set(color=_GRID, linewidth=1, zorder=0.5, visible=True)
    panel.plot([0, end], [0, end], color=_FAINT, linewidth=1, linestyle=(0, (5, 4)), dash_capstyle="butt", zorder=2)


def _dots(panel: Axes, xs: Sequence[float], ys: Sequence[float], radii: Sequence[float], colour: str) -> None:
    areas = [(2 * radius) ** 2 for radius in radii]
    panel.scatter(xs, ys, s=areas, c=colour, marker="o", edgecolors=_PAPER, linewidths=0.75, clip_on=False, zorder=4)


def _font(size: float) -> FontProperties:
    """The face that comes with matplotlib, whatever others are installed."""
    from matplotlib import get_data_path
    from matplotlib.font_manager import FontProperties

    return FontProperties(fname=Path(get_data_path(), "fonts/ttf/DejaVuSans.ttf"), size=size)


def _area(scores: dict) -> str:
    area = scores["auroc"]
    if area["value"] is None:
        return "AUROC undefined"
    interval = "" if area["low"] is None else f" ({_short(area['low'], 3)} to {_short(area['high'], 3)})"
    return f"AUROC {_short(area['value'], 3)}{interval}"


def _tick(value: float) -> str:
    return f"{value:g}".removeprefix("0") or "0"


def _short(value: float, digits: int = 2) -> str:
    """A share without its leading zero."""
    text = f"{value:.{digits}f}"
    return "0" if value == 0 else "1" if value == 1 else text.removeprefix("0")
