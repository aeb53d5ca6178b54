"""Films with their labels and patients, as rows: what every dataset becomes before it is trained or scored on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from cxrcore.errors import InvalidDataset
from cxrcore.findings import LabelSet


@dataclass(frozen=True, eq=False)
class FilmTable:
    """N films in rows. Raises InvalidDataset when its columns differ in length or it is empty."""

    name: str  # the dataset
    labels: LabelSet
    paths: tuple[Path, ...]
    images: tuple[str, ...]  # ids that name a film in tables, unique
    patient_ids: tuple[str, ...]
    targets: np.ndarray  # float32 (N, C): 0, 1 or NaN (unknown)
    splits: tuple[str | None, ...]  # what the source itself decided (train, val, test), None where it did not
    metadata: dict[str, tuple] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # plain sentences to be said aloud: what was left out, what was assumed

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
