"""Make a model's numbers hold at another site: calibration, thresholds, limits and evidence levels from films of there.

The weights stay as they are, so no film is ranked otherwise within a finding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cxrcore.bundle.calibrators import (
    MIN_FILMS,
    Calibration,
    PlattScaling,
    fit_platt,
    fit_temperature,
    to_probabilities,
)
from cxrcore.bundle.config import BundleConfig
from cxrcore.errors import InvalidDataset
from cxrcore.explain.heatmap import evidence_levels
from cxrcore.findings import Kind, LabelSet
from cxrcore.metrics.arrays import known
from cxrcore.metrics.calibration import brier, ece
from cxrcore.metrics.discrimination import auroc
from cxrcore.metrics.operating_points import OperatingPoints, decide, fit_operating_points
from cxrcore.metrics.rates import rates_of
from cxrcore.metrics.recalibration import fit_recalibration
from cxrcore.metrics.triage import fit_triage

LEAST = 50  # labelled films that adapting needs
FOLDS = 5


@dataclass(frozen=True)
class Site:
    """N labelled films of a site and a model's answers to them."""

    patients: np.ndarray  # (N,) str
    targets: np.ndarray  # (N, C): 0, 1 or NaN
    logits: np.ndarray  # (N, C), uncalibrated
    strengths: np.ndarray | None = None  # (N, C), logits, of the maps; None where the model has none on that scale

    def where(self, rows: np.ndarray) -> Site:
        """Those that a mask chooses."""
        strengths = None if self.strengths is None else self.strengths[rows]
        return Site(self.patients[rows], self.targets[rows], self.logits[rows], strengths)


def adapt(config: BundleConfig, site: Site, seed: int = 0) -> tuple[BundleConfig, dict[str, Any]]:
    """The config with what the site's films determine, and a report of what that changes there.

    Platt scaling per finding, or a temperature with an offset a class (``calibrators``), then operating points by the
    model's own rule, limits of three answers, and evidence levels. A finding with under ten films with it, or without
    it, keeps what it had.
    The report has, for each finding, AUROC, Brier score, expected calibration error, calibration line, sensitivity and
    specificity before and after. After: each film with numbers fitted on other patients (five folds by patient), so it
    says what to expect of the next films. Raises InvalidDataset where there are too few films, or no finding has
    ten of each.
    """
    labels = config.labels
    if len(site.targets) < LEAST:
        raise InvalidDataset(f"{len(site.targets)} labelled films are here; adapting a model needs {LEAST}")
    adaptable = _adaptable(labels, site)
    if not adaptable:
        raise InvalidDataset(
            f"no finding has {MIN_FILMS} films with it and {MIN_FILMS} without, so nothing can be fitted"
        )
    if labels.kind is Kind.MULTICLASS and len(adaptable) < len(labels):
        missing = ", ".join(name for name in labels if name not in adaptable)
        raise InvalidDataset(f"each class needs {MIN_FILMS} films, and {missing} has fewer")
    adapted = _fitted(config, site)
    before = (_calibrated(config, site), _decided(config, site))
    report = {
        "films": len(site.targets),
        "patients": len(set(site.patients.tolist())),
        "folds": FOLDS,
        "adapted": adaptable,
        "kept": [name for name in labels if name not in adaptable],
        "findings": _compared(labels, site, before, _out_of_fold(config, site, seed)),
    }
    return adapted, report


def _adaptable(labels: LabelSet, site: Site) -> list[str]:
    """The findings with enough films of both kinds, whose logits rise with them."""
    counts = ((site.targets == 1).sum(axis=0), (site.targets == 0).sum(axis=0))
    falling = {} if labels.kind is Kind.MULTICLASS else fit_platt(site.targets, site.logits).why
    enough = [name for name, *films in zip(labels, *counts, strict=True) if min(films) >= MIN_FILMS]
    return [name for name in enough if labels.index(name) not in falling]


def _fitted(config: BundleConfig, site: Site) -> BundleConfig:
    """The config as the site's films have it; what they do not determine stays."""
    labels = config.labels
    calibration: Calibration
    if labels.kind is Kind.MULTICLASS:
        calibration = fit_temperature(site.targets, site.logits, offsets=True)
    else:
        calibration = _merged(config.calibration, fit_platt(site.targets, site.logits))
    probabilities = to_probabilities(calibration.apply(site.logits), labels.kind)
    old = config.operating_points
    points = fit_operating_points(labels, site.targets, probabilities, old.rule if old else "youden")
    triage = fit_triage(labels.names, site.targets, probabilities, site.patients)
    config = replace(config, calibration=calibration, operating_points=_kept_points(old, points), triage=triage)
    if site.strengths is None:
        return config
    levels = dict(zip(labels, evidence_levels(site.strengths, site.targets), strict=True))
    found = {name: level for name, level in levels.items() if level is not None}
    return replace(config, evidence_levels={**config.evidence_levels, **found})


def _merged(old: Calibration, new: PlattScaling) -> PlattScaling:
    """The new line, and the old one of each finding that the films are too few for."""
    if not isinstance(old, PlattScaling):
        return new
    few = np.isin(np.arange(len(new.slope)), list(new.why))
    why = {column: reason for column, reason in old.why.items() if few[column]}
    return PlattScaling(np.where(few, old.slope, new.slope), np.where(few, old.intercept, new.intercept), why)


def _kept_points(old: OperatingPoints | None, new: OperatingPoints | None) -> OperatingPoints | None:
    """The new thresholds, and the old one of each finding for which none could be chosen."""
    if old is None or new is None:
        return new
    thresholds = np.where(np.isnan(new.thresholds), old.thresholds, new.thresholds)
    why = {name: reason for name, reason in old.why.items() if np.isnan(thresholds[new.findings.index(name)])}
    return replace(new, thresholds=thresholds, why=why)


def _calibrated(config: BundleConfig, site: Site) -> np.ndarray:
    probabilities: np.ndarray = to_probabilities(config.calibration.apply(site.logits), config.labels.kind)
    return probabilities


def _decided(config: BundleConfig, site: Site) -> np.ndarray:
    return decide(config.labels, _calibrated(config, site), config.operating_points)[0]


def _out_of_fold(config: BundleConfig, site: Site, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and decisions, both (N, C), of each film by numbers fitted on the other folds' patients."""
    names, codes = np.unique(site.patients, return_inverse=True)
    folds = np.random.default_rng(seed).permutation(len(names))[codes.reshape(-1)] % FOLDS
    probabilities, decisions = np.empty(site.targets.shape), np.empty(site.targets.shape, bool)
    for fold in range(FOLDS):
        rows = folds == fold
        fitted = _fitted(config, site.where(~rows))
        probabilities[rows], decisions[rows] = (
            _calibrated(fitted, site.where(rows)),
            _decided(fitted, site.where(rows)),
        )
    return probabilities, decisions


def _compared(
    labels: LabelSet, site: Site, before: tuple[np.ndarray, np.ndarray], after: tuple[np.ndarray, np.ndarray]
) -> dict[str, Any]:
    """By finding: the area, which is that of the final numbers too, and the rest before and after."""
    compared = {}
    for column, name in enumerate(labels):
        targets, plain = site.targets[:, column], before[0][:, column]
        compared[name] = {
            "n_pos": int((targets == 1).sum()),
            "n_neg": int((targets == 0).sum()),
            "auroc": auroc(targets, plain, site.patients).to_dict(),
            "before": _measured(targets, plain, before[1][:, column], site.patients),
            "after": _measured(targets, after[0][:, column], after[1][:, column], site.patients),
        }
    return compared


def _measured(
    targets: np.ndarray, probabilities: np.ndarray, decisions: np.ndarray, patients: np.ndarray
) -> Mapping[str, Any]:
    rates = rates_of(targets, decisions, groups=patients)
    truth, shares, _ = known(targets, probabilities)
    return {
        "brier": brier(truth, shares) if len(shares) else None,
        "ece": ece(truth, shares) if len(shares) else None,
        "calibration": fit_recalibration(targets, probabilities, patients).to_dict(),
        "sensitivity": rates.sensitivity.to_dict(),
        "specificity": rates.specificity.to_dict(),
    }


def summary_lines(report: Mapping[str, Any]) -> Sequence[str]:
    """The report as a table for a terminal, a line a finding, and a sentence on each that the model does not rank."""

    def cell(part: Mapping[str, Any]) -> str:
        numbers = (part["ece"], part["sensitivity"]["value"], part["specificity"]["value"])
        return " ".join("    -" if number is None else f"{number:5.3f}" for number in numbers)

    width = max(map(len, report["findings"]))
    head = f"{'':{width}}  with  without  before: ECE, sens., spec.  after: ECE, sens., spec."
    rows = [
        f"{name:{width}} {row['n_pos']:5} {row['n_neg']:8}  {cell(row['before']):24} {cell(row['after'])}"
        for name, row in report["findings"].items()
    ]
    chance = [
        f"{name} is not ranked better than by chance here (AUROC {row['auroc']['value']:.3f}, "
        f"{row['auroc']['low']:.3f}-{row['auroc']['high']:.3f}), and no calibration mends that."
        for name, row in report["findings"].items()
        if row["auroc"]["value"] is not None and row["auroc"]["low"] <= 0.5
    ]
    return [head, *rows, *chance]
