"""Kermany 2018, doi:10.1016/j.cell.2018.02.010: children's films, normal, bacterial and viral pneumonia.

The layout is the one everybody has: ``chest_xray/{train,val,test}/{NORMAL,PNEUMONIA}/*.jpeg``. Three quirks decide
whether a score on it is valid:

- A patient is ``(type, N)`` in ``personN_type_M.jpeg``: numbering restarts per type, so the same N twice is two
  patients; ``IM-N`` and ``NORMAL2-IM-N`` are two more series of their own.
- The official ``val`` holds 16 films; it joins ``train``, and validation is carved by patient.
- Some films are there twice under different names; byte-identical films count as one patient.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from cxrcore.datasets.files import digests_of_suspects, merge_copies, subfolders
from cxrcore.datasets.reader import DatasetReader
from cxrcore.datasets.table import FilmTable
from cxrcore.errors import InvalidDataset
from cxrcore.findings import PNEUMONIA2, PNEUMONIA3, TB3, LabelSet

LABEL_SETS = {labels.name: labels for labels in (PNEUMONIA2, PNEUMONIA3, TB3)}
_NORMAL = re.compile(r"(NORMAL2-)?IM-(\d+)")
_PNEUMONIA = re.compile(r"person(\d+)_(bacteria|virus)")
_SUFFIXES = {".jpeg", ".jpg", ".png"}


def read_kermany(folder: Path, labels: LabelSet = PNEUMONIA2) -> FilmTable:
    """The films under ``folder`` (or its ``chest_xray``), with patients, and ``test`` where the official one is there.

    A folder with ``test`` alone can be scored. Raises InvalidDataset when the layout is another, or a class is empty.
    """
    if labels.name not in LABEL_SETS:
        raise InvalidDataset(f"kermany has no labels {labels.name!r}; choose one of: {', '.join(LABEL_SETS)}")
    root = folder / "chest_xray" if (folder / "chest_xray").is_dir() else folder
    if not any((root / part).is_dir() for part in ("train", "test")):
        raise InvalidDataset(
            f"no kermany films in {folder.name!r}: expected chest_xray/train/NORMAL and chest_xray/train/PNEUMONIA"
        )
    paths = [
        path
        for part in ("train", "val", "test")
        for kind in ("NORMAL", "PNEUMONIA")
        for path in sorted((root / part / kind).glob("*"))
        if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")
    ]
    kinds = [_kind(path) for path in paths]
    for name in ("NORMAL", "PNEUMONIA"):
        if not any(path.parent.name == name for path in paths):
            raise InvalidDataset(f"no films in {name} of the kermany folder; the download may be incomplete")
    return FilmTable(
        name="kermany",
        labels=labels,
        paths=tuple(paths),
        images=tuple(path.relative_to(root).as_posix() for path in paths),
        patient_ids=tuple(merge_copies([patient_of(path) for path in paths], digests_of_suspects(paths))),
        targets=np.stack([_target(kind, labels) for kind in kinds]),
        splits=tuple("test" if path.parent.parent.name == "test" else None for path in paths),
        metadata={"kind": tuple(kinds)},
    )


def _has_layout(folder: Path) -> bool:
    """Whether ``folder`` has Kermany's two class folders and file names."""
    root = folder / "chest_xray" if (folder / "chest_xray").is_dir() else folder
    train = root / "train"
    if not train.is_dir() or {path.name for path in subfolders(train)} != {"NORMAL", "PNEUMONIA"}:
        return False
    return all(
        any(pattern.match(path.name) for path in (train / kind).glob("*"))
        for kind, pattern in (("NORMAL", _NORMAL), ("PNEUMONIA", _PNEUMONIA))
    )


def _kind(path: Path) -> str:
    if path.parent.name == "NORMAL":
        return "normal"
    match = _PNEUMONIA.match(path.name)
    return match[2] if match else "pneumonia"


def patient_of(path: Path) -> str:
    """The patient in a file's name, e.g. ``person7_virus_2.jpeg``: "virus-7"; the name itself where it holds none."""
    if match := _PNEUMONIA.match(path.name):
        return f"{match[2]}-{int(match[1])}"
    if match := _NORMAL.match(path.name):
        return f"{'normal2' if match[1] else 'normal'}-{int(match[2])}"
    return path.stem


def _target(kind: str, labels: LabelSet) -> np.ndarray:
    column = {"normal": 0, "bacteria": 1, "virus": 2 if labels.name == PNEUMONIA3.name else 1, "pneumonia": 1}[kind]
    if kind == "pneumonia" and labels.name == PNEUMONIA3.name:
        raise InvalidDataset("a pneumonia film's name says neither bacteria nor virus, so three classes cannot be told")
    values: np.ndarray = np.eye(len(labels), dtype=np.float32)[column]
    return values


READER = DatasetReader(
    name="kermany",
    read=read_kermany,
    recognise=_has_layout,
    usual_labels=lambda _: PNEUMONIA2,
    title="Kermany et al. 2018, Labeled Optical Coherence Tomography and Chest X-Ray Images",
    who="children of one to five years, one hospital (Guangzhou)",
    license="CC BY 4.0",
    url="https://doi.org/10.17632/rscbjbr9sj.2",
)
