"""Films in what a person names: files, folders and zip archives. Nothing of an archive is written to the disk."""

from __future__ import annotations

import re
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cxrcore.datasets.files import FILM_SUFFIXES, find_files
from cxrcore.errors import CxrError, UnreadableImage
from cxrcore.films.dicom import looks_like_dicom
from cxrcore.films.radiograph import MAX_BYTES

MAX_ARCHIVE_FILES = 5_000
MAX_ARCHIVE_BYTES = 64_000_000_000  # unpacked
MAX_RATIO = (
    200  # unpacked to packed, of an archive that unpacks to more than a gigabyte; films shrink to a tenth at most
)
_SMALL = 1_000_000_000
_UNREADABLE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError, ValueError)
_WHY_NOT = "not a film by its name"


@dataclass(frozen=True)
class FilmFile:
    """A film's file, not opened yet."""

    path: str  # as typed; below a folder or an archive, that and the rest
    content: Callable[[], Path | bytes]  # what ``read_radiograph`` takes; raises UnreadableImage


@dataclass(frozen=True)
class FilmFiles:
    """The films in what was named, in its order, and the files beside them that are none."""

    films: tuple[FilmFile, ...]
    skipped: tuple[tuple[str, str], ...] = ()  # path and why


def find_film_files(paths: Iterable[str]) -> FilmFiles:
    """The films in files, folders and zip archives.

    A file is taken as typed. In a folder or an archive, a film is known by its suffix, a DICOM without one by its
    first bytes; hidden files are passed over. Raises CxrError for an archive that is damaged, holds more than
    ``MAX_ARCHIVE_FILES`` files, or would unpack to far more than its size.
    """
    films: list[FilmFile] = []
    skipped: list[tuple[str, str]] = []
    for path in paths:
        if Path(path).is_dir():
            _search_folder(Path(path), films, skipped)
        elif path.lower().endswith(".zip") and Path(path).is_file():
            _search_archive(path, films, skipped)
        else:
            films.append(FilmFile(path, lambda path=Path(path): path))  # type: ignore[misc]
    return FilmFiles(tuple(films), tuple(skipped))


def image_names(paths: Sequence[str]) -> list[str]:
    """How a table calls the films: by file name, by path where several films share a name.

    >>> image_names(["a/1.png", "b/1.png", "b/2.png"])
    ['a/1.png', 'b/1.png', '2.png']
    """
    names = [re.split(r"[\\/]", path)[-1] for path in paths]
    times = Counter(names)
    return [path if times[name] > 1 else name for path, name in zip(paths, names, strict=True)]


def damaged_in_archive(path: str) -> UnreadableImage:
    """The error of an entry of an archive whose size or checksum is wrong."""
    return UnreadableImage(f"{PurePosixPath(path).name!r} is damaged within its archive and cannot be read.")


def _search_folder(folder: Path, films: list[FilmFile], skipped: list[tuple[str, str]]) -> None:
    for file in find_files(folder):
        if _named_as_film(file.name) or (not _has_suffix(file.name) and _starts_as_dicom(file)):
            films.append(FilmFile(str(file), lambda file=file: file))  # type: ignore[misc]
        else:
            skipped.append((str(file), _WHY_NOT))


def _search_archive(path: str, films: list[FilmFile], skipped: list[tuple[str, str]]) -> None:
    called = repr(Path(path).name)
    try:
        archive = zipfile.ZipFile(path)
    except _UNREADABLE:
        raise CxrError(f"{called} is damaged or no zip archive; unpack it, and give the folder") from None
    entries = [entry for entry in archive.infolist() if not entry.is_dir() and not _hidden(entry.filename)]
    _refuse_bomb(called, entries, Path(path).stat().st_size)
    for entry in entries:
        inside = f"{path}/{entry.filename}"
        if why := _why_not(entry):
            skipped.append((inside, why))
        else:
            films.append(FilmFile(inside, lambda entry=entry: _unpack(archive, entry)))  # type: ignore[misc]


def _refuse_bomb(called: str, entries: Sequence[zipfile.ZipInfo], packed: int) -> None:
    """Raise CxrError for an archive of too many files, or that grows too much; sizes as its directory states them."""
    if len(entries) > MAX_ARCHIVE_FILES:
        raise CxrError(
            f"{called} holds {len(entries):,} files, and at most {MAX_ARCHIVE_FILES:,} are read from one archive; "
            "unpack it, and give the folder"
        )
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > MAX_ARCHIVE_BYTES or (unpacked > _SMALL and unpacked > MAX_RATIO * packed):
        raise CxrError(
            f"{called} has {packed / 1e6:,.1f} MB and would unpack to {unpacked / 1e9:,.0f} GB, as no archive of "
            "films does; it is not read"
        )


def _why_not(entry: zipfile.ZipInfo) -> str:
    """Why an entry of an archive is not read; empty for a film."""
    name = entry.filename.replace("\\", "/")
    if name.startswith("/") or ".." in PurePosixPath(name).parts or re.match(r"[A-Za-z]:", name):
        return "its path leads out of the archive"
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "a link"
    if name.lower().endswith(".zip"):
        return "an archive within the archive"
    return "" if _named_as_film(name) or not _has_suffix(name) else _WHY_NOT


def _unpack(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    name = repr(PurePosixPath(entry.filename).name)
    if entry.file_size > MAX_BYTES:  # zipfile reads no more than that, and compares a checksum
        raise UnreadableImage(f"{name} is larger than {MAX_BYTES // 1_000_000} MB, the most that is read.")
    if entry.flag_bits & 1:
        raise UnreadableImage(f"{name} is encrypted; unpack the archive first.")
    try:
        return archive.read(entry)
    except _UNREADABLE:
        raise damaged_in_archive(entry.filename) from None


def _named_as_film(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in FILM_SUFFIXES


def _has_suffix(name: str) -> bool:
    """Whether a name ends in a suffix with a letter; a DICOM may be called by numbers with dots."""
    return re.search(r"\.\w*[A-Za-z]\w*$", name) is not None


def _hidden(name: str) -> bool:
    return any((part.startswith(".") and part != "..") or part == "__MACOSX" for part in re.split(r"[\\/]", name))


def _starts_as_dicom(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return looks_like_dicom(stream.read(4096))
    except OSError:
        return False
