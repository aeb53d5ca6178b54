"""Overview, ranking, threshold and calibration: what each page shows, compared with metrics.json and scikit-learn."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, roc_auc_score
from streamlit.testing.v1 import AppTest

from cxrcore.bundle.folder import embedded_models
from cxrcore.evaluation.split_origins import SPLIT_ORIGINS
from cxrcore.models.opening import find_bundle
from cxrcore.predictions.record import Predictions
from dashboard.charts.calibration import FEW
from dashboard.parts import BADGES
from dashboard.sources.opening import open_source
from tests.dashboard.opening import (
    PHANTOM,
    PNEUMONIA,
    ROOT,
    cards,
    charts,
    checked,
    link,
    open_page,
    stored,
    without_table,
    words,
)

PAGES = ("overview", "rank", "threshold", "calibration")
ALL_PAGES = (
    *PAGES,
    "triage",
    "subgroups",
    "audit",
    "localisation",
    "films",
    "compare",
    "readers",
    "drift",
    "checklists",
)
FINDING = "Effusion"


@pytest.fixture(scope="module")
def films() -> Predictions:
    return Predictions.read(find_bundle(PHANTOM) / "evaluation" / "phantom-test" / "predictions.parquet")


@pytest.fixture(scope="module")
def chexnet(data_dir: Path) -> dict[str, str]:
    """The link to a published model's table."""
    nih = data_dir / "nih"
    return {"model": str(nih / "chexnet_predictions.csv.gz"), "labels": str(nih / "Data_Entry_2017_v2020.csv.gz")}


@pytest.mark.parametrize("model", embedded_models())
@pytest.mark.parametrize("page", PAGES)
def test_every_page_asks_a_question_and_names_model_and_split(page: str, model: str) -> None:
    at = open_page(page, model=model)
    assert at.header[0].value.endswith("?")
    assert open_source(model).metrics.origin.label in words(at)
    assert model in words(at)
    assert "never for diagnosis" in words(at)
    assert charts(at)


def test_every_origin_of_a_split_has_a_colour() -> None:
    assert set(BADGES) == set(SPLIT_ORIGINS)


def test_overview_shows_what_metrics_json_says() -> None:
    at, metrics = open_page("overview", model=PNEUMONIA), stored(PNEUMONIA, "kermany-test")
    scores, shown = metrics["findings"]["Pneumonia"], cards(at)
    assert shown["AUROC, Pneumonia"] == f"{scores['auroc']['value']:.3f}"
    assert shown["Sensitivity"] == f"{100 * scores['sensitivity']:.1f} %"
    assert shown["Specificity"] == f"{100 * scores['specificity']:.1f} %"
    assert shown["Accuracy"] == f"{100 * metrics['accuracy']:.1f} %"


def test_overview_of_several_findings_shows_the_mean() -> None:
    at, metrics = open_page("overview", model=PHANTOM), stored(PHANTOM, "phantom-test")
    assert cards(at)["Mean AUROC"] == f"{metrics['macro']['auroc']['value']:.3f}"
    assert "synthetic films" in at.warning[0].value


def test_overview_draws_the_training_history() -> None:
    drawn = charts(open_page("overview", model=PHANTOM))
    losses = next(
        chart for chart in drawn if [trace.get("name") for trace in chart["data"]] == ["training", "validation"]
    )
    epochs = (find_bundle(PHANTOM) / "training" / "history.jsonl").read_text("utf-8").splitlines()
    assert all(len(trace["x"]) == len(epochs) for trace in losses["data"])


def test_rank_draws_the_curve_that_was_stored() -> None:
    at = open_page("rank", model=PNEUMONIA, finding="Pneumonia")
    scores = stored(PNEUMONIA, "kermany-test")["findings"]["Pneumonia"]
    assert f"AUROC {scores['auroc']['value']:.3f}" in words(at)
    assert f"({scores['auroc']['low']:.3f}–{scores['auroc']['high']:.3f})" in words(at)
    table = at.dataframe[0].value.set_index("finding")
    assert table.loc["Pneumonia", "auroc"] == scores["auroc"]["value"]
    assert table.loc["Pneumonia", "auprc_low"] == scores["auprc"]["low"]


def test_rank_band_is_wilsons_where_every_patient_has_one_film(films: Predictions) -> None:
    band, curve = charts(open_page("rank", model=PHANTOM, finding=FINDING))[0]["data"][1:3]
    half = len(band["x"]) // 2
    n_pos = int((films.targets[:, films.labels.index(FINDING)] == 1).sum())
    drawn = set(zip(np.round(band["y"][half:][::-1], 9), np.round(band["y"][:half], 9), strict=True))
    possible = [binomtest(round(y * n_pos), n_pos).proportion_ci(method="wilson") for y in curve["y"]]
    assert len(drawn) >= 10
    assert drawn <= {(round(ci.low, 9), round(ci.high, 9)) for ci in possible}


def test_rank_shows_every_finding_small() -> None:
    at = open_page("rank", model=PHANTOM)
    titles = [chart["layout"]["annotations"][0]["text"] for chart in charts(at) if chart["layout"].get("annotations")]
    assert sum(any(name in text for text in titles) for name in ("Cardiomegaly", "Effusion", "Nodule")) == 3


@pytest.mark.parametrize("threshold", [0.05, 0.37, 0.8])
def test_confusion_at_a_threshold_is_scikit_learns(films: Predictions, threshold: float) -> None:
    at = open_page("threshold", model=PHANTOM, finding=FINDING, threshold=str(threshold))
    column = films.labels.index(FINDING)
    calls = films.probabilities[:, column].astype(float) >= threshold
    tn, fp, fn, tp = confusion_matrix(films.targets[:, column], calls).ravel()
    shown = cards(at)
    assert shown["Sensitivity"] == f"{100 * tp / (tp + fn):.1f} %"
    assert shown["Specificity"] == f"{100 * tn / (tn + fp):.1f} %"
    assert shown["PPV"] == f"{100 * tp / (tp + fp):.1f} %"
    drawn = " ".join(str(chart["data"][0].get("text")) for chart in charts(at))
    counts = {"true positives": tp, "false positives": fp, "false negatives": fn, "true negatives": tn}
    for word, count in counts.items():
        assert f"<b>{count}</b> {word}" in drawn


def _point(at: AppTest) -> dict:
    """The threshold's dot on the ROC curve."""
    last = (chart["data"][-1] for chart in charts(at))
    return next(trace for trace in last if trace.get("name", "").startswith("threshold"))


def test_moving_the_slider_moves_the_point_and_the_link(films: Predictions) -> None:
    at = open_page("threshold", model=PHANTOM, finding=FINDING)
    before = _point(at)
    checked(at.slider[0].set_value(0.9).run())
    after = _point(at)
    assert after["y"] != before["y"]
    assert float(link(at, "threshold") or 0) == 0.9
    assert at.selectbox(key="rule-family").value == "by hand"
    column = films.labels.index(FINDING)
    found = (films.probabilities[:, column] >= 0.9)[films.targets[:, column] == 1].mean()
    assert cards(at)["Sensitivity"] == f"{100 * found:.1f} %"


def test_a_preset_is_chosen_on_validation_films() -> None:
    at = open_page("threshold", model=PHANTOM, finding=FINDING)
    checked(at.selectbox(key="rule-family").set_value("sensitivity").run())
    assert link(at, "rule") == "sensitivity=0.95"
    assert "308 validation films" in words(at)
    own = Predictions.read(find_bundle(PHANTOM) / "evaluation" / "phantom-val" / "predictions.parquet")
    column = own.labels.index(FINDING)
    calls = own.probabilities[:, column] >= at.slider[0].value
    assert calls[own.targets[:, column] == 1].mean() >= 0.95


def test_reported_threshold_without_a_table_has_the_reported_rates(tmp_path: Path) -> None:
    at = open_page("threshold", model=without_table(tmp_path / "mine"), finding="Pneumonia")
    scores = stored(PNEUMONIA, "kermany-test")["findings"]["Pneumonia"]
    for label, key in (("Sensitivity", "sensitivity"), ("Specificity", "specificity"), ("PPV", "ppv"), ("NPV", "npv")):
        assert cards(at)[label] == f"{100 * scores[key]:.1f} %"
    span = scores["intervals"]["sensitivity"]
    assert at.metric[0].delta == "–".join(f"{100 * end:.1f}" for end in span)
    checked(at.slider[0].set_value(0.5).run())
    assert "without a table of films" in words(at)
    matrix = next(
        chart
        for chart in charts(at)
        if chart["data"][0]["type"] == "heatmap" and "Normal" in str(chart["data"][0]["x"])
    )
    assert f"<b>{stored(PNEUMONIA, 'kermany-test')['confusion'][1][1]:,}</b>" in str(matrix["data"][0]["text"])


def test_predictive_value_follows_bayes() -> None:
    at = open_page("threshold", model=PHANTOM, finding=FINDING)
    checked(at.number_input(key=f"share-{FINDING}").set_value(1.0).run())
    scores = stored(PHANTOM, "phantom-test")["findings"][FINDING]
    hit, alarm = 0.01 * scores["sensitivity"], 0.99 * (1 - scores["specificity"])
    assert f"PPV **{100 * hit / (hit + alarm):.1f} %" in words(at)


def test_calibration_shows_ece_beside_chance_and_both_calibrations(films: Predictions) -> None:
    at = open_page("calibration", model=PHANTOM, finding=FINDING)
    scores = stored(PHANTOM, "phantom-test")["findings"][FINDING]
    assert cards(at)["ECE"] == f"{scores['ece']:.3f}"
    assert at.metric[0].delta == f"{scores['ece_expected']:.3f} by chance"
    traces = charts(at)[0]["data"]
    named = [trace["name"] for trace in traces if trace.get("showlegend", True)]
    assert named == ["perfect calibration", "calibrated", "before calibration"]
    assert sum(next(trace["y"] for trace in traces if trace["type"] == "bar")) == len(films)
    joined = [trace for trace in traces if trace.get("mode") == "lines+markers"]
    assert all(films_of_bin >= FEW for trace in joined for films_of_bin in trace["customdata"])
    column = films.labels.index(FINDING)
    drawn = charts(at)[1]["data"]
    with_it = next(trace for trace in drawn if trace["name"] == "with finding")
    assert np.nansum(np.array(with_it["y"], dtype=float)) == (films.targets[:, column] == 1).sum()


def test_calibration_says_what_needs_a_table(tmp_path: Path) -> None:
    assert "come without a table of films" in words(open_page("calibration", model=without_table(tmp_path / "mine")))


def test_the_audit_of_a_model_is_shown_with_its_sentences_areas_and_films() -> None:
    at, audit = open_page("audit", model=PNEUMONIA), stored(PNEUMONIA, "kermany-test", "audit.json")
    shown = words(at)
    assert all(part in shown for line in audit["sentences"] for part in line.split(": ")[:1])
    table = at.dataframe[0].value.set_index("Finding")
    for key, label in audit["baselines"].items():
        value = audit["findings"]["Pneumonia"]["baselines"][key]["auroc"]["value"]
        assert table.loc["Pneumonia", label].startswith("–" if value is None else f"{value:.3f}")
    drawn = {trace["name"]: trace["x"] for trace in charts(at)[0]["data"]}
    assert drawn["the model"] == [audit["findings"]["Pneumonia"]["auroc"]["value"]]
    films = [film["image"] for film in audit["label_errors"]["Pneumonia"]["films"]]
    assert at.dataframe[1].value["Film"].tolist() == films


def test_without_an_audit_the_page_gives_the_command(tmp_path: Path) -> None:
    folder = without_table(tmp_path / "mine")
    (Path(folder) / "evaluation" / "kermany-test" / "audit.json").unlink()
    shown = words(open_page("audit", model=folder))
    assert f"cxr audit {folder} --dataset kermany --data DIR --split test" in shown


def test_a_bare_table_gets_commands_without_a_model_s_name() -> None:
    table = str(find_bundle(PHANTOM) / "evaluation" / "phantom-test" / "predictions.parquet")
    shown = words(open_page("audit", model=table))
    for verb in ("evaluate", "audit"):
        assert f"`cxr {verb} MODEL --dataset DATASET --data DIR --split test --out RESULTS" in shown
    shown = words(open_page("checklists", model=table))
    assert "--out DIR/evaluation/DATASET-test" in shown


def test_changed_films_are_drawn_with_their_differences(tmp_path: Path) -> None:
    folder = without_table(tmp_path / "mine")
    path = Path(folder) / "evaluation" / "kermany-test" / "robustness.json"
    path.unlink(missing_ok=True)
    assert f"cxr evaluate {folder} --dataset kermany --data DIR --split test --out RESULTS --shake 300" in words(
        open_page("audit", model=folder)
    )
    gap = {"value": -0.02, "low": -0.03, "high": -0.01}
    share = {"value": 0.125, "low": 0.1, "high": 0.15}
    own = {"auroc": {"value": 0.9}, "difference": gap, "moved": 0.05, "crossed": share}
    data = {
        "schema": 1,
        "model": stored(PNEUMONIA, "kermany-test")["model"],
        "dataset": "kermany",
        "split": "test",
        "n": 300,
        "n_patients": 250,
        "of": 521,
        "unchanged": {"auroc": {"value": 0.92}, "findings": {"Pneumonia": {"auroc": {"value": 0.92}}}},
        "changes": {"mirrored": own | {"findings": {"Pneumonia": own, "Normal": own}}},
    }
    data["unchanged"]["findings"]["Normal"] = data["unchanged"]["findings"]["Pneumonia"]
    path.write_text(json.dumps(data))
    at = open_page("audit", model=folder)
    assert "300 of 521 films" in words(at)
    assert charts(at)[-1]["data"][0]["x"] == [-0.02]
    row = at.dataframe[-1].value.set_index("change").loc["mirrored"]
    assert row["difference (95 %)"] == "-0.020 (-0.030 to -0.010)"
    assert row["answers that change"] == "12.5 % (10.0-15.0 %)"


def test_a_damaged_audit_is_one_sentence(tmp_path: Path) -> None:
    folder = without_table(tmp_path / "mine")
    (Path(folder) / "evaluation" / "kermany-test" / "audit.json").write_text('{"schema": 1, "findings": []}')
    at = AppTest.from_file(str(ROOT / "dashboard" / "app.py"), default_timeout=60)
    at.query_params["model"] = folder
    assert "cannot be read; run cxr audit again" in words(checked(at.run()))


@pytest.mark.slow
def test_no_page_imports_torch() -> None:
    code = (
        "import sys; from tests.dashboard.opening import checked, open_page\n"
        f"at = open_page('overview', model={PHANTOM!r})\n"
        f"for page in {ALL_PAGES}: checked(at.switch_page(f'screens/{{page}}.py').run())\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_published_table_has_scikit_learns_areas_and_references(chexnet: dict[str, str]) -> None:
    at = open_page("rank", **chexnet, finding="Pneumothorax")
    table = at.dataframe[0].value.set_index("finding")
    p = pd.read_csv(chexnet["model"]).set_index("Image Index")
    y = pd.read_csv(chexnet["labels"]).set_index("Image Index").loc[p.index, "Finding Labels"]
    for name, row in table.iterrows():
        finding = str(name).replace(" ", "_")
        assert row["auroc"] == pytest.approx(roc_auc_score(y.str.contains(finding), p[f"prob_{finding}"]), abs=1e-9)
    assert "unknown whether the model saw these patients" in words(at)
    assert "Wang 2017, official split 0.799; CheXNet 2017, random split 0.889" in words(at)


def test_published_table_is_tuned_on_some_patients_and_scored_on_others(chexnet: dict[str, str]) -> None:
    at = open_page("threshold", **chexnet, finding="Pneumothorax", rule="specificity=0.9")
    assert "a random fifth of the patients" in words(at)
    assert float(cards(at)["Specificity"].removesuffix(" %")) == pytest.approx(90, abs=3)
    checked(at.slider[0].set_value(0.2).run())
    assert "a random fifth" not in words(at)


@pytest.mark.parametrize("page", ["overview", "calibration"])
def test_published_table_opens(chexnet: dict[str, str], page: str) -> None:
    at = open_page(page, **chexnet)
    assert "11,928 films of 3,117 patients" in words(at)


def test_checklists_show_the_rows_of_a_status() -> None:
    at = open_page("checklists", model=PNEUMONIA)
    assert "CLAIM 2024: " in words(at)
    rows = at.markdown[-1].value.splitlines()[2:]
    assert len(rows) == 44
    only = checked(at.selectbox(key="pick-status").set_value("not done").run()).markdown[-1].value.splitlines()[2:]
    assert only == [row for row in rows if "badge[not done]" in row]
    assert any("33 Testing on external data" in row for row in only)
    assert link(at, "status") == "not done"


def test_a_table_without_a_model_has_no_checklists(films: Predictions, tmp_path: Path) -> None:
    films.write(tmp_path / "predictions.parquet")
    at = open_page("checklists", model=str(tmp_path / "predictions.parquet"))
    assert "how its model was made" in words(at)
