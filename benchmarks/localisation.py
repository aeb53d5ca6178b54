"""Do the heatmaps point to the finding? Maps of NIH's official test films against their boxes, beside noise.

    python -m benchmarks.localisation                              # nih14 on $CXR_DATA_DIR/nih-256 and nih
    python -m benchmarks.localisation nih14 runs/before --data films --data more-films --write

A film that lies in several folders is taken from the first. With fewer than ten films a finding has no interval; "all
boxes" takes every pair of a film and a finding with a box. ``--write`` puts the table into docs/generalisation.md.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from tqdm import tqdm

import cxrcore
from benchmarks.measuring import REPORT, table_text, write_section
from cxrcore.datasets import read_boxes, read_dataset
from cxrcore.errors import CxrError, InvalidDataset
from cxrcore.evaluation.boxed import NIH_SIDE, BoxedMap, locate_heatmap, summarise_boxed
from cxrcore.findings import NIH14
from cxrcore.metrics.localisation import Localisation
from cxrcore.models.base import Model
from cxrcore.text import NumberFormat

SHORT, GAIN = NumberFormat(digits=2, leading_zero=False), NumberFormat(digits=2, leading_zero=False, signed=True)
ALL = "**all boxes**"
HEADER = ("model", "finding", "films", "hit", "hit of noise", "gain", "IoU", "IoU of noise", "boxes' share of the film")

Corners = list[tuple[float, float, float, float]]


def boxed_films(folders: list[Path]) -> dict[str, tuple[Path, str, dict[str, Corners]]]:
    """Official test films with a box: path, patient, and finding -> boxes. Raises InvalidDataset for none."""
    films: dict[str, tuple[Path, str, dict[str, Corners]]] = {}
    for folder in folders:
        table = read_dataset("nih", folder, NIH14)
        boxes: dict[str, dict[str, Corners]] = {}
        for box in read_boxes(folder):
            corners = (box.x, box.y, box.width, box.height)
            boxes.setdefault(box.image, {}).setdefault(box.finding, []).append(corners)
        for row, image in enumerate(table.images):
            if table.splits[row] == "test" and image in boxes:
                films.setdefault(image, (table.paths[row], table.patient_ids[row], boxes[image]))
    if not films:
        raise InvalidDataset("no film of the official test list has a box here")
    return films


def study(model: Model, films: dict[str, tuple[Path, str, dict[str, Corners]]]) -> dict[str, Localisation]:
    """The scores of a model's maps by finding, and of all together."""
    located: dict[str, list[BoxedMap]] = {name: [] for name in model.labels}
    for path, patient, boxes in tqdm(films.values(), unit="film", desc=model.name, disable=None, leave=False):
        film = cxrcore.read_radiograph(path)
        heats = model.analyse(film).heatmaps
        for finding in boxes.keys() & heats.keys():
            scores = locate_heatmap(heats[finding], film, boxes[finding], (NIH_SIDE, NIH_SIDE))
            located[finding].append((*scores, patient))
    found = {name: summarise_boxed(maps) for name, maps in located.items() if maps}
    return found | {ALL: summarise_boxed([one for maps in located.values() for one in maps])}


def rows_of(model: Model, found: dict[str, Localisation]) -> list[list[str]]:
    """The table's rows of a model."""
    rows = []
    for name, one in found.items():
        control = one.control or {}
        hits = SHORT.estimate(one.scores["hit"]), SHORT.estimate(control.get("hit")), GAIN.estimate(one.gain)
        overlap = SHORT.estimate(one.scores["iou"]), SHORT.estimate(control.get("iou"))
        rows.append([model.name, name, str(one.n), *hits, *overlap, SHORT.number(one.chance)])
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
    patients = len({patient for _, patient, _ in films.values()})
    text = f"{table_text([HEADER, *rows])}\n{len(films)} films of {patients} patients, 95 % intervals by patient."
    print(text)
    if options.write:
        write_section(REPORT, "localisation", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
