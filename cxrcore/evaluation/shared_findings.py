"""A set of films in the findings of a model that was made for another label set: what both know is scored.

Findings are shared by name; ``Normal`` and ``No Finding`` mean the same; bacterial and viral pneumonia are pneumonia.

- A model of findings (several may be present): each shared finding is present or absent as the set says; of a set of
  exclusive classes, only its normal films are without the finding. Findings that are not shared are unknown.
- A model of exclusive classes: films of exactly one of its classes; those of none or several are left out.

With ``all_negatives`` the films left out of a finding's comparison count as without it (a model of two classes only).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cxrcore.datasets.registry import read_dataset, usual_labels
from cxrcore.datasets.table import FilmTable
from cxrcore.errors import InvalidDataset
from cxrcore.findings import NIH14, NIH15, PNEUMONIA2, Kind, LabelSet
from cxrcore.metrics.operating_points import disease_of

_PNEUMONIA = PNEUMONIA2.abnormal[0]


def read_for(
    labels: LabelSet, dataset: str, data: Path, folders: Sequence[str] = (), all_negatives: bool = False
) -> FilmTable:
    """The films of a dataset with targets in the order of ``labels``; notes say what is shared and left out.

    Raises InvalidDataset as ``read_dataset`` does, also where no finding is shared.
    """
    try:
        return read_dataset(dataset, data, labels, folders)
    except InvalidDataset as refused:
        try:
            usual = usual_labels(dataset, data)
        except InvalidDataset:
            raise refused from None
        own = NIH15 if usual == NIH14 else usual
        table = None if own == labels else read_dataset(dataset, data, own, folders)
        translated = None if table is None else in_findings_of(labels, table, all_negatives)
        if translated is None:
            raise refused from None
        return translated


def in_findings_of(labels: LabelSet, table: FilmTable, all_negatives: bool = False) -> FilmTable | None:
    """The films that say something of the findings in ``labels``, as such a table; None where no finding is shared."""
    known = {name: table.targets[:, k] for k, name in enumerate(table.labels)}
    if kinds := [column for name, column in known.items() if name.endswith(" pneumonia")]:
        known.setdefault(_PNEUMONIA, np.max(kinds, axis=0))
    if table.labels.normal and labels.normal:
        known[labels.normal] = known[table.labels.normal]
    shared = [name for name in labels if name in known]
    if not shared:
        return None
    if labels.kind is Kind.MULTICLASS:
        targets, rest = _one_class(labels, known, all_negatives)
    else:
        targets = np.full((len(table), len(labels)), np.nan, np.float32)
        for name in shared:
            targets[:, labels.index(name)] = known[name]
        rest = np.zeros(len(table), bool)
        if table.labels.kind is Kind.MULTICLASS and table.labels.normal and not all_negatives:
            normal = known[table.labels.normal] == 1
            targets[~normal] = np.where(targets[~normal] == 1, targets[~normal], np.nan)
    rows = np.flatnonzero(~np.isnan(targets).all(axis=1))
    if not len(rows):
        return None
    notes = [f"The films are labelled {table.labels.name}; scored is what {labels.name} shares: {', '.join(shared)}."]
    if left := len(table) - len(rows):
        notes.append(f"{left:,} of {len(table):,} films have none of these, or several, and are left out.")
    if rest.any():
        notes.append(f"{int(rest.sum()):,} films with other findings count as without {disease_of(labels)}.")
    return replace(table, labels=labels, targets=targets, notes=(*table.notes, *notes)).select(rows)


def _one_class(labels: LabelSet, known: dict[str, np.ndarray], all_negatives: bool) -> tuple[np.ndarray, np.ndarray]:
    """Targets (N, C), NaN where a film has not exactly one of the classes; and films that count as normal (N,)."""
    has = np.stack([known.get(name, np.zeros(len(next(iter(known.values()))))) == 1 for name in labels], axis=1)
    rest = np.zeros(len(has), bool)
    if all_negatives:
        disease = disease_of(labels)
        if disease is None or disease not in known:
            raise InvalidDataset("films with other findings count as negatives for a model of two classes only")
        rest = ~has.any(axis=1) & (known[disease] == 0)
        has[rest, 1 - labels.index(disease)] = True
    one = has.sum(axis=1, keepdims=True) == 1
    return np.where(one, has, np.nan).astype(np.float32), rest
