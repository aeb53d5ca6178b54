"""The models that ship: they open, say what they were measured to be, and answer alike however a film is stored."""

import hashlib
import json

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

import cxrcore
from cxrcore.bundle import EMBEDDED
from cxrcore.datasets import read_dataset
from cxrcore.phantom import draw_phantom
from cxrcore.splits import split_by_patient
from cxrcore.training.config import read_recipe
from tests.films import dataset, encoded, written

MODELS = sorted(path.parent.name for path in EMBEDDED.glob("*/config.json"))
SHIPPED = {
    "config.json",
    "model.safetensors",
    "README.md",
    "recipe.yaml",
    "history.jsonl",
    "metrics.json",
    "curves.json",
}


@pytest.fixture(scope="module")
def films(request) -> list[np.ndarray]:
    """Eight films of 8 bits, uint8: real ones where there are some, phantoms otherwise."""
    try:
        paths = request.getfixturevalue("nih_films")
    except pytest.skip.Exception:
        return [np.rint(draw_phantom(seed).pixels * 255).astype(np.uint8) for seed in range(8)]
    return [np.array(Image.open(path).convert("L")) for path in paths[:8]]


def test_there_are_models():
    assert "pneumonia-resnet18" in MODELS


@pytest.mark.parametrize("name", MODELS)
def test_a_shipped_bundle_is_whole_small_and_holds_no_film(name):
    files = [path for path in (EMBEDDED / name).rglob("*") if path.is_file()]
    assert {path.name for path in files} <= SHIPPED
    assert sum(path.stat().st_size for path in files) < 30e6
    assert cxrcore.load(name).name == name


@pytest.mark.parametrize("name", MODELS)
def test_the_card_says_what_was_measured(name):
    model = cxrcore.load(name)
    card = (EMBEDDED / name / "README.md").read_text()
    tests = [metrics for metrics in model.info["metrics"] if metrics["split"] == "test"]
    assert tests
    for metrics in tests:
        assert metrics["model"] == model.id, "the scores are those of other weights"
        for finding in model.labels:
            area = metrics["findings"][finding]["auroc"]
            assert f"{area['value']:.3f} ({area['low']:.3f}-{area['high']:.3f})" in card


@pytest.mark.parametrize("name", MODELS)
def test_both_polarities_of_a_dicom_give_equal_probabilities(name, films):
    model = cxrcore.load(name)
    for pixels in films[:3]:
        stored = pixels.astype(np.uint16) * 16 + 7  # 12 bits
        window = {"WindowCenter": 1800, "WindowWidth": 3000}
        bright = written(dataset(stored, bits=12, PhotometricInterpretation="MONOCHROME2", **window))
        turned = {"WindowCenter": 4096 - 1800, "WindowWidth": 3000}  # the same window seen from the other end
        dark = written(dataset(4095 - stored, bits=12, PhotometricInterpretation="MONOCHROME1", **turned))
        one, other = (model.predict(cxrcore.read_radiograph(data)).probabilities for data in (bright, dark))
        assert one == other


@pytest.mark.parametrize("name", MODELS)
def test_16_bits_and_8_bits_of_one_film_agree(name, films):
    model = cxrcore.load(name)
    for pixels in films:
        eight, sixteen = encoded(pixels, "PNG"), encoded(pixels.astype(np.uint16) * 257, "PNG")
        one, other = (model.predict(cxrcore.read_radiograph(data)).probabilities for data in (eight, sixteen))
        assert one == pytest.approx(other, abs=0.02)


def test_scores_are_remeasured_from_the_weights(kermany_dir):
    """The recipe's split drawn again, its hash compared, the test films answered again by the app's own path."""
    folder = EMBEDDED / "pneumonia-resnet18"
    model, recipe = cxrcore.load(folder), read_recipe(folder / "recipe.yaml")
    table = read_dataset("kermany", kermany_dir, model.labels)
    if "test" in table.splits:
        pytest.skip("the official test films are here, so the split is another")
    splits = split_by_patient(
        table.patient_ids, table.targets, recipe.data.val_fraction, recipe.data.test_fraction, recipe.seed, table.splits
    )
    rows = [",".join(row) for row in zip(table.images, table.patient_ids, splits, strict=True)]
    text = "\n".join(["image,patient_id,split", *rows, ""])
    assert hashlib.sha256(text.encode()).hexdigest() == model.info["provenance"]["split_sha256"]
    test = np.flatnonzero(np.array(splits) == "test")
    films = [cxrcore.read_radiograph(table.paths[row]) for row in test]
    scores = [answer.probabilities["Pneumonia"] for answer in model.predict_batch(films)]
    metrics = json.loads((folder / "evaluation/kermany-test/metrics.json").read_text())
    assert metrics["n"] == len(test)
    expected = metrics["findings"]["Pneumonia"]["auroc"]["value"]
    assert roc_auc_score(table.targets[test, 1], scores) == pytest.approx(expected, abs=2e-3)
