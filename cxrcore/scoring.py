"""What does a predictions table score? One split, with thresholds that other films chose: from table to numbers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cxrcore.bundle import find_bundle, is_ensemble, read_config
from cxrcore.errors import InvalidBundle, InvalidPredictions
from cxrcore.findings import LabelSet
from cxrcore.metrics.operating_points import GIVEN, OperatingPoints, fit_operating_points, tuning_films
from cxrcore.metrics.summary import NO_POINTS, curves, summarise
from cxrcore.predictions import Predictions
from cxrcore.table_files import plain_name

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


def validation_points(table: Predictions) -> OperatingPoints | None:
    """Thresholds by Youden's index on the table's own validation films; None where it has none, or the winner decides.

    Raises InvalidPredictions where a patient's films are on both sides, which would flatter the scores.
    """
    val = table.split == "val"
    if not val.any():
        return None
    if shared := set(table.patient_ids[val].tolist()) & set(table.patient_ids[~val].tolist()):
        raise InvalidPredictions(
            f"{len(shared)} patient(s) have films both in split val and in another; thresholds chosen on val would "
            "flatter the scores, so split by patient"
        )
    own = table.of_split("val")
    return fit_operating_points(table.labels, own.targets, own.probabilities)


def told_beside(path: Path) -> dict:
    """The metrics.json that ``cxr evaluate`` wrote beside its table: dataset, model, badge; empty without one."""
    try:
        data = json.loads((path.parent / "metrics.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    told = isinstance(data, dict) and isinstance(data.get("findings"), dict) and path.name == "predictions.parquet"
    return data if told else {}


def read_thresholds(reference: str, labels: LabelSet) -> OperatingPoints:
    """Thresholds for these findings from a model (its name or folder) or a JSON file.

    The JSON is ``{finding: probability}``, that under ``thresholds``, or a metrics.json; unless it says that validation
    films chose them (``"fitted_on": "val"``), they are ``given``. A finding without one has NaN and a why. Raises
    InvalidPredictions, BundleNotFound or InvalidBundle.
    """
    path = Path(reference)
    if path.suffix == ".json" or path.is_file():
        found, fitted_on = _thresholds_of(path)
        rule = f"given in {path.name}"
    else:
        folder = find_bundle(reference)
        given = None if is_ensemble(folder) else read_config(folder).operating_points
        if given is None:
            raise InvalidBundle(f"model {folder.name!r} has no thresholds to give")
        found, fitted_on = given.to_dict()["thresholds"], given.fitted_on
        rule = f"{given.rule}, of {folder.name}"
    if not set(found) & set(labels):
        raise InvalidPredictions(
            f"{path.name} has thresholds for {', '.join(found)}, and the table is of {', '.join(labels)}"
        )
    chosen = {name: float(value) for name, value in found.items() if value is not None}
    if labels.binary and len(chosen) == 1:  # of two exclusive classes one threshold says both
        (name, value), (one, other) = *chosen.items(), labels.names
        chosen = {name: value, (other if name == one else one): 1 - value}
    values = np.array([chosen.get(name, np.nan) for name in labels], np.float32)
    why = {name: f"no threshold for it in {path.name}" for name in labels if name not in chosen}
    return OperatingPoints(labels.names, values, fitted_on, rule, why)


def _thresholds_of(path: Path) -> tuple[dict[str, Any], str]:
    """A threshold a finding, and what chose them as far as the file says."""
    wanted = f'{path.name} is no file of thresholds: expected JSON such as {{"Effusion": 0.31}}'
    try:
        data = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InvalidPredictions(f"there is no file {path.name!r}") from None
    except (OSError, ValueError):
        raise InvalidPredictions(wanted) from None
    told = data if isinstance(data, dict) else {}
    points = told["operating_points"] if isinstance(told.get("operating_points"), dict) else told
    fitted_on = "val" if points.get("fitted_on") == "val" else GIVEN
    if isinstance(data, dict) and isinstance(data.get("findings"), dict):
        data = {name: scores.get("threshold") for name, scores in data["findings"].items()}
    elif isinstance(data, dict) and isinstance(data.get("thresholds"), dict):
        data = data["thresholds"]
    if not isinstance(data, dict) or not data:
        raise InvalidPredictions(wanted)
    for name, value in data.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1
        if value is not None and not number:
            raise InvalidPredictions(
                f"{path.name}: the threshold of {name} is {value!r}, and a probability is expected"
            )
    return data, fitted_on


def choose_split(table: Predictions, split: str | None = None) -> str:
    """The split asked for, else ``test``, else the only one. Raises InvalidPredictions where that is unclear."""
    there = sorted(set(table.split.tolist()))
    if split is not None:
        return split
    if "test" in there or len(there) == 1:
        return "test" if "test" in there else there[0]
    raise InvalidPredictions(f"this table has the splits {', '.join(there) or '(none)'}; say which with --split")
