"""A folder a class, as image tools expect: ``normal/*.png``, or ``train/normal/*.png`` with val and test beside it.

Names as Kermany's and NIH's tell who the patient is; else each film is its own. Byte-identical films are one. Class
folders are found by their usual names in any case (``NORMAL``, ``healthy``, ``TB``); those of other classes are left
out, with a note.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from cxrcore.datasets.files import digests_of_suspects, find_films, first_ten, merge_copies, subfolders
from cxrcore.datasets.kermany import patient_of
from cxrcore.datasets.reader import DatasetReader
from cxrcore.datasets.table import FilmTable
from cxrcore.errors import InvalidDataset
from cxrcore.findings import LABEL_SETS, TB3, Finding, Kind, LabelSet

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
_NIH_NAME = re.compile(r"(\d{8})_\d{3}")
_ALIASES = {  # beside a finding's own name; letters and digits only, lower case
    "Normal": ("healthy", "nofinding", "nofindings", "negative"),
    "Pneumonia": ("lungpneumonia",),
    "Tuberculosis": ("tb", "tbc", "turberculosis"),  # the last is how the collection everybody has spells it
    "Bacterial pneumonia": ("bacterial", "bacteria", "pneumoniabacterial", "pneumoniabacteria"),
    "Viral pneumonia": ("viral", "virus", "pneumoniaviral", "pneumoniavirus"),
}


def read_folders(folder: Path, labels: LabelSet = TB3) -> FilmTable:
    """The films of the class folders below ``folder``, with train, val and test where such folders hold the classes.

    Raises InvalidDataset when the classes are not exclusive, when a class has no folder or no film.
    """
    if labels.kind is not Kind.MULTICLASS:
        raise InvalidDataset(
            f"in a folder a class each film has one class, and {labels.name} is no such set; choose one of: "
            f"{', '.join(n for n, known in LABEL_SETS.items() if known.kind is Kind.MULTICLASS)}"
        )
    root, parts = _split_folders(folder)
    names = {_plain(alias): finding for finding in labels for alias in (finding, *_ALIASES.get(finding, ()))}
    paths: list[Path] = []
    classes: list[str] = []
    splits: list[str | None] = []
    ignored: dict[str, int] = {}
    for split, part in parts:
        for place in subfolders(part):
            films = find_films(place)
            finding = names.get(_plain(place.name))
            if finding is None:
                ignored[place.name] = ignored.get(place.name, 0) + len(films)
                continue
            paths += films
            classes += [finding] * len(films)
            splits += [split] * len(films)
    if empty := [finding for finding in labels if finding not in classes]:
        raise InvalidDataset(
            f"no films of {', '.join(empty)} in {folder.name!r}: expected a folder of that name for each of "
            f"{', '.join(labels)}, or inside train, val and test"
        )
    digests = digests_of_suspects(paths)
    images = [path.relative_to(root).as_posix() for path in paths]
    notes = [
        f"Folder {name!r} is outside the label set {labels.name}: its {count:,} films are left out."
        for name, count in sorted(ignored.items())
    ]
    notes += _notes_on_copies(images, classes, digests)
    return FilmTable(
        name="folders",
        labels=labels,
        paths=tuple(paths),
        images=tuple(images),
        patient_ids=tuple(
            merge_copies([_patient(path, image) for path, image in zip(paths, images, strict=True)], digests)
        ),
        targets=np.eye(len(labels), dtype=np.float32)[[labels.index(name) for name in classes]],
        splits=tuple(splits),
        notes=tuple(notes),
    )


def _patient(path: Path, image: str) -> str:
    """The patient in names such as ``person7_virus_2.jpeg`` and ``00000013_005.png``; the film itself in others."""
    if match := _NIH_NAME.fullmatch(path.stem):
        return match[1]
    named = patient_of(path)
    return image if named == path.stem else named


def own_labels(folder: Path) -> LabelSet:
    """The folders with films as exclusive classes, the normal one first. Raises InvalidDataset for under two."""
    _, parts = _split_folders(folder)
    names = sorted({place.name for _, part in parts for place in subfolders(part) if find_films(place)})
    if len(names) < 2:
        raise InvalidDataset(
            f"no labels in {folder.name!r}: expected a CSV with columns of 0 and 1, or a folder a class"
        )
    known = {_plain(alias): finding for finding, others in _ALIASES.items() for alias in (finding, *others)}
    described = {name: labels[name] for labels in LABEL_SETS.values() for name in labels}
    findings = [
        replace(described[known[_plain(name)]], name=name) if _plain(name) in known else Finding(name, "")
        for name in names
    ]
    return LabelSet("own", Kind.MULTICLASS, tuple(sorted(findings, key=lambda finding: not finding.normal)))


def guess_labels(folder: Path) -> LabelSet | None:
    """The largest set of exclusive classes which all have a folder here; None where there is none."""
    _, parts = _split_folders(folder)
    names = {_plain(place.name) for _, part in parts for place in subfolders(part)}
    fitting = [
        labels
        for labels in LABEL_SETS.values()
        if labels.kind is Kind.MULTICLASS
        and all(names & {_plain(alias) for alias in (name, *_ALIASES.get(name, ()))} for name in labels)
    ]
    return max(fitting, key=len, default=None)


def _split_folders(folder: Path) -> tuple[Path, list[tuple[str | None, Path]]]:
    """Where the classes or the splits lie (an archive's single outer folder is entered), and the folders of classes."""
    inner = subfolders(folder)
    if len(inner) == 1 and inner[0].name.lower() not in SPLIT_NAMES and subfolders(inner[0]):
        return _split_folders(inner[0])
    parts = [(SPLIT_NAMES[p.name.lower()], p) for p in inner if p.name.lower() in SPLIT_NAMES]
    return folder, list(parts) or [(None, folder)]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _notes_on_copies(images: list[str], classes: list[str], digests: list[bytes | None]) -> list[str]:
    first: dict[bytes, int] = {}
    copies, torn = 0, []
    for row, digest in enumerate(digests):
        if digest is None:
            continue
        other = first.setdefault(digest, row)
        copies += other != row
        if classes[other] != classes[row]:
            torn.append(f"{images[other]} and {images[row]}")
    notes = [f"{copies:,} films are byte-identical copies of others; copies count as one patient."] if copies else []
    if torn:
        notes.append(f"{len(torn)} copies lie in another class than their twin: {first_ten(torn)}.")
    return notes


READER = DatasetReader(
    name="folders",
    read=read_folders,
    recognise=lambda folder: guess_labels(folder) is not None,
    usual_labels=guess_labels,
    title="Films in one folder a class",
    who="patients of whom the folders say nothing",
)
