"""``Predictions``: a model's probabilities on a set of films beside the labels; every score is computed from it.

On disk it is ``predictions.parquet``: ``image``, ``patient_id``, ``split``, ``target:<finding>`` (0, 1 or null),
``prob:<finding>``, ``logit:<finding>``, then whatever metadata the source has; the label set lies in the file's own
metadata.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from cxrcore.errors import InvalidPredictions, LabelMismatch
from cxrcore.findings import LABEL_SETS, Kind, LabelSet

if TYPE_CHECKING:
    import pandas as pd
    from pyarrow import NativeFile

SCHEMA = 1
PREDICTIONS = "predictions.parquet"
_KEY = b"cxrcore"
_IDENTITY = ("image", "patient_id", "split")
_SUM_TOLERANCE = 1e-3  # of multiclass rows, for tables rounded by others


@dataclass(frozen=True, eq=False)
class Predictions:
    """Parallel arrays, one row a film, checked on creation; raises InvalidPredictions with what does not fit."""

    images: np.ndarray  # (N,) str, each once
    patient_ids: np.ndarray  # (N,) str
    split: np.ndarray  # (N,) str: train, val, test
    labels: LabelSet
    targets: np.ndarray  # (N, C) float32: 0, 1, or NaN for unknown; multiclass: one-hot, or 0 and unknown
    probabilities: np.ndarray  # (N, C) float32 or float64 in [0, 1], calibrated; multiclass rows sum to 1
    logits: np.ndarray | None = None  # (N, C) float32 or float64, uncalibrated
    metadata: dict[str, np.ndarray] = field(default_factory=dict)  # column -> (N,)
    dataset: str = ""  # where the labels are from, if known; not stored
    notes: tuple[str, ...] = ()  # sentences for the user: what was left out, what was assumed; not stored

    def __post_init__(self) -> None:
        for name in ("images", "patient_ids", "split"):
            object.__setattr__(self, name, np.asarray(getattr(self, name)).astype(str))
        object.__setattr__(self, "targets", np.asarray(self.targets, dtype=np.float32))
        for name in ("probabilities", "logits"):
            if (values := getattr(self, name)) is not None:
                object.__setattr__(self, name, _floats(values))
        object.__setattr__(self, "metadata", {k: np.asarray(v) for k, v in self.metadata.items()})
        self._check_shapes()
        self._check_values()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def n_patients(self) -> int:
        """Number of patients."""
        return len(np.unique(self.patient_ids))

    def rows(self, mask: np.ndarray) -> Predictions:
        """The films that a bool mask or an index array (N,) selects."""
        return replace(
            self,
            images=self.images[mask],
            patient_ids=self.patient_ids[mask],
            split=self.split[mask],
            targets=self.targets[mask],
            probabilities=self.probabilities[mask],
            logits=None if self.logits is None else self.logits[mask],
            metadata={name: column[mask] for name, column in self.metadata.items()},
        )

    def of_split(self, split: str) -> Predictions:
        """The films of one split. Raises InvalidPredictions naming the splits there are."""
        mask = self.split == split
        if not mask.any():
            splits = ", ".join(sorted(set(self.split.tolist()))) or "none"
            raise InvalidPredictions(f"this table has no film of split {split!r}; its splits: {splits}")
        return self if mask.all() else self.rows(mask)

    def to_frame(self) -> pd.DataFrame:
        """A data frame with the columns of ``predictions.parquet``."""
        import pandas as pd

        columns: dict[str, Any] = {"image": self.images, "patient_id": self.patient_ids, "split": self.split}
        for prefix, values in (("target", self.targets), ("prob", self.probabilities), ("logit", self.logits)):
            if values is not None:
                columns |= {f"{prefix}:{name}": values[:, k] for k, name in enumerate(self.labels)}
        return pd.DataFrame(columns | self.metadata)

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, labels: LabelSet | None = None) -> Predictions:
        """Read such a data frame; without ``labels``, a known set with exactly the names of its ``prob:`` columns.

        Without ``patient_id``, each film counts as its own patient. Raises InvalidPredictions naming every
        missing column.
        """
        labels = labels or _guess_labels(frame)
        prefixes = ["target", "prob"]
        if any(str(column).startswith("logit:") for column in frame.columns):
            prefixes.append("logit")
        wanted = ["image", "split", *(f"{prefix}:{name}" for prefix in prefixes for name in labels)]
        if missing := [column for column in wanted if column not in frame.columns]:
            raise InvalidPredictions(f"this table lacks {len(missing)} column(s): {_some(missing)}")
        for column in _IDENTITY:
            if column in frame.columns and (empty := int(frame[column].isna().sum())):
                raise InvalidPredictions(f"column {column} is empty in {empty} row(s); fill it in for every film")
        arrays = {prefix: _matrix(frame, prefix, labels) for prefix in prefixes}
        used = {*_IDENTITY, *wanted}
        images = frame["image"].to_numpy()
        return cls(
            images=images,
            patient_ids=frame["patient_id"].to_numpy() if "patient_id" in frame.columns else images,
            split=frame["split"].to_numpy(),
            labels=labels,
            targets=arrays["target"],
            probabilities=arrays["prob"],
            logits=arrays.get("logit"),
            metadata={str(name): frame[name].to_numpy() for name in frame.columns if name not in used},
        )

    def write(self, path: Path | str | BinaryIO) -> None:
        """Write ``predictions.parquet`` (zstd), label set included."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pandas(self.to_frame(), preserve_index=False)
        own = json.dumps({"schema": SCHEMA, "labels": self.labels.to_dict()}).encode()
        numbers = [name for name in table.column_names if name.startswith(("prob:", "logit:"))]
        pq.write_table(
            table.replace_schema_metadata({**(table.schema.metadata or {}), _KEY: own}),
            path,
            compression="zstd",
            use_dictionary=[name for name in table.column_names if name not in numbers],
            use_byte_stream_split=numbers,  # exponents together, so that they compress
            write_statistics=False,
        )

    @staticmethod
    def is_own(file: Path | str | BinaryIO | NativeFile) -> bool:
        """Whether ``write`` wrote this file. Raises InvalidPredictions when it is no Parquet file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return _KEY in (pq.read_schema(file).metadata or {})
        except (pa.ArrowException, OSError):
            raise InvalidPredictions("this file is not a readable Parquet table") from None

    @classmethod
    def read(cls, path: Path | str | BinaryIO | NativeFile, labels: LabelSet | None = None) -> Predictions:
        """Read what ``write`` wrote, or a table of another program with the same columns (see ``from_frame``).

        Raises InvalidPredictions when the file is no Parquet file, has another schema version, or is inconsistent.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        source: Any = str(path) if isinstance(path, Path) else path
        try:
            table = pq.read_table(source, partitioning=None)
        except FileNotFoundError:
            raise InvalidPredictions("there is no predictions table of that name") from None
        except (pa.ArrowInvalid, OSError):
            raise InvalidPredictions("this file is not a readable Parquet table") from None
        own = (table.schema.metadata or {}).get(_KEY)
        if own is not None:
            try:
                stored = json.loads(own)
                version = stored["schema"]
                labels = labels or (LabelSet.from_dict(stored["labels"]) if version == SCHEMA else None)
            except (ValueError, KeyError, TypeError, LabelMismatch):
                raise InvalidPredictions("this table's own description is malformed; write it again") from None
            if version != SCHEMA:
                raise InvalidPredictions(
                    f"this table has schema version {version!r} and this program reads {SCHEMA}; update the program"
                )
        return cls.from_frame(table.to_pandas(), labels)

    def _check_shapes(self) -> None:
        films, expected = len(self.images), (len(self.images), len(self.labels))
        for name in ("targets", "probabilities", "logits"):
            values = getattr(self, name)
            if values is not None and values.shape != expected:
                raise InvalidPredictions(f"expected {name} of shape {expected}, films by findings, got {values.shape}")
        for name, column in {"patient_ids": self.patient_ids, "split": self.split, **self.metadata}.items():
            if column.shape != (films,):
                raise InvalidPredictions(f"expected one {name} for each of {films} films, got shape {column.shape}")
        if taken := [
            name for name in self.metadata if name in _IDENTITY or name.startswith(("target:", "prob:", "logit:"))
        ]:
            raise InvalidPredictions(f"metadata may not reuse the table's own column names: {_some(taken)}")
        check_each_once(self.images)

    def _check_values(self) -> None:
        check_probabilities(self.probabilities, self.labels)
        if self.logits is not None and not np.isfinite(self.logits).all():
            raise InvalidPredictions(f"{int((~np.isfinite(self.logits)).sum())} logits are missing or infinite")
        unknown = np.isnan(self.targets)
        odd = ~unknown & (self.targets != 0) & (self.targets != 1)
        if odd.any():
            row, column = np.argwhere(odd)[0]
            raise InvalidPredictions(
                f"{int(odd.sum())} targets are neither 0, 1 nor unknown, the first in row {row + 1} "
                f"for {self.labels.names[column]}"
            )
        if self.labels.kind is not Kind.MULTICLASS:
            return
        present = np.nansum(self.targets, axis=1)
        one_or_open = np.where(unknown.any(axis=1), present == 0, present == 1)
        for valid, rule in (
            (sums_to_one(self.probabilities), "probabilities of exclusive classes sum to 1, and {} row(s) do not"),
            (one_or_open, "each film has exactly one class or none known, and {} row(s) differ"),
        ):
            if not valid.all():
                row = int(np.argmin(valid)) + 1
                raise InvalidPredictions(f"{rule.format(int((~valid).sum()))}, the first in row {row}")


def sums_to_one(probabilities: np.ndarray) -> np.ndarray:
    """Whether each film's probabilities (N, C) sum to 1, within rounding; bool (N,).

    >>> sums_to_one(np.array([[0.3, 0.7], [0.3, 0.3]])).tolist()
    [True, False]
    """
    close: np.ndarray = np.abs(probabilities.sum(axis=1, dtype=np.float64) - 1) <= _SUM_TOLERANCE
    return close


def check_each_once(images: np.ndarray, table: str = "this table") -> None:
    """Raise InvalidPredictions, with the first ten rows and films, where a film, (N,) str, is repeated."""
    _, first, index = np.unique(images, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[index] != np.arange(len(images)))
    if again.size:
        films = list(dict.fromkeys(images[again].tolist()))
        raise InvalidPredictions(
            f"{len(films)} film(s) appear more than once in {table}, again in row(s) {_some_rows(again)}; "
            f"each may appear once: {_some(films)}"
        )


def check_probabilities(probabilities: np.ndarray, labels: LabelSet, table: str = "") -> None:
    """Raise InvalidPredictions, with counts and the first rows, where a value (N, C) is missing or outside [0, 1]."""
    inside = (probabilities >= 0) & (probabilities <= 1)
    if inside.all():
        return
    missing = int(np.isnan(probabilities).sum())
    outside = int((~inside).sum()) - missing
    counts = [f"{n} {what}" for n, what in ((missing, "missing"), (outside, "outside [0, 1]")) if n]
    rows = np.flatnonzero(~inside.all(axis=1))
    where = [labels.names[column] for column in np.flatnonzero(~inside.all(axis=0))]
    known = probabilities[~np.isnan(probabilities)]
    hint, place = "", f" in {table}" if table else ""
    if outside > known.size / 10:
        percent = known.min() >= 0 and known.max() <= 100
        hint = "; divide percentages by 100" if percent else "; turn logits into probabilities first"
    raise InvalidPredictions(
        f"of {probabilities.size} probabilities{place}, {' and '.join(counts)}: row(s) {_some_rows(rows)}, "
        f"for {_some(where)}{hint}"
    )


def _some_rows(rows: np.ndarray, limit: int = 10) -> str:
    """Row numbers from 1, below the header."""
    more = f" and {rows.size - limit} more" if rows.size > limit else ""
    return ", ".join(str(row + 1) for row in rows[:limit].tolist()) + more


def _floats(values: Any) -> np.ndarray:
    array = np.asarray(values)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


def _matrix(frame: pd.DataFrame, prefix: str, labels: LabelSet) -> np.ndarray:
    """The columns of one prefix in label order, (N, C), null as NaN; InvalidPredictions on other than numbers."""
    columns = []
    for name in labels:
        try:
            columns.append(frame[f"{prefix}:{name}"].to_numpy(dtype=None, na_value=np.nan))
            if columns[-1].dtype not in (np.float32, np.float64):
                columns[-1] = columns[-1].astype(np.float64)
        except (TypeError, ValueError):
            raise InvalidPredictions(f"column {prefix}:{name} holds something other than numbers") from None
    return np.stack(columns, axis=1)


def _guess_labels(frame: pd.DataFrame) -> LabelSet:
    names = [str(column)[len("prob:") :] for column in frame.columns if str(column).startswith("prob:")]
    for labels in LABEL_SETS.values():
        if set(names) == set(labels.names):
            return labels
    raise InvalidPredictions(
        f"this table's prob: columns ({_some(names) or 'none'}) match no known set of findings; say which set it is"
    )


def _some(names: list[str], limit: int = 8) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
