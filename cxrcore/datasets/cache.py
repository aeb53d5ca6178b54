"""A cache on disk of a dataset's films, decoded once to the network's size and memory-mapped by every later run.

Under the cache folder (``CXR_CACHE_DIR``, else the user's own) lies one entry a list of films and geometry::

    films/<dataset>/<height>x<width>-<geometry>-v1/<digest>/pixels.npy    uint16 (N, h, w), see preprocessing.pack
                                                           films.json     which films, which of them were unreadable

Only what changes ``Preprocessing.prepare`` is in the path, so recipes that differ in intensity or augmentation share
an entry, and an entry serves every table whose films it holds. A film is known by its id, its size in bytes and its
time of modification: hashing the bytes of a hundred thousand films at every start would take longer than an epoch. A
film replaced by another of the same size and time goes unnoticed, unless it is among the few that each opening decodes
again to compare.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from cxrcore.datasets.table import FilmTable
from cxrcore.errors import InvalidDataset, TrainingStopped, UnreadableImage
from cxrcore.films.preprocessing import Preprocessing, pack, unpack
from cxrcore.films.radiograph import read_radiograph
from cxrcore.storage import FULL, free_bytes, write_text
from cxrcore.text import size_text

log = logging.getLogger(__name__)

MAX_UNREADABLE = 0.01  # of the films; more than that is no accident
VERSION = 1  # of the entry's layout
COMPARED = 8  # films decoded again when an entry is opened: a decoder that changed shows itself
SAVE_EVERY = 1000  # films after which an interrupted decoding can go on
_PIXELS, _FILMS, _DONE, _PART = "pixels.npy", "films.json", "done.json", ".part"
_MOVE = "CXR_CACHE_DIR names a folder elsewhere to keep it in"

Identity = tuple[str, int, int]  # image id, bytes, time of modification in ns


@dataclass(frozen=True, eq=False)
class DecodedFilms:
    """The readable films of a dataset, at the network's size."""

    table: FilmTable  # readable films only, length N
    pixels: np.ndarray  # uint16 (M, h, w), mapped read-only; M >= N, other films may lie between
    rows: np.ndarray  # int64 (N,): film i of the table is pixels[rows[i]]
    skipped: tuple[str, ...]  # "image: why", a line for each unreadable film
    fresh: bool  # decoded by this call, not found in the cache

    def __len__(self) -> int:
        return len(self.rows)

    def select(self, films: np.ndarray) -> DecodedFilms:
        """Only these films: a bool mask (N,), or their indices in any order."""
        index = np.arange(len(self))[films]
        return replace(self, table=self.table.select(index), rows=self.rows[index])

    def take(self, films: np.ndarray | slice) -> np.ndarray:
        """These films of the table, float32 (n, h, w) in [0, 1]."""
        return unpack(self.pixels[self.rows[films]])


def cache_folder() -> Path:
    """Where films are kept: ``CXR_CACHE_DIR``/films, else the user's cache folder; it may be deleted at any time."""
    named = os.environ.get("CXR_CACHE_DIR")
    if named:
        return Path(named).expanduser() / "films"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cxrcore" / "films"


def open_films(
    table: FilmTable,
    preprocessing: Preprocessing,
    cache: Path | None = None,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> DecodedFilms:
    """A dataset's films from the cache, decoded into it first where they are not there yet.

    Several processes may call this at once: one decodes, the others wait and open what it made. An interrupted decoding
    goes on where it was, and an entry counts only when whole. ``progress`` wraps the films while they are decoded.

    Raises InvalidDataset when more than 1 % of the films cannot be read (fewer are left out and listed), and
    TrainingStopped when the cache cannot be written or its disk is too small.
    """
    cache = cache_folder() if cache is None else cache
    geometry = f"{preprocessing.height}x{preprocessing.width}-{preprocessing.geometry}-v{VERSION}"
    folder = cache / (re.sub(r"[^\w-]+", "_", table.name) or "films") / geometry
    films = [_identity(image, path) for image, path in zip(table.images, table.paths, strict=True)]
    decoded = _find(folder, table, films, preprocessing)
    if decoded is not None:
        return decoded
    with _writing():
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)  # films are patients' data
        folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        decoded = _find(folder, table, films, preprocessing, drop_changed=True)
        if decoded is None:
            with _writing(len(films) * preprocessing.height * preprocessing.width * 2):
                entry = _write(folder, table, films, preprocessing, progress)
            decoded = _open(entry, table, films, fresh=True)
    if decoded is None:
        raise TrainingStopped(f"the film cache changed while it was written; {_MOVE}")
    return decoded


def _identity(image: str, path: Path) -> Identity:
    """A film's id, size and time; a missing file has -1 bytes, so its return is noticed."""
    try:
        facts = path.stat()
    except OSError:
        return image, -1, 0
    return image, facts.st_size, facts.st_mtime_ns


def _decode(path: Path, preprocessing: Preprocessing) -> np.ndarray | str:
    """A film, uint16 (h, w), or why it cannot be read."""
    try:
        return pack(preprocessing.prepare(read_radiograph(path).pixels))
    except (UnreadableImage, OSError) as error:
        return str(error)


def _find(
    folder: Path, table: FilmTable, films: list[Identity], preprocessing: Preprocessing, drop_changed: bool = False
) -> DecodedFilms | None:
    """An entry that holds all of these films as they would be decoded today."""
    for entry in _entries(folder):
        decoded = _open(entry, table, films, fresh=False)
        if decoded is None:
            continue
        if _agrees(decoded, table, preprocessing):
            return decoded
        if drop_changed:
            shutil.rmtree(entry, ignore_errors=True)
    return None


def _entries(folder: Path) -> list[Path]:
    return [facts.parent for facts in sorted(folder.glob(f"*/{_FILMS}")) if facts.parent.suffix != _PART]


def _open(entry: Path, table: FilmTable, films: list[Identity], fresh: bool) -> DecodedFilms | None:
    """The entry's films of this table; None where it is damaged or lacks some."""
    try:
        facts = json.loads((entry / _FILMS).read_text("utf-8"))
        where = {tuple(film): row for row, film in enumerate(facts["films"])}
        pixels = np.load(entry / _PIXELS, mmap_mode="r")
        if len(pixels) != len(where) or any(film not in where for film in films):
            return None
        unreadable = {int(row): why for row, why in facts["skipped"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    rows = np.array([where[film] for film in films], dtype=np.int64)
    skipped = [f"{table.images[i]}: {unreadable[row]}" for i, row in enumerate(rows) if row in unreadable]
    _refuse_many(skipped, len(films), len(films))
    kept = np.array([row not in unreadable for row in rows])
    return DecodedFilms(table.select(np.flatnonzero(kept)), pixels, rows[kept], tuple(skipped), fresh)


def _agrees(decoded: DecodedFilms, table: FilmTable, preprocessing: Preprocessing) -> bool:
    """Whether a few films, decoded again, equal the cache; False after a library changed how it reads them."""
    for i in np.unique(np.linspace(0, len(decoded.table) - 1, COMPARED).astype(int)):
        if not np.array_equal(_decode(decoded.table.paths[i], preprocessing), decoded.pixels[decoded.rows[i]]):
            return False
    kept = set(decoded.table.images)
    unreadable = [path for image, path in zip(table.images, table.paths, strict=True) if image not in kept]
    return all(isinstance(_decode(path, preprocessing), str) for path in unreadable[:COMPARED])


def _write(
    folder: Path,
    table: FilmTable,
    films: list[Identity],
    preprocessing: Preprocessing,
    progress: Callable[[Iterable[Any]], Iterable[Any]],
) -> Path:
    """Decode every film into a new entry, in order, with only a few in memory; returns its folder."""
    entry = folder / hashlib.sha256(json.dumps(films).encode()).hexdigest()[:24]
    part = entry.with_suffix(_PART)
    for other in folder.glob(f"*{_PART}"):
        if other != part:
            shutil.rmtree(other)
    _drop_stale(folder, table, films)
    part.mkdir(exist_ok=True)
    height, width = preprocessing.size
    blank = np.zeros((height, width), np.uint16)
    done, skipped = _decoded_so_far(part, blank.nbytes)
    _need_space(folder, (len(films) - done) * blank.nbytes)
    try:
        # Rows are written, not mapped: a disk that fills up is then an error to report, and no bus error.
        with (part / _PIXELS).open("r+b" if done else "wb") as file:
            header = {"descr": "<u2", "fortran_order": False, "shape": (len(films), height, width)}
            np.lib.format.write_array_header_2_0(file, header)
            file.seek(done * blank.nbytes, os.SEEK_CUR)
            file.truncate()
            for row, film in enumerate(progress(_decode_in_order(table, preprocessing, done))):
                if row < done:
                    continue
                if isinstance(film, str):
                    skipped[str(row)] = film
                    _refuse_many([f"{table.images[int(i)]}: {why}" for i, why in skipped.items()], len(films), row + 1)
                file.write((blank if isinstance(film, str) else film).astype("<u2", copy=False).tobytes())
                if (row + 1) % SAVE_EVERY == 0:
                    file.flush()
                    os.fsync(file.fileno())
                    write_text(part / _DONE, json.dumps({"done": row + 1, "skipped": skipped}))
            file.flush()
            os.fsync(file.fileno())
        write_text(part / _FILMS, json.dumps({"root": _root(table), "films": films, "skipped": skipped}))
        (part / _DONE).unlink(missing_ok=True)
        if entry.exists():  # damaged, else it would have been opened
            shutil.rmtree(entry)
        part.rename(entry)
    except (OSError, InvalidDataset):
        shutil.rmtree(part, ignore_errors=True)  # leave no full disk behind
        raise
    _drop_stale(folder, table, films, whole=entry)
    return entry


def _decode_in_order(table: FilmTable, preprocessing: Preprocessing, done: int) -> Iterator[np.ndarray | str | None]:
    """Every film or why it cannot be read, None for those done before; the threads are only a few films ahead.

    Pillow decodes and resizes outside the interpreter's lock, so threads keep every core busy and copy nothing.
    """
    yield from [None] * done
    workers = min(32, os.cpu_count() or 1)
    ahead: deque[Future[np.ndarray | str]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for path in table.paths[done:]:
            ahead.append(pool.submit(_decode, path, preprocessing))
            if len(ahead) > 4 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _decoded_so_far(part: Path, film_bytes: int) -> tuple[int, dict[str, str]]:
    """How many films an interrupted decoding of the same list left behind whole, and which of them were unreadable."""
    try:
        facts = json.loads((part / _DONE).read_text("utf-8"))
        if (part / _PIXELS).stat().st_size > facts["done"] * film_bytes:  # the header comes on top
            return facts["done"], facts["skipped"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return 0, {}


def _drop_stale(folder: Path, table: FilmTable, films: list[Identity], whole: Path | None = None) -> None:
    """Remove entries of the same dataset folder whose films have changed since, and those that ``whole`` includes."""
    now, root = {film[0]: film for film in films}, _root(table)
    for entry in _entries(folder):
        try:
            facts = json.loads((entry / _FILMS).read_text("utf-8"))
            theirs = [tuple(film) for film in facts["films"]]
            changed = facts["root"] == root and any(now.get(film[0], film) != film for film in theirs)
            included = whole is not None and entry != whole and all(now.get(film[0]) == film for film in theirs)
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            changed = included = True  # damaged
        if changed or included:
            shutil.rmtree(entry, ignore_errors=True)


def _root(table: FilmTable) -> str:
    return os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in table.paths])


def _refuse_many(skipped: list[str], films: int, seen: int) -> None:
    """Raises InvalidDataset when more of the films than MAX_UNREADABLE cannot be read, as soon as that is certain."""
    if len(skipped) > MAX_UNREADABLE * films:
        least = "" if seen == films else "at least "
        raise InvalidDataset(f"{least}{len(skipped)} of {films} films cannot be read, first: {'; '.join(skipped[:3])}")


def _need_space(folder: Path, needed: int) -> None:
    free = free_bytes(folder)
    if needed > free:
        raise TrainingStopped(
            f"the film cache needs {size_text(needed)} and its disk has {size_text(free)} left; {_MOVE}"
        )


@contextmanager
def _writing(needed: int = 0) -> Iterator[None]:
    """Turn what the file system refuses into TrainingStopped."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            why = f"its disk is full, {size_text(needed)} are needed"
        else:
            why = (error.strerror or "the folder refuses").lower()
        raise TrainingStopped(f"the film cache cannot be written ({why}); {_MOVE}") from None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time; the lock of one that was killed is free."""
    lock = FileLock(folder / "lock")
    with _writing():
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.info("another process is decoding these films; waiting for it")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()
