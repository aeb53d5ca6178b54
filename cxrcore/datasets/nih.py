"""NIH ChestX-ray14 (Wang 2017, arXiv:1705.02315): 112,120 films of 30,805 patients, labels mined from reports.

Films may lie as released (``images_001/images/*.png``) or anywhere below the folder; ``Data_Entry_2017_v2020.csv`` (or
``Data_Entry_2017.csv``) lies at its top or one level below, plain or gzipped. Of the splits in circulation only the
test list is official: the cut between train and val is a later convention, and is not read.
"""

from __future__ import annotations

from collections import Counter
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
_COLUMNS = ("Image Index", "Finding Labels", "Patient ID")


def read_nih(folder: Path, labels: LabelSet = NIH14) -> FilmTable:
    """The films below ``folder`` with age, sex, view, follow-up number, and ``test`` where the official list says so.

    A part of the films is enough; ``notes`` say how many are missing, and which folder was taken where a film lies in
    several (the fullest). Raises InvalidDataset for a missing label file, for films it does not list, for no films.
    """
    if labels.name not in LABEL_SETS:
        raise InvalidDataset(f"nih has no labels {labels.name!r}; choose one of: {', '.join(LABEL_SETS)}")
    csv = label_file(folder)
    if csv is None:
        raise InvalidDataset(f"no NIH labels in {folder.name!r}: expected {LABEL_FILES[0]} beside the films")
    everyone = labels_of(csv)
    paths, notes = _one_path_a_film(folder)
    if not paths:
        raise InvalidDataset(f"no films in {folder.name!r}: expected images_001/images/*.png or *.png below it")
    unlabelled = sorted(paths.keys() - set(everyone.index))
    if unlabelled:
        raise InvalidDataset(f"{len(unlabelled)} films are not in {csv.name}: {first_ten(unlabelled)}")
    listed = everyone[everyone.index.isin(paths.keys())]
    if len(listed) < len(everyone):
        notes.append(f"{len(listed):,} of the {len(everyone):,} labelled films are here; the rest is left out.")
    test = _official_test(folder)
    if test is None:
        notes.append("There is no official test list here (test_list.txt), so test patients are carved by seed.")
    return FilmTable(
        name="nih",
        labels=labels,
        paths=tuple(paths[image] for image in listed.index),
        images=tuple(listed.index),
        patient_ids=tuple(listed["patient_id"]),
        targets=listed[list(labels)].to_numpy(np.float32),
        splits=tuple("test" if image in (test or ()) else None for image in listed.index),
        metadata={name: tuple(listed[name].tolist()) for name in ("age_years", "sex", "view", "follow_up")},
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


def _one_path_a_film(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """A path for every film name, from the fullest folder where there are several, and notes on that."""
    films = find_films(folder, frozenset({".png"}))
    size = Counter(path.parent for path in films)
    paths: dict[str, Path] = {}
    twice: set[str] = set()
    for path in sorted(films, key=lambda path: (-size[path.parent], path)):
        if paths.setdefault(path.name, path) != path:
            twice.add(path.name)
    notes = []
    if twice:
        kept = sorted({paths[name].parent.name for name in twice})
        left = sorted({p.parent.name for p in films if p.name in twice and paths[p.name] != p})
        notes.append(
            f"{len(twice)} films lie in more than one folder; those in {first_ten(kept)} are used, "
            f"not those in {first_ten(left)}."
        )
    return paths, notes


def _official_test(folder: Path) -> set[str] | None:
    """Names of the films of the official test list; None where no list is to be found."""
    listing = _find(folder, ("test_list.txt",))
    table = _find(folder, ("official_split.csv",))
    if listing is not None:
        return set(read_text(listing).split())
    if table is not None:
        frame = read_table(table, dtype=str)
        if not {"Image Index", "split"} <= set(frame.columns):
            raise InvalidDataset(f"{table.name} is no split list: expected the columns Image Index and split")
        return set(frame.loc[frame["split"] == "test", "Image Index"])
    return None


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
)
