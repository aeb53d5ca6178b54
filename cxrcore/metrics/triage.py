"""Three answers per finding: ruled in, ruled out or unsure, with a guarantee from validation patients.

With a risk of 5 % and a confidence of 90 %: of patients with the finding at most 5 % have a film ruled out, and of
patients without it at most 5 % have one ruled in, unless the validation patients were a draw as lucky as one in ten.
It holds for patients like those of validation, whatever the model and its calibration.

These are distribution-free tolerance limits (Wilks 1941, doi:10.1214/aoms/1177731788): a limit at an order statistic
of the validation patients' scores, which one controls by the binomial tail. It is what learn-then-test (Angelopoulos
2021, arXiv:2110.01052) gives for a loss of 0 or 1 and a score that is cut once. A patient counts once, by the film that
is most easily answered wrongly, since films of one patient are no independent draws.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from cxrcore.errors import InvalidPredictions
from cxrcore.metrics.arrays import known
from cxrcore.metrics.intervals import Estimate, wilson

MOST_RISK = 0.2
RISK, CONFIDENCE = 0.05, 0.9


@dataclass(frozen=True)
class Measured:
    """How three answers did on films of one finding."""

    ruled_in: float | None  # shares of the films; None without films
    ruled_out: float | None
    unsure: float | None
    missed: Estimate  # of the patients with the finding, the share with a film ruled out
    false_alarms: Estimate  # of the patients without it on some film, the share with such a film ruled in


class Answer(StrEnum):
    """What is said of a finding on a film."""

    RULE_IN = "rule_in"
    RULE_OUT = "rule_out"
    UNSURE = "unsure"


@dataclass(frozen=True, eq=False)
class Side:
    """The patients of one finding, with it or without it, that bound one wrong answer."""

    patients: int
    extremes: np.ndarray  # their most misleading probabilities, float64, most misleading first; a fifth of them

    def limit(self, risk: float, confidence: float) -> float | None:
        """The probability beyond which an answer is wrong for at most ``risk`` of patients; None with too few."""
        allowed = wrong_patients(self.patients, risk, confidence)
        return None if allowed < 0 else float(self.extremes[allowed])

    def to_dict(self) -> dict[str, Any]:
        """As stored in a bundle."""
        return {"patients": self.patients, "extremes": self.extremes.tolist()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Side:
        """Read what ``to_dict`` wrote. Raises KeyError, TypeError or ValueError on anything else."""
        side = cls(int(data["patients"]), np.asarray(data["extremes"], np.float64))
        if side.extremes.shape != (_kept(side.patients),):
            raise ValueError(f"{side.patients} patients need {_kept(side.patients)} extremes")
        return side


@dataclass(frozen=True)
class Limits:
    """Where the answers of each finding change: below ``out`` ruled out, above ``into`` ruled in."""

    out: dict[str, float | None]  # probabilities; None: this answer is never given
    into: dict[str, float | None]
    why: dict[str, str] = field(default_factory=dict)  # finding -> why an answer is never given

    def answers(self, probabilities: Mapping[str, float]) -> dict[str, Answer]:
        """The answer to each finding of a film."""
        return {name: self._answer(name, probabilities[name]) for name in self.out}

    def of_films(self, name: str, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which films (N,) the finding is ruled out on, and which it is ruled in on, both bool (N,)."""
        out, into = self.out[name], self.into[name]
        never = np.zeros(len(probabilities), dtype=bool)
        return never if out is None else probabilities < out, never if into is None else probabilities > into

    def measure(self, name: str, targets: np.ndarray, probabilities: np.ndarray, patients: np.ndarray) -> Measured:
        """The answers on films that chose no limit; ``targets`` (0, 1, NaN), probabilities and patients (N,).

        ``missed`` and ``false_alarms`` are shares of patients, with Wilson's interval.
        """
        positive, scores, groups = known(targets, probabilities, np.asarray(patients))
        assert groups is not None
        out, into = self.of_films(name, scores)
        ruled_in, ruled_out, unsure = (
            float(flags.mean()) if len(flags) else None for flags in (into, out, ~(into | out))
        )
        wrong = _of_patients(out, positive, groups), _of_patients(into, ~positive, groups)
        return Measured(ruled_in, ruled_out, unsure, *wrong)

    def _answer(self, name: str, probability: float) -> Answer:
        out, into = self.out[name], self.into[name]
        if out is not None and probability < out:
            return Answer.RULE_OUT
        return Answer.RULE_IN if into is not None and probability > into else Answer.UNSURE


@dataclass(frozen=True)
class Triage:
    """What the limits of every finding are read from, for any risk up to 20 %; it is stored in the bundle."""

    present: dict[str, Side]  # finding -> patients with it, lowest probabilities first
    absent: dict[str, Side]  # patients without it, highest first

    def limits(self, risk: float = RISK, confidence: float = CONFIDENCE) -> Limits:
        """The limits for a risk in (0, 0.2] of either wrong answer. Raises InvalidPredictions for another.

        Where a film could be answered both ways within the risk, the cut lies midway and no film is unsure.
        """
        if not 0 < risk <= MOST_RISK or not 0.5 <= confidence < 1:
            raise InvalidPredictions(
                f"a risk lies above 0 and at or below {MOST_RISK:g}, and a confidence from 0.5 to below 1; "
                f"got {risk:g} and {confidence:g}"
            )
        out = {name: side.limit(risk, confidence) for name, side in self.present.items()}
        into = {name: side.limit(risk, confidence) for name, side in self.absent.items()}
        for name, low in out.items():
            high = into[name]
            if low is not None and high is not None and high < low:
                out[name] = into[name] = (low + high) / 2
        least = math.ceil(math.log(1 - confidence) / math.log(1 - risk))
        why = {name: self._why(name, out[name], into[name], least) for name in out}
        return Limits(out, into, {name: reason for name, reason in why.items() if reason})

    def _why(self, name: str, out: float | None, into: float | None, least: int) -> str:
        few = [
            f"never {answer}: {side.patients} validation patients {have} it, and this promise needs {least}"
            for limit, side, answer, have in (
                (out, self.present[name], "ruled out", "have"),
                (into, self.absent[name], "ruled in", "are without"),
            )
            if limit is None
        ]
        return "; ".join(few)

    def to_dict(self) -> dict[str, Any]:
        """As stored in a bundle's config.json."""
        return {
            name: {"present": self.present[name].to_dict(), "absent": self.absent[name].to_dict()}
            for name in self.present
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Triage:
        """Read what ``to_dict`` wrote. Raises KeyError, TypeError or ValueError on anything else."""
        return cls(*({name: Side.from_dict(row[side]) for name, row in data.items()} for side in ("present", "absent")))


def fit_triage(
    findings: Sequence[str], targets: np.ndarray, probabilities: np.ndarray, patients: Sequence[str] | np.ndarray
) -> Triage:
    """From validation films: ``targets`` (0, 1, NaN) and ``probabilities``, both (N, C), and their patients (N,)."""
    sides: tuple[dict[str, Side], dict[str, Side]] = ({}, {})
    for column, name in enumerate(findings):
        positive, scores, groups = known(targets[:, column], probabilities[:, column], np.asarray(patients))
        assert groups is not None
        for side, chosen, sign in zip(sides, (positive, ~positive), (1, -1), strict=True):
            side[name] = _side(sign * scores[chosen], groups[chosen], sign)
    return Triage(*sides)


def _of_patients(flags: np.ndarray, chosen: np.ndarray, groups: np.ndarray) -> Estimate:
    """Of the patients with a chosen film, the share that has a flagged one among them."""
    among, flagged = len(np.unique(groups[chosen])), len(np.unique(groups[chosen & flags]))
    return wilson(flagged, among, empty="no patient has such a film")


def _side(scores: np.ndarray, groups: np.ndarray, sign: int) -> Side:
    """The patients whose lowest score (times ``sign``) misleads most."""
    names, codes = np.unique(groups, return_inverse=True)
    lowest = np.full(len(names), np.inf)
    np.minimum.at(lowest, codes.reshape(-1), scores)
    return Side(len(names), sign * np.sort(lowest)[: _kept(len(names))])


def _kept(patients: int) -> int:
    return int(np.ceil(MOST_RISK * patients))


def wrong_patients(patients: int, risk: float, confidence: float) -> int:
    """How many of these validation patients may be answered wrongly; -1 where they are too few for the promise.

    The most for which that few or fewer would be seen with a chance of at most ``1 - confidence`` if the risk were
    larger than promised.

    >>> wrong_patients(44, 0.05, 0.9), wrong_patients(45, 0.05, 0.9), wrong_patients(200, 0.05, 0.9)
    (-1, 0, 5)
    """
    from scipy.special import bdtr

    chances = bdtr(np.arange(patients + 1.0), patients, risk)
    return int(np.searchsorted(chances, 1 - confidence, side="right")) - 1
