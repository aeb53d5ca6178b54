"""How good is it, on one page? Everything in ``metrics.json``, from one table of predictions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cxrcore.findings import Kind
from cxrcore.metrics.arrays import group_codes
from cxrcore.metrics.calibration import brier, brier_parts, ece, expected_ece, reliability
from cxrcore.metrics.confusion import confusion_matrix
from cxrcore.metrics.curves import pr_curve, roc_curve
from cxrcore.metrics.decision_curves import decision_curve
from cxrcore.metrics.discrimination import auprc, auroc, macro_auroc, micro_auroc
from cxrcore.metrics.intervals import Estimate
from cxrcore.metrics.operating_points import WINNER, OperatingPoints, decide, disease_of
from cxrcore.metrics.rates import Rates, rates_of_each, share, specificities_at_sensitivity
from cxrcore.metrics.recalibration import recalibration
from cxrcore.predictions.record import Predictions

SCHEMA = 1
NEARLY_ALL = 388 / 390  # the sensitivity that published pneumonia models report their specificity at
NO_POINTS = "no thresholds were given and the table has no validation part to choose them on"


def summarise(
    predictions: Predictions,
    points: OperatingPoints | None = None,
    *,
    dataset: str,
    split: str,
    model: str,
    why_no_points: str = NO_POINTS,
    seed: int = 0,
) -> dict:
    """The content of ``metrics.json`` for the films of one split; undefined numbers are null and have a ``why``.

    Three or more exclusive classes are decided by the winner; else thresholds and rates are null without ``points``.
    The headline ``macro`` averages over diseases for multilabel sets (``No Finding`` is left out, as NIH-14 tables do)
    and over all classes for exclusive ones. Top-level ``brier`` and ``ece`` are: multilabel, the mean over those
    findings; two classes, those of the disease; more, Brier's original sum over classes (1950, in [0, 2]) and the ECE
    of the winner's probability (Guo 2017). Intervals count patients, not films, wherever a patient has several; the
    method stands beside each. ``seed`` is for resampled intervals and the simulated ``ece_expected``.
    Raises InvalidPredictions when no film has that split, LabelMismatch when ``points`` are for other findings.
    """
    films = predictions.of_split(split)
    labels, targets, probabilities = films.labels, films.targets, films.probabilities
    patients = group_codes(films.patient_ids)
    decisions, undecided = decide(labels, probabilities, points)
    if points is None:
        undecided = dict.fromkeys(undecided, why_no_points)
    each = rates_of_each(targets, decisions, groups=patients, seed=seed)
    scored = {name: None if name in undecided else each[column] for column, name in enumerate(labels)}
    strict = specificities_at_sensitivity(targets, probabilities, NEARLY_ALL, groups=patients, seed=seed)
    findings = {}
    for column, name in enumerate(labels):
        y, p = targets[:, column], probabilities[:, column]
        threshold = None if points is None or name in undecided else float(points.thresholds[column])
        why_no_threshold = undecided.get(name, WINNER)
        known = ~np.isnan(y)
        parts = brier_parts(y, p)
        findings[name] = {
            "n_pos": int((y == 1).sum()),
            "n_neg": int((y == 0).sum()),
            "prevalence": _share(int((y == 1).sum()), int(known.sum())),
            "auroc": auroc(y, p, patients).to_dict(),
            "auprc": auprc(y, p, patients).to_dict(),
            **_rates(scored[name], threshold, why_no_threshold),
            "brier": brier(y, p),
            "brier_parts": parts.to_dict() if parts else None,
            "ece": ece(y, p),
            "ece_expected": expected_ece(y, p, seed=seed),
            "calibration": recalibration(y, p, patients).to_dict(),
            "specificity_at_sensitivity": {
                "sensitivity": NEARLY_ALL,
                **strict[column].to_dict(),
            },
        }
        _explain(findings[name], {"threshold": why_no_threshold}, "no film has a known label")
    averaged = list(labels.abnormal) if labels.kind is Kind.MULTILABEL and labels.abnormal else list(labels)
    columns = [labels.index(name) for name in averaged]
    result = {
        "schema": SCHEMA,
        "n": len(films),
        "n_patients": films.n_patients,
        "dataset": dataset,
        "split": split,
        "model": model,
        "kind": str(labels.kind),
        "findings": findings,
        "macro": _macro(films, patients, columns, [scored[name] for name in averaged], undecided),
        "micro": {"auroc": micro_auroc(targets[:, columns], probabilities[:, columns], patients).to_dict()},
        **_overall(films, patients, decisions, undecided, findings, averaged, seed),
    }
    if points is not None and (labels.kind is Kind.MULTILABEL or labels.binary):
        result["operating_points"] = {"rule": points.rule, "fitted_on": points.fitted_on}
    return result


def curves(predictions: Predictions, *, split: str) -> dict:
    """ROC, precision-recall, reliability and decision curve of every finding on one split, for a chart.

    At most 500 points a curve.
    A curve that does not exist is null with a ``why``. Raises InvalidPredictions when no film has that split.
    """
    films = predictions.of_split(split)
    patients = group_codes(films.patient_ids)
    result: dict[str, dict] = {}
    for column, name in enumerate(films.labels):
        y, p = films.targets[:, column], films.probabilities[:, column]
        roc, pr, benefit = roc_curve(y, p), pr_curve(y, p), decision_curve(y, p, patients)
        result[name] = {
            "roc": roc.to_dict() if roc else None,
            "pr": pr.to_dict() if pr else None,
            "reliability": reliability(y, p, groups=patients).to_dict(),
            "decision": benefit.to_dict() if benefit else None,
        }
        if None in (roc, pr, benefit):
            result[name]["why"] = "a curve needs films with the finding, and the ROC curve films without it too"
    return {"schema": SCHEMA, "findings": result}


def _rates(rates: Rates | None, threshold: float | None, why: str) -> dict:
    """Threshold, rates, their intervals and the counts behind them."""
    if rates is None:
        names = ("accuracy", "sensitivity", "specificity", "ppv", "npv", "f1")
        return {"threshold": threshold, **dict.fromkeys(names), "_why": dict.fromkeys(names, why)}
    estimates = rates.estimates
    return {
        "threshold": threshold,
        **{name: estimate.value for name, estimate in estimates.items()},
        "intervals": {
            name: [estimate.low, estimate.high] for name, estimate in estimates.items() if estimate.low is not None
        },
        "interval_methods": {name: estimate.method for name, estimate in estimates.items() if estimate.low is not None},
        "counts": {"tp": rates.tp, "fp": rates.fp, "fn": rates.fn, "tn": rates.tn},
        "_why": {name: str(estimate.why) for name, estimate in estimates.items() if estimate.value is None},
    }


def _explain(entry: dict, reasons: Mapping[str, str], otherwise: str) -> None:
    """Give an entry with nulls one ``why``: each reason once, after the names it explains."""
    reasons = {**entry.pop("_why", {}), **reasons}
    grouped: dict[str, list[str]] = {}
    for name, value in entry.items():
        if value is None:
            grouped.setdefault(reasons.get(name, otherwise), []).append(name)
    if grouped:
        entry["why"] = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in grouped.items())


def _macro(
    films: Predictions,
    patients: np.ndarray,
    columns: list[int],
    scored: list[Rates | None],
    undecided: Mapping[str, str],
) -> dict:
    """Means over the findings that have the number; which were averaged is said."""
    names = [films.labels.names[column] for column in columns]
    targets = films.targets[:, columns]
    ranked = [n for k, n in enumerate(names) if (targets[:, k] == 1).any() and (targets[:, k] == 0).any()]
    f1 = {n: r.f1.value for n, r in zip(names, scored, strict=True) if r is not None and r.f1.value is not None}
    area = macro_auroc(targets, films.probabilities[:, columns], patients)
    entry = {
        "auroc": area.to_dict() | {"findings": ranked},
        "f1": float(np.mean(list(f1.values()))) if f1 else None,
        "f1_findings": list(f1),
    }
    _explain(entry, {"f1": next(iter(undecided.values()), "no finding has an F1")}, "undefined")
    return entry


def _overall(
    films: Predictions,
    patients: np.ndarray,
    decisions: np.ndarray,
    undecided: Mapping[str, str],
    findings: dict,
    averaged: list[str],
    seed: int,
) -> dict:
    """Numbers for the whole head: accuracy, confusion (multiclass), Brier and ECE."""
    labels = films.labels
    known = ~np.isnan(films.targets)
    right = (decisions == (films.targets == 1)) & known
    entry: dict = {}
    if labels.kind is Kind.MULTICLASS:
        rows = known.all(axis=1)
        hits, whose, none = right[rows].all(axis=1), patients[rows], "no film has a known class"
    else:
        counted = known & np.array([name not in undecided for name in labels])
        hits, whose = right[counted], np.broadcast_to(patients[:, None], counted.shape)[counted]
        none = "no film has a known label and a decision"
    if len(undecided) == len(labels):
        accuracy = Estimate.undefined(next(iter(undecided.values())))
    else:
        accuracy = share(hits, whose, empty=none)
    entry["accuracy"] = accuracy.value
    reasons = {"accuracy": accuracy.why or none, "confusion": accuracy.why or none}
    if labels.kind is Kind.MULTICLASS:
        matrix = confusion_matrix(films.targets, decisions, labels.names) if accuracy.value is not None else None
        entry["confusion"] = matrix.counts.tolist() if matrix else None
    if accuracy.low is not None:
        entry["intervals"] = {"accuracy": [accuracy.low, accuracy.high]}
        entry["interval_methods"] = {"accuracy": accuracy.method}
    entry |= _honesty(films, findings, averaged, seed)
    _explain(entry, reasons, none)
    return entry


def _honesty(films: Predictions, findings: dict, averaged: list[str], seed: int) -> dict:
    """Top-level Brier score, ECE and the ECE expected by chance (see ``summarise``)."""
    labels, keys = films.labels, ("brier", "ece", "ece_expected")
    if (disease := disease_of(labels)) is not None:
        return {key: findings[disease][key] for key in keys}
    if labels.kind is Kind.MULTILABEL:
        values = {key: [findings[name][key] for name in averaged if findings[name][key] is not None] for key in keys}
        return {key: float(np.mean(numbers)) if numbers else None for key, numbers in values.items()}
    rows = ~np.isnan(films.targets).any(axis=1)
    targets, probabilities = films.targets[rows], films.probabilities[rows].astype(np.float64)
    if not len(targets):
        return dict.fromkeys(keys)
    winner = probabilities.argmax(axis=1)
    sure = np.minimum(probabilities.max(axis=1), 1.0)
    hit = targets[np.arange(len(targets)), winner]
    return {
        "brier": float(np.mean(((probabilities - targets) ** 2).sum(axis=1))),
        "ece": ece(hit, sure),
        "ece_expected": expected_ece(hit, sure, seed=seed),
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
