"""What the measurements share: seconds of wall and processor, Markdown tables, the documents that hold them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from cxrcore.storage import write_text

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "docs" / "generalisation.md"


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


def table_text(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first row is its header."""
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|---" * len(rows[0]) + "|", *body]) + "\n"


def read_section(document: Path, name: str) -> str:
    """What stands between ``<!-- name -->`` and ``<!-- /name -->`` in a document; ValueError without such lines."""
    return _parts(document, name)[1]


def write_section(document: Path, name: str, text: str) -> None:
    """Replace what stands there."""
    before, _, after = _parts(document, name)
    write_text(document, f"{before}\n{text.strip()}\n\n{after}")


def _parts(document: Path, name: str) -> tuple[str, str, str]:
    """The document up to the first line, between the two, and from the second on."""
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, opened, rest = document.read_text("utf-8").partition(start)
    section, closed, after = rest.partition(end)
    if not (opened and closed):
        raise ValueError(f"{document.name} has no section {start.strip()} ... {end}")
    return before + opened, section, closed + after
