"""Many films: each read and put at the network's size, then predicted together, and written down as one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrcore.datasets.film_files import image_names
from cxrcore.errors import CxrError, InvalidBundle
from cxrcore.evaluation.score import Scored, score_table
from cxrcore.evaluation.thresholds import read_thresholds
from cxrcore.films.encoding import data_uri
from cxrcore.films.radiograph import Radiograph, read_radiograph
from cxrcore.gate.reasons import reasons_of
from cxrcore.predictions.import_table import read_predictions
from cxrcore.predictions.table_reader import TableFile, table_name

if TYPE_CHECKING:
    import pandas as pd

    from cxrcore.metrics.operating_points import OperatingPoints
    from cxrcore.models.base import Model, Prediction
    from cxrcore.predictions.record import Predictions


@dataclass(frozen=True, eq=False)
class ReadFilm:
    """A film at the network's size, small enough to keep many of; or why it could not be read."""

    path: str
    prepared: Any = None  # as the model's ``prepare`` gives it
    warnings: tuple[str, ...] = ()
    told: set[str] = field(default_factory=set)  # what the file alone tells the gate
    film: Radiograph | None = None  # only where it was asked for
    thumbnail: str = ""  # a data URI, only where it was asked for
    error: str | None = None


def read_film(
    model: Model, path: str, content: Path | bytes, keep: bool = False, thumbnail_side: int | None = None
) -> ReadFilm:
    """Read and prepare one film; never raises for a file that cannot be read.

    keep: with the film itself; thumbnail_side: with a picture of at most so many pixels a side.
    """
    try:
        film = read_radiograph(content, name=path)
    except CxrError as error:
        return ReadFilm(path, error=str(error))
    small = thumbnail(film, thumbnail_side) if thumbnail_side else ""
    return ReadFilm(path, model.prepare(film), film.warnings, reasons_of(film), film if keep else None, small)


def thumbnail(film: Radiograph, side: int) -> str:
    """A small picture of a film, a data URI: every so many pixels of it, which is quicker than their mean."""
    step = max(1, min(film.pixels.shape) // (2 * side))
    return data_uri(film.pixels[::step, ::step], side, "JPEG", quality=75)


def predict_read(model: Model, films: Sequence[ReadFilm]) -> list[Prediction | None]:
    """Predictions of films from one batch; None for those that could not be read."""
    good = [film for film in films if film.error is None]
    if not good:
        return [None] * len(films)
    answers: Iterator[Prediction] = iter(
        model.predict_prepared(
            [film.prepared for film in good], [film.warnings for film in good], [film.told for film in good]
        )
    )
    return [next(answers) if film.error is None else None for film in films]


def prediction_table(paths: Sequence[str], predictions: Sequence[Prediction]) -> pd.DataFrame:
    """Predictions as a table that ``read_predictions`` reads with a label file: a row a film, each path once.

    Columns: ``image`` (see ``image_names``); ``prob:``, ``logit:`` and ``positive:`` of each finding (positive: 1, 0,
    or empty where the finding has no threshold); ``gate_accepted`` (1, 0, or empty without a gate), ``gate_reasons``
    (codes, with ``;`` between), ``model``.
    """
    import pandas as pd

    once = dict(zip(paths, predictions, strict=True))
    rows = [
        {"image": image}
        | {f"prob:{name}": value for name, value in film.probabilities.items()}
        | {f"logit:{name}": value for name, value in film.logits.items()}
        | {f"positive:{name}": _flag(value) for name, value in film.positive.items()}
        | {
            "gate_accepted": _flag(film.gate.accepted),
            "gate_reasons": ";".join(film.gate.reasons),
            "model": film.model,
        }
        for image, film in zip(image_names(list(once)), once.values(), strict=True)
    ]
    return _with_flags(pd.DataFrame(rows))


def table_parquet(table: bytes) -> bytes:
    """A CSV as ``prediction_table`` writes it, as Parquet. Raises InvalidPredictions where it is no table."""
    file = TableFile.of(table)
    frame = _with_flags(file.read({name: name for name in file.columns()}))
    buffer = BytesIO()
    frame.to_parquet(buffer, index=False, compression="zstd")
    return buffer.getvalue()


def labelled_parquet(table: bytes, labels: bytes, label_file: str) -> bytes:
    """Such a CSV joined with a label file, as a predictions.parquet. Raises InvalidPredictions or InvalidDataset."""
    buffer = BytesIO()
    read_predictions(table, _named(labels, label_file)).write(buffer)
    return buffer.getvalue()


def score_list(model: Model, table: bytes, labels: bytes, label_file: str) -> Scored:
    """Score a table of the model's predictions (a CSV, as ``prediction_table``) against a label file.

    Decided at the model's own operating points. Raises InvalidPredictions or InvalidDataset.
    """
    films = read_predictions(table, _named(labels, label_file))
    name = films.dataset or table_name(label_file)
    return score_table(films, points=_points(model, films), dataset=name, model=model.name)


def _points(model: Model, films: Predictions) -> OperatingPoints | None:
    """The model's operating points for the findings that have labels; None where the winner decides or it has none."""
    if model.folder is None:
        return None
    try:
        return read_thresholds(str(model.folder), films.labels)
    except InvalidBundle:
        return None


def _named(content: bytes, name: str) -> Any:
    """A file in memory that knows its name."""
    stream: Any = BytesIO(content)
    stream.name = name
    return stream


def _with_flags(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with its columns of 1, 0 and empty as small whole numbers."""
    import pandas as pd

    flags = [name for name in frame.columns if name.startswith("positive:") or name == "gate_accepted"]
    return frame.assign(**{name: pd.to_numeric(frame[name], errors="coerce").astype("Int8") for name in flags})


def _flag(value: bool | None) -> int | None:
    return None if value is None else int(value)
