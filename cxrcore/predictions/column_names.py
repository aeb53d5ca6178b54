"""Which column of a stranger's table means what? Known by usual names, ignoring case, spaces and underscores."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from cxrcore.datasets import csv_table as usual  # the column names people use
from cxrcore.datasets.files import first_ten
from cxrcore.datasets.nih import OLD_NAMES
from cxrcore.errors import InvalidPredictions
from cxrcore.findings import LABEL_SETS, NIH15, Finding

MEANINGS = {  # of a finding's column -> the words that say so, before the finding or after it
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
    """The column for each of our names that means something here: ``image``, ``prob:Effusion``, ``sex``.

    ``mapping``: our name to the table's column, over what is guessed. ``bare``: what a column called by a finding
    alone holds, ``prob`` or ``target``; beside columns that say they are probabilities it is the target.
    Raises InvalidPredictions for two columns of one meaning, and for a mapping to what is not there.
    """
    names = list(names)
    given = _checked(dict(mapping or {}), names, file)
    free = [name for name in names if name not in given.values()]
    found: dict[str, list[str]] = {}
    for name in free:
        if (meaning := _said(name)) is not None:
            found.setdefault(meaning, []).append(name)
    plain = {usual.column_key(column): column for column in reversed(free)}
    for name, usual_names in IDENTITY.items():
        if match := next((plain[usual_name] for usual_name in usual_names if usual_name in plain), None):
            found[name] = [match]
    if bare == "prob" and any(name.startswith("prob:") for name in (*found, *given)):
        bare = "target"
    said = set(found)
    for name in free:
        finding = _FINDINGS.get(usual.column_key(name))
        if finding and f"{bare}:{finding.name}" not in said:
            found.setdefault(f"{bare}:{finding.name}", []).append(name)
    for meaning, columns in found.items():
        if len(columns) > 1 and meaning not in given:
            raise InvalidPredictions(f"columns {' and '.join(columns)} of {file} both read as {meaning}; keep one")
    return {name: columns[0] for name, columns in found.items()} | given


def findings_of(columns: Iterable[str], meaning: str) -> list[str]:
    """The findings that have a column of this meaning, in order."""
    return [name.removeprefix(f"{meaning}:") for name in columns if name.startswith(f"{meaning}:")]


def known_finding(name: str) -> Finding:
    """The finding that this project knows by that name, else one without a description."""
    return _FINDINGS.get(usual.column_key(name), Finding(name, ""))


def _checked(mapping: dict[str, str], names: list[str], file: str) -> dict[str, str]:
    """The mapping, findings by our spelling."""
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


def _said(column: str) -> str | None:
    """``prob:Effusion`` for ``prob_effusion``, ``Effusion (prob)`` and the like; None where no word says what it is."""
    parts = [part for part in re.split(_BETWEEN, column.strip()) if part]
    if [part.lower() for part in parts[:2]] == ["y", "true"]:
        parts = ["ytrue", *parts[2:]]
    if len(parts) < 2:
        return None
    for word, rest in ((parts[0], parts[1:]), (parts[-1], parts[:-1])):
        finding = _FINDINGS.get("".join(rest).lower())
        if finding and (meaning := _WORDS.get(word.lower())):
            return f"{meaning}:{finding.name}"
    match = re.fullmatch(rf"\s*(\w\w+?){_BETWEEN}(\S.*?)\s*", column)  # a finding of their own: prob_Stent
    meaning = _WORDS.get(match[1].lower()) if match else None
    return f"{meaning}:{match[2]}" if match and meaning else None
