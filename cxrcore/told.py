"""Scores told: a few lines for a terminal, and JSON that refuses NaN. Loads no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def as_table(metrics: dict) -> str:
    """The scores of a split in a few lines for a terminal."""
    names = list(metrics["findings"])
    width = max(map(len, [*names, "mean"]))
    lines = [
        f"{metrics['dataset']}, {metrics['split']} ({metrics['split_origin']} split): "
        f"{metrics['n']} films of {metrics['n_patients']} patients",
        f"{'':{width}}  with  without  AUROC (95 %)          sensitivity  specificity",
    ]
    for name, scores in metrics["findings"].items():
        rates = "".join(f"{_short(scores[key]):>13}" for key in ("sensitivity", "specificity"))
        lines.append(f"{name:{width}}  {scores['n_pos']:4}  {scores['n_neg']:7}  {_area(scores['auroc']):20}{rates}")
    lines.append(f"{'mean':{width}}  {'':4}  {'':7}  {_area(metrics['macro']['auroc'])}")
    if metrics.get("accuracy") is not None:
        lines.append(f"accuracy {metrics['accuracy']:.3f}")
    return "\n".join(lines)


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Indented JSON; NaN is refused."""
    path.write_text(json.dumps(data, indent=2, allow_nan=False) + "\n", "utf-8")


def _area(estimate: dict) -> str:
    if estimate["value"] is None:
        return "- (undefined)"
    if estimate["low"] is None:
        return f"{estimate['value']:.3f}"
    return f"{estimate['value']:.3f} ({estimate['low']:.3f}-{estimate['high']:.3f})"


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
