"""Other ways to decide with a model than its own thresholds: the choices that a screen offers without another pass."""

from __future__ import annotations

import json
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from cxrcore.evaluation.record import METRICS, read_metrics
from cxrcore.evaluation.thresholds import films_of_curve
from cxrcore.metrics.operating_points import disease_of, threshold_by
from cxrcore.metrics.rates import Rates, rates_at_threshold
from cxrcore.metrics.triage import CONFIDENCE
from cxrcore.models.base import Model

RULES = {
    "sensitivity=0.95": "Find 95 % of the films with the finding",
    "specificity=0.95": "Clear 95 % of the films without it",
    "youden": "Highest sensitivity + specificity (Youden)",
}
RISKS = (0.01, 0.02, 0.05, 0.1, 0.2)


@lru_cache(maxsize=16)
def decisions(model: Model) -> list[dict[str, Any]]:
    """Each choice as plain JSON: ``key``, ``title`` and what decides.

    By a rule: ``thresholds`` by finding, chosen on the stored validation curves (the disease's of two classes; left out
    where the likeliest class wins), and ``rates``, by finding, at these on the test films. By three answers: ``risk``,
    ``confidence``, the limits ``out`` and ``into`` by finding, ``why`` one is missing, and ``patients`` behind them.
    """
    return [*_by_rules(model), *_by_triage(model)]


def _by_rules(model: Model) -> list[dict[str, Any]]:
    points = model.operating_points
    if points is None or model.folder is None:
        return []
    tuned, tested = _films(model.folder, "val"), _films(model.folder, "test")
    choices = []
    for rule, title in RULES.items() if tuned and tested else ():
        if rule == _normal(points.rule):
            continue
        thresholds = {name: threshold_by(rule, *films)[0] for name, films in tuned.items()}
        disease = disease_of(model.labels)
        if disease is not None and (cut := thresholds.get(disease)) is not None:
            thresholds = {name: cut if name == disease else 1 - cut for name in model.labels}
        rates = {
            name: _row(rates_at_threshold(*films, cut))
            for name, films in tested.items()
            if (cut := thresholds.get(name)) is not None
        }
        choices.append({"key": rule, "title": title, "thresholds": thresholds, "rates": rates})
    return choices


def _row(rates: Rates) -> dict[str, Any]:
    """As in metrics.json."""
    pair = {"sensitivity": rates.sensitivity, "specificity": rates.specificity}
    intervals = {name: [rate.low, rate.high] for name, rate in pair.items() if rate.triple is not None}
    return {name: rate.value for name, rate in pair.items()} | {"intervals": intervals}


def _normal(rule: str) -> str:
    name, _, value = rule.partition("=")
    return f"{name}={float(value):g}" if value else name


def frequencies(model: Model) -> dict[str, list[dict[str, Any]]]:
    """How often validation films had a finding, by finding and bin of its probability; empty without stored curves.

    A bin: ``from`` and ``to`` (probabilities), ``n`` films, ``frequency`` with ``low`` and ``high`` (shares).
    """
    curves = {} if model.folder is None else _curves(model.folder, "val")
    return {name: curve["reliability"]["bins"] for name, curve in curves.items() if curve.get("reliability")}


@cache
def _curves(folder: Path, split: str) -> dict[str, Any]:
    """The stored curves of a split, by finding; empty where the bundle has none."""
    found = next(folder.glob(f"evaluation/*-{split}/curves.json"), None)
    return {} if found is None else dict(json.loads(found.read_text("utf-8"))["findings"])


@cache
def _films(folder: Path, split: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Targets and probabilities with those curves, by finding."""
    found = next(folder.glob(f"evaluation/*-{split}/{METRICS}"), None)
    if found is None:
        return {}
    scores = read_metrics(found).findings
    return {
        name: films_of_curve(curve["roc"], scores[name].n_pos, scores[name].n_neg)
        for name, curve in _curves(folder, split).items()
        if curve.get("roc")
    }


def _by_triage(model: Model) -> list[dict[str, Any]]:
    if model.triage is None:
        return []
    patients = {
        name: [side.patients, model.triage.absent[name].patients] for name, side in model.triage.present.items()
    }
    choices = []
    for risk in RISKS:
        limits = model.triage.limits(risk, CONFIDENCE)
        if any(limit is not None for limit in (*limits.out.values(), *limits.into.values())):
            choices.append(
                {
                    "key": f"risk={risk:g}",
                    "title": f"Three answers, wrong for at most {100 * risk:.0f} %",
                    "risk": risk,
                    "confidence": CONFIDENCE,
                    "out": limits.out,
                    "into": limits.into,
                    "why": limits.why,
                    "patients": patients,
                }
            )
    return choices
