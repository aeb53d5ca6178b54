"""The record that every dataset is read into: films with their labels and patients, as rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from cxrcore.errors import InvalidDataset
from cxrcore.findings import LabelSet


@dataclass(frozen=True, eq=False)
class FilmTable:
    """N films in rows, C findings in columns. Raises InvalidDataset when columns differ in length, or without films."""

    name: str  # the dataset's, as in the registry
    labels: LabelSet  # C findings, the order of columns in ``targets``
    paths: tuple[Path, ...]  # N files
    images: tuple[str, ...]  # N unique ids that name a film in tables
    patient_ids: tuple[str, ...]  # N
    targets: np.ndarray  # float32 (N, C): 0, 1 or NaN (unknown)
    splits: tuple[str | None, ...]  # N: the source's own split (train, val, test); None where it has none
    metadata: dict[str, tuple[Any, ...]] = field(default_factory=dict)  # N values a column: age_years, sex, view, ...
    notes: tuple[str, ...] = ()  # sentences to show: what was left out, what was assumed

    def __post_init__(self) -> None:
        n = len(self.paths)
        if n == 0:
            raise InvalidDataset(f"no films in dataset {self.name!r}")
        lengths = {len(self.images), len(self.patient_ids), len(self.targets), len(self.splits)}
        lengths |= {len(column) for column in self.metadata.values()}
        if lengths != {n} or self.targets.shape != (n, len(self.labels)):
            raise InvalidDataset(
                f"dataset {self.name!r} has columns of different lengths: {n} films, {sorted(lengths)} rows elsewhere"
            )

    def __len__(self) -> int:
        return len(self.paths)

    def select(self, rows: Sequence[int] | np.ndarray) -> FilmTable:
        """The table with only these rows, in this order."""
        index = np.asarray(rows, dtype=np.int64)
        return replace(
            self,
            paths=tuple(self.paths[i] for i in index),
            images=tuple(self.images[i] for i in index),
            patient_ids=tuple(self.patient_ids[i] for i in index),
            targets=self.targets[index],
            splits=tuple(self.splits[i] for i in index),
            metadata={key: tuple(column[i] for i in index) for key, column in self.metadata.items()},
        )
