"""875, 109 and 420 NIH films to learn from, tune on and test on, as a published course has them: docs/seeds.md.

    python -m benchmarks.nih_subset --data films/nih-256 --out films/nih-1404 [--seed 0]

The course's own lists of films are not here, so a seed draws others: test films from the patients of the official test
list, the rest from all other patients, no patient in two parts, as few films of a patient as reach the number. The
folder holds copies of the films and ``films.csv`` with their split, which ``--dataset csv`` reads.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from cxrcore.datasets import read_dataset
from cxrcore.datasets.table import FilmTable
from cxrcore.errors import CxrError, InvalidDataset
from cxrcore.findings import NIH14

FILMS = {"test": 420, "val": 109, "train": 875}


def choose(table: FilmTable, seed: int) -> dict[int, str]:
    """The films of each part, row -> split. Raises InvalidDataset where the films are too few."""
    patients, listed = np.array(table.patient_ids), np.array(table.splits) == "test"
    order = np.random.default_rng(seed).permutation(len(table))
    chosen: dict[int, str] = {}
    taken: set[str] = set()
    for split, count in FILMS.items():
        pool = [row for row in order.tolist() if listed[row] == (split == "test") and patients[row] not in taken]
        seen: Counter[str] = Counter()
        turn = {}
        for row in pool:
            turn[row] = seen[patients[row]]  # which of its patient's films it is
            seen[patients[row]] += 1
        rows = sorted(pool, key=turn.__getitem__)[:count]
        if len(rows) < count:
            raise InvalidDataset(f"{len(rows)} films can be had for {split}, and {count} are asked for")
        chosen |= dict.fromkeys(rows, split)
        taken |= set(patients[rows].tolist())
    return chosen


def write_subset(data: Path, out: Path, seed: int) -> None:
    """Copy the chosen films of ``data`` into ``out`` with their table, and print how many of whom."""
    table = read_dataset("nih", data, NIH14)
    chosen = choose(table, seed)
    rows = sorted(chosen)
    (out / "images").mkdir(parents=True, exist_ok=True)
    for row in rows:
        shutil.copy2(table.paths[row], out / "images" / table.paths[row].name)
    part = table.select(rows)
    frame = pd.DataFrame(
        {
            "image": [path.name for path in part.paths],
            "split": [chosen[row] for row in rows],
            "patient_id": part.patient_ids,
            **{name: part.metadata[name] for name in ("age_years", "sex", "view")},
            **{name: part.targets[:, k].astype(int) for k, name in enumerate(NIH14)},
        }
    )
    frame.to_csv(out / "films.csv", index=False)
    for split, films in frame.groupby("split"):
        print(f"{split}: {len(films)} films of {films['patient_id'].nunique()} patients")


def main() -> int:
    named = os.environ.get("CXR_DATA_DIR")
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path(named) / "nih-256" if named else None, help="NIH films")
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.data is None:
        parser.error("name a folder of NIH films with --data, or one that holds nih-256 with CXR_DATA_DIR")
    try:
        write_subset(options.data, options.out, options.seed)
    except (CxrError, OSError) as error:
        print(f"nih_subset: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
