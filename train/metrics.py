"""``cxr metrics``: the scores of a table of predictions, of any program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tqdm import tqdm

from cxrcore.errors import CxrError
from cxrcore.evaluation.record import METRICS, as_table
from cxrcore.evaluation.score import score_file
from cxrcore.evaluation.thresholds import read_thresholds
from cxrcore.predictions.import_table import read_predictions
from cxrcore.storage import write_json

CURVES = "curves.json"


def measure(
    predictions: Path,
    out: Path,
    labels: Path | None = None,
    thresholds: str | None = None,
    tune_fraction: float | None = None,
    split: str | None = None,
) -> dict[str, Any]:
    """Write metrics.json as ``out`` and the curves beside it, print the scores, and return them. Raises CxrError."""
    if out.is_dir() or out.name == CURVES:
        raise CxrError(f"--out names a file such as metrics.json, and {out.name!r} is not one")
    table = read_predictions(predictions, labels)
    for note in table.notes:
        tqdm.write(note)
    given = None if thresholds is None else read_thresholds(thresholds, table.labels)
    scored = score_file(predictions, table, split=split, points=given, tune_fraction=tune_fraction)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_json(out, scored.metrics.to_dict())
        write_json(curves_beside(out), scored.curves)
    except OSError:
        raise CxrError(f"cannot write {out.name!r}; choose another --out") from None
    tqdm.write(as_table(scored.metrics))
    if scored.points is None and (why := next(iter(scored.metrics.findings.values())).why):
        tqdm.write(f"no thresholds: {why.split(': ', 1)[-1]}")
    tqdm.write(f"scores written to {out}, curves to {curves_beside(out).name}")
    return scored.metrics.to_dict()


def curves_beside(out: Path) -> Path:
    """``curves.json`` beside ``metrics.json``; ``NAME-curves.json`` beside any other, so that neither overwrites it."""
    return out.with_name(CURVES if out.name == METRICS else f"{out.stem}-{CURVES}")
