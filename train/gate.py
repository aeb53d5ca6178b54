"""``cxr gate``: fit the input gate of a model that is there already."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

import cxrcore
from cxrcore.bundle.folder import GATE
from cxrcore.datasets.cache import DecodedFilms, open_films
from cxrcore.errors import CxrError
from cxrcore.evaluation.evaluate import films_of_split
from cxrcore.models.classifier import Classifier
from cxrcore.resources import keep_freed_memory
from cxrcore.training.gate import TRAIN_FILMS, VAL_FILMS, fit_bundle_gate
from train.terminal import print_json


def fit_gate_of(reference: str, data: Path, negatives: Sequence[Path] = ()) -> None:
    """Write the gate into the model's folder and print what it was fitted on. Raises CxrError."""
    model = cxrcore.load(reference)
    if not isinstance(model, Classifier):
        raise CxrError("an ensemble asks the gates of its members: fit theirs")
    keep_freed_memory()
    dataset = str(model.config.provenance.get("dataset") or "")
    bar = partial(tqdm, disable=None, leave=False)

    def films(split: str, most: int) -> DecodedFilms:
        table = films_of_split(model, dataset, data, split)
        some = np.sort(np.random.default_rng(0).permutation(len(table))[:most])
        return open_films(table.select(some), model.preprocessing, progress=bar)

    guard = fit_bundle_gate(model, films("train", TRAIN_FILMS), films("val", VAL_FILMS), negatives, progress=bar)
    print_json({"model": model.name, "gate": GATE, **guard})
