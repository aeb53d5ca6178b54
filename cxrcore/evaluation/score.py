"""What does a predictions table score? One split, with thresholds that other films chose: from table to numbers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cxrcore.errors import InvalidPredictions
from cxrcore.evaluation.summary import NO_POINTS, curves, summarise
from cxrcore.evaluation.thresholds import validation_points
from cxrcore.metrics.operating_points import OperatingPoints, fit_operating_points, tuning_films
from cxrcore.predictions.record import Predictions
from cxrcore.predictions.table_reader import plain_name

UNKNOWN = "unknown"  # the badge of a split that nobody vouches for
ORIGINS = {
    "official": "official split",
    "own": "own split",
    "random": "random split",
    UNKNOWN: "split of unknown origin",
}


@dataclass(frozen=True, eq=False)
class Scored:
    """The films that were scored, what they score, and the curves behind it, computed when first asked for."""

    films: Predictions
    points: OperatingPoints | None
    metrics: dict  # as metrics.json

    @cached_property
    def curves(self) -> dict:
        """As curves.json."""
        return curves(self.films, split=self.metrics["split"])


def score_table(
    table: Predictions,
    split: str | None = None,
    points: OperatingPoints | None = None,
    tune_fraction: float | None = None,
    *,
    dataset: str = "",
    model: str = "",
    origin: str = UNKNOWN,
    seed: int = 0,
) -> Scored:
    """The numbers of one split: the one asked for, else ``test``, else the only one.

    Thresholds are ``points``; else chosen on ``tune_fraction`` of the split's patients, which are then left out of
    every score; else on the table's own validation films; else there are none. Raises InvalidPredictions.
    """
    split = choose_split(table, split)
    films, why, tuned = table.of_split(split), NO_POINTS, None
    if points is not None and tune_fraction is not None:
        raise InvalidPredictions("thresholds are either given or tuned on a fraction of the patients; choose one")
    if tune_fraction is not None:
        tuning = tuning_films(films.patient_ids, tune_fraction, seed)
        points = fit_operating_points(table.labels, films.targets[tuning], films.probabilities[tuning])
        tuned = {"fraction": tune_fraction, "n": int(tuning.sum()), "seed": seed}
        films = films.rows(~tuning)
    elif points is None and split != "val":
        points = validation_points(table)
    elif points is None:
        why = "thresholds chosen on the validation films would flatter them; give some, or score another split"
    metrics = summarise(films, points, dataset=dataset, split=split, model=model, why_no_points=why, seed=seed)
    metrics["split_origin"] = origin
    if tuned:
        metrics["tuned_on"] = tuned
        if "operating_points" in metrics:
            own = f"{100 * tuned['fraction']:.3g} % of the patients, who are left out here"
            metrics["operating_points"]["fitted_on"] = own
    return Scored(films, points, metrics)


def score_file(
    path: Path,
    table: Predictions,
    split: str | None = None,
    points: OperatingPoints | None = None,
    tune_fraction: float | None = None,
) -> Scored:
    """``score_table`` of a table that was read from ``path``, named after what is known of it."""
    told, name = told_beside(path), plain_name(path.name)
    dataset = table.dataset or told.get("dataset") or name
    model, origin = told.get("model") or name, told.get("split_origin") or UNKNOWN
    return score_table(table, split, points, tune_fraction, dataset=dataset, model=model, origin=origin)


def told_beside(path: Path) -> dict:
    """The metrics.json that ``cxr evaluate`` wrote beside its table: dataset, model, badge; empty without one."""
    try:
        data = json.loads((path.parent / "metrics.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    told = isinstance(data, dict) and isinstance(data.get("findings"), dict) and path.name == "predictions.parquet"
    return data if told else {}


def choose_split(table: Predictions, split: str | None = None) -> str:
    """The split asked for, else ``test``, else the only one. Raises InvalidPredictions where that is unclear."""
    there = sorted(set(table.split.tolist()))
    if split is not None:
        return split
    if "test" in there or len(there) == 1:
        return "test" if "test" in there else there[0]
    raise InvalidPredictions(f"this table has the splits {', '.join(there) or '(none)'}; say which with --split")
