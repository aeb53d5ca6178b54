"""``cxr teach``: films become a set without names or tags, and the set reads back; wrong labels get one sentence."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

import cxrcore
from cxrcore.datasets.case_set import read_case_set
from cxrcore.errors import CxrError, InvalidDataset, LabelMismatch
from cxrcore.publishing.case_set import make_case_set, pixels_only
from train.cli import main

NAME = "Doe^Jane"


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Three normal films and three with a bright square, named after a patient; one is a DICOM with her name."""
    folder, rng = tmp_path / "films", np.random.default_rng(0)
    for kind in ("normal", "TB"):
        (folder / kind).mkdir(parents=True)
        for n in range(3):
            grey = rng.integers(0, 120, (60, 80)).astype(np.uint8)
            if kind == "TB":
                grey[20:30, 40:60] = 250
            Image.fromarray(grey).save(folder / kind / f"Doe-Jane-{kind}-{n}.png")
    data = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    data.PatientName, data.PatientID, data.Modality = NAME, "MRN-4711", "DX"
    data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.save_as(folder / "TB" / "Doe-Jane.dcm")
    return folder


def labels_csv(folder: Path, rows: str) -> Path:
    path = folder.parent / "labels.csv"
    path.write_text(rows)
    return path


def test_a_set_goes_round_and_holds_pixels_only(films: Path, tmp_path: Path) -> None:
    out = tmp_path / "set.zip"
    made = make_case_set(films, out, title="Week 1")
    assert (made.cases, made.counts) == (7, {"Normal": 3, "Tuberculosis": 4})
    chosen = read_case_set(out)
    assert (chosen.title, chosen.asked, chosen.labels.normal) == ("Week 1", ("Tuberculosis",), "Normal")
    with zipfile.ZipFile(out) as file:
        assert sorted(file.namelist()) == [*(f"films/{n:04d}.png" for n in range(1, 8)), "set.json"]
        content = b"".join(file.read(name) for name in file.namelist())
    for word in (b"Doe", b"Jane", b"MRN", b"4711", b"tEXt", b"eXIf"):
        assert word not in content
    present = [chosen.open(row).film.pixels[25, 50] for row in range(7) if chosen.targets[row][1] == 1]
    assert len(present) == 4
    before = out.read_bytes()
    make_case_set(films, out, title="Week 1")
    assert out.read_bytes() == before


def test_the_order_tells_nothing_of_the_classes(tmp_path: Path) -> None:
    folder, rng = tmp_path / "many", np.random.default_rng(1)
    for kind in ("Normal", "Pneumonia"):
        (folder / kind).mkdir(parents=True)
        for n in range(20):
            Image.fromarray(rng.integers(0, 255, (8, 8), dtype=np.uint8)).save(folder / kind / f"{n}.png")
    make_case_set(folder, tmp_path / "set.zip")
    targets = read_case_set(tmp_path / "set.zip").targets[:, 1]
    assert 5 <= targets[:20].sum() <= 15


def test_labels_boxes_and_findings_of_ones_own(films: Path, tmp_path: Path) -> None:
    """Boxes in pixels of the film; the film of 60 by 80 has its box at the bright square."""
    rows = "image,patient_id,Nodule,Effusion\nDoe-Jane-TB-0.png,a,1,0\nDoe-Jane-TB-1.png,a,1,\n"
    rows += "Doe-Jane-normal-0.png,b,0,1\n"
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("image,finding,x,y,width,height\nDoe-Jane-TB-0.png,Nodule,40,20,20,10\n")
    made = make_case_set(films, tmp_path / "set.zip", labels_csv(films, rows), boxes)
    assert (made.cases, made.patients, made.boxes) == (3, 2, 1)
    assert any("4 films have no label, and are left out: " in note for note in made.notes)
    chosen = read_case_set(tmp_path / "set.zip")
    (row,) = [row for row in range(3) if chosen.open(row).boxes]
    case = chosen.open(row)
    ((left, top, right, bottom),) = case.boxes["Nodule"]
    assert (left, top, right, bottom) == pytest.approx((0.5, 1 / 3, 0.75, 0.5), abs=1e-5)
    assert case.film.pixels[20:30, 40:60].min() == pytest.approx(250 / 255)
    assert np.isnan(chosen.targets).sum() == 1
    make_case_set(films, tmp_path / "one.zip", labels_csv(films, rows), findings=["Effusion"])
    assert read_case_set(tmp_path / "one.zip").asked == ("Effusion",)
    assert len(read_case_set(tmp_path / "one.zip")) == 2


def test_a_deep_film_keeps_its_depth_and_a_dark_one_its_grey() -> None:
    ramp = np.linspace(0, 4095, 64 * 64).reshape(64, 64).astype(np.uint16)
    for values in (ramp, ramp // 9):
        film = cxrcore.Radiograph((values / np.float32(4095)).astype(np.float32), 12, 16, "PNG")
        again = cxrcore.read_radiograph(pixels_only(film))
        assert np.abs(again.pixels - film.pixels).max() < 1 / 255
    assert cxrcore.read_radiograph(pixels_only(cxrcore.Radiograph((ramp / np.float32(4095)), 12, 16, "PNG"))).bits > 8


def test_mistakes_get_one_sentence_and_write_nothing(films: Path, tmp_path: Path) -> None:
    out = tmp_path / "set.zip"
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"labels": "image,Mass\nnobody.png,1\n"}, InvalidDataset, "none of the 1 labelled films is in 'films'"),
        ({"labels": "image,Mass\nDoe-Jane-TB-0.png,3\n"}, CxrError, "values other than 0, 1, -1 and empty"),
        ({"labels": "image,Mass\nDoe-Jane-TB-0.png,1\nDoe-Jane-TB-0.png,1\n"}, CxrError, "more than once"),
        ({"labels": "image,Mass\nDoe-Jane-TB-0.png,1\nTB/Doe-Jane-TB-0.png,1\n"}, CxrError, "labelled more than once"),
        ({"labels": "a,b\n1,2\n"}, CxrError, "is no label file"),
        ({"findings": ["Flu"]}, LabelMismatch, "no finding 'Flu' here"),
    ]
    for given, kind, message in cases:
        options = given | ({"labels": labels_csv(films, given["labels"])} if "labels" in given else {})
        with pytest.raises(kind) as error:
            make_case_set(films, out, **options)
        assert message in str(error.value)
    boxes = tmp_path / "boxes.csv"
    for row, message in (
        ("x.png,Tuberculosis,1,1,2,2", "none of the boxes is of a film of this set"),
        ("Doe-Jane-normal-0.png,Tuberculosis,1,1,2,2", "whose label does not say it is there"),
        ("Doe-Jane-TB-0.png,Tuberculosis,900,1,2,2", "lies outside the film"),
        ("Doe-Jane-TB-0.png,Tuberculosis,1,1,0,2", "has no area"),
    ):
        boxes.write_text(f"image,finding,x,y,width,height\n{row}\n")
        with pytest.raises(InvalidDataset, match=message):
            make_case_set(films, out, boxes=boxes)
    (films / "normal" / "copy.png").write_bytes((films / "TB" / "Doe-Jane-TB-0.png").read_bytes())
    with pytest.raises(InvalidDataset, match="one film with different labels"):
        make_case_set(films, out)
    assert not out.exists()


def test_the_command_says_what_it_made_and_what_to_look_at(films: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "week-1.zip"
    assert main(["teach", str(films), "--out", str(out), "--title", "Week 1", "--count", "5"]) == 0
    said = capsys.readouterr()
    assert "5 cases" in said.out + said.err
    assert "look at the films before you share" in said.out + said.err
    assert len(json.loads(zipfile.ZipFile(out).read("set.json"))["cases"]) == 5
    assert main(["teach", str(films), "--out", str(tmp_path / "set.tar")]) == 2
    assert capsys.readouterr().err.strip() == "cxr: --out names a zip file, such as set.zip, and 'set.tar' is none"
    assert main(["teach", str(tmp_path / "nowhere"), "--out", str(out)]) == 2
    assert "there is no folder 'nowhere'" in capsys.readouterr().err
