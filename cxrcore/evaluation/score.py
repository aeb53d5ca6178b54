"""Scores of a table of predictions: one split, with thresholds that other films chose."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from cxrcore.errors import InvalidPredictions
from cxrcore.evaluation.record import METRICS, Metrics, read_metrics
from cxrcore.evaluation.split_origins import UNKNOWN
from cxrcore.evaluation.summary import NO_POINTS, curves, summarise
from cxrcore.evaluation.thresholds import validation_points
from cxrcore.metrics.operating_points import OperatingPoints, fit_operating_points, tuning_films
from cxrcore.predictions.record import PREDICTIONS, Predictions
from cxrcore.predictions.table_reader import table_name


@dataclass(frozen=True, eq=False)
class Scored:
    """The films that were scored, their scores, and the curves behind them."""

    films: Predictions
    points: OperatingPoints | None
    metrics: Metrics

    @cached_property
    def curves(self) -> dict[str, Any]:
        """The content of ``curves.json``, computed on first use."""
        return curves(self.films, split=self.metrics.split)


def score_table(
    table: Predictions,
    split: str | None = None,
    points: OperatingPoints | None = None,
    tune_fraction: float | None = None,
    *,
    dataset: str = "",
    model: str = "",
    origin: str = UNKNOWN.key,
    seed: int = 0,
) -> Scored:
    """Score one split: the one asked for, else ``test``, else the only one.

    Thresholds are ``points``; else chosen on ``tune_fraction`` of the split's patients, which are then left out of
    every score; else on the table's own validation films; else there are none. Raises InvalidPredictions.
    """
    split = choose_split(table, split)
    films, why, tuned_on = table.of_split(split), NO_POINTS, None
    if points is not None and tune_fraction is not None:
        raise InvalidPredictions("thresholds are either given or tuned on a fraction of the patients; choose one")
    if tune_fraction is not None:
        tuning = tuning_films(films.patient_ids, tune_fraction, seed)
        points = fit_operating_points(table.labels, films.targets[tuning], films.probabilities[tuning])
        tuned_on = {"fraction": tune_fraction, "n": int(tuning.sum()), "seed": seed}
        films = films.rows(~tuning)
    elif points is None and split != "val":
        points = validation_points(table)
    elif points is None:
        why = "thresholds chosen on the validation films would flatter them; give some, or score another split"
    metrics = summarise(films, points, dataset=dataset, split=split, model=model, why_no_points=why, seed=seed)
    stated = metrics.operating_points
    if tuned_on and stated:
        stated |= {"fitted_on": f"{100 * tuned_on['fraction']:.3g} % of the patients, who are left out here"}
    return Scored(films, points, replace(metrics, split_origin=origin, tuned_on=tuned_on, operating_points=stated))


def score_file(
    path: Path,
    table: Predictions,
    split: str | None = None,
    points: OperatingPoints | None = None,
    tune_fraction: float | None = None,
) -> Scored:
    """``score_table`` of a table that was read from ``path``; names and origin come from the scores beside it."""
    stored, name = metrics_beside(path) or Metrics(), table_name(path.name)
    return score_table(
        table,
        split,
        points,
        tune_fraction,
        dataset=table.dataset or stored.dataset or name,
        model=stored.model or name,
        origin=stored.split_origin or UNKNOWN.key,
    )


def metrics_beside(path: Path) -> Metrics | None:
    """The scores that ``cxr evaluate`` wrote beside its table; None where there are none."""
    if path.name != PREDICTIONS:
        return None
    try:
        return read_metrics(path.with_name(METRICS))
    except InvalidPredictions:
        return None


def choose_split(table: Predictions, split: str | None = None) -> str:
    """The split asked for, else ``test``, else the only one. Raises InvalidPredictions where that is unclear."""
    splits = sorted(set(table.split.tolist()))
    if split is not None:
        return split
    if "test" in splits or len(splits) == 1:
        return "test" if "test" in splits else splits[0]
    raise InvalidPredictions(f"this table has the splits {', '.join(splits) or '(none)'}; say which with --split")
