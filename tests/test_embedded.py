"""The models that ship: they open, say what they were measured to be, and answer alike however a film is stored."""

import json
import re
import shutil
from functools import cache

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

import cxrcore
from benchmarks.embedded import RELIABILITY, SECTION, TRUST, embedded_table, reliability_table
from benchmarks.measuring import ROOT, read_section
from cxrcore.bundle.folder import EMBEDDED, TASKS, embedded_models, read_config
from cxrcore.datasets.boxes import read_boxes
from cxrcore.datasets.phantoms import phantom_film
from cxrcore.errors import BundleNotFound
from cxrcore.evaluation.audit_report import named_films, read_audit
from cxrcore.models.golden import self_test
from cxrcore.models.opening import find_bundle
from cxrcore.phantom import draw_phantom
from cxrcore.predictions.record import Predictions
from cxrcore.publishing.deidentify import ids_are_public
from tests.films import dataset, encoded, written
from train.cli import main

MODELS = embedded_models()
SHIPPED = {
    "gate.safetensors",
    "config.json",
    "model.safetensors",
    "README.md",
    "recipe.yaml",
    "history.jsonl",
    "metrics.json",
    "curves.json",
    "robustness.json",
    "golden.json",
}
PER_FILM = {"predictions.parquet", "boxes.csv", "audit.json"}  # where the ids are public


load = cache(cxrcore.load)


@pytest.fixture(scope="module")
def films(request) -> list[np.ndarray]:
    """Eight films of 8 bits, uint8: real ones where there are some, phantoms otherwise."""
    try:
        paths = request.getfixturevalue("nih_films")
    except pytest.skip.Exception:
        return [np.rint(draw_phantom(seed).pixels * 255).astype(np.uint8) for seed in range(8)]
    return [np.array(Image.open(path).convert("L")) for path in paths[:8]]


def test_every_folder_is_the_one_model_of_its_task():
    folders = sorted(path.parent.name for path in EMBEDDED.glob("*/config.json"))
    assert [task for task in TASKS if task in MODELS] == MODELS
    assert MODELS[0] == "nih14"
    assert sorted(folder.partition("-")[0] for folder in folders) == sorted(MODELS)
    assert {read_config(EMBEDDED / folder).name for folder in folders} == set(folders)


@pytest.mark.parametrize("name", ["pneumonia-resnet18", "nih14-densenet121", "pneumonia3-efficientnet-b0"])
def test_a_full_name_is_answered_with_the_task(name):
    task = name.partition("-")[0]
    with pytest.raises(BundleNotFound, match=f"{name}': embedded models are opened by task: use '{task}'"):
        cxrcore.load(name)


def test_a_folder_here_opens_though_it_is_called_as_an_embedded_model_was(tmp_path, monkeypatch):
    shutil.copytree(find_bundle("phantom"), tmp_path / "pneumonia-resnet18")
    monkeypatch.chdir(tmp_path)
    assert cxrcore.load("pneumonia-resnet18").labels == load("phantom").labels


@pytest.mark.parametrize("name", MODELS)
def test_a_shipped_bundle_is_whole_small_and_holds_no_film(name):
    files = [path for path in find_bundle(name).rglob("*") if path.is_file()]
    model = load(name)
    assert {path.name for path in files} <= SHIPPED | PER_FILM
    for table in (path for path in files if path.name == "predictions.parquet"):
        scores = json.loads(table.with_name("metrics.json").read_text())
        assert ids_are_public(scores["dataset"], Predictions.read(table).images)
    assert sum(path.stat().st_size for path in files) < 30e6
    assert model.name == find_bundle(name).name


@pytest.mark.parametrize("name", MODELS)
def test_a_shipped_bundle_answers_as_when_it_was_made(name):
    checked = self_test(load(name))
    assert checked.passed, checked.why


def test_the_teaching_models_predictions_are_of_films_that_can_be_drawn_again():
    model = load("phantom")
    folder = find_bundle("phantom") / "evaluation/phantom-test"
    table = Predictions.read(folder / "predictions.parquet")
    boxes = {(box.image, box.finding) for box in read_boxes(folder)}
    for row in range(6):
        film = phantom_film(int(table.metadata["seed"][row]))
        found = [model.predict(film).probabilities[name] for name in table.labels]
        assert found == pytest.approx(table.probabilities[row], abs=0.03)
        planted = {name for name, target in zip(table.labels, table.targets[row], strict=True) if target == 1}
        assert planted == {name for name in table.labels if (table.images[row], name) in boxes}


@pytest.mark.parametrize("name", MODELS)
def test_the_card_says_what_was_measured(name):
    model = load(name)
    card = (find_bundle(name) / "README.md").read_text()
    tests = [metrics for metrics in model.info["metrics"] if metrics["split"] == "test"]
    assert tests
    for metrics in tests:
        assert metrics["model"] == model.id, "the scores are those of other weights"
        for finding in model.labels:
            area = metrics["findings"][finding]["auroc"]
            assert f"{area['value']:.3f} ({area['low']:.3f}-{area['high']:.3f})" in card


def test_the_readmes_figures_are_the_cards():
    """``make figures`` writes both from the stored scores."""
    table = read_section(ROOT / "README.md", SECTION).strip()
    assert table == embedded_table().strip()
    for name in MODELS:
        row, card = table.split(f"[`{name}`]")[1].split("\n")[0], (find_bundle(name) / "README.md").read_text()
        printed = re.findall(r"(?<!\d)(\.\d{3}) \((\.\d{3})-(\.\d{3})\)", row)
        assert printed
        if "mean" not in row:  # which the card does not print
            assert all(f"0{value} (0{low}-0{high})" in card for value, low, high in printed)
        assert f'cxrcore.load("{name}")' in card


def test_the_documents_reliability_is_of_the_stored_scores():
    """``make figures`` writes it."""
    assert read_section(TRUST, RELIABILITY).strip() == reliability_table().strip()


@pytest.mark.parametrize("name", MODELS)
def test_calibration_a_finding_at_a_time_keeps_the_auroc(name):
    model = load(name)
    (metrics,) = (one for one in model.info["metrics"] if one["split"] == "test")
    exact = model.labels.kind == "multilabel" or model.labels.binary  # over more classes a temperature may change ranks
    for scores in metrics["findings"].values():
        before, after = scores["uncalibrated"]["auroc"]["value"], scores["auroc"]["value"]
        assert before == pytest.approx(after, abs=1e-3 if exact else 0.02)  # shipped logits are rounded


@pytest.mark.parametrize("name", MODELS)
def test_the_audit_is_of_these_weights_and_films(name):
    """``cxr audit`` writes it again where this fails."""
    for path in find_bundle(name).glob("evaluation/*-test/metrics.json"):
        scores, audit = json.loads(path.read_text()), read_audit(path.with_name("audit.json"))
        assert (audit["model"], audit["n"]) == (load(name).id, scores["n"])
        for finding, row in audit["findings"].items():
            assert row["auroc"]["value"] == pytest.approx(scores["findings"][finding]["auroc"]["value"], abs=1e-6)
        assert ids_are_public(audit["dataset"], np.array(named_films(audit)))


@pytest.mark.parametrize("name", MODELS)
def test_both_polarities_of_a_dicom_give_equal_probabilities(name, films):
    model = load(name)
    for pixels in films[:3]:
        stored = pixels.astype(np.uint16) * 16 + 7  # 12 bits
        window = {"WindowCenter": 1800, "WindowWidth": 3000}
        bright = written(dataset(stored, bits=12, PhotometricInterpretation="MONOCHROME2", **window))
        turned = {"WindowCenter": 4096 - 1800, "WindowWidth": 3000}  # the same window seen from the other end
        dark = written(dataset(4095 - stored, bits=12, PhotometricInterpretation="MONOCHROME1", **turned))
        one, other = (model.predict(cxrcore.read_radiograph(data)).probabilities for data in (bright, dark))
        assert one == other


@pytest.fixture(scope="module")
def in_both_depths(films) -> list[tuple[cxrcore.Radiograph, cxrcore.Radiograph]]:
    """Each film, stored in 8 bits and in 16."""
    stored = [(encoded(pixels, "PNG"), encoded(pixels.astype(np.uint16) * 257, "PNG")) for pixels in films]
    return [(cxrcore.read_radiograph(eight), cxrcore.read_radiograph(sixteen)) for eight, sixteen in stored]


@pytest.mark.parametrize("name", MODELS)
def test_16_bits_and_8_bits_of_one_film_agree(name, in_both_depths):
    for films in in_both_depths:
        one, other = (load(name).predict(film).probabilities for film in films)
        assert one == pytest.approx(other, abs=0.02)


@pytest.mark.parametrize(
    ("name", "dataset", "place"),
    [
        pytest.param("pneumonia", "kermany", "kermany", marks=pytest.mark.slow),
        pytest.param("pneumonia3", "kermany", "kermany", marks=pytest.mark.slow),
        pytest.param("nih14", "nih", "nih-256", marks=pytest.mark.slow),
        pytest.param("tb3", "composed", ".", marks=pytest.mark.slow),
    ],
)
def test_scores_are_remeasured_from_the_weights(name, dataset, place, data_dir, tmp_path, capsys):
    """What the card says, by one command; oracle: scikit-learn on the predictions it leaves."""
    if name not in MODELS:
        pytest.skip(f"{name} is not shipped")
    folder = data_dir / place
    if not folder.is_dir():
        pytest.skip(f"no {place} in CXR_DATA_DIR")
    where = ["--dataset", dataset, "--data", str(folder), "--split", "test", "--out", str(tmp_path)]
    assert main(["evaluate", name, *where]) == 0
    stored = json.loads((find_bundle(name) / f"evaluation/{dataset}-test/metrics.json").read_text())
    again = json.loads((tmp_path / "metrics.json").read_text())
    table = Predictions.read(tmp_path / "predictions.parquet")
    assert (again["n"], again["n_patients"], again["split_origin"]) == (
        stored["n"],
        stored["n_patients"],
        stored["split_origin"],
    )
    for column, finding in enumerate(table.labels):
        expected = stored["findings"][finding]["auroc"]["value"]
        known = ~np.isnan(table.targets[:, column])
        area = roc_auc_score(table.targets[known, column], table.probabilities[known, column])
        assert area == pytest.approx(expected, abs=0.005)
