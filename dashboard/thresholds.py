"""Decisions: the threshold that every page uses, which films may choose it, and the rates on the other films.

The reader chooses a rule, or a threshold by hand, on one page; ``decision`` is what all pages read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cxrcore.errors import InvalidPredictions
from cxrcore.evaluation.thresholds import films_of_curve
from cxrcore.metrics.intervals import Estimate, wilson
from cxrcore.metrics.operating_points import GIVEN, OperatingPoints, decide, parse_rule, threshold_by, tuning_films
from cxrcore.metrics.rates import Rates, rates_at_threshold, rates_of, rates_of_each, shares
from dashboard import state
from dashboard.sources.source import Source

OWN, BY_HAND, MOST_PROBABLE = "own", "by hand", "winner"
FITTED = ("youden", "best_f1", "sensitivity", "specificity", "cost")  # families of rules that films choose by
TUNE_FRACTION = 0.2  # of the patients of a table without validation films
_MOST_RATES, _MOST_TABLES = 64, 8  # decisions whose rates are kept with a source


@dataclass(frozen=True, eq=False)
class TuningFilms:
    """Films on which a rule chooses its threshold, and the films that are scored with it."""

    targets: np.ndarray  # (M, C)
    probabilities: np.ndarray  # (M, C)
    scored: np.ndarray  # bool (N,), of the source's films
    description: str


@dataclass(frozen=True)
class Decision:
    """How films are called positive for a finding."""

    rule: str  # as ``fit_operating_points`` spells it, or OWN, BY_HAND, MOST_PROBABLE
    threshold: float | None  # None: the most probable class decides
    why: str = ""  # the rule gave no threshold, and this one stands in


def families(source: Source, finding: str) -> list[str]:
    """Families of rules that these results allow, the one that is used first."""
    if winner_decides(source):
        return [MOST_PROBABLE, *(FITTED if tuning(source) is not None else ()), BY_HAND]
    own = [OWN] if source.scores[finding].threshold is not None else []
    return [*own, *(FITTED if tuning(source) is not None else ()), BY_HAND]


def winner_decides(source: Source) -> bool:
    """Whether the most probable class is the decision: of three or more exclusive classes."""
    return source.multiclass and not source.labels.binary


def decision(source: Source, finding: str) -> Decision:
    """The decision that the reader chose, else the results' own, else Youden's on films that are then not scored."""
    linked = state.read("threshold") if (state.read("finding") or source.main_finding) == finding else None
    return _decision(source, finding, linked, state.read("rule") or "")


def _decision(source: Source, finding: str, linked: str | None, chosen: str) -> Decision:
    possible = families(source, finding)
    rule = BY_HAND if linked and _number(linked) is not None else chosen
    if rule.partition("=")[0] not in possible or not _is_rule(rule):
        rule = possible[0]
    if rule == MOST_PROBABLE:
        return Decision(rule, None)
    top = slider_end(source, finding)
    if rule == BY_HAND:
        given = _number(linked or "")
        return Decision(rule, min(max(given, 0.0), top) if given is not None else min(0.5, top))
    threshold, why = threshold_of(source, finding, rule)
    return Decision(rule, min(0.5, top), why) if threshold is None else Decision(rule, threshold)


def _is_rule(rule: str) -> bool:
    if rule in (OWN, BY_HAND, MOST_PROBABLE):
        return True
    try:
        parse_rule(rule)
    except InvalidPredictions:
        return False
    return True


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def described(source: Source, made: Decision) -> str:
    """How a decision came about, as a sentence."""
    if made.rule == MOST_PROBABLE:
        return "The most probable class is the decision, so there is no threshold."
    if made.why:
        return f"No threshold: {made.why}."
    if made.rule == BY_HAND:
        return "The threshold was set by hand, so these films did not choose it unless they were looked at first."
    if made.rule == OWN:
        reported = source.metrics.operating_points or {}
        return f"{chosen_by(reported.get('rule'), reported.get('fitted_on'))}."
    films = tuning(source)
    return f"Chosen on {films.description}." if films is not None else ""


def scored_films(source: Source, rule: str) -> np.ndarray | None:
    """Films that did not choose the threshold, bool (N,); None for all of them."""
    if rule in (OWN, BY_HAND, MOST_PROBABLE) or (films := tuning(source)) is None or films.scored.all():
        return None
    return films.scored


def calls(source: Source, finding: str, made: Decision) -> np.ndarray:
    """Films called positive, bool (N,). Needs the table."""
    assert source.predictions is not None
    column = source.labels.index(finding)
    if made.threshold is None:
        return decide(source.labels, source.predictions.probabilities, None)[0][:, column]
    positive: np.ndarray = source.predictions.probabilities[:, column].astype(np.float64) >= made.threshold
    return positive


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


def rates(source: Source, finding: str, made: Decision) -> tuple[Decision, Rates]:
    """The rates of a decision on the films that did not choose its threshold.

    Without a table they are those of the next point on the stored curve, whose decision is returned.
    """
    if source.predictions is None:
        if made.threshold is None:
            return made, _stored_rates(source, finding)
        threshold, found = rates_on_curve(source, finding, made.threshold, made.rule)
        return replace(made, threshold=threshold), found
    return made, source.once(
        ("rates", finding, made.rule, made.threshold), lambda: _counted(source, [finding], [made])[0], most=_MOST_RATES
    )


def every_rate(source: Source) -> dict[str, tuple[Decision, Rates, Estimate]]:
    """By finding: its decision, the rates, and the share of films called positive, from one set of resamples."""
    names = list(source.scores)
    made = {name: decision(source, name) for name in names}
    if source.predictions is None:
        drawn = {name: rates(source, name, made[name]) for name in names if source.curves["findings"][name]["roc"]}
        return {name: (own, found, _alarms(found)) for name, (own, found) in drawn.items()}

    found: dict[str, tuple[Rates, Estimate]] = {}
    for rule in {one.rule for one in made.values()}:
        alike = [name for name in names if made[name].rule == rule]
        found |= zip(alike, _of_a_rule(source, alike, [made[name] for name in alike]), strict=True)
    return {name: (made[name], *found[name]) for name in names}


def _of_a_rule(source: Source, findings: list[str], made: list[Decision]) -> list[tuple[Rates, Estimate]]:
    """Rates and alarms of findings that share a rule; kept, so that a moved threshold counts its own finding only."""
    return source.once(
        ("every rate", *findings, *made),
        lambda: list(zip(_counted(source, findings, made), _alarms_of(source, findings, made), strict=True)),
        most=_MOST_TABLES,
    )


def _counted(source: Source, findings: Sequence[str], made: Sequence[Decision]) -> list[Rates]:
    """Rates of findings whose decisions share a rule, on the same resamples."""
    targets, positive, groups = _called(source, findings, made)
    return rates_of_each(targets, positive, groups=groups)


def _called(
    source: Source, findings: Sequence[str], made: Sequence[Decision]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets and calls, (M, K), and patients (M,), of the films that did not choose the thresholds."""
    assert source.predictions is not None
    columns = [source.labels.index(name) for name in findings]
    targets = source.predictions.targets[:, columns]
    positive = np.stack([calls(source, name, one) for name, one in zip(findings, made, strict=True)], axis=1)
    films = scored_films(source, made[0].rule)
    rows = slice(None) if films is None else films
    return targets[rows], positive[rows], source.patients[rows]


def _alarms_of(source: Source, findings: Sequence[str], made: Sequence[Decision]) -> list[Estimate]:
    targets, positive, groups = _called(source, findings, made)
    return shares(positive, ~np.isnan(targets), groups, empty="no film has a known label")


def _alarms(found: Rates) -> Estimate:
    """The share of films called positive, from counts alone."""
    return wilson(found.tp + found.fp, found.tp + found.fp + found.fn + found.tn, empty="no film has a known label")


def _stored_rates(source: Source, finding: str) -> Rates:
    """The rates that were reported for a decision without a threshold, with their intervals."""
    return rates_on_curve(source, finding, 0.5, OWN)[1]


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
    """Targets (M, C), calls (M, C) at every finding's threshold, and those thresholds; None where there are none."""
    if source.predictions is None or winner_decides(source):
        return None
    names = list(source.labels)
    made = [decision(source, name) for name in names]
    cuts = {name: one.threshold for name, one in zip(names, made, strict=True) if not one.why}
    if all(one.rule == BY_HAND for one in made):
        return None
    fitted = next((one for one in made if scored_films(source, one.rule) is not None), made[0])
    films = scored_films(source, fitted.rule)
    rows = slice(None) if films is None else films
    positive = np.stack([calls(source, name, one) for name, one in zip(names, made, strict=True)], axis=1)
    return (
        source.predictions.targets[rows],
        positive[rows],
        {name: cut for name, cut in cuts.items() if cut is not None},
    )


def points_of(source: Source, by_hand: bool = True) -> OperatingPoints | None:
    """The thresholds in use, of every finding; None where the most probable class decides, or none was chosen.

    ``by_hand``: whether a threshold that was set by hand counts, which is of the results in the sidebar.
    """
    names = source.labels.names
    if winner_decides(source):
        return None
    chosen = state.read("rule") or ""
    made = [decision(source, name) if by_hand else _decision(source, name, None, chosen) for name in names]
    own = source.points
    if own is not None and all(one.rule == OWN for one in made):
        return own
    linked = state.read("threshold") if by_hand else None
    cuts = [np.nan if one.why or (one.rule == BY_HAND and not linked) else one.threshold for one in made]
    why = {
        name: one.why or "no threshold was chosen"
        for name, one, cut in zip(names, made, cuts, strict=True)
        if cut != cut
    }
    if len(why) == len(names):
        return None
    rule = next((one.rule for one in made if one.rule != BY_HAND), BY_HAND)
    return OperatingPoints(names, np.array(cuts, np.float32), GIVEN, rule, why)


def chosen_by(rule: str | None, fitted_on: str | None) -> str:
    """How thresholds were chosen, in words."""
    if fitted_on == GIVEN:
        return "Given to the evaluation; on which films they were chosen is not known"
    names = {"youden": "Youden's index", "best_f1": "the best F1", "val": "validation films"}
    kind, _, least = str(rule).partition("=")
    if kind in ("sensitivity", "specificity") and least:
        names[str(rule)] = f"a {kind} of at least {float(least):g}"
    by, on = (names.get(str(word), word) for word in (rule, fitted_on))
    return f"Chosen by {by} on {on}, not on the films scored here"
