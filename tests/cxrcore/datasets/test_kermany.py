"""Kermany's folders: classes, patients and the official parts, as DESIGN of honest scores demands."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxrcore.datasets import read_dataset
from cxrcore.datasets.kermany import read_kermany
from cxrcore.errors import InvalidDataset
from cxrcore.findings import NIH14, PNEUMONIA2, PNEUMONIA3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    films = {
        "train/NORMAL": ["IM-0115-0001", "IM-0115-0002", "NORMAL2-IM-0115-0001"],
        "train/PNEUMONIA": ["person1_bacteria_1", "person1_virus_6", "person2_bacteria_4"],
        "val/PNEUMONIA": ["person1946_bacteria_4874"],
        "test/NORMAL": ["IM-0001-0001"],
        "test/PNEUMONIA": ["person78_bacteria_378"],
    }
    value = 0
    for part, names in films.items():
        (tmp_path / "chest_xray" / part).mkdir(parents=True)
        for name in names:
            value += 9
            Image.new("L", (8, 8), value).save(tmp_path / "chest_xray" / part / f"{name}.jpeg")
    return tmp_path


def test_patients_classes_and_parts(folder):
    table = read_kermany(folder)
    rows = {Path(image).stem: n for n, image in enumerate(table.images)}
    patient = {stem: table.patient_ids[n] for stem, n in rows.items()}
    assert len(table) == 9
    assert patient["IM-0115-0001"] == patient["IM-0115-0002"] != patient["NORMAL2-IM-0115-0001"]
    assert patient["person1_bacteria_1"] != patient["person1_virus_6"]
    assert {stem for stem, n in rows.items() if table.splits[n] == "test"} == {"IM-0001-0001", "person78_bacteria_378"}
    assert table.splits[rows["person1946_bacteria_4874"]] is None  # the official val joins train
    assert table.targets.sum(axis=0).tolist() == [4, 5]
    three = read_kermany(folder, PNEUMONIA3).targets
    assert three.sum(axis=0).tolist() == [4, 4, 1]


def test_identical_films_make_one_patient(folder):
    source = folder / "chest_xray/train/PNEUMONIA/person1_bacteria_1.jpeg"
    (source.parent / "person3_bacteria_9.jpeg").write_bytes(source.read_bytes())
    table = read_kermany(folder)
    patient = {Path(i).stem: p for i, p in zip(table.images, table.patient_ids, strict=True)}
    assert patient["person3_bacteria_9"] == patient["person1_bacteria_1"]


def test_the_official_test_films_alone_can_be_read(folder):
    shutil.rmtree(folder / "chest_xray" / "train")
    shutil.rmtree(folder / "chest_xray" / "val", ignore_errors=True)
    table = read_kermany(folder)
    assert set(table.splits) == {"test"}
    assert all(image.startswith("test/") for image in table.images)


def test_clear_complaints(folder, tmp_path):
    with pytest.raises(InvalidDataset, match="pneumonia2, pneumonia3"):
        read_kermany(folder, NIH14)
    with pytest.raises(InvalidDataset, match="expected chest_xray/train"):
        read_kermany(folder / "chest_xray" / "test")
    with pytest.raises(InvalidDataset, match="no folder"):
        read_dataset("kermany", tmp_path / "nowhere", PNEUMONIA2)
    for film in (folder / "chest_xray").glob("*/NORMAL/*"):
        film.unlink()
    with pytest.raises(InvalidDataset, match="NORMAL"):
        read_kermany(folder)


def test_the_real_films(kermany_dir):
    table = read_kermany(kermany_dir, PNEUMONIA3)
    if "test" not in table.splits:
        assert table.targets.sum(axis=0).tolist() == [1341, 2530, 1345]
    assert np.isfinite(table.targets).all()
    assert 3500 < len(set(table.patient_ids)) < 3900
