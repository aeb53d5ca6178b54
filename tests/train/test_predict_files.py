"""``cxr predict`` on folders and zips: tables, a folder of results, skipped files, the device, the progress bar."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cxrcore
from cxrcore.phantom import draw_phantom
from cxrcore.predictions import read_predictions
from tests.films import encoded
from train.cli import main


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for n in range(6):
        pixels = draw_phantom(n, ["Effusion"] * (n % 2), size=(128, 128)).pixels
        (folder / f"f{n}.png").write_bytes(encoded((pixels * 255).astype(np.uint8), "PNG"))
    (folder / "broken.png").write_bytes((folder / "f0.png").read_bytes()[:300])
    (folder / "notes.txt").write_text("no film")
    return folder


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    return code, *capsys.readouterr()


def test_csv_is_a_table_that_cxr_metrics_reads_with_labels(films, tmp_path, capsys):
    table, labels = tmp_path / "new" / "mine.csv", tmp_path / "labels.csv"
    code, out, err = run(capsys, "predict", "phantom", films, "--csv", table)
    assert (code, out) == (1, "")
    frame = pd.read_csv(table)
    assert frame["image"].tolist() == [f"f{n}.png" for n in range(6)]
    alone = cxrcore.load("phantom").predict(cxrcore.read_radiograph(films / "f3.png"))
    assert frame["prob:Nodule"][3] == pytest.approx(alone.probabilities["Nodule"], abs=1e-5)
    assert frame["positive:Nodule"][3] == alone.positive["Nodule"]
    assert "1 of 7 films could not be read: " in err
    assert "broken.png" in err.split("could not be read: ")[1]
    assert f"skipped 1 file that is no film: {films / 'notes.txt'}" in err

    labels.write_text("image,Effusion\n" + "".join(f"f{n},{n % 2}\n" for n in range(6)))
    code, out, _ = run(capsys, "metrics", table, "--labels", labels, "--out", tmp_path / "metrics.json")
    assert code == 0
    assert json.loads((tmp_path / "metrics.json").read_text())["findings"]["Effusion"]["n_pos"] == 3


def test_a_zip_gives_the_same_table_as_its_folder(films, tmp_path, capsys):
    made = tmp_path / "films.zip"
    with zipfile.ZipFile(made, "w") as archive:
        for file in sorted(films.iterdir()):
            archive.write(file, f"inner/{file.name}")
    assert run(capsys, "predict", "phantom", films, "--csv", tmp_path / "a.csv")[0] == 1
    code, out, err = run(capsys, "predict", "phantom", made, "--csv", tmp_path / "b.csv", "--json")
    assert code == 1
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()
    rows = [json.loads(line) for line in out.splitlines()]
    assert rows[1]["path"] == f"{made}/inner/f0.png"
    assert rows[0] == {
        "path": f"{made}/inner/broken.png",
        "error": "'broken.png' is cut short or damaged and cannot be read whole.",
    }
    assert f"1 of 7 films could not be read: {made}/inner/broken.png" in err


def test_out_holds_table_answers_and_what_was_left_out(films, tmp_path, capsys):
    code, out, _ = run(capsys, "predict", "phantom", films, "--out", tmp_path / "out")
    assert (code, out) == (1, "")
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"predictions.csv", "predictions.parquet", "films.jsonl", "skipped.csv"}
    lines = [json.loads(line) for line in (tmp_path / "out/films.jsonl").read_text().splitlines()]
    assert [("error" in line) for line in lines] == [True, *6 * [False]]
    assert pd.read_csv(tmp_path / "out/skipped.csv")["path"].tolist() == [
        str(films / "broken.png"),
        str(films / "notes.txt"),
    ]
    labels = b"image,Effusion\n" + b"".join(b"f%d.png,%d\n" % (n, n % 2) for n in range(6))
    tables = [read_predictions(tmp_path / "out" / name, labels) for name in ("predictions.csv", "predictions.parquet")]
    np.testing.assert_array_equal(tables[0].probabilities, tables[1].probabilities)


def test_nothing_is_written_where_no_film_could_be_read(films, tmp_path, capsys):
    code, _, err = run(
        capsys, "predict", "phantom", films / "broken.png", "--csv", tmp_path / "t.csv", "--out", tmp_path / "o"
    )
    assert code == 1
    assert "no table is written" in err
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_that_is_not_there_is_one_sentence(films, capsys, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    code, out, err = run(capsys, "predict", "phantom", films / "f0.png", "--device", "cuda")
    assert (code, out) == (2, "")
    assert err == "cxr: --device cuda: torch sees no CUDA device here; use --device cpu, or auto\n"
    assert run(capsys, "predict", "phantom", films / "f0.png", "--device", "cpu")[0] == 0


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_progress_is_drawn_on_a_terminal_only(stream, films, tmp_path, monkeypatch):
    shown = stream()
    monkeypatch.setattr(sys, "stderr", shown)
    assert main(["predict", "phantom", str(films), "--csv", str(tmp_path / "t.csv")]) == 1
    assert ("0/7" in shown.getvalue()) == (stream is Terminal)
