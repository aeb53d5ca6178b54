"""Phantoms: drawn truth. The oracle is the same seed without the finding, pixel by pixel."""

from __future__ import annotations

import json

import numpy as np
import pydicom
import pytest
from PIL import Image
from scipy import ndimage

from cxrcore.errors import LabelMismatch
from cxrcore.films.radiograph import read_radiograph
from cxrcore.findings import PHANTOM5, Kind
from cxrcore.phantom import MARGIN, draw_phantom, random_findings
from cxrcore.phantom.examples import write_examples

SIZE = (256, 256)
SEEDS = range(8)


@pytest.fixture(scope="module")
def healthy():
    return {seed: draw_phantom(seed, size=SIZE) for seed in SEEDS}


@pytest.fixture(scope="module")
def ill():
    return {(seed, name): draw_phantom(seed, [name], SIZE) for seed in SEEDS for name in PHANTOM5}


def widened(mask: np.ndarray) -> np.ndarray:
    return ndimage.binary_dilation(mask, np.ones((3, 3)), iterations=MARGIN)


def test_label_set():
    assert PHANTOM5.kind is Kind.MULTILABEL
    assert set(PHANTOM5) == {"Consolidation", "Nodule", "Effusion", "Pneumothorax", "Cardiomegaly"}


@pytest.mark.parametrize("size", [(256, 256), (300, 240), (224, 320), (512, 512)])
def test_a_film_is_float32_in_unit_range(size):
    phantom = draw_phantom(3, ["Effusion"], size)
    assert phantom.pixels.shape == size
    assert phantom.pixels.dtype == np.float32
    assert phantom.pixels.min() >= 0
    assert phantom.pixels.max() <= 1
    assert phantom.lungs.shape == phantom.heart.shape == phantom.masks["Effusion"].shape == size
    assert phantom.film.encoding == "synthetic"


def test_a_seed_is_a_film_and_another_seed_another():
    first, again, other = (draw_phantom(s, ["Nodule"], SIZE) for s in (5, 5, 6))
    assert np.array_equal(first.pixels, again.pixels)
    assert first.boxes == again.boxes
    assert not np.array_equal(first.pixels, other.pixels)


def test_the_same_person_at_any_size():
    small, large = draw_phantom(4, ["Effusion"], (256, 256)), draw_phantom(4, ["Effusion"], (768, 768))
    assert np.allclose(np.array(small.boxes["Effusion"]) * 3, large.boxes["Effusion"], atol=8)
    shrunk = large.pixels.reshape(256, 3, 256, 3).mean((1, 3))
    blurred = [ndimage.gaussian_filter(p, 3) for p in (small.pixels, shrunk)]
    assert np.corrcoef(blurred[0].ravel(), blurred[1].ravel())[0, 1] > 0.99


def test_order_and_repeats_of_findings_do_not_matter():
    one = draw_phantom(2, ["Nodule", "Effusion", "Nodule"], SIZE)
    two = draw_phantom(2, ["Effusion", "Nodule"], SIZE)
    assert one.findings == two.findings == tuple(n for n in PHANTOM5 if n in ("Nodule", "Effusion"))
    assert np.array_equal(one.pixels, two.pixels)
    assert one.targets.tolist() == [float(n in one.findings) for n in PHANTOM5]


@pytest.mark.parametrize("name", PHANTOM5)
def test_a_finding_changes_the_film_only_around_its_mask(name, healthy, ill):
    for seed in SEEDS:
        phantom = ill[seed, name]
        changed = phantom.pixels != healthy[seed].pixels
        assert changed.any()
        assert not (changed & ~widened(phantom.masks[name])).any()


def test_adding_a_finding_to_others_stays_within_its_mask():
    for name in PHANTOM5:
        others = [n for n in PHANTOM5 if n != name]
        with_all, without = draw_phantom(9, PHANTOM5, SIZE), draw_phantom(9, others, SIZE)
        assert not ((with_all.pixels != without.pixels) & ~widened(with_all.masks[name])).any()


@pytest.mark.parametrize("name", PHANTOM5)
def test_boxes_are_the_tightest_around_masks(name, ill):
    for seed in SEEDS:
        x, y, width, height = ill[seed, name].boxes[name]
        mask = ill[seed, name].masks[name]
        assert mask.sum() == mask[y : y + height, x : x + width].sum() > 0
        edges = mask[y, :], mask[y + height - 1, :], mask[:, x], mask[:, x + width - 1]
        assert all(edge.any() for edge in edges)


@pytest.mark.parametrize(
    ("name", "sign"),
    [("Consolidation", 1), ("Nodule", 1), ("Effusion", 1), ("Cardiomegaly", 1), ("Pneumothorax", -1)],
)
def test_fluid_and_tissue_are_brighter_and_free_air_is_darker(name, sign, healthy, ill):
    for seed in SEEDS:
        mask = ill[seed, name].masks[name] & healthy[seed].lungs
        difference = (ill[seed, name].pixels - healthy[seed].pixels)[mask]
        assert sign * difference.mean() > 0.015
        assert (sign * difference > 0).mean() > 0.75


def test_both_sides_are_struck():
    sides = {draw_phantom(seed, ["Effusion"], (64, 64)).boxes["Effusion"][0] > 26 for seed in range(16)}
    assert sides == {True, False}


def cardiothoracic_ratio(phantom):
    """Width of the heart over the widest inner width of the rib cage; above 0.5 counts as large."""
    columns = np.flatnonzero(phantom.heart.any(0))
    return (columns[-1] - columns[0] + 1) / phantom.thorax_width


def test_a_large_heart_raises_the_cardiothoracic_ratio(healthy, ill):
    for seed in SEEDS:
        usual, large = cardiothoracic_ratio(healthy[seed]), cardiothoracic_ratio(ill[seed, "Cardiomegaly"])
        assert 0.36 < usual < 0.54
        assert usual + 0.05 < large < 0.75


def test_lungs_are_darker_than_heart_and_apart_from_it(healthy):
    for phantom in healthy.values():
        assert phantom.pixels[phantom.lungs].mean() < phantom.pixels[phantom.heart].mean() - 0.1
        assert not (phantom.lungs & phantom.heart).any()
        assert 0.12 < phantom.lungs.mean() < 0.5


def test_an_unknown_finding_is_refused_by_name():
    with pytest.raises(LabelMismatch, match=r"Hernia.*Effusion"):
        draw_phantom(1, ["Hernia"])
    with pytest.raises(LabelMismatch, match="Hernia"):
        random_findings(np.random.default_rng(0), {"Hernia": 0.5})


def test_random_findings_follow_their_prevalence():
    rng = np.random.default_rng(0)
    drawn = [random_findings(rng, {"Nodule": 0.25, "Effusion": 1.0}) for _ in range(2000)]
    assert all("Effusion" in findings for findings in drawn)
    assert sum("Nodule" in findings for findings in drawn) == pytest.approx(500, abs=80)
    assert {name for findings in drawn for name in findings} == {"Nodule", "Effusion"}


def test_the_label_is_burnt_into_a_corner_only():
    plain, labelled = draw_phantom(8, size=SIZE), draw_phantom(8, size=SIZE, labelled=True)
    rows, columns = np.nonzero(plain.pixels != labelled.pixels)
    assert len(rows) > 50
    assert rows.min() > 0.9 * SIZE[0]
    assert columns.max() < 0.5 * SIZE[1]


@pytest.mark.slow
def test_example_films_are_readable_small_and_labelled_synthetic(tmp_path):
    listed = write_examples(tmp_path)
    assert json.loads((tmp_path / "examples.json").read_text(encoding="utf-8")) == listed
    assert {name for example in listed for name in example["findings"]} == set(PHANTOM5)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 2_000_000
    for example in listed:
        film = read_radiograph(tmp_path / example["file"])
        truth = draw_phantom(example["seed"], example["findings"], film.pixels.shape, labelled=True)
        assert example["synthetic"] is True
        assert {name: list(box) for name, box in truth.boxes.items()} == example["boxes"]
        assert np.abs(film.pixels - truth.pixels).max() < 0.006, example["file"]
    deep = next(e["file"] for e in listed if "16bit" in e["file"])
    assert np.asarray(Image.open(tmp_path / deep)).max() > 255
    dicom = pydicom.dcmread(next(tmp_path.glob("*.dcm")))
    assert (dicom.PhotometricInterpretation, str(dicom.PatientName)) == ("MONOCHROME1", "SYNTHETIC")
    assert dicom.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
