"""Rounds of reading: scores, boxes, what the model's answer changed, and the table that carries them."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import recall_score, roc_auc_score

from cxrcore.errors import InvalidPredictions
from cxrcore.evaluation.readers import box_scores, score_reading, several_readers
from cxrcore.evaluation.readings import Reading, exclusive, read_reading, same_cases, to_frame
from cxrcore.findings import PHANTOM5, TB3
from cxrcore.predictions.import_table import read_predictions

FINDINGS = ("Effusion", "Nodule")


def reading(seed: int = 0, n: int = 40, reader: str = "A", skill: float = 1.0) -> Reading:
    truth = np.random.default_rng(99).integers(0, 2, (n, 2)).astype(float)
    rng = np.random.default_rng(seed)
    steps = np.clip(np.round(2 + skill * (truth - 0.5) * 3 + rng.normal(0, 1.2, truth.shape)), 0, 4) / 4
    model = np.clip(0.2 + 0.6 * truth + np.random.default_rng(5).normal(0, 0.2, truth.shape), 0, 1)
    after = np.where(rng.random(truth.shape) < 0.3, np.round(4 * model) / 4, steps)
    hits = np.where(truth == 1, rng.integers(0, 2, truth.shape), np.nan)
    return Reading(
        reader=reader,
        findings=FINDINGS,
        images=np.array([f"phantom-{k:06d}.png" for k in range(n)]),
        patient_ids=np.array([f"p{k // 2}" for k in range(n)]),
        targets=truth,
        before=steps,
        after=after,
        model=model,
        calls=(model > 0.5).astype(float),
        seconds=rng.uniform(5, 60, n),
        hits=hits,
        ious=hits * 0.4,
        boxes=tuple(tuple(((0.1, 0.2, 0.3, 0.4),) if k % 3 == 0 else () for _ in FINDINGS) for k in range(n)),
    )


def test_scores_are_scikit_learns() -> None:
    one = reading()
    scores = score_reading(one)
    for k, name in enumerate(FINDINGS):
        truth, called = one.targets[:, k], one.before[:, k] > 0.5
        row = scores["findings"][name]
        assert row["before"]["auroc"]["value"] == pytest.approx(roc_auc_score(truth, one.before[:, k]))
        assert row["after"]["auroc"]["value"] == pytest.approx(roc_auc_score(truth, one.after[:, k]))
        assert row["model"]["auroc"]["value"] == pytest.approx(roc_auc_score(truth, one.model[:, k]))
        assert row["before"]["sensitivity"]["value"] == pytest.approx(recall_score(truth, called))
        assert row["before"]["specificity"]["value"] == pytest.approx(recall_score(1 - truth, ~called))
        difference = row["versus_model"]["difference"]["value"]
        assert difference == pytest.approx(
            roc_auc_score(truth, one.before[:, k]) - roc_auc_score(truth, one.model[:, k])
        )
    overall = scores["overall"]["before"]
    assert overall["auroc"]["value"] == pytest.approx(roc_auc_score(one.targets, one.before, average="macro"))
    pooled = recall_score(one.targets.ravel(), one.before.ravel() > 0.5)
    assert overall["sensitivity"]["value"] == pytest.approx(pooled)
    assert scores["seconds"]["median"] == pytest.approx(np.median(one.seconds))
    json.dumps(scores, allow_nan=False)


def test_changes_are_counted_for_and_against_the_truth() -> None:
    truth = np.array([[1.0], [1.0], [0.0], [0.0], [np.nan]])
    before = np.array([[0.25], [0.75], [0.75], [0.0], [0.5]])
    after = np.array([[0.75], [0.25], [0.0], [0.0], [1.0]])
    empty = np.full((5, 1), np.nan)
    one = Reading("A", ("Mass",), np.arange(5).astype(str), np.arange(5).astype(str), truth, before, after,
                  empty, empty, np.full(5, np.nan), empty, empty)  # fmt: skip
    scores = score_reading(one)
    assert scores["changed"] == {
        "answers": 4, "towards_truth": 2, "away_from_truth": 1, "calls_corrected": 2, "calls_spoiled": 1
    }  # fmt: skip
    assert scores["overall"]["model"] is None
    assert scores["boxes"]["hit"]["value"] is None
    assert scores["seconds"]["why"] == "no times were recorded"
    json.dumps(scores, allow_nan=False)


def test_a_box_hits_where_its_centre_lies_in_the_truth() -> None:
    truth = [(0.2, 0.2, 0.4, 0.4)]
    assert box_scores([(0.2, 0.2, 0.4, 0.4)], truth) == (1, pytest.approx(1))
    assert box_scores([(0.3, 0.2, 0.5, 0.4)], truth) == (1, pytest.approx(1 / 3))
    assert box_scores([(0.5, 0.5, 0.6, 0.6), (0.25, 0.25, 0.3, 0.3)], truth)[0] == 1
    assert box_scores([(0.35, 0.35, 0.6, 0.6)], truth)[0] == 0
    assert box_scores([], truth) == (0, 0)
    assert np.isnan(box_scores([(0.1, 0.1, 0.2, 0.2)], [])).all()


def test_the_table_reads_back_and_is_a_table_of_predictions() -> None:
    one = reading()
    content = to_frame(one, PHANTOM5).to_csv(index=False).encode()
    again = read_reading(content)
    assert again.reader == "A"
    order = [again.findings.index(name) for name in FINDINGS]
    for part in ("targets", "before", "after", "model", "calls", "hits", "ious"):
        assert np.allclose(getattr(again, part)[:, order], getattr(one, part), atol=1e-9, equal_nan=True), part
    assert [tuple(row[k] for k in order) for row in again.boxes] == list(one.boxes)
    table = read_predictions(io.BytesIO(content))
    k = table.labels.index("Effusion")
    assert np.array_equal(table.probabilities[:, k], one.before[:, FINDINGS.index("Effusion")])
    assert table.n_patients == 20


def test_exclusive_classes_sum_to_one_with_the_normal_one() -> None:
    raw = np.array([[0.75, 0.0], [0.0, 0.0], [0.75, 0.5]])
    truth = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    empty, names = np.full((3, 2), np.nan), np.array(["a", "b", "c"])
    shares = exclusive(raw)
    one = Reading("B", TB3.abnormal, names, names, truth, shares, shares, empty, empty, np.ones(3), empty, empty)
    table = read_predictions(to_frame(one, TB3).to_csv(index=False).encode())
    assert table.labels == TB3
    assert table.probabilities.sum(axis=1) == pytest.approx(1)
    assert table.probabilities[:2].tolist() == [[0.25, 0.75, 0.0], [1.0, 0.0, 0.0]]


def test_readers_are_matched_by_case_and_analysed_together() -> None:
    readers = [reading(seed, reader=name, skill=skill) for seed, name, skill in ((1, "A", 1.0), (2, "B", 0.7))]
    readers.append(reading(3, reader="C").rows(np.arange(39, 4, -1)))
    matched, others = same_cases(readers)
    assert others == 5
    assert len({tuple(one.images) for one in matched}) == 1
    result = several_readers(matched)
    alone = [roc_auc_score(one.targets, one.before, average="macro") for one in matched]
    aided = [roc_auc_score(one.targets, one.after, average="macro") for one in matched]
    study = result["study"]
    assert study["before"]["value"] == pytest.approx(np.mean(alone))
    assert study["gain"]["value"] == pytest.approx(np.mean(aided) - np.mean(alone))
    assert study["gain"]["low"] < study["gain"]["value"] < study["gain"]["high"]
    model = roc_auc_score(matched[0].targets, matched[0].model, average="macro")
    assert result["versus_model"]["value"] == pytest.approx(np.mean(alone) - model)
    json.dumps(result, allow_nan=False)


def test_few_cases_or_one_reader_give_no_interval_and_say_why() -> None:
    few = several_readers([one.rows(np.arange(12)) for one in (reading(1), reading(2, reader="B"))])
    assert few["study"] is None
    assert few["why"].startswith("no finding has 10 patients with a finding and 10 without it among the 12 cases")
    assert several_readers([reading(1)])["why"] == "2 readers are needed"


def test_tables_that_do_not_fit_together_get_one_sentence() -> None:
    one = reading(1)
    flipped = replace(reading(2, reader="B"), targets=1 - one.targets)
    with pytest.raises(InvalidPredictions, match="scored against different truths"):
        same_cases([one, flipped])
    strange = replace(one, images=np.array([f"other-{k}" for k in range(40)]))
    with pytest.raises(InvalidPredictions, match="no case is in all of these tables"):
        same_cases([one, strange])
    with pytest.raises(InvalidPredictions, match="answered different findings"):
        same_cases([one, replace(one, findings=("Effusion", "Mass"))])
    for content, message in (
        (b"a,b\n1,2\n", "no table of a reader"),
        (b"image,target:Mass,prob:Mass\nx,1,1.5\n", "are not all in"),
        (b"image,target:Mass,prob:Mass\nx,1,0.5\nx,0,0.5\n", "more than once"),
        (b"image,target:Mass,prob:Mass,after:Mass\nx,1,0.5,often\n", "other than numbers"),
        (b"image,target:Mass,prob:Mass,box:Mass\nx,1,0.5,1 2 3\n", "other than boxes in row 1"),
    ):
        with pytest.raises(InvalidPredictions, match=message):
            read_reading(content)
