"""One set of several: classes are mapped, each film keeps its source, tests are fixed, duplicates are one patient."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxrcore.datasets import carve, detect_dataset, read_dataset
from cxrcore.errors import InvalidDataset
from cxrcore.findings import NIH14, TB3
from tests.cxrcore.datasets.test_duplicates import texture

HEADER = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position\n"
LABELS = ("No Finding", "Pneumonia|Edema", "Mass")


def film(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((texture(seed, 40) * 255).astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> Path:
    """tb, kermany and nih-256 with a few films each; one of the nih test films is also a normal film of tb."""
    root = tmp_path_factory.mktemp("films")
    for k, (source, name) in enumerate((("a-normal", "Normal"), ("a-tb", "Tuberculosis"))):
        for n in range(10):
            film(root / "tb" / name / f"{source}-{10 * n + 1}.png", 100 * k + n)
    for n in range(10):
        film(root / "kermany/chest_xray/train/NORMAL" / f"IM-{n:04d}-0001.jpeg", 200 + n)
        film(root / "kermany/chest_xray/train/PNEUMONIA" / f"person{n}_virus_{n}.jpeg", 300 + n)
    rows = []
    for n in range(18):
        film(root / "nih-256/images" / f"{n:08d}_000.jpg", 3 if n == 0 else 400 + n)
        rows.append(f"{n:08d}_000.png,{LABELS[n % 3]},0,{n},40,M,PA\n")
    (root / "nih-256/Data_Entry_2017_v2020.csv").write_text(HEADER + "".join(rows))
    (root / "nih-256/test_list.txt").write_text("\n".join(f"{n:08d}_000.png" for n in range(6)))
    return root


def test_every_film_has_its_source_and_its_class_or_is_known_not_to_have_tuberculosis(parts):
    assert detect_dataset(parts) == "composed"
    table = read_dataset("composed", parts, TB3)
    assert len(table) == 20 + 20 + 18
    row = {image: i for i, image in enumerate(table.images)}
    assert table.metadata["source"][row["Tuberculosis/a-tb-1.png"]] == "a-tb"
    assert table.targets[row["Tuberculosis/a-tb-1.png"]].tolist() == [0, 0, 1]
    assert table.metadata["source"][row["train/PNEUMONIA/person2_virus_2.jpeg"]] == "kermany"
    assert table.targets[row["00000001_000.png"]].tolist() == [0, 1, 0]
    assert table.metadata["age_years"][row["00000001_000.png"]] == 40
    np.testing.assert_array_equal(table.targets[row["00000002_000.png"]], [np.nan, np.nan, 0])
    assert np.isnan(table.metadata["age_years"][row["Tuberculosis/a-tb-1.png"]])


def test_a_near_duplicate_of_an_official_test_film_is_in_the_test(parts):
    table = read_dataset("composed", parts, TB3)
    one, other = (table.images.index(name) for name in ("00000000_000.png", "Normal/a-normal-31.png"))
    assert table.patient_ids[one] == table.patient_ids[other]
    assert table.splits[one] == table.splits[other] == "test"
    assert any("near-duplicate films, whose patients count as one: 1 in a-normal and nih-256" in n for n in table.notes)


def test_test_patients_do_not_depend_on_the_seed(parts):
    table = read_dataset("composed", parts, TB3)
    tested = [np.array(carve(table, True, 0.3, 0.3, seed)) == "test" for seed in (0, 1)]
    assert (tested[0] == tested[1]).all()
    assert {f"{n:08d}_000.png" for n in range(6)} <= set(np.array(table.images)[tested[0]])


def test_a_file_says_which_parts_and_how_many_films_of_a_class(parts, tmp_path):
    (tmp_path / "children").symlink_to(parts / "kermany")
    (tmp_path / "films").symlink_to(parts / "tb")
    (tmp_path / "compose.yaml").write_text(
        "limit: 3\nparts:\n- {folder: children, dataset: kermany, labels: pneumonia2}\n"
        "- {folder: films, dataset: tb, labels: tb2}\n- {folder: more, dataset: tb, labels: tb2}\n"
    )
    assert detect_dataset(tmp_path) == "composed"
    table = read_dataset("composed", tmp_path, TB3)
    assert np.nansum(table.targets, axis=0).tolist() == [6, 3, 3]
    assert "children" in table.metadata["source"]
    assert "Parts that are not here: more." in table.notes


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("parts: 3", "no composition"),
        ("parts:\n- {folder: a, dataset: tb, label: tb2}", "unknown keys label"),
        ("parts:\n- {folder: a, dataset: dogs, labels: tb2}", "no dataset 'dogs'"),
        ("parts:\n- {folder: a, dataset: tb, labels: tb9}", "no label set 'tb9'"),
        ("parts:\n- {folder: a, dataset: tb, labels: tb2, classes: {Mass: Normal}}", "tb2 has no finding Mass"),
        ("parts:\n- {folder: a, dataset: tb, labels: tb2}", "no part in"),
    ],
)
def test_a_file_that_is_no_composition_is_refused(tmp_path, text, words):
    (tmp_path / "compose.yaml").write_text(text)
    with pytest.raises(InvalidDataset, match=words):
        read_dataset("composed", tmp_path, TB3)


def test_findings_are_no_exclusive_classes(parts):
    with pytest.raises(InvalidDataset, match="nih14 is no such set"):
        read_dataset("composed", parts, NIH14)
