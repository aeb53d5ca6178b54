"""Scores told: a few lines for a terminal, and JSON that refuses NaN. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNDEFINED = "- (undefined)"


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
        area = with_interval(scores["auroc"], undefined=UNDEFINED)
        lines.append(f"{name:{width}}  {scores['n_pos']:4}  {scores['n_neg']:7}  {area:20}{rates}")
    mean = with_interval(metrics["macro"]["auroc"], undefined=UNDEFINED)
    lines.append(f"{'mean':{width}}  {'':4}  {'':7}  {mean}")
    if metrics.get("accuracy") is not None:
        lines.append(f"accuracy {metrics['accuracy']:.3f}")
    return "\n".join(lines)


def with_interval(estimate: Mapping[str, Any], signed: bool = False, undefined: str = "-") -> str:
    """``0.871 (0.852-0.890)``, or the bare value where there is no interval; ``signed``: ``+0.012 (-0.003 to +0.027)``.

    ``estimate`` has value, low and high, as in metrics.json; ``undefined`` is said where the value is null.
    """
    value, low, high = (estimate[part] for part in ("value", "low", "high"))
    if value is None:
        return undefined
    sign, between = ("+", " to ") if signed else ("", "-")
    return f"{value:{sign}.3f}" + ("" if low is None else f" ({low:{sign}.3f}{between}{high:{sign}.3f})")


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def size_text(count: int) -> str:
    if count < 1_000_000:
        return f"{max(count // 1000, 1)} kB"
    if count < 1_000_000_000:
        return f"{count / 1e6:.{1 if count < 10_000_000 else 0}f} MB".replace(".0 ", " ")
    return f"{count / 1e9:.1f} GB"
