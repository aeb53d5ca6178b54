"""Do the heatmaps point to the finding? Maps of NIH's official test films against their boxes, beside noise.

    python -m benchmarks.localisation                              # nih14 on $CXR_DATA_DIR/nih-256 and nih
    python -m benchmarks.localisation nih14 runs/before --data films --data more-films --write

The scores of one folder are in the metrics.json that ``cxr evaluate`` writes; here several folders count together, and
a film that lies in several is taken from the first. With fewer than ten films a finding has no interval; "all boxes"
takes every pair of a film and a finding with a box. ``--write`` puts the table into docs/generalisation.md.
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from tqdm import tqdm

import cxrcore
from benchmarks.measuring import REPORT, table_text, write_section
from cxrcore.datasets import read_boxes, read_dataset
from cxrcore.datasets.boxes import Box
from cxrcore.datasets.table import FilmTable
from cxrcore.errors import CxrError, InvalidDataset
from cxrcore.evaluation.boxed import BoxedMap, boxed_rows, locate_films, summarise_boxed
from cxrcore.findings import NIH14
from cxrcore.metrics.localisation import Localisation
from cxrcore.models.base import Model
from cxrcore.text import NumberFormat

SHORT, GAIN = NumberFormat(digits=2, leading_zero=False), NumberFormat(digits=2, leading_zero=False, signed=True)
ALL = "**all boxes**"
HEADER = (
    "model", "finding", "films", "hit", "hit of noise", "gain", "IoU", "IoU of noise", "drawn box, IoU ≥ .25",
    "of noise", "boxes' share of the film",
)  # fmt: skip

Films = list[tuple[FilmTable, tuple[Box, ...]]]


def boxed_films(folders: list[Path]) -> Films:
    """Official test films with a box, by folder, each film once. Raises InvalidDataset for none."""
    films: Films = []
    known: set[str] = set()
    for folder in folders:
        table, boxes = read_dataset("nih", folder, NIH14), read_boxes(folder)
        new = [split == "test" and name not in known for split, name in zip(table.splits, table.images, strict=True)]
        part = table.select(np.flatnonzero(boxed_rows(table, boxes) & new))
        known |= set(part.images)
        films.append((part, boxes))
    if not known:
        raise InvalidDataset("no film of the official test list has a box here")
    return films


def study(model: Model, films: Films) -> dict[str, Localisation]:
    """The scores of a model's maps by finding, and of all together."""
    bar = partial(tqdm, unit="film", desc=model.name, disable=None, leave=False)
    located: dict[str, list[BoxedMap]] = {name: [] for name in model.labels}
    for table, boxes in films:
        for finding, maps in locate_films(model, table, boxes, bar).items():
            located[finding] += maps
    found = {name: summarise_boxed(maps) for name, maps in located.items() if maps}
    return found | {ALL: summarise_boxed([one for maps in located.values() for one in maps])}


def rows_of(model: Model, found: dict[str, Localisation]) -> list[list[str]]:
    """The table's rows of a model."""
    rows = []
    for name, one in found.items():
        scores, control = one.scores, one.control or {}
        pairs = [
            (SHORT.estimate(scores[key]), SHORT.estimate(control.get(key))) for key in ("hit", "iou", "box_iou_25")
        ]
        hits, *overlaps = pairs
        cells = [*hits, GAIN.estimate(one.gain), *(cell for pair in overlaps for cell in pair)]
        rows.append([model.name, name, str(one.n), *cells, SHORT.number(one.chance)])
    return rows


def main() -> int:
    named = os.environ.get("CXR_DATA_DIR")
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("models", nargs="*", default=["nih14"], help="models of NIH's findings")
    parser.add_argument("--data", type=Path, action="append", help="a folder of NIH films; may be repeated")
    parser.add_argument("--write", action="store_true", help=f"put the table into {REPORT.name}")
    options = parser.parse_args()
    folders = options.data or ([Path(named) / "nih-256", Path(named) / "nih"] if named else [])
    if not folders:
        parser.error("name folders of NIH films with --data, or one that holds nih-256 and nih with CXR_DATA_DIR")
    torch.set_num_threads(1)
    try:
        films = boxed_films(folders)
        models = [cxrcore.load(reference) for reference in options.models]
        rows = [row for model in models for row in rows_of(model, study(model, films))]
    except CxrError as error:
        print(f"localisation: {error}", file=sys.stderr)
        return 2
    patients = {patient for table, _ in films for patient in table.patient_ids}
    count = sum(len(table) for table, _ in films)
    text = f"{table_text([HEADER, *rows])}\n{count} films of {len(patients)} patients, 95 % intervals by patient."
    print(text)
    if options.write:
        write_section(REPORT, "localisation", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
