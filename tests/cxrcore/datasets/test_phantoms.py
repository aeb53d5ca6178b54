"""The phantom set: drawn once, drawn again the same, whole after an interruption, honest about being synthetic."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cxrcore
from cxrcore import findings
from cxrcore.datasets import detect_dataset, phantoms, read_dataset
from cxrcore.datasets.boxes import read_boxes
from cxrcore.datasets.phantoms import phantom_film, phantom_findings, read_phantoms, write_phantoms
from cxrcore.errors import InvalidDataset
from cxrcore.findings import PHANTOM5
from cxrcore.phantom import draw_phantom

SIZE = (96, 80)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms")
    seen = []
    write_phantoms(folder, 12, seed=3, size=SIZE, progress=lambda films: (seen.append(f) or f for f in films))
    assert len(seen) == 12
    return folder


def test_the_label_set_is_what_can_be_planted():
    assert findings.PHANTOM5 == PHANTOM5
    assert findings.label_set("phantom5") == PHANTOM5


def test_tables_tell_the_truth_about_the_films(folder):
    table = read_dataset("phantom", folder, PHANTOM5)
    assert (table.name, len(table), len(set(table.patient_ids))) == ("phantom", 12, 12)
    assert detect_dataset(folder) == "phantom"
    boxes = {(box.image, box.finding): (box.x, box.y, box.width, box.height) for box in read_boxes(folder)}
    for image, seed, path, targets in zip(
        table.images, table.metadata["seed"], table.paths, table.targets, strict=True
    ):
        truth = draw_phantom(seed, phantom_findings(seed), SIZE)
        np.testing.assert_array_equal(targets, truth.targets)
        assert {name: boxes[image, name] for name in truth.findings} == truth.boxes
        film = cxrcore.read_radiograph(path)
        np.testing.assert_array_equal(film.pixels, phantom_film(seed, size=SIZE).pixels)
        assert np.abs(film.pixels - truth.pixels).max() <= 0.5 / 255 + 1e-6
    assert len(boxes) == int(table.targets.sum())
    assert any("synthetic" in note for note in table.notes)


def test_about_a_quarter_has_no_finding():
    none = np.mean([not phantom_findings(seed) for seed in range(4000)])
    assert none == pytest.approx(0.75**5, abs=0.03)


def test_an_interrupted_set_is_filled_up_and_whole_films_are_kept(folder, tmp_path):
    write_phantoms(tmp_path, 3, seed=3, size=SIZE)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "images").iterdir()}
    write_phantoms(tmp_path, 12, seed=3, size=SIZE)
    assert all(path.stat().st_mtime_ns == then for path, then in kept.items())
    for name in (phantoms.TABLE, phantoms.BOXES):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.slow
def test_two_processes_draw_what_one_draws(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(phantoms, "_FEW", 4)
    monkeypatch.setattr(phantoms, "_cores", lambda: 2)
    write_phantoms(tmp_path, 12, seed=3, size=SIZE)
    for one, two in zip(sorted((folder / "images").iterdir()), sorted((tmp_path / "images").iterdir()), strict=True):
        assert one.read_bytes() == two.read_bytes()


def test_complaints(folder, tmp_path):
    with pytest.raises(InvalidDataset, match="cxr data get phantom"):
        read_phantoms(tmp_path)
    with pytest.raises(InvalidDataset, match="phantom5"):
        read_phantoms(folder, findings.NIH14)
    with pytest.raises(InvalidDataset, match="96 × 80 pixels, not 64 × 64"):
        write_phantoms(folder, 12, seed=3, size=(64, 64))
    with pytest.raises(InvalidDataset, match="other films"):
        write_phantoms(folder, 12, seed=4, size=SIZE)
    with pytest.raises(InvalidDataset, match="1 to"):
        write_phantoms(tmp_path, 0)
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidDataset, match="cannot write"):
        write_phantoms(tmp_path / "file", 2)
    (tmp_path / "images").mkdir()
    Image.new("L", (80, 96)).save(tmp_path / "images" / "phantom-000000.png")
    with pytest.raises(InvalidDataset, match="no phantom"):
        write_phantoms(tmp_path, 1, size=SIZE)
    write_phantoms(tmp_path / "gone", 2, size=SIZE)
    (tmp_path / "gone" / "images" / "phantom-000001.png").unlink()
    with pytest.raises(InvalidDataset, match="1 phantoms are not there"):
        read_phantoms(tmp_path / "gone")
