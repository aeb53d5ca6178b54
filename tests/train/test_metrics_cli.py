"""``cxr metrics`` and ``cxr compare`` on real and made tables: numbers against scikit-learn, files, and refusals."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from cxrcore.errors import CxrError, InvalidBundle, InvalidPredictions
from cxrcore.evaluation import score as scoring
from cxrcore.findings import NIH14
from cxrcore.models.opening import find_bundle
from cxrcore.predictions.import_table import read_predictions
from cxrcore.text import NumberFormat
from train.compare import compare
from train.metrics import measure


@pytest.fixture
def table(tmp_path):
    """A function that writes a CSV of two findings in 400 films of 200 patients, with its own labels."""

    def write(name="mine.csv", seed=0, **columns):
        rng = np.random.default_rng(7)
        truth = rng.random((400, 2)) < [0.3, 0.1]
        noise = np.random.default_rng(seed).normal(0, 1, (400, 2))
        probabilities = 1 / (1 + np.exp(-(2 * truth - 2 + noise)))
        frame = pd.DataFrame({"image": [f"{k}.png" for k in range(400)], "patient_id": np.arange(400) // 2})
        for k, finding in enumerate(("Mass", "Nodule")):
            frame[f"prob_{finding}"] = probabilities[:, k]
            frame[f"target_{finding}"] = truth[:, k].astype(int)
        frame = frame.assign(**columns)
        frame.to_csv(tmp_path / name, index=False)
        return tmp_path / name

    return write


def split_column(val=200):
    return ["val"] * val + ["test"] * (400 - val)


def test_areas_of_the_published_table_equal_scikit_learns(data_dir, tmp_path, capsys):
    folder = data_dir / "nih"
    csv, labels = folder / "chexnet_predictions.csv.gz", folder / "Data_Entry_2017_v2020.csv.gz"
    metrics = measure(csv, tmp_path / "out" / "metrics.json", labels)
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == metrics
    assert set(json.loads((tmp_path / "out" / "curves.json").read_text())["findings"]) == set(NIH14)
    theirs = pd.read_csv(csv).merge(pd.read_csv(labels), on="Image Index")
    assert metrics["n"] == len(theirs) == 11_928
    assert metrics["n_patients"] == theirs["Patient ID"].nunique()
    assert (metrics["dataset"], metrics["split"], metrics["split_origin"]) == ("nih", "test", "unknown")
    areas = []
    for name in NIH14:
        y, p = theirs["Finding Labels"].str.split("|").map(lambda names, n=name: n in names), theirs[f"prob_{name}"]
        scores = metrics["findings"][name]
        assert scores["auroc"]["value"] == pytest.approx(roc_auc_score(y, p), abs=1e-9)
        assert scores["auprc"]["value"] == pytest.approx(average_precision_score(y, p), abs=1e-9)
        assert (scores["n_pos"], scores["threshold"]) == (y.sum(), None)
        assert "no thresholds were given" in scores["why"]
        areas.append(roc_auc_score(y, p))
    assert metrics["macro"]["auroc"]["value"] == pytest.approx(np.mean(areas), abs=1e-9)
    said = capsys.readouterr().out
    assert "11928 films of 3117 patients" in said
    assert "no thresholds were given" in said


def test_validation_films_in_the_table_choose_the_thresholds_and_test_is_scored(table, tmp_path):
    metrics = measure(table(split=split_column()), tmp_path / "metrics.json")
    assert (metrics["n"], metrics["split"]) == (200, "test")
    assert metrics["operating_points"] == {"rule": "youden", "fitted_on": "val"}
    frame = pd.read_csv(tmp_path / "mine.csv")
    test = frame[frame.split == "test"]
    for name in ("Mass", "Nodule"):
        scores = metrics["findings"][name]
        called = test[f"prob_{name}"] >= scores["threshold"]
        assert scores["sensitivity"] == pytest.approx(called[test[f"target_{name}"] == 1].mean())
        assert scores["specificity"] == pytest.approx((~called)[test[f"target_{name}"] == 0].mean())
    val = measure(tmp_path / "mine.csv", tmp_path / "val.json", split="val")
    assert val["findings"]["Mass"]["threshold"] is None
    assert "would flatter" in val["findings"]["Mass"]["why"]


def test_patients_on_both_sides_choose_no_thresholds(table, tmp_path):
    with pytest.raises(InvalidPredictions, match="1 patient\\(s\\) have films both in split val and in another"):
        measure(table(split=split_column(201)), tmp_path / "metrics.json")


def test_tuned_patients_are_left_out_of_the_scores(table, tmp_path):
    metrics = measure(table(), tmp_path / "metrics.json", tune_fraction=0.25)
    assert (metrics["n"], metrics["n_patients"]) == (300, 150)
    assert metrics["tuned_on"] == {"fraction": 0.25, "n": 100, "seed": 0}
    assert metrics["operating_points"]["fitted_on"] == "25 % of the patients, who are left out here"
    assert metrics == measure(table(), tmp_path / "metrics.json", tune_fraction=0.25)
    for fraction in (0, 1, -1, 0.0001):
        with pytest.raises(InvalidPredictions, match=r"fraction|leaves nobody to tune on"):
            measure(table(), tmp_path / "metrics.json", tune_fraction=fraction)


def test_thresholds_come_from_json_of_three_kinds(table, tmp_path):
    given = tmp_path / "given.json"
    for content in (
        {"Mass": 0.4, "Hernia": 0.1},
        {"thresholds": {"Mass": 0.4, "Nodule": None}},
        {"findings": {"Mass": {"threshold": 0.4}, "Nodule": {"threshold": None}}},
    ):
        given.write_text(json.dumps(content))
        metrics = measure(table(), tmp_path / "metrics.json", thresholds=str(given))
        assert metrics["findings"]["Mass"]["threshold"] == pytest.approx(0.4)
        assert metrics["findings"]["Nodule"]["threshold"] is None
        assert "no threshold for it in given.json" in metrics["findings"]["Nodule"]["why"]
        assert metrics["operating_points"] == {"rule": "given in given.json", "fitted_on": "given"}
    for told in ({"fitted_on": "val"}, {"operating_points": {"rule": "youden", "fitted_on": "val"}}):
        given.write_text(json.dumps({"thresholds": {"Mass": 0.4}, **told}))
        metrics = measure(table(), tmp_path / "metrics.json", thresholds=str(given))
        assert metrics["operating_points"]["fitted_on"] == "val"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "is no file of thresholds"),
        ("{", "is no file of thresholds"),
        ('{"Mass": 2}', "the threshold of Mass is 2, and a probability is expected"),
        ('{"Mass": true}', "the threshold of Mass is True"),
        ('{"Hernia": 0.5}', "has thresholds for Hernia, and the table is of Mass, Nodule"),
    ],
)
def test_thresholds_that_are_none_are_refused(table, tmp_path, content, message):
    (tmp_path / "given.json").write_text(content)
    with pytest.raises(InvalidPredictions, match=message):
        measure(table(), tmp_path / "metrics.json", thresholds=str(tmp_path / "given.json"))


def test_thresholds_of_a_model_and_one_threshold_of_two_classes(tmp_path):
    rng = np.random.default_rng(0)
    p, sick = rng.random(60).round(3), rng.random(60) < 0.5
    frame = pd.DataFrame({"image": range(60), "prob_Normal": 1 - p, "prob_Pneumonia": p})
    frame.assign(target_Normal=(~sick).astype(int), target_Pneumonia=sick.astype(int)).to_csv(tmp_path / "t.csv")
    metrics = measure(tmp_path / "t.csv", tmp_path / "m.json", thresholds="pneumonia")
    config = json.loads((find_bundle("pneumonia") / "config.json").read_text())
    points = config["cxrcore"]["operating_points"]
    assert metrics["findings"]["Pneumonia"]["threshold"] == pytest.approx(points["thresholds"]["Pneumonia"], abs=1e-6)
    assert metrics["operating_points"] == {"rule": f"{points['rule']}, of pneumonia", "fitted_on": "val"}
    (tmp_path / "one.json").write_text('{"Pneumonia": 0.3}')
    metrics = measure(tmp_path / "t.csv", tmp_path / "m.json", thresholds=str(tmp_path / "one.json"))
    assert metrics["findings"]["Normal"]["threshold"] == pytest.approx(0.7)
    assert np.array(metrics["confusion"]).sum() == 60
    config["cxrcore"]["operating_points"] = None
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "config.json").write_text(json.dumps(config))
    with pytest.raises(InvalidBundle, match="'bare' has no thresholds to give"):
        measure(tmp_path / "t.csv", tmp_path / "m.json", thresholds=str(tmp_path / "bare"))


def test_one_class_only_is_null_with_a_why(table, tmp_path):
    metrics = measure(table(target_Nodule=0), tmp_path / "metrics.json")
    assert metrics["findings"]["Nodule"]["auroc"]["value"] is None
    assert metrics["findings"]["Nodule"]["auroc"]["why"] == "no film has the finding"
    assert metrics["macro"]["auroc"]["findings"] == ["Mass"]


def test_two_tables_scored_into_one_folder_keep_both_their_curves(table, tmp_path):
    for name, more in (("a", {}), ("b", {"prob_Nodule": 0.5})):
        measure(table(f"{name}.csv", **more), tmp_path / f"{name}.json")
    curves = [json.loads((tmp_path / f"{name}-curves.json").read_text())["findings"]["Nodule"] for name in "ab"]
    assert curves[0] != curves[1]
    assert not (tmp_path / "curves.json").exists()


def test_several_splits_are_asked_about_and_a_bad_out_is_refused(table, tmp_path):
    path = table(split=["a"] * 200 + ["b"] * 200)
    with pytest.raises(InvalidPredictions, match="has the splits a, b; say which with --split"):
        measure(path, tmp_path / "metrics.json")
    assert measure(path, tmp_path / "metrics.json", split="b")["n"] == 200
    for out in (tmp_path, tmp_path / "curves.json"):
        with pytest.raises(CxrError, match="--out names a file"):
            measure(path, out, split="a")
    with pytest.raises(CxrError, match="cannot write"):
        measure(path, path / "metrics.json", split="a")
    (tmp_path / "t.json").write_text('{"Mass": 0.5}')
    with pytest.raises(InvalidPredictions, match="choose one"):
        measure(path, tmp_path / "m.json", thresholds=str(tmp_path / "t.json"), tune_fraction=0.5, split="a")


def test_our_own_table_is_named_by_the_scores_beside_it(table, tmp_path):
    folder = tmp_path / "evaluation" / "nih-test"
    folder.mkdir(parents=True)
    read_predictions(table()).write(folder / "predictions.parquet")
    told = {"dataset": "nih", "model": "mine@0123", "split_origin": "official"}
    thresholds = {"Mass": {"threshold": 0.4}, "Nodule": {"threshold": 0.3}}
    (folder / "metrics.json").write_text(json.dumps({**told, "findings": thresholds}))
    metrics = measure(folder / "predictions.parquet", tmp_path / "metrics.json")
    assert {key: metrics[key] for key in told} == told
    calls = compare(folder / "predictions.parquet", folder / "predictions.parquet")["findings"]["Mass"]["calls"]
    frame = pd.read_csv(tmp_path / "mine.csv")
    assert calls["sensitivity"]["first"] == pytest.approx((frame.prob_Mass >= 0.4)[frame.target_Mass == 1].mean())


def test_comparison_is_paired_on_the_films_that_both_have(table, tmp_path, capsys):
    one, two = table("one.csv", split=split_column()), table("two.csv", seed=1, split=split_column())
    frame = pd.read_csv(two)
    frame = frame.drop(index=[390, 391, 392]).sample(frac=1, random_state=0)
    frame.to_csv(two, index=False)
    result = compare(one, two)
    assert (result["n"], result["only_first"], result["only_second"]) == (197, 3, 0)
    same = pd.read_csv(one).merge(pd.read_csv(two), on="image", suffixes=("", "_2")).query("split == 'test'")
    for name in ("Mass", "Nodule"):
        first, second = (roc_auc_score(same[f"target_{name}"], same[f"prob_{name}{s}"]) for s in ("", "_2"))
        gap = result["findings"][name]["difference"]
        assert gap["value"] == pytest.approx(first - second, abs=1e-12)
        assert gap["low"] < gap["value"] < gap["high"]
        assert result["findings"][name]["p"] <= result["findings"][name]["p_holm"]
        assert 0 < result["findings"][name]["calls"]["agreement"] < 1
    text = capsys.readouterr().out
    assert "3 only in the first and 0 only in the second are left out" in text
    assert "Mass" in text
    assert "McNemar p" in text


def test_comparison_as_json_is_one_object_and_says_why_calls_are_missing(table, capsys):
    compare(table("one.csv"), table("two.csv", seed=1), as_json=True)
    printed = json.loads(capsys.readouterr().out)
    assert printed["findings"]["Mass"]["calls"] is None
    assert "not both tables have thresholds" in printed["findings"]["Mass"]["why_no_calls"]


def test_a_model_against_itself_shows_no_difference(table):
    path = table(split=split_column())
    result = compare(path, path)
    for entry in result["findings"].values():
        assert (entry["difference"]["value"], entry["p"]) == (0, 1)
        assert entry["calls"]["agreement"] == 1


def test_two_classes_are_one_comparison(tmp_path):
    rng = np.random.default_rng(4)
    sick = rng.random(120) < 0.5
    for name in ("one", "two"):
        p = 1 / (1 + np.exp(-(sick + rng.normal(0, 1, 120))))
        frame = pd.DataFrame({"image": range(120), "prob_Normal": 1 - p, "prob_Pneumonia": p})
        frame.assign(label=np.where(sick, "Pneumonia", "Normal")).to_csv(tmp_path / f"{name}.csv", index=False)
    found = compare(tmp_path / "one.csv", tmp_path / "two.csv")["findings"]
    assert found["Pneumonia"]["p_holm"] == found["Pneumonia"]["p"] == pytest.approx(found["Normal"]["p"])
    assert (found["Normal"]["p_holm"], found["Normal"]["why"]) == (None, "not corrected")


def test_tables_of_other_films_findings_or_truths_are_not_compared(table, tmp_path):
    one = table("one.csv")
    with pytest.raises(InvalidPredictions, match=r"no film is in both tables: the first calls one '0.png'"):
        compare(one, table("two.csv", image=[f"x{k}" for k in range(400)]))
    with pytest.raises(InvalidPredictions, match=r"disagree on \d+ label\(s\) of \d+ film"):
        compare(one, table("two.csv", target_Mass=0))
    renamed = pd.read_csv(one).rename(columns=lambda n: n.replace("Mass", "Edema").replace("Nodule", "Hernia"))
    renamed.to_csv(tmp_path / "three.csv", index=False)
    with pytest.raises(InvalidPredictions, match="different findings: Mass, Nodule, and Edema, Hernia"):
        compare(one, tmp_path / "three.csv")


@pytest.mark.parametrize(
    ("numbers", "signed", "text"),
    [
        ((0.8714, 0.8516, 0.8902), False, "0.871 (0.852-0.890)"),
        ((0.0123, -0.0031, 0.0277), True, "+0.012 (-0.003 to +0.028)"),
        ((0.5, None, None), False, "0.500"),
        ((-0.5, None, None), True, "-0.500"),
        ((None, None, None), False, "-"),
    ],
)
def test_an_estimate_is_written_in_one_way(numbers, signed, text):
    estimate = dict(zip(("value", "low", "high"), numbers, strict=True))
    assert NumberFormat(signed=signed).estimate(estimate) == text


def test_curves_are_drawn_only_when_asked_for(table, monkeypatch):
    asked = []
    monkeypatch.setattr(scoring, "curves", lambda films, split: asked.append(split) or {"findings": {}})
    scored = scoring.score_table(read_predictions(table()))
    assert not asked
    assert scored.curves is scored.curves
    assert asked == ["test"]
