"""``cxr`` as typed in a terminal: exit codes, one clear line for mistakes, one answer a film."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cxrcore
from train.cli import main


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    code = main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def films(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / "deep").mkdir()
    for name in ("a.png", "b.jpg", "deep/a.png"):
        Image.fromarray(rng.integers(0, 255, (250, 260), dtype=np.uint8)).save(tmp_path / name)
    return tmp_path


def test_predict_prints_one_json_object_a_film_in_order(toy_run, films, capsys):
    paths = [films / "b.jpg", films / "nothing.png", films / "a.png"]
    code, out, _ = run(capsys, "predict", toy_run, *paths, "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    assert [row["path"] for row in rows] == [str(path) for path in paths]
    assert rows[1].keys() == {"path", "error"}
    model = cxrcore.load(toy_run)
    for row in (rows[0], rows[2]):
        assert {"path", "probabilities", "positive", "warnings", "gate", "model"} <= row.keys()
        assert row["gate"] == {"accepted": None, "reasons": []}
        assert sum(row["probabilities"].values()) == pytest.approx(1)
        alone = model.predict(cxrcore.read_radiograph(row["path"])).probabilities
        assert row["probabilities"] == pytest.approx(alone, abs=5e-3)


def test_predict_searches_folders_and_says_verdicts_in_words(toy_run, films, capsys):
    code, out, err = run(capsys, "predict", toy_run, films)
    assert code == 0
    assert [line.split(": ")[0] for line in out.splitlines() if "%" in line] == [
        str(films / name) for name in ("a.png", "b.jpg", "deep/a.png")
    ]
    assert "above its threshold" in out
    assert "Traceback" not in err


def test_heatmaps_are_written_for_every_finding_and_never_overwrite(toy_run, films, capsys):
    code, _, _ = run(capsys, "predict", toy_run, films, "--heatmaps", films / "maps")
    assert code == 0
    assert sorted(path.name for path in (films / "maps").iterdir()) == [
        f"{stem}-{finding}.png" for stem in ("a-2", "a", "b") for finding in ("Normal", "Pneumonia")
    ]
    assert Image.open(films / "maps" / "a-Normal.png").size == (260, 250)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["predict", "no-such-model", "x.png"], "embedded models"),
        (["predict"], "Missing argument"),
        (["predict", "m", "x", "--jsn"], "--json"),
        (["fti"], "'fit'"),
        (["fit", "pneumonia-resnet1", "--data", "x", "--out", "y"], "did you mean 'pneumonia-resnet18'"),
        (["fit", "pneumonia-resnet18", "--data", "nowhere", "--out", "{tmp}/y"], "no folder 'nowhere'"),
        (
            ["fit", "pneumonia-resnet18", "--data", "{tmp}", "--out", "{tmp}/y", "--set", "optimizer.epoch=3"],
            "optimizer.epochs",
        ),
        (["fit", "pneumonia-resnet18", "--data", "{tmp}", "--out", "{tmp}/y"], "expected chest_xray/train"),
    ],
)
def test_mistakes_are_one_line_on_stderr_and_exit_2(arguments, said, tmp_path, capsys):
    code, out, err = run(capsys, *(a.format(tmp=tmp_path) for a in arguments))
    assert code == 2
    assert out == ""
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_recipes_are_listed_with_what_they_reproduce(capsys):
    code, out, _ = run(capsys, "recipes")
    assert code == 0
    assert "pneumonia-resnet18  " in out


def test_help_of_every_verb(capsys):
    for verb in ([], ["predict"], ["recipes"], ["fit"]):
        code, out, _ = run(capsys, *verb, "--help")
        assert code == 0
        assert "Usage" in out


def test_python_dash_m_train_is_the_same_door():
    done = subprocess.run([sys.executable, "-m", "train", "predict", "nope", "x"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("cxr: cannot open model 'nope'")
    assert "Traceback" not in done.stderr
