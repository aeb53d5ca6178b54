"""Tuberculosis films by source: blocks of numbers are patients; mistakes in films.csv are named."""

from pathlib import Path

import numpy as np
import pytest

from cxrcore.datasets import carve, check_dataset, detect_dataset, read_dataset
from cxrcore.datasets.tb import read_tb
from cxrcore.errors import InvalidDataset
from cxrcore.findings import PNEUMONIA2, TB2, TB3
from tests.films import chest, encoded

FILM = encoded(chest(height=40, width=40, seed=1), "PNG")
SOURCES = {"a-normal": "Normal", "a-tb": "Tuberculosis", "b-normal": "Normal", "b-tb": "Tuberculosis"}


def tb_films(root: Path, count: int = 40) -> list[str]:
    """The rows of a films.csv, whose films are made."""
    rows = []
    for source, name in SOURCES.items():
        (root / "films" / name).mkdir(parents=True, exist_ok=True)
        for n in range(1, count + 1):
            image = f"{name}/{source}-{n:05d}.png"
            (root / "films" / image).write_bytes(FILM + bytes([n]) * len(source))
            rows.append(f"{image},{name},{source},{n}")
    return rows


def listing(root: Path, rows: list[str]) -> None:
    (root / "films.csv").write_text("\n".join(["image,class,source,number", *rows]))


@pytest.mark.parametrize("listed", [True, False])
def test_films_have_a_source_and_a_number_and_ten_numbers_are_a_patient(tmp_path, listed):
    rows = tb_films(tmp_path)
    if listed:
        listing(tmp_path, rows)
    assert detect_dataset(tmp_path) == "tb"
    table = read_dataset("tb", tmp_path, TB2)
    assert len(table) == 160
    row = table.images.index("Tuberculosis/a-tb-00011.png")
    assert (table.metadata["source"][row], table.metadata["number"][row]) == ("a-tb", 11)
    assert table.targets[row].tolist() == [0, 1]
    same = [n for n, p in zip(table.metadata["number"], table.patient_ids, strict=True) if p == table.patient_ids[row]]
    assert same == list(range(11, 21))
    assert any("Sources with one class only: a-normal (Normal)" in note for note in table.notes)


def test_every_source_is_in_every_split_and_neighbours_stay_together(tmp_path):
    tb_films(tmp_path, 60)
    table = read_tb(tmp_path, TB3)
    splits = carve(table, True, 0.17, 0.17, seed=3)
    assert len(set(zip(table.metadata["source"], splits, strict=True))) == 4 * 3
    assert len(set(zip(table.patient_ids, splits, strict=True))) == len(set(table.patient_ids)) == 24


def test_a_source_left_out_is_the_test(tmp_path):
    tb_films(tmp_path)
    table = read_tb(tmp_path)
    splits = np.array(carve(table, True, 0.2, 0.2, seed=0, leave_out=("b-tb", "b-normal")))
    assert (np.char.startswith(table.metadata["source"], "b-") == (splits == "test")).all()
    with pytest.raises(InvalidDataset, match="does not have: c; there are: a-normal, a-tb, b-normal, b-tb"):
        carve(table, True, 0.2, 0.2, seed=0, leave_out=("c",))


def test_mistakes_in_the_listing_are_all_named(tmp_path):
    rows = tb_films(tmp_path, 12)
    listing(
        tmp_path, [*rows[2:], rows[5], "Normal/gone.png,Normal,a-normal,99", rows[0].replace(",Normal,", ",COVID,")]
    )
    with pytest.raises(InvalidDataset) as told:
        read_tb(tmp_path)
    for part in (
        "1 classes other than Normal and Tuberculosis in films.csv: COVID",
        "1 films that films.csv lists more than once: Normal/a-normal-00006.png",
        "1 films that films.csv lists and that are not there: Normal/gone.png",
        "1 films that films.csv does not list: Normal/a-normal-00002.png",
    ):
        assert part in str(told.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image,class\n", "lacks source, number"),
        ("image,class,source,number\nNormal/a-normal-00001.png,Normal,a-normal,x\n", "numbers that are not whole"),
        ("image,class,source,number\n", "no rows"),
    ],
)
def test_a_listing_of_another_form_is_refused(tmp_path, text, words):
    tb_films(tmp_path, 2)
    (tmp_path / "films.csv").write_text(text)
    with pytest.raises(InvalidDataset, match=words):
        read_tb(tmp_path)


def test_names_without_a_number_and_other_labels_are_refused(tmp_path):
    tb_films(tmp_path, 2)
    (tmp_path / "films/Normal/plain.png").write_bytes(FILM)
    with pytest.raises(InvalidDataset, match=r"lack a number, as in source-12\.png: plain\.png"):
        read_tb(tmp_path)
    with pytest.raises(InvalidDataset, match="choose one of: tb2, tb3"):
        read_tb(tmp_path, PNEUMONIA2)


def test_the_check_names_near_duplicates_of_two_patients(tmp_path):
    tb_films(tmp_path, 11)
    report = check_dataset(tmp_path)
    assert report.sound
    assert ("Normal/a-normal-00001.png", "Normal/a-normal-00011.png") in report.near_copies
    assert ("Normal/a-normal-00001.png", "Normal/a-normal-00002.png") not in report.near_copies
    assert "near-duplicate films of different patients, to look at" in str(report)
