"""A folder a class: names as people write them, splits where there are some, other classes left out aloud."""

from pathlib import Path

import pytest
from PIL import Image

from cxrcore.datasets import detect_dataset, read_dataset, usual_labels
from cxrcore.datasets.folders import read_folders
from cxrcore.datasets.splits import split_by_patient
from cxrcore.errors import InvalidDataset
from cxrcore.findings import NIH14, PNEUMONIA2, PNEUMONIA3, TB3


def fill(root: Path, counts: dict[str, int]) -> Path:
    """Films in folders, each of its own grey."""
    value = 0
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for n in range(count):
            value += 1
            Image.new("L", (value, 8), 100).save(root / name / f"{n}.png")
    return root


def test_classes_and_splits_by_their_usual_names(tmp_path):
    fill(
        tmp_path / "archive",
        {
            "Train/NORMAL": 3,
            "Train/pneumonia": 2,
            "Train/TURBERCULOSIS": 2,
            "Train/COVID-19": 4,
            "validation/healthy": 1,
            "validation/TB": 1,
            "test/Normal": 1,
            "test/COVID-19": 1,
        },
    )
    table = read_dataset("folders", tmp_path, TB3)
    assert table.targets.sum(axis=0).tolist() == [5, 2, 3]
    assert {s: table.splits.count(s) for s in ("train", "val", "test")} == {"train": 7, "val": 2, "test": 1}
    assert "Train/NORMAL/0.png" in table.images
    assert len(set(table.patient_ids)) == len(table)
    (note,) = table.notes
    assert "COVID-19" in note
    assert "5 films" in note
    assert (detect_dataset(tmp_path), usual_labels("folders", tmp_path)) == ("folders", TB3)


def test_no_splits_means_none_is_given(tmp_path):
    fill(tmp_path, {"normal": 4, "bacteria": 3, "Viral Pneumonia": 3})
    table = read_folders(tmp_path, PNEUMONIA3)
    assert set(table.splits) == {None}
    assert table.targets.sum(axis=0).tolist() == [4, 3, 3]


def test_copies_are_one_patient_and_a_leak_between_splits(tmp_path):
    fill(tmp_path, {"train/normal": 3, "train/pneumonia": 3, "test/normal": 2, "val/normal": 2})
    source = tmp_path / "train/normal/0.png"
    (tmp_path / "train/pneumonia/copy.png").write_bytes(source.read_bytes())
    table = read_folders(tmp_path, PNEUMONIA2)
    patient = dict(zip(table.images, table.patient_ids, strict=True))
    assert patient["train/normal/0.png"] == patient["train/pneumonia/copy.png"]
    assert len(set(table.patient_ids)) == len(table) - 1
    assert any("another class" in note for note in table.notes)
    (tmp_path / "test/normal/copy.png").write_bytes(source.read_bytes())
    table = read_folders(tmp_path, PNEUMONIA2)
    with pytest.raises(InvalidDataset, match=r"more than one split: test/normal/copy.png"):
        split_by_patient(table.patient_ids, table.targets, 0.1, 0.1, 0, table.splits)


def test_complaints(tmp_path):
    fill(tmp_path, {"normal": 2, "tb": 0, "pneumonia": 1})
    with pytest.raises(InvalidDataset, match="no films of Tuberculosis"):
        read_folders(tmp_path, TB3)
    with pytest.raises(InvalidDataset, match=r"one class.*pneumonia2"):
        read_folders(tmp_path, NIH14)
    with pytest.raises(InvalidDataset, match="no folder 'nowhere'"):
        read_dataset("folders", tmp_path / "nowhere", TB3)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidDataset, match="a folder a class"):
        detect_dataset(tmp_path / "empty")


def test_a_link_back_up_is_not_walked_twice(tmp_path):
    fill(tmp_path, {"normal/deep": 3, "pneumonia": 1})
    (tmp_path / "normal" / "deep" / "again").symlink_to(tmp_path / "normal")
    assert len(read_folders(tmp_path, PNEUMONIA2)) == 4
