"""One set of films composed of several, each in a folder of its own: ``DATA/tb``, ``DATA/kermany``, ``DATA/nih-256``.

``compose.yaml`` in the folder says which parts there are; without one, the parts are ``TB3_PARTS``::

    limit: 1000                    # at most so many films of a class from one source, by whole patients; 0: all
    parts:
      - {folder: tb, dataset: tb, labels: tb2}
      - {folder: nih-256, dataset: nih, labels: nih15, classes: {No Finding: Normal, Pneumonia: Pneumonia},
         absent: [Tuberculosis]}

A film belongs to the class that exactly one of its findings is mapped to (``classes``; without it, findings and classes
have the same names). A film of no or of several classes stays only where the part says which classes it certainly is
not (``absent``): then the others are unknown, and it is learned from and scored as "not that".

Every film keeps its ``source``: its part's own where it has that column, else the part's folder. Films, patients and
official test lists are those of the parts. A part without such a list gives a fixed tenth of its patients to the test,
the same whatever the seed, so that models of different seeds are scored on the same films. Near-duplicate films of two
patients (``duplicates``), within a part or between parts, make them one patient, who is in the test if either was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from cxrcore.datasets import csv_table, folders, kermany, nih, tb
from cxrcore.datasets.duplicates import hash_files, near_pairs
from cxrcore.datasets.files import first_ten, merge_patients, read_text
from cxrcore.datasets.reader import DatasetReader
from cxrcore.datasets.sources import notes_on_sources
from cxrcore.datasets.splits import carve, limited, strata_of
from cxrcore.datasets.table import FilmTable
from cxrcore.errors import InvalidDataset, LabelMismatch
from cxrcore.findings import TB3, Kind, LabelSet, label_set

COMPOSITION = "compose.yaml"
TEST_FRACTION = 0.1  # of the patients of a part without an official test list
_READ: dict[str, Callable[[Path, LabelSet], FilmTable]] = {
    reader.name: reader.read for reader in (kermany.READER, nih.READER, tb.READER, folders.READER, csv_table.READER)
}


@dataclass(frozen=True)
class Part:
    """One of the sets, as an entry of ``parts``. Raises InvalidDataset for an unknown dataset or label set."""

    folder: str  # below the folder of the whole
    dataset: str  # its reader
    labels: str  # the label set it is read with
    classes: dict[str, str] = field(default_factory=dict)  # finding of ``labels`` -> class of the whole
    absent: tuple[str, ...] = ()  # classes of the whole that the part's other films certainly do not have

    def __post_init__(self) -> None:
        if self.dataset not in _READ:
            raise InvalidDataset(f"part {self.folder!r}: no dataset {self.dataset!r}; there are: {', '.join(_READ)}")
        try:
            strange = sorted(set(self.classes) - set(label_set(self.labels)))
        except LabelMismatch as error:
            raise InvalidDataset(f"part {self.folder!r}: {error}") from None
        if strange:
            raise InvalidDataset(f"part {self.folder!r}: {self.labels} has no finding {', '.join(strange)}")


@dataclass(frozen=True)
class Composition:
    """The parts, and how many films of a class one source may give."""

    parts: tuple[Part, ...]
    limit: int = 0


# In each population that has them, films of every class: children with and without pneumonia, adults of NIH with no
# finding, with pneumonia, and with other findings (no tuberculosis, else unknown).
TB3_PARTS = Composition(
    (
        Part("tb", "tb", "tb2"),
        Part("kermany", "kermany", "pneumonia2"),
        Part("nih-256", "nih", "nih15", {"No Finding": "Normal", "Pneumonia": "Pneumonia"}, absent=("Tuberculosis",)),
    ),
    limit=1000,
)


def read_composed(folder: Path, labels: LabelSet = TB3) -> FilmTable:
    """The films of every part that is there, as one table. Raises InvalidDataset as the parts' readers do."""
    if labels.kind is not Kind.MULTICLASS:
        raise InvalidDataset(f"composed sets have exclusive classes, and {labels.name} is no such set")
    composition = composition_of(folder)
    present = [part for part in composition.parts if (folder / part.folder).is_dir()]
    if not present:
        raise InvalidDataset(f"no part in {folder.name!r}: expected {', '.join(p.folder for p in composition.parts)}")
    tables = [_read_part(part, folder / part.folder, labels, composition.limit) for part in present]
    images = [image for table in tables for image in table.images]
    if len(set(images)) < len(images):
        twice = sorted(image for image, count in Counter(images).items() if count > 1)
        raise InvalidDataset(f"{len(twice)} films of several parts have the same name: {first_ten(twice)}")
    metadata = {
        name: tuple(value for t in tables for value in t.metadata.get(name, _blank(name, tables, len(t))))
        for name in dict.fromkeys(name for table in tables for name in table.metadata)
    }
    targets = np.concatenate([table.targets for table in tables])
    absent = [part.folder for part in composition.parts if part not in present]
    notes = [f"{part.folder}: {note}" for part, table in zip(present, tables, strict=True) for note in table.notes]
    notes += [f"Parts that are not here: {', '.join(absent)}."] if absent else []
    whole = FilmTable(
        name="composed",
        labels=labels,
        paths=tuple(path for table in tables for path in table.paths),
        images=tuple(images),
        patient_ids=tuple(patient for table in tables for patient in table.patient_ids),
        targets=targets,
        splits=tuple(split for table in tables for split in table.splits),
        metadata=metadata,
        notes=(*notes, *notes_on_sources(metadata["source"], targets, labels)),
    )
    return _merge_duplicates(whole)


def _merge_duplicates(table: FilmTable) -> FilmTable:
    """Patients who share a near-duplicate film become one, all in the test where one of them is."""
    pairs = near_pairs(hash_files(table.paths))
    twins = [(a, b) for a, b in pairs.tolist() if table.patient_ids[a] != table.patient_ids[b]]
    patients = merge_patients(table.patient_ids, twins)
    tested = {patient for patient, split in zip(patients, table.splits, strict=True) if split == "test"}
    sources = table.metadata["source"]
    count = Counter(" and ".join(sorted({sources[a], sources[b]})) for a, b in twins)
    summary = ", ".join(f"{number:,} in {where}" for where, number in count.most_common())
    notes = (f"Pairs of near-duplicate films, whose patients count as one: {summary}.",) if twins else ()
    return replace(
        table,
        patient_ids=tuple(patients),
        splits=tuple("test" if patient in tested else None for patient in patients),
        notes=(*table.notes, *notes),
    )


def composition_of(folder: Path) -> Composition:
    """The folder's ``compose.yaml``, or ``TB3_PARTS``. Raises InvalidDataset for a file that is not as described."""
    file = folder / COMPOSITION
    if not file.is_file():
        return TB3_PARTS
    try:
        data: Any = yaml.safe_load(read_text(file))
        known = {field.name for field in fields(Part)}
        if strange := sorted(
            (set(data) - {"parts", "limit"}) | {key for part in data["parts"] for key in part} - known
        ):
            raise InvalidDataset(f"{COMPOSITION}: unknown keys {', '.join(map(str, strange))}")
        parts = tuple(Part(**(part | {"absent": tuple(part.get("absent", ()))})) for part in data["parts"])
        return Composition(parts, int(data.get("limit", 0)))
    except (yaml.YAMLError, KeyError, TypeError, ValueError):
        raise InvalidDataset(
            f"{COMPOSITION} is no composition: expected parts, a list with folder, dataset and labels for each"
        ) from None


def _read_part(part: Part, folder: Path, labels: LabelSet, limit: int) -> FilmTable:
    """A part's films of a class or certainly not of one, in the columns of the whole, with its test patients."""
    table = _READ[part.dataset](folder, label_set(part.labels))
    notes = list(table.notes)
    table = replace(table, labels=labels, targets=_translated(part, table, labels))
    table = replace(table, metadata={"source": (part.folder,) * len(table)} | table.metadata)
    table = table.select(np.flatnonzero(~np.isnan(table.targets).all(axis=1)))
    if "test" not in table.splits:
        carved = carve(table, False, TEST_FRACTION, TEST_FRACTION, seed=0)
        table = replace(table, splits=tuple("test" if split == "test" else None for split in carved))
        notes.append(f"a fixed {TEST_FRACTION:.0%} of its patients are the test.")
    strata = strata_of(table)
    kinds = [limited(table.select(np.flatnonzero(strata == k)), limit, seed=0) for k in np.unique(strata)]
    kept = {image for kind in kinds for image in kind.images}
    if len(kept) < len(table):
        notes.append(f"{len(kept):,} of {len(table):,} films are used, at most {limit:,} of a class from one source.")
    rows = [row for row, image in enumerate(table.images) if image in kept]
    return replace(table.select(rows), notes=tuple(notes))


def _translated(part: Part, table: FilmTable, labels: LabelSet) -> np.ndarray:
    """The targets in the columns of ``labels``, float32 (N, C); a row all NaN is to be left out."""
    classes = part.classes or {name: name for name in table.labels}
    if strange := sorted((set(classes.values()) | set(part.absent)) - set(labels)):
        raise InvalidDataset(f"part {part.folder!r}: {labels.name} has no class {', '.join(strange)}")
    has = np.zeros((len(table), len(labels)), dtype=bool)
    for finding, name in classes.items():
        has[:, labels.index(name)] |= table.targets[:, table.labels.index(finding)] == 1
    other = np.array([0 if name in part.absent else np.nan for name in labels], np.float32)
    return np.where(has.sum(axis=1, keepdims=True) == 1, has.astype(np.float32), other)


def _blank(name: str, tables: list[FilmTable], count: int) -> tuple[Any, ...]:
    """Empty values of a column that other parts have: "" of text, NaN of numbers."""
    values = next(table.metadata[name] for table in tables if name in table.metadata)
    return ("" if isinstance(values[0], str) else np.nan,) * count


READER = DatasetReader(
    name="composed",
    read=read_composed,
    recognise=lambda folder: (
        (folder / COMPOSITION).is_file() or all((folder / p.folder).is_dir() for p in TB3_PARTS.parts)
    ),
    usual_labels=lambda _: TB3,
    title="Films of several collections: tuberculosis (Pakistan, Rahman et al.), Kermany et al. 2018, NIH ChestX-ray14",
    who="adults of several hospitals with and without tuberculosis, children of one to five years, adults of NIH",
    test_split="fixed",
)
