"""NIH ChestX-ray14 (Wang 2017, arXiv:1705.02315): 112,120 films of 30,805 patients, labels mined from reports.

Films may lie as released (``images_001/images/*.png``) or anywhere below the folder, as PNG or as the JPEG of a resized
mirror; a film is known by its file's stem. ``Data_Entry_2017_v2020.csv`` (or ``Data_Entry_2017.csv``) lies at the top
or one level below, plain or gzipped. Of the splits in circulation only the test list is official: the cut between train
and val is a later convention, and is not read.

The folders beside the label file are copies of the collection, resized by different programs. A network tells such
copies apart, so they are one set only when asked for by name; ``images_001`` to ``images_012`` are one copy.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cxrcore.datasets.files import find_films, first_ten, read_table, read_text, subfolders
from cxrcore.datasets.people import ages_in_years, sexes
from cxrcore.datasets.reader import DatasetReader
from cxrcore.datasets.table import FilmTable
from cxrcore.errors import InvalidDataset
from cxrcore.findings import NIH14, NIH15, LabelSet

if TYPE_CHECKING:
    import pandas as pd

LABEL_SETS = {labels.name: labels for labels in (NIH14, NIH15)}
LABEL_FILES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
OLD_NAMES = {"Infiltrate": "Infiltration", "Pleural Thickening": "Pleural_Thickening"}  # of some releases
RELEASED = "images"  # the name of the copy in images_001 to images_012
_SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
_COLUMNS = ("Image Index", "Finding Labels", "Patient ID")


def read_nih(folder: Path, labels: LabelSet = NIH14, folders: Sequence[str] = ()) -> FilmTable:
    """The films below ``folder`` with age, sex, view, follow-up number, and ``test`` where the official list says so.

    ``folders``: which folders beside the label file to read as one set, the preferred first; the metadata then has
    their name as ``source``. By default the one with most films; ``notes`` say which were left out, and how many films
    are missing. Images are named as in the label file, whatever their suffix is here. Raises InvalidDataset for a
    missing label file, for films it does not list, for no films.
    """
    if labels.name not in LABEL_SETS:
        raise InvalidDataset(f"nih has no labels {labels.name!r}; choose one of: {', '.join(LABEL_SETS)}")
    csv = label_file(folder)
    if csv is None:
        raise InvalidDataset(f"no NIH labels in {folder.name!r}: expected {LABEL_FILES[0]} beside the films")
    everyone = labels_of(csv)
    stems = [_stem(image) for image in everyone.index]
    copies = _copies(folder, csv)
    chosen, notes = _choose(copies, set(stems), folders)
    paths: dict[str, Path] = {}
    source: dict[str, str] = {}
    for name in chosen:
        for path in copies[name]:
            if paths.setdefault(path.stem, path) == path:
                source[path.stem] = name
    if twice := sum(len(copies[name]) for name in chosen) - len(paths):
        notes.append(f"{twice:,} files repeat a film that was met before; they are left out.")
    if unlabelled := sorted(paths[stem].name for stem in paths.keys() - set(stems)):
        raise InvalidDataset(f"{len(unlabelled)} films are not in {csv.name}: {first_ten(unlabelled)}")
    here = np.array([stem in paths for stem in stems])
    listed, stems = everyone[here], [stem for stem in stems if stem in paths]
    if len(listed) < len(everyone):
        notes.append(f"{len(listed):,} of the {len(everyone):,} labelled films are here; the rest is left out.")
    test = _official_test(folder)
    if test is None:
        notes.append("There is no official test list here (test_list.txt), so test patients are carved by seed.")
    people = {name: tuple(listed[name].tolist()) for name in ("age_years", "sex", "view", "follow_up")}
    return FilmTable(
        name="nih",
        labels=labels,
        paths=tuple(paths[stem] for stem in stems),
        images=tuple(listed.index),
        patient_ids=tuple(listed["patient_id"]),
        targets=listed[list(labels)].to_numpy(np.float32),
        splits=tuple("test" if stem in (test or ()) else None for stem in stems),
        metadata=people | ({"source": tuple(source[stem] for stem in stems)} if folders else {}),
        notes=tuple(notes),
    )


def label_file(folder: Path) -> Path | None:
    """The NIH label file at the top of ``folder`` or one level below, plain or gzipped."""
    return _find(folder, LABEL_FILES)


def labels_of(csv: Path) -> pd.DataFrame:
    """Every labelled film, indexed by image: the findings of NIH15 as float32 0 or 1, and its person's columns.

    Those are ``patient_id`` (str), ``age_years`` (float, NaN where the file's age is impossible), ``sex`` (M, F or
    empty), ``view`` (PA, AP) and ``follow_up`` (int). Raises InvalidDataset for a file of another kind.
    """
    import pandas as pd

    frame = read_table(csv, dtype={"Image Index": str, "Finding Labels": str}, index_col=False)
    if missing := [column for column in _COLUMNS if column not in frame.columns]:
        raise InvalidDataset(f"{csv.name} is no NIH label file: it lacks {', '.join(missing)}")
    if frame[list(_COLUMNS)].isna().any(axis=None) or frame["Image Index"].duplicated().any():
        raise InvalidDataset(f"{csv.name} has empty fields or lists a film twice; download it again")
    kind, texts = pd.factorize(frame["Finding Labels"])  # 836 combinations for 112,120 films
    targets = np.stack([_target(text, csv.name) for text in texts])[kind]

    def column(name: str, default: object) -> pd.Series:
        return frame[name] if name in frame.columns else pd.Series(default, index=frame.index)

    people = {
        "patient_id": frame["Patient ID"].astype(str),
        "age_years": ages_in_years(column("Patient Age", np.nan)),
        "sex": sexes(column("Patient Gender", "")),
        "view": column("View Position", "").fillna("").astype(str),
        "follow_up": column("Follow-up #", 0),
    }
    images = pd.Index(frame["Image Index"], name="image")
    people_frame = pd.DataFrame({name: values.to_numpy() for name, values in people.items()}, index=images)
    return pd.DataFrame(targets, index=images, columns=list(NIH15)).join(people_frame)


def _target(text: str, file: str) -> np.ndarray:
    """Which findings of NIH15 a field such as ``Cardiomegaly|Effusion`` names; float32 (15,)."""
    names = {OLD_NAMES.get(part.strip(), part.strip()) for part in text.split("|")}
    if strange := sorted(names - set(NIH15)):
        raise InvalidDataset(f"{file} names findings that NIH ChestX-ray14 does not have: {', '.join(strange)}")
    return np.array([name in names for name in NIH15], np.float32)


def _copies(folder: Path, csv: Path) -> dict[str, list[Path]]:
    """Films by the folder beside the label file that they lie in, at whatever depth; the fullest folder first."""
    films = find_films(folder, _SUFFIXES)
    if not films:
        raise InvalidDataset(f"no films in {folder.name!r}: expected images_001/images/*.png, or PNG or JPEG below it")
    beside = csv.parent if any(path.is_relative_to(csv.parent) for path in films) else folder
    copies: dict[str, list[Path]] = defaultdict(list)
    for path in films:
        top = path.relative_to(beside if path.is_relative_to(beside) else folder).parts[0]
        name = "." if top == path.name else RELEASED if re.fullmatch(r"images_\d{3}", top) else top
        copies[name].append(path)
    return dict(sorted(copies.items(), key=lambda item: (-len(item[1]), item[0])))


def _choose(copies: dict[str, list[Path]], stems: set[str], folders: Sequence[str]) -> tuple[list[str], list[str]]:
    """The copies to read, the preferred first, and a note on those that are left out."""
    if strange := [name for name in folders if name not in copies]:
        raise InvalidDataset(f"no films in a folder {first_ten(strange)}; there are: {first_ten(list(copies))}")
    if folders:
        return list(folders), []
    count = {name: len({path.stem for path in films} & stems) for name, films in copies.items()}
    fullest, *rest = sorted(copies, key=lambda name: -count[name])
    if not (left := [f"{name} ({count[name]:,} films)" for name in rest if count[name]]):
        return [fullest], []
    return [fullest], [
        f"Only folder {fullest} is read, with {count[fullest]:,} films; left out: {first_ten(left)}. "
        "Copies of different origin are one set only if asked for (a recipe's data.folders, cxr evaluate --folder)."
    ]


def _official_test(folder: Path) -> set[str] | None:
    """Stems of the films of the official test list; None where no list is to be found."""
    listing = _find(folder, ("test_list.txt",))
    table = _find(folder, ("official_split.csv",))
    if listing is not None:
        return {_stem(image) for image in read_text(listing).split()}
    if table is not None:
        frame = read_table(table, dtype=str)
        if not {"Image Index", "split"} <= set(frame.columns):
            raise InvalidDataset(f"{table.name} is no split list: expected the columns Image Index and split")
        return {_stem(image) for image in frame.loc[frame["split"] == "test", "Image Index"].dropna()}
    return None


def _stem(image: str) -> str:
    return image.rpartition(".")[0] or image


def _find(folder: Path, names: tuple[str, ...]) -> Path | None:
    for place in (folder, *subfolders(folder)):
        for name in names:
            for path in (place / name, place / f"{name}.gz"):
                if path.is_file():
                    return path
    return None


READER = DatasetReader(
    name="nih",
    read=read_nih,
    recognise=lambda folder: label_file(folder) is not None,
    usual_labels=lambda _: NIH14,
    title="Wang et al. 2017, NIH ChestX-ray14",
    who="mostly adults, one hospital (NIH Clinical Center, Bethesda), labels mined from reports by a program",
    license="unrestricted; link the source, acknowledge the NIH Clinical Center, cite the paper",
    url="https://nihcc.app.box.com/v/ChestXray-NIHCC",
    takes_folders=True,
)
