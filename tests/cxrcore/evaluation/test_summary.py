"""metrics.json against the contract's keys and against scikit-learn, for every kind of label set."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, confusion_matrix, f1_score, roc_auc_score

from cxrcore.bundle.calibrators import to_probabilities
from cxrcore.errors import InvalidPredictions
from cxrcore.evaluation.record import Metrics
from cxrcore.evaluation.summary import curves, summarise, with_uncalibrated
from cxrcore.findings import NIH14, NIH15, PNEUMONIA2, PNEUMONIA3, LabelSet
from cxrcore.metrics.operating_points import fit_operating_points
from cxrcore.predictions.record import Predictions

PER_FINDING = {"n_pos", "n_neg", "auroc", "auprc", "threshold", "accuracy", "sensitivity", "specificity", "ppv", "npv"}
PER_FINDING |= {"f1", "brier", "ece"}
TOP = {"schema", "n", "n_patients", "dataset", "split", "model", "findings", "macro", "accuracy"}


def table(labels: LabelSet, n=900, seed=0) -> Predictions:
    """Random films whose first 300 are validation; three films a patient."""
    rng = np.random.default_rng(seed)
    if labels.kind == "multiclass":
        targets = np.eye(len(labels))[rng.integers(0, len(labels), n)]
    else:
        targets = (rng.random((n, len(labels))) < 0.2).astype(float)
    logits = 2 * targets + rng.normal(size=targets.shape) - 1.5
    return Predictions(
        images=np.array([f"{k:05d}.png" for k in range(n)]),
        patient_ids=np.arange(n) // 3,
        split=np.where(np.arange(n) < 300, "val", "test"),
        labels=labels,
        targets=targets,
        probabilities=to_probabilities(logits, labels.kind),
        logits=logits,
    )


def score(predictions, points=None, **kwargs):
    result = summarise(predictions, points, dataset="made", split="test", model="m", **kwargs).to_dict()
    assert json.loads(json.dumps(result, allow_nan=False)) == result  # plain types, no NaN
    no_silent_nulls(result)
    return result


def no_silent_nulls(entry):
    """Every null stands beside a why that is a sentence."""
    if isinstance(entry, dict):
        if any(value is None for value in entry.values()):
            assert isinstance(entry.get("why"), str)
            assert entry["why"]
        for value in entry.values():
            no_silent_nulls(value)
    elif isinstance(entry, list):
        assert None not in entry
        for value in entry:
            no_silent_nulls(value)


def fitted(predictions, rule="youden"):
    val = predictions.of_split("val")
    return fit_operating_points(val.labels, val.targets, val.probabilities, rule)


@pytest.mark.parametrize("labels", [NIH14, NIH15, PNEUMONIA2, PNEUMONIA3], ids=lambda labels: labels.name)
@pytest.mark.parametrize("with_points", [True, False])
def test_contract_keys_are_there_and_every_null_has_a_why(labels, with_points):
    predictions = table(labels)
    result = score(predictions, fitted(predictions) if with_points else None)
    assert result.keys() >= TOP
    assert ("confusion" in result) == (labels.kind == "multiclass")
    assert result["macro"].keys() >= {"auroc", "f1"}
    assert tuple(result["findings"]) == labels.names
    assert all(entry.keys() >= PER_FINDING for entry in result["findings"].values())
    assert all(entry["auroc"].keys() >= {"value", "low", "high", "method"} for entry in result["findings"].values())
    assert (result["n"], result["n_patients"], result["schema"]) == (600, 200, 1)


def test_multilabel_numbers_equal_scikit_learn():
    predictions = table(NIH15)
    points = fitted(predictions, "best_f1")
    result, test = score(predictions, points), predictions.of_split("test")
    areas, f1s = [], []
    for k, (name, entry) in enumerate(result["findings"].items()):
        y, p = test.targets[:, k], test.probabilities[:, k]
        assert entry["auroc"]["value"] == pytest.approx(roc_auc_score(y, p), abs=1e-9)
        assert entry["auprc"]["value"] == pytest.approx(average_precision_score(y, p), abs=1e-9)
        assert entry["threshold"] == points.thresholds[k]
        assert entry["f1"] == pytest.approx(f1_score(y, p >= points.thresholds[k]))
        assert sum(entry["counts"].values()) == entry["n_pos"] + entry["n_neg"] == 600
        if name != "No Finding":
            areas.append(entry["auroc"]["value"])
            f1s.append(entry["f1"])
    assert result["macro"]["auroc"]["value"] == pytest.approx(np.mean(areas))
    assert result["macro"]["f1"] == pytest.approx(np.mean(f1s))
    assert result["macro"]["auroc"]["findings"] == list(NIH14)
    assert result["accuracy"] == pytest.approx(np.mean((test.probabilities >= points.thresholds) == test.targets))


def test_two_classes_mirror_each_other():
    predictions = table(PNEUMONIA2)
    points = fitted(predictions)
    result, test = score(predictions, points), predictions.of_split("test")
    normal, disease = result["findings"]["Normal"], result["findings"]["Pneumonia"]
    assert normal["threshold"] + disease["threshold"] == pytest.approx(1)
    assert (normal["sensitivity"], normal["ppv"]) == (disease["specificity"], disease["npv"])
    called = test.probabilities[:, 1] >= points.thresholds[1]
    assert result["confusion"] == confusion_matrix(test.targets[:, 1], called).tolist()
    assert result["accuracy"] == pytest.approx(accuracy_score(test.targets[:, 1], called))
    assert (result["brier"], result["ece"]) == (disease["brier"], disease["ece"])


def test_three_classes_are_scored_by_the_winner():
    result, test = score(table(PNEUMONIA3)), table(PNEUMONIA3).of_split("test")
    truth, winner = test.targets.argmax(axis=1), test.probabilities.argmax(axis=1)
    assert result["confusion"] == confusion_matrix(truth, winner).tolist()
    assert result["macro"]["f1"] == pytest.approx(f1_score(truth, winner, average="macro"))
    assert result["macro"]["auroc"]["value"] == pytest.approx(
        roc_auc_score(truth, test.probabilities, multi_class="ovr", average="macro")
    )
    one = result["findings"]["Viral pneumonia"]
    assert one["threshold"] is None
    assert "most probable class" in one["why"]
    assert one["sensitivity"] == pytest.approx(np.mean(winner[truth == 2] == 2))
    assert result["brier"] == pytest.approx(np.mean(np.sum((test.probabilities - test.targets) ** 2, axis=1)))


def test_without_thresholds_rates_are_null_and_areas_are_not():
    result = score(table(NIH14), why_no_points="the table has no validation part")
    entry = result["findings"]["Mass"]
    assert entry["sensitivity"] is entry["threshold"] is entry["accuracy"] is result["accuracy"] is None
    assert "the table has no validation part" in entry["why"]
    assert entry["auroc"]["value"] > 0.5


def test_unknown_labels_and_single_classes_leave_the_rest_whole():
    predictions = table(NIH14)
    targets = predictions.targets.copy()
    targets[:, 0] = np.nan
    targets[:, 1] = 0
    targets[::2, 2] = np.nan
    holed = Predictions(
        predictions.images, predictions.patient_ids, predictions.split, NIH14, targets, predictions.probabilities
    )
    result = score(holed, fitted(predictions))
    unknown, absent, halved = list(result["findings"].values())[:3]
    assert (unknown["n_pos"], unknown["n_neg"], unknown["brier"]) == (0, 0, None)
    assert absent["auroc"]["why"] == "no film has the finding"
    assert absent["specificity"] is not None
    assert halved["n_pos"] + halved["n_neg"] == 300
    assert len(result["macro"]["auroc"]["findings"]) == 12


def test_a_split_without_films_is_named():
    with pytest.raises(InvalidPredictions, match="no film of split 'holdout'; its splits: test, val"):
        summarise(table(NIH14), dataset="made", split="holdout", model="m")


def test_summary_is_deterministic():
    assert score(table(NIH14)) == score(table(NIH14))


def test_curves_are_small_and_plain():
    predictions = table(NIH14)
    result = curves(predictions, split="test")
    assert len(json.dumps(result, allow_nan=False)) < 1_000_000
    no_silent_nulls(result)
    roc = result["findings"]["Hernia"]["roc"]
    assert roc["area"] == pytest.approx(score(predictions)["findings"]["Hernia"]["auroc"]["value"])


def test_metrics_load_neither_torch_nor_pandas():
    code = "import sys, cxrcore.evaluation.summary; print({'torch', 'pandas', 'sklearn', 'timm'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


def test_intervals_stand_beside_their_method_and_know_that_patients_repeat():
    predictions = table(NIH14)
    points = fitted(predictions)
    entry = score(predictions, points)["findings"]["Edema"]
    names = {"accuracy", "sensitivity", "specificity", "ppv", "npv", "f1"}
    assert entry["intervals"].keys() == entry["interval_methods"].keys() == names
    assert entry["interval_methods"]["specificity"] == "bootstrap by patient"
    assert all(low <= entry[name] <= high for name, (low, high) in entry["intervals"].items())
    single = replace(predictions, patient_ids=predictions.images)
    assert score(single, points)["findings"]["Edema"]["interval_methods"]["specificity"] == "Wilson"


def test_calibration_and_brier_parts_are_in_it():
    result = score(table(NIH14))
    entry = result["findings"]["Edema"]
    parts = entry["brier_parts"]
    assert parts["brier"] == entry["brier"]
    assert entry["calibration"]["slope"]["low"] < entry["calibration"]["slope"]["value"]
    test = table(NIH14).of_split("test")
    assert result["micro"]["auroc"]["value"] == pytest.approx(
        roc_auc_score(test.targets.ravel(), test.probabilities.ravel())
    )


def test_curves_hold_what_the_plots_of_honesty_and_worth_need():
    entry = curves(table(PNEUMONIA2), split="test")["findings"]["Pneumonia"]
    assert len(entry["decision"]["thresholds"]) == len(entry["decision"]["model"]) == 99
    assert entry["reliability"]["bins"][0].keys() == {"from", "to", "n", "probability", "frequency", "low", "high"}


def test_scores_before_calibration_are_those_of_the_logits_and_keep_the_auroc():
    films = table(NIH14).of_split("test")
    slope, shift = np.linspace(0.3, 2, 14), np.linspace(-2, 1, 14)
    calibrated = replace(films, probabilities=to_probabilities(slope * films.logits + shift, NIH14.kind))
    metrics = with_uncalibrated(summarise(calibrated, dataset="made", split="test", model="m"), calibrated)
    plain = summarise(films, dataset="made", split="test", model="m")  # oracle: the same scores of the raw output
    for name, scores in metrics.findings.items():
        before, raw = scores.uncalibrated, plain.findings[name]
        assert before.auroc.value == pytest.approx(scores.auroc.value, abs=1e-12)
        assert before.brier == pytest.approx(raw.brier)
        assert before.ece == pytest.approx(raw.ece)
        assert before.calibration.slope.value == pytest.approx(raw.calibration.slope.value)
    no_silent_nulls(metrics.to_dict())
    assert Metrics.from_dict(json.loads(json.dumps(metrics.to_dict()))) == metrics
    without = replace(films, logits=None)
    assert with_uncalibrated(plain, without) is plain
