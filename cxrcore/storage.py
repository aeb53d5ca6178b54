"""Files that are written whole or not at all, and the room they need on the disk."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import disk_usage
from typing import Any

FULL = (errno.ENOSPC, errno.EDQUOT)  # errors of a full disk, or of a full quota


@contextmanager
def atomic_write(path: Path, sync: bool = True) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``; it replaces ``path`` when the block ends without an error.

    With ``sync`` the content is on the disk before the replacement; without it a power failure may leave an empty file,
    which is acceptable, and much faster, for thousands of small files that can be made again. After an error ``path``
    is unchanged and the temporary file is deleted.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        yield part
        if sync:
            with open(part, "rb+") as file:
                os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes, sync: bool = True) -> None:
    """Write a file, atomically."""
    with atomic_write(path, sync) as part:
        part.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file, atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, data: Any) -> None:
    """Write indented JSON, atomically. Raises ValueError for NaN and infinity."""
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def free_bytes(folder: Path) -> int:
    """Free bytes on the disk of ``folder``, or of its nearest parent that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return disk_usage(folder).free
