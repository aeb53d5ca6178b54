"""``cxr evaluate --shake``; oracles: the page's own shaken film, scikit-learn's AUROC, and counting."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import cxrcore
from cxrcore.bundle.folder import embedded_folder, is_bundle_file, read_config
from cxrcore.datasets.phantoms import write_phantoms
from cxrcore.errors import InvalidPredictions
from cxrcore.evaluation.record import read_metrics
from cxrcore.evaluation.robustness import as_rows, measure_robustness, read_robustness
from cxrcore.models.shaking import CHANGES, shake
from cxrcore.predictions.record import Predictions
from cxrcore.publishing.model_card import show_checks, write_model_card
from cxrcore.reporting.bundle_facts import read_facts
from cxrcore.reporting.checklist_answers import Status
from cxrcore.reporting.checklists import fill_checklists
from train.cli import main
from train.report import report

FILMS = 24


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms")
    write_phantoms(folder, FILMS, seed=50_000)
    return folder


@pytest.fixture(scope="module")
def scores(films, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("scores")
    where = ["--dataset", "phantom", "--data", str(films), "--split", "all", "--out", str(out)]
    assert main(["evaluate", "phantom", *where, "--shake", "1000"]) == 0
    return out


@pytest.fixture(scope="module")
def data(scores) -> dict:
    return json.loads((scores / "robustness.json").read_text())


def test_each_change_is_scored_on_the_films_so_changed(films, scores, data):
    """The noise alone is another: each film has its own."""
    model, table = cxrcore.load("phantom"), Predictions.read(scores / "predictions.parquet")
    shaken = [shake(model, cxrcore.read_radiograph(films / "images" / image)) for image in table.images]
    assert (data["n"], data["of"], list(data["changes"])) == (FILMS, FILMS, list(CHANGES))
    for change in set(CHANGES) - {"noise"}:
        for column, name in enumerate(model.labels):
            own = data["changes"][change]["findings"][name]
            before, targets = table.probabilities[:, column], table.targets[:, column]
            after = np.array([film[change][name] for film in shaken])
            areas = [roc_auc_score(targets, probabilities) for probabilities in (after, before)]
            threshold = model.thresholds[name]
            assert own["auroc"]["value"] == pytest.approx(areas[0], abs=1e-6)
            assert own["difference"]["value"] == pytest.approx(areas[0] - areas[1], abs=1e-6)
            assert own["moved"] == pytest.approx(np.abs(after - before).mean(), abs=1e-4)
            assert own["crossed"]["value"] == np.mean((after >= threshold) != (before >= threshold))
            assert data["unchanged"]["findings"][name]["auroc"]["value"] == pytest.approx(areas[1], abs=1e-6)


def test_of_all_findings_areas_are_averaged_and_answers_counted(data):
    for own in data["changes"].values():
        each = own["findings"].values()
        assert own["auroc"]["value"] == pytest.approx(np.mean([one["auroc"]["value"] for one in each]))
        assert own["difference"]["value"] == pytest.approx(np.mean([one["difference"]["value"] for one in each]))
        assert own["crossed"]["n_pos"] == sum(one["crossed"]["n_pos"] for one in each)
        assert own["crossed"]["n_pos"] + own["crossed"]["n_neg"] == FILMS * len(own["findings"])


def test_a_sample_is_the_same_every_time_and_of_three_classes_the_winner_is_the_answer(films, scores):
    model, table, metrics = cxrcore.load("phantom"), Predictions.read(scores / "predictions.parquet"), None
    paths = {image: films / "images" / image for image in table.images.tolist()}
    metrics = read_metrics(scores / "metrics.json")
    one, other = (measure_robustness(model, paths, table, metrics, 5) for _ in range(2))
    assert one == other
    assert (one["n"], one["of"]) == (5, FILMS)

    three = cxrcore.load("pneumonia3")
    none = np.full((FILMS, 3), np.nan, np.float32)
    told = three.score([three.prepare(cxrcore.read_radiograph(path)) for path in paths.values()])[1]
    drawn = replace(table, labels=three.labels, targets=none, probabilities=told.astype(np.float32), logits=None)
    result = measure_robustness(three, paths, drawn, metrics, 6)
    assert result["unchanged"]["auroc"]["why"]
    for own in result["changes"].values():
        counts = [one["crossed"]["n_pos"] for one in own["findings"].values()]
        assert 2 * own["crossed"]["n_pos"] == sum(counts)  # one class loses, another wins
        assert own["crossed"]["n_pos"] + own["crossed"]["n_neg"] == 6


def test_a_bundle_with_it_says_so_in_checklist_card_and_report(films, tmp_path):
    bundle = shutil.copytree(embedded_folder("phantom"), tmp_path / "phantom")
    place = bundle / "evaluation" / "phantom-test"
    (place / "robustness.json").unlink(missing_ok=True)
    assert claim_30(bundle).status is Status.NOT_DONE
    table = Predictions.read(place / "predictions.parquet").rows(np.arange(3))
    paths = dict(zip(table.images.tolist(), sorted((films / "images").iterdir()), strict=False))
    data = measure_robustness(cxrcore.load(str(bundle)), paths, table, read_metrics(place / "metrics.json"), 3)
    (place / "robustness.json").write_text(json.dumps(data))

    answer, row = claim_30(bundle), as_rows(data)[2]
    assert answer.status is Status.DONE
    assert "3 of 3 films (3 patients) in 9 changes" in answer.text
    before = (bundle / "README.md").read_text()
    show_checks(bundle)
    assert f"| {' | '.join(row)} |" in (bundle / "README.md").read_text()
    (place / "robustness.json").unlink()
    show_checks(bundle)
    assert "when the film is changed" not in (bundle / "README.md").read_text()
    assert before.count("\n## ") - ("when the film is changed" in before) == (bundle / "README.md").read_text().count(
        "\n## "
    )
    (place / "robustness.json").write_text(json.dumps(data))
    write_model_card(bundle, read_config(bundle), pictures=False)
    assert "3 of 3 films (3 patients) in 9 changes" in (bundle / "README.md").read_text()
    page = report(str(bundle), tmp_path / "r.html").read_text("utf-8")
    assert "Changed films (does the answer hold?)" in page
    assert all(f"<td>{cell}</td>" in page for cell in row[1:])
    assert is_bundle_file("evaluation/phantom-test/robustness.json")


def claim_30(bundle: Path):
    return next(row for row in fill_checklists(read_facts(bundle))[0].rows if row.number == "30")


def test_scores_of_other_weights_are_no_scores_and_a_damaged_file_is_one_sentence(scores, tmp_path):
    model = read_metrics(scores / "metrics.json").model
    assert read_robustness(tmp_path, model) is None
    shutil.copy(scores / "robustness.json", tmp_path)
    assert read_robustness(tmp_path, model)["n"] == FILMS
    assert read_robustness(tmp_path, "phantom@0") is None
    (tmp_path / "robustness.json").write_text('{"schema": 1, "changes": []}')
    with pytest.raises(InvalidPredictions, match="cannot be read; run cxr evaluate --shake again"):
        read_robustness(tmp_path, model)
