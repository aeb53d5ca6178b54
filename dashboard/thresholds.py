"""Decision thresholds: which films may choose them, and the rates they give on the other films."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from cxrcore.errors import InvalidPredictions
from cxrcore.evaluation.thresholds import films_of_curve
from cxrcore.metrics.operating_points import GIVEN, threshold_by, tuning_films
from cxrcore.metrics.rates import Rates, rates_at_threshold, rates_of
from dashboard.sources.source import Source

OWN, BY_HAND = "own", "by hand"
TUNE_FRACTION = 0.2  # of the patients of a table without validation films


@dataclass(frozen=True, eq=False)
class TuningFilms:
    """Films on which a rule chooses its threshold, and the films that are scored with it."""

    targets: np.ndarray  # (M, C)
    probabilities: np.ndarray  # (M, C)
    scored: np.ndarray  # bool (N,), of the source's films
    description: str


def tuning(source: Source) -> TuningFilms | None:
    """Validation films if there are some, else a random fifth of the patients, who are then not scored.

    None without a table, or with too few patients to divide.
    """

    def find() -> TuningFilms | None:
        films = source.predictions
        if films is None:
            return None
        if (own := source.validation) is not None:
            everyone = np.ones(len(films), dtype=bool)
            return TuningFilms(own.targets, own.probabilities, everyone, f"{len(own):,} validation films")
        try:
            chosen = tuning_films(films.patient_ids, TUNE_FRACTION)
        except InvalidPredictions:
            return None
        description = (
            f"a random fifth of the patients ({int(chosen.sum()):,} films), who are left out of the numbers below"
        )
        return TuningFilms(films.targets[chosen], films.probabilities[chosen], ~chosen, description)

    return source.once("tuning", find)


def threshold_of(source: Source, finding: str, rule: str) -> tuple[float | None, str]:
    """A rule's threshold for a finding, or None and why; ``OWN`` is the one its metrics were reported at."""
    column = source.labels.index(finding)
    if rule == OWN:
        scores = source.scores[finding]
        return scores.threshold, scores.why or ""

    def find() -> tuple[float | None, str]:
        films = tuning(source)
        if films is None:
            return None, "there are no films to choose it on"
        return threshold_by(rule, films.targets[:, column], films.probabilities[:, column])

    return source.once(("threshold", finding, rule), find)


def rates_at(source: Source, finding: str, threshold: float, rule: str = BY_HAND) -> Rates:
    """Rates at a threshold on the films that did not choose it. Needs the table."""
    y, p = source.arrays(finding)
    groups = source.patients
    if rule not in (OWN, BY_HAND) and (films := tuning(source)) is not None and not films.scored.all():
        y, p, groups = y[films.scored], p[films.scored], groups[films.scored]
    return rates_at_threshold(y, p, threshold, groups=groups)


def rates_on_curve(source: Source, finding: str, threshold: float, rule: str = BY_HAND) -> tuple[float, Rates]:
    """Without a table: the next point on the stored curve, as its threshold and the rates there.

    Points of a stored curve are real thresholds, so their counts are exact, and intervals are Wilson's, which take
    films as independent. The reported threshold has stored counts and intervals.
    """
    scores, curve = source.scores[finding], source.curves["findings"][finding]["roc"]
    if rule != OWN or not scores.counts:
        where = max(int(np.sum(np.array(curve["thresholds"]) >= threshold)) - 1, 0)
        threshold = float(curve["thresholds"][where])
        return threshold, rates_at_threshold(*films_of_curve(curve, scores.n_pos, scores.n_neg), threshold)
    tp, fp = scores.counts.tp, scores.counts.fp
    n_pos, n_neg = scores.n_pos, scores.n_neg
    cells = [tp, fp, n_pos - tp, n_neg - fp]
    found = rates_of(np.repeat([1.0, 0.0, 1.0, 0.0], cells), np.repeat([True, True, False, False], cells))
    methods = scores.interval_methods or {}
    reported = {
        name: replace(getattr(found, name), low=low, high=high, method=methods.get(name, "as reported"))
        for name, (low, high) in (scores.intervals or {}).items()
    }
    found = replace(found, **reported)
    return threshold, found


def slider_end(source: Source, finding: str) -> float:
    """The end of a slider over thresholds: a round number above every probability."""
    if source.predictions is not None:
        most = float(source.predictions.probabilities[:, source.labels.index(finding)].max())
    else:
        roc = source.curves["findings"][finding]["roc"]
        most = float(roc["thresholds"][0]) if roc else 1.0
    return min(1.0, (math.floor(20 * most) + 1) / 20)


def decisions(source: Source) -> tuple[np.ndarray, np.ndarray, dict[str, float]] | None:
    """Targets (M, C), calls (M, C) at every finding's threshold, and those thresholds; None where there are none.

    The source's own thresholds, else Youden's on the tuning films.
    """
    films = source.predictions
    if films is None or (source.multiclass and not source.labels.binary):
        return None

    def find() -> tuple[np.ndarray, np.ndarray, dict[str, float]] | None:
        own = all(source.scores[name].threshold is not None for name in source.labels)
        chosen = None if own else tuning(source)
        if not own and chosen is None:
            return None
        cuts = {name: threshold_of(source, name, OWN if own else "youden")[0] for name in source.labels}
        limits = np.array([np.inf if cut is None else cut for cut in cuts.values()])
        mask = np.ones(len(films), bool) if chosen is None else chosen.scored
        calls = films.probabilities[mask] >= limits
        return films.targets[mask], calls, {name: cut for name, cut in cuts.items() if cut is not None}

    return source.once("decisions", find)


def chosen_by(rule: str | None, fitted_on: str | None) -> str:
    """How thresholds were chosen, in words."""
    if fitted_on == GIVEN:
        return "Given to the evaluation; on which films they were chosen is not known"
    names = {"youden": "Youden's index", "best_f1": "the best F1", "val": "validation films"}
    by, on = (names.get(str(word), word) for word in (rule, fitted_on))
    return f"Chosen by {by} on {on}, not on the films scored here"
