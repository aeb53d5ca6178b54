"""Films with and without tuberculosis from several hospitals, each film named after its source: ``source-number.jpg``.

Either ``films.csv`` (image, class, source, number) with the films below ``films`` or below the folder itself, or a
folder a class (``Normal``, ``Tuberculosis``) whose file names say the same (``Tuberculosis-12.png``). Two things decide
whether a score on such a set is valid:

- No patients are known. Neighbours in a source's numbering may be one person's films, so ``BLOCK`` consecutive numbers
  (1 to 10, 11 to 20, ...) of a source count as one patient and stay in one split.
- Each source has films of one class, so that a network can learn the source (a corner mark, white boxes, framing)
  instead of the disease. Notes say so; ``data.leave_out`` scores a source that no training film came from.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from cxrcore.datasets.files import find_films, first_ten, read_table, subfolders
from cxrcore.datasets.reader import DatasetReader
from cxrcore.datasets.sources import notes_on_sources
from cxrcore.datasets.table import FilmTable
from cxrcore.errors import InvalidDataset
from cxrcore.findings import TB2, TB3, LabelSet

LABEL_SETS = {labels.name: labels for labels in (TB2, TB3)}
LISTING = "films.csv"
BLOCK = 10  # consecutive numbers of a source that count as one patient
_COLUMNS = ("image", "class", "source", "number")
_NAME = re.compile(r"(.+?)[-_ ]?\(?(\d+)\)?")  # rahman-tb-00012, Tuberculosis-12, "Normal (12)"

Row = tuple[str, Path, str, str, int]  # image id, file, class, source, number


def read_tb(folder: Path, labels: LabelSet = TB2) -> FilmTable:
    """The films in ``folder`` with ``source`` and ``number``; the label set tb3 leaves Pneumonia without a film.

    Raises InvalidDataset, with the first ten names, for a class that is neither Normal nor Tuberculosis, listed films
    that are missing or listed twice, names without a number, and for a class without films.
    """
    if labels.name not in LABEL_SETS:
        raise InvalidDataset(f"tb has no labels {labels.name!r}; choose one of: {', '.join(LABEL_SETS)}")
    rows = _listed(folder) if (folder / LISTING).is_file() else _named(folder)
    images, paths, classes, sources, numbers = zip(*rows, strict=True)
    if empty := [name for name in TB2 if name not in classes]:
        raise InvalidDataset(f"no films of {', '.join(empty)} in {folder.name!r}; the download may be incomplete")
    targets = np.eye(len(labels), dtype=np.float32)[[labels.index(name) for name in classes]]
    return FilmTable(
        name="tb",
        labels=labels,
        paths=paths,
        images=images,
        patient_ids=tuple(f"{source}-{(n - 1) // BLOCK}" for source, n in zip(sources, numbers, strict=True)),
        targets=targets,
        splits=(None,) * len(rows),
        metadata={"source": sources, "number": numbers},
        notes=(
            f"No patients are known: {BLOCK} consecutive numbers of a source count as one patient.",
            *notes_on_sources(sources, targets, labels),
        ),
    )


def _listed(folder: Path) -> list[Row]:
    frame = read_table(folder / LISTING, dtype={"image": str, "class": str, "source": str})
    if absent := [name for name in _COLUMNS if name not in frame.columns]:
        raise InvalidDataset(f"{LISTING} lacks {', '.join(absent)}: expected the columns {', '.join(_COLUMNS)}")
    if frame.empty or frame[list(_COLUMNS)].isna().any(axis=None) or frame["number"].dtype.kind != "i":
        raise InvalidDataset(f"{LISTING} has no rows, empty fields, or numbers that are not whole")
    root = folder / "films" if (folder / "films").is_dir() else folder
    images = frame["image"].tolist()
    there = {path.relative_to(root).as_posix(): path for path in find_films(root)}
    strange = frame.loc[~frame["class"].isin(list(TB2)), "class"]
    problems = {
        f"classes other than {' and '.join(TB2)} in {LISTING}": sorted(set(strange)),
        f"films that {LISTING} lists more than once": sorted(set(frame.loc[frame["image"].duplicated(), "image"])),
        f"films that {LISTING} lists and that are not there": [image for image in images if image not in there],
        f"films that {LISTING} does not list": sorted(there.keys() - set(images)),
    }
    if found := [f"{len(names):,} {what}: {first_ten(names)}" for what, names in problems.items() if names]:
        raise InvalidDataset("; ".join(found))
    columns = (frame[name].tolist() for name in ("class", "source", "number"))
    return [(image, there[image], *facts) for image, *facts in zip(images, *columns, strict=True)]


def _named(folder: Path) -> list[Row]:
    root, rows, unnumbered = folder / "films" if (folder / "films").is_dir() else folder, [], []
    for place in subfolders(root):
        for path in find_films(place) if place.name in TB2 else ():
            match = _NAME.fullmatch(path.stem)
            if match is None:
                unnumbered.append(path.name)
            else:
                rows.append((path.relative_to(root).as_posix(), path, place.name, match[1], int(match[2])))
    if unnumbered:
        raise InvalidDataset(
            f"{len(unnumbered):,} names in {folder.name!r} lack a number, as in source-12.png: "
            f"{first_ten(unnumbered)}; read films of any name with --dataset folders"
        )
    if not rows:
        raise InvalidDataset(f"no films in {folder.name!r}: expected {LISTING}, or folders {' and '.join(TB2)}")
    return rows


def _has_layout(folder: Path) -> bool:
    """Whether there is a films.csv of ours, or exactly the two class folders with numbered films."""
    if (folder / LISTING).is_file():
        try:
            return set(_COLUMNS) <= set(read_table(folder / LISTING, nrows=0).columns)
        except InvalidDataset:
            return False
    root = folder / "films" if (folder / "films").is_dir() else folder
    places = subfolders(root)
    if {place.name for place in places} != set(TB2):
        return False
    return all(_NAME.fullmatch(path.stem) for place in places for path in find_films(place))


READER = DatasetReader(
    name="tb",
    read=read_tb,
    recognise=_has_layout,
    usual_labels=lambda _: TB2,
    title="Films with and without tuberculosis of several public collections",
    who="mostly adults of several hospitals; each source has films of one class",
)
