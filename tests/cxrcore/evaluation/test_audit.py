"""An audit finds what was planted: sources, borders, copies of training films; and says what it cannot."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

import cxrcore
from cxrcore.bundle.folder import read_config
from cxrcore.datasets import read_dataset
from cxrcore.evaluation.audit import beside_baselines, by_source, near_duplicates
from cxrcore.evaluation.audit_report import as_table, read_audit, sentences
from cxrcore.evaluation.record import read_metrics
from cxrcore.findings import NIH14, PNEUMONIA2, TB2, LabelSet
from cxrcore.predictions.record import Predictions
from cxrcore.publishing.push import stage_bundle
from tests.cxrcore.datasets.test_duplicates import texture
from tests.films import chest
from tests.hub.fixtures import run_on
from train.cli import main

HEADER = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position\n"


def film(path: Path, seed: int, frame: int = 0) -> None:
    """A drawn film; ``frame``: grey values that its border is brighter by, as another scanner's may be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = chest(height=64, width=64, seed=seed).astype(int)
    inside = np.zeros((64, 64), bool)
    inside[5:-5, 5:-5] = True
    Image.fromarray(np.where(inside, pixels, pixels + frame).clip(0, 255).astype(np.uint8)).save(path)


def audited(capsys: pytest.CaptureFixture[str], out: Path, *arguments: object) -> tuple[dict, str]:
    """The audit that the command writes, and what it prints."""
    assert main(["audit", *map(str, arguments), "--out", str(out)]) == 0, capsys.readouterr().err
    return json.loads((out / "audit.json").read_text()), capsys.readouterr().out


@pytest.fixture(scope="module")
def two_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """NIH's layout with two copies of films: three of four with pneumonia lie in the one with a brighter border."""
    root = tmp_path_factory.mktemp("nih")
    rows = []
    for n in range(120):
        ill, name = n % 2 == 0, f"{n:08d}_000.png"
        folder = "images-320" if (n % 8 < 6) == ill else "images-256"
        film(root / folder / name, n, 60 * (folder == "images-320"))
        rows.append(f"{name},{'Pneumonia' if ill else 'No Finding'},0,{n},{30 + n % 40},{'MF'[n % 3 == 0]},PA\n")
    (root / "Data_Entry_2017_v2020.csv").write_text(HEADER + "".join(rows))
    return root


def test_a_finding_that_comes_mostly_from_one_of_two_folders_is_named(
    two_folders, make_bundle, tmp_path, capsys
) -> None:
    bundle = make_bundle("resnet10t", NIH14, 32)
    both = ("--folder", "images-256", "--folder", "images-320")
    where = (bundle, "--dataset", "nih", "--data", two_folders, "--split", "all")
    data, out = audited(capsys, tmp_path / "both", *where, *both)
    planted = "Pneumonia: 75 % of the films with it are from images-320, and 25 % of those without it."
    assert planted in data["sentences"]
    assert planted in out
    row = data["findings"]["Pneumonia"]["baselines"]
    assert row["source"]["auroc"]["low"] > 0.5
    assert row["border"]["auroc"]["low"] > 0.5
    assert row["person"]["auroc"]["low"] < 0.5
    assert data["sources"]["films"]["images-320"]["findings"]["Pneumonia"] == {"with": 45, "without": 15}
    assert data["findings"]["Hernia"]["auroc"]["why"] == "no film has the finding"
    alone, _ = audited(capsys, tmp_path / "one", *where, "--folder", "images-320")
    assert alone["sources"]["films"] is None
    assert "one source" in alone["findings"]["Pneumonia"]["baselines"]["source"]["auroc"]["why"]


@pytest.mark.slow
def test_the_two_nih_folders_are_told_apart_by_nih14(data_dir, tmp_path, capsys) -> None:
    """Real films: Effusion from one folder, films without it from the other."""
    table = read_dataset("nih", data_dir / "nih", NIH14, ["images-320"])
    other = read_dataset("nih", data_dir / "nih-256", NIH14)
    root = tmp_path / "nih"
    for name, films, ill in (("images-320", table, 1), ("nih-256", other, 0)):
        (root / name).mkdir(parents=True)
        rows = np.flatnonzero(films.targets[:, NIH14.index("Effusion")] == ill)[:100]
        rest = np.flatnonzero(films.targets[:, NIH14.index("Effusion")] != ill)[:20]
        for path in (films.paths[row] for row in (*rows, *rest)):
            shutil.copy(path, root / name)
    shutil.copy(data_dir / "nih" / "Data_Entry_2017_v2020.csv.gz", root)
    where = ("--dataset", "nih", "--data", root, "--split", "all", "--folder", "images-320", "--folder", "nih-256")
    data, _ = audited(capsys, tmp_path / "out", "nih14", *where)
    assert any(line.startswith("Effusion: 8") and "from images-320" in line for line in data["sentences"])
    assert data["findings"]["Effusion"]["baselines"]["source"]["auroc"]["low"] > 0.5


def test_sources_of_one_class_are_named(make_bundle, tmp_path, capsys) -> None:
    for number, (source, kind) in enumerate(
        (("pakistan-normal", "Normal"), ("pakistan-tb", "Tuberculosis"), ("r", "Normal"))
    ):
        for n in range(12):
            film(tmp_path / "tb" / kind / f"{source}-{10 * n + 1}.png", 100 * number + n, 40 * number)
    bundle = make_bundle("resnet10t", TB2, 32)
    data, out = audited(
        capsys, tmp_path / "out", bundle, "--dataset", "tb", "--data", tmp_path / "tb", "--split", "all"
    )
    assert "pakistan-normal (Normal), pakistan-tb (Tuberculosis), r (Normal)" in data["sentences"][0]
    assert data["findings"].keys() == {"Tuberculosis"}  # Normal is its complement
    assert "Tuberculosis: 100 % of the films with it are from pakistan-tb, and 0 % of those without it." in out


def of(labels: LabelSet, targets: np.ndarray, probabilities: np.ndarray) -> Predictions:
    names = np.array([f"{n}.png" for n in range(len(targets))])
    return Predictions(names, names, np.full(len(names), "test"), labels, targets, probabilities)


def test_a_probability_that_tells_sources_apart_within_a_class_is_named_and_no_other() -> None:
    rng = np.random.default_rng(0)
    ill, away = rng.random(400) < 0.4, rng.random(400) < 0.5
    for shift in (0.0, 0.2):
        p = np.clip(0.2 + 0.4 * ill + shift * away + rng.normal(0, 0.1, 400), 0.001, 0.999)
        films = of(PNEUMONIA2, np.column_stack([~ill, ill]), np.column_stack([1 - p, p]))
        rows = by_source(films, np.where(away, "away", "home").tolist())["told_apart"]
        assert [row["among"] for row in rows] == ["films of class Normal", "films of class Pneumonia"]
        assert {row["named"] for row in rows} == {shift > 0}
        for row, among in zip(rows, (~ill, ill), strict=True):  # oracle: scikit-learn
            assert row["auroc"]["value"] == pytest.approx(roc_auc_score(away[among], p[among]))


def test_a_baseline_as_good_as_the_model_gets_a_sentence_and_one_at_chance_none() -> None:
    rng = np.random.default_rng(1)
    ill = np.arange(300) % 3 == 0
    p = np.clip(0.3 + 0.3 * ill + rng.normal(0, 0.2, 300), 0.001, 0.999)
    columns: dict[str, np.ndarray | str] = {
        "border": np.column_stack([p + rng.normal(0, 0.05, 300)]),
        "tone": rng.normal(size=(300, 3)),
        "person": "the set has neither view nor age nor sex",
        "source": "one source",
    }
    data = {
        "baselines": dict.fromkeys(columns, "") | {"border": "the border", "tone": "tone"},
        "findings": beside_baselines(
            of(PNEUMONIA2, np.column_stack([~ill, ill]), np.column_stack([1 - p, p])), columns
        ),
        "sources": {"films": None, "notes": [], "told_apart": None, "why": ""},
    }
    lines = sentences(data)
    assert [line.split(" ", 3)[1] for line in lines] == ["above", "within"]
    assert "the border" in lines[0]
    assert "tone" not in "".join(lines)
    assert data["findings"]["Pneumonia"]["baselines"]["person"]["auroc"]["why"] == columns["person"]


def test_a_run_is_audited_in_its_own_folder_and_its_card_says_so(toy_run, kermany_like, tmp_path, capsys) -> None:
    run = tmp_path / "run"
    shutil.copytree(toy_run, run)
    films = tmp_path / "films"
    shutil.copytree(kermany_like, films)
    rows = [line.split(",") for line in (run / "training" / "split.csv").read_text().splitlines()]
    test, learned = (next(row[0] for row in rows if row[2] == split) for split in ("test", "train"))
    root = next(path for path in films.rglob("*.jpeg") if path.as_posix().endswith(test)).as_posix().removesuffix(test)
    drawn = Image.fromarray((texture(1) * 255).astype(np.uint8))
    drawn.save(root + learned)
    drawn.resize((96, 90)).save(root + test, quality=80)
    assert main(["audit", str(run), "--dataset", "kermany", "--data", str(films)]) == 0
    data = read_audit(run / "evaluation" / "kermany-test" / "audit.json")
    assert data["near_duplicates"]["pairs"] == [{"image": test, "training_image": learned}]
    row = data["findings"]["Pneumonia"]
    assert (
        row["auroc"]["value"]
        == read_metrics(run / "evaluation" / "kermany-test" / "metrics.json").findings["Pneumonia"].auroc.value
    )
    assert "fewer than 10 patients" in row["baselines"]["border"]["auroc"]["why"]
    assert data["findings"]["Pneumonia"]["baselines"]["person"]["auroc"]["value"] is None
    card = (run / "README.md").read_text()
    assert card.count("## What else could explain the score?") == 1
    assert as_table(data) in capsys.readouterr().out
    assert main(["audit", str(run), "--dataset", "kermany", "--data", str(films)]) == 0
    assert (run / "README.md").read_text() == card


def test_training_films_of_another_dataset_are_said_to_be_elsewhere(kermany_like) -> None:
    table = read_dataset("kermany", kermany_like, PNEUMONIA2)
    found = near_duplicates(cxrcore.load("phantom"), table, table, print)
    assert found["pairs"] is None
    assert "learned from phantom" in found["why"]


def test_what_cannot_be_audited_is_one_sentence_and_leaves_nothing(
    toy_run, kermany_like, two_folders, make_bundle, tmp_path, capsys
) -> None:
    def refused(*arguments: object) -> str:
        assert main(["audit", *map(str, arguments)]) == 2
        assert not (tmp_path / "out").exists()
        message: str = capsys.readouterr().err.strip().splitlines()[-1]
        return message

    out = ("--out", tmp_path / "out")
    assert "no run of yours" in refused("pneumonia", "--dataset", "kermany", "--data", kermany_like)
    assert "phantom5" in refused("phantom", "--dataset", "kermany", "--data", kermany_like, "--split", "all", *out)
    table = toy_run / "evaluation" / "kermany-val" / "predictions.parquet"
    where = (toy_run, "--dataset", "kermany", "--data", kermany_like, *out)
    assert "lacks 8 of the 8 films" in refused(*where, "--predictions", table)
    shutil.copytree(two_folders, tmp_path / "well")
    labels = tmp_path / "well" / "Data_Entry_2017_v2020.csv"
    labels.write_text(labels.read_text().replace("Pneumonia", "No Finding"))
    bundle = make_bundle("resnet10t", NIH14, 32)
    message = refused(bundle, "--dataset", "nih", "--data", tmp_path / "well", "--split", "all", *out)
    assert "no finding of resnet10t has films both with and without it" in message


def test_an_audit_leaves_the_machine_only_where_the_films_it_names_are_public(tmp_path) -> None:
    for dataset, name, leaves in (("csv", "mueller_{:04d}.png", False), ("nih", "0000{:04d}_000.png", True)):
        run = run_on(tmp_path / dataset, dataset, name)
        place = "evaluation/phantom-test/audit.json"
        data = toy_audit(dataset, name.format(3), read_config(run).name)
        (run / place).write_text(json.dumps(data))
        stage_bundle(run, tmp_path / f"{dataset}-staged")
        assert (tmp_path / f"{dataset}-staged" / place).is_file() == leaves


def toy_audit(dataset: str, image: str, model: str) -> dict:
    area = {"value": None, "low": None, "high": None, "why": "few"}
    return {
        "schema": 1,
        "model": model,
        "dataset": dataset,
        "split": "test",
        "n": 5,
        "n_patients": 5,
        "folds": 5,
        "baselines": {"border": "the border"},
        "findings": {"Effusion": {"n_pos": 2, "n_neg": 3, "auroc": area, "baselines": {"border": {"auroc": area}}}},
        "sources": {"films": None, "notes": [], "told_apart": None, "why": "one"},
        "label_errors": {"Effusion": {"candidates": 1, "films": [{"image": image, "label": 1, "probability": 0.1}]}},
        "near_duplicates": {"pairs": None, "count": None, "training_films": None, "why": "elsewhere"},
        "sentences": [],
    }
