"""The meaning of a table's columns, guessed from their names; case, spaces and underscores are ignored."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from cxrcore.datasets import csv_table as usual  # usual column names
from cxrcore.datasets.files import first_ten
from cxrcore.datasets.nih import OLD_NAMES
from cxrcore.errors import InvalidPredictions
from cxrcore.findings import LABEL_SETS, NIH15, Finding

MEANINGS = {  # of a finding's column -> words before or after the finding that mark it
    "prob": ("prob", "probs", "probability", "p", "pred", "prediction", "score"),
    "logit": ("logit", "logits"),
    "target": ("target", "label", "true", "truth", "gt", "ytrue"),
}
IDENTITY = {
    "image": usual.IMAGE,
    "patient_id": usual.PATIENT,
    "split": usual.SPLIT,
    "age_years": usual.AGE,
    "sex": usual.SEX,
    "view": usual.VIEW,
    "class": ("label", "labels", "class", "classname", "diagnosis", "findinglabels", "target", "truth", "groundtruth"),
}
_WORDS = {word: meaning for meaning, words in MEANINGS.items() for word in words}
_FINDINGS = {usual.column_key(name): labels[name] for labels in LABEL_SETS.values() for name in labels}
_FINDINGS |= {usual.column_key(old): NIH15[new] for old, new in OLD_NAMES.items()}
_BETWEEN = r"[\s_:.()/-]+"


def guess_columns(
    names: Iterable[str], mapping: Mapping[str, str] | None = None, file: str = "this table", bare: str = "prob"
) -> dict[str, str]:
    """Our name (``image``, ``prob:Effusion``, ``sex``) to the table's column, for each column with a known meaning.

    ``mapping``: the same for some columns, overrides the guess. ``bare``: the meaning of a column named by a finding
    alone, ``prob`` or ``target``; beside columns marked as probabilities it is the target.
    Raises InvalidPredictions for two columns of one meaning, and for a mapping to a column that does not exist.

    >>> guess_columns(["Image Index", "prob_effusion", "Effusion"])
    {'prob:Effusion': 'prob_effusion', 'image': 'Image Index', 'target:Effusion': 'Effusion'}
    """
    names = list(names)
    given = _checked(dict(mapping or {}), names, file)
    free = [name for name in names if name not in given.values()]
    guessed: dict[str, list[str]] = {}
    for name in free:
        if (meaning := _marked(name)) is not None:
            guessed.setdefault(meaning, []).append(name)
    plain = {usual.column_key(column): column for column in reversed(free)}
    for name, usual_names in IDENTITY.items():
        if match := next((plain[usual_name] for usual_name in usual_names if usual_name in plain), None):
            guessed[name] = [match]
    if bare == "prob" and any(name.startswith("prob:") for name in (*guessed, *given)):
        bare = "target"
    marked = set(guessed)
    for name in free:
        finding = _FINDINGS.get(usual.column_key(name))
        if finding and f"{bare}:{finding.name}" not in marked:
            guessed.setdefault(f"{bare}:{finding.name}", []).append(name)
    for meaning, columns in guessed.items():
        if len(columns) > 1 and meaning not in given:
            raise InvalidPredictions(f"columns {' and '.join(columns)} of {file} both read as {meaning}; keep one")
    return {name: columns[0] for name, columns in guessed.items()} | given


def findings_of(columns: Iterable[str], meaning: str) -> list[str]:
    """The findings that have a column of this meaning, in order.

    >>> findings_of(["image", "prob:Mass", "target:Mass"], "prob")
    ['Mass']
    """
    return [name.removeprefix(f"{meaning}:") for name in columns if name.startswith(f"{meaning}:")]


def known_finding(name: str) -> Finding:
    """The finding of that name from the known label sets, else a new one without a description."""
    return _FINDINGS.get(usual.column_key(name), Finding(name, ""))


def _checked(mapping: dict[str, str], names: list[str], file: str) -> dict[str, str]:
    """The mapping with the findings in our spelling."""
    if absent := sorted(set(mapping.values()) - set(names)):
        raise InvalidPredictions(f"{file} has no column {first_ten(absent)}; it has {first_ten(names)}")
    result = {}
    for name, column in mapping.items():
        meaning, _, finding = name.partition(":")
        if name not in IDENTITY and (meaning not in MEANINGS or not finding):
            raise InvalidPredictions(
                f"no column can mean {name!r}; there is {', '.join(IDENTITY)}, prob:X and target:X"
            )
        result[f"{meaning}:{known_finding(finding).name}" if finding else name] = column
    return result


def _marked(column: str) -> str | None:
    """``prob:Effusion`` for ``prob_effusion``, ``Effusion (prob)`` and the like; None where no word marks it."""
    parts = [part for part in re.split(_BETWEEN, column.strip()) if part]
    if [part.lower() for part in parts[:2]] == ["y", "true"]:
        parts = ["ytrue", *parts[2:]]
    if len(parts) < 2:
        return None
    for word, rest in ((parts[0], parts[1:]), (parts[-1], parts[:-1])):
        finding = _FINDINGS.get("".join(rest).lower())
        if finding and (meaning := _WORDS.get(word.lower())):
            return f"{meaning}:{finding.name}"
    match = re.fullmatch(rf"\s*(\w\w+?){_BETWEEN}(\S.*?)\s*", column)  # a finding that is in no label set: prob_Stent
    meaning = _WORDS.get(match[1].lower()) if match else None
    return f"{meaning}:{match[2]}" if match and meaning else None
