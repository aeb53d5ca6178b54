"""Scores of one split from a table of predictions: everything in ``metrics.json`` and ``curves.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from cxrcore.bundle.calibrators import to_probabilities
from cxrcore.evaluation.record import (
    RATES,
    SCHEMA,
    AtSensitivity,
    Counts,
    FindingMetrics,
    MacroMetrics,
    Metrics,
    MicroMetrics,
    Uncalibrated,
)
from cxrcore.findings import Kind, LabelSet
from cxrcore.metrics.arrays import group_codes
from cxrcore.metrics.calibration import brier, brier_parts, ece, expected_ece, reliability
from cxrcore.metrics.confusion import confusion_matrix
from cxrcore.metrics.curves import pr_curve, roc_curve
from cxrcore.metrics.decision_curves import decision_curve
from cxrcore.metrics.discrimination import auprc, auroc, macro_auroc, micro_auroc
from cxrcore.metrics.intervals import Estimate
from cxrcore.metrics.operating_points import WINNER, OperatingPoints, decide, disease_of
from cxrcore.metrics.rates import Rates, rates_of_each, share, specificities_at_sensitivity
from cxrcore.metrics.recalibration import fit_recalibration
from cxrcore.predictions.record import Predictions

NEARLY_ALL = 388 / 390  # the sensitivity that published pneumonia models report their specificity at
NO_POINTS = "no thresholds were given and the table has no validation part to choose them on"
NO_CLASS = "no film has a known class"
NO_DECISION = "no film has a known label and a decision"


def summarise(
    predictions: Predictions,
    points: OperatingPoints | None = None,
    *,
    dataset: str,
    split: str,
    model: str,
    why_no_points: str = NO_POINTS,
    seed: int = 0,
) -> Metrics:
    """Score the films of one split; undefined numbers are None and have a ``why``.

    Three or more exclusive classes are decided by the winner; else thresholds and rates are undefined without
    ``points``. The headline ``macro`` averages over diseases for multilabel sets (``No Finding`` is left out, as NIH-14
    tables do) and over all classes for exclusive ones. Top-level ``brier`` and ``ece`` are: multilabel, the mean over
    those findings; two classes, those of the disease; more, Brier's original sum over classes (1950, in [0, 2]) and the
    ECE of the winner's probability (Guo 2017). Intervals count patients, not films, wherever a patient has several; the
    method stands beside each. ``seed`` is for resampled intervals and the simulated ``ece_expected``.
    Raises InvalidPredictions when no film has that split, LabelMismatch when ``points`` are for other findings.
    """
    part = _Decided.of(predictions.of_split(split), points, why_no_points, seed)
    rates = part.rates()
    findings = _score_findings(part, rates)
    accuracy = _accuracy(part)
    matrix = _confusion(part, accuracy)
    calibration = _overall_calibration(part, findings)
    labels, columns = part.films.labels, part.averaged
    return Metrics(
        n=len(part.films),
        n_patients=part.films.n_patients,
        dataset=dataset,
        split=split,
        model=model,
        kind=str(labels.kind),
        findings=findings,
        macro=_macro(part, rates),
        micro=MicroMetrics(auroc=micro_auroc(part.targets[:, columns], part.probabilities[:, columns], part.patients)),
        accuracy=accuracy.value,
        confusion=matrix,
        intervals=None if accuracy.low is None else {"accuracy": _ends(accuracy)},
        interval_methods=None if accuracy.low is None else {"accuracy": accuracy.method},
        brier=calibration.brier,
        ece=calibration.ece,
        ece_expected=calibration.ece_expected,
        why=_why_overall(part, accuracy, matrix, calibration),
        operating_points=_stated(points, labels),
    )


def curves(predictions: Predictions, *, split: str) -> dict[str, Any]:
    """ROC, precision-recall, reliability and decision curve of every finding on one split, for a chart.

    At most 500 points a curve.
    A curve that does not exist is null with a ``why``. Raises InvalidPredictions when no film has that split.
    """
    films = predictions.of_split(split)
    patients = group_codes(films.patient_ids)
    result: dict[str, dict[str, Any]] = {}
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


def with_uncalibrated(metrics: Metrics, films: Predictions, seed: int = 0) -> Metrics:
    """The metrics with each finding's scores before calibration, from the logits of the same films.

    Only for one network: an ensemble's calibration was not applied to the mean logits in its table. Unchanged without
    logits. ``seed`` is for the simulated ``ece_expected``.
    """
    if films.logits is None:
        return metrics
    raw = np.clip(to_probabilities(films.logits, films.labels.kind), 0, 1)
    patients, findings = group_codes(films.patient_ids), dict(metrics.findings)
    for column, name in enumerate(films.labels):
        y, p = films.targets[:, column], raw[:, column]
        line = fit_recalibration(y, p, patients)
        before = Uncalibrated(auroc(y, p, patients), brier(y, p), ece(y, p), expected_ece(y, p, seed=seed), line)
        findings[name] = replace(findings[name], uncalibrated=before)
    return replace(metrics, findings=findings)


class _Calibration(NamedTuple):
    """Brier score, ECE, and the ECE expected by chance."""

    brier: float | None
    ece: float | None
    ece_expected: float | None


@dataclass(frozen=True, eq=False)
class _Decided:
    """The films of a split and which findings are called positive on them."""

    films: Predictions
    points: OperatingPoints | None
    patients: np.ndarray  # (N,), numbered
    decisions: np.ndarray  # bool (N, C)
    undecided: Mapping[str, str]  # finding -> why it has no decision
    seed: int

    @classmethod
    def of(cls, films: Predictions, points: OperatingPoints | None, why_no_points: str, seed: int) -> _Decided:
        decisions, undecided = decide(films.labels, films.probabilities, points)
        if points is None:
            undecided = dict.fromkeys(undecided, why_no_points)
        return cls(films, points, group_codes(films.patient_ids), decisions, undecided, seed)

    @property
    def targets(self) -> np.ndarray:
        return self.films.targets

    @property
    def probabilities(self) -> np.ndarray:
        return self.films.probabilities

    @property
    def averaged(self) -> list[int]:
        """Columns of the findings that macro and micro scores are taken over."""
        return self.films.labels.averaged

    def rates(self) -> list[Rates | None]:
        """By column; None without a decision."""
        each = rates_of_each(self.targets, self.decisions, groups=self.patients, seed=self.seed)
        names = self.films.labels
        return [None if name in self.undecided else rates for name, rates in zip(names, each, strict=True)]


def _score_findings(part: _Decided, rates: Sequence[Rates | None]) -> dict[str, FindingMetrics]:
    """Every finding's scores, by name."""
    strict = specificities_at_sensitivity(
        part.targets, part.probabilities, NEARLY_ALL, groups=part.patients, seed=part.seed
    )
    return {
        name: _score_finding(part, column, rates[column], AtSensitivity(NEARLY_ALL, strict[column]))
        for column, name in enumerate(part.films.labels)
    }


def _score_finding(part: _Decided, column: int, rates: Rates | None, strict: AtSensitivity) -> FindingMetrics:
    y, p = part.targets[:, column], part.probabilities[:, column]
    name = part.films.labels.names[column]
    n_pos, n_neg = int((y == 1).sum()), int((y == 0).sum())
    without_threshold = part.undecided.get(name, WINNER)
    threshold = None if part.points is None or name in part.undecided else float(part.points.thresholds[column])
    estimates = rates.estimates if rates else {}
    values: dict[str, Any] = {rate: estimate.value for rate, estimate in estimates.items()}
    reasons = {rate: str(estimate.why) for rate, estimate in estimates.items() if values[rate] is None}
    reasons |= {"threshold": without_threshold} | ({} if rates else dict.fromkeys(RATES, without_threshold))
    bounded = {rate: estimate for rate, estimate in estimates.items() if estimate.low is not None}
    scores = FindingMetrics(
        n_pos=n_pos,
        n_neg=n_neg,
        prevalence=n_pos / (n_pos + n_neg) if n_pos + n_neg else None,
        auroc=auroc(y, p, part.patients),
        auprc=auprc(y, p, part.patients),
        threshold=threshold,
        **values,
        intervals={rate: _ends(estimate) for rate, estimate in bounded.items()} if rates else None,
        interval_methods={rate: estimate.method for rate, estimate in bounded.items()} if rates else None,
        counts=Counts(rates.tp, rates.fp, rates.fn, rates.tn) if rates else None,
        brier=brier(y, p),
        brier_parts=brier_parts(y, p),
        ece=ece(y, p),
        ece_expected=expected_ece(y, p, seed=part.seed),
        calibration=fit_recalibration(y, p, part.patients),
        specificity_at_sensitivity=strict,
    )
    return replace(scores, why=_why(scores.to_dict(), reasons, "no film has a known label"))


def _macro(part: _Decided, rates: Sequence[Rates | None]) -> MacroMetrics:
    """Means over the averaged findings that have the number, and which those are."""
    names, targets = part.films.labels.names, part.targets
    ranked = [names[k] for k in part.averaged if (targets[:, k] == 1).any() and (targets[:, k] == 0).any()]
    scored = ((names[k], rates[k]) for k in part.averaged)
    f1 = {name: one.f1.value for name, one in scored if one is not None and one.f1.value is not None}
    mean = float(np.mean(list(f1.values()))) if f1 else None
    return MacroMetrics(
        auroc=macro_auroc(targets[:, part.averaged], part.probabilities[:, part.averaged], part.patients),
        auroc_findings=ranked,
        f1=mean,
        f1_findings=list(f1),
        why=_why({"f1": mean}, {"f1": next(iter(part.undecided.values()), "no finding has an F1")}, ""),
    )


def _accuracy(part: _Decided) -> Estimate:
    """Share of right decisions: of films for exclusive classes, else of all labels that are known and decided."""
    if len(part.undecided) == len(part.films.labels):
        return Estimate.undefined(next(iter(part.undecided.values())))
    known = ~np.isnan(part.targets)
    right = (part.decisions == (part.targets == 1)) & known
    if part.films.labels.kind is Kind.MULTICLASS:
        rows = known.all(axis=1)
        return share(right[rows].all(axis=1), part.patients[rows], empty=NO_CLASS)
    counted = known & np.array([name not in part.undecided for name in part.films.labels])
    patients = np.broadcast_to(part.patients[:, None], counted.shape)[counted]
    return share(right[counted], patients, empty=NO_DECISION)


def _confusion(part: _Decided, accuracy: Estimate) -> list[list[int]] | None:
    """Of exclusive classes: row true, column decided."""
    labels = part.films.labels
    if labels.kind is not Kind.MULTICLASS or accuracy.value is None:
        return None
    counts: list[list[int]] = confusion_matrix(part.targets, part.decisions, labels.names).counts.tolist()
    return counts


def _overall_calibration(part: _Decided, findings: Mapping[str, FindingMetrics]) -> _Calibration:
    """Top-level Brier score, ECE and the ECE expected by chance (see ``summarise``)."""
    labels = part.films.labels
    if (disease := disease_of(labels)) is not None:
        own = findings[disease]
        return _Calibration(own.brier, own.ece, own.ece_expected)
    if labels.kind is Kind.MULTILABEL:
        averaged = [findings[labels.names[column]] for column in part.averaged]
        return _Calibration(
            _mean([scores.brier for scores in averaged]),
            _mean([scores.ece for scores in averaged]),
            _mean([scores.ece_expected for scores in averaged]),
        )
    rows = ~np.isnan(part.targets).any(axis=1)
    targets, probabilities = part.targets[rows], part.probabilities[rows].astype(np.float64)
    if not len(targets):
        return _Calibration(None, None, None)
    winner = probabilities.argmax(axis=1)
    confidence = np.minimum(probabilities.max(axis=1), 1.0)
    hit = targets[np.arange(len(targets)), winner]
    return _Calibration(
        brier=float(np.mean(((probabilities - targets) ** 2).sum(axis=1))),
        ece=ece(hit, confidence),
        ece_expected=expected_ece(hit, confidence, seed=part.seed),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _why_overall(
    part: _Decided, accuracy: Estimate, matrix: list[list[int]] | None, calibration: _Calibration
) -> str | None:
    exclusive = part.films.labels.kind is Kind.MULTICLASS
    otherwise = NO_CLASS if exclusive else NO_DECISION
    values: dict[str, object] = {"accuracy": accuracy.value} | ({"confusion": matrix} if exclusive else {})
    values |= calibration._asdict()
    return _why(values, dict.fromkeys(("accuracy", "confusion"), accuracy.why or otherwise), otherwise)


def _why(values: Mapping[str, object], reasons: Mapping[str, str], otherwise: str) -> str | None:
    """One sentence for all that is None: each reason once, after the names it explains."""
    grouped: dict[str, list[str]] = {}
    for name, value in values.items():
        if value is None:
            grouped.setdefault(reasons.get(name, otherwise), []).append(name)
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in grouped.items()) or None


def _stated(points: OperatingPoints | None, labels: LabelSet) -> dict[str, str] | None:
    """The rule and the films behind the thresholds; None where no threshold decides."""
    if points is None or (labels.kind is Kind.MULTICLASS and not labels.binary):
        return None
    return {"rule": points.rule, "fitted_on": points.fitted_on}


def _ends(estimate: Estimate) -> list[float]:
    assert estimate.triple is not None
    return list(estimate.triple[1:])
