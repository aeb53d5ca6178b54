"""``cxr teach``: a set of cases to learn reading from."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tqdm import tqdm

from cxrcore.publishing.case_set import make_case_set
from cxrcore.text import size_text


def teach(
    folder: Path,
    out: Path,
    labels: Path | None = None,
    boxes: Path | None = None,
    title: str = "",
    findings: str = "",
    count: int | None = None,
) -> None:
    """Write the set and print what is in it. Raises CxrError."""
    asked = [name.strip() for name in findings.split(",") if name.strip()]
    bar = partial(tqdm, desc="films", unit="film", disable=None, leave=False)
    made = make_case_set(folder, out, labels, boxes, title, asked, count, bar)
    for note in made.notes:
        tqdm.write(note)
    counts = ", ".join(f"{name} {number:,}" for name, number in made.counts.items())
    tqdm.write(
        f"{out}: {made.cases:,} cases of {made.patients:,} patients ({counts}), {made.boxes:,} boxes, "
        f"{size_text(made.size_bytes)}."
    )
    tqdm.write(
        "Names, dates and tags are gone; what is written on the pixels is not: look at the films before you share the "
        f"file. Open it with: cxr app --cases {out.name}, then the link ends in #learn={out.stem}"
    )
