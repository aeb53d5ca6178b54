"""``cxr report``: a model's scores, or its answer to one film, as one HTML file that opens offline."""

from __future__ import annotations

from pathlib import Path

from tqdm import tqdm

import cxrcore
from cxrcore.bundle.folder import embedded_models, embedded_name
from cxrcore.datasets.phantoms import is_phantom
from cxrcore.errors import CxrError
from cxrcore.evaluation.score import score_file
from cxrcore.evaluation.thresholds import read_thresholds
from cxrcore.predictions.import_table import read_predictions
from cxrcore.reporting.film_report import FilmReportOptions, render_film
from cxrcore.reporting.html_report import checklists_of, evaluations_of, from_scored, remarks_of, render
from cxrcore.resources import ASSETS
from cxrcore.storage import write_text


def report(
    subject: str,
    out: Path,
    labels: Path | None = None,
    thresholds: str | None = None,
    tune_fraction: float | None = None,
    split: str | None = None,
) -> Path:
    """Write the report of a bundle (its name or folder) or a predictions table. Raises CxrError.

    ``labels``, ``thresholds``, ``tune_fraction`` and ``split`` are a table's, as in ``cxr metrics``.
    """
    _refuse_folder(out)
    path = Path(subject)
    embedded = not path.is_file() and embedded_name(subject) in embedded_models()
    if path.is_dir() or subject.startswith("xrv:") or embedded:
        if any(option is not None for option in (labels, thresholds, tune_fraction, split)):
            raise CxrError("a bundle's scores are already measured; --labels and thresholds are for predictions tables")
        page = render(evaluations_of(subject), remarks_of(subject), checklists_of(subject))
    else:
        if not path.is_file():
            raise CxrError(f"{subject!r} is neither a model nor a predictions table")
        table = read_predictions(path, labels)
        for note in table.notes:
            tqdm.write(note)
        given = None if thresholds is None else read_thresholds(thresholds, table.labels)
        scored = score_file(path, table, split=split, points=given, tune_fraction=tune_fraction)
        page = render([from_scored(scored)])
    return _write(out, page)


def report_film(
    reference: str, film: Path, out: Path | None = None, findings: str | None = None, title: str = "", note: str = ""
) -> Path:
    """Write a model's answer to one film as one page; of the patient it holds what ``title`` and ``note`` say.

    out: ``<film>-report.html`` here unless given; findings: names with commas between them, whose maps are drawn.
    Raises CxrError.
    """
    out = out or Path(f"{film.stem}-report.html")
    _refuse_folder(out)
    if Path(reference).is_file():
        raise CxrError(f"--film needs a model that reads it, and {Path(reference).name!r} is a file")
    names = tuple(name.strip() for name in (findings or "").split(",") if name.strip())
    options = FilmReportOptions(names, title.strip(), note.strip(), synthetic=_is_drawn(film))
    radiograph = cxrcore.read_radiograph(film)
    return _write(out, render_film(radiograph, cxrcore.load(reference), options))


def _is_drawn(film: Path) -> bool:
    """Whether the file is one of this project's synthetic films: of a set it drew, or one that ships with it."""
    shipped = ASSETS / "examples" / film.name
    return is_phantom(film) or (film.is_file() and shipped.is_file() and shipped.read_bytes() == film.read_bytes())


def _refuse_folder(out: Path) -> None:
    if out.is_dir():
        raise CxrError(f"--out names an HTML file, and {out.name!r} is a folder")


def _write(out: Path, page: str) -> Path:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_text(out, page)
    except OSError:
        raise CxrError(f"cannot write {out.name!r}; choose another --out") from None
    tqdm.write(f"report written to {out}")
    return out
