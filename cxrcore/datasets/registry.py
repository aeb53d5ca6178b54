"""Datasets by name: which there are, how to read one, and which one a folder holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cxrcore.datasets import composed, csv_table, kermany, nih, phantoms, tb
from cxrcore.datasets import folders as class_folders
from cxrcore.datasets.files import first_ten
from cxrcore.datasets.reader import DatasetReader
from cxrcore.datasets.table import FilmTable
from cxrcore.errors import InvalidDataset
from cxrcore.findings import LabelSet

READERS: tuple[DatasetReader, ...] = (
    composed.READER,  # before those whose folders it holds
    kermany.READER,
    nih.READER,
    tb.READER,
    class_folders.READER,
    csv_table.READER,
    phantoms.READER,
)
DATASETS: dict[str, DatasetReader] = {reader.name: reader for reader in READERS}
_GENERAL = (csv_table.READER, class_folders.READER)  # layouts that any films may have: tried last, the surer one first


def read_dataset(name: str, folder: Path, labels: LabelSet, folders: Sequence[str] = ()) -> FilmTable:
    """The films of a known dataset below ``folder``. Raises InvalidDataset when either is not what it should be.

    ``folders``: which copies of the films to read as one set, for a dataset of which several may lie there (nih).
    """
    refuse_unknown(name, folder)
    if not folders:
        return DATASETS[name].read(folder, labels)
    if not DATASETS[name].takes_folders:
        raise InvalidDataset(f"{name} has one place for its films, and takes no folders {first_ten(list(folders))}")
    return DATASETS[name].read(folder, labels, folders)


def refuse_unknown(name: str, folder: Path) -> None:
    """Raise InvalidDataset when there is no such dataset, or no such folder."""
    if name not in DATASETS:
        raise InvalidDataset(f"no dataset {name!r}; there are: {', '.join(DATASETS)}")
    if not folder.is_dir():
        raise InvalidDataset(f"there is no folder {folder.name!r}; give the one that holds the {name} films")


def detect_dataset(folder: Path) -> str:
    """The name of the dataset whose layout the folder has, e.g. "nih". Raises InvalidDataset when it has none."""
    if not folder.is_dir():
        raise InvalidDataset(f"there is no folder {folder.name!r}")
    particular = [reader for reader in READERS if reader not in _GENERAL]
    for reader in (*particular, *_GENERAL):
        if reader.recognise(folder):
            return reader.name
    raise InvalidDataset(
        f"no dataset in {folder.name!r}: expected NIH's films and CSV, Kermany's chest_xray, tb's films.csv, a "
        f"folder a class, a CSV with a column a finding, phantoms, or several of them with a compose.yaml"
    )


def read_own(folder: Path) -> FilmTable:
    """The films of a folder with the labels that it gives them, whatever these are.

    Of a known dataset, its usual label set; of a CSV, every column of 0 and 1 as a finding; else a class a sub-folder.
    Raises InvalidDataset where there are no labels, and as the readers do.
    """
    if not folder.is_dir():
        raise InvalidDataset(f"there is no folder {folder.name!r}")
    for reader in READERS:
        if reader not in _GENERAL and reader.recognise(folder):
            return read_dataset(reader.name, folder, usual_labels(reader.name, folder))
    if csv_table.READER.recognise(folder):
        return csv_table.read_own_table(folder)
    return class_folders.read_folders(folder, class_folders.own_labels(folder))


def folder_of(data: Path) -> Path:
    """The folder itself, or that of a label table. Raises InvalidDataset unless that is the only table there."""
    if not data.is_file():
        return data
    others = [path.name for path in sorted(data.parent.glob("*.csv")) if path != data]
    if data.suffix.lower() != ".csv" or others:
        beside = f" beside {others[0]}" if others else ""
        raise InvalidDataset(f"{data.name!r}{beside}: give a folder, or a CSV that is the only one in its folder")
    return data.parent


def usual_labels(name: str, folder: Path) -> LabelSet:
    """The label set to read a dataset with when none is named. Raises InvalidDataset when none fits the folder."""
    refuse_unknown(name, folder)
    labels = DATASETS[name].usual_labels(folder)
    if labels is None:
        raise InvalidDataset(f"the classes or columns in {folder.name!r} are those of no known label set; name one")
    return labels
