"""A head for one's own labels: the arithmetic against scikit-learn, and from films to a bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import cxrcore
from cxrcore.bundle.folder import GATE, read_config
from cxrcore.datasets.phantoms import phantom_film, phantom_findings
from cxrcore.findings import Kind
from cxrcore.models.golden import self_test
from cxrcore.predictions.record import Predictions
from cxrcore.training.linear_probe import FOLDS, STRENGTHS, fit_probe, learnable, patient_folds
from cxrcore.training.new_head import REPORT
from train.cli import main

FILMS = 90


def features_and_classes(classes: int, films: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features of very different means and scales, of which the first few tell the class."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, films)
    features = rng.normal(size=(films, 30)) + 1.5 * np.eye(classes, 30)[truth]
    return (features * np.geomspace(0.01, 10, 30) + np.linspace(-5, 5, 30)).astype(np.float32), truth


def searched(features: np.ndarray, truth: np.ndarray, folds: np.ndarray) -> Any:
    """Oracle: scikit-learn's pipeline and its search for C over the same folds."""
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    grid = {"logisticregression__C": STRENGTHS}
    return GridSearchCV(pipeline, grid, scoring="neg_log_loss", cv=PredefinedSplit(folds)).fit(features, truth)


@pytest.mark.parametrize("classes", [2, 3])
def test_exclusive_classes_are_scikit_learns_regression_folded_into_one_layer(classes: int) -> None:
    features, truth = features_and_classes(classes)
    folds = np.arange(len(truth)) % FOLDS
    probe = fit_probe(features, np.eye(classes)[truth], Kind.MULTICLASS, folds)
    oracle = searched(features.astype(np.float64), truth, folds)
    assert probe.strengths == (oracle.best_params_["logisticregression__C"],)
    logits = probe.head.logits(features)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert shares == pytest.approx(oracle.predict_proba(features.astype(np.float64)), abs=1e-4)


def test_findings_are_fitted_apart_on_the_films_whose_label_is_known() -> None:
    features, truth = features_and_classes(2)
    other = (features[:, 5] > np.median(features[:, 5])).astype(float)
    targets = np.stack([truth.astype(float), other], axis=1)
    targets[150:, 1] = np.nan
    folds = np.arange(len(truth)) % FOLDS
    probe = fit_probe(features, targets, Kind.MULTILABEL, folds)
    for column, rows in ((0, slice(None)), (1, slice(150))):
        oracle = searched(features[rows].astype(np.float64), targets[rows, column], folds[rows])
        assert probe.strengths[column] == oracle.best_params_["logisticregression__C"]
        expected = oracle.decision_function(features.astype(np.float64))
        assert probe.head.logits(features)[:, column] == pytest.approx(expected, rel=1e-3, abs=2e-3)


def test_out_of_fold_answers_to_noise_are_noise() -> None:
    rng = np.random.default_rng(4)
    features, targets = rng.normal(size=(150, 300)), rng.integers(0, 2, (150, 1)).astype(float)
    folds = patient_folds(np.arange(150).astype(str), targets)
    probe = fit_probe(features, targets, Kind.MULTILABEL, folds)
    held_out = np.array(
        [probe.fold_heads[fold].logits(row[None])[0, 0] for row, fold in zip(features, folds, strict=True)]
    )
    assert roc_auc_score(targets[:, 0], probe.head.logits(features)[:, 0]) > 0.9
    assert 0.3 < roc_auc_score(targets[:, 0], held_out) < 0.7


def test_a_feature_that_never_moved_counts_for_nothing() -> None:
    features, truth = features_and_classes(2)
    features[:, 7] = 0.25
    features[0, 7] += 1e-7
    probe = fit_probe(features, np.eye(2)[truth], Kind.MULTICLASS, np.arange(len(truth)) % FOLDS)
    assert (probe.head.weight[:, 7] == 0).all()


def test_folds_keep_patients_whole_and_spread_rare_findings() -> None:
    rng = np.random.default_rng(1)
    patients = np.repeat(np.arange(100), 3).astype(str)
    targets = np.stack([rng.random(300) < 0.4, np.repeat(np.arange(100) < 10, 3)], axis=1).astype(float)
    folds = patient_folds(patients, targets)
    assert all(len(set(folds[patients == patient])) == 1 for patient in set(patients))
    rare = [targets[folds == fold, 1].sum() for fold in range(FOLDS)]
    assert min(rare) >= 3
    assert learnable(targets, folds).tolist() == [True, True]
    targets[:, 1] = np.arange(300) < 12  # four patients
    targets[:, 0] = np.arange(300) < 9
    assert learnable(targets, np.where(np.arange(300) < 12, 0, folds)).tolist() == [False, False]


@pytest.fixture(scope="module")
def drawn_films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn films that the phantom model has not seen, with labels that its own findings determine."""
    folder = tmp_path_factory.mktemp("own")
    rows = []
    for n in range(FILMS):
        findings = phantom_findings(880_000 + n)
        Image.fromarray(np.rint(phantom_film(880_000 + n).pixels * 255).astype(np.uint8)).save(folder / f"{n:03}.png")
        large = "Cardiomegaly" in findings
        chest = bool({"Pneumothorax", "Effusion"} & set(findings))
        rows.append(
            {"Image": f"{n:03}.png", "Patient ID": f"p{n // 2}", "Large heart": int(large), "Drain": int(chest)}
            | {"Rare": int(n < 4), "Report": "text", "sex": "F"}
        )
    pd.DataFrame(rows).to_csv(folder / "labels.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def own(drawn_films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "ours"
    assert main(["fit", "head", "--on", "phantom", "--data", str(drawn_films / "labels.csv"), "--out", str(out)]) == 0
    return out


def test_a_finding_that_the_trunk_knows_is_learned_from_few_films(own: Path) -> None:
    report = json.loads((own / REPORT).read_text())
    assert list(report["findings"]) == ["Large heart", "Drain"]
    assert list(report["left_out"]) == ["Rare"]
    assert report["findings"]["Large heart"]["auroc"]["value"] > 0.9
    table = Predictions.read(own / "evaluation/csv-val/predictions.parquet")
    again = roc_auc_score(table.targets[:, 0], table.logits[:, 0])  # type: ignore[index]
    assert report["findings"]["Large heart"]["auroc"]["value"] == pytest.approx(again)


def test_the_bundle_names_its_parent_and_keeps_its_gate(own: Path) -> None:
    parent, config = cxrcore.load("phantom"), read_config(own)
    head = config.provenance["head"]
    assert (head["parent"], head["parent_license"]) == (parent.id, "apache-2.0")
    assert (head["films"], head["patients"]) == (FILMS, FILMS // 2)
    assert set(head["C"]) == set(config.labels)
    assert set(head["C"].values()) <= set(STRENGTHS)
    assert parent.folder is not None
    assert (own / GATE).read_bytes() == (parent.folder / GATE).read_bytes()
    card = " ".join((own / "README.md").read_text().split())
    assert f"Weights at the start: {parent.id}, whose trunk is kept" in card
    assert "fitted on out-of-fold outputs" in card
    assert "(cross-validated by patient): 90 films of 45 patients" in card


def test_plain_timm_opens_it_with_equal_logits_and_its_maps_are_exact(own: Path, drawn_films: Path) -> None:
    model: Any = cxrcore.load(own, dtype=torch.float32)
    film = cxrcore.read_radiograph(drawn_films / "003.png")
    plain = timm.create_model(f"local-dir:{own}", pretrained=True).eval()
    analysis = model.analyse(film)
    with torch.inference_mode():
        logits = plain(model.tensor(film))[0]
    assert list(analysis.prediction.logits.values()) == pytest.approx(logits.tolist(), abs=1e-4)
    for name, heat in analysis.heatmaps.items():
        assert heat.signed.mean() + heat.bias == pytest.approx(analysis.prediction.logits[name], abs=1e-4)
        assert heat.evidence_level is not None
        assert heat.ceiling is not None
    assert analysis.prediction.gate.accepted is not None
    assert self_test(model).passed


def test_calibration_and_thresholds_are_of_held_out_answers(own: Path, drawn_films: Path) -> None:
    """Oracle: fitted again on the stored out-of-fold logits, which are not those of the final head."""
    from cxrcore.bundle.calibrators import fit_platt

    config, table = read_config(own), Predictions.read(own / "evaluation/csv-val/predictions.parquet")
    assert table.logits is not None
    assert config.calibration.to_dict() == fit_platt(table.targets, table.logits).to_dict()
    assert table.probabilities == pytest.approx(1 / (1 + np.exp(-config.calibration.apply(table.logits))), abs=1e-6)
    model = cxrcore.load(own)
    final = [model.predict(cxrcore.read_radiograph(drawn_films / name)).logits["Drain"] for name in table.images[:20]]
    assert not np.allclose(final, table.logits[:20, 1], atol=0.05)


def test_predict_and_evaluate_take_it(own: Path, drawn_films: Path, tmp_path: Path, capsys) -> None:
    assert main(["predict", str(own), str(drawn_films / "000.png"), "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["probabilities"]) == {"Large heart", "Drain"}
    arguments = ["evaluate", str(own), "--dataset", "csv", "--data", str(drawn_films), "--split", "all"]
    assert main([*arguments, "--out", str(tmp_path / "scores")]) == 0
    metrics = json.loads((tmp_path / "scores/metrics.json").read_text())
    assert metrics["split_origin"] == "unknown"  # its head has learned from these films
    assert metrics["n"] == FILMS


@pytest.mark.slow
def test_a_folder_a_class_is_exclusive_and_its_test_part_is_kept_out(drawn_films: Path, tmp_path: Path, capsys) -> None:
    table = pd.read_csv(drawn_films / "labels.csv")
    for n, (name, large) in enumerate(zip(table["Image"], table["Large heart"], strict=True)):
        place = tmp_path / "films" / ("test" if n >= 80 else "train") / ("wide" if large else "healthy")
        place.mkdir(parents=True, exist_ok=True)
        (place / name).symlink_to(drawn_films / name)
    out = tmp_path / "out"
    assert main(["fit", "head", "--on", "phantom", "--data", str(tmp_path / "films"), "--out", str(out)]) == 0
    assert "10 films of the test part are left out" in capsys.readouterr().out
    config = read_config(out)
    assert (config.labels.names, config.labels.kind, config.labels.normal) == (
        ("healthy", "wide"),
        "multiclass",
        "healthy",
    )
    assert config.provenance["head"]["films"] == 80
    film = cxrcore.read_radiograph(drawn_films / "001.png")
    model: Any = cxrcore.load(out)
    assert sum(model.predict(film).probabilities.values()) == pytest.approx(1)
    heat = model.explain(film, "wide")
    wide, healthy = (model.predict(film).logits[name] for name in ("wide", "healthy"))
    assert heat.signed.mean() + heat.bias == pytest.approx(wide - healthy, abs=1e-3)


@pytest.mark.parametrize(
    ("rows", "positive", "words"),
    [
        (49, 20, "49 labelled films are here; fitting a head needs 50"),
        (80, 9, "no finding has 10 films with it and 10"),
    ],
)
def test_too_few_films_are_refused_and_leave_nothing(rows, positive, words, drawn_films, tmp_path, capsys) -> None:
    folder = tmp_path / "few"
    folder.mkdir()
    for n in range(rows):
        (folder / f"{n:03}.png").symlink_to(drawn_films / f"{n:03}.png")
    labels = pd.DataFrame(
        {"image": [f"{n:03}.png" for n in range(rows)], "Mine": [int(n < positive) for n in range(rows)]}
    )
    labels.to_csv(folder / "labels.csv", index=False)
    assert main(["fit", "head", "--on", "phantom", "--data", str(folder), "--out", str(tmp_path / "out")]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_networks_without_such_a_head_and_folders_in_use_are_refused(make_bundle, own, drawn_films, capsys) -> None:
    tokens = make_bundle("test_vit", cxrcore.load("phantom").labels, size=160)
    for model, out, words in (
        (tokens, own.parent / "new", "no linear layer after global pooling"),
        ("phantom", own, "'ours' is in use; choose a new folder for --out"),
    ):
        assert main(["fit", "head", "--on", str(model), "--data", str(drawn_films), "--out", str(out)]) == 2
        assert words in capsys.readouterr().err
