"""Check a dataset's folder before training: decode every film, count every label, name every patient in two splits."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cxrcore.datasets import csv_table
from cxrcore.datasets.duplicates import difference_hash, near_pairs
from cxrcore.datasets.files import first_ten, merge_copies
from cxrcore.datasets.registry import detect_dataset, read_dataset, refuse_unknown, usual_labels
from cxrcore.datasets.splits import SPLITS, torn_patients
from cxrcore.datasets.table import FilmTable
from cxrcore.errors import UnreadableImage
from cxrcore.films.radiograph import MAX_BYTES, read_radiograph
from cxrcore.findings import LabelSet

FEW = 10  # films with a finding; with fewer its probability is not calibrated either
_OPEN = "undecided"  # films that the source assigns to no split


@dataclass(frozen=True)
class FindingCount:
    """How often one finding is present, absent and unknown among the films."""

    positives: int
    negatives: int
    unknown: int

    @property
    def prevalence(self) -> float | None:
        """Share of positives among the films where it is known, in [0, 1]; None where it never is."""
        known = self.positives + self.negatives
        return self.positives / known if known else None


@dataclass(frozen=True)
class Report:
    """The counts and problems of a dataset's folder; ``sound`` is False where films are missing, corrupt or leaking."""

    dataset: str
    labels: str
    films: int  # that have a label and a file, readable or not
    patients: int
    most_films_of_a_patient: int
    findings: dict[str, FindingCount]
    splits: dict[str, int]  # films a split of the source
    missing: tuple[str, ...]  # listed with labels, and no such file
    unlabelled: tuple[str, ...]  # files that no label lists
    corrupt: dict[str, str]  # film -> why it cannot be read
    copies: tuple[tuple[str, ...], ...]  # groups of byte-identical films
    near_copies: tuple[tuple[str, str], ...]  # pairs of near-duplicate films of two patients, other than copies
    leaking: tuple[str, ...]  # patients in more than one split, byte-identical films counted as one patient
    notes: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether training may start."""
        return not (self.missing or self.unlabelled or self.corrupt or self.leaking)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: every field, prevalences and the verdict included."""
        findings = {name: asdict(count) | {"prevalence": count.prevalence} for name, count in self.findings.items()}
        return asdict(self) | {"findings": findings, "sound": self.sound}

    def __str__(self) -> str:
        """The report as a person reads it in a terminal."""
        mean = self.films / self.patients
        width = max(map(len, self.findings))
        lines = [
            f"{self.dataset}, labels {self.labels}: {self.films:,} films of {self.patients:,} patients "
            f"({mean:.1f} films a patient, {self.most_films_of_a_patient} at most)",
            "splits of the source: " + ", ".join(f"{name} {n:,}" for name, n in self.splits.items()),
            "",
            f"{'':{width}}  present  share    absent  unknown",
        ]
        for name, n in self.findings.items():
            share = "-" if n.prevalence is None else f"{n.prevalence:.1%}"
            line = f"{name:{width}}  {n.positives:7,}  {share:>5}  {n.negatives:8,}  {n.unknown:7,}"
            lines.append(line if n.positives else f"{line}  (nothing to learn or score)")
        lines.append("")
        problems = {
            "listed films without a file": self.missing,
            "films without a label": self.unlabelled,
            "films that cannot be read": tuple(f"{film} ({why})" for film, why in self.corrupt.items()),
            "patients in more than one split": self.leaking,
        }
        lines += [f"{what}: {len(names):,} ({first_ten(names)})" for what, names in problems.items() if names]
        if self.copies:
            shown = [" = ".join(group) for group in self.copies]
            lines.append(f"films with byte-identical copies: {len(shown):,} ({first_ten(shown)})")
        if self.near_copies:
            shown = [" ~ ".join(pair) for pair in self.near_copies]
            lines.append(f"near-duplicate films of different patients, to look at: {len(shown):,} ({first_ten(shown)})")
        return "\n".join([*lines, *self.notes, self._verdict])

    @property
    def _verdict(self) -> str:
        if not self.sound:
            return "Mend this before training."
        few = [f"{name} has {films_text(n.positives)}" for name, n in self.findings.items() if n.positives < FEW]
        return f"Ready to train; too few to learn: {first_ten(few)}." if few else "Ready to train."


def films_text(count: int) -> str:
    """A number of films, e.g. ``1 film``."""
    return f"{count:,} film{'' if count == 1 else 's'}"


def check_dataset(
    folder: Path,
    name: str | None = None,
    labels: LabelSet | None = None,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> Report:
    """Read every film below ``folder``; the dataset and its label set are guessed from the layout unless given.

    ``progress`` wraps the iteration over films, one item a film. Raises InvalidDataset when the folder cannot be read
    as such a dataset at all.
    """
    name = name or detect_dataset(folder)
    refuse_unknown(name, folder)
    labels = labels or usual_labels(name, folder)
    missing: tuple[str, ...] = ()
    unlabelled: tuple[str, ...] = ()
    if name == "csv":  # its reader stops at the first kind of gap; here all are reported
        listing = csv_table.read_listing(folder)
        table = csv_table.table_of(listing, folder, labels)
        missing, unlabelled = listing.missing, listing.unlisted
    else:
        table = read_dataset(name, folder, labels)
    corrupt: dict[str, str] = {}
    films: dict[bytes, list[str]] = defaultdict(list)
    digests: list[bytes | None] = []
    hashes: list[np.ndarray] = []
    with ThreadPoolExecutor() as pool:
        for image, (digest, bits, why) in zip(table.images, progress(pool.map(_read, table.paths)), strict=True):
            digests.append(digest)
            hashes.append(bits)
            if why:
                corrupt[image] = why
            elif digest:
                films[digest].append(image)
    report = _count(table)
    patients = merge_copies(table.patient_ids, digests)
    near = [] if name == "phantom" else near_pairs(np.stack(hashes)).tolist()  # drawn films resemble each other
    return replace(
        report,
        missing=missing,
        unlabelled=unlabelled,
        corrupt=corrupt,
        copies=tuple(tuple(group) for group in films.values() if len(group) > 1),
        near_copies=tuple((table.images[a], table.images[b]) for a, b in near if patients[a] != patients[b]),
        leaking=tuple(torn_patients(patients, table.splits)),
    )


def _count(table: FilmTable) -> Report:
    """The counts that need labels only, and no film."""
    targets, films = table.targets, Counter(table.patient_ids)
    findings = {
        name: FindingCount(
            int((targets[:, k] == 1).sum()), int((targets[:, k] == 0).sum()), int(np.isnan(targets[:, k]).sum())
        )
        for k, name in enumerate(table.labels)
    }
    places = Counter(split or _OPEN for split in table.splits)
    return Report(
        dataset=table.name,
        labels=table.labels.name,
        films=len(table),
        patients=len(films),
        most_films_of_a_patient=max(films.values()),
        findings=findings,
        splits={name: places[name] for name in (*SPLITS, _OPEN) if places[name]},
        missing=(),
        unlabelled=(),
        corrupt={},
        copies=(),
        near_copies=(),
        leaking=(),
        notes=table.notes,
    )


def _read(path: Path) -> tuple[bytes | None, np.ndarray, str]:
    """A film's SHA-256, its difference hash and an empty text; or None, zeros and why it cannot be read."""
    nothing = np.zeros(4, dtype=np.uint64)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        bits = difference_hash(read_radiograph(data, name=path.name).pixels)
    except UnreadableImage as error:
        return None, nothing, str(error)
    except OSError:
        return None, nothing, "The file cannot be opened."
    return hashlib.sha256(data).digest(), bits, ""
