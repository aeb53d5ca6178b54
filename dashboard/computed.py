"""What does a page need beyond metrics.json? Numbers from the table of films, computed once a source.

Every formula is ``cxrcore.metrics``'; here they meet a source. What has no table gets what its stored curves can tell.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from cxrcore.bundle.calibrators import to_probabilities
from cxrcore.errors import InvalidPredictions
from cxrcore.findings import Kind
from cxrcore.metrics.calibration import ece, reliability
from cxrcore.metrics.confusion import Matrix, Mistakes, co_occurrence, mistaken_for
from cxrcore.metrics.intervals import Estimate, wilson
from cxrcore.metrics.operating_points import GIVEN, threshold_by, tuning_films
from cxrcore.metrics.rates import Rates, rates_at_threshold, rates_of, rates_of_each
from cxrcore.metrics.recalibration import fit_recalibration
from dashboard.charts.curves import Band
from dashboard.sources.source import METRICS, Source, read_json

OWN, BY_HAND = "own", "by hand"
TUNE_FRACTION = 0.2  # of the patients of a table without validation films
_BAND_POINTS, _BAND_RESAMPLES = 60, 400
_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Choosers:
    """The films that a rule may look at, and those it is then judged on."""

    targets: np.ndarray  # (M, C)
    probabilities: np.ndarray
    scored: np.ndarray  # bool (N,), of the source's films
    said: str  # which films chose


def once(source: Source, key: Any, compute: Callable[[], _T], most: int = 0) -> _T:
    """What a source keeps as long as it lives; ``most``: of keys (kind, ...) of this kind, the oldest going first."""
    memo = source.memo
    if key not in memo:
        made = compute()
        if most:
            alike = [old for old in list(memo) if isinstance(old, tuple) and old[0] == key[0]]
            for old in alike[: max(len(alike) + 1 - most, 0)]:
                memo.pop(old, None)
        memo[key] = made
        return made
    return memo[key]


def history(source: Source) -> list[dict]:
    """The training log, a dict an epoch; empty where there is none or it cannot be read."""
    path = None if source.folder is None else source.folder / "training" / "history.jsonl"
    if path is None or not path.is_file():
        return []
    rows = []
    for line in path.read_text("utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("epoch"), int):
            rows.append(row)
    return rows


def validation_prevalence(source: Source) -> list[float] | None:
    """Share of validation films with each finding, in the metrics' order; None where nothing tells."""
    if source.validation is None:
        beside = None if source.folder is None else source.folder / "evaluation" / f"{source.dataset}-val" / METRICS
        if beside is None or source.split == "val" or not beside.is_file():
            return None
        stored = read_json(beside)["findings"]
        shares = [stored.get(name, {}).get("prevalence") for name in source.metrics["findings"]]
        return [np.nan if share is None else share for share in shares]
    targets = source.validation.targets
    known = (~np.isnan(targets)).sum(axis=0)
    counted = np.divide((targets == 1).sum(axis=0), known, out=np.full(len(known), np.nan), where=known > 0)
    return [float(counted[source.labels.index(name)]) for name in source.metrics["findings"]]


def choosers(source: Source) -> Choosers | None:
    """Validation films where there are some; else a random fifth of the patients, who are then not scored.

    None without a table, or with too few patients to part.
    """

    def find() -> Choosers | None:
        films = source.predictions
        if films is None:
            return None
        everyone = np.ones(len(films), dtype=bool)
        if source.validation is not None:
            own = source.validation
            return Choosers(own.targets, own.probabilities, everyone, f"{len(own):,} validation films")
        try:
            tuning = tuning_films(films.patient_ids, TUNE_FRACTION)
        except InvalidPredictions:
            return None
        said = f"a random fifth of the patients ({int(tuning.sum()):,} films), who are left out of the numbers below"
        return Choosers(films.targets[tuning], films.probabilities[tuning], ~tuning, said)

    return once(source, "choosers", find)


def threshold_of(source: Source, finding: str, rule: str) -> tuple[float | None, str]:
    """A rule's threshold for a finding, or None and why; ``OWN`` is the one its metrics were reported at."""
    column = source.labels.index(finding)
    if rule == OWN:
        scores = source.metrics["findings"][finding]
        return scores["threshold"], scores.get("why", "")

    def find() -> tuple[float | None, str]:
        films = choosers(source)
        if films is None:
            return None, "there are no films to choose it on"
        return threshold_by(rule, films.targets[:, column], films.probabilities[:, column])

    return once(source, ("threshold", finding, rule), find)


def rates_at(source: Source, finding: str, threshold: float, rule: str = BY_HAND) -> Rates:
    """What a threshold costs on the films that did not choose it. Needs the table."""
    y, p = source.arrays(finding)
    groups = source.patients
    if rule not in (OWN, BY_HAND) and (films := choosers(source)) is not None and not films.scored.all():
        y, p, groups = y[films.scored], p[films.scored], groups[films.scored]
    return rates_at_threshold(y, p, threshold, groups=groups)


def rates_on_curve(source: Source, finding: str, threshold: float, rule: str = BY_HAND) -> tuple[float, Rates]:
    """Without a table: the rates at the stored curve's next point, and that point's threshold.

    Points of a stored curve are real thresholds, so their counts are exact, and intervals are Wilson's, which take
    films as independent. The reported threshold has stored counts and intervals.
    """
    scores, curve = source.metrics["findings"][finding], source.curves["findings"][finding]["roc"]
    n_pos, n_neg = scores["n_pos"], scores["n_neg"]
    if rule == OWN and (counts := scores.get("counts")):
        tp, fp = counts["tp"], counts["fp"]
    else:
        where = max(int(np.sum(np.array(curve["thresholds"]) >= threshold)) - 1, 0)
        threshold = float(curve["thresholds"][where])
        tp, fp = round(curve["sensitivity"][where] * n_pos), round(curve["false_positive_rate"][where] * n_neg)
    cells = [tp, fp, n_pos - tp, n_neg - fp]
    found = rates_of(np.repeat([1.0, 0.0, 1.0, 0.0], cells), np.repeat([True, True, False, False], cells))
    if rule == OWN:
        methods = scores.get("interval_methods", {})
        reported = {
            name: replace(getattr(found, name), low=low, high=high, method=methods.get(name, "as reported"))
            for name, (low, high) in scores.get("intervals", {}).items()
        }
        found = replace(found, **reported)
    return threshold, found


def bands(source: Source, finding: str) -> tuple[Band | None, Band | None]:
    """Pointwise 95 % intervals around the ROC curve (of sensitivity) and the precision-recall curve (of precision).

    By patient from the table; without one, Wilson's from the stored curve, which takes films as independent.
    """
    roc = source.curves["findings"][finding]["roc"]
    if roc is None:
        return None, None

    def find() -> tuple[Band, Band]:
        x, y = np.array(roc["false_positive_rate"]), np.array(roc["sensitivity"])
        along = x + y
        where = np.unique(np.searchsorted(along, np.linspace(0, 2, _BAND_POINTS)).clip(max=len(along) - 1))
        found = _along(source, finding, np.array(roc["thresholds"])[where], x[where], y[where])
        sensitivity, precision = zip(*found, strict=True)
        return _band(x[where], sensitivity), _band(y[where], precision)

    return once(source, ("bands", finding), find)


def _along(
    source: Source, finding: str, thresholds: np.ndarray, x: np.ndarray, y: np.ndarray
) -> list[tuple[Estimate, Estimate]]:
    """Sensitivity and precision at points of a ROC curve, with intervals."""
    if source.predictions is not None:
        targets, probabilities = source.arrays(finding)
        calls = probabilities.astype(np.float64)[:, None] >= thresholds
        copies = np.repeat(targets[:, None], len(thresholds), axis=1)
        each = rates_of_each(copies, calls, groups=source.patients, resamples=_BAND_RESAMPLES)
        return [(part.sensitivity, part.ppv) for part in each]
    scores = source.metrics["findings"][finding]
    n_pos, n_neg = scores["n_pos"], scores["n_neg"]
    counts = [(round(true * n_pos), round(false * n_neg)) for false, true in zip(x, y, strict=True)]
    return [(wilson(tp, n_pos), wilson(tp, tp + fp)) for tp, fp in counts]


def _band(x: np.ndarray, estimates: tuple[Estimate, ...]) -> Band:
    kept = [k for k, estimate in enumerate(estimates) if estimate.low is not None]
    low, high = (np.array([getattr(estimates[k], end) for k in kept]) for end in ("low", "high"))
    return Band(x[kept], low, high)


def before_calibration(source: Source, finding: str) -> list[dict] | None:
    """The reliability table of the raw logits; None without logits."""
    raw = _uncalibrated(source, finding)
    if raw is None:
        return None
    y, _ = source.arrays(finding)
    return once(source, ("before", finding), lambda: reliability(y, raw, groups=source.patients).to_dict()["bins"])


def _uncalibrated(source: Source, finding: str) -> np.ndarray | None:
    """Probabilities as the network gave them, (N,); None without logits."""
    films = source.predictions
    if films is None or films.logits is None:
        return None
    logits = films.logits
    raw = once(source, "raw", lambda: np.clip(to_probabilities(logits, source.labels.kind), 0, 1))
    return raw[:, source.labels.index(finding)]


def ece_before(source: Source, finding: str) -> float | None:
    """ECE of the raw logits; None without them."""
    raw = _uncalibrated(source, finding)
    return None if raw is None else ece(source.arrays(finding)[0], raw)


def highest(source: Source, finding: str) -> float:
    """Where a slider over thresholds ends: a round number above every probability."""
    if source.predictions is not None:
        most = float(source.predictions.probabilities[:, source.labels.index(finding)].max())
    else:
        roc = source.curves["findings"][finding]["roc"]
        most = float(roc["thresholds"][0]) if roc else 1.0
    return min(1.0, (math.floor(20 * most) + 1) / 20)


def calibration_line(source: Source, finding: str) -> dict | None:
    """Slope, intercept and intercept in the large, as JSON; None where neither stored nor computable."""
    stored = source.metrics["findings"][finding].get("calibration")
    if stored is not None or source.predictions is None:
        return stored
    return once(
        source, ("line", finding), lambda: fit_recalibration(*source.arrays(finding), source.patients).to_dict()
    )


def decisions(source: Source) -> tuple[np.ndarray, np.ndarray, dict[str, float]] | None:
    """Targets (M, C), calls (M, C) at every finding's threshold, and those thresholds; None where there are none.

    Own thresholds where the metrics have them, else Youden's on the films that may choose.
    """
    films = source.predictions
    if films is None or (source.multiclass and not source.labels.binary):
        return None

    def find() -> tuple[np.ndarray, np.ndarray, dict[str, float]] | None:
        own = all(source.metrics["findings"][name]["threshold"] is not None for name in source.labels)
        chosen = None if own else choosers(source)
        if not own and chosen is None:
            return None
        cuts = {name: threshold_of(source, name, OWN if own else "youden")[0] for name in source.labels}
        limits = np.array([np.inf if cut is None else cut for cut in cuts.values()])
        mask = np.ones(len(films), bool) if chosen is None else chosen.scored
        calls = films.probabilities[mask] >= limits
        return films.targets[mask], calls, {name: cut for name, cut in cuts.items() if cut is not None}

    return once(source, "decisions", find)


def together(source: Source) -> Matrix:
    """Which findings go together in truth. Needs the table."""
    films = source.predictions
    assert films is not None
    return once(source, "together", lambda: co_occurrence(films.targets, source.labels.names))


def mistakes(source: Source) -> Mistakes | None:
    """What is truly there behind false alarms; None without thresholds or for exclusive classes."""
    if source.labels.kind is Kind.MULTICLASS or (made := decisions(source)) is None:
        return None
    return once(source, "mistakes", lambda: mistaken_for(made[0], made[1], source.labels.names))


def chosen_by(rule: str | None, fitted_on: str | None) -> str:
    """Where thresholds come from, in words."""
    if fitted_on == GIVEN:
        return "Given to the evaluation; on which films they were chosen is not known"
    names = {"youden": "Youden's index", "best_f1": "the best F1", "val": "validation films"}
    by, on = (names.get(str(word), word) for word in (rule, fitted_on))
    return f"Chosen by {by} on {on}, not on the films scored here"
