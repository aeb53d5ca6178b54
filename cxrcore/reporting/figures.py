"""Drawing functions for static charts with matplotlib: the model card saves PNG files, the report embeds SVG.

Every colour, width and face is given here, so a caller's style changes none, and equal scores give equal bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from cxrcore.text import NumberFormat

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

POINTS = 72  # an inch: a page pixel is one of matplotlib's points, the unit of its sizes and widths


@dataclass(frozen=True)
class Style:
    """Colours and text sizes (points) of a chart."""

    paper: str
    ink: str  # titles
    faint: str  # ticks and reference lines
    grid: str
    line: str
    band: str
    point: str  # the operating point
    tick_size: float
    title_size: float


CARD = Style("#ffffff", "#1f2328", "#59636e", "#d8dee4", "#0072b2", "#cfe3f1", "#d55e00", 10, 11)
REPORT = Style("#ffffff", "#56606b", "#56606b", "#e6e9ed", "#0072b2", "#cfe3f1", "#b34700", 10.5, 11)
_WASTE = (  # what matplotlib writes and a page does not need
    r"<defs>.*?</defs>",
    r"<!--.*?-->",
    r' (?:id|clip-path)="[^"]*"',
    r' transform="rotate\(-0 [^"]*"',
    r"; stroke-line(?:join: miter|cap: square)",
    r'<path d="[^"]*" style="fill: none"/>',  # the empty backgrounds
    r"font-family: [^;\"]+;? ?",
    r"</?g ?/?>",
)
# Set by the page's style for every chart.
_DEFAULTS = ("fill: none; ", "; stroke-dashoffset: 0", "font-size: 10.5px; ", "; fill: var(--soft)")
_VARIABLES = {"#ffffff": "card", "#56606b": "soft", "#e6e9ed": "grid", "#0072b2": "blue", "#b34700": "orange"}


def new_figure(width: float, height: float, density: float, paper: str) -> Figure:
    """An empty figure of this many page pixels, with ``density`` dots for each."""
    from matplotlib.figure import Figure

    figure = Figure((width / POINTS, height / POINTS), dpi=POINTS * density, facecolor=paper)
    figure.set_layout_engine("none")
    return figure


def set_titles(panel: Axes, style: Style, x_title: str = "", y_title: str = "") -> None:
    """Title the axes; an empty title leaves the axis as it is."""
    if x_title:
        panel.set_xlabel(x_title, color=style.ink, font=font(style.title_size), labelpad=4)
    if y_title:
        panel.set_ylabel(y_title, color=style.ink, font=font(style.title_size), labelpad=4)


def set_axes(panel: Axes, style: Style, x_ticks: Mapping[float, str], y_ticks: Mapping[float, str]) -> None:
    """Draw ticks, grid and frame; an axis starts at 0, and the caller sets its end."""
    text: dict[str, Any] = {"color": style.faint, "font": font(style.tick_size)}
    panel.set_xticks(list(x_ticks), list(x_ticks.values()), **text)
    panel.set_yticks(list(y_ticks), list(y_ticks.values()), verticalalignment="center_baseline", **text)
    panel.tick_params(length=0, pad=5)
    panel.grid(True, color=style.grid, linewidth=1, linestyle="-", alpha=1)
    panel.set_axisbelow(True)
    panel.spines[:].set(color=style.grid, linewidth=1, zorder=0.5, visible=True)


def unit_ticks(end: float) -> dict[float, str]:
    """Ticks at 0, the middle and the end of an axis, e.g. ``{0: "0", 0.5: ".5", 1: "1"}``."""
    return {end * k / 2: f"{end * k / 2:g}".removeprefix("0") or "0" for k in range(3)}


def draw_reference(panel: Axes, style: Style, xs: Sequence[float], ys: Sequence[float]) -> None:
    """A dashed line: guessing, perfect calibration, or treating everybody."""
    panel.plot(xs, ys, color=style.faint, linewidth=1, linestyle=(0, (5, 4)), dash_capstyle="butt", zorder=2)


def draw_line(panel: Axes, style: Style, xs: Sequence[float], ys: Sequence[float]) -> None:
    """The curve of the model."""
    line = panel.plot(xs, ys, color=style.line, linewidth=2, linestyle="-", clip_on=False, zorder=3)[0]
    line.set(solid_joinstyle="round", solid_capstyle="butt")


def draw_threshold(panel: Axes, style: Style, x: float, top: float) -> None:
    """A vertical line at the threshold."""
    panel.plot([x, x], [0, top], color=style.point, linewidth=1.5, linestyle="-", clip_on=False, zorder=2)


def draw_dots(
    panel: Axes, style: Style, xs: Sequence[float], ys: Sequence[float], radii: Sequence[float], colour: str
) -> None:
    """Dots of these radii, in points."""
    areas = [(2 * radius) ** 2 for radius in radii]
    panel.scatter(
        xs, ys, s=areas, c=colour, marker="o", edgecolors=style.paper, linewidths=0.75, clip_on=False, zorder=4
    )


def draw_roc(panel: Axes, style: Style, curve: Mapping[str, Any], point: tuple[float, float] | None) -> None:
    """A ROC curve (as in curves.json), the diagonal, and ``point``: sensitivity and specificity at the threshold."""
    draw_line(panel, style, curve["false_positive_rate"], curve["sensitivity"])
    if point:
        draw_dots(panel, style, [1 - point[1]], [point[0]], [4.5], style.point)


def draw_reliability(panel: Axes, style: Style, bins: Sequence[Mapping[str, Any]], end: float) -> None:
    """Observed by predicted frequency; ``bins`` as in curves.json. A dot's area grows with its films, bars are 95 %."""
    shown = [one for one in bins if one["probability"] <= end]
    most = max([one["n"] for one in shown], default=1)
    xs, ys = [one["probability"] for one in shown], [one["frequency"] for one in shown]
    lows, highs = [one["low"] for one in shown], [min(one["high"], end) for one in shown]
    panel.vlines(xs, lows, highs, colors=style.line, linewidth=1.2, linestyles="-", clip_on=False, zorder=3)
    draw_dots(panel, style, xs, ys, [2 + 3 * (one["n"] / most) ** 0.5 for one in shown], style.line)


def reliability_end(bins: Sequence[Mapping[str, Any]]) -> float:
    """End of a reliability chart's axes (.1, .2, .5 or 1), so that a rare finding fills the chart."""
    reach = max([max(one["probability"], one["frequency"]) for one in bins], default=1.0)
    return next(end for end in (0.1, 0.2, 0.5, 1.0) if reach <= end or end == 1.0)


def font(size: float) -> FontProperties:
    """The face that comes with matplotlib, whatever others are installed."""
    from matplotlib import get_data_path
    from matplotlib.font_manager import FontProperties

    return FontProperties(fname=Path(get_data_path(), "fonts/ttf/DejaVuSans.ttf"), size=size)


def short(value: float, digits: int = 2) -> str:
    """A share without its leading zero, e.g. ``.87``; ``0`` and ``1`` have no decimals."""
    return f"{value:g}" if value in (0, 1) else NumberFormat(digits, leading_zero=False).number(value)


def save_png(figure: Figure, to: Path | BinaryIO, metadata: dict[str, str] | None = None) -> None:
    """Write a figure as PNG, with ``metadata`` as its text and without the program's name and version."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figure)
    canvas.print_png(to, metadata={"Software": None, **(metadata or {})})


def to_svg(figure: Figure, label: str) -> str:
    """The figure as an ``svg`` element for a page; ``label`` is its text alternative.

    Colours become the page's CSS variables, so the chart follows its light and dark theme, and text takes its font.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "cxrcore", "path.simplify": True}):
        canvas: Any = FigureCanvasSVG(figure)
        canvas.print_svg(buffer, metadata=no_metadata)
    text = buffer.getvalue()
    radii = dict(re.findall(r'<path id="(\w+)" d="M 0 ([\d.]+)', text))  # dots are circles, drawn once and reused
    text = re.sub(
        r'<use xlink:href="#(\w+)" x="([\d.]+)" y="([\d.]+)"',
        lambda use: f'<circle cx="{use[2]}" cy="{use[3]}" r="{radii[use[1]]}"',
        text,
    )
    body = text[text.index("<g id") : text.rindex("</svg>")]
    for waste in _WASTE:
        body = re.sub(waste, "", body, flags=re.DOTALL)
    body = re.sub(r"font: ([\d.]+)px [^;\"]+", r"font-size: \1px", body)
    body = re.sub(r"-?\d+\.\d+", lambda number: f"{float(number[0]):.1f}".removesuffix(".0"), body)
    body = re.sub(r"#[0-9a-f]{6}", lambda colour: f"var(--{_VARIABLES[colour[0]]})", body)
    for default in _DEFAULTS:
        body = body.replace(default, "")
    body = re.sub(r"\s+", " ", body).replace("> <", "><").replace(' "', '"').replace(' style=""', "")
    body = re.sub(r" ?([MLCzZ]) ?(?=[\d\" .])", r"\1", body)
    view = f"0 0 {figure.get_figwidth() * POINTS:.0f} {figure.get_figheight() * POINTS:.0f}"
    return f'<svg class="chart" viewBox="{view}" role="img" aria-label="{escape(label)}">{body.strip()}</svg>'
