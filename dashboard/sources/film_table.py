"""Filters and sorting of a table of predictions, without a screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from cxrcore.predictions.record import Predictions

OUTCOMES = ("true positive", "false positive", "false negative", "true negative", "unknown")
ORDERS = {
    "sure": "Most confident first",
    "high": "Highest probability first",
    "low": "Lowest probability first",
    "wrong": "Largest error first",
    "near": "Closest to the threshold first",
    "table": "Order of the table",
}
MANY = 12  # values of a column beyond which it is filtered by text


@dataclass(frozen=True)
class Choice:
    """Filters that a reader chose; empty means everything."""

    outcomes: tuple[str, ...] = ()
    low: float = 0.0  # of the finding's probability
    high: float = 1.0
    text: str = ""  # part of a film's or a patient's name
    splits: tuple[str, ...] = ()
    also: tuple[str, ...] = ()  # findings whose label is positive too
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # column -> allowed values
    ranges: Mapping[str, tuple[float, float]] = field(
        default_factory=dict
    )  # column -> allowed range; unknown values are left out


def outcomes_of(targets: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """One of OUTCOMES per film, (N,), from targets (0, 1, NaN) and calls (bool)."""
    right = np.where(positive, "true positive", "false negative")
    wrong = np.where(positive, "false positive", "true negative")
    return np.where(np.isnan(targets), "unknown", np.where(targets == 1, right, wrong))


def pick_films(
    films: Predictions, finding: str, outcomes: np.ndarray, choice: Choice, order: str, threshold: float | None
) -> np.ndarray:
    """Row numbers of the films that pass the filters, in the given order.

    ``outcomes``: as ``outcomes_of``; ``order``: a key of ORDERS. The most confident films are those farthest from the
    threshold, in shares of the way to 0 or 1.
    """
    column = films.labels.index(finding)
    rows = np.flatnonzero(_passing(films, column, outcomes, choice))
    if order == "table":
        return rows
    scores = films.probabilities[rows, column].astype(np.float64)
    targets = films.targets[rows, column]
    cut = 0.5 if threshold is None else threshold
    keys = {
        "sure": -np.where(scores >= cut, (scores - cut) / max(1 - cut, 1e-9), 1 - scores / max(cut, 1e-9)),
        "high": -scores,
        "low": scores,
        "wrong": -np.abs(scores - np.where(np.isnan(targets), scores, targets)),
        "near": np.abs(scores - cut),
    }
    return rows[np.argsort(keys[order], kind="stable")]


def _passing(films: Predictions, column: int, outcomes: np.ndarray, choice: Choice) -> np.ndarray:
    """Films that pass all filters, bool (N,)."""
    scores = films.probabilities[:, column].astype(np.float64)
    keep = (scores >= choice.low) & (scores <= choice.high)
    if choice.outcomes:
        keep &= np.isin(outcomes, choice.outcomes)
    if choice.splits:
        keep &= np.isin(films.split, choice.splits)
    for name in choice.also:
        keep &= films.targets[:, films.labels.index(name)] == 1
    for name, values in choice.values.items():
        keep &= np.isin(as_text(films.metadata[name]), values)
    for name, (low, high) in choice.ranges.items():
        numbers = as_numbers(films.metadata[name])
        keep &= (numbers >= low) & (numbers <= high)
    if choice.text:
        text = choice.text.casefold()
        found = [np.char.find(np.char.lower(names), text) >= 0 for names in (films.images, films.patient_ids)]
        keep &= found[0] | found[1]
    return keep


def filters_of(films: Predictions) -> tuple[dict[str, list[str]], dict[str, tuple[float, float]]]:
    """Columns to filter by value, with their values, and columns to filter by range, with their ends."""
    values: dict[str, list[str]] = {}
    ranges: dict[str, tuple[float, float]] = {}
    for name, column in films.metadata.items():
        distinct = sorted(set(as_text(column).tolist()) - {""})
        numbers = as_numbers(column)
        known = numbers[np.isfinite(numbers)]
        if len(distinct) < 2:
            continue
        if len(known) == int((as_text(column) != "").sum()) and len(distinct) > MANY:
            ranges[name] = float(known.min()), float(known.max())
        elif len(distinct) <= MANY:
            values[name] = distinct
    return values, ranges


def as_frame(
    films: Predictions, rows: np.ndarray, finding: str, outcomes: np.ndarray, notes: Mapping[str, str]
) -> pd.DataFrame:
    """Films for a screen or a CSV: image, patient, label, probability, outcome, metadata and notes."""
    column = films.labels.index(finding)
    frame = pd.DataFrame(
        {
            "image": films.images[rows],
            "patient_id": films.patient_ids[rows],
            "split": films.split[rows],
            "finding": finding,
            "outcome": outcomes[rows],
            "target": films.targets[rows, column],
            "probability": films.probabilities[rows, column].astype(np.float64),
            "findings": [_positive_labels(films, row) for row in rows],
        }
    )
    for name, values in films.metadata.items():
        frame[name] = values[rows]
    frame["note"] = [notes.get(str(image), "") for image in films.images[rows]]
    return frame


def safe_csv(frame: pd.DataFrame) -> bytes:
    """As CSV, UTF-8; a text that a spreadsheet would run as a formula is quoted as text."""
    texts = frame.select_dtypes(include=["object", "str"]).columns
    guarded = frame.assign(**{name: frame[name].map(_guarded) for name in texts})
    return str(guarded.to_csv(index=False)).encode()


def as_text(column: np.ndarray) -> np.ndarray:
    """Values as str (N,); missing ones are empty."""
    if column.dtype.kind == "U":
        return column
    return np.array(
        ["" if v is None or v != v else f"{v:g}" if isinstance(v, float) else str(v) for v in column.tolist()]
    )


def as_numbers(column: np.ndarray) -> np.ndarray:
    """Values as float64 (N,); NaN where a value is no number."""
    numbers: np.ndarray = pd.to_numeric(pd.Series(column), errors="coerce").to_numpy(np.float64, na_value=np.nan)
    return numbers


def page_of(rows: Sequence[int] | np.ndarray, number: int, size: int) -> np.ndarray:
    """The rows of one page, counted from 0."""
    return np.asarray(rows)[number * size : (number + 1) * size]


def _positive_labels(films: Predictions, row: int) -> str:
    return ", ".join(name for name, target in zip(films.labels, films.targets[row], strict=True) if target == 1)


def _guarded(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
