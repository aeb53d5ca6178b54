"""``metrics.json`` in memory: every shipped file is read and written again without a change."""

from __future__ import annotations

import json

import pytest

from cxrcore.bundle.folder import EMBEDDED
from cxrcore.errors import InvalidPredictions
from cxrcore.evaluation.record import Metrics, read_metrics

SHIPPED = sorted(EMBEDDED.glob("*/evaluation/*/metrics.json"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_reading_and_writing_changes_nothing(path):
    data = json.loads(path.read_text())
    assert json.dumps(read_metrics(path).to_dict()) == json.dumps(data)


def test_keys_of_newer_versions_are_kept_at_any_depth():
    data = json.loads(SHIPPED[0].read_text())
    finding = next(iter(data["findings"]))
    data["new"] = {"a": 1}
    data["findings"][finding]["auroc"]["new"] = [1, 2]
    data["macro"]["new"] = None
    assert Metrics.from_dict(data).to_dict() == data


def test_files_of_older_versions_lack_keys():
    metrics = Metrics.from_dict({"n": 3, "findings": {"Mass": {"n_pos": 1, "n_neg": 2, "auroc": {"value": 0.5}}}})
    scores = metrics.findings["Mass"]
    assert (scores.auroc.value, scores.auroc.low, scores.auroc.why) == (0.5, None, "not recorded")
    assert scores.rate("sensitivity").value is None
    assert metrics.origin.key == "unknown"


@pytest.mark.parametrize("data", [{"findings": []}, {"findings": {"Mass": 3}}, {"macro": {"auroc": {"value": "high"}}}])
def test_anything_else_is_refused(data):
    with pytest.raises(InvalidPredictions, match=r"no metrics\.json"):
        Metrics.from_dict(data)
