"""Operating points: decision thresholds, chosen on validation films only, and the decisions they give.

A film is positive for a finding when its probability is at or above the threshold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cxrcore.errors import InvalidPredictions, LabelMismatch
from cxrcore.findings import Kind, LabelSet
from cxrcore.metrics.arrays import known, tied_runs

GIVEN = "given"  # it is not known which films chose them
WINNER = "the most probable class is the decision, so there is no threshold"


@dataclass(frozen=True, eq=False)
class OperatingPoints:
    """One decision threshold per finding and the films that chose them; raises ValueError for a test split."""

    findings: tuple[str, ...]  # column order of the classifier head, length C
    thresholds: np.ndarray  # probabilities in [0, 1], float32, shape (C,); NaN where none could be chosen
    fitted_on: str  # "val", or "given" where it is not known
    rule: str = "youden"  # as given to ``fit_operating_points``
    why: dict[str, str] = field(default_factory=dict)  # finding -> reason for a NaN

    def __post_init__(self) -> None:
        object.__setattr__(self, "thresholds", np.asarray(self.thresholds, dtype=np.float32))
        expected = (len(self.findings),)
        if self.thresholds.shape != expected:
            raise ValueError(f"expected one threshold per finding, shape {expected}, got {self.thresholds.shape}")
        if self.fitted_on not in ("val", GIVEN):
            raise ValueError(f"thresholds fitted on {self.fitted_on!r} would flatter its scores; fit them on 'val'")
        if not np.all(np.isnan(self.thresholds) | ((self.thresholds >= 0) & (self.thresholds <= 1))):
            raise ValueError(f"thresholds are probabilities in [0, 1], got {self.thresholds.tolist()}")

    def to_dict(self) -> dict[str, Any]:
        """As stored in a bundle's config.json; null where no threshold could be chosen, with a why."""
        missing = np.isnan(self.thresholds)
        return {
            "rule": self.rule,
            "fitted_on": self.fitted_on,
            "thresholds": {
                name: None if absent else float(threshold)
                for name, threshold, absent in zip(self.findings, self.thresholds, missing, strict=True)
            },
            "why": {
                name: self.why.get(name, "not chosen")
                for name, absent in zip(self.findings, missing, strict=True)
                if absent
            },
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> OperatingPoints:
        """Read what ``to_dict`` wrote. Raises KeyError, TypeError or ValueError on anything else."""
        thresholds = dict(data["thresholds"])
        values = np.array([np.nan if value is None else float(value) for value in thresholds.values()], np.float32)
        return cls(tuple(thresholds), values, data["fitted_on"], data["rule"], dict(data.get("why", {})))


def fit_operating_points(
    labels: LabelSet, targets: np.ndarray, probabilities: np.ndarray, rule: str = "youden", fitted_on: str = "val"
) -> OperatingPoints | None:
    """One threshold per finding by a rule; None for three or more exclusive classes, where the most probable wins.

    ``targets`` (0, 1, NaN) and ``probabilities`` (calibrated) have shape (N, C) and come from validation films.
    ``rule``: ``youden``, ``best_f1``, ``sensitivity=.95``, ``specificity=.9`` or ``cost=5`` (see ``threshold_by``).
    Of two exclusive classes the disease gets the threshold t and the other class its complement 1 - t.
    Raises LabelMismatch when columns and findings differ in number, InvalidPredictions for an unknown rule.
    """
    targets, probabilities = np.asarray(targets), np.asarray(probabilities)
    if targets.ndim != 2 or targets.shape != probabilities.shape or targets.shape[1] != len(labels):
        raise LabelMismatch(
            f"expected a column for each of {len(labels)} findings, got targets {targets.shape} "
            f"and probabilities {probabilities.shape}"
        )
    if labels.kind is Kind.MULTICLASS and not labels.binary:
        return None
    disease = disease_of(labels)
    chosen = np.full(len(labels), np.nan, dtype=np.float32)
    why = {}
    for column, name in enumerate(labels):
        if disease is not None and name != disease:
            continue
        threshold, reason = threshold_by(rule, targets[:, column], probabilities[:, column])
        if threshold is None:
            why[name] = reason
        else:
            chosen[column] = threshold
    if disease is not None:
        column = labels.index(disease)
        chosen[1 - column] = 1 - chosen[column]
        why |= {name: why[disease] for name in labels if disease in why}
    return OperatingPoints(labels.names, chosen, fitted_on, rule, why)


def threshold_by(rule: str, targets: np.ndarray, probabilities: np.ndarray) -> tuple[float | None, str]:
    """The threshold of one finding by a rule, or None and why; ``targets`` and ``probabilities`` have shape (N,).

    ``youden``: greatest sensitivity + specificity. ``best_f1``: greatest F1. ``sensitivity=S`` / ``specificity=S``: the
    best of the other rate while this one is at least S. ``cost=R``: least total cost when a missed film costs R times
    a false alarm. Ties go to the better other rate, else to the higher sensitivity. The threshold lies midway between
    two probabilities that occur, so that rounding moves no film across it.
    Raises InvalidPredictions for an unknown rule.
    """
    name, value = parse_rule(rule)
    positive, scores, _ = known(targets, probabilities)
    if positive.all() or not positive.any():
        missing = "with" if not positive.any() else "without"
        return None, f"no validation film {missing} the finding, so no threshold could be chosen"
    runs = tied_runs(positive, scores.astype(np.float32), descending=True)
    true = np.concatenate(([0.0], np.cumsum(runs.positives)))
    false = np.concatenate(([0.0], np.cumsum(runs.negatives)))
    n_pos, n_neg = true[-1], false[-1]
    if name == "youden":
        gain = true / n_pos - false / n_neg
    elif name == "best_f1":
        gain = 2 * true / (true + false + n_pos)
    elif name == "sensitivity":
        gain = np.where(true >= at_least(value, n_pos), -false, -np.inf)
    elif name == "specificity":
        gain = np.where(n_neg - false >= at_least(value, n_neg), true, -np.inf)
    else:
        gain = -(value * (n_pos - true) + false)
    cuts = _cuts(runs.scores)
    if np.isnan(cuts[0]):  # a probability of 1 cannot be called negative
        gain[0] = -np.inf
    best = int(np.argmax(gain)) if name == "specificity" else len(gain) - 1 - int(np.argmax(gain[::-1]))
    if gain[best] == -np.inf:
        return None, f"no threshold up to 1 reaches {rule} on validation"
    return float(cuts[best]), ""


def tuning_films(patients: np.ndarray, fraction: float, seed: int = 0) -> np.ndarray:
    """The films of a random ``fraction`` of the patients, bool (N,), to choose thresholds on; the rest is scored.

    Patients are drawn in the order of their ids, so that the order of the table does not matter. Raises
    InvalidPredictions when the fraction is not between 0 and 1, or leaves either side without a patient.
    """
    if not 0 < fraction < 1:
        raise InvalidPredictions(f"a tuning fraction lies between 0 and 1, got {fraction:g}; 0.2 is usual")
    names, codes = np.unique(np.asarray(patients).astype(str), return_inverse=True)
    wanted = round(fraction * len(names))
    if not 0 < wanted < len(names):
        raise InvalidPredictions(
            f"{fraction:g} of {len(names)} patient(s) leaves nobody to tune on or nobody to score; give more films"
        )
    drawn = np.zeros(len(names), dtype=bool)
    drawn[np.random.default_rng(seed).permutation(len(names))[:wanted]] = True
    return drawn[codes.reshape(-1)]


def decide(
    labels: LabelSet, probabilities: np.ndarray, points: OperatingPoints | None
) -> tuple[np.ndarray, dict[str, str]]:
    """Decisions, bool (N, C), and the reason for each finding that has none (all False).

    Two exclusive classes: the disease's threshold t decides, and the other class is positive exactly when the disease
    is not (its probability above 1 - t). Three or more: the winner. Raises LabelMismatch when the points are for other
    findings.
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    if points is not None and tuple(points.findings) != labels.names:
        raise LabelMismatch("these operating points are not for these findings, in their order")
    if labels.kind is Kind.MULTICLASS and not labels.binary:
        return np.arange(len(labels)) == probabilities.argmax(axis=1)[:, None], {}
    if points is None:
        return np.zeros(probabilities.shape, dtype=bool), dict.fromkeys(labels, "no operating point was fitted")
    thresholds = points.thresholds.astype(np.float64)
    undecided = {
        name: points.why.get(name, "no operating point") for name in labels if np.isnan(thresholds[labels.index(name)])
    }
    positive = probabilities >= thresholds
    disease = disease_of(labels)
    if disease is not None and not undecided:
        column = labels.index(disease)
        positive[:, 1 - column] = ~positive[:, column]
    return positive, undecided


def disease_of(labels: LabelSet) -> str | None:
    """Of two exclusive classes the one that has the threshold: the only disease, else the second class."""
    if not labels.binary:
        return None
    return labels.abnormal[0] if len(labels.abnormal) == 1 else labels.names[1]


def at_least(share: float, total: float) -> int:
    """Smallest count that is this share of a total, allowing for rounding.

    >>> at_least(388 / 390, 390)
    388
    """
    return math.ceil(share * total - 1e-9 * max(total, 1))


def _cuts(scores: np.ndarray) -> np.ndarray:
    """The threshold that keeps the first k of the falling distinct scores (R,), for k = 0..R; float32 (R + 1,).

    The first is NaN where the highest score is 1: no threshold up to 1 lies above it.
    """
    scores = scores.astype(np.float32)
    above = np.concatenate(([np.float32(1)], scores[:-1])).astype(np.float64)
    middle = ((above + scores) / 2).astype(np.float32)
    middle = np.where(middle > scores, middle, above.astype(np.float32))  # neighbours in float32 have no middle
    first = middle[0] if scores[0] < 1 else np.float32(np.nan)
    return np.concatenate(([first], middle[1:], scores[-1:])).astype(np.float32)


def parse_rule(rule: str) -> tuple[str, float]:
    """A rule's name and number, e.g. ``("cost", 5.0)``. Raises InvalidPredictions for an unknown rule."""
    name, _, text = rule.partition("=")
    if name in ("youden", "best_f1") and not text:
        return name, 0.0
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if (name in ("sensitivity", "specificity") and 0 < value <= 1) or (name == "cost" and 0 < value < math.inf):
        return name, value
    raise InvalidPredictions(
        f"no rule {rule!r}; choose youden, best_f1, sensitivity=S or specificity=S (S in (0, 1]), or cost=R (R > 0)"
    )
