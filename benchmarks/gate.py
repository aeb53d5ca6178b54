"""Does the input gate refuse what is no chest film, name films that are turned or inverted, and let the others pass?

    python -m benchmarks.gate --data DIR --negatives DIR [--negatives DIR ...] [MODEL ...] [--write]

Films come from every set at hand, so that most are from hospitals the model never saw; of its own set only held-out
patients. Each kind of picture (a folder below a --negatives, or a drawn kind) is judged by a gate that was fitted
without that kind.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

import cxrcore
from benchmarks.generalise import SETS, read_set, unseen
from benchmarks.measuring import ROOT, table_text, write_section
from cxrcore.bundle.folder import embedded_models
from cxrcore.datasets.cache import DecodedFilms, open_films
from cxrcore.errors import CxrError
from cxrcore.evaluation.evaluate import films_of_split
from cxrcore.gate.fitting import GateExamples, fit_gate
from cxrcore.gate.input_gate import InputGate
from cxrcore.gate.negatives import draw_negatives
from cxrcore.gate.reasons import Verdict
from cxrcore.models.classifier import Classifier
from cxrcore.training.gate import (
    DRAWN,
    HELD_OUT,
    TRAIN_FILMS,
    VAL_FILMS,
    film_views,
    gate_examples,
    read_negatives,
    two_parts,
)

DOCUMENT, SECTION = ROOT / "docs" / "trust.md", "gate"
FILMS = 120  # of a set
HEADER = ("model", "what", "n", "refused", "turned", "inverted", "mirrored", "far from training")
CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as it is": lambda film: film,
    "turned 90° left": partial(np.rot90, k=1),
    "turned 180°": partial(np.rot90, k=2),
    "turned 90° right": partial(np.rot90, k=3),
    "inverted": lambda film: 1 - film,
    "mirrored": lambda film: film[:, ::-1],
}


def judged(model: Classifier, films: Sequence[np.ndarray]) -> list[Verdict]:
    """What the model's gate says of films at its network's size, from their pixels alone."""
    whole = [np.ascontiguousarray(film, np.float32) for film in films]
    return [verdict for start in range(0, len(whole), 32) for verdict in model.judge(whole[start : start + 32])]


def cells(verdicts: Sequence[Verdict]) -> list[str]:
    """Counts and shares of a row."""

    def share(codes: str) -> str:
        return f"{100 * np.mean([codes in verdict.reasons for verdict in verdicts]):.1f} %"

    refused = f"{100 * np.mean([not verdict.accepted for verdict in verdicts]):.1f} %"
    return [f"{len(verdicts):,}", refused, *map(share, ("ROTATED", "INVERTED", "MIRRORED", "FAR_FROM_TRAINING"))]


def film_rows(model: Classifier, data: Path) -> Iterator[list[str]]:
    """A row for each set, and for each way to spoil its films."""
    for films in SETS:
        try:
            table = unseen(model, films, read_set(films, data), data)
        except CxrError:
            continue
        rows = np.sort(np.random.default_rng(0).permutation(len(table))[:FILMS])
        pixels = open_films(table.select(rows), model.preprocessing).take(slice(None))
        for name, change in CHANGES.items():
            title = f"**{films.title}**" if name == "as it is" else f"{films.title}, {name}"
            yield [model.name, title, *cells(judged(model, [change(film) for film in pixels]))]


def negative_rows(model: Classifier, data: Path, folders: Sequence[Path]) -> Iterator[list[str]]:
    """A row for each kind of picture, by a gate that has not seen the kind."""
    train, val = _own_films(model, data, "train", TRAIN_FILMS), _own_films(model, data, "val", VAL_FILMS)
    views = film_views(model, train, TRAIN_FILMS)
    first, second = two_parts(val, VAL_FILMS, np.random.default_rng(0))
    learned, tuned = gate_examples(model, first, [], spoilt=False), gate_examples(model, second, [], spoilt=True)
    none = np.empty((0, 1, 1), np.float32)
    kinds = {name: gate_examples(model, none, pictures, spoilt=False) for name, pictures in _kinds(folders)}
    for name, examples in kinds.items():
        rest = _joined([other for kind, other in kinds.items() if kind != name])
        held_out = np.random.default_rng(0).random(len(rest.chest)) < HELD_OUT
        gate = fit_gate(_joined([learned, rest.where(~held_out)]), views, _joined([tuned, rest.where(held_out)]))
        whole = np.arange(len(examples.chest)) % 2 == 0  # every other one is a part of the one before
        yield [model.name, f"no film: {name}", *cells(_verdicts(gate, examples.where(whole)))]


def _verdicts(gate: InputGate, examples: GateExamples) -> list[Verdict]:
    return gate.judge(examples.features, examples.small, [set()] * len(examples.chest))


def _own_films(model: Classifier, data: Path, split: str, most: int) -> DecodedFilms:
    dataset = str(model.config.provenance["dataset"])
    table = films_of_split(model, dataset, data / _FOLDERS.get(dataset, ""), split)
    rows = np.sort(np.random.default_rng(0).permutation(len(table))[:most])
    return open_films(table.select(rows), model.preprocessing)


_FOLDERS = {"nih": "nih-256", "kermany": "kermany", "tb": "tb"}


def _kinds(folders: Sequence[Path]) -> Iterator[tuple[str, list[np.ndarray]]]:
    for folder in folders:
        below = sorted(path for path in folder.iterdir() if path.is_dir()) or [folder]
        yield from ((path.name, read_negatives([path])) for path in below)
    yield "drawn by a program", draw_negatives(DRAWN)


def _joined(parts: Sequence[GateExamples]) -> GateExamples:
    columns = zip(*(vars(part).values() for part in parts), strict=True)
    return GateExamples(*(np.concatenate(column) for column in columns))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("models", nargs="*", help="embedded models; default: all with a gate")
    parser.add_argument("--data", type=Path, required=True, help="the folder of all sets")
    parser.add_argument("--negatives", type=Path, action="append", required=True, help="what is no chest film")
    parser.add_argument("--write", action="store_true", help=f"write the table into {DOCUMENT.name}")
    options = parser.parse_args()
    torch.set_num_threads(2)
    rows = [list(HEADER)]
    for name in options.models or embedded_models():
        model = cxrcore.load(name)
        if isinstance(model, Classifier) and model.gate is not None:
            for row in (*film_rows(model, options.data), *negative_rows(model, options.data, options.negatives)):
                print(" | ".join(row), flush=True)
                rows.append(row)
    if options.write:
        write_section(DOCUMENT, SECTION, table_text(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
