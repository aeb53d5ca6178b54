"""``TableFile``: selected columns of an untrusted table of any size, in bounded memory.

The format is decided by the content: Parquet by its first bytes, else CSV, plain or gzipped. A CSV is streamed and only
the requested columns are kept; a table that is still too large is refused with its size.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from cxrcore.errors import InvalidPredictions

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

TableSource = str | os.PathLike[str] | bytes | BinaryIO  # a path, a file's bytes, or an open binary file

MAX_ROWS = 1_000_000  # films; the largest public collection has fewer
MAX_BYTES = 400_000_000  # of the requested columns
_BLOCK = 1 << 20  # bytes read at a time; a line may not be longer
_SNIFFED = 1 << 16
_NULLS = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "none", "-"]
_GZIP, _PARQUET, _ZIP = b"\x1f\x8b", b"PAR1", b"PK\x03\x04"
_NO_TABLE = "is no table that can be read here: expected CSV (plain or gzipped) or Parquet"


@dataclass(frozen=True, eq=False)
class TableFile:
    """An untrusted table; every error is InvalidPredictions and names the table by ``name``."""

    name: str
    content: Path | bytes

    @classmethod
    def of(cls, source: TableSource, name: str = "", wanted: str = "a predictions table") -> TableFile:
        """From a path, bytes, or an open binary file. Raises InvalidPredictions where there is no such file."""
        if isinstance(source, bytes):
            return cls(name or "this table", source)
        if isinstance(source, (str, os.PathLike)):
            path = Path(source)
            if not path.is_file():
                what = "is a folder" if path.is_dir() else "does not exist"
                raise InvalidPredictions(f"{path.name!r} {what}; give {wanted}, CSV or Parquet")
            return cls(name or path.name, path)
        given = name or os.path.basename(str(getattr(source, "name", ""))) or "this table"
        return cls(given, source.read())

    @property
    def size(self) -> int:
        """Bytes as stored."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size

    @property
    def is_parquet(self) -> bool:
        """Whether it is Parquet, by its first bytes."""
        return self.head(4) == _PARQUET

    def head(self, size: int) -> bytes:
        """The first ``size`` bytes, unpacked."""
        try:
            with self.open() as stream:
                return bytes(stream.read(size))
        except (OSError, ValueError):
            raise self._no_table() from None

    def open(self) -> pa.NativeFile:
        """The content as a stream, unpacked where it is gzipped."""
        import pyarrow as pa

        try:
            raw = pa.BufferReader(self.content) if isinstance(self.content, bytes) else pa.OSFile(str(self.content))
            packed = raw.read(2) == _GZIP
            raw.seek(0)
        except OSError:
            raise InvalidPredictions(f"{self.name} cannot be opened") from None
        return pa.CompressedInputStream(raw, "gzip") if packed else raw

    def columns(self) -> list[str]:
        """The names of its columns."""
        return self._parquet().schema_arrow.names if self.is_parquet else self._dialect().header

    def read(self, wanted: Mapping[str, str]) -> pd.DataFrame:
        """The columns in ``wanted``, our name to the file's, under our names.

        ``prob:`` and ``logit:`` are float64, everything else is text, None where empty. Raises InvalidPredictions for a
        damaged file, text among the numbers (with its row), more than ``MAX_ROWS`` rows, columns that would take more
        than ``MAX_BYTES``, and no rows.
        """
        names = self.columns()
        if missing := [column for column in wanted.values() if column not in names]:
            raise InvalidPredictions(f"{self.name} lacks {len(missing)} column(s): {', '.join(missing[:10])}")
        if twice := sorted({column for column in wanted.values() if names.count(column) > 1}):
            raise InvalidPredictions(f"{self.name} has more than one column called {', '.join(twice)}")
        read = self._read_parquet if self.is_parquet else self._read_csv
        table = read(list(dict.fromkeys(wanted.values())), {c for n, c in wanted.items() if _is_number(n)})
        if not table.num_rows:
            raise InvalidPredictions(f"{self.name} has a header and no rows")
        import pandas as pd

        return pd.DataFrame({name: table.column(column).to_pandas() for name, column in wanted.items()})

    def check_rows(self) -> None:
        """Refuse a Parquet file of more than ``MAX_ROWS`` rows, before any is read."""
        if self._parquet().metadata.num_rows > MAX_ROWS:
            raise self._too_large(f"more than {MAX_ROWS:,} rows")

    def _no_table(self) -> InvalidPredictions:
        return InvalidPredictions(f"{self.name} {_NO_TABLE}")

    def _parquet(self) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return pq.ParquetFile(self.open())
        except (pa.ArrowException, OSError):
            raise InvalidPredictions(f"{self.name} is not a readable Parquet table; get it again") from None

    def _read_parquet(self, columns: Sequence[str], numbers: set[str]) -> pa.Table:
        import pyarrow as pa

        self.check_rows()
        file = self._parquet()
        batches, size = [], 0
        try:
            for batch in file.iter_batches(columns=list(columns)):
                size += batch.nbytes
                if size > MAX_BYTES:
                    raise self._too_large("too much to hold in memory")
                batches.append(batch)
            table = pa.Table.from_batches(batches, schema=file.schema_arrow.empty_table().select(columns).schema)
        except (pa.ArrowException, OSError, KeyError):
            raise InvalidPredictions(f"{self.name} is not a readable Parquet table; get it again") from None
        for k, column in enumerate(columns):
            kind = pa.float64() if column in numbers else pa.string()
            try:
                table = table.set_column(table.schema.get_field_index(column), column, table[k].cast(kind))
            except (pa.ArrowException, KeyError):
                what = "numbers" if column in numbers else "plain text or numbers"
                raise InvalidPredictions(f"column {column} of {self.name} holds something other than {what}") from None
        return table

    def _read_csv(self, columns: Sequence[str], numbers: set[str]) -> pa.Table:
        import pyarrow as pa
        from pyarrow import csv

        dialect = self._dialect()
        convert = csv.ConvertOptions(
            include_columns=list(columns),
            column_types={name: pa.float64() if name in numbers else pa.string() for name in columns},
            null_values=_NULLS,
            strings_can_be_null=True,
            decimal_point=dialect.decimal_point,
        )
        batches, size, rows = [], 0, 0
        try:
            reader = csv.open_csv(
                self.open(),
                csv.ReadOptions(use_threads=False, block_size=_BLOCK, encoding=dialect.encoding),
                csv.ParseOptions(delimiter=dialect.delimiter),
                convert,
            )
            for batch in reader:
                size, rows = size + batch.nbytes, rows + batch.num_rows
                if rows > MAX_ROWS:
                    raise self._too_large(f"more than {MAX_ROWS:,} rows")
                if size > MAX_BYTES:
                    raise self._too_large("too much to hold in memory")
                batches.append(batch)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise self._explained(str(error), dialect.header) from None
        return pa.Table.from_batches(batches, schema=reader.schema)

    def _dialect(self) -> _Dialect:
        """Encoding, delimiter and header, from the first bytes."""
        head = self.head(_SNIFFED)
        if head.startswith((b"\xff\xfe", b"\xfe\xff")):
            encoding = "utf-16"
        elif head.startswith(_ZIP):
            raise InvalidPredictions(f"{self.name} is an Excel sheet or a zip archive; save it as CSV")
        elif b"\0" in head or not head.strip():
            raise self._no_table()
        else:
            encoding = "utf-8-sig"
        lines = head.decode(encoding, errors="replace").splitlines() or [""]
        if "\ufffd" in lines[0]:
            raise self._not_utf8()
        delimiter = max(",;\t|", key=lines[0].count)
        if not lines[0].count(delimiter):
            raise self._no_table()
        import csv

        header = next(csv.reader([lines[0]], delimiter=delimiter))
        comma = delimiter != "," and any(re.search(r"\d,\d", line) for line in lines[1:3])
        return _Dialect(encoding.removesuffix("-sig"), delimiter, "," if comma else ".", header)

    def _explained(self, error: str, header: Sequence[str]) -> InvalidPredictions:
        """Arrow's error as a sentence."""
        row = f" in row {int(match[1]) - 1}" if (match := re.search(r"Row #(\d+)", error)) else ""
        if "invalid UTF8" in error or "codec can't decode" in error:
            return self._not_utf8()
        if match := re.search(r"column #(\d+).*?invalid value '(.{0,30})", error, re.DOTALL):
            name, value = header[int(match[1])], match[2].split("'")[0]
            return InvalidPredictions(f"column {name} of {self.name} holds {value!r}{row}, and numbers are expected")
        if match := re.search(r"Expected (\d+) columns, got (\d+)", error):
            return InvalidPredictions(f"{self.name} has {match[2]} fields{row} and {match[1]} in its header")
        if "straddling" in error:
            return InvalidPredictions(f"{self.name} has a line longer than {_BLOCK:,} bytes and {_NO_TABLE[3:]}")
        return InvalidPredictions(f"{self.name} is damaged{row} or is no table; get it again")

    def _not_utf8(self) -> InvalidPredictions:
        return InvalidPredictions(f"{self.name} is not encoded as UTF-8; save it as CSV UTF-8")

    def _too_large(self, what: str) -> InvalidPredictions:
        return InvalidPredictions(f"{self.name} ({self.size / 1e6:,.0f} MB) has {what}; score a part of it")


@dataclass(frozen=True)
class _Dialect:
    encoding: str
    delimiter: str
    decimal_point: str
    header: list[str]


def table_name(name: str) -> str:
    """A table's file name without its suffixes.

    >>> table_name("mine.csv.gz")
    'mine'
    """
    return re.sub(r"(\.(csv|parquet|gz))+$", "", name, flags=re.IGNORECASE)


def _is_number(name: str) -> bool:
    return name.startswith(("prob:", "logit:"))
