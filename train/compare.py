"""``cxr compare``: two models on the same films, finding by finding."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from cxrcore.errors import CxrError
from cxrcore.evaluation.compare import compare_tables, same_films
from cxrcore.evaluation.record import METRICS
from cxrcore.evaluation.score import choose_split, metrics_beside
from cxrcore.evaluation.thresholds import read_thresholds, validation_points
from cxrcore.metrics.operating_points import OperatingPoints
from cxrcore.predictions.import_table import read_predictions
from cxrcore.predictions.record import Predictions
from cxrcore.text import NumberFormat

_PLAIN = NumberFormat()
_DIFFERENCE = NumberFormat(signed=True, undefined="- (undefined)")


def compare(
    first: Path, second: Path, labels: Path | None = None, as_json: bool = False, split: str | None = None
) -> dict[str, Any]:
    """Print the comparison of two tables, as text or as JSON, and return it. Raises CxrError."""
    paths = (first, second)
    tables = [read_predictions(path, labels) for path in paths]
    if not as_json:
        for path, table in zip(paths, tables, strict=True):
            for note in table.notes:
                tqdm.write(f"{path.name}: {note}")
    points = [_points(path, table) for path, table in zip(paths, tables, strict=True)]
    pair = same_films(*(table.of_split(choose_split(table, split)) for table in tables))
    result = {"first": str(first), "second": str(second), **compare_tables(pair, *points)}
    print(json.dumps(result, allow_nan=False) if as_json else as_text(result))
    return result


def as_text(result: dict[str, Any]) -> str:
    """The comparison in a few lines for a terminal."""
    lines = [
        f"{result['n']} films of {result['n_patients']} patients are in both tables; "
        f"{result['only_first']} only in the first and {result['only_second']} only in the second are left out",
    ]
    if result["findings_left_out"]:
        lines.append(f"only in one table, left out: {', '.join(result['findings_left_out'])}")
    return "\n".join([*lines, "", *_areas(result), "", *_decisions(result["findings"])])


def _areas(result: dict[str, Any]) -> Iterator[str]:
    """AUROC of both, and their difference."""
    width = max(map(len, [*result["findings"], "mean"]))
    yield f"{'AUROC':{width}}   with   first  second  first - second (95 %)        p  p (Holm)"
    for name, entry in (*result["findings"].items(), ("mean", result["macro"])):
        films = "" if name == "mean" else str(entry["first"]["n_pos"])
        areas = "  ".join(f"{_PLAIN.number(entry[side]['value']):>6}" for side in ("first", "second"))
        p = f"{_p(entry['p']):>7}  {_p(entry['p_holm']) if name != 'mean' else '':>8}"
        yield f"{name:{width}}  {films:>5}  {areas}  {_DIFFERENCE.estimate(entry['difference']):24}{p}".rstrip()


def _decisions(findings: dict[str, Any]) -> Iterator[str]:
    """Sensitivity and specificity of both at their thresholds; the reason where there are none."""
    compared = {name: entry["calls"] for name, entry in findings.items() if entry["calls"]}
    if not compared:
        reasons = {entry["why_no_calls"] for entry in findings.values() if "why_no_calls" in entry}
        yield f"decisions are not compared: {'; '.join(sorted(reasons))}"
        return
    width = max(map(len, ["at their own thresholds", *compared]))
    yield f"{'at their own thresholds':{width}}  sensitivity (McNemar p)  specificity (McNemar p)  agreement"
    for name, calls in compared.items():
        rates = "  ".join(f"{_rates(calls[rate]):23}" for rate in ("sensitivity", "specificity"))
        yield f"{name:{width}}  {rates}  {calls['agreement']:.1%}"


def _points(path: Path, table: Predictions) -> OperatingPoints | None:
    """Thresholds from the table's own validation films, else from the scores beside it."""
    own = validation_points(table)
    if own is not None or metrics_beside(path) is None:
        return own
    try:
        return read_thresholds(str(path.with_name(METRICS)), table.labels)
    except CxrError:
        return None


def _p(value: float | None) -> str:
    return "< .001" if value is not None and value < 0.001 else _PLAIN.number(value)


def _rates(rate: dict[str, Any]) -> str:
    return f"{_PLAIN.number(rate['first'])} {_PLAIN.number(rate['second'])} ({_p(rate['p'])})"
