"""A reader's round of cases: its table and its record.

A round of reading is a table, a row a case, that is a table of predictions too (``prob:`` holds the first confidence):

    image, patient_id, split, reader, seconds
    target:<finding>                  0, 1 or empty
    prob:<finding>, after:<finding>   confidence in [0, 1] alone, and after the model's answer
    model:<finding>, call:<finding>   the model's probability, and whether it is above its threshold (1, 0 or empty)
    box:<finding>                     left top right bottom in shares of the film
    hit:<finding>, iou:<finding>      for the films with a box of the truth (see ``readers.box_scores``)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from cxrcore.datasets.case_set import Corners
from cxrcore.errors import InvalidPredictions
from cxrcore.findings import Kind, LabelSet
from cxrcore.predictions.column_names import findings_of, guess_columns, known_finding
from cxrcore.predictions.table_reader import TableFile, TableSource


@dataclass(frozen=True, eq=False)
class Reading:
    """One reader's round of N cases with C findings. Raises InvalidPredictions where values are out of range."""

    reader: str
    findings: tuple[str, ...]  # C, those that were asked
    images: np.ndarray  # (N,) str
    patient_ids: np.ndarray  # (N,) str
    targets: np.ndarray  # (N, C): 0, 1 or NaN
    before: np.ndarray  # (N, C) in [0, 1]
    after: np.ndarray  # (N, C) in [0, 1]; as before where nothing was changed
    model: np.ndarray  # (N, C) in [0, 1], NaN where the model does not know the finding
    calls: np.ndarray  # (N, C) 1, 0 or NaN: the model's calls at its operating points
    seconds: np.ndarray  # (N,) until the first answer
    hits: np.ndarray  # (N, C) 1, 0, or NaN for a case without a box in the truth
    ious: np.ndarray  # (N, C) in [0, 1], overlap with the truth; NaN as in hits
    boxes: tuple[tuple[tuple[Corners, ...], ...], ...] = ()  # N x C, as drawn

    def __post_init__(self) -> None:
        shape = (len(self.images), len(self.findings))
        for name in ("targets", "before", "after", "model", "calls", "hits", "ious"):
            values = np.asarray(getattr(self, name), dtype=np.float64)
            if values.shape != shape:
                raise InvalidPredictions(f"expected {name} of {shape[0]} cases by {shape[1]} findings")
            if ((values < 0) | (values > 1)).any() or (name in ("before", "after") and np.isnan(values).any()):
                raise InvalidPredictions(f"{_TITLES.get(name, name)} of {self.reader} are not all in [0, 1]")
            object.__setattr__(self, name, values)
        for name in ("targets", "calls", "hits"):
            values = getattr(self, name)
            if not np.isin(values[~np.isnan(values)], (0, 1)).all():
                raise InvalidPredictions(f"{name} of {self.reader} are other than 0, 1 and empty")
        if len(np.unique(self.images)) != shape[0]:
            raise InvalidPredictions(f"{self.reader} has a case more than once")

    def __len__(self) -> int:
        return len(self.images)

    def called(self, reader: str) -> Reading:
        """The same round under another name."""
        return replace(self, reader=reader)

    def rows(self, index: np.ndarray) -> Reading:
        """The cases of an index array."""
        arrays = ("images", "patient_ids", "targets", "before", "after", "model", "calls", "seconds", "hits", "ious")
        boxes = tuple(self.boxes[row] for row in index) if self.boxes else ()
        return replace(self, boxes=boxes, **{name: getattr(self, name)[index] for name in arrays})


_TITLES = {"before": "confidences (prob:)", "after": "confidences (after:)"}


def stages_of(reading: Reading) -> tuple[np.ndarray, np.ndarray]:
    """The confidences alone and with the model's answer."""
    return reading.before, reading.after


def to_frame(reading: Reading, labels: LabelSet) -> pd.DataFrame:
    """The table of a round (see above); of exclusive classes, whose confidences sum to 1, with the normal one."""
    columns: dict[str, Any] = {"image": reading.images, "patient_id": reading.patient_ids}
    columns |= {"split": "test", "reader": reading.reader, "seconds": np.round(reading.seconds, 1)}
    for prefix, values in (("target", reading.targets), ("prob", reading.before), ("after", reading.after)):
        columns |= {f"{prefix}:{name}": values[:, k] for k, name in enumerate(reading.findings)}
        if labels.kind is Kind.MULTICLASS and labels.normal is not None:
            columns[f"{prefix}:{labels.normal}"] = 1 - np.nansum(values, axis=1)
    for prefix in ("model", "call", "hit", "iou"):
        values = getattr(reading, {"call": "calls", "hit": "hits", "iou": "ious"}.get(prefix, prefix))
        columns |= {f"{prefix}:{name}": values[:, k] for k, name in enumerate(reading.findings)}
    if reading.boxes:
        texts = [
            [";".join(" ".join(f"{v:.4f}" for v in box) for box in boxes) for boxes in row] for row in reading.boxes
        ]
        columns |= {f"box:{name}": [row[k] for row in texts] for k, name in enumerate(reading.findings)}
    return pd.DataFrame(columns)


def exclusive(confidences: np.ndarray) -> np.ndarray:
    """Confidences (N, C) in exclusive classes, of which the normal one is not asked, so that all sum to 1.

    The normal class gets what the surest leaves: 0.25 where that is 0.75.

    >>> exclusive(np.array([[0.75, 0.0], [0.75, 0.5]])).round(2).tolist()
    [[0.75, 0.0], [0.5, 0.33]]
    """
    normal = 1 - confidences.max(axis=1, keepdims=True)
    shares: np.ndarray = confidences / (confidences.sum(axis=1, keepdims=True) + normal)
    return shares


def read_reading(source: TableSource, name: str = "") -> Reading:
    """A round from its table; a table of predictions without the columns of a round counts as a reader without a model.

    Raises InvalidPredictions for another table.
    """
    file = TableFile.of(source, name)
    columns = file.columns()
    meanings = guess_columns(columns, file=file.name)
    predicted, labelled = findings_of(meanings, "prob"), findings_of(meanings, "target")
    findings = [finding for finding in predicted if finding in labelled]
    asked = [finding for finding in findings if not known_finding(finding).normal]
    if "image" not in meanings or not asked:
        raise InvalidPredictions(
            f"{file.name} is no table of a reader: expected image, target:<finding> and prob:<finding>, as saved at "
            "the end of a round"
        )
    own = {f"{prefix}:{f}" for prefix in ("after", "model", "call", "hit", "iou", "box") for f in findings}
    own |= {"reader", "seconds"}
    wanted = {key: meanings[key] for key in ("image", "patient_id") if key in meanings}
    wanted |= {f"{prefix}:{f}": meanings[f"{prefix}:{f}"] for prefix in ("prob", "target") for f in asked}
    frame = file.read(wanted | {column: column for column in columns if column in own})
    images = frame["image"].astype(str).to_numpy()

    unknown = np.full((len(frame), len(asked)), np.nan)

    def matrix(prefix: str, otherwise: np.ndarray = unknown) -> np.ndarray:
        columns = [frame.get(f"{prefix}:{finding}") for finding in asked]
        parts = [
            otherwise[:, k] if column is None else _numbers(column, f"{prefix}:{asked[k]} of {file.name}")
            for k, column in enumerate(columns)
        ]
        return np.column_stack(parts)

    before = matrix("prob")
    return Reading(
        reader=_reader_in(frame) or file.name.rsplit(".", 1)[0][:60],
        findings=tuple(asked),
        images=images,
        patient_ids=frame["patient_id"].astype(str).to_numpy() if "patient_id" in frame else images,
        targets=matrix("target"),
        before=before,
        after=matrix("after", before),
        model=matrix("model"),
        calls=matrix("call"),
        seconds=_numbers(frame["seconds"], "seconds") if "seconds" in frame else unknown[:, 0],
        hits=matrix("hit"),
        ious=matrix("iou"),
        boxes=tuple(tuple(_boxes_in(frame.get(f"box:{f}"), row) for f in asked) for row in range(len(frame))),
    )


def _reader_in(frame: pd.DataFrame) -> str:
    names = frame["reader"].dropna().astype(str).tolist() if "reader" in frame else []
    return names[0][:60] if names else ""


def _numbers(column: pd.Series, what: str) -> np.ndarray:
    try:
        values: np.ndarray = pd.to_numeric(column).to_numpy(np.float64, na_value=np.nan)
    except (ValueError, TypeError):
        raise InvalidPredictions(f"column {what} holds something other than numbers") from None
    return values


def _boxes_in(column: pd.Series | None, row: int) -> tuple[Corners, ...]:
    if column is None or not isinstance(column.iloc[row], str):
        return ()
    try:
        boxes = [tuple(float(value) for value in text.split()) for text in column.iloc[row].split(";")]
    except ValueError:
        boxes = [()]
    if any(len(box) != 4 for box in boxes):
        raise InvalidPredictions(f"{column.name} holds something other than boxes in row {row + 1}")
    return tuple((box[0], box[1], box[2], box[3]) for box in boxes)


def same_cases(readings: Sequence[Reading]) -> tuple[list[Reading], int]:
    """The readings on the cases that all of them hold, in one order, and the number of other cases.

    Raises InvalidPredictions where no case is in all, or they disagree on the truth or the findings.
    """
    first = readings[0]
    for other in readings[1:]:
        if set(other.findings) != set(first.findings):
            raise InvalidPredictions(
                f"{first.reader} and {other.reader} answered different findings: {', '.join(first.findings)}, and "
                f"{', '.join(other.findings)}"
            )
    images = set(first.images.tolist()).intersection(*(one.images.tolist() for one in readings))
    if not images:
        raise InvalidPredictions("no case is in all of these tables; readers are compared on the same set of cases")
    order = sorted(images)
    matched = []
    for one in readings:
        places = {image: row for row, image in enumerate(one.images.tolist())}
        part = one.rows(np.array([places[image] for image in order]))
        matched.append(part if part.findings == first.findings else _reordered(part, first.findings))
    for other in matched[1:]:
        if not np.array_equal(other.targets, matched[0].targets, equal_nan=True):
            raise InvalidPredictions(f"{first.reader} and {other.reader} were scored against different truths")
    return matched, len(set().union(*(one.images.tolist() for one in readings))) - len(order)


def _reordered(reading: Reading, findings: tuple[str, ...]) -> Reading:
    columns = [reading.findings.index(name) for name in findings]
    arrays = ("targets", "before", "after", "model", "calls", "hits", "ious")
    boxes = tuple(tuple(row[k] for k in columns) for row in reading.boxes)
    return replace(
        reading, findings=findings, boxes=boxes, **{name: getattr(reading, name)[:, columns] for name in arrays}
    )
