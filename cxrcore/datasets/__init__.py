"""Public film collections, one file a source; ``read_dataset`` opens them by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cxrcore.datasets.kermany import read_kermany
from cxrcore.datasets.table import FilmTable
from cxrcore.errors import InvalidDataset
from cxrcore.findings import LabelSet

DATASETS: dict[str, Callable[[Path, LabelSet], FilmTable]] = {"kermany": read_kermany}

SOURCES: dict[str, dict[str, str]] = {
    "kermany": {
        "title": "Kermany et al. 2018, Labeled Optical Coherence Tomography and Chest X-Ray Images",
        "url": "https://doi.org/10.17632/rscbjbr9sj.2",
        "license": "CC BY 4.0",
        "who": "children of one to five years, one hospital (Guangzhou)",
    },
}


def read_dataset(name: str, folder: Path, labels: LabelSet) -> FilmTable:
    """The films of a known source under ``folder``. Raises InvalidDataset when either is not what it should be."""
    if name not in DATASETS:
        raise InvalidDataset(f"no dataset {name!r}; there are: {', '.join(DATASETS)}")
    if not folder.is_dir():
        raise InvalidDataset(f"there is no folder {folder.name!r}; give the {name} films' folder with --data")
    return DATASETS[name](folder, labels)
