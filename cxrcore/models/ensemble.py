"""Several models behind one: the mean of their calibrated probabilities, and of their heatmaps.

Members have the same findings in the same order. Architecture and preprocessing may differ, so each member prepares a
film in its own way. Averaging calibrated members lowers the variance of predictions (Lakshminarayanan 2017,
arXiv:1612.01474) and takes the time of all members. The mean of calibrated probabilities is too unsure by itself, so it
is calibrated once more where that could be fitted (Rahaman and Thiery 2021, arXiv:2007.08792).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cxrcore.bundle.calibrators import Identity, from_probabilities, to_probabilities
from cxrcore.bundle.config import EnsembleConfig
from cxrcore.bundle.folder import model_id, read_metrics
from cxrcore.bundle.reference import origin
from cxrcore.errors import InvalidBundle
from cxrcore.explain.heatmap import Heatmap
from cxrcore.explain.resampling import mean_heatmap
from cxrcore.films.preprocessing import Preprocessing
from cxrcore.films.radiograph import Radiograph
from cxrcore.findings import label_difference
from cxrcore.gate.reasons import Verdict, joined
from cxrcore.models.base import Analysis, Model

if TYPE_CHECKING:
    from cxrcore.models.classifier import Classifier


class Ensemble(Model):
    """Several classifiers behind one. Raises InvalidBundle where a member's findings differ from the config's."""

    def __init__(self, members: Sequence[Classifier], config: EnsembleConfig, folder: Path | None = None) -> None:
        for member in members:
            if difference := label_difference(config.labels, member.labels):
                raise InvalidBundle(f"member {member.name!r} does not fit ensemble {config.name!r}: {difference}")
        self.members = tuple(members)
        self.config = config
        self.folder = folder
        self.name = config.name
        self.labels = config.labels
        self.operating_points = config.operating_points
        self.triage = config.triage
        self.passes = sum(member.passes for member in members)

    @cached_property
    def id(self) -> str:
        """Name and digest of the members' weights."""
        return model_id(self.name, self.folder)

    @cached_property
    def info(self) -> dict[str, Any]:
        """As of a single model, with each member's own in ``members``."""
        members = [member.info for member in self.members]
        return {
            "name": self.name,
            "id": self.id,
            "hub": origin(self.folder),
            "architecture": " + ".join(info["architecture"] for info in members),
            "labels": self.labels.to_dict(),
            "input_size": None,  # each member has its own
            "test_time_augmentation": None,
            "members": members,
            "provenance": self.config.provenance,
            "metrics": read_metrics(self.folder) if self.folder else [],
        }

    @property
    def frames(self) -> tuple[Preprocessing, ...]:
        """How each member prepares a film."""
        return tuple(member.preprocessing for member in self.members)

    def prepare(self, film: Radiograph) -> tuple[np.ndarray, ...]:
        """The film at each member's size, float32 (h, w) in [0, 1]."""
        return tuple(member.prepare(film) for member in self.members)

    def score(self, prepared: Sequence[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, np.ndarray]:
        """The members' mean logits and mean calibrated probabilities, both (N, C)."""
        films = zip(*prepared, strict=True)
        return self.combine([member.score(own)[0] for member, own in zip(self.members, films, strict=True)])

    def score_and_judge(
        self, prepared: Sequence[tuple[np.ndarray, ...]], told: Sequence[set[str]]
    ) -> tuple[np.ndarray, np.ndarray, list[Verdict]]:
        """``score``, and what the members' gates say together of each film."""
        films = zip(*prepared, strict=True)
        answers = [member.score_and_judge(own, told) for member, own in zip(self.members, films, strict=True)]
        verdicts = [joined(film) for film in zip(*(verdicts for _, _, verdicts in answers), strict=True)]
        return *self.combine([logits for logits, _, _ in answers]), verdicts

    def combine(self, logits: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The members' mean logits, and the mean of their probabilities, calibrated; both (N, C)."""
        shares = [member.probabilities(own) for member, own in zip(self.members, logits, strict=True)]
        mean, kind = np.mean(shares, axis=0), self.labels.kind
        if not isinstance(self.config.calibration, Identity):
            mean = to_probabilities(self.config.calibration.apply(from_probabilities(mean, kind)), kind)
        return np.mean(logits, axis=0), mean

    def explain_all(
        self, film: Radiograph, method: str = "gradcam", findings: Sequence[str] | None = None
    ) -> dict[str, Heatmap]:
        """The members' mean map of every finding (or those asked for), by one method."""
        return self._average([member.explain_all(film, method, findings) for member in self.members], film)

    def analyse(self, film: Radiograph) -> Analysis:
        """The members' mean probabilities and maps, from one pass through each where its head allows it."""
        answers = [member.analyse(film) for member in self.members]
        logits = [np.array([list(answer.prediction.logits.values())]) for answer in answers]
        verdict = joined([answer.prediction.gate for answer in answers])
        prediction = self.predictions(*self.combine(logits), [film.warnings], [verdict])[0]
        return Analysis(prediction, self._average([answer.heatmaps for answer in answers], film))

    def _average(self, maps: Sequence[dict[str, Heatmap]], film: Radiograph) -> dict[str, Heatmap]:
        means = {finding: mean_heatmap([member[finding] for member in maps], film) for finding in maps[0]}
        levels = self.config.evidence_levels
        return {
            finding: replace(heat, evidence_level=levels.get(finding)) if heat.scale else heat
            for finding, heat in means.items()
        }
