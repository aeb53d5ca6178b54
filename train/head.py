"""``cxr fit head``: a new linear head for one's own labels, on a bundle's frozen features."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

import cxrcore
from cxrcore.datasets.cache import open_films
from cxrcore.datasets.registry import folder_of, read_own
from cxrcore.errors import CxrError
from cxrcore.evaluation.record import as_table
from cxrcore.models.classifier import Classifier
from cxrcore.resources import keep_freed_memory
from cxrcore.training.adapt import new_to, refused_by_gate
from cxrcore.training.new_head import REPORT, fit_head, refuse_unfit

LOOKED_AT = 200  # films, at most, that are shown to the gate


def fit_head_on(reference: str, data: Path, out: Path) -> None:
    """Write the bundle and print its cross-validated scores. Raises CxrError."""
    model = cxrcore.load(reference)
    if not isinstance(model, Classifier):
        raise CxrError("an ensemble has several trunks: fit a head on one of its members")
    refuse_unfit(model, out)
    keep_freed_memory()
    table = read_own(folder_of(data))
    for note in table.notes:
        tqdm.write(note)
    table = new_to(model, table, tqdm.write)
    bar = partial(tqdm, disable=None, leave=False)
    films = open_films(table, model.preprocessing, progress=bar)
    for line in films.skipped:
        tqdm.write(f"skipped {line}")
    metrics = fit_head(model, films, out, tqdm.write, bar)
    some = films.select(np.sort(np.random.default_rng(0).permutation(len(films))[:LOOKED_AT]))
    if refused := int(refused_by_gate(model, some).sum()):
        tqdm.write(f"the input gate, which is that of {model.name}, refuses {refused} of {len(some)} of these films")
    tqdm.write(as_table(metrics))
    tqdm.write(
        f"{out}: a head on {model.id}, from {metrics.n:,} films of {metrics.n_patients:,} patients. "
        f"Each film was scored by a head fitted on other patients; {REPORT} has the numbers."
    )
