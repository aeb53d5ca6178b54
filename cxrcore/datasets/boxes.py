"""Bounding boxes of findings: drawn by radiologists (NIH) or known exactly (phantoms)."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cxrcore.datasets.files import read_text, subfolders
from cxrcore.datasets.nih import OLD_NAMES
from cxrcore.errors import InvalidDataset

BOXES = "boxes.csv"
BOX_FILES = ("BBox_List_2017.csv", "BBox_List_2017.csv.gz", BOXES)
NIH_FRAME = (1024.0, 1024.0)  # height and width of the films that NIH's boxes were drawn on, whatever copy is at hand
_NIH = re.compile(r"\d{8}_\d{3}\.png")


@dataclass(frozen=True)
class Box:
    """One finding's rectangle, in pixels of the film as released (NIH: 1024 × 1024), from its upper left corner."""

    image: str
    finding: str
    x: float
    y: float
    width: float
    height: float


def read_boxes(source: Path) -> tuple[Box, ...]:
    """The boxes of a file, or of the box file at the top of a dataset's folder or one level below.

    Columns count by place (image, finding, x, y, width, height), as NIH's header is malformed. NIH's ``Infiltrate`` is
    called Infiltration, as in its labels. Raises InvalidDataset when there is no such file, or it holds no boxes.
    """
    path = _box_file(source)
    rows = [row for row in csv.reader(io.StringIO(read_text(path))) if any(row)][1:]
    boxes = []
    for number, row in enumerate(rows, start=2):
        try:
            x, y, width, height = (float(value) for value in row[2:6])
        except ValueError:
            raise InvalidDataset(f"{path.name}, line {number}: expected image, finding, x, y, width, height") from None
        boxes.append(Box(row[0], OLD_NAMES.get(row[1], row[1]), x, y, width, height))
    return tuple(boxes)


def boxes_of(folder: Path) -> tuple[Box, ...]:
    """The boxes of a dataset's folder; none where it has no box file."""
    try:
        return read_boxes(folder)
    except InvalidDataset:
        return ()


def is_nih(image: str) -> bool:
    """Whether a film is called as NIH calls its own."""
    return _NIH.fullmatch(image) is not None


def box_frame(image: str) -> tuple[float, float] | None:
    """Height and width, in the boxes' pixels, of the film that they were drawn on; None: those of the film at hand."""
    return NIH_FRAME if is_nih(image) else None


def write_boxes(path: Path, boxes: Sequence[Box]) -> None:
    """Write what ``read_boxes`` reads."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("image", "finding", "x", "y", "width", "height"))
        writer.writerows((b.image, b.finding, b.x, b.y, b.width, b.height) for b in boxes)


def _box_file(source: Path) -> Path:
    if source.is_file():
        return source
    if source.is_dir():
        for place in (source, *subfolders(source)):
            for name in BOX_FILES:
                if (place / name).is_file():
                    return place / name
    raise InvalidDataset(f"no boxes in {source.name!r}: expected one of {', '.join(BOX_FILES)}")
