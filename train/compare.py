"""``cxr compare``: two models on the same films, finding by finding."""

from __future__ import annotations

import json
from pathlib import Path

from tqdm import tqdm

from cxrcore.errors import CxrError
from cxrcore.evaluation.compare import compare_tables, same_films
from cxrcore.evaluation.score import choose_split, metrics_beside
from cxrcore.evaluation.thresholds import read_thresholds, validation_points
from cxrcore.metrics.operating_points import OperatingPoints
from cxrcore.predictions.import_table import read_predictions
from cxrcore.predictions.record import Predictions
from cxrcore.text import NumberFormat

_GAP = NumberFormat(signed=True, undefined="- (undefined)")


def compare(
    first: Path, second: Path, labels: Path | None = None, as_json: bool = False, split: str | None = None
) -> dict:
    """Print how the first does against the second, as a table or as JSON, and return it. Raises CxrError."""
    tables = [read_predictions(path, labels) for path in (first, second)]
    say = (lambda text: None) if as_json else tqdm.write
    for path, table in zip((first, second), tables, strict=True):
        for note in table.notes:
            say(f"{path.name}: {note}")
    points = [_points(path, table) for path, table in zip((first, second), tables, strict=True)]
    parts = [table.of_split(choose_split(table, split)) for table in tables]
    pair = same_films(*parts)
    result = {"first": str(first), "second": str(second), **compare_tables(pair, *points)}
    print(json.dumps(result, allow_nan=False) if as_json else as_text(result))
    return result


def as_text(result: dict) -> str:
    """The comparison in a few lines for a terminal."""
    names = [*result["findings"], "mean"]
    width = max(map(len, names))
    lines = [
        f"{result['n']} films of {result['n_patients']} patients are in both tables; "
        f"{result['only_first']} only in the first and {result['only_second']} only in the second are left out",
    ]
    if result["findings_left_out"]:
        lines.append(f"only in one table, left out: {', '.join(result['findings_left_out'])}")
    lines += ["", f"{'AUROC':{width}}   with   first  second  first - second (95 %)        p  p (Holm)"]
    for name, entry in (*result["findings"].items(), ("mean", result["macro"])):
        gap = _GAP.estimate(entry["difference"])
        films = "" if name == "mean" else str(entry["first"]["n_pos"])
        areas = "  ".join(f"{_number(entry[side]['value']):>6}" for side in ("first", "second"))
        p = f"{_p(entry['p']):>7}  {_p(entry['p_holm']) if name != 'mean' else '':>8}"
        lines.append(f"{name:{width}}  {films:>5}  {areas}  {gap:24}{p}".rstrip())
    called = {name: entry["calls"] for name, entry in result["findings"].items() if entry["calls"]}
    if called:
        lines += [
            "",
            f"{'at each own threshold':{width}}  sensitivity (McNemar p)  specificity (McNemar p)  called alike",
        ]
        for name, calls in called.items():
            rates = "  ".join(f"{_rates(calls[rate]):23}" for rate in ("sensitivity", "specificity"))
            lines.append(f"{name:{max(width, 21)}}  {rates}  {calls['agreement']:.1%}")
    else:
        whys = {entry["why_no_calls"] for entry in result["findings"].values() if "why_no_calls" in entry}
        lines += ["", f"calls are not compared: {'; '.join(sorted(whys))}"]
    return "\n".join(lines)


def _points(path: Path, table: Predictions) -> OperatingPoints | None:
    """The thresholds that a table brings along: its own validation films', else those of the scores beside it."""
    own = validation_points(table)
    if own is not None:
        return own
    if metrics_beside(path):
        try:
            return read_thresholds(str(path.parent / "metrics.json"), table.labels)
        except CxrError:
            return None
    return None


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _p(value: float | None) -> str:
    if value is None:
        return "-"
    return "< .001" if value < 0.001 else f"{value:.3f}"


def _rates(rate: dict) -> str:
    return f"{_number(rate['first'])} {_number(rate['second'])} ({_p(rate['p'])})"
