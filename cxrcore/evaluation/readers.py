"""Scores of people who read cases, first alone and then with a model's answer, beside that model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cxrcore.datasets.case_set import Corners
from cxrcore.evaluation.readings import Reading, stages_of
from cxrcore.metrics.arrays import group_codes
from cxrcore.metrics.comparison import Comparison, compare_auroc, compare_macro
from cxrcore.metrics.discrimination import auroc, macro_auroc
from cxrcore.metrics.intervals import Estimate
from cxrcore.metrics.rates import rates_of, share
from cxrcore.metrics.readers import mean_areas, mean_difference, reader_study

SCHEMA = 1
CALLED = 0.5  # a confidence above it says that the finding is there
CALL_RULE = "A finding counts as called where the confidence is above 50."
BOX_RULE = (
    "A box is a hit where its centre lies in a box of the truth; a case with such a box and none drawn is a miss."
)
MIN_READERS = 2
MIN_CASES = 10  # patients with the finding, and without it, for intervals over readers
_TOO_FEW = "a finding has a single patient with it or without it, too few for an interval"
_NO_BOXES = "no case with a box in the truth"


def box_scores(drawn: Sequence[Corners], truth: Sequence[Corners]) -> tuple[float, float]:
    """Whether the centre of a drawn box lies in a box of the truth (1 or 0), and their best overlap (IoU).

    Both NaN without a box of the truth, both 0 where none was drawn.
    """
    if not truth:
        return np.nan, np.nan
    centres = [((left + right) / 2, (top + bottom) / 2) for left, top, right, bottom in drawn]
    hit = any(t[0] <= x <= t[2] and t[1] <= y <= t[3] for x, y in centres for t in truth)
    return float(hit), max((_iou(one, other) for one in drawn for other in truth), default=0.0)


def _iou(one: Corners, other: Corners) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    joint = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)) - shared
    return shared / joint if joint > 0 else 0.0


def score_reading(reading: Reading) -> dict[str, Any]:
    """Every score of a round, for JSON: by finding, over all, boxes, time, and what the model's answer changed."""
    codes = group_codes(reading.patient_ids)
    stages = {"before": reading.before, "after": reading.after}
    findings: dict[str, Any] = {}
    for column, name in enumerate(reading.findings):
        targets = reading.targets[:, column]
        row: dict[str, Any] = {"n_pos": int((targets == 1).sum()), "n_neg": int((targets == 0).sum())}
        row |= {stage: _one_finding(targets, values[:, column], codes) for stage, values in stages.items()}
        row["model"] = _model_scores(reading, [column], codes)
        row["versus_model"] = _versus(reading, column, codes)
        findings[name] = row
    everything = list(range(len(reading.findings)))
    overall = {stage: _over_all(reading.targets, values, codes) for stage, values in stages.items()}
    return {
        "schema": SCHEMA,
        "reader": reading.reader,
        "n": len(reading),
        "n_patients": len(np.unique(codes)),
        "findings": findings,
        "overall": overall | {"model": _model_scores(reading, everything, codes)},
        "gain": _gain(reading, codes),
        "boxes": _boxes(reading, codes),
        "seconds": _seconds(reading),
        "changed": _changed(reading),
        "rules": {"called": CALL_RULE, "boxes": BOX_RULE},
    }


def _one_finding(targets: np.ndarray, confidence: np.ndarray, codes: np.ndarray) -> dict[str, Any]:
    rates = rates_of(targets, confidence > CALLED, groups=codes)
    area = auroc(targets, confidence, codes)
    return {"auroc": area.to_dict(), **{n: getattr(rates, n).to_dict() for n in ("sensitivity", "specificity")}}


def _over_all(targets: np.ndarray, confidence: np.ndarray, codes: np.ndarray) -> dict[str, Any]:
    """The mean AUROC over findings; sensitivity and specificity over all answers, of which a patient has several."""
    again = np.repeat(codes, targets.shape[1])
    rates = rates_of(targets.ravel(), (confidence > CALLED).ravel(), groups=again)
    area = _mean_area(targets, confidence, codes)
    return {"auroc": area.to_dict(), **{n: getattr(rates, n).to_dict() for n in ("sensitivity", "specificity")}}


def _mean_area(targets: np.ndarray, scores: np.ndarray, codes: np.ndarray) -> Estimate:
    """The mean AUROC over findings, without an interval where a finding has a single patient in a class."""
    if targets.shape[1] == 1:
        return auroc(targets[:, 0], scores[:, 0], codes)
    area = macro_auroc(targets, scores, codes)
    return _without_interval(area) if area.value is not None and _single(targets, codes) else area


def _single(targets: np.ndarray, codes: np.ndarray) -> bool:
    counts = [[len(np.unique(codes[column == value])) for value in (0, 1)] for column in targets.T]
    return any(min(pair) == 1 for pair in counts)


def _without_interval(estimate: Estimate) -> Estimate:
    return replace(estimate, low=None, high=None, why=_TOO_FEW)


def _gain(reading: Reading, codes: np.ndarray) -> dict[str, Any]:
    """The mean AUROC after the model's answer minus that before it, paired by case."""
    compared = compare_macro(reading.targets, reading.after, reading.before, codes)
    if compared.difference.value is not None and _single(reading.targets, codes):
        first, second, gap = map(_without_interval, (compared.first, compared.second, compared.difference))
        compared = Comparison(first, second, gap, None)
    return compared.to_dict()


def _model_scores(reading: Reading, columns: list[int], codes: np.ndarray) -> dict[str, Any] | None:
    """The model's scores on the findings among ``columns`` that it knows; None where it knows none."""
    known = [k for k in columns if not np.isnan(reading.model[:, k]).any()]
    if not known:
        return None
    targets, scores, calls = (values[:, known] for values in (reading.targets, reading.model, reading.calls))
    area = _mean_area(targets, scores, codes)
    decided = np.where(np.isnan(calls), np.nan, targets).ravel()
    rates = rates_of(decided, (calls == 1).ravel(), groups=np.repeat(codes, len(known)))
    return {"auroc": area.to_dict(), **{n: getattr(rates, n).to_dict() for n in ("sensitivity", "specificity")}}


def _versus(reading: Reading, column: int, codes: np.ndarray) -> dict[str, Any] | None:
    """The first answer's AUROC minus the model's, paired by case."""
    model = reading.model[:, column]
    if np.isnan(model).any():
        return None
    return compare_auroc(reading.targets[:, column], reading.before[:, column], model, codes).to_dict()


def _boxes(reading: Reading, codes: np.ndarray) -> dict[str, Any]:
    """Hits, and the mean overlap with the truth (0 where no box was drawn), over the cases with a box in the truth."""
    boxed = ~np.isnan(reading.hits)
    rows = np.nonzero(boxed)[0]
    hits = share(reading.hits[boxed] == 1, codes[rows] if len(rows) else None, empty=_NO_BOXES).to_dict()
    overlap = {"mean_iou": float(reading.ious[boxed].mean())} if len(rows) else {"mean_iou": None, "why": _NO_BOXES}
    absent = [
        len(boxes)
        for row, target in zip(reading.boxes, reading.targets, strict=False)
        for boxes, here in zip(row, target, strict=True)
        if here == 0
    ]
    return {"hit": hits, **overlap, "on_absent": sum(absent)}


def _seconds(reading: Reading) -> dict[str, Any]:
    known = reading.seconds[~np.isnan(reading.seconds)]
    if not len(known):
        return {"median": None, "total": None, "why": "no times were recorded"}
    return {"median": float(np.median(known)), "total": float(known.sum())}


def _changed(reading: Reading) -> dict[str, Any]:
    """Answers (case by finding, of known truth) that the model's answer changed, towards the truth or away from it."""
    known = ~np.isnan(reading.targets)
    gap = np.where(known, np.abs(reading.before - reading.targets) - np.abs(reading.after - reading.targets), 0)
    right = [np.where(known, (values > CALLED) == (reading.targets == 1), False) for values in stages_of(reading)]
    return {
        "answers": int(known.sum()),
        "towards_truth": int((gap > 1e-9).sum()),
        "away_from_truth": int((gap < -1e-9).sum()),
        "calls_corrected": int((known & ~right[0] & right[1]).sum()),
        "calls_spoiled": int((known & right[0] & ~right[1]).sum()),
    }


def several_readers(readings: Sequence[Reading]) -> dict[str, Any]:
    """Mean AUROC of several readers of the same cases, alone and with the model, with intervals over readers and cases.

    ``readings``: as ``same_cases`` matched them. Over the findings with ``MIN_CASES`` patients with and without them;
    ``study`` is null, with a ``why``, where there are too few readers or cases.
    """
    first = readings[0]
    codes = group_codes(first.patient_ids)
    enough = [k for k in range(len(first.findings)) if _enough(first.targets[:, k], codes)]
    data: dict[str, Any] = {"readers": [one.reader for one in readings], "n": len(first)}
    data["findings"] = [first.findings[k] for k in enough]
    if len(readings) < MIN_READERS or not enough:
        needed = f"{MIN_CASES} patients with a finding and {MIN_CASES} without it"
        few = f"no finding has {needed} among the {len(first)} cases that all readers read"
        return data | {"study": None, "why": f"{MIN_READERS} readers are needed" if enough else few}
    targets = first.targets[:, enough]
    scores = np.array([values[:, enough] for stage in zip(*map(stages_of, readings), strict=True) for values in stage])
    areas, covariance = mean_areas(targets, scores, codes)
    shape = (2, len(readings))
    data["areas"] = areas.reshape(shape).tolist()
    study = reader_study(areas.reshape(shape)[::-1], covariance.reshape(*shape, *shape)[::-1, :, ::-1])
    after, before = (one.to_dict() for one in study.means)
    gain = None if study.difference is None else study.difference.to_dict()
    data["study"] = {"before": before, "after": after, "gain": gain, "p": study.p}
    return data | {"versus_model": _readers_and_model(readings, enough, codes)}


def _readers_and_model(readings: Sequence[Reading], columns: list[int], codes: np.ndarray) -> dict[str, Any]:
    """The readers' mean AUROC alone minus the model's, an interval over readers and cases."""
    model = readings[0].model[:, columns]
    same = all(np.allclose(one.model[:, columns], model, atol=1e-4, equal_nan=True) for one in readings)
    if np.isnan(model).any() or not same:
        why = (
            "the readers saw answers of different models" if same is False else "the model does not know these findings"
        )
        return Estimate.undefined(why).to_dict()
    scores = np.array([one.before[:, columns] for one in readings] + [model])
    areas, covariance = mean_areas(readings[0].targets[:, columns], scores, codes)
    own, mixed = covariance[:-1, :-1], covariance[:-1, -1]
    differences = own - mixed[:, None] - mixed[None, :] + covariance[-1, -1]
    return mean_difference(areas[:-1] - areas[-1], differences).to_dict() | {"model": float(areas[-1])}


def _enough(targets: np.ndarray, codes: np.ndarray) -> bool:
    return all(len(np.unique(codes[targets == value])) >= MIN_CASES for value in (0, 1))
