"""One model's results on one set of films: the record that every page reads.

Nothing here loads a network. A source on disk is opened once and shared by all visitors; an uploaded one lives in its
visitor's session.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from cxrcore.bundle.config import BundleConfig
from cxrcore.datasets.boxes import Box
from cxrcore.evaluation.record import FindingMetrics, Metrics
from cxrcore.findings import Kind, LabelSet
from cxrcore.metrics.operating_points import OperatingPoints, disease_of
from cxrcore.metrics.triage import Triage
from cxrcore.predictions.record import Predictions
from cxrcore.serving.notices import Notices
from dashboard.state import UPLOAD

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Source:
    """One model's results on one set of films; every number drawn is in here or computed from ``predictions``."""

    reference: str  # in a link: an embedded name, a path, user/repo@commit, ``upload``
    name: str  # for a reader
    evaluation: str  # dataset-split, or a split of a table
    labels: LabelSet
    metrics: Metrics
    load_curves: Callable[[], dict[str, Any]]  # the content of curves.json, computed when a page asks for it
    predictions: Predictions | None = None  # of these films only; None where no table ships
    config: BundleConfig | None = None  # of a single network's bundle
    points: OperatingPoints | None = None  # thresholds that its metrics were reported at
    triage: Triage | None = None  # the bundle's limits of three answers
    validation: Predictions | None = None  # films on which other thresholds may be chosen
    boxes: tuple[Box, ...] = ()  # of findings, where the evaluation holds some
    audit: dict[str, Any] | None = None  # the content of audit.json, where the evaluation has one
    robustness: dict[str, Any] | None = None  # that of robustness.json, where changed films were scored
    folder: Path | None = None  # the bundle's
    origin: str = ""  # user/repo@commit of a model on the Hub, 12 digits of the commit
    notices: Notices | None = None  # warnings that belong to the model; None of a table
    notes: tuple[str, ...] = ()  # what reading a table left out or assumed
    patients: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # (N,) numbered
    memo: dict[Hashable, Any] = field(default_factory=dict, repr=False)  # see ``once``

    @property
    def curves(self) -> dict[str, Any]:
        """ROC, precision-recall, reliability and decision curve of every finding: the content of curves.json."""
        return self.load_curves()

    @property
    def dataset(self) -> str:
        """Name of the dataset, empty where it is not known."""
        return self.metrics.dataset or ""

    @property
    def split(self) -> str:
        """Name of the split, empty where it is not known."""
        return self.metrics.split or ""

    @property
    def uploaded(self) -> bool:
        """Whether it belongs to one visitor, so that nothing made of it may be shared."""
        return self.reference == UPLOAD

    @property
    def multiclass(self) -> bool:
        """Whether its findings exclude one another."""
        return self.labels.kind is Kind.MULTICLASS

    @property
    def main_finding(self) -> str:
        """The finding to show first: of two classes the disease, else the first disease."""
        return disease_of(self.labels) or (self.labels.abnormal or self.labels.names)[0]

    @property
    def scores(self) -> dict[str, FindingMetrics]:
        """Scores by finding, in the order of the metrics."""
        return self.metrics.findings

    def arrays(self, finding: str) -> tuple[np.ndarray, np.ndarray]:
        """Targets (0, 1, NaN) and probabilities of a finding, each (N,). Only where there is a table."""
        assert self.predictions is not None
        column = self.labels.index(finding)
        return self.predictions.targets[:, column], self.predictions.probabilities[:, column]

    def once(self, key: Hashable, compute: Callable[[], _T], most: int = 0) -> _T:
        """Compute something of this source once, and keep it as long as the source lives.

        ``most``: how many keys of the form (kind, ...) are kept of a kind; the oldest goes first. 0: all.
        """
        memo = self.memo
        if key in memo:
            value: _T = memo[key]
            return value
        made = compute()
        if most and isinstance(key, tuple):
            alike = [old for old in list(memo) if isinstance(old, tuple) and old[0] == key[0]]
            for old in alike[: max(len(alike) + 1 - most, 0)]:
                memo.pop(old, None)
        memo[key] = made
        return made
