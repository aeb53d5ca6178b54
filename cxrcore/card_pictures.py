"""The two pictures of a model card: how well does it rank (ROC), and are its probabilities honest (reliability)?

Drawn with Pillow from metrics.json and curves.json alone, so no film is needed, nothing of one can be in them, and the
same scores give the same bytes. Small multiples, a panel a finding, on a paper of their own: they read the same on a
light page and on a dark one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from PIL import Image, ImageColor, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from cxrcore.metrics.intervals import wilson_limits
from cxrcore.report_figures import reliability_end

ROC, RELIABILITY = "roc.png", "reliability.png"
_SOURCE, _DRAWING = "scores", 1  # what a picture says of itself; raise the number when it is drawn another way
_PAPER, _INK, _FAINT, _GRID = "#ffffff", "#1f2328", "#59636e", "#d8dee4"
_LINE, _BAND, _POINT = "#0072b2", "#cfe3f1", "#d55e00"
DENSITY = 2  # picture dots a page pixel
_SHARPER = 2  # drawn so much larger and then averaged, which smooths lines
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 14, 50, 42  # page pixels around a panel's square
_SIDES = {1: 250, 2: 250, 3: 190}  # of a panel's square, page pixels, by the number of columns
_WIDE, _COLUMNS = 140, 4

Points = Sequence[tuple[float, float]]


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
            if not is_of_its_scores(picture):
                told = PngInfo()
                told.add_text(_SOURCE, _digest(path.parent))
                findings = json.loads(curves.read_bytes())["findings"]
                draw(metrics, findings).save(picture, "PNG", compress_level=4, pnginfo=told)
            drawn.append(picture.relative_to(folder).as_posix())
    return drawn


def is_of_its_scores(picture: Path) -> bool:
    """Whether a file is a picture drawn here from the scores beside it, by its own word; a film never says so."""
    try:
        with Image.open(picture, formats=["PNG"]) as opened:
            return bool(opened.info.get(_SOURCE) == _digest(picture.parent))
    except (OSError, ValueError, SyntaxError):
        return False


def _digest(evaluation: Path) -> str:
    parts = [(evaluation / name).read_bytes() for name in ("metrics.json", "curves.json")]
    return hashlib.sha256(b"%d %d " % (_DRAWING, len(parts[0])) + b"".join(parts)).hexdigest()


def roc_picture(metrics: dict, curves: dict[str, dict]) -> Image.Image:
    """Each finding's ROC curve, the 95 % interval of its sensitivity, and its operating point.

    The interval is Wilson's, on as many cases as there are patients to a film: films of one patient are taken to be
    alike, so where patients repeat it is rather too wide than too narrow.
    """
    share = metrics["n_patients"] / max(metrics["n"], 1)

    def draw(panel: _Panel, finding: str) -> None:
        scores, roc = metrics["findings"][finding], curves.get(finding, {}).get("roc")
        panel.heading(finding, _area(scores), f"{scores['n_pos']} with, {scores['n_neg']} without")
        panel.frame(1.0, "1 - specificity", "sensitivity")
        if roc is None:
            return
        xs, ys = roc["false_positive_rate"], roc["sensitivity"]
        limits = [wilson_limits(y, max(round(scores["n_pos"] * share), 1)) for y in ys]
        high = [(x, limit[1]) for x, limit in zip(xs, limits, strict=True)]
        low = [(x, limit[0]) for x, limit in zip(xs, limits, strict=True)]
        panel.area([*high, *reversed(low)], _BAND)
        panel.dashes()
        panel.line(list(zip(xs, ys, strict=True)), _LINE)
        if scores.get("sensitivity") is not None and scores.get("specificity") is not None:
            panel.dot(1 - scores["specificity"], scores["sensitivity"], 4.5, _POINT)

    return _sheet(list(metrics["findings"]), draw)


def reliability_picture(metrics: dict, curves: dict[str, dict]) -> Image.Image:
    """Each finding's predicted probabilities against how often it was there, with 95 % intervals."""

    def draw(panel: _Panel, finding: str) -> None:
        scores = metrics["findings"][finding]
        bins = (curves.get(finding, {}).get("reliability") or {}).get("bins", [])
        end = reliability_end(bins)
        ece, chance = scores.get("ece"), scores.get("ece_expected")
        said = "" if ece is None or chance is None else f"error {_short(ece)}; chance alone {_short(chance)}"
        panel.heading(finding, said, f"{scores['n_pos'] + scores['n_neg']} films")
        panel.frame(end, "predicted", "observed")
        panel.dashes()
        shown = [one for one in bins if one["probability"] <= end]
        most = max([one["n"] for one in shown], default=1)
        for one in shown:
            panel.line([(one["probability"], one["low"]), (one["probability"], min(one["high"], end))], _LINE, 1.2)
        for one in shown:
            panel.dot(one["probability"], one["frequency"], 2 + 3 * (one["n"] / most) ** 0.5, _LINE)

    return _sheet(list(metrics["findings"]), draw)


class _Panel:
    """One chart of a sheet: a square with its heading above and its ticks and titles around it."""

    def __init__(
        self, pen: ImageDraw.ImageDraw, left: float, top: float, side: float, outer: tuple[bool, bool]
    ) -> None:
        self.pen, self.side, self.end = pen, side, 1.0
        self.left, self.top, self.outer = left, top, outer
        self.words: list[Callable[[ImageDraw.ImageDraw], None]] = []  # written last, on the smooth picture

    def place(self, x: float, y: float) -> tuple[float, float]:
        across, up = self.left + x / self.end * self.side, self.top + (1 - y / self.end) * self.side
        return across * DENSITY * _SHARPER, up * DENSITY * _SHARPER

    def heading(self, finding: str, said: str, counted: str) -> None:
        at = (self.left + self.side / 2, self.top - 38)
        self.text(at, finding.replace("_", " "), _INK, 13)
        self.text((at[0], at[1] + 15), said, _INK, 10.5)
        self.text((at[0], at[1] + 28), counted, _FAINT, 9.5)

    def frame(self, end: float, x_title: str, y_title: str) -> None:
        """Grid and ticks from 0 to ``end``; the titles at the sheet's edges only."""
        self.end = end
        for k in range(3):
            value = end * k / 2
            self.line([(value, 0), (value, end)], _GRID, 1)
            self.line([(0, value), (end, value)], _GRID, 1)
            self.text((self.left + k / 2 * self.side, self.top + self.side + 10), _tick(value), _FAINT, 10)
            self.text((self.left - 6, self.top + (1 - k / 2) * self.side), _tick(value), _FAINT, 10, "rm")
        if self.outer[0]:
            self.text((self.left + self.side / 2, self.top + self.side + 26), x_title, _INK, 11)
        if self.outer[1]:
            self.upright((self.left - 31, self.top + self.side / 2), y_title)

    def line(self, points: Points, colour: str, width: float = 2) -> None:
        places = [self.place(x, y) for x, y in points]
        self.pen.line(places, fill=colour, width=round(width * DENSITY * _SHARPER), joint="curve")

    def area(self, points: Points, colour: str) -> None:
        self.pen.polygon([self.place(x, y) for x, y in points], fill=colour)

    def dashes(self, pieces: int = 24) -> None:
        """The diagonal: chance, or honesty."""
        for k in range(pieces):
            start, stop = self.end * k / pieces, self.end * (k + 0.5) / pieces
            self.line([(start, start), (stop, stop)], _FAINT, 1)

    def dot(self, x: float, y: float, radius: float, colour: str) -> None:
        self.pen.circle(self.place(x, y), radius * DENSITY * _SHARPER, fill=colour, outline=_PAPER, width=3)

    def text(self, at: tuple[float, float], text: str, colour: str, size: float, anchor: str = "mm") -> None:
        place = (at[0] * DENSITY, at[1] * DENSITY)
        self.words.append(lambda pen: pen.text(place, text, colour, _font(size), anchor))

    def upright(self, at: tuple[float, float], text: str) -> None:
        """A title that reads upwards."""
        font = _font(11)
        box = font.getbbox(text)
        label = Image.new("L", (int(box[2]) + 4, int(box[3]) + 4), 0)
        ImageDraw.Draw(label).text((2, 2), text, 255, font)
        turned = label.rotate(90, expand=True)
        place = (round(at[0] * DENSITY) - turned.width // 2, round(at[1] * DENSITY) - turned.height // 2)
        self.words.append(lambda pen: pen.bitmap(place, turned, _INK))


def _sheet(findings: Sequence[str], draw: Callable[[_Panel, str], None]) -> Image.Image:
    """Panels in rows of up to four, drawn large, made smooth, and kept in few colours."""
    columns = min(len(findings), _COLUMNS)
    side = _SIDES.get(columns, _WIDE)
    rows = -(-len(findings) // columns)
    across, down = _LEFT + side + _RIGHT, _TOP + side + _BOTTOM
    dots = DENSITY * _SHARPER
    canvas = Image.new("RGB", (across * columns * dots, down * rows * dots), _PAPER)
    pen, panels = ImageDraw.Draw(canvas), []
    for k, finding in enumerate(findings):
        row, column = divmod(k, columns)
        outer = (k + columns >= len(findings), column == 0)
        panels.append(_Panel(pen, column * across + _LEFT, row * down + _TOP, side, outer))
        draw(panels[-1], finding)
    smooth = canvas.reduce(_SHARPER)
    pen = ImageDraw.Draw(smooth)
    for write in (write for panel in panels for write in panel.words):
        write(pen)
    return smooth.quantize(palette=_palette(), dither=Image.Dither.NONE)


@cache
def _palette() -> Image.Image:
    """Every colour, and those between the ones that meet."""
    meeting = [(_PAPER, _INK, 12), (_PAPER, _FAINT, 12), (_PAPER, _LINE, 8), (_BAND, _LINE, 8), (_BAND, _FAINT, 8)]
    meeting += [(_PAPER, _POINT, 8), (_PAPER, _GRID, 3), (_PAPER, _BAND, 3), (_GRID, _LINE, 4)]
    steps: list[int] = []
    for first, second, count in meeting:
        ends = list(zip(ImageColor.getrgb(first), ImageColor.getrgb(second), strict=True))
        for k in range(count):
            steps += [round(one + (other - one) * k / (count - 1)) for one, other in ends]
    colours = Image.new("P", (1, 1))
    colours.putpalette(steps)
    return colours


@cache
def _font(size: float) -> ImageFont.FreeTypeFont:
    """Pillow's own face, which knows plain ASCII only."""
    font = ImageFont.load_default(size * DENSITY)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


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
