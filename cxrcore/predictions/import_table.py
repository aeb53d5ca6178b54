"""Whose predictions are these, and what was true? Any table of probabilities, ours or anyone's, with its labels.

Columns are known by their usual names in any order (see ``cxrcore.predictions.column_names``): the film (``Image
Index``, ``image``,
``path``), ``prob_<finding>`` or just ``<finding>``, and, where there is no label file, ``target_<finding>`` or one
column of class names (``label``: Normal, Pneumonia).
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
_MAX_CLASSES = 100  # names in a column of them


def read_predictions(
    source: TableSource,
    labels: TableSource | None = None,
    mapping: Mapping[str, str] | None = None,
    split: str = "test",
) -> Predictions:
    """The predictions in a CSV (plain or gzipped) or Parquet file, beside what was true; ``notes`` tell what to say.

    ``labels``: as ``read_labels``; else the table's own targets. NIH's label file also gives patients, ages, sexes and
    views. ``mapping``: our name to the table's column (``image``, ``patient_id``, ``split``, ``age_years``, ``sex``,
    ``view``, ``class``, ``prob:<finding>``, ``logit:<finding>``, ``target:<finding>``), over what is guessed.
    ``split``: of every film, where nothing says. Films without labels are left out aloud; some of a set's findings are
    enough. Raises InvalidPredictions and InvalidDataset, in a sentence each.
    """
    file = TableFile.of(source)
    if file.is_parquet and not mapping and Predictions.is_own(file.open()):
        file.check_rows()
        own = Predictions.read(file.open())
        return own if labels is None else _relabelled(own, read_labels(labels))
    columns = guess_columns(file.columns(), mapping, file.name)
    known = None if labels is None else read_labels(labels)
    _check_columns(columns, file)
    if known is None and "class" in columns and not findings_of(columns, "target"):
        known = _labels_of(file, columns)  # the table is its own label file
    if known is not None:
        known = _with_unseen(known, findings_of(columns, "prob"))
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
        rows, there, join_notes = _join(images, known)
        truth, notes = known.frame.iloc[there], notes + join_notes
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
    """What was true of which film, and what else is known of it."""

    frame: pd.DataFrame  # image, target:<finding> (0, 1, NaN), and perhaps patient_id, split and people's columns
    dataset: str  # nih, the file's name, or empty
    people: tuple[str, ...]  # the columns that become metadata
    notes: tuple[str, ...] = ()
    classes: bool = False  # from a column of class names, which no film need have of each
    one_each: bool = False  # and it never names two of one film

    @property
    def findings(self) -> list[str]:
        return findings_of(self.frame.columns, "target")


def read_labels(source: TableSource) -> Labels:
    """A label file: NIH's, or a table with a column of films and one a finding (0, 1, -1 or empty for unknown).

    In place of those, one column of class names will do (``Normal``, ``Effusion|Mass``, empty for unknown).
    Raises InvalidPredictions or InvalidDataset for any other, and where a film is listed twice.
    """
    file = TableFile.of(source)
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


def _labels_of(file: TableFile, columns: Mapping[str, str]) -> Labels:
    findings = findings_of(columns, "target")
    if "image" not in columns or not (findings or "class" in columns):
        raise InvalidDataset(
            f"{file.name} is no label file: expected NIH's Data_Entry CSV, or columns image and one for each finding "
            f"(or label, with names of classes); it has {first_ten(file.columns())}"
        )
    kept = {name: column for name, column in columns.items() if not name.startswith(("prob:", "logit:"))}
    if findings:
        kept.pop("class", None)
    frame = file.read(kept)
    labels = _labels_in(frame, findings) if findings else _classes_in(frame, columns["class"], file)
    truth = labels.frame.assign(image=_images(frame["image"], file))
    return replace(labels, frame=truth, dataset=table_name(file.name))


def _relabelled(own: Predictions, known: Labels) -> Predictions:
    known = _with_unseen(known, own.labels.names)
    if missing := [name for name in own.labels if name not in known.findings]:
        raise InvalidPredictions(f"the label file has no column for {', '.join(missing)}")
    rows, there, notes = _join(own.images, known)
    truth, part = known.frame.iloc[there], own.rows(rows)
    targets, class_notes = _targets(truth, own.labels, known)
    return replace(
        part,
        targets=targets,
        metadata=part.metadata | {name: truth[name].to_numpy() for name in known.people},
        dataset=known.dataset,
        notes=(*known.notes, *notes, *class_notes),
    )


def _check_columns(columns: Mapping[str, str], file: TableFile) -> None:
    lacks = [] if "image" in columns else ["of films (image or Image Index)"]
    if not findings_of(columns, "prob"):
        lacks.append("of probabilities (prob_<finding>)")
    if lacks:
        raise InvalidPredictions(
            f"{file.name} lacks a column {' and one '.join(lacks)}; it has {first_ten(file.columns())}"
        )


def _scored(predicted: Sequence[str], labelled: Sequence[str], file: TableFile) -> tuple[LabelSet, list[str]]:
    """The findings that have both probability and label, in NIH's order and then the table's; notes on the rest."""
    if not labelled:
        raise InvalidPredictions(f"{file.name} has no labels (target_<finding> or label); give a label file with it")
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
    """The columns worth reading: of each finding its probability and label, and its logit where every one has one."""
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
    """Ids of films, (N,) str, each given and given once."""
    if (empty := column.isna()).any():
        row = int(np.argmax(empty)) + 1
        raise InvalidPredictions(f"{file.name} has {int(empty.sum())} row(s) without a film, the first in row {row}")
    images = _strings(column, f"a film of {file.name}")
    check_each_once(images, file.name)
    return images


def _strings(column: pd.Series, what: str) -> np.ndarray:
    """(N,) str without outer blanks; refused where one is so long that a fixed width would cost all memory."""
    text = column.astype(str).str.strip()
    most = min(_MAX_NAME, MAX_BYTES // 4 // max(len(text), 1))
    if (long := text.str.len() > most).any():
        raise InvalidPredictions(f"{what} is called by over {most} characters, in row {int(np.argmax(long)) + 1}")
    return text.to_numpy(dtype=object).astype(str)


def _labels_in(frame: pd.DataFrame, names: Iterable[str]) -> Labels:
    """The labels that a table holds itself. Raises InvalidDataset for values other than 0, 1, -1 and empty."""
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
    """The labels that a column of class names holds. Raises InvalidDataset where its values are no such names."""
    import pandas as pd

    codes, texts = pd.factorize(frame["class"].str.strip().replace("", None))
    named = [[known_finding(part.strip()).name for part in text.split("|")] for text in texts]
    names = list(dict.fromkeys(name for several in named for name in several))
    if not names or len(names) > _MAX_CLASSES or all(re.fullmatch(r"-?[\d.]+", name) for name in names):
        found = f"{len(names)} different values" if len(names) > _MAX_CLASSES else first_ten(names) or "nothing"
        raise InvalidDataset(
            f"column {column} of {file.name} holds {found}, and names of classes are expected, such as Normal and "
            "Pneumonia; call a column of 0 and 1 target_<finding>"
        )
    table = np.array([[name in several for name in names] for several in named] + [[np.nan] * len(names)])
    labels = _with_people(frame, pd.DataFrame(table[codes], columns=[f"target:{name}" for name in names]), ())
    return replace(labels, classes=True, one_each=all(len(several) == 1 for several in named))


def _with_people(frame: pd.DataFrame, truth: pd.DataFrame, notes: Iterable[str]) -> Labels:
    """Targets beside what the same table says of patients and splits."""
    people = read_people(frame)
    identity = {name: frame[name].to_numpy() for name in ("patient_id", "split") if name in frame}
    return Labels(truth.assign(**identity, **people), "", tuple(people), tuple(notes))


def _with_unseen(known: Labels, predicted: Sequence[str]) -> Labels:
    """Class names and the predicted classes that none of them is: no film has those. Others as they are."""
    unseen = [name for name in predicted if name not in known.findings]
    if not known.classes or not unseen or len(unseen) == len(predicted):
        return known
    nowhere = known.frame[f"target:{known.findings[0]}"] * 0  # unknown films stay unknown
    frame = known.frame.assign(**{f"target:{name}": nowhere for name in unseen})
    return replace(known, frame=frame, notes=(*known.notes, f"No film is labelled {first_ten(unseen)}."))


def _targets(truth: pd.DataFrame, findings: LabelSet, known: Labels) -> tuple[np.ndarray, list[str]]:
    """Labels of the films predicted, float32 (N, C), and notes: a film of a class that is not predicted is unknown."""
    targets = truth[[f"target:{name}" for name in findings]].to_numpy(np.float32)
    other = targets.sum(axis=1) == 0
    if not (known.classes and findings.kind is Kind.MULTICLASS and other.any()):
        return targets, []
    return np.where(other[:, None], np.float32(np.nan), targets), [
        f"{int(other.sum()):,} film(s) are of a class that is not predicted: their class counts as unknown."
    ]


def _join(images: np.ndarray, known: Labels) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Rows of the predictions and of the labels that are the same film, in the predictions' order, and notes.

    By id, else by file name, else by file name without suffix. Raises InvalidPredictions when nothing joins.
    """
    import pandas as pd

    theirs = known.frame["image"].to_numpy(dtype=object).astype(str)
    found = np.full(len(images), -1)
    for key in (str, _file_name, _stem):
        labelled, predicted = (pd.Index([key(name) for name in names], dtype=object) for names in (theirs, images))
        if labelled.is_unique and predicted.is_unique:
            found = labelled.get_indexer(predicted)
        if (found >= 0).any():
            break
    rows = np.flatnonzero(found >= 0)
    if not rows.size:
        raise InvalidPredictions(
            f"no predicted film has a label: films are called {str(images[0])!r} in the predictions "
            f"and {str(theirs[0])!r} in the labels"
        )
    notes = []
    if len(rows) < len(images):
        notes.append(f"{_count(images[found < 0], 'predicted')} without a label, left out.")
        missing = np.ones(len(theirs), dtype=bool)
        missing[found[rows]] = False
        if missing.any():
            notes.append(f"{_count(theirs[missing], 'labelled')} without a prediction.")
    return rows, found[rows], notes


def _count(names: np.ndarray, what: str) -> str:
    return f"{len(names):,} {what} film(s) ({first_ten(names.tolist())})"


def _file_name(name: str) -> str:
    return name.replace("\\", "/").rsplit("/", 1)[-1]


def _stem(name: str) -> str:
    return re.sub(r"\.[A-Za-z]\w{1,4}$", "", _file_name(name))


def _patients(frame: pd.DataFrame, truth: pd.DataFrame, images: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """The labels' patient, else the table's, else the film itself, said aloud."""
    for source in (truth, frame):
        if "patient_id" in source:
            if empty := int(source["patient_id"].isna().sum()):
                raise InvalidPredictions(f"{empty} row(s) name no patient; fill that column in for every film")
            return _strings(source["patient_id"], "a patient"), []
    return images, ["Nothing says who the patients are: each film counts as its own, so intervals may be too narrow."]


def _splits(frame: pd.DataFrame, otherwise: str) -> np.ndarray:
    """train, val and test in our words; others as they are."""
    if "split" not in frame:
        return np.full(len(frame), otherwise)
    names = frame["split"].fillna(otherwise).astype(str).str.strip().str.lower().replace("", otherwise)
    return _strings(names.replace(SPLIT_NAMES), "a split")


def read_people(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """``age_years``, ``sex`` and ``view``, of those that the table has."""
    plain = frame.rename(columns=lambda name: usual.column_key(str(name)))
    return {name: np.array(values) for name, values in usual.read_people(plain).items()}
