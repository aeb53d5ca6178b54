"""What the measurements share: seconds of wall and processor, their median, rows of a Markdown table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent


class Seconds(NamedTuple):
    """How long some work took."""

    wall: float
    processor: float  # of this process


def timed(work: Callable[[], object]) -> Seconds:
    """Do ``work`` once."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return Seconds(time.perf_counter() - wall, time.process_time() - processor)


def middle(times: Iterable[Seconds]) -> Seconds:
    """Medians of wall and of processor seconds."""
    wall, processor = zip(*times, strict=True)
    return Seconds(median(wall), median(processor))


def print_header(*titles: str) -> None:
    """The first two lines of a table."""
    print_row(*titles)
    print(f"{'|---' * len(titles)}|")


def print_row(*cells: str) -> None:
    """One line of a table, shown at once."""
    print(f"| {' | '.join(cells)} |", flush=True)
