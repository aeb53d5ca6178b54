"""Find the films below a folder, read its tables, and recognise byte-identical copies."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrcore.errors import InvalidDataset

if TYPE_CHECKING:
    import pandas as pd

FILM_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".dcm", ".dicom"})


def find_films(folder: Path, suffixes: frozenset[str] = FILM_SUFFIXES) -> list[Path]:
    """Every film below ``folder``, sorted; hidden files and folders are passed over."""
    return [file for file in find_files(folder) if file.suffix.lower() in suffixes]


def find_files(folder: Path) -> list[Path]:
    """Every file below ``folder``, sorted; hidden files and folders are passed over."""
    files: list[Path] = []
    walked: set[str] = set()
    for root, folders, names in os.walk(folder, followlinks=True):
        here = os.path.realpath(root)
        if here in walked:  # a link back up, or the same folder by another way
            folders.clear()
            continue
        walked.add(here)
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        files += [Path(root, name) for name in sorted(names) if not name.startswith(".")]
    return files


def subfolders(folder: Path) -> list[Path]:
    """Folders directly in ``folder``, sorted, without hidden ones."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith((".", "__MACOSX")))


def read_text(path: Path) -> str:
    """A text file, plain or gzipped. Raises InvalidDataset when it is neither."""
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig")
    except (OSError, EOFError, ValueError, zlib.error):
        raise InvalidDataset(f"{path.name} is damaged or is no text; get it again") from None


def read_table(path: Path, **options: Any) -> pd.DataFrame:
    """A CSV, plain or gzipped. Raises InvalidDataset when it is no such table."""
    import pandas as pd

    try:
        return pd.read_csv(path, **options)
    except (OSError, EOFError, ValueError, zlib.error):
        raise InvalidDataset(f"{path.name} is damaged or is no table; get it again") from None


def digests_of_suspects(paths: Sequence[Path]) -> list[bytes | None]:
    """A hash for each film that shares its size in bytes with another; None for the rest, and for empty files."""
    sizes = [path.stat().st_size for path in paths]
    shared = Counter(sizes)
    return [
        hashlib.sha256(path.read_bytes()).digest() if size and shared[size] > 1 else None
        for path, size in zip(paths, sizes, strict=True)
    ]


def merge_copies(patient_ids: Sequence[str], digests: Iterable[bytes | None]) -> list[str]:
    """Patients who share a byte-identical film become one, under the name met first; digest None: no copy known."""
    first: dict[bytes, int] = {}
    return merge_patients(
        patient_ids,
        [(first.setdefault(digest, row), row) for row, digest in enumerate(digests) if digest is not None],
    )


def merge_patients(patient_ids: Sequence[str], pairs: Iterable[tuple[int, int]]) -> list[str]:
    """The patients of each pair of films (rows) become one, under the name of the pair's first."""
    parent = {patient: patient for patient in patient_ids}

    def root(patient: str) -> str:
        while parent[patient] != patient:
            patient = parent[patient]
        return patient

    for one, other in pairs:
        parent[root(patient_ids[other])] = root(patient_ids[one])
    return [root(patient) for patient in patient_ids]


def first_ten(names: Sequence[str]) -> str:
    """The first ten names for a message, and how many more there are."""
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
