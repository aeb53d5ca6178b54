"""A teacher's set of cases from a folder of films: pixels only, numbers for names, the truth inside.

What is written on the pixels themselves cannot be taken off, and is the teacher's to look at.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cxrcore.datasets import folders as class_folders
from cxrcore.datasets.boxes import Box, box_frame, boxes_of, read_boxes
from cxrcore.datasets.case_set import MAX_CASES, MAX_SET_BYTES, SCHEMA, shares_of, write_case_set
from cxrcore.datasets.csv_table import match_films
from cxrcore.datasets.files import find_films, first_ten
from cxrcore.datasets.registry import read_own
from cxrcore.datasets.table import FilmTable
from cxrcore.errors import InvalidDataset, LabelMismatch
from cxrcore.films.radiograph import Radiograph, read_radiograph
from cxrcore.findings import Kind, LabelSet
from cxrcore.predictions.column_names import known_finding
from cxrcore.predictions.import_table import read_labels
from cxrcore.text import size_text

_DEEP = 65535


@dataclass(frozen=True)
class MadeSet:
    """What was written."""

    cases: int
    patients: int
    counts: dict[str, int]  # finding -> cases that have it
    boxes: int
    size_bytes: int
    notes: tuple[str, ...]


def make_case_set(
    folder: Path,
    out: Path,
    labels: Path | None = None,
    boxes: Path | None = None,
    title: str = "",
    findings: Sequence[str] = (),
    count: int | None = None,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> MadeSet:
    """Write the set of the films in ``folder`` to ``out``.

    ``labels``: a label file; else the folder's own (a folder a class, or its CSV). ``boxes``: a file of boxes in pixels
    (image, finding, x, y, width, height); else the folder's. ``findings``: those to ask, all by default; of exclusive
    classes only films of these are taken. ``count``: at most that many films, drawn by their content. ``progress``
    wraps the rows of films. Raises InvalidDataset, InvalidPredictions, LabelMismatch or UnreadableImage, and writes
    nothing then.
    """
    if out.suffix.lower() != ".zip":
        raise InvalidDataset(f"--out names a zip file, such as set.zip, and {out.name!r} is none")
    if not folder.is_dir():
        raise InvalidDataset(f"there is no folder {folder.name!r}")
    table = _own(folder) if labels is None else _labelled(folder, labels)
    table, twins = _without_copies(_asked(table, findings))
    if count is not None and count < len(table):
        table = table.select(range(count))
    if len(table) > MAX_CASES:
        raise InvalidDataset(f"a set has at most {MAX_CASES:,} cases and these are {len(table):,}; give --count")
    marked = _boxes_by_row(table, boxes_of(folder) if boxes is None else read_boxes(boxes), strict=boxes is not None)
    films, shapes = [], []
    for row in progress(range(len(table))):
        film = read_radiograph(table.paths[row])
        films.append(pixels_only(film))
        shapes.append(film.pixels.shape)
        if sum(map(len, films)) > MAX_SET_BYTES:
            raise InvalidDataset(f"these films take more than {size_text(MAX_SET_BYTES)}; give --count")
    index = _index(table, title or folder.resolve().name, films, shapes, marked)
    write_case_set(out, index, films)
    return MadeSet(
        cases=len(table),
        patients=len(set(table.patient_ids)),
        counts={name: int(np.nansum(table.targets[:, k])) for k, name in enumerate(table.labels)},
        boxes=sum(len(case["boxes"]) for case in index["cases"]),
        size_bytes=out.stat().st_size,
        notes=(*table.notes, *twins),
    )


def pixels_only(film: Radiograph) -> bytes:
    """The film as a grey PNG without any text: 16 bits where it has more than 8, and a reader gets the same back."""
    if film.bits > 8:
        content = _png(np.rint(film.pixels * _DEEP).astype(np.uint16))
        again = read_radiograph(content).pixels
        if np.abs(again - film.pixels).max() < 1 / 4096:  # a dark film's white would be guessed from its brightest
            return content
    return _png(np.rint(film.pixels * 255).astype(np.uint8))


def _png(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()


def _own(folder: Path) -> FilmTable:
    """The films with their folder's own labels; classes that a label set knows are called as there, as models do."""
    table = read_own(folder)
    known = class_folders.guess_labels(folder) if table.name == class_folders.READER.name else None
    return class_folders.read_folders(folder, known) if known and len(known) == len(table.labels) else table


def _labelled(folder: Path, labels: Path) -> FilmTable:
    """The films of a folder with the labels of a file; films that it does not list are left out, with a note."""
    known = read_labels(labels)
    names = known.frame["image"].astype(str).tolist()
    films = find_films(folder)
    paths = match_films(names, films, folder)
    rows = [row for row, path in enumerate(paths) if path is not None]
    if not rows:
        raise InvalidDataset(
            f"none of the {len(names):,} labelled films is in {folder.name!r}; the first is {names[0]}"
        )
    taken = [path for path in paths if path is not None]
    if len(set(taken)) < len(taken):
        twice = sorted({path.name for path in taken if taken.count(path) > 1})
        raise InvalidDataset(f"{len(twice)} films are labelled more than once: {first_ten(twice)}")
    frame = known.frame.iloc[rows]
    images = [path.relative_to(folder).as_posix() for path in taken]
    missing = [name for name, path in zip(names, paths, strict=True) if path is None]
    left = (
        (missing, f"labelled films are not in {folder.name!r}"),
        ([path.name for path in films if path not in set(taken)], "films have no label"),
    )
    notes = [f"{len(some):,} {what}, and are left out: {first_ten(some)}." for some, what in left if some]
    return FilmTable(
        name="labelled",
        labels=_label_set(known.findings, known.one_each),
        paths=tuple(taken),
        images=tuple(images),
        patient_ids=tuple(frame["patient_id"].astype(str) if "patient_id" in frame else images),
        targets=frame[[f"target:{name}" for name in known.findings]].to_numpy(np.float32),
        splits=(None,) * len(taken),
        notes=(*known.notes, *notes),
    )


def _label_set(names: Sequence[str], one_each: bool) -> LabelSet:
    kind = Kind.MULTICLASS if one_each and len(names) > 1 else Kind.MULTILABEL
    findings = sorted((known_finding(name) for name in names), key=lambda finding: one_each and not finding.normal)
    return LabelSet("own", kind, tuple(findings))


def _asked(table: FilmTable, findings: Sequence[str]) -> FilmTable:
    """The table with these findings only, those of its films with a known answer to any of them."""
    labels = table.labels
    if findings:
        columns = [labels.index(name) for name in findings]
        if labels.kind is Kind.MULTICLASS and labels.normal is not None and labels.normal not in findings:
            columns.append(labels.index(labels.normal))
        columns = sorted(set(columns))
        if labels.kind is Kind.MULTICLASS and len(columns) < 2:
            raise LabelMismatch(f"of exclusive classes at least two are needed; there are: {', '.join(labels)}")
        labels = replace(labels, name="own", findings=tuple(labels.findings[k] for k in columns))
        table = replace(table, labels=labels, targets=table.targets[:, columns])
    if not labels.abnormal:
        raise InvalidDataset("there is nothing to ask: every finding is a normal class")
    full = np.nansum(table.targets, axis=1) == 1 if labels.kind is Kind.MULTICLASS else _known(table, labels)
    if not full.any():
        raise InvalidDataset(f"no film has a known answer to {', '.join(labels.abnormal)}")
    kept = table.select(np.flatnonzero(full))
    left = len(table) - len(kept)
    return replace(kept, notes=(*kept.notes, f"{left:,} films of other classes are left out.")) if left else kept


def _known(table: FilmTable, labels: LabelSet) -> np.ndarray:
    columns = [labels.index(name) for name in labels.abnormal]
    known: np.ndarray = ~np.isnan(table.targets[:, columns]).all(axis=1)
    return known


def _without_copies(table: FilmTable) -> tuple[FilmTable, list[str]]:
    """Each film once, in an order that only its content decides, so that it tells nothing about classes or patients.

    Raises InvalidDataset where byte-identical films have different labels.
    """
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in table.paths]
    first: dict[str, int] = {}
    for row, digest in enumerate(digests):
        other = first.setdefault(digest, row)
        if not np.array_equal(table.targets[other], table.targets[row], equal_nan=True):
            raise InvalidDataset(f"{table.images[other]} and {table.images[row]} are one film with different labels")
    copies = len(table) - len(first)
    notes = [f"{copies:,} films are copies of others and are left out."] if copies else []
    return table.select([first[digest] for digest in sorted(first)]), notes


def _boxes_by_row(table: FilmTable, boxes: Sequence[Box], strict: bool) -> dict[int, list[Box]]:
    """Row -> boxes of its asked findings. Raises InvalidDataset for a box of a film or finding that is not there."""
    rows: dict[str, int] = {}
    for row, image in enumerate(table.images):
        rows[image] = rows[Path(image).name] = row
    if strict and boxes and not any(box.image in rows for box in boxes):
        raise InvalidDataset(f"none of the boxes is of a film of this set; the first is of {boxes[0].image}")
    marked: dict[int, list[Box]] = {}
    for box in boxes:
        row_of = rows.get(box.image)
        if row_of is None or box.finding not in table.labels:
            continue
        if table.targets[row_of, table.labels.index(box.finding)] != 1:
            raise InvalidDataset(
                f"there is a box of {box.finding} on {box.image}, whose label does not say it is there"
            )
        if not (box.width > 0 and box.height > 0):
            raise InvalidDataset(f"the box of {box.finding} on {box.image} has no area")
        marked.setdefault(row_of, []).append(box)
    return marked


def _index(
    table: FilmTable,
    title: str,
    films: Sequence[bytes],
    shapes: Sequence[tuple[int, ...]],
    marked: dict[int, list[Box]],
) -> dict[str, Any]:
    """The content of ``set.json``. The set's own digest begins each case's name, so that two sets share none."""
    digest = hashlib.sha256(b"".join(hashlib.sha256(film).digest() for film in films)).hexdigest()[:8]
    numbers = {patient: n for n, patient in enumerate(dict.fromkeys(table.patient_ids), start=1)}
    cases = []
    for row, target in enumerate(table.targets.tolist()):
        corners = [
            [box.finding, *(round(v, 5) for v in _shares(box, shapes[row], table.images[row]))]
            for box in marked.get(row, ())
        ]
        cases.append(
            {
                "film": f"films/{row + 1:04d}.png",
                "image": f"{digest}-{row + 1:04d}.png",
                "patient": f"{digest}-{numbers[table.patient_ids[row]]}",
                "targets": {n: None if v != v else int(v) for n, v in zip(table.labels, target, strict=True)},
                "boxes": corners,
            }
        )
    return {"schema": SCHEMA, "title": title[:200], "labels": table.labels.to_dict(), "cases": cases}


def _shares(box: Box, shape: tuple[int, ...], image: str) -> tuple[float, float, float, float]:
    frame = box_frame(Path(image).name) or shape
    left, top, right, bottom = shares_of((box.x, box.y, box.width, box.height), frame)
    if right - left < 1e-4 or bottom - top < 1e-4:
        raise InvalidDataset(f"the box of {box.finding} on {image} lies outside the film")
    return left, top, right, bottom
