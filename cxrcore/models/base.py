"""The interface of every opened model, one network or several: predictions for a film, and heatmaps of its findings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cxrcore.explain.heatmap import Heatmap
from cxrcore.films.preprocessing import Preprocessing
from cxrcore.films.quality import INVERTED_WARNING
from cxrcore.films.radiograph import Radiograph
from cxrcore.findings import Kind, LabelSet
from cxrcore.gate.reasons import Verdict, reasons_of
from cxrcore.metrics.operating_points import OperatingPoints, decide
from cxrcore.metrics.triage import Answer, Limits, Triage


@dataclass(frozen=True)
class Prediction:
    """One film's prediction: a calibrated probability per finding, and which are above their operating point."""

    probabilities: dict[str, float]  # in [0, 1], label order; multiclass: they sum to 1
    positive: dict[str, bool | None]  # None: this bundle has no operating point for the finding
    thresholds: dict[str, float | None]  # the operating points, probabilities; None: the winner decides, or none fitted
    triage: dict[str, Answer] | None  # by the model's usual limits; None: this bundle has none
    triage_why: dict[str, str]  # finding -> why one of the answers is never given
    logits: dict[str, float]  # uncalibrated; an ensemble's are its members' mean
    warnings: tuple[str, ...]  # about the film, plain sentences
    gate: Verdict  # whether the film is one that this model can read
    model: str  # name@digest of the weights
    intervals: dict[str, tuple[float, float]] | None = None  # how far it moves (``models.shaking.spread``), if asked

    def to_dict(self) -> dict[str, Any]:
        """For JSON: plain types, no NaN."""
        return {
            "probabilities": self.probabilities,
            "positive": self.positive,
            "thresholds": self.thresholds,
            "triage": None if self.triage is None else {name: str(answer) for name, answer in self.triage.items()},
            "triage_why": self.triage_why,
            "intervals": None if self.intervals is None else {n: list(ends) for n, ends in self.intervals.items()},
            "logits": self.logits,
            "warnings": list(self.warnings),
            "gate": self.gate.to_dict(),
            "model": self.model,
        }


@dataclass(frozen=True)
class Analysis:
    """A prediction and every finding's map, from the same single forward pass."""

    prediction: Prediction
    heatmaps: dict[str, Heatmap]


class Model(ABC):
    """What ``cxrcore.load`` returns, whether the folder holds one network or several."""

    folder: Path | None
    name: str
    labels: LabelSet
    operating_points: OperatingPoints | None
    triage: Triage | None
    network: Any  # of one network alone: the timm module in float32, eval mode
    passes: int  # forward passes a film takes

    @property
    @abstractmethod
    def id(self) -> str:
        """Name and digest of the weights, which identify the model."""

    @property
    @abstractmethod
    def info(self) -> dict[str, Any]:
        """The bundle's provenance, label set, architecture, and every evaluation in it."""

    @property
    @abstractmethod
    def frames(self) -> tuple[Preprocessing, ...]:
        """How each network behind the model prepares a film, in the order of ``prepare``."""

    @abstractmethod
    def prepare(self, film: Radiograph) -> Any:
        """The film at the size of the network or networks: an input of ``score``, small enough to keep."""

    @abstractmethod
    def score(self, prepared: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
        """Logits and calibrated probabilities, both (N, C), of films already prepared."""

    @abstractmethod
    def score_and_judge(
        self, prepared: Sequence[Any], told: Sequence[set[str]]
    ) -> tuple[np.ndarray, np.ndarray, list[Verdict]]:
        """``score``, and what the gate says of each film from the same forward pass.

        told: what each file alone tells (``gate.reasons_of``).
        """

    @abstractmethod
    def combine(self, logits: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Logits and calibrated probabilities, both (N, C), from the logits (N, C) of each network behind the model."""

    @abstractmethod
    def explain_all(
        self, film: Radiograph, method: str = "gradcam", findings: Sequence[str] | None = None
    ) -> dict[str, Heatmap]:
        """Finding to heatmap, all or the given findings, by one method. Raises CxrError for an unknown method."""

    @abstractmethod
    def analyse(self, film: Radiograph) -> Analysis:
        """Prediction and every finding's Grad-CAM, from the fewest forward passes possible."""

    @cached_property
    def thresholds(self) -> dict[str, float | None]:
        """Operating points as probabilities, in label order; None where the winner decides or none was fitted."""
        points = self.operating_points
        if points is None:
            return dict.fromkeys(self.labels)
        return {
            name: float(t) if np.isfinite(t) else None for name, t in zip(self.labels, points.thresholds, strict=True)
        }

    @cached_property
    def limits(self) -> Limits | None:
        """Where the three answers change, for a risk of 5 % at a confidence of 90 %; None where never fitted."""
        return None if self.triage is None else self.triage.limits()

    def targets(self, logits: np.ndarray) -> np.ndarray:
        """What the maps explain, (N, C), of logits (N, C): multiclass, a logit less the mean of the others."""
        if self.labels.kind is Kind.MULTILABEL:
            return logits
        others = (logits.sum(axis=1, keepdims=True) - logits) / (logits.shape[1] - 1)
        contrasts: np.ndarray = logits - others
        return contrasts

    def predict(self, film: Radiograph) -> Prediction:
        """Probability and decision per finding for one film."""
        return self.predict_batch([film])[0]

    def predict_batch(self, films: Sequence[Radiograph]) -> list[Prediction]:
        """``predict`` for several films in one batch."""
        prepared = [self.prepare(film) for film in films]
        return self.predict_prepared(prepared, [film.warnings for film in films], list(map(reasons_of, films)))

    def predict_prepared(
        self, prepared: Sequence[Any], warnings: Sequence[tuple[str, ...]], told: Sequence[set[str]]
    ) -> list[Prediction]:
        """``predict`` for films already prepared (``prepare``), so that large originals need not be kept.

        told: ``gate.reasons_of`` each film.
        """
        logits, probabilities, verdicts = self.score_and_judge(prepared, told)
        return self.predictions(logits, probabilities, warnings, verdicts)

    def explain(self, film: Radiograph, finding: str, method: str = "gradcam") -> Heatmap:
        """One finding's map. Raises LabelMismatch for an unknown finding, CxrError for an unknown method."""
        self.labels.index(finding)
        return self.explain_all(film, method, [finding])[finding]

    def predictions(
        self,
        logits: np.ndarray,
        probabilities: np.ndarray,
        warnings: Sequence[tuple[str, ...]],
        verdicts: Sequence[Verdict],
    ) -> list[Prediction]:
        """One prediction a film from its rows of logits and probabilities, both float (N, C)."""
        decisions, undecided = decide(self.labels, probabilities, self.operating_points)
        names = list(self.labels)
        return [
            Prediction(
                probabilities=dict(zip(names, row.tolist(), strict=True)),
                positive={n: None if n in undecided else bool(v) for n, v in zip(names, decision, strict=True)},
                thresholds=self.thresholds,
                triage=self.limits.answers(dict(zip(names, row.tolist(), strict=True))) if self.limits else None,
                triage_why=self.limits.why if self.limits else {},
                logits=dict(zip(names, raw.tolist(), strict=True)),
                warnings=tuple(note for note in notes if verdict.accepted is None or note != INVERTED_WARNING),
                gate=verdict,
                model=self.id,
            )
            for row, decision, raw, notes, verdict in zip(
                probabilities, decisions, logits, warnings, verdicts, strict=True
            )
        ]
