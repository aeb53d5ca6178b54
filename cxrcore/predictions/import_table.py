"""A table of probabilities of any program, joined with its labels.

Columns are known by their usual names in any order (see ``cxrcore.predictions.column_names``): the film (``Image
Index``, ``image``, ``path``), ``prob_<finding>`` or just ``<finding>``, and, without a label file, ``target_<finding>``
or one column of class names (``label``: Normal, Pneumonia).
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cxrcore.datasets import csv_table as usual
from cxrcore.datasets.files import first_ten
from cxrcore.datasets.folders import SPLIT_NAMES
from cxrcore.datasets.nih import labels_of
from cxrcore.errors import InvalidDataset, InvalidPredictions
from cxrcore.findings import LABEL_SETS, NIH15, Finding, Kind, LabelSet
from cxrcore.predictions.column_names import MEANINGS, findings_of, guess_columns, known_finding
from cxrcore.predictions.record import Predictions, check_each_once, check_probabilities, sums_to_one
from cxrcore.predictions.table_reader import MAX_BYTES, TableFile, TableSource, table_name

if TYPE_CHECKING:
    import pandas as pd

MAX_LABEL_BYTES = 256_000_000  # of a label file, unpacked; NIH's has 8 million
_MAX_NAME = 512  # characters of a film's id
_MAX_CLASSES = 100  # different names in a column of class names


def read_predictions(
    source: TableSource,
    labels: TableSource | None = None,
    mapping: Mapping[str, str] | None = None,
    split: str = "test",
) -> Predictions:
    """The predictions in a CSV (plain or gzipped) or Parquet file, joined with the labels.

    ``labels``: as for ``read_labels``; by default the table's own targets. NIH's label file also gives patients, ages,
    sexes and views. ``mapping``: our name to the table's column (``image``, ``patient_id``, ``split``, ``age_years``,
    ``sex``, ``view``, ``class``, ``prob:<finding>``, ``logit:<finding>``, ``target:<finding>``); overrides the guess.
    ``split``: of every film, where no column says. Films without labels are left out, with a note; a part of a label
    set's findings is enough. Raises InvalidPredictions and InvalidDataset.
    """
    file = TableFile.of(source)
    if file.is_parquet and not mapping and Predictions.is_own(file.open()):
        file.check_rows()
        own = Predictions.read(file.open())
        return own if labels is None else _relabelled(own, read_labels(labels))
    columns = guess_columns(file.columns(), mapping, file.name)
    known = _labels_for(file, columns, labels)
    labelled = findings_of(columns, "target") if known is None else known.findings
    findings, notes = _scored(findings_of(columns, "prob"), labelled, file)
    frame = file.read(_needed(columns, findings, own_targets=known is None))
    images = _images(frame["image"], file)
    probabilities = _numbers(frame, "prob", findings)
    check_probabilities(probabilities, findings, file.name)  # before the join, so that rows are the file's
    if known is None:
        known, rows = _labels_in(frame, findings), np.arange(len(frame))
        truth = known.frame
    else:
        rows, label_rows, join_notes = _join(images, known)
        truth, notes = known.frame.iloc[label_rows], notes + join_notes
    if known.one_each and len(findings) > 1 and sums_to_one(probabilities).all():
        findings = replace(findings, kind=Kind.MULTICLASS)
    targets, class_notes = _targets(truth, findings, known)
    predicted = frame.iloc[rows]
    patients, patient_notes = _patients(predicted, truth, images[rows])
    return Predictions(
        images=images[rows],
        patient_ids=patients,
        split=_splits(predicted if "split" in predicted else truth, split),
        labels=findings,
        targets=targets,
        probabilities=probabilities[rows],
        logits=_numbers(predicted, "logit", findings) if f"logit:{findings.names[0]}" in predicted else None,
        metadata=read_people(predicted) | {name: truth[name].to_numpy() for name in known.people},
        dataset=known.dataset,
        notes=(*known.notes, *notes, *class_notes, *patient_notes),
    )


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels by film, and what else the label file says of the films."""

    frame: pd.DataFrame  # image, target:<finding> (0, 1, NaN), and perhaps patient_id, split and people's columns
    dataset: str  # nih, the file's name, or empty
    people: tuple[str, ...]  # the columns that become metadata
    notes: tuple[str, ...] = ()
    classes: bool = False  # from a column of class names; a class may have no film
    one_each: bool = False  # and no film has two

    @property
    def findings(self) -> list[str]:
        """Findings that have a column of labels."""
        return findings_of(self.frame.columns, "target")


def read_labels(source: TableSource) -> Labels:
    """Read a label file: NIH's, or a table with a column of films and one per finding (0, 1, -1 or empty for unknown).

    One column of class names may replace those (``Normal``, ``Effusion|Mass``, empty for unknown). Raises
    InvalidPredictions or InvalidDataset for any other file, and for a film that is listed twice.
    """
    file = TableFile.of(source, wanted="a label file")
    names = file.columns()
    if {"Image Index", "Finding Labels"} <= set(names):
        with file.open() as stream:
            content = stream.read(MAX_LABEL_BYTES + 1)
        if len(content) > MAX_LABEL_BYTES:
            raise InvalidDataset(f"{file.name} is larger than any NIH label file; is it the right one?")
        unpacked: Any = io.BytesIO(content)
        unpacked.name = file.name
        frame = labels_of(unpacked).rename(columns={name: f"target:{name}" for name in NIH15}).reset_index()
        return Labels(frame, "nih", ("age_years", "sex", "view", "follow_up"))
    return _labels_of(file, guess_columns(names, file=file.name, bare="target"))


def _labels_for(file: TableFile, columns: Mapping[str, str], labels: TableSource | None) -> Labels | None:
    """Labels from their own file, or from the table's column of class names; None where it has columns of targets."""
    known = None if labels is None else read_labels(labels)
    _check_columns(columns, file)
    if known is None and "class" in columns and not findings_of(columns, "target"):
        known = _labels_of(file, columns)  # the table is its own label file
    return None if known is None else _with_unseen(known, findings_of(columns, "prob"))


def _labels_of(file: TableFile, columns: Mapping[str, str]) -> Labels:
    findings = findings_of(columns, "target")
    if "image" not in columns or not (findings or "class" in columns):
        raise InvalidDataset(
            f"{file.name} is no label file: expected NIH's Data_Entry CSV, or columns image and one for each finding "
            f"(or label, with names of classes); it has {first_ten(file.columns())}"
        )
    needed = {name: column for name, column in columns.items() if not name.startswith(("prob:", "logit:"))}
    if findings:
        needed.pop("class", None)
    frame = file.read(needed)
    labels = _labels_in(frame, findings) if findings else _classes_in(frame, columns["class"], file)
    truth = labels.frame.assign(image=_images(frame["image"], file))
    return replace(labels, frame=truth, dataset=table_name(file.name))


def _relabelled(own: Predictions, known: Labels) -> Predictions:
    known = _with_unseen(known, own.labels.names)
    if missing := [name for name in own.labels if name not in known.findings]:
        raise InvalidPredictions(f"the label file has no column for {', '.join(missing)}")
    rows, label_rows, notes = _join(own.images, known)
    truth, part = known.frame.iloc[label_rows], own.rows(rows)
    targets, class_notes = _targets(truth, own.labels, known)
    return replace(
        part,
        targets=targets,
        metadata=part.metadata | {name: truth[name].to_numpy() for name in known.people},
        dataset=known.dataset,
        notes=(*known.notes, *notes, *class_notes),
    )


def _check_columns(columns: Mapping[str, str], file: TableFile) -> None:
    lacking = [] if "image" in columns else ["of films (image or Image Index)"]
    if not findings_of(columns, "prob"):
        lacking.append("of probabilities (prob_<finding>)")
    if lacking:
        raise InvalidPredictions(
            f"{file.name} lacks a column {' and one '.join(lacking)}; it has {first_ten(file.columns())}"
        )


def _scored(predicted: Sequence[str], labelled: Sequence[str], file: TableFile) -> tuple[LabelSet, list[str]]:
    """The findings that have both probability and label, in NIH's order and then the table's; notes on the rest."""
    if not labelled:
        raise InvalidPredictions(
            f"{file.name} has no labels (target_<finding> or label); give a label file with it (--labels)"
        )
    names = [name for name in predicted if name in set(labelled)]
    unlabelled = [name for name in predicted if name not in set(labelled)]
    if not names:
        raise InvalidPredictions(
            f"no finding has both probability and label: {file.name} predicts {first_ten(predicted)}, "
            f"and the labels are of {first_ten(labelled)}"
        )
    notes = [f"There are no labels for {first_ten(unlabelled)}: left out."] if unlabelled else []
    for labels in LABEL_SETS.values():
        if set(names) == set(labels) and (labels.kind is Kind.MULTICLASS or labels.name.startswith("nih")):
            return labels, notes
    order = list(NIH15)
    names.sort(key=lambda name: order.index(name) if name in order else len(order))
    name = "nih-part" if set(names) <= set(order) else "own"
    return LabelSet(name, Kind.MULTILABEL, tuple(known_finding(name) for name in names)), notes


def _needed(columns: Mapping[str, str], findings: LabelSet, own_targets: bool) -> dict[str, str]:
    """The columns to read: each finding's probability and label, and logits where every finding has them."""
    meanings = ["prob"] + ["target"] * own_targets
    if set(findings) <= set(findings_of(columns, "logit")):
        meanings.append("logit")
    wanted = {f"{meaning}:{name}" for meaning in meanings for name in findings}
    return {
        name: column
        for name, column in columns.items()
        if name in wanted or name.partition(":")[0] not in (*MEANINGS, "class")
    }


def _numbers(frame: pd.DataFrame, meaning: str, names: Iterable[str]) -> np.ndarray:
    return np.stack([frame[f"{meaning}:{name}"].to_numpy(np.float64) for name in names], axis=1)


def _images(column: pd.Series, file: TableFile) -> np.ndarray:
    """Ids of films, (N,) str; raises InvalidPredictions where one is missing or repeated."""
    if (empty := column.isna()).any():
        row = int(np.argmax(empty)) + 1
        raise InvalidPredictions(f"{file.name} has {int(empty.sum())} row(s) without a film, the first in row {row}")
    images = _strings(column, f"a film of {file.name}")
    check_each_once(images, file.name)
    return images


def _strings(column: pd.Series, what: str) -> np.ndarray:
    """(N,) str, stripped; long ones are refused, because the array has one width for all."""
    text = column.astype(str).str.strip()
    most = min(_MAX_NAME, MAX_BYTES // 4 // max(len(text), 1))
    if (long := text.str.len() > most).any():
        raise InvalidPredictions(f"{what} is called by over {most} characters, in row {int(np.argmax(long)) + 1}")
    names: np.ndarray = text.to_numpy(dtype=object).astype(str)
    return names


def _labels_in(frame: pd.DataFrame, names: Iterable[str]) -> Labels:
    """Labels from columns of targets. Raises InvalidDataset for values other than 0, 1, -1 and empty."""
    import pandas as pd

    notes: list[str] = []
    words = {"true": "1", "false": "0"}
    findings = LabelSet("own", Kind.MULTILABEL, tuple(Finding(name, "") for name in names))
    texts = {
        usual.column_key(name): frame[f"target:{name}"].str.strip().str.lower().replace(words) for name in findings
    }
    targets = usual.read_targets(pd.DataFrame(texts), findings, notes)
    return _with_people(
        frame, pd.DataFrame({f"target:{name}": targets[:, k] for k, name in enumerate(findings)}), notes
    )


def _classes_in(frame: pd.DataFrame, column: str, file: TableFile) -> Labels:
    """Labels from a column of class names. Raises InvalidDataset for other values."""
    import pandas as pd

    codes, texts = pd.factorize(frame["class"].str.strip().replace("", None))
    named = [[known_finding(part.strip()).name for part in text.split("|")] for text in texts]
    names = list(dict.fromkeys(name for several in named for name in several))
    if not names or len(names) > _MAX_CLASSES or all(re.fullmatch(r"-?[\d.]+", name) for name in names):
        content = f"{len(names)} different values" if len(names) > _MAX_CLASSES else first_ten(names) or "nothing"
        raise InvalidDataset(
            f"column {column} of {file.name} holds {content}, and names of classes are expected, such as Normal and "
            "Pneumonia; call a column of 0 and 1 target_<finding>"
        )
    table = np.array([[name in several for name in names] for several in named] + [[np.nan] * len(names)])
    labels = _with_people(frame, pd.DataFrame(table[codes], columns=[f"target:{name}" for name in names]), ())
    return replace(labels, classes=True, one_each=all(len(several) == 1 for several in named))


def _with_people(frame: pd.DataFrame, truth: pd.DataFrame, notes: Iterable[str]) -> Labels:
    """Targets with the patients, splits and people's columns of the same table."""
    people = read_people(frame)
    identity = {name: frame[name].to_numpy() for name in ("patient_id", "split") if name in frame}
    return Labels(truth.assign(**identity, **people), "", tuple(people), tuple(notes))


def _with_unseen(known: Labels, predicted: Sequence[str]) -> Labels:
    """Labels of class names with a column for each predicted class that no film has; other labels unchanged."""
    unseen = [name for name in predicted if name not in known.findings]
    if not known.classes or not unseen or len(unseen) == len(predicted):
        return known
    absent = known.frame[f"target:{known.findings[0]}"] * 0  # unknown films stay unknown
    frame = known.frame.assign(**{f"target:{name}": absent for name in unseen})
    return replace(known, frame=frame, notes=(*known.notes, f"No film is labelled {first_ten(unseen)}."))


def _targets(truth: pd.DataFrame, findings: LabelSet, known: Labels) -> tuple[np.ndarray, list[str]]:
    """Labels of the predicted films, float32 (N, C), and notes; a class that is not predicted counts as unknown."""
    targets = truth[[f"target:{name}" for name in findings]].to_numpy(np.float32)
    other = targets.sum(axis=1) == 0
    if not (known.classes and findings.kind is Kind.MULTICLASS and other.any()):
        return targets, []
    return np.where(other[:, None], np.float32(np.nan), targets), [
        f"{int(other.sum()):,} film(s) are of a class that is not predicted: their class counts as unknown."
    ]


def _join(images: np.ndarray, known: Labels) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Matching rows of the predictions and of the labels, in the predictions' order, and notes.

    By id, else by file name, else by file name without suffix. Raises InvalidPredictions when nothing joins.
    """
    import pandas as pd

    theirs = known.frame["image"].to_numpy(dtype=object).astype(str)
    match, notes = np.full(len(images), -1), []
    for key in (str, _file_name, _stem):
        labelled, predicted = (pd.Index([key(name) for name in names], dtype=object) for names in (theirs, images))
        if labelled.is_unique and predicted.is_unique:
            new = (match < 0) & ((found := labelled.get_indexer(predicted)) >= 0)
            match = np.where(new, found, match)
            if key is _stem and new.any():
                one = int(np.argmax(new))
                notes.append(
                    f"{int(new.sum()):,} film(s) joined by name without suffix: {str(images[one])!r} in the "
                    f"predictions is {str(theirs[match[one]])!r} in the labels."
                )
        if (match >= 0).all():
            break
    rows = np.flatnonzero(match >= 0)
    if not rows.size:
        raise InvalidPredictions(
            f"no predicted film has a label: films are called {str(images[0])!r} in the predictions "
            f"and {str(theirs[0])!r} in the labels"
        )
    if len(rows) < len(images):
        notes.append(f"{_count(images[match < 0], 'predicted')} without a label, left out.")
        missing = np.ones(len(theirs), dtype=bool)
        missing[match[rows]] = False
        if missing.any():
            notes.append(f"{_count(theirs[missing], 'labelled')} without a prediction.")
    return rows, match[rows], notes


def _count(names: np.ndarray, what: str) -> str:
    return f"{len(names):,} {what} film(s) ({first_ten(names.tolist())})"


def _file_name(name: str) -> str:
    return name.replace("\\", "/").rsplit("/", 1)[-1]


def _stem(name: str) -> str:
    return re.sub(r"\.[A-Za-z]\w{1,4}$", "", _file_name(name))


def _patients(frame: pd.DataFrame, truth: pd.DataFrame, images: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Patients from the labels, else from the table, else the film itself, with a note."""
    for source in (truth, frame):
        if "patient_id" in source:
            if empty := int(source["patient_id"].isna().sum()):
                raise InvalidPredictions(f"{empty} row(s) name no patient; fill that column in for every film")
            return _strings(source["patient_id"], "a patient"), []
    return images, ["Nothing says who the patients are: each film counts as its own, so intervals may be too narrow."]


def _splits(frame: pd.DataFrame, otherwise: str) -> np.ndarray:
    """Splits as ``train``, ``val`` and ``test`` where known by other names; others unchanged."""
    if "split" not in frame:
        return np.full(len(frame), otherwise)
    names = frame["split"].fillna(otherwise).astype(str).str.strip().str.lower().replace("", otherwise)
    return _strings(names.replace(SPLIT_NAMES), "a split")


def read_people(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """``age_years``, ``sex`` and ``view``, each (N,), where the table has them."""
    plain = frame.rename(columns=lambda name: usual.column_key(str(name)))
    return {name: np.array(values) for name, values in usual.read_people(plain).items()}
