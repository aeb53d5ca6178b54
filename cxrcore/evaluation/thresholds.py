"""Operating thresholds: from a bundle, a JSON file, or the validation films of a table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cxrcore.bundle.folder import is_ensemble, read_config, read_ensemble
from cxrcore.errors import InvalidBundle, InvalidPredictions
from cxrcore.findings import LabelSet
from cxrcore.metrics.operating_points import GIVEN, OperatingPoints, fit_operating_points
from cxrcore.models.opening import find_bundle
from cxrcore.predictions.record import Predictions


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


def read_thresholds(reference: str, labels: LabelSet) -> OperatingPoints:
    """Thresholds for these findings from a model (its name or folder) or a JSON file.

    The JSON is ``{finding: probability}``, the same under ``thresholds``, or a metrics.json. They count as ``given``
    unless it says ``"fitted_on": "val"``. A finding without one has NaN and a why. Raises InvalidPredictions,
    BundleNotFound or InvalidBundle.
    """
    path = Path(reference)
    if path.suffix == ".json" or path.is_file():
        thresholds, fitted_on = _thresholds_of(path)
        rule = f"given in {path.name}"
    else:
        folder = find_bundle(reference)
        given = (read_ensemble(folder) if is_ensemble(folder) else read_config(folder)).operating_points
        if given is None:
            raise InvalidBundle(f"model {path.name!r} has no thresholds to give")
        thresholds, fitted_on = given.to_dict()["thresholds"], given.fitted_on
        rule = f"{given.rule}, of {path.name}"
    if not set(thresholds) & set(labels):
        raise InvalidPredictions(
            f"{path.name} has thresholds for {', '.join(thresholds)}, and the table is of {', '.join(labels)}"
        )
    chosen = {name: float(value) for name, value in thresholds.items() if value is not None}
    if labels.binary and len(chosen) == 1:  # of two exclusive classes one threshold gives both
        (name, value), (one, other) = *chosen.items(), labels.names
        chosen = {name: value, (other if name == one else one): 1 - value}
    values = np.array([chosen.get(name, np.nan) for name in labels], np.float32)
    why = {name: f"no threshold for it in {path.name}" for name in labels if name not in chosen}
    return OperatingPoints(labels.names, values, fitted_on, rule, why)


def films_of_curve(curve: Mapping[str, Any], n_pos: int, n_neg: int) -> tuple[np.ndarray, np.ndarray]:
    """Targets (N,) and probabilities (N,) with the stored ROC curve (``sensitivity``, ``false_positive_rate``, ...).

    For where a table of films is not at hand: rates at the curve's thresholds come out exact, and every film is taken
    for a patient of its own.
    """
    thresholds = np.asarray(curve["thresholds"], np.float64)
    steps = [
        np.diff(np.rint(np.asarray(curve[rate]) * total).astype(int), prepend=0)
        for rate, total in (("sensitivity", n_pos), ("false_positive_rate", n_neg))
    ]
    targets = np.repeat([1.0, 0.0], [int(found.sum()) for found in steps])
    return targets, np.concatenate([np.repeat(thresholds, found) for found in steps])


def _thresholds_of(path: Path) -> tuple[dict[str, Any], str]:
    """A threshold by finding, and the films that chose them (``val`` or ``given``)."""
    wanted = f'{path.name} is no file of thresholds: expected JSON such as {{"Effusion": 0.31}}'
    try:
        data = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InvalidPredictions(f"there is no file {path.name!r}") from None
    except (OSError, ValueError):
        raise InvalidPredictions(wanted) from None
    if not isinstance(data, dict) or not data:
        raise InvalidPredictions(wanted)
    points = data["operating_points"] if isinstance(data.get("operating_points"), dict) else data
    fitted_on = "val" if points.get("fitted_on") == "val" else GIVEN
    if isinstance(data.get("findings"), dict):
        data = {name: scores.get("threshold") for name, scores in data["findings"].items()}
    elif isinstance(data.get("thresholds"), dict):
        data = data["thresholds"]
    if not data:
        raise InvalidPredictions(wanted)
    for name, value in data.items():
        valid = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1
        if value is not None and not valid:
            raise InvalidPredictions(
                f"{path.name}: the threshold of {name} is {value!r}, and a probability is expected"
            )
    return data, fitted_on
