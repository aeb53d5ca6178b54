"""The answer in words, on the cases of ``tests/app/js/answers.json`` that the page's own words are held against too."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from cxrcore.explain.heatmap import Heatmap
from cxrcore.films.preprocessing import Preprocessing
from cxrcore.findings import Finding, Kind, LabelSet
from cxrcore.gate.reasons import NO_GATE
from cxrcore.models.answer_words import by_alarm, in_words, verdict
from cxrcore.models.base import Prediction
from tests.conftest import ROOT

CASES = json.loads((ROOT / "tests/app/js/answers.json").read_text("utf-8"))
FRAME = Preprocessing(64, 64)


def labels_of(case: dict[str, Any]) -> LabelSet:
    findings = (Finding(one["name"], "", one.get("normal", False)) for one in case["findings"])
    return LabelSet("case", Kind(case["kind"]), tuple(findings))


def prediction_of(case: dict[str, Any]) -> Prediction:
    probabilities, positive, thresholds = ({name: row[at] for name, row in case["rows"].items()} for at in range(3))
    return Prediction(probabilities, positive, thresholds, None, {}, {}, (), NO_GATE, "case@0")


def maps_of(case: dict[str, Any]) -> dict[str, Heatmap]:
    """Even maps, whose strength is their value."""
    return {
        name: Heatmap(name, "gradcam", np.full((1, 1), strength, np.float32), (64, 64), FRAME, "logit", 0.0, level)
        for name, (*_, strength, level) in case["rows"].items()
        if strength is not None
    }


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_the_library_says_what_the_page_says(case: dict[str, Any]) -> None:
    labels, prediction = labels_of(case), prediction_of(case)
    told = in_words(labels, prediction, maps_of(case))
    assert told == {"summary": case["summary"], "sentences": case["sentences"]}
    assert by_alarm(labels, prediction) == case["order"]
    assert {name: verdict(labels, prediction, name) for name in labels} == case["verdicts"]


def test_no_normal_class_is_called_above_its_threshold() -> None:
    said = [text for case in CASES for text in (case["summary"], *case["verdicts"].values())]
    assert not [text for text in said if text.startswith("Normal is above") or "100.0 %" in text]
