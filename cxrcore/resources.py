"""What the project takes from its surroundings: the files that ship with it, and the system's memory."""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Template

_PACKAGE = Path(__file__).resolve().parent
ROOT = _PACKAGE.parent  # the checkout or the Space's folder; site-packages in an installed wheel
ASSETS = next((folder for folder in (_PACKAGE / "assets", ROOT / "assets") if folder.is_dir()), ROOT / "assets")


def load_template(package: str, name: str, **filters: Any) -> Template:
    """Load a Jinja template from ``templates/`` of a package; a name that ends in .html is filled with escaped text.

    A name that the template uses and the caller does not give raises ``jinja2.UndefinedError``.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package),
        autoescape=name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= filters
    return environment.get_template(name)


def keep_freed_memory() -> bool:
    """Have glibc keep the memory that large tensors free, for the next step's; returns whether it will.

    By default glibc gives every large tensor back to the system and takes it again, so that a training step on a CPU
    spends much of its time in page faults. All threads share one arena, since glibc gives memory of the others back
    whatever the threshold. What is kept counts as the process's memory until it ends. ``CXR_ALLOCATOR=system`` leaves
    the defaults; other C libraries are left alone.
    """
    if os.environ.get("CXR_ALLOCATOR") == "system" or platform.libc_ver()[0] != "glibc":
        return False
    trim_threshold, mmap_max, arena_max = -1, -4, -8  # M_TRIM_THRESHOLD, M_MMAP_MAX and M_ARENA_MAX of malloc.h
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(mmap_max, 0) and mallopt(trim_threshold, -1) and mallopt(arena_max, 1))  # -1: never trimmed
