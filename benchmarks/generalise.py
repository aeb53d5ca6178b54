"""Where do the models break? Every embedded model on every set of films at hand, in one table: docs/generalisation.md.

    python -m benchmarks.generalise                       # make generalise: all models, the sets below $CXR_DATA_DIR
    python -m benchmarks.generalise tb3 runs/mine --data films --limit 2000 --print

A set whose films a model learned from gives it only its held-out patients: those of the official test list, else of the
split in its recipe. Of larger sets a seed chooses ``--limit`` films. A set is also cut by view (PA, AP), by age and by
the collection that a film is from. Phantoms are drawn anew, as persons that no model has seen.

Scores are of each finding that the set has labels for, and of findings that no film of the set has: how many of its
films are called so nevertheless. A film that its set calls normal has none of a model's findings. AUROC, sensitivity
and specificity have 95 % intervals by patient; what fewer than ``LEAST`` films would decide is left out.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from tqdm import tqdm

import cxrcore
from benchmarks.measuring import REPORT, table_text, write_section
from cxrcore.bundle.folder import embedded_models
from cxrcore.datasets import read_dataset
from cxrcore.datasets.cache import open_films
from cxrcore.datasets.phantoms import write_phantoms
from cxrcore.datasets.table import FilmTable
from cxrcore.errors import CxrError, InvalidDataset
from cxrcore.evaluation.evaluate import members_of, splits_of
from cxrcore.evaluation.forward import logits_and_maps
from cxrcore.evaluation.shared_findings import in_findings_of
from cxrcore.evaluation.subgroups import groups_of
from cxrcore.findings import Kind, LabelSet, label_set
from cxrcore.metrics.arrays import group_codes, sums_by_patient
from cxrcore.metrics.bootstrap import percentile_interval, resampled_sums
from cxrcore.metrics.discrimination import auroc, macro_auroc
from cxrcore.metrics.intervals import Estimate
from cxrcore.metrics.operating_points import decide, disease_of
from cxrcore.metrics.rates import BY_PATIENT, share
from cxrcore.models.base import Model
from cxrcore.text import NumberFormat

LEAST = 10  # films with a finding, and without it
AGES = (0, 18, 65)
PHANTOMS, PHANTOM_SET = 300, 977  # drawn films, and their set, whose persons no training drew
SEED = 0
SHORT = NumberFormat(digits=2, leading_zero=False)


@dataclass(frozen=True)
class FilmSet:
    """A set of films at hand, and what its source says of all of them."""

    title: str
    folder: str  # below the folder of data
    dataset: str  # its reader
    labels: str  # the richest label set it can be read with
    official: bool = False  # only the films of its official test list
    absent: tuple[str, ...] = ()  # findings that no film of it has


SETS = (
    FilmSet("NIH test list", "nih-256", "nih", "nih15", official=True, absent=("Tuberculosis",)),
    FilmSet("NIH, second copy", "nih", "nih", "nih15", absent=("Tuberculosis",)),
    FilmSet("Kermany", "kermany", "kermany", "pneumonia3", absent=("Tuberculosis",)),
    FilmSet("TB collections", "tb", "tb", "tb2"),
    FilmSet("phantoms", "phantom", "phantom", "phantom5"),
)
HEADER = ("model", "films", "finding", "n", "with it", "AUROC", "sensitivity", "specificity", "called so, none has it")


def read_set(films: FilmSet, data: Path) -> FilmTable:
    """All films of a set, with ``collection`` where their source names one. Raises InvalidDataset."""
    table = read_dataset(films.dataset, data / films.folder, label_set(films.labels))
    sources = table.metadata.get("source", ())
    collections = tuple(str(source).partition("-")[0] for source in sources)
    return replace(table, metadata=table.metadata | ({"collection": collections} if collections else {}))


def unseen(model: Model, films: FilmSet, table: FilmTable, data: Path) -> FilmTable:
    """The films of a set whose patients the model did not learn from. Raises InvalidDataset where none can be told."""
    learned = {str(member.config.provenance.get("dataset")) for member in members_of(model)}
    listed = np.array([split == "test" for split in table.splits])
    if films.official:
        keep = listed
    elif films.dataset == "phantom" or not learned & {films.dataset, "composed"}:
        return table
    elif listed.any():
        keep = listed
    else:
        name = "composed" if "composed" in learned else films.dataset
        keep = np.isin(list(map(str, table.paths)), list(_test_paths(model, name, data, films.folder)))
    if not keep.any():
        raise InvalidDataset(f"no film of {films.title} is held out by {model.name}")
    return table.select(np.flatnonzero(keep))


@cache
def _test_paths(model: Model, dataset: str, data: Path, folder: str) -> frozenset[str]:
    """Files of the films that the model's training held out for the test."""
    own = read_dataset(dataset, data if dataset == "composed" else data / folder, model.labels)
    splits, _ = splits_of(model, own, "test")
    return frozenset(str(own.paths[row]) for row in np.flatnonzero(splits == "test"))


def probabilities_of(model: Model, table: FilmTable) -> tuple[FilmTable, np.ndarray]:
    """The films that can be read, and the model's probabilities (N, C) of them."""
    answers = []
    for member in members_of(model):
        films = open_films(
            table,
            member.preprocessing,
            progress=lambda rows: tqdm(rows, total=len(table), unit="film", disable=None, leave=False),
        )
        answers.append(member.probabilities(logits_and_maps(member, films, maps=False)[0]))
    return films.table, np.mean(answers, axis=0)


def truth(labels: LabelSet, table: FilmTable, absent: tuple[str, ...]) -> np.ndarray:
    """Which findings of ``labels`` the films have, float (N, C): 1, 0, or NaN where their set does not say.

    Beside what both label sets share, a film that its set calls normal has no disease.
    """
    targets = np.full((len(table), len(labels)), np.nan)
    shared = in_findings_of(labels, table, all_negatives=labels.binary and disease_of(labels) in table.labels)
    if shared is not None:
        place = {image: row for row, image in enumerate(table.images)}
        targets[[place[image] for image in shared.images]] = shared.targets
    healthy = table.targets[:, table.labels.index(table.labels.normal)] == 1 if table.labels.normal else False
    for k, name in enumerate(labels):
        if name != labels.normal:
            targets[np.isnan(targets[:, k]) & (healthy | np.array(name in absent)), k] = 0
    return targets


@dataclass(frozen=True, eq=False)
class Scored:
    """A model's answers on some films, and the truth; arrays are (N, C), ``patients`` (N,)."""

    labels: LabelSet
    targets: np.ndarray
    probabilities: np.ndarray
    decisions: np.ndarray
    patients: np.ndarray

    def rows(self, films: np.ndarray) -> Scored:
        """Some of the films, bool (N,)."""
        return Scored(
            self.labels, self.targets[films], self.probabilities[films], self.decisions[films], self.patients[films]
        )

    def counts(self) -> tuple[np.ndarray, np.ndarray]:
        """Films with and without each finding."""
        return (self.targets == 1).sum(axis=0), (self.targets == 0).sum(axis=0)


def lines(scored: Scored, whole: bool) -> Iterator[list[str]]:
    """Cells from ``finding`` on: the mean over findings where they are many, and each finding of a whole set."""
    positive, negative = scored.counts()
    both = np.flatnonzero((positive >= LEAST) & (negative >= LEAST))
    many = scored.labels.kind is Kind.MULTILABEL and len(scored.labels) > 1
    if many and len(both) > 1:
        yield _mean_line(scored, both)
    if many:
        yield from _any_line(scored)
    for k, name in enumerate(scored.labels):
        shown = scored.labels.kind is Kind.MULTICLASS or (whole and positive[k])
        if shown and not (scored.labels.binary and name == scored.labels.normal):
            yield from _finding_line(scored, k)


def _finding_line(scored: Scored, k: int) -> Iterator[list[str]]:
    y, called, patients = scored.targets[:, k], scored.decisions[:, k], scored.patients
    positive, negative = int((y == 1).sum()), int((y == 0).sum())
    has, lacks = positive >= LEAST, negative >= LEAST
    if not (has or lacks) or (not has and positive):
        return
    area = auroc(y, scored.probabilities[:, k], patients) if has and lacks else None
    found = share(called[y == 1], patients[y == 1]) if has else None
    cleared = share(~called[y == 0], patients[y == 0]) if has and lacks else None
    alarms = share(called[y == 0], patients[y == 0]) if lacks and not positive else None
    cells = (SHORT.estimate(one) for one in (area, found, cleared, alarms))
    yield [scored.labels.names[k], f"{positive + negative:,}", f"{positive:,}", *cells]


def _mean_line(scored: Scored, columns: np.ndarray) -> list[str]:
    part = scored.targets[:, columns]
    area = macro_auroc(part, scored.probabilities[:, columns], scored.patients)
    called = scored.decisions[:, columns]
    found = mean_rate(called & (part == 1), part == 1, scored.patients)
    cleared = mean_rate(~called & (part == 0), part == 0, scored.patients)
    cells = (SHORT.estimate(one) for one in (area, found, cleared, None))
    n, positive = (~np.isnan(part)).any(axis=1).sum(), (part == 1).any(axis=1).sum()
    return [f"mean of {len(columns)}", f"{n:,}", f"{positive:,}", *cells]


def _any_line(scored: Scored) -> Iterator[list[str]]:
    """How many films without any finding are called to have one."""
    healthy = (scored.targets == 0).all(axis=1)
    if healthy.sum() >= LEAST:
        alarms = share(scored.decisions[healthy].any(axis=1), scored.patients[healthy])
        yield ["any finding", f"{healthy.sum():,}", "0", "-", "-", "-", SHORT.estimate(alarms)]


def mean_rate(hits: np.ndarray, among: np.ndarray, patients: np.ndarray) -> Estimate:
    """The mean over findings of a share of films, from bool (N, C), resampled by patient."""
    sums = sums_by_patient(np.hstack([hits, among]), group_codes(patients))
    above, below = np.hsplit(resampled_sums(sums[sums.any(axis=1)]), 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = np.nanmean(above / below, axis=1)
    value = float(np.mean(hits.sum(axis=0) / among.sum(axis=0)))
    low, high = percentile_interval(drawn)
    return Estimate(value, min(low, value), max(high, value), BY_PATIENT, int(hits.sum()), int((among & ~hits).sum()))


def rows_of(model: Model, films: FilmSet, table: FilmTable, data: Path, limit: int) -> Iterator[list[str]]:
    """The table's rows of a model on a set; none where the set says nothing of the model's findings."""
    if np.isnan(truth(model.labels, table, films.absent)).all():
        return
    try:
        table = unseen(model, films, table, data)
    except InvalidDataset as error:
        yield [model.name, f"{films.title}: {error}", *["-"] * (len(HEADER) - 2)]
        return
    if limit and len(table) > limit:
        table = table.select(np.sort(np.random.default_rng(SEED).choice(len(table), limit, replace=False)))
    table, probabilities = probabilities_of(model, table)
    decisions, _ = decide(model.labels, probabilities, model.operating_points)
    targets, patients = truth(model.labels, table, films.absent), np.array(table.patient_ids)
    scored = Scored(model.labels, targets, probabilities, decisions, patients)
    columns = {name: np.array(table.metadata[name]) for name in table.metadata}
    parts = groups_of(columns, ("view", "age_years", "collection"), together=1, age_bands=AGES)
    yield from ([model.name, f"**{films.title}**", *cells] for cells in lines(scored, whole=True))
    for group in parts:
        for cells in lines(scored.rows(group.films), whole=False):
            if cells[2] != "0" or "collection" in group.attributes:  # of view and age only what they have films with
                yield [model.name, f"{films.title}: {named(group.name)}", *cells]


def named(group: str) -> str:
    """A group of ``groups_of`` for a reader.

    >>> named("18-65"), named("65+"), named("AP")
    ('18 to 64 years', '65 years and older', 'AP')
    """
    if group.endswith("+"):
        return f"{group[:-1]} years and older"
    low, _, high = group.partition("-")
    return f"{low} to {int(high) - 1} years" if low.isdigit() and high.isdigit() else group


def measure(references: list[str], data: Path, limit: int) -> tuple[str, list[str]]:
    """The table, and sentences on sets that are not here."""
    rows, notes = [list(HEADER)], []
    with tempfile.TemporaryDirectory() as drawn:
        write_phantoms(Path(drawn) / "phantom", PHANTOMS, PHANTOM_SET)
        models = [cxrcore.load(reference) for reference in references]
        for films in SETS:
            root = Path(drawn) if films.dataset == "phantom" else data
            try:
                table = read_set(films, root)
            except CxrError as error:
                notes.append(f"{films.title}: not measured, {error}.")
                continue
            for model in models:
                rows += rows_of(model, films, table, root, limit)
    rows[1:] = sorted(rows[1:], key=lambda row: [model.name for model in models].index(row[0]))
    return table_text(rows), notes


def main() -> int:
    named = os.environ.get("CXR_DATA_DIR")
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("models", nargs="*", help="embedded names or folders; default: every embedded model")
    parser.add_argument("--data", type=Path, default=Path(named) if named else None, help="the folder of all sets")
    parser.add_argument("--limit", type=int, default=600, help="at most so many films of a set; 0: all (default: 600)")
    parser.add_argument("--print", action="store_true", help="do not write the document")
    options = parser.parse_args()
    if options.data is None or not options.data.is_dir():
        parser.error("name the folder that holds nih-256, nih, kermany and tb with --data or CXR_DATA_DIR")
    torch.set_num_threads(1)
    try:
        table, notes = measure(options.models or embedded_models(), options.data, options.limit)
    except CxrError as error:
        print(f"generalise: {error}", file=sys.stderr)
        return 2
    most = f"at most {options.limit:,} films of a set, chosen by seed {SEED}" if options.limit else "all films"
    text = "\n".join([table, f"Measured on {most}.", *notes])
    print(text)
    if not options.print:
        write_section(REPORT, "generalise", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
