"""``cxr report``: a model's scores as one HTML file that opens offline."""

from __future__ import annotations

from pathlib import Path

from tqdm import tqdm

from cxrcore.bundle.folder import embedded_models, embedded_name
from cxrcore.errors import CxrError
from cxrcore.evaluation.score import score_file
from cxrcore.evaluation.thresholds import read_thresholds
from cxrcore.predictions.import_table import read_predictions
from cxrcore.reporting.html_report import checklists_of, evaluations_of, from_scored, remarks_of, render
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
    if out.is_dir():
        raise CxrError(f"--out names an HTML file, and {out.name!r} is a folder")
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
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_text(out, page)
    except OSError:
        raise CxrError(f"cannot write {out.name!r}; choose another --out") from None
    tqdm.write(f"report written to {out}")
    return out
