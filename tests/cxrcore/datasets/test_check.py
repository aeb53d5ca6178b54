"""What a check of a folder says: counts, broken and missing films, copies, patients in two splits."""

import csv
import gzip
import json
import math
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cxrcore.datasets.check import check_dataset
from cxrcore.datasets.nih import label_file
from cxrcore.errors import InvalidDataset
from cxrcore.findings import PNEUMONIA2
from tests.films import chest, encoded
from train.data import data_cli


def film(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(chest(height=64, width=60, seed=seed), "PNG"))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Six films of four patients with train and test tables, all sound."""
    for n in range(6):
        film(tmp_path / "films" / f"{n}.png", n)
    (tmp_path / "train.csv").write_text(
        "Image,patient_id,Normal,Pneumonia\n0.png,a,1,0\n1.png,a,0,1\n2.png,b,0,1\n3.png,c,,\n"
    )
    (tmp_path / "test.csv").write_text("Image,patient_id,Normal,Pneumonia\n4.png,d,1,0\n5.png,d,1,0\n")
    return tmp_path


def test_a_sound_set(table):
    report = check_dataset(table)
    assert report.sound
    assert (report.dataset, report.labels, report.films, report.patients) == ("csv", "pneumonia2", 6, 4)
    assert report.most_films_of_a_patient == 2
    assert report.splits == {"train": 4, "test": 2}
    normal = report.findings["Normal"]
    assert (normal.positives, normal.negatives, normal.unknown) == (3, 2, 1)
    assert math.isclose(normal.prevalence, 3 / 5)
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["findings"]["Pneumonia"]["positives"] == 2
    assert str(report).endswith("Ready to train; too few to learn: Normal has 3 films, Pneumonia has 2 films.")


def test_everything_that_is_wrong_is_reported_at_once(table):
    films = table / "films"
    (films / "2.png").write_bytes((films / "2.png").read_bytes()[:300])
    (films / "3.png").unlink()
    film(films / "stray.png", 9)
    (films / "5.png").write_bytes((films / "0.png").read_bytes())  # a film of the test split that is in train
    report = check_dataset(table, "csv", PNEUMONIA2)
    assert not report.sound
    assert report.corrupt.keys() == {"films/2.png"}
    assert "damaged" in report.corrupt["films/2.png"]
    assert report.missing == ("3.png",)
    assert report.unlabelled == ("films/stray.png",)
    assert [sorted(group) for group in report.copies] == [["films/0.png", "films/5.png"]]
    assert len(report.leaking) == 1
    text = str(report)
    for words in ("films/2.png", "stray.png", "3.png", "more than one split", "Mend this"):
        assert words in text


def test_a_finding_without_positives_is_kept_and_said(tmp_path):
    film(tmp_path / "a.png", 0)
    (tmp_path / "t.csv").write_text("Image,Cardiomegaly,Effusion,Nodule,Pneumothorax,Consolidation\na.png,1,0,0,0,\n")
    report = check_dataset(tmp_path)
    assert report.findings["Consolidation"].prevalence is None
    assert "nothing to learn or score" in str(report)
    assert report.sound


def test_real_films(data_dir, nih_films, tmp_path):
    """Oracle: the labels of the films on disk, read with the csv module, and their names on disk."""
    path = label_file(data_dir / "nih")
    (tmp_path / "images").symlink_to(nih_films[0].parent)
    (tmp_path / path.name).symlink_to(path)
    report = check_dataset(tmp_path)
    there = {path.name for path in nih_films}
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        rows = [row for row in csv.DictReader(file) if row["Image Index"] in there]
    assert (report.dataset, report.sound, report.films) == ("nih", True, len(there))
    assert report.patients == len({row["Patient ID"] for row in rows})
    for name, count in report.findings.items():
        assert count.positives == sum(name in row["Finding Labels"].split("|") for row in rows)
        assert count.positives + count.negatives == len(rows)


@pytest.fixture
def cli():
    """``cxr data`` as its verbs return: exit code and output; a user's mistake is raised for the door to tell."""
    app = typer.Typer()
    app.add_typer(data_cli, name="data")
    return lambda *arguments: CliRunner().invoke(app, ["data", *map(str, arguments)])


def test_the_verb(table, cli):
    done = cli("check", table, "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["films"] == 6
    (table / "films" / "0.png").write_bytes(b"")
    done = cli("check", table, "--dataset", "csv", "--labels", "pneumonia2")
    assert done.exit_code == 1
    assert "films/0.png" in done.stdout
    done = cli("check", table / "nowhere")
    assert isinstance(done.exception, InvalidDataset)
    assert "no folder 'nowhere'" in str(done.exception)
    assert "there are: composed, kermany, nih" in str(cli("check", table, "--dataset", "nhi").exception)
