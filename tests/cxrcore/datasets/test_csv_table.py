"""A CSV with one column a finding: splits by file or column, unknown labels kept unknown, nothing guessed silently."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxrcore.datasets import detect_dataset, read_dataset, usual_labels
from cxrcore.datasets.csv_table import read_csv_table
from cxrcore.datasets.registry import read_own
from cxrcore.errors import InvalidDataset
from cxrcore.findings import NIH14, PHANTOM5, PNEUMONIA2


@pytest.fixture
def write(tmp_path: Path):
    """Writes a CSV: ``write(name, header, *rows)``."""

    def write_csv(name: str, *lines: str) -> None:
        (tmp_path / name).write_text("\n".join(lines) + "\n")

    return write_csv


def draw(folder: Path, *names: str) -> None:
    for n, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8 + n, 8), 70).save(folder / name)


FIVE = "Cardiomegaly,Effusion,Nodule,Pneumothorax,Consolidation"


def test_three_tables_name_their_splits(tmp_path, write):
    """The layout of the 875/109/420-film course subset of NIH, all fourteen columns in its alphabetical order."""
    header = "Image," + ",".join(sorted(NIH14)).replace("Pleural_Thickening", "PatientId,pleural thickening")
    zeros = ["0"] * 15
    draw(tmp_path / "images-small", "a.png", "b.png", "c.png", "d.png")
    columns = header.split(",")
    for file, image, patient, finding in (
        ("train-small", "a.png", "8270", "Hernia"),
        ("valid-small", "c.png", "12", "pleural thickening"),
        ("test", "d.png", "13", "Mass"),
    ):
        row = dict(zip(columns[1:], zeros, strict=True)) | {finding: "1", "PatientId": patient}
        lines = [header, ",".join([image, *row.values()])]
        if file == "train-small":
            lines.append(",".join(["b.png", *(row | {"Edema": "1.0"}).values()]))
        write(f"{file}.csv", *lines)
    table = read_dataset("csv", tmp_path, NIH14)
    assert table.splits == ("test", "train", "train", "val")
    assert table.patient_ids == ("13", "8270", "8270", "12")
    present = [[name for name, value in zip(NIH14, row, strict=True) if value] for row in table.targets]
    assert present == [["Mass"], ["Hernia"], ["Edema", "Hernia"], ["Pleural_Thickening"]]
    assert (detect_dataset(tmp_path), usual_labels("csv", tmp_path)) == ("csv", NIH14)


def test_one_table_with_unknowns_people_and_a_split_column(tmp_path, write):
    draw(tmp_path, "x/a.png", "x/b.png", "y/a.png")
    write(
        "labels.csv",
        f"path,patient_id,Patient Age,Gender,View Position,split,{FIVE}",
        "x/a.png,p1,63,Male,PA,train,1,0,,-1,0",
        "set-v1/x/b.png,p1,071Y,f,,train,1,0,0,1,0",
        "y/a.png,p2,,,AP,,0,0,0,0,1",
    )
    table = read_csv_table(tmp_path, PHANTOM5)
    assert table.images == ("x/a.png", "x/b.png", "y/a.png")
    np.testing.assert_array_equal(table.targets[0], np.array([1, 0, np.nan, np.nan, 0], np.float32))
    assert table.splits == ("train", "train", None)
    assert table.metadata["age_years"][:2] == (63, 71)
    assert table.metadata["sex"] == ("M", "F", "")
    assert table.metadata["view"] == ("PA", "", "AP")
    assert any("1 labels of -1" in note for note in table.notes)


def test_patients_from_paths_or_each_film_its_own(tmp_path, write):
    draw(tmp_path, "patient00001/study1/a.png", "patient00001/study2/a.png", "patient00002/study1/a.png")
    rows = [
        f"patient0000{p}/study{s}/a.png,{int(p == 1)},{int(p == 2)}"
        for p, s in ((1, 1), (1, 2), (2, 1))
    ]  # fmt: skip
    write("t.csv", "Path,Normal,Pneumonia", *rows)
    assert read_csv_table(tmp_path, PNEUMONIA2).patient_ids == ("patient00001", "patient00001", "patient00002")
    for n, name in enumerate("abcd"):
        draw(tmp_path / "flat", f"{name}{n}.png")
    other = tmp_path / "flat"
    (other / "t.csv").write_text("filename,Normal,Pneumonia\na0.png,1,0\nb1.png,0,1\nc2.png,1,0\nd3.png,1,0\n")
    Image.new("L", (99, 8)).save(other / "b1.png")
    table = read_csv_table(other, PNEUMONIA2)  # a0, c2 and d3 are byte-identical
    assert len(set(table.patient_ids)) == 2
    assert any("own" in note for note in table.notes)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["Image,Normal", "a.png,1"], "no column for Pneumonia"),
        (["Normal,Pneumonia", "1,0"], "no column of films"),
        (["Image,Normal,Pneumonia", "a.png,1,0", "gone.png,0,1", "b.png,0,1"], "1 listed films are not there.*gone"),
        (["Image,Normal,Pneumonia", "a.png,1,0"], "1 films have no label.*b.png"),
        (["Image,Normal,Pneumonia", "a.png,yes,0", "b.png,0,1"], "Normal holds 1 values.*'yes'"),
        (["Image,Normal,Pneumonia", "a.png,2,0", "b.png,0,1"], "Normal holds 1 values"),
        (["Image,Normal,Pneumonia", "a.png,1,0", "a.png,0,1", "b.png,0,1"], "listed more than once: a.png"),
        (["Image,Normal,Pneumonia", "a.png,1,1", "b.png,0,1"], "exactly one"),
        (["Image,Normal,Pneumonia", "a.png,1,0", "b.png,1,0"], "no film of Pneumonia"),
        (["Image,Normal,Pneumonia,split", "a.png,1,0,tran", "b.png,0,1,val"], "splits other than.*tran"),
        (["Image,Normal,Pneumonia,patient_id", "a.png,1,0,", "b.png,0,1,4"], "1 rows name no patient"),
        ([""], "no table|no column"),
    ],
)
def test_complaints_name_what_is_wrong(tmp_path, write, lines, said):
    draw(tmp_path, "a.png", "b.png")
    write("labels.csv", *lines)
    with pytest.raises(InvalidDataset, match=said):
        read_csv_table(tmp_path, PNEUMONIA2)


def test_several_tables_and_ambiguous_names_are_refused(tmp_path, write):
    draw(tmp_path, "x/a.png", "y/a.png")
    write("one.csv", "Image,Normal,Pneumonia", "a.png,1,0")
    with pytest.raises(InvalidDataset, match=r"'a.png' is the name of 2 films"):
        read_csv_table(tmp_path, PNEUMONIA2)
    write("two.csv", "Image,Normal,Pneumonia", "x/a.png,1,0")
    with pytest.raises(InvalidDataset, match=r"several tables.*one.csv, two.csv"):
        read_csv_table(tmp_path, PNEUMONIA2)
    (tmp_path / "one.csv").rename(tmp_path / "train.csv")
    write("valid.csv", "Image,Normal", "y/a.png,1")
    write("train.csv", "Image,Normal,Pneumonia", "x/a.png,1,0")
    with pytest.raises(InvalidDataset, match=r"valid.csv has no column for Pneumonia"):
        read_csv_table(tmp_path, PNEUMONIA2)


def test_any_columns_of_0_and_1_are_findings(tmp_path, write):
    draw(tmp_path, "a.png", "b.png", "c.png")
    write(
        "ours.csv",
        "filename,Patient ID,Sex,Drain,pleural thickening,Ward,Beds,Empty",
        "a.png,1,F,1,0,North,3,",
        "b.png,2,M,,1,South,1,",
        "c.png,2,M,0,-1,South,0,",
    )
    table = read_own(tmp_path)
    assert (table.labels.names, table.labels.kind) == (("Drain", "Pleural_Thickening"), "multilabel")
    assert table.labels["Pleural_Thickening"].description == NIH14["Pleural_Thickening"].description
    assert table.targets == pytest.approx(np.array([[1, 0], [np.nan, 1], [0, np.nan]]), nan_ok=True)
    assert table.patient_ids == ("1", "2", "2")
    assert table.notes[0].endswith("are passed over: Ward, Beds, Empty.")
    write("ours.csv", "image,note", "a.png,x", "b.png,y", "c.png,z")
    with pytest.raises(InvalidDataset, match=r"no column of ours\.csv is a finding: expected columns of 0 and 1"):
        read_own(tmp_path)


def test_without_a_table_every_folder_is_a_class(tmp_path):
    draw(tmp_path, "tubes/a.png", "healthy/b.png", "pacemaker/c.png")
    table = read_own(tmp_path)
    assert (table.labels.names, table.labels.kind) == (("healthy", "pacemaker", "tubes"), "multiclass")
    assert table.labels.normal == "healthy"
    assert table.targets.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_a_column_source_says_where_films_come_from(tmp_path):
    for name in ("a.png", "b.png"):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / name)
    header = ",".join(["image", "Source", *PNEUMONIA2])
    (tmp_path / "labels.csv").write_text(f"{header}\na.png,north,1,0\nb.png,,0,1\n")
    assert read_csv_table(tmp_path, PNEUMONIA2).metadata["source"] == ("north", "")
