"""Films with a CSV, one column a finding: 1 present, 0 absent, empty unknown.

Either ``train*.csv``, ``valid*.csv`` and ``test*.csv``, whose names decide the split, or one CSV, with or without a
``split`` column. Columns are recognised by their usual names, ignoring case, spaces and underscores. A column
``source`` says where films come from: patients of exclusive classes are then cut within each source (``splits.carve``).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cxrcore.datasets.files import digests_of_suspects, find_films, first_ten, merge_copies, read_table
from cxrcore.datasets.folders import SPLIT_NAMES
from cxrcore.datasets.people import ages_in_years, sexes
from cxrcore.datasets.reader import DatasetReader
from cxrcore.datasets.table import FilmTable
from cxrcore.errors import InvalidDataset
from cxrcore.findings import LABEL_SETS, NIH14, Finding, Kind, LabelSet

if TYPE_CHECKING:
    import pandas as pd

IMAGE = ("image", "imageindex", "path", "filename", "imagepath", "imageid")
PATIENT = ("patientid", "patient", "subjectid")
SPLIT = ("split",)
AGE, SEX = ("ageyears", "age", "patientage"), ("sex", "gender", "patientsex", "patientgender")
VIEW = ("view", "viewposition", "ap/pa")
_PATIENT_FOLDER = re.compile(r"(?:^|/)(patient\d+)/", re.IGNORECASE)  # CheXpert names patients in the path only


@dataclass(frozen=True, eq=False)
class Listing:
    """The rows of the CSVs with the film on disk that each one means."""

    frame: pd.DataFrame  # rows of every CSV, plain column names, "_split" and "_path" (None where no film was found)
    missing: tuple[str, ...]  # listed, and no such film
    unlisted: tuple[str, ...]  # films that no CSV lists
    headers: dict[str, frozenset[str]]  # each CSV's columns, by its name
    notes: tuple[str, ...]


def read_csv_table(folder: Path, labels: LabelSet = NIH14) -> FilmTable:
    """The films that the CSVs in ``folder`` list, found below it by relative path or by name.

    Raises InvalidDataset for labels without films, films without labels, a finding without a column, values other than
    0, 1, -1 (CheXpert's uncertain, taken as unknown) and empty, a film listed twice, a class with no film.
    """
    listing = read_listing(folder)
    _check_columns(listing, labels)
    for names, what in ((listing.missing, "listed films are not there"), (listing.unlisted, "films have no label")):
        if names:
            raise InvalidDataset(f"{len(names)} {what} in {folder.name!r}: {first_ten(names)}")
    return table_of(listing, folder, labels)


def table_of(listing: Listing, folder: Path, labels: LabelSet) -> FilmTable:
    """The listed films that are there, as a table. Raises InvalidDataset as ``read_csv_table`` does."""
    frame = listing.frame[listing.frame["_path"].notna()]
    paths = frame["_path"].tolist()
    notes = list(listing.notes)
    _check_columns(listing, labels)
    targets = read_targets(frame, labels, notes)
    if labels.kind is Kind.MULTICLASS:
        _check_classes(targets, labels)
    images = [path.relative_to(folder).as_posix() for path in paths]
    return FilmTable(
        name="csv",
        labels=labels,
        paths=tuple(paths),
        images=tuple(images),
        patient_ids=tuple(_patients(frame, images, paths, notes)),
        targets=targets,
        splits=tuple(frame["_split"]),
        metadata=read_people(frame)
        | ({"source": tuple(frame["source"].fillna("").astype(str))} if "source" in frame else {}),
        notes=tuple(notes),
    )


def read_listing(folder: Path) -> Listing:
    """Every CSV's rows with the film each one means. Raises InvalidDataset for no CSV, several that could be meant, no
    image column, a film listed twice, or a name that several films have.
    """
    import pandas as pd

    tables, notes = label_tables(folder)
    parts, headers = [], {}
    for path, split in tables:
        part = read_table(path).rename(columns=lambda name: column_key(str(name)))
        part = part.loc[:, ~part.columns.duplicated()]
        headers[path.name] = frozenset(part.columns)
        name = _column(part, IMAGE)
        if name is None:
            raise InvalidDataset(f"{path.name} has no column of films; call it Image, path or filename")
        if part[name].isna().any():
            raise InvalidDataset(f"{path.name} has {int(part[name].isna().sum())} rows without a film")
        column = _column(part, SPLIT)
        given = [split] * len(part) if split or column is None else _splits(part[column], path.name)
        parts.append(part.assign(_image=part[name].astype(str), _split=pd.Series(given, part.index, dtype=object)))
    frame = pd.concat(parts, ignore_index=True)
    films = find_films(folder)
    matches = match_films(frame["_image"].tolist(), films, folder)
    listed = Counter(path for path in matches if path is not None)
    if twice := [path.name for path, times in listed.items() if times > 1]:
        raise InvalidDataset(f"{len(twice)} films are listed more than once: {first_ten(twice)}")
    frame["_path"] = pd.Series(matches, dtype=object)
    return Listing(
        frame=frame,
        missing=tuple(image for image, path in zip(frame["_image"], matches, strict=True) if path is None),
        unlisted=tuple(path.relative_to(folder).as_posix() for path in films if path not in listed),
        headers=headers,
        notes=tuple(notes),
    )


def label_tables(folder: Path) -> tuple[list[tuple[Path, str | None]], list[str]]:
    """The CSVs at the top of ``folder`` with the split that each name decides, and notes on those passed over."""
    files = [path for path in _tables(folder) if path.is_file()]
    named = [(path, _split_of_name(path)) for path in files]
    deciding = [(path, split) for path, split in named if split]
    if deciding:
        others = [path.name for path, split in named if not split]
        notes = [f"Tables beside train, valid and test are passed over: {', '.join(others)}."] if others else []
        return list(deciding), notes
    if len(files) == 1:
        return list(named), []
    if files:
        raise InvalidDataset(
            f"several tables in {folder.name!r}: {first_ten([p.name for p in files])}; leave one, or name them "
            f"train.csv, valid.csv and test.csv"
        )
    raise InvalidDataset(f"no CSV in {folder.name!r}: expected one with a row a film and a column a finding")


def read_own_table(folder: Path) -> FilmTable:
    """``read_csv_table`` with every column of 0, 1, -1 and empty as a finding, several of which may be present.

    A note names the columns passed over. Raises InvalidDataset as ``read_csv_table`` does, and without findings.
    """
    tables, _ = label_tables(folder)
    frames = [read_table(path) for path, _ in tables]
    about = {*IMAGE, *PATIENT, *SPLIT, *AGE, *SEX, *VIEW}
    named = [str(name) for name in frames[0].columns if column_key(str(name)) not in about]
    own = [name for name in named if all(name in frame and _is_finding(frame[name]) for frame in frames)]
    if not own:
        raise InvalidDataset(
            f"no column of {first_ten([path.name for path, _ in tables])} is a finding: expected columns of 0 and 1"
        )
    labels = LabelSet("own", Kind.MULTILABEL, tuple(map(_finding, own)))
    table = read_csv_table(folder, labels)
    others = [name for name in named if name not in own]
    note = (f"Columns that are no findings of 0 and 1 are passed over: {first_ten(others)}.",) if others else ()
    return replace(table, notes=(*note, *table.notes))


def _is_finding(column: pd.Series) -> bool:
    given = column[column.notna() & (column.astype(str).str.strip() != "")]
    values = _numbers(given)
    return bool(values.isin([0, 1, -1]).all() and values.isin([0, 1]).any())


def _finding(name: str) -> Finding:
    """The finding that a column names, as the known label sets spell it, else a new one without a description."""
    known = {column_key(finding): labels[finding] for labels in LABEL_SETS.values() for finding in labels}
    return known.get(column_key(name), Finding(name, ""))


def _numbers(column: pd.Series) -> pd.Series:
    """The values as numbers, NaN for those that are none; True is 1."""
    import pandas as pd

    return pd.to_numeric(column.map({True: 1, False: 0}) if column.dtype == bool else column, errors="coerce")


def guess_labels(folder: Path) -> LabelSet | None:
    """The largest label set that every CSV here has all columns of; None where there is none."""
    tables, _ = label_tables(folder)
    headers = [{column_key(column) for column in read_table(path, nrows=0).columns} for path, _ in tables]
    fitting = [s for s in LABEL_SETS.values() if all({column_key(name) for name in s} <= header for header in headers)]
    return max(fitting, key=len, default=None)


def _check_columns(listing: Listing, labels: LabelSet) -> None:
    for file, header in listing.headers.items():
        if absent := [name for name in labels if column_key(name) not in header]:
            raise InvalidDataset(f"{file} has no column for {', '.join(absent)}; {labels.name} needs one a finding")


def _split_of_name(path: Path) -> str | None:
    match = re.match(r"[a-z]+", path.name.lower())
    return SPLIT_NAMES.get(match[0]) if match else None


def _splits(column: pd.Series, file: str) -> list[str | None]:
    texts = column.fillna("").astype(str).str.strip().str.lower()
    if strange := sorted(set(texts) - set(SPLIT_NAMES) - {""}):
        raise InvalidDataset(f"{file} names splits other than train, val and test: {first_ten(strange)}")
    return [SPLIT_NAMES.get(text) for text in texts]


def match_films(images: Sequence[str], films: Sequence[Path], folder: Path) -> list[Path | None]:
    """The film each name means: by path below the folder, by the end of that path, or by its name alone."""
    by_path = {path.relative_to(folder).as_posix(): path for path in films}
    by_name: dict[str, list[Path]] = defaultdict(list)
    for path in films:
        by_name[path.name].append(path)

    def find(image: str) -> Path | None:
        parts = Path(image.replace("\\", "/")).parts
        for start in range(len(parts)):
            if path := by_path.get("/".join(parts[start:])):
                return path
        same = by_name.get(parts[-1], []) if parts else []
        if len(same) > 1:
            raise InvalidDataset(f"{parts[-1]!r} is the name of {len(same)} films; list them with their folders")
        return same[0] if same else None

    return [find(image) for image in images]


def read_targets(frame: pd.DataFrame, labels: LabelSet, notes: list[str]) -> np.ndarray:
    """Targets of 0, 1 or NaN (unknown), float32 (N, C) in label order; adds a note about uncertain labels."""
    targets = np.empty((len(frame), len(labels)), np.float32)
    for k, name in enumerate(labels):
        raw = frame[column_key(name)]
        values = _numbers(raw)
        odd = (values.isna() & raw.notna() & (raw.astype(str).str.strip() != "")) | ~values.isin([0, 1, -1, np.nan])
        if odd.any():
            raise InvalidDataset(
                f"column {name} holds {int(odd.sum())} values other than 0, 1, -1 and empty, "
                f"the first is {str(raw[odd].iloc[0])!r}"
            )
        targets[:, k] = values
    if uncertain := int((targets == -1).sum()):
        notes.append(f"{uncertain:,} labels of -1 (uncertain) are taken as unknown.")
        targets[targets == -1] = np.nan
    return targets


def _check_classes(targets: np.ndarray, labels: LabelSet) -> None:
    fits = np.isnan(targets).all(axis=1) | (~np.isnan(targets).any(axis=1) & (np.nansum(targets, axis=1) == 1))
    if not fits.all():
        raise InvalidDataset(f"each film has exactly one of {', '.join(labels)}, and {int((~fits).sum())} rows differ")
    if empty := [name for name, n in zip(labels, np.nansum(targets, axis=0), strict=True) if n == 0]:
        raise InvalidDataset(f"no film of {', '.join(empty)}")


def _patients(frame: pd.DataFrame, images: list[str], paths: list[Path], notes: list[str]) -> list[str]:
    """A patient a film: the column's, the one named in its path, or the film itself."""
    column = _column(frame, PATIENT)
    if column is not None:
        if frame[column].isna().any():
            raise InvalidDataset(f"{int(frame[column].isna().sum())} rows name no patient; fill that column in")
        return [str(patient) for patient in frame[column].astype(str)]
    named = [_PATIENT_FOLDER.search(image) for image in images]
    if all(named):
        notes.append("Patients are told by the folder names in their films' paths.")
        return [match[1] for match in named if match]
    notes.append("No column names the patient: each film counts as its own, byte-identical films as one.")
    return merge_copies(images, digests_of_suspects(paths))


def read_people(frame: pd.DataFrame) -> dict[str, tuple[Any, ...]]:
    """Those of ``age_years``, ``sex`` and ``view`` that the frame has a column for, one value a row."""
    metadata: dict[str, tuple[Any, ...]] = {}
    if (age := _column(frame, AGE)) is not None:
        metadata["age_years"] = tuple(ages_in_years(frame[age]).tolist())
    if (sex := _column(frame, SEX)) is not None:
        metadata["sex"] = tuple(sexes(frame[sex]).tolist())
    if (view := _column(frame, VIEW)) is not None:
        metadata["view"] = tuple(frame[view].fillna("").astype(str).tolist())
    return metadata


def _column(frame: pd.DataFrame, names: Sequence[str]) -> str | None:
    """The first of these names that the frame has a column of."""
    return next((name for name in names if name in frame.columns), None)


def column_key(name: str) -> str:
    """A column's name as names are compared: ``Pleural_Thickening`` is "pleuralthickening"."""
    return re.sub(r"[\s_-]", "", name.lower())


def _tables(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.lower().endswith((".csv", ".csv.gz")))


READER = DatasetReader(
    name="csv",
    read=read_csv_table,
    recognise=lambda folder: bool(_tables(folder)),
    usual_labels=guess_labels,
    title="Films listed in a CSV, one column a finding",
    who="patients of whom the table says nothing more",
)
