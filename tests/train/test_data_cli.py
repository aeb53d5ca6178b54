"""Films and labels that do not fit together, as met on the command line: one clear line before the first step."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cxrcore.datasets.phantoms import write_phantoms
from cxrcore.findings import NIH14
from cxrcore.training import loop
from tests.films import chest, encoded
from train.cli import main

SMALL = (
    "model.architecture=resnet10t",
    "optimizer.epochs=1",
    "optimizer.batch_size=16",
    "preprocessing.height=32",
    "preprocessing.width=32",
    "data.val_fraction=0.2",
    "data.test_fraction=0.2",
    "data.training_statistics=false",
    "model.weights=scratch",
)
NIH_HEADER = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"


def fit(capsys, recipe: str, data: Path, out: Path, *overrides: str) -> tuple[int, str, str]:
    given = [part for item in (*SMALL, *overrides) for part in ("--set", item)]
    code = main(["fit", recipe, "--data", str(data), "--out", str(out), *given])
    return code, *capsys.readouterr()


def draw(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(chest(height=40, width=36, seed=seed), "JPEG" if path.suffix == ".jpeg" else "PNG"))


def kermany(root: Path, films: int = 20) -> Path:
    for n in range(films):
        draw(root / "train/NORMAL" / f"IM-{n:04d}-0001.jpeg", n)
        draw(root / "train/PNEUMONIA" / f"person{n}_virus_{n}.jpeg", 500 + n)
    return root


def table(root: Path, films: int = 30, split: bool = False) -> Path:
    """Films with a CSV of fourteen findings; nobody has Hernia."""
    rows = [",".join(("Image", "PatientId", *NIH14, *["split"] * split))]
    for n in range(films):
        draw(root / "films" / f"{n:02d}.png", n)
        findings = ["0" if name == "Hernia" else str(int((n + k) % 4 == 0)) for k, name in enumerate(NIH14)]
        rows.append(",".join((f"{n:02d}.png", f"p{n}", *findings, *[("train", "val", "test")[n % 3]] * split)))
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    return root


def nih(root: Path, films: int = 30) -> Path:
    rows = [NIH_HEADER]
    for n in range(films):
        draw(root / f"{n:08d}_000.png", n)
        rows.append(f"{n:08d}_000.png,{NIH14.names[n % 13]},0,{n // 2},50,F,PA")
    (root / "Data_Entry_2017.csv").write_text("\n".join(rows) + "\n")
    (root / "test_list.txt").write_text("".join(f"{n:08d}_000.png\n" for n in range(10)))
    return root


def empty_class(root: Path) -> None:
    for film in (kermany(root) / "train/NORMAL").iterdir():
        film.unlink()


def no_class_folder(root: Path) -> None:
    for n in range(3):
        draw(root / "normal" / f"{n}.png", n)
        draw(root / "Pneumonia" / f"{n}.png", 10 + n)


def films_gone(root: Path) -> None:
    table(root)
    for n in range(12):
        (root / "films" / f"{n:02d}.png").unlink()


def films_unlisted(root: Path) -> None:
    table(root)
    for n in range(50, 62):
        draw(root / "films" / f"{n}.png", n)


def column_missing(root: Path) -> None:
    path = table(root) / "labels.csv"
    path.write_text(path.read_text().replace("Edema", "Oedema"))


def odd_value(root: Path) -> None:
    path = table(root) / "labels.csv"
    path.write_text(path.read_text().replace("p0,1", "p0,maybe"))


def patient_in_two_splits(root: Path) -> None:
    path = table(root, split=True) / "labels.csv"
    path.write_text(path.read_text().replace(",p5,", ",p4,"))


def patient_on_both_sides_of_the_official_list(root: Path) -> None:
    listing = nih(root) / "test_list.txt"
    listing.write_text("".join(f"{n:08d}_000.png\n" for n in range(9)))


def no_labels(root: Path) -> None:
    (nih(root) / "Data_Entry_2017.csv").unlink()


def film_without_label(root: Path) -> None:
    draw(nih(root) / "00099999_000.png", 99)


def many_corrupt(root: Path) -> None:
    (kermany(root) / "train/NORMAL/IM-0003-0001.jpeg").write_bytes(b"no film")


def too_few(root: Path) -> None:
    kermany(root, films=1)


def phantoms_gone(root: Path) -> None:
    write_phantoms(root, 4, size=(32, 32))
    (root / "images/phantom-000002.png").unlink()


CSV = ("data.dataset=csv",)


@pytest.mark.parametrize(
    ("spoil", "recipe", "overrides", "said"),
    [
        (empty_class, "pneumonia-resnet18", (), "no films in NORMAL"),
        (no_class_folder, "tb3-efficientnet-b0", (), "no films of Tuberculosis"),
        (films_gone, "nih14-resnet18", CSV, "12 listed films are not there in 'films': 00.png, 01.png"),
        (films_gone, "nih14-resnet18", CSV, "09.png and 2 more"),
        (films_unlisted, "nih14-resnet18", CSV, "12 films have no label in 'films': films/50.png"),
        (films_unlisted, "nih14-resnet18", CSV, "films/59.png and 2 more"),
        (column_missing, "nih14-resnet18", CSV, "no column for Edema"),
        (odd_value, "nih14-resnet18", CSV, "'maybe'"),
        (patient_in_two_splits, "nih14-resnet18", CSV, "patients in more than one split: p4"),
        (patient_on_both_sides_of_the_official_list, "nih14-resnet18", (), "patients in more than one split: 4"),
        (no_labels, "nih14-resnet18", (), "expected Data_Entry_2017_v2020.csv beside the films"),
        (film_without_label, "nih14-resnet18", (), "1 films are not in Data_Entry_2017.csv: 00099999_000.png"),
        (many_corrupt, "pneumonia-resnet18", (), "1 of 40 films cannot be read, first: train/NORMAL/IM-0003"),
        (too_few, "pneumonia-resnet18", (), "2 patients are too few: nobody is left for val, test"),
        (phantoms_gone, "phantom-resnet10t", (), "1 phantoms are not there: phantom-000002.png"),
        (kermany, "phantom-resnet10t", (), "cxr data get phantom"),
    ],
    ids=lambda part: part.__name__ if callable(part) else "",
)
def test_films_that_cannot_be_trained_on_are_refused_before_the_first_step(
    spoil: Callable, recipe, overrides, said, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(loop.Trainer, "_step", lambda *arguments: pytest.fail("a step was taken"))
    (tmp_path / "films").mkdir()
    spoil(tmp_path / "films")
    code, _, error = fit(capsys, recipe, tmp_path / "films", tmp_path / "run", *overrides)
    assert code == 2
    assert said in error
    assert len(error.strip().splitlines()) == 1
    assert str(tmp_path) not in error  # no server's path
    assert not (tmp_path / "run/config.json").exists()


@pytest.mark.slow
def test_a_finding_that_nobody_has_is_kept_and_scored_null_with_why(tmp_path, capsys):
    code, out, _ = fit(capsys, "nih14-resnet18", table(tmp_path / "films", 60), tmp_path / "run", *CSV)
    assert code == 0
    assert "nothing can be learned of Hernia" in out
    metrics = json.loads((tmp_path / "run/evaluation/csv-test/metrics.json").read_text())
    assert tuple(metrics["findings"]) == NIH14.names
    hernia = metrics["findings"]["Hernia"]
    assert (hernia["n_pos"], hernia["auroc"]["value"]) == (0, None)
    assert hernia["auroc"]["why"] == "no film has the finding"
    config = json.loads((tmp_path / "run/config.json").read_text())["cxrcore"]
    assert config["provenance"]["untrained"] == ["Hernia"]


def test_the_odd_unreadable_film_is_left_out_counted_and_named(tmp_path, capsys):
    films = kermany(tmp_path / "films", 60)
    (films / "train/NORMAL/IM-0003-0001.jpeg").write_bytes(b"no film")
    code, out, _ = fit(capsys, "pneumonia-resnet18", films, tmp_path / "run")
    assert code == 0
    assert "1 of 120 films cannot be read and is left out" in out
    assert "train/NORMAL/IM-0003-0001.jpeg: " in out
    counts = json.loads((tmp_path / "run/config.json").read_text())["cxrcore"]["provenance"]["films"]
    assert sum(counts.values()) == 119


def test_check_tells_what_fit_would_refuse(tmp_path, capsys):
    films_unlisted(tmp_path / "films")
    (tmp_path / "films/films/03.png").unlink()
    (tmp_path / "films/films/04.png").write_bytes(b"no film")
    assert main(["data", "check", str(tmp_path / "films"), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["sound"], report["missing"], list(report["corrupt"])) == (False, ["03.png"], ["films/04.png"])
    assert len(report["unlabelled"]) == 12
    assert report["findings"]["Hernia"]["positives"] == 0
    assert main(["data", "check", str(tmp_path / "films")]) == 1
    assert "Mend this before training." in capsys.readouterr().out


def test_check_finds_nothing_wrong_with_sound_films(tmp_path, capsys):
    assert main(["data", "check", str(kermany(tmp_path / "films", 3))]) == 0
    assert "Ready to train" in capsys.readouterr().out


def test_get_draws_phantoms_that_check_and_fit_take(tmp_path, capsys):
    out = tmp_path / "films"
    assert main(["data", "get", "phantom", "--out", str(out), "--subset", "6"]) == 0
    assert "6" in capsys.readouterr().out
    assert main(["data", "check", str(out)]) == 0
    assert "phantom, labels phantom5: 6 films of 6 patients" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["get", "chexpert", "--out", "x"], "chexpert"),
        (["get", "phantom"], "--out"),
        (["check", "nowhere"], "no folder 'nowhere'"),
        (["check", "{tmp}"], "no dataset in"),
        (["check", "{tmp}", "--dataset", "mimic"], "no dataset 'mimic'"),
        (["check", "{tmp}", "--labels", "nih13"], "no label set 'nih13'"),
    ],
)
def test_mistakes_are_one_line(arguments, said, tmp_path, capsys):
    assert main(["data", *(a.format(tmp=tmp_path) for a in arguments)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1
