"""Does the input gate refuse what is no chest film, name films that are turned or inverted, and let the others pass?

    python -m benchmarks.gate --data DIR --negatives DIR [--negatives DIR ...] [MODEL ...] [--write]

Films come from every set at hand, so that most are from hospitals the model never saw; of its own set only held-out
patients. A model of drawn films is judged on newly drawn ones, and on people's films only as they are. Each kind of
picture (a folder below a --negatives, or a drawn kind) is judged by a gate that was fitted without that kind.

``--write`` puts the rows of these models into docs/gate.csv, and a short table of all models there into docs/trust.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import cxrcore
from benchmarks.generalise import PHANTOM_SET, SETS, read_set, unseen
from benchmarks.measuring import ROOT, table_text, write_section
from cxrcore.bundle.folder import embedded_models, embedded_name
from cxrcore.datasets.cache import DecodedFilms, open_films
from cxrcore.datasets.phantoms import write_phantoms
from cxrcore.errors import CxrError
from cxrcore.evaluation.evaluate import films_of_split
from cxrcore.gate.fitting import GateExamples, fit_gate, fit_view_network
from cxrcore.gate.input_gate import InputGate
from cxrcore.gate.negatives import draw_negatives
from cxrcore.gate.reasons import Verdict
from cxrcore.models.classifier import Classifier
from cxrcore.storage import write_text
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
ROWS = DOCUMENT.with_name("gate.csv")
FILMS = 120  # of a set
RATES = {  # column of ROWS -> the reason that it counts
    "turned": "ROTATED",
    "inverted": "INVERTED",
    "mirrored": "MIRRORED",
    "far from training": "FAR_FROM_TRAINING",
}
HEADER = ("model", "films", "change", "n", "refused", *RATES)  # rates in per cent
NO_FILM = "no film"  # in the column of changes
Row = tuple[str | float, ...]  # of HEADER
AS_IT_IS = "as it is"
CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    AS_IT_IS: lambda film: film,
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


def rates(verdicts: Sequence[Verdict]) -> tuple[float, ...]:
    """Number of films, and shares in per cent: of refused ones, and of each reason in RATES."""
    counted = [[not verdict.accepted for verdict in verdicts]]
    counted += [[code in verdict.reasons for verdict in verdicts] for code in RATES.values()]
    return (len(verdicts), *(round(100 * float(np.mean(column)), 1) for column in counted))


def film_rows(model: Classifier, data: Path, phantoms: Path) -> Iterator[Row]:
    """A row for each set, and for each way to spoil its films; ``phantoms`` holds films that no training drew."""
    drawn = bool(model.config.provenance["synthetic"])
    for films in SETS:
        own_kind = drawn == (films.dataset == "phantom")
        if not (own_kind or drawn):
            continue
        try:
            root = phantoms if films.dataset == "phantom" else data
            table = unseen(model, films, read_set(films, root), root)
        except CxrError:
            continue
        rows = np.sort(np.random.default_rng(0).permutation(len(table))[:FILMS])
        pixels = open_films(table.select(rows), model.preprocessing).take(slice(None))
        for name, change in CHANGES.items():
            if name == AS_IT_IS or own_kind:
                yield (model.name, films.title, name, *rates(judged(model, [change(film) for film in pixels])))


def negative_rows(model: Classifier, data: Path, folders: Sequence[Path]) -> Iterator[Row]:
    """A row for each kind of picture, by a gate that has not seen the kind."""
    train, val = _own_films(model, data, "train", TRAIN_FILMS), _own_films(model, data, "val", VAL_FILMS)
    view_network = fit_view_network(film_views(model, train, TRAIN_FILMS))
    first, second = two_parts(val, VAL_FILMS, np.random.default_rng(0))
    learned, tuned = gate_examples(model, first, [], spoilt=False), gate_examples(model, second, [], spoilt=True)
    none = np.empty((0, 1, 1), np.float32)
    kinds = {name: gate_examples(model, none, pictures, spoilt=False) for name, pictures in _kinds(folders)}
    for name, examples in kinds.items():
        rest = _joined([other for kind, other in kinds.items() if kind != name])
        held_out = np.random.default_rng(0).random(len(rest.chest)) < HELD_OUT
        gate = fit_gate(_joined([learned, rest.where(~held_out)]), view_network, _joined([tuned, rest.where(held_out)]))
        whole = np.arange(len(examples.chest)) % 2 == 0  # every other one is a part of the one before
        yield (model.name, name, NO_FILM, *rates(_verdicts(gate, examples.where(whole))))


def _verdicts(gate: InputGate, examples: GateExamples) -> list[Verdict]:
    return gate.judge(examples.features, examples.small, [set()] * len(examples.chest))


def _own_films(model: Classifier, data: Path, split: str, most: int) -> DecodedFilms:
    dataset = str(model.config.provenance["dataset"])
    table = films_of_split(model, dataset, data / _FOLDERS.get(dataset, ""), split)
    rows = np.sort(np.random.default_rng(0).permutation(len(table))[:most])
    return open_films(table.select(rows), model.preprocessing)


_FOLDERS = {"nih": "nih-256", "kermany": "kermany", "tb": "tb", "phantom": "phantom"}


def _kinds(folders: Sequence[Path]) -> Iterator[tuple[str, list[np.ndarray]]]:
    for folder in folders:
        below = sorted(path for path in folder.iterdir() if path.is_dir()) or [folder]
        yield from ((path.name, read_negatives([path])) for path in below)
    yield "drawn by a program", draw_negatives(DRAWN)


def _joined(parts: Sequence[GateExamples]) -> GateExamples:
    columns = zip(*(vars(part).values() for part in parts), strict=True)
    return GateExamples(*(np.concatenate(column) for column in columns))


QUESTIONS = (  # head of the short table, changes of the films, column, where films must be known
    ("upright films refused (aim: at most 2 %)", (AS_IT_IS,), "refused"),
    ("upright films called far from training", (AS_IT_IS,), "far from training"),
    ("turned by 90°, named (aim: at least 98 %)", ("turned 90° left", "turned 90° right"), "turned"),
    ("on their head, named (aim: at least 98 %)", ("turned 180°",), "turned"),
    ("inverted, named (aim: at least 98 %)", ("inverted",), "inverted"),
    ("mirrored, named (no aim)", ("mirrored",), "mirrored"),
    ("pictures of a kind not learned from, refused (aim: at least 95 %)", (NO_FILM,), "refused"),
)


def short_table(rows: pd.DataFrame) -> str:
    """A row for each question and set or kind of picture, a column for each model; shares in per cent."""
    models = list(dict.fromkeys(rows["model"]))
    lines: list[list[str]] = [["", *(model.split("-")[0] for model in models)]]
    for title, changes, column in QUESTIONS:
        asked = rows[rows["change"].isin(changes)]
        shares = asked.pivot_table(column, "films", "model", aggfunc="mean", sort=False)  # changes of the same films
        lines.append([f"**{title}**", *[""] * len(models)])
        for films, line in shares.reindex(columns=models).iterrows():
            lines.append([str(films), *("" if np.isnan(share) else f"{share:.1f}" for share in line)])
    return table_text(lines)


def store(rows: Sequence[Row]) -> None:
    """Put rows into ROWS in place of those of the same models, and the short table into the document."""
    new, order = pd.DataFrame(rows, columns=HEADER), embedded_models()
    old = pd.read_csv(ROWS) if ROWS.is_file() else new.head(0)
    both = pd.concat([old[~old["model"].isin(new["model"])], new])
    both = both.sort_values(
        "model", key=lambda names: names.map(lambda name: order.index(embedded_name(name))), kind="stable"
    )
    write_text(ROWS, both.to_csv(index=False, lineterminator="\n"))
    write_section(DOCUMENT, SECTION, short_table(both))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("models", nargs="*", help="embedded models; default: all with a gate")
    parser.add_argument("--data", type=Path, required=True, help="the folder of all sets")
    parser.add_argument("--negatives", type=Path, action="append", required=True, help="what is no chest film")
    parser.add_argument("--write", action="store_true", help=f"write the table into {DOCUMENT.name}")
    options = parser.parse_args()
    torch.set_num_threads(2)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="cxr-gate-") as drawn:
        write_phantoms(Path(drawn) / "phantom", FILMS, PHANTOM_SET)
        for name in options.models or embedded_models():
            model = cxrcore.load(name)
            if isinstance(model, Classifier) and model.gate is not None:
                parts = (
                    film_rows(model, options.data, Path(drawn)),
                    negative_rows(model, options.data, options.negatives),
                )
                for row in chain(*parts):
                    print(*row, sep=" | ", flush=True)
                    rows.append(row)
    if options.write:
        store(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
