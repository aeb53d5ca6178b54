"""``cxr bench``: the benchmarks of ``benchmarks/``, each beside the usual way to do the same."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cxrcore.errors import CxrError

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
NAMES = ("latency", "training", "metrics", "dashboard", "hub", "viewer")


def bench(names: Sequence[str] = ()) -> int:
    """Run these benchmarks in turn (all of them by default); returns the first exit code that is not 0.

    Raises CxrError for an unknown name, or outside a checkout.
    """
    if unknown := [name for name in names if name not in NAMES]:
        raise CxrError(f"there is no measurement {unknown[0]!r}; choose among: {', '.join(NAMES)}")
    if not BENCHMARKS.is_dir():
        raise CxrError("the measurements are part of the source, not of the installed package; run this in a clone")
    commands = [[sys.executable, "-m", f"benchmarks.{name}"] for name in names or NAMES]
    codes = [subprocess.run(command, cwd=BENCHMARKS.parent).returncode for command in commands]
    return next((code for code in codes if code), 0)
