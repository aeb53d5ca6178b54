"""What the registry knows of a dataset: how its folder is recognised and read, and where its films come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cxrcore.datasets.table import FilmTable
from cxrcore.findings import LabelSet


@dataclass(frozen=True)
class DatasetReader:
    """One source of films. A new one is a file with a ``READER`` and its line in ``registry.READERS``."""

    name: str  # as in --dataset and in recipes
    read: Callable[..., FilmTable]  # of (folder, labels), and folders where it takes_folders; raises InvalidDataset
    recognise: Callable[[Path], bool]  # whether a folder has this layout
    usual_labels: Callable[[Path], LabelSet | None]  # to read it with unless told otherwise; None: none fits
    title: str
    who: str  # the patients: age, hospital
    license: str = "as their source says"
    url: str = ""
    test_split: str = "official"  # what its test patients are, where it names them: a key of ``split_origins``
    takes_folders: bool = False  # several copies of the films may lie there: read(folder, labels, folders)

    @property
    def provenance(self) -> dict[str, str]:
        """The source as a bundle's config and model card give it."""
        return {"title": self.title, "url": self.url, "license": self.license, "who": self.who}
