"""NIH ChestX-ray14: every label as the raw file has it, every layout films come in, the official test list only."""

import csv
import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxrcore.datasets import nih, read_dataset
from cxrcore.datasets.boxes import read_boxes
from cxrcore.datasets.nih import _target, label_file, labels_of, read_nih
from cxrcore.errors import InvalidDataset
from cxrcore.findings import NIH14, NIH15, PNEUMONIA2

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)
ROWS = (
    "00000001_000.png,Cardiomegaly,0,1,058Y,M,PA,2682,2749,0.143,0.143,",
    "00000001_001.png,Cardiomegaly|Infiltrate,1,1,414,M,AP,2894,2729,0.143,0.143,",
    "00000002_000.png,No Finding,0,2,006M,F,PA,2500,2048,0.171,0.171,",
    "00000003_000.png,Hernia,0,3,81,F,PA,2500,2048,0.171,0.171,",
)


def draw(path: Path, value: int = 60) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8), value).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The official layout, three of four labelled films."""
    (tmp_path / "Data_Entry_2017.csv").write_text("\n".join((HEADER, *ROWS)) + "\n")
    (tmp_path / "test_list.txt").write_text("00000002_000.png\n")
    (tmp_path / "train_val_list.txt").write_text("00000001_000.png\n00000001_001.png\n00000003_000.png\n")
    draw(tmp_path / "images_001" / "images" / "00000001_000.png")
    draw(tmp_path / "images_001" / "images" / "00000001_001.png")
    draw(tmp_path / "images_002" / "images" / "00000002_000.png")
    return tmp_path


def test_the_official_layout(folder):
    table = read_dataset("nih", folder, NIH15)
    assert table.images == ("00000001_000.png", "00000001_001.png", "00000002_000.png")
    assert table.patient_ids == ("1", "1", "2")
    assert table.splits == (None, None, "test")
    present = [[name for name, value in zip(NIH15, row, strict=True) if value] for row in table.targets]
    assert present == [["Cardiomegaly"], ["Cardiomegaly", "Infiltration"], ["No Finding"]]
    assert table.metadata["age_years"][0] == 58
    assert np.isnan(table.metadata["age_years"][1])  # 414 years
    assert table.metadata["age_years"][2] == pytest.approx(0.5)
    assert table.metadata["sex"] == ("M", "M", "F")
    assert table.metadata["view"] == ("PA", "AP", "PA")
    assert table.metadata["follow_up"] == (0, 1, 0)
    assert any("3 of the 4" in note for note in table.notes)
    assert table.select([0]).notes == table.notes
    assert read_nih(folder, NIH14).targets.shape == (3, 14)


def test_the_fullest_folder_is_read_unless_several_are_asked_for(folder):
    draw(folder / "small" / "00000001_000.png", 9)
    draw(folder / "small" / "00000003_000.jpg", 9)
    table = read_nih(folder)
    assert {path.parent.parent.name for path in table.paths} == {"images_001", "images_002"}  # one set, as released
    assert any("Only folder images is read, with 3 films; left out: small (2 films)." in note for note in table.notes)
    assert "source" not in table.metadata

    both = read_dataset("nih", folder, NIH14, folders=("images", "small"))
    assert both.images == ("00000001_000.png", "00000001_001.png", "00000002_000.png", "00000003_000.png")
    assert both.metadata["source"] == ("images", "images", "images", "small")
    assert both.select([3]).metadata["source"] == ("small",)
    assert any("1 files repeat a film" in note for note in both.notes)
    assert read_nih(folder, NIH14, ("small", "images")).metadata["source"][0] == "small"
    with pytest.raises(InvalidDataset, match="no films in a folder smal; there are: images, small"):
        read_nih(folder, NIH14, ("smal",))
    with pytest.raises(InvalidDataset, match="kermany has one place for its films"):
        read_dataset("kermany", folder, PNEUMONIA2, folders=("small",))


def test_a_mirror_of_jpegs_is_matched_by_stem(folder):
    pngs = read_nih(folder)
    for path in pngs.paths:
        draw(folder / "mirror" / "deep" / f"{path.stem}.jpg")
        path.unlink()
    mirror = read_nih(folder)
    assert (mirror.images, mirror.patient_ids, mirror.splits) == (pngs.images, pngs.patient_ids, pngs.splits)
    assert {path.suffix for path in mirror.paths} == {".jpg"}
    for n in range(12):
        draw(folder / "mirror" / f"scan{n:02}.jpeg")
    with pytest.raises(InvalidDataset, match=r"12 films are not in Data_Entry_2017.csv: scan00.jpeg, .* and 2 more"):
        read_nih(folder)


def test_labels_gzipped_or_one_level_below_and_a_split_table(folder):
    plain = folder / "Data_Entry_2017.csv"
    (folder / "labels").mkdir()
    (folder / "labels" / "Data_Entry_2017_v2020.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    (folder / "test_list.txt").unlink()
    assert "test" not in read_nih(folder).splits
    assert any("carved" in note for note in read_nih(folder).notes)
    (folder / "official_split.csv").write_text("Image Index,split\n00000001_000.png,val\n00000002_000.png,test\n")
    assert read_nih(folder).splits == (None, None, "test")  # val there is a convention, not the source's


def test_complaints(folder, tmp_path):
    with pytest.raises(InvalidDataset, match="nih14, nih15"):
        read_nih(folder, PNEUMONIA2)
    draw(folder / "images_001" / "images" / "00000009_000.png")
    with pytest.raises(InvalidDataset, match=r"1 films are not in Data_Entry_2017.csv: 00000009_000.png"):
        read_nih(folder)
    (folder / "Data_Entry_2017.csv").write_text(HEADER + "\n" + ROWS[0].replace("Cardiomegaly", "Cardiomegali"))
    with pytest.raises(InvalidDataset, match="Cardiomegali"):
        read_nih(folder)
    (folder / "Data_Entry_2017.csv").write_bytes(b"\xff\xfe\x00 not a table")
    with pytest.raises(InvalidDataset, match=r"no table|no NIH label file"):
        read_nih(folder)
    (folder / "Data_Entry_2017.csv").unlink()
    with pytest.raises(InvalidDataset, match=r"Data_Entry_2017_v2020.csv"):
        read_nih(folder)


def test_a_truncated_download_of_the_labels_is_one_sentence(folder):
    packed = gzip.compress("\n".join((HEADER, *ROWS * 50)).encode())
    (folder / "Data_Entry_2017.csv").unlink()
    (folder / "Data_Entry_2017_v2020.csv.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(InvalidDataset, match="damaged"):
        read_nih(folder)


def test_boxes_despite_their_header(tmp_path):
    path = tmp_path / "BBox_List_2017.csv"
    path.write_text("Image Index,Finding Label,Bbox [x,y,w,h],,,\na.png,Infiltrate,1.5,2,3,4,,,\n\n")
    (box,) = read_boxes(tmp_path)
    assert (box.image, box.finding, box.x, box.y, box.width, box.height) == ("a.png", "Infiltration", 1.5, 2, 3, 4)
    path.write_text("Image Index,Finding Label,Bbox [x,y,w,h],,,\na.png,Mass,1,2,3\n")
    with pytest.raises(InvalidDataset, match="line 2"):
        read_boxes(path)
    with pytest.raises(InvalidDataset, match="no boxes"):
        read_boxes(tmp_path / "elsewhere")


@pytest.fixture(scope="module")
def nih_dir(data_dir: Path) -> Path:
    if label_file(data_dir / "nih") is None:
        pytest.skip("no NIH labels in CXR_DATA_DIR")
    return data_dir / "nih"


def test_counts_equal_those_of_the_raw_strings(nih_dir, monkeypatch):
    """Oracle: Python's csv module and a count of the parts between bars, over all 112,120 rows."""
    path = label_file(nih_dir)
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        rows = list(csv.DictReader(file))
    counts = Counter(part for row in rows for part in row["Finding Labels"].split("|"))
    parsed: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(nih, "_target", lambda text, file: parsed.append(text) or _target(text, file))
        frame = labels_of(path)
    assert len(parsed) == len(set(parsed)) == 836  # a combination of findings is parsed once, not once a film
    assert len(frame) == len(rows) == 112_120
    assert {name: int(frame[name].sum()) for name in NIH15} == counts
    assert frame["patient_id"].nunique() == 30_805
    assert frame["age_years"].max() <= 120
    assert frame["view"].value_counts().to_dict() == Counter(row["View Position"] for row in rows)


def test_the_real_films(nih_dir):
    table = read_nih(nih_dir)
    test = {p for p, s in zip(table.patient_ids, table.splits, strict=True) if s == "test"}
    rest = {p for p, s in zip(table.patient_ids, table.splits, strict=True) if s is None}
    assert test
    assert not test & rest
    assert len(set(table.images)) == len(table)
    boxes = read_boxes(nih_dir)
    assert (len(boxes), len({box.image for box in boxes}), len({box.finding for box in boxes})) == (984, 880, 8)
    assert {box.finding for box in boxes} <= set(NIH14)


def test_the_real_mirror(data_dir):
    if not (data_dir / "nih-256").is_dir():
        pytest.skip("no nih-256 in CXR_DATA_DIR")
    table = read_nih(data_dir / "nih-256")
    official = [patient for patient, split in zip(table.patient_ids, table.splits, strict=True) if split == "test"]
    assert (len(table), len(set(table.patient_ids)), len(official), len(set(official))) == (12_152, 3_191, 1_951, 125)
    assert all(image.endswith(".png") for image in table.images)
