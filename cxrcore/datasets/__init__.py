"""Film collections, one file a layout; ``read_dataset`` opens them by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cxrcore.datasets import csv_table, folders
from cxrcore.datasets.csv_table import read_csv_table
from cxrcore.datasets.folders import read_folders
from cxrcore.datasets.kermany import looks_like_kermany, read_kermany
from cxrcore.datasets.nih import label_file, read_nih
from cxrcore.datasets.phantoms import TABLE, read_phantoms
from cxrcore.datasets.table import FilmTable
from cxrcore.errors import InvalidDataset
from cxrcore.findings import NIH14, PHANTOM5, PNEUMONIA2, LabelSet

DATASETS: dict[str, Callable[[Path, LabelSet], FilmTable]] = {
    "kermany": read_kermany,
    "nih": read_nih,
    "folders": read_folders,
    "csv": read_csv_table,
    "phantom": read_phantoms,
}

SOURCES: dict[str, dict[str, str]] = {
    "kermany": {
        "title": "Kermany et al. 2018, Labeled Optical Coherence Tomography and Chest X-Ray Images",
        "url": "https://doi.org/10.17632/rscbjbr9sj.2",
        "license": "CC BY 4.0",
        "who": "children of one to five years, one hospital (Guangzhou)",
    },
    "nih": {
        "title": "Wang et al. 2017, NIH ChestX-ray14",
        "url": "https://nihcc.app.box.com/v/ChestXray-NIHCC",
        "license": "unrestricted; link the source, acknowledge the NIH Clinical Center, cite the paper",
        "who": "mostly adults, one hospital (NIH Clinical Center, Bethesda), labels mined from reports by a program",
    },
    "folders": {
        "title": "Films in one folder a class",
        "url": "",
        "license": "as their source says",
        "who": "patients of whom the folders say nothing",
    },
    "csv": {
        "title": "Films listed in a CSV, one column a finding",
        "url": "",
        "license": "as their source says",
        "who": "patients of whom the table says nothing more",
    },
    "phantom": {
        "title": "Synthetic films drawn from seeds by this project",
        "url": "",
        "license": "Apache-2.0",
        "who": "nobody: drawings with planted findings, no films of people",
    },
}


def read_dataset(name: str, folder: Path, labels: LabelSet) -> FilmTable:
    """The films of a known source under ``folder``. Raises InvalidDataset when either is not what it should be."""
    refuse_unknown(name, folder)
    return DATASETS[name](folder, labels)


def refuse_unknown(name: str, folder: Path) -> None:
    """Raises InvalidDataset when there is no such dataset, or no such folder."""
    if name not in DATASETS:
        raise InvalidDataset(f"no dataset {name!r}; there are: {', '.join(DATASETS)}")
    if not folder.is_dir():
        raise InvalidDataset(f"there is no folder {folder.name!r}; give the one that holds the {name} films")


def detect_dataset(folder: Path) -> str:
    """Which of DATASETS the folder's layout is. Raises InvalidDataset when it is none of them."""
    if not folder.is_dir():
        raise InvalidDataset(f"there is no folder {folder.name!r}")
    if (folder / TABLE).is_file():
        return "phantom"
    if label_file(folder):
        return "nih"
    if looks_like_kermany(folder):
        return "kermany"
    if any(path.name.lower().endswith((".csv", ".csv.gz")) for path in folder.iterdir()):
        return "csv"
    if folders.guess_labels(folder):
        return "folders"
    raise InvalidDataset(
        f"no dataset in {folder.name!r}: expected NIH's films and CSV, Kermany's chest_xray, a folder a class, "
        f"a CSV with a column a finding, or phantoms"
    )


def usual_labels(name: str, folder: Path) -> LabelSet:
    """The label set to read a dataset with when nobody said. Raises InvalidDataset when nothing here fits one."""
    refuse_unknown(name, folder)
    known = {"kermany": PNEUMONIA2, "nih": NIH14, "phantom": PHANTOM5}
    if name in known:
        return known[name]
    found = folders.guess_labels(folder) if name == "folders" else csv_table.guess_labels(folder)
    if found is None:
        raise InvalidDataset(f"the classes or columns in {folder.name!r} are those of no known label set; name one")
    return found
