"""Sets of cases to learn reading from: films, and the truth about each.

A set is one zip file with a fixed layout, which ``cxr teach`` writes:

    set.json          schema, title, label set; of every case its film, its name, patient, targets and boxes
    films/0001.png    grey, 8 or 16 bits, pixels only

Only ``set.json`` and the films that it names are read, each in memory and up to a limit, so that nothing else in a file
from outside matters. Phantoms make a set without a file.
"""

from __future__ import annotations

import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cxrcore.datasets.files import first_ten
from cxrcore.datasets.phantoms import SEEDS_A_SET, phantom_case, phantom_findings
from cxrcore.errors import InvalidDataset, LabelMismatch, UnreadableImage
from cxrcore.films.radiograph import Radiograph, read_radiograph
from cxrcore.findings import PHANTOM5, Kind, LabelSet
from cxrcore.storage import atomic_write

SCHEMA = 1
INDEX = "set.json"
MAX_CASES = 1000
MAX_SET_BYTES = 500_000_000
MAX_INDEX_BYTES, MAX_FILM_BYTES = 4_000_000, 50_000_000  # unpacked
PHANTOM_SIZE = (512, 512)  # height and width; the same person as the 256 x 256 film of the set ``phantom``
_MAX_TITLE = 200
_MAX_DIRECTORY_BYTES = 1_000_000  # of the zip's table of contents, which is read whole
_FILM = re.compile(r"films/\d{1,6}\.png")
_PNG = b"\x89PNG\r\n\x1a\n"

Corners = tuple[float, float, float, float]  # left, top, right, bottom in shares of the film's width and height


@dataclass(frozen=True, eq=False)
class Case:
    """A film, and where its findings are; a finding may be present without a box."""

    film: Radiograph
    boxes: Mapping[str, tuple[Corners, ...]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class CaseSet:
    """N cases with known truth. Raises InvalidDataset where the parts do not fit together."""

    title: str
    labels: LabelSet
    images: tuple[str, ...]  # N names, each once; they pair readers with each other and with a model
    patient_ids: tuple[str, ...]  # N
    targets: np.ndarray  # float32 (N, C): 0, 1 or NaN (unknown)
    open: Callable[[int], Case]  # the case of a row; raises CxrError
    has_boxes: bool = False
    synthetic: bool = False
    note: str = ""  # where the films are from, for the reader

    def __post_init__(self) -> None:
        n = len(self.images)
        if not 1 <= n <= MAX_CASES:
            raise InvalidDataset(f"a set has 1 to {MAX_CASES:,} cases, and this one has {n:,}")
        if repeated := sorted({name for name in self.images if self.images.count(name) > 1}):
            raise InvalidDataset(f"{len(repeated)} case(s) are there more than once: {first_ten(repeated)}")
        if len(self.patient_ids) != n or self.targets.shape != (n, len(self.labels)):
            raise InvalidDataset(f"{n} cases need a patient and {len(self.labels)} targets each")
        if not self.asked:
            raise InvalidDataset("a set asks for at least one finding that is no normal class")
        if self.labels.kind is Kind.MULTICLASS and not (np.nansum(self.targets, axis=1) == 1).all():
            raise InvalidDataset(f"each case has exactly one of {', '.join(self.labels)}, and some cases differ")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def asked(self) -> tuple[str, ...]:
        """The findings that a reader answers: all but the normal class."""
        return self.labels.abnormal


def phantom_set(count: int, seed: int) -> CaseSet:
    """``count`` drawn films of the phantom set of this seed, with exact truth. Raises InvalidDataset out of range."""
    if not (1 <= count <= MAX_CASES and 0 <= seed < 1_000_000):
        raise InvalidDataset(f"a set of phantoms has 1 to {MAX_CASES:,} films and a seed from 0 to 999,999")
    seeds = [seed * SEEDS_A_SET + n for n in range(count)]
    return CaseSet(
        title=f"{count} phantoms, seed {seed}",
        labels=PHANTOM5,
        images=tuple(f"phantom-{one:06d}.png" for one in seeds),
        patient_ids=tuple(f"phantom-{one}" for one in seeds),
        targets=np.array([[name in phantom_findings(one) for name in PHANTOM5] for one in seeds], np.float32),
        open=partial(_open_phantom, seeds),
        has_boxes=True,
        synthetic=True,
        note="Drawn by a program, of nobody; each finding is on about a quarter of the films."
        + " The embedded model has learned from films of seed 0." * (seed == 0),
    )


def _open_phantom(seeds: Sequence[int], row: int) -> Case:
    film, boxes = phantom_case(seeds[row], PHANTOM_SIZE)
    return Case(film, {name: (shares_of(box, film.pixels.shape),) for name, box in boxes.items()})


def shares_of(box: Sequence[float], size: tuple[float, ...]) -> Corners:
    """A box (x, y, width, height) on a film of this (height, width) as shares of the film, held on it.

    >>> shares_of((10, 20, 30, 40), (100, 200))
    (0.05, 0.2, 0.2, 0.6)
    """
    (x, y, width, height), (down, across) = box, size
    left, top, right, bottom = np.clip([x / across, y / down, (x + width) / across, (y + height) / down], 0, 1)
    return float(left), float(top), float(right), float(bottom)


def read_case_set(path: Path, name: str = "") -> CaseSet:
    """The set in a zip file, called ``name`` in messages. Raises InvalidDataset, with one sentence, for any other file.

    The films are read when they are opened.
    """
    name = name or path.name
    members = _check_directory(path, name)
    content = _member(path, INDEX, MAX_INDEX_BYTES, name)
    try:
        index = json.loads(content.decode("utf-8"))
        if index["schema"] != SCHEMA:
            raise InvalidDataset(f"{name} has schema {index['schema']!r} and this program reads {SCHEMA}; update it")
        labels = LabelSet.from_dict(index["labels"])
        cases = [
            _read_entry(entry, labels, members, f"case {n} of {name}") for n, entry in enumerate(index["cases"], 1)
        ]
        return CaseSet(
            title=str(index["title"])[:_MAX_TITLE],
            labels=labels,
            images=tuple(case.image for case in cases),
            patient_ids=tuple(case.patient for case in cases),
            targets=np.array([case.targets for case in cases], np.float32).reshape(len(cases), len(labels)),
            open=partial(_open_entry, path, name, cases),
            has_boxes=any(case.boxes for case in cases),
            note=str(index.get("note", ""))[:_MAX_TITLE],
        )
    except LabelMismatch as error:
        raise InvalidDataset(f"the labels of {name} are wrong: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InvalidDataset(f"the {INDEX} of {name} is damaged; make the set again with: cxr teach") from None


def write_case_set(path: Path, index: Mapping[str, Any], films: Sequence[bytes]) -> None:
    """Write a set: ``index`` is the content of ``set.json``, whose case k has film k. Raises InvalidDataset."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as part, zipfile.ZipFile(part, "w") as file:
            for name, content in [(INDEX, json.dumps(index, ensure_ascii=False, indent=1).encode())] + [
                (entry["film"], film) for entry, film in zip(index["cases"], films, strict=True)
            ]:
                # a fixed date, so that the same films give the same file, which tells nothing about when
                method = zipfile.ZIP_DEFLATED if name == INDEX else zipfile.ZIP_STORED
                file.writestr(zipfile.ZipInfo(name), content, method)
    except OSError as error:
        why = error.strerror or "the disk refuses"
        raise InvalidDataset(f"cannot write {path.name!r} ({why}); choose another --out") from None


@dataclass(frozen=True)
class _Entry:
    film: str
    image: str
    patient: str
    targets: tuple[float, ...]
    boxes: dict[str, tuple[Corners, ...]]


def _read_entry(entry: Mapping[str, Any], labels: LabelSet, members: set[str], where: str) -> _Entry:
    film, given = str(entry["film"]), entry["targets"]
    if not _FILM.fullmatch(film):
        raise InvalidDataset(f"{where} names {film[:60]!r} as its film, and a film is called films/0001.png")
    if film not in members:
        raise InvalidDataset(f"{where} has no film: {film} is missing")
    if unknown := sorted(set(given) - set(labels)):
        raise InvalidDataset(f"{where} is labelled {first_ten(unknown)}, which is none of {', '.join(labels)}")
    targets = tuple(np.nan if given.get(name) is None else given[name] for name in labels)
    if any(value not in (0, 1) for value in targets if value == value):
        raise InvalidDataset(f"{where} has a label other than 0, 1 and null")
    boxes: dict[str, tuple[Corners, ...]] = {}
    for finding, *corners in entry.get("boxes", ()):
        left, top, right, bottom = (float(value) for value in corners)
        if finding not in labels or given.get(finding) != 1:
            raise InvalidDataset(f"{where} has a box of {str(finding)[:60]}, which its labels do not say is there")
        if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
            raise InvalidDataset(f"{where} has a box that does not lie on the film")
        boxes[finding] = (*boxes.get(finding, ()), (left, top, right, bottom))
    return _Entry(film, str(entry["image"])[:100], str(entry["patient"])[:100], targets, boxes)


def _open_entry(path: Path, name: str, cases: Sequence[_Entry], row: int) -> Case:
    case = cases[row]
    content = _member(path, case.film, MAX_FILM_BYTES, name)
    if not content.startswith(_PNG):
        raise UnreadableImage(f"{case.film} of {name} is no PNG")
    return Case(read_radiograph(content, name=case.image), case.boxes)


def _check_directory(path: Path, name: str) -> set[str]:
    """The names in a zip file whose table of contents is small enough to be read whole."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(max(0, size - 65_557))  # the longest end record
            end = file.read()
        at = end.rfind(b"PK\x05\x06")
        if at < 0:
            raise InvalidDataset(f"{name} is no zip file of a set of cases; make one with: cxr teach")
        directory, far = struct.unpack_from("<I", end, at + 12)[0], end[max(at - 20, 0) : at].startswith(b"PK\x06\x07")
        if far or directory > _MAX_DIRECTORY_BYTES or size > MAX_SET_BYTES:
            raise InvalidDataset(f"{name} is larger than any set of cases")
        with zipfile.ZipFile(path) as archive:
            return set(archive.namelist())
    except FileNotFoundError:
        raise InvalidDataset(f"there is no set of cases {name!r}") from None
    except (OSError, struct.error, zipfile.BadZipFile, NotImplementedError, ValueError):
        raise InvalidDataset(f"{name} is damaged or is no zip file; make the set again with: cxr teach") from None


def _member(path: Path, member: str, limit: int, name: str) -> bytes:
    """The content of one file in a zip, at most ``limit`` bytes of it."""
    try:
        with zipfile.ZipFile(path) as file:
            info = file.getinfo(member)
            if info.file_size > limit:
                raise InvalidDataset(f"{member} of {name} would unpack to more than {limit // 1_000_000} MB")
            with file.open(info) as stream:
                return stream.read(limit)
    except KeyError:
        raise InvalidDataset(f"{name} has no {member}, so it is no set of cases; make one with: cxr teach") from None
    except (OSError, zipfile.BadZipFile, RuntimeError, EOFError, ValueError, zlib.error):
        raise InvalidDataset(f"{member} of {name} is damaged; make the set again with: cxr teach") from None
