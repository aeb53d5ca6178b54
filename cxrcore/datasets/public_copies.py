"""The public copies of collections on the Hub, and how their archives are unpacked into films.

As found in public code that reads them: the NIH copy keeps the twelve official archives (each ``images/*.png``) beside
the official lists; the Kermany copy keeps the original JPEG bytes and file names in parquet rows, so the patient in a
name survives. Places are relative to the folder the collection goes to.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cxrcore.datasets.kermany import patient_of
from cxrcore.errors import InvalidDataset
from cxrcore.text import size_text

MAX_FILM_BYTES = 100_000_000


@dataclass(frozen=True)
class PublicCopy:
    """One collection on the Hub: where, in which files, and how to read them."""

    repo: str
    archives: re.Pattern[str]  # paths in the repository
    expected: str  # the same for a reader
    tables: tuple[str, ...]  # small files, by path in the repository; kept under their own names
    films: Callable[[Path], tuple[dict[str, int], int]]  # archive -> {place: bytes, 0 if unlisted}, bytes in all
    unpack: Callable[[Path, set[str]], Iterator[tuple[str, bytes]]]  # the films at these places
    patient: Callable[[str], str]  # of the film at a place
    labels: str | None  # the table that lists every film, so a subset need not fetch every archive
    manual: str


def _zip_members(archive: Path, opened: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """NIH's archives: images_001.zip holds images/00000001_000.png, which goes to images_001/images."""
    members = {}
    for member in opened.infolist():
        path = PurePosixPath(member.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts:
            raise InvalidDataset(f"{archive.name} holds a file that would leave the folder; it was not unpacked")
        if re.fullmatch(r"\d{8}_\d{3}\.png", path.name):
            if member.file_size > MAX_FILM_BYTES:
                raise InvalidDataset(
                    f"{archive.name} holds a film of {size_text(member.file_size)}; it was not unpacked"
                )
            members[f"{archive.stem}/images/{path.name}"] = member
    return members


def _zip_films(archive: Path) -> tuple[dict[str, int], int]:
    with zipfile.ZipFile(archive) as opened:
        films = {place: member.file_size for place, member in _zip_members(archive, opened).items()}
    return films, sum(films.values())


def _unzip(archive: Path, places: set[str]) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(archive) as opened:
        for place, member in _zip_members(archive, opened).items():
            if place in places:
                yield place, opened.read(member)  # no longer than listed, and of the listed CRC, or BadZipFile


def _parquet_films(archive: Path) -> tuple[dict[str, int], int]:
    """Kermany's archives: rows of image {bytes, path} and label, a split by the archive's name."""
    from pyarrow import parquet

    with parquet.ParquetFile(archive) as opened:
        groups = [opened.metadata.row_group(i).total_byte_size for i in range(opened.metadata.num_row_groups)]
        rows = [
            row for batch in opened.iter_batches(columns=["image.path", "label"]) for row in batch.to_pylist()
        ]  # names only: no film is read for this
        return {_parquet_place(archive, row): 0 for row in rows}, sum(groups)


def _unparquet(archive: Path, places: set[str]) -> Iterator[tuple[str, bytes]]:
    from pyarrow import parquet

    with parquet.ParquetFile(archive) as opened:
        for batch in opened.iter_batches(batch_size=32, columns=["image", "label"]):
            for row in batch.to_pylist():
                if (place := _parquet_place(archive, row)) in places:
                    yield place, row["image"]["bytes"]


def _parquet_place(archive: Path, row: dict[str, Any]) -> str:
    path, label = (row.get("image") or {}).get("path") or "", row.get("label")
    name = PurePosixPath(path.replace("\\", "/")).name
    split = {"validation": "val"}.get(split := archive.name.split("-")[0], split)
    if not re.fullmatch(r"\w[\w.-]*\.(jpe?g|png)", name, re.IGNORECASE) or label not in (0, 1):
        raise InvalidDataset(f"{archive.name} holds a film without a file name or class; the public copy has changed")
    return f"chest_xray/{split}/{('NORMAL', 'PNEUMONIA')[label]}/{name}"


COPIES = {
    "nih": PublicCopy(
        repo="alkzar90/NIH-Chest-X-ray-dataset",
        archives=re.compile(r"data/images/images_\d{3}\.zip"),
        expected="data/images/images_001.zip and so on",
        tables=(
            "data/Data_Entry_2017_v2020.csv",
            "data/train_val_list.txt",
            "data/test_list.txt",
            "data/BBox_List_2017.csv",
        ),
        films=_zip_films,
        unpack=_unzip,
        patient=lambda place: PurePosixPath(place).name.split("_")[0],
        labels="Data_Entry_2017_v2020.csv",
        manual="https://nihcc.app.box.com/v/ChestXray-NIHCC has the same archives and lists",
    ),
    "kermany": PublicCopy(
        repo="hf-vision/chest-xray-pneumonia",
        archives=re.compile(r"data/(train|validation|test)-\d{5}-of-\d{5}\.parquet"),
        expected="data/train-00000-of-00007.parquet and so on",
        tables=(),
        films=_parquet_films,
        unpack=_unparquet,
        patient=lambda place: patient_of(Path(place)),
        labels=None,
        manual="https://doi.org/10.17632/rscbjbr9sj.2 has the same films",
    ),
}
