"""What ``cxr predict --csv`` and ``--out`` write: the predictions of a list of films, all at once at the end."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from cxrcore.errors import CxrError
from cxrcore.models.base import Prediction
from cxrcore.predictions.record import PREDICTIONS
from cxrcore.serving.batch import ReadFilm, prediction_table
from cxrcore.storage import atomic_write, write_bytes, write_text

TABLE, LINES, SKIPPED = "predictions.csv", "films.jsonl", "skipped.csv"


class PredictionFiles:
    """Collects answers, and writes them as a table and into a folder. Raises CxrError where that cannot be done."""

    def __init__(self, table: Path | None, folder: Path | None) -> None:
        self.table, self.folder = table, folder
        self._films: dict[str, Prediction] = {}
        self._lines: list[dict[str, Any]] = []
        self._unreadable: list[tuple[str, str]] = []
        if table is not None and table.is_dir():
            raise CxrError(f"--csv names a file such as predictions.csv, and {table.name!r} is a folder")
        if folder is not None and folder.exists() and not folder.is_dir():
            raise CxrError(f"--out names a folder, and {folder.name!r} is a file")

    @property
    def wanted(self) -> bool:
        """Whether anything is to be written."""
        return self.table is not None or self.folder is not None

    def add(self, film: ReadFilm, prediction: Prediction | None) -> None:
        """Note a film's answer, or why it has none."""
        if not self.wanted:
            return
        if prediction is None:
            self._unreadable.append((film.path, str(film.error)))
        else:
            self._films[film.path] = prediction
        if self.folder is not None:
            self._lines.append({"path": film.path, **(prediction.to_dict() if prediction else {"error": film.error})})

    def write(self, skipped: Sequence[tuple[str, str]]) -> None:
        """Write everything that is wanted, and say where; no table where no film could be read.

        skipped: further files, and why each was left out.
        """
        if not self.wanted:
            return
        if not self._films:
            tqdm.write("no film could be read, so no table is written", file=sys.stderr)
            return
        frame = prediction_table(list(self._films), list(self._films.values()))
        content = frame.to_csv(index=False, lineterminator="\n").encode()
        try:
            if self.table is not None:
                self.table.parent.mkdir(parents=True, exist_ok=True)
                write_bytes(self.table, content)
            if self.folder is not None:
                self.folder.mkdir(parents=True, exist_ok=True)
                write_bytes(self.folder / TABLE, content)
                with atomic_write(self.folder / PREDICTIONS) as part:
                    frame.to_parquet(part, index=False)
                lines = (json.dumps(line, ensure_ascii=False, allow_nan=False) for line in self._lines)
                write_text(self.folder / LINES, "\n".join(lines) + "\n")
                write_text(self.folder / SKIPPED, _as_csv([*self._unreadable, *skipped]))
        except OSError:
            name = str(self.folder if self.table is None else self.table)
            raise CxrError(f"cannot write {name!r}; choose another place") from None
        places = " and ".join(str(place) for place in (self.table, self.folder) if place is not None)
        tqdm.write(f"{len(frame):,} films written to {places}", file=sys.stderr)


def _as_csv(rows: Sequence[tuple[str, str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("path", "why"), *rows])
    return text.getvalue()
