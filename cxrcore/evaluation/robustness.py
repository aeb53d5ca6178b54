"""Robustness: scores of films that are changed in ways that do not change the patient, beside those of the unchanged.

The changes are those of ``models.shaking``; the content of ``robustness.json`` is a dict that ``measure_robustness``
returns and ``read_robustness`` reads.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cxrcore.errors import InvalidPredictions
from cxrcore.evaluation.record import Metrics
from cxrcore.films.radiograph import read_radiograph
from cxrcore.findings import Kind
from cxrcore.metrics.arrays import group_codes
from cxrcore.metrics.comparison import compare_findings, compare_macro
from cxrcore.metrics.discrimination import auroc, macro_auroc
from cxrcore.metrics.intervals import Estimate
from cxrcore.metrics.json_record import json_ready
from cxrcore.metrics.operating_points import decide
from cxrcore.metrics.rates import share
from cxrcore.models.base import Model
from cxrcore.models.shaking import CHANGES, changed_films
from cxrcore.predictions.record import Predictions
from cxrcore.text import NumberFormat

ROBUSTNESS = "robustness.json"
SCHEMA = 1
HEAD = ("change", "AUROC", "difference (95 %)", "probability moves by", "answers that change")
_AREA, _SIGNED = NumberFormat(), NumberFormat(signed=True)
_PERCENT = NumberFormat(digits=1, factor=100, unit=" %")


def measure_robustness(
    model: Model,
    paths: Mapping[str, Path],
    scored: Predictions,
    metrics: Metrics,
    count: int,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> dict[str, Any]:
    """Score ``count`` of the films under every change of ``models.shaking``, against their unchanged scores.

    paths: the file of each film in ``scored``, by its name. Films are drawn at random, the same every time; all where
    there are no more. A film is read once and costs nine forward passes. Each change has ``auroc`` and ``difference``
    (changed less unchanged, paired, by patient), of the mean over findings and of each; ``moved``, the mean absolute
    move of a probability; and ``crossed``, the share of answers that become another: of exclusive classes, of films.
    """
    rows = np.sort(np.random.default_rng(0).permutation(len(scored))[:count])
    films = scored.rows(rows)
    changed = np.empty((len(CHANGES), *films.probabilities.shape), np.float32)
    for row in progress(range(len(films))):
        shaken = changed_films(read_radiograph(paths[str(films.images[row])]), seed=int(rows[row])).values()
        changed[:, row] = model.score([model.prepare(film) for film in shaken])[1]
    result = {
        "schema": SCHEMA,
        "model": metrics.model,
        "dataset": metrics.dataset,
        "split": metrics.split,
        "n": len(films),
        "n_patients": films.n_patients,
        "of": len(scored),
        "unchanged": _unchanged(films),
        "changes": {name: _compared(model, films, own) for name, own in zip(CHANGES, changed, strict=True)},
    }
    ready: dict[str, Any] = json_ready(result)
    return ready


def _unchanged(films: Predictions) -> dict[str, Any]:
    codes, columns = group_codes(films.patient_ids), films.labels.averaged
    targets, shares = films.targets, films.probabilities
    return {
        "auroc": macro_auroc(targets[:, columns], shares[:, columns], codes),
        "findings": {
            name: {"auroc": auroc(targets[:, column], shares[:, column], codes)}
            for column, name in enumerate(films.labels)
        },
    }


def _compared(model: Model, films: Predictions, changed: np.ndarray) -> dict[str, Any]:
    """One change of the films: probabilities (N, C) beside the unchanged ones."""
    labels, targets, before = films.labels, films.targets, films.probabilities
    codes, columns = group_codes(films.patient_ids), labels.averaged
    areas = compare_findings(targets, changed, before, labels.names, codes)
    macro = compare_macro(targets[:, columns], changed[:, columns], before[:, columns], codes)
    moved = np.abs(changed - before).mean(axis=0)
    (own, undecided), (other, _) = (decide(labels, p, model.operating_points) for p in (before, changed))
    crossed = own != other
    each = {
        name: Estimate.undefined(undecided[name]) if name in undecided else share(crossed[:, column], codes)
        for column, name in enumerate(labels)
    }
    decided = crossed[:, [name not in undecided for name in labels]]
    return {
        "auroc": macro.first,
        "difference": macro.difference,
        "moved": float(moved.mean()),
        "crossed": _answers_crossed(decided, codes, labels.kind),
        "findings": {
            name: {
                "auroc": areas[name].first,
                "difference": areas[name].difference,
                "moved": float(moved[column]),
                "crossed": each[name],
            }
            for column, name in enumerate(labels)
        },
    }


def _answers_crossed(crossed: np.ndarray, codes: np.ndarray, kind: Kind) -> Estimate:
    """The share of answers, bool (N, K), that became another; exclusive classes give one answer a film."""
    if not crossed.shape[1]:
        return Estimate.undefined("no finding has a threshold")
    if kind is Kind.MULTICLASS:
        return share(np.any(crossed, axis=1, keepdims=True).ravel(), codes)
    return share(crossed.ravel(), np.repeat(codes, crossed.shape[1]))


def read_robustness(folder: Path, model: str) -> dict[str, Any] | None:
    """The content of ``robustness.json`` in an evaluation's folder; None without one, or of other weights.

    model: name@digest of the weights that the scores beside it are of. Raises InvalidPredictions where it cannot be
    read.
    """
    path = folder / ROBUSTNESS
    if not path.is_file():
        return None
    try:
        data: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if data["schema"] == SCHEMA and summary(data) and as_rows(data):
            return data if data["model"] == model else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    raise InvalidPredictions(f"{path.name} of {folder.name!r} cannot be read; run cxr evaluate --shake again")


def as_rows(data: Mapping[str, Any], finding: str | None = None) -> list[tuple[str, ...]]:
    """The unchanged films and each change as ``HEAD`` names the columns; of the mean over findings, or of one."""
    changes = {name: own if finding is None else own["findings"][finding] for name, own in data["changes"].items()}
    unchanged = data["unchanged"] if finding is None else data["unchanged"]["findings"][finding]
    rows: list[tuple[str, ...]] = [("unchanged", _AREA.estimate(unchanged["auroc"]), "", "", "")]
    for name, own in changes.items():
        area, gap = _AREA.number(own["auroc"]["value"]), _SIGNED.estimate(own["difference"])
        rows.append((name, area, gap, _AREA.number(own["moved"]), _PERCENT.estimate(own["crossed"])))
    return rows


def summary(data: Mapping[str, Any]) -> str:
    """The films, and the changes with the lowest mean AUROC and the most changed answers, in a line."""
    changes = data["changes"]
    who = f"{data['n']:,} of {data['of']:,} films ({data['n_patients']:,} patients) in {len(changes)} changes"
    text = f"{who} of tone, framing and file that leave the patient as he is"
    areas = {name: own["difference"] for name, own in changes.items() if own["difference"]["value"] is not None}
    if areas:
        worst = min(areas, key=lambda name: float(areas[name]["value"]))
        text += f"; lowest mean AUROC: {worst}, {_SIGNED.estimate(areas[worst])} against the unchanged films"
    shares = {name: own["crossed"] for name, own in changes.items() if own["crossed"]["value"] is not None}
    if shares:
        most = max(shares, key=lambda name: float(shares[name]["value"]))
        text += f"; most answers change: {most}, {_PERCENT.estimate(shares[most])}"
    return text


def as_table(data: Mapping[str, Any]) -> str:
    """The mean over findings for a terminal, a line a change."""
    rows = [HEAD, *as_rows(data)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([f"{summary(data)}.", *lines])
