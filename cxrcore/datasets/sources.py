"""Where films come from: whether a class can be told by its source alone, and films of chosen sources."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from cxrcore.datasets.files import first_ten
from cxrcore.datasets.table import FilmTable
from cxrcore.errors import InvalidDataset
from cxrcore.findings import LabelSet


def notes_on_sources(sources: Sequence[str], targets: np.ndarray, labels: LabelSet) -> list[str]:
    """Warnings, each a sentence: sources of one class only, and classes of one source only; targets (N, C)."""
    classes: dict[str, set[str]] = defaultdict(set)
    homes: dict[str, set[str]] = defaultdict(set)
    for source, row in zip(sources, targets == 1, strict=True):
        for name in (labels.names[k] for k in np.flatnonzero(row)):
            classes[source].add(name)
            homes[name].add(source)
    if len(homes) < 2:
        return []
    one_class = sorted(f"{source} ({next(iter(names))})" for source, names in classes.items() if len(names) == 1)
    one_source = sorted(f"{name} ({next(iter(places))})" for name, places in homes.items() if len(places) == 1)
    risk = "a model can learn the source instead of the finding: score each source apart, and leave one out"
    notes = []
    if one_class and len(classes) > 1:
        notes.append(f"Sources with one class only: {first_ten(one_class)}; {risk} (data.leave_out).")
    if one_source and len(classes) > 1:
        notes.append(f"Classes from one source only: {first_ten(one_source)}; {risk} (data.leave_out).")
    return notes


def left_out(table: FilmTable, sources: Sequence[str]) -> np.ndarray:
    """Films of patients who have a film of these sources, bool (N,). Raises InvalidDataset for an unknown source."""
    column = [str(source) for source in table.metadata.get("source", ("",) * len(table))]
    if absent := sorted(set(sources) - set(column)):
        raise InvalidDataset(
            f"data.leave_out names sources that {table.name} does not have: {', '.join(absent)}; "
            f"there are: {', '.join(sorted(set(column) - {''})) or 'none'}"
        )
    patients = {p for p, source in zip(table.patient_ids, column, strict=True) if source in set(sources)}
    return np.array([patient in patients for patient in table.patient_ids])
