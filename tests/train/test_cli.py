"""``cxr`` as typed in a terminal: exit codes, one clear line for mistakes, one answer a film."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cxrcore
from cxrcore.models.shaking import shake
from cxrcore.serving.catalog import analysis_report, model_facts
from cxrcore.serving.notices import SYNTHETIC_MODEL
from tests.conftest import TOY
from train.bench import BENCHMARKS
from train.cli import main
from train.recipes import RECIPES, open_recipe


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
        assert (row["gate"]["accepted"], row["gate"]["reasons"]) == (None, [])  # a toy has no gate
        assert sum(row["probabilities"].values()) == pytest.approx(1)
        alone = model.predict(cxrcore.read_radiograph(row["path"])).probabilities
        assert row["probabilities"] == pytest.approx(alone, abs=5e-3)


def test_predict_gives_three_answers_at_the_risk_asked_for_and_intervals(films, capsys):
    """Oracle: the bundle's limits and the shaken film, by the library."""
    arguments = "predict", "phantom", films / "a.png", "--json"
    code, out, _ = run(capsys, *arguments, "--risk", "0.2", "--confidence", "0.8", "--intervals")
    row, model = json.loads(out), cxrcore.load("phantom")
    assert code == 0
    assert row["triage"] == model.triage.limits(0.2, 0.8).answers(row["probabilities"])
    film = cxrcore.read_radiograph(row["path"])
    for finding, (low, high) in row["intervals"].items():
        shaken = [answer[finding] for answer in shake(model, film).values()]
        assert low == pytest.approx(min(*shaken, row["probabilities"][finding]), abs=5e-3)
        assert high == pytest.approx(max(*shaken, row["probabilities"][finding]), abs=5e-3)
    assert json.loads(run(capsys, *arguments)[1])["intervals"] is None
    code, out, err = run(capsys, *arguments, "--risk", "0.5")
    assert (code, out) == (2, "")
    assert err.startswith("cxr: a risk lies above 0")


def test_predict_searches_folders_and_says_verdicts_in_words(toy_run, films, capsys):
    code, out, err = run(capsys, "predict", toy_run, films)
    model, lines = cxrcore.load(toy_run), out.splitlines()
    assert code == 0
    assert [line.split(": ")[0] for line in lines if line.startswith(str(films))] == [
        str(films / name) for name in ("a.png", "b.jpg", "deep/a.png")
    ]
    prediction = model.predict(cxrcore.read_radiograph(films / "a.png"))
    side = "above" if prediction.positive["Pneumonia"] else "below"
    assert f"Pneumonia is {side} the alarm threshold" in lines[0]
    assert f"({side} this model's alarm threshold of" in lines[1]
    assert not [line for line in lines if re.search(r"Normal [^,]*threshold", line)]
    assert lines[-1].endswith("never for diagnosis.")
    assert "Traceback" not in err


def test_the_caveats_of_a_model_come_with_every_answer(films, capsys):
    """As the app's /analyse has them: that phantom learned from drawings stands in text and in JSON."""
    code, out, _ = run(capsys, "predict", "phantom", films / "a.png")
    assert code == 0
    assert SYNTHETIC_MODEL in out.splitlines()[-1]
    code, out, _ = run(capsys, "predict", "phantom", films / "a.png", films / "nothing.png", "--json")
    answered, failed = map(json.loads, out.splitlines())
    facts = model_facts("phantom", cxrcore.load("phantom"))
    film = cxrcore.read_radiograph(films / "a.png")
    report = analysis_report(film, cxrcore.load("phantom").analyse(film), facts)
    assert answered["note"] == report["note"]
    assert answered["summary"] == report["summary"]
    assert report.keys() - answered.keys() == {"film", "heatmaps"}
    assert "note" not in failed


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
        (
            ["fit", "pneumonia-resnet18", "--data", "{tmp}", "--out", "{tmp}/y", "--set", "data.dataset=kermani"],
            "no dataset 'kermani'; there are: composed, kermany",
        ),
        (
            ["fit", "pneumonia-resnet18", "--data", "{tmp}", "--out", "{tmp}/y", "--set", "data.labels=nih14"],
            "kermany has no labels 'nih14'; choose one of: pneumonia2",
        ),
        (["evaluate", "nope", "--dataset", "nih", "--data", "x", "--split", "test", "--out", "{tmp}/y"], "'nope'"),
        (["evaluate", "nope", "--dataset", "nih", "--data", "x", "--out", "{tmp}/y"], "--split"),
        (["ensemble", "nope", "nopes", "--out", "{tmp}/y"], "'nope'"),
    ],
)
def test_mistakes_are_one_line_on_stderr_and_exit_2(arguments, said, tmp_path, capsys):
    code, out, err = run(capsys, *(a.format(tmp=tmp_path) for a in arguments))
    assert code == 2
    assert out == ""
    assert said in err
    assert len(err.strip().splitlines()) == 1


def small_fit(films: Path, out: Path, *more: object) -> list[object]:
    return ["fit", "pneumonia-resnet18", "--data", films, "--out", out, *(p for o in TOY for p in ("--set", o)), *more]


def test_a_file_in_the_way_of_the_output_is_told_before_a_film_is_opened(toy_run, kermany_like, tmp_path, capsys):
    (tmp_path / "taken").write_text("a file")
    evaluate = ["evaluate", toy_run, "--dataset", "kermany", "--data", kermany_like, "--split", "test", "--out"]
    for out in (tmp_path / "taken", tmp_path / "taken" / "run"):
        for command in (small_fit(kermany_like, out), [*evaluate, out]):
            code, said, error = run(capsys, *command)
            assert (code, said) == (2, "")
            assert error == f"cxr: cannot write into {out.name!r}; choose another --out\n"
    assert (tmp_path / "taken").read_text() == "a file"


def test_a_run_is_never_gone_on_with_by_mistake(toy_run, kermany_like, tmp_path, capsys):
    """Neither overwritten, nor resumed with another recipe or other films; a refusal changes no file."""
    mine = shutil.copytree(toy_run, tmp_path / "mine")
    before = {path: path.read_bytes() for path in mine.rglob("*") if path.is_file()}
    fewer = shutil.copytree(kermany_like, tmp_path / "films")
    (fewer / "chest_xray/train/NORMAL/IM-0003-0001.jpeg").unlink()
    for films, more, expected in (
        (kermany_like, (), "already holds a run; add --resume"),
        (kermany_like, ("--resume", "--set", "optimizer.lr=1e-5"), "the recipe changed in optimizer.lr"),
        (kermany_like, ("--resume", "--set", "seed=1", "--set", "data.val_fraction=0.3"), "seed, data.val_fraction"),
        (fewer, ("--resume",), "not the films"),
    ):
        code, _, error = run(capsys, *small_fit(films, mine, *more))
        assert code == 2
        assert expected in error
        assert len(error.splitlines()) == 1
        assert {path: path.read_bytes() for path in mine.rglob("*") if path.is_file()} == before
    code, _, _ = run(capsys, *small_fit(kermany_like, mine, "--resume"))  # it had ended, and ends the same
    assert code == 0
    assert (mine / "model.safetensors").read_bytes() == before[mine / "model.safetensors"]


def test_a_network_that_ends_an_epoch_without_numbers_stops_in_one_line(kermany_like, tmp_path, capsys):
    wild = ("optimizer.batch_size=64", "optimizer.lr=1e30", "optimizer.schedule=constant", "optimizer.ema=0")
    code, _, error = run(capsys, *small_fit(kermany_like, tmp_path / "run", *(p for o in wild for p in ("--set", o))))
    assert code == 2
    assert "answers are no numbers, first on validation film train/" in error
    assert "a smaller optimizer.lr" in error
    assert len(error.splitlines()) == 1


def test_every_problem_of_a_recipe_is_told_in_one_line(tmp_path, capsys):
    """Unknown keys and wrong types together; then, once those are mended, everything that clashes."""
    unknown = ("optimizer.lrr=1", "optimizer.epochs=many", "modle.dropout=0.1", "loss.name=hinge")
    code, _, error = run(capsys, *small_fit(tmp_path, tmp_path / "y", *(p for o in unknown for p in ("--set", o))))
    assert code == 2
    assert len(error.splitlines()) == 1
    for said in ("did you mean 'optimizer.lr'", "epochs expects int, got 'many'", "did you mean 'model'", "'hinge'"):
        assert said in error
    clashes = ("loss.weights=[1.0, 2.0]", "loss.name=focal", "model.unfreeze_every=2", "optimizer.accumulate=3")
    code, _, error = run(capsys, *small_fit(tmp_path, tmp_path / "y", *(p for o in clashes for p in ("--set", o))))
    assert code == 2
    assert len(error.splitlines()) == 1
    for said in ("say the same thing twice", "focal does not go with", "needs model.frozen_epochs", "a multiple of"):
        assert said in error
    assert not (tmp_path / "y").exists()


def test_recipes_are_listed_with_what_they_reproduce(capsys):
    code, out, _ = run(capsys, "recipes")
    assert code == 0
    lines = dict(line.split("  ", 1) for line in out.splitlines())
    assert list(lines) == list(RECIPES)
    assert all(text.strip() for text in lines.values())


def test_a_recipes_fields_are_listed_as_set_takes_them(capsys):
    code, out, _ = run(capsys, "recipes", "phantom-resnet10t")
    assert code == 0
    assert {"seed=0", "optimizer.name=adamw", "data.dataset=phantom"} <= set(out.splitlines())
    assert open_recipe("phantom-resnet10t", out.splitlines()) == open_recipe("phantom-resnet10t")


def test_models_are_listed_with_their_label_sets(capsys):
    code, out, _ = run(capsys, "models", "--json")
    models = {model["name"]: model for model in map(json.loads, out.splitlines())}
    assert code == 0
    assert list(models)[: len(cxrcore.embedded_models())] == list(cxrcore.embedded_models())
    assert models["pneumonia"]["findings"] == ["Normal", "Pneumonia"]
    assert models["phantom"]["labels"] == "phantom5"
    code, out, _ = run(capsys, "models")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == list(models)


def test_version_and_completion(capsys, monkeypatch):
    assert run(capsys, "--version") == (0, f"cxr {cxrcore.__version__}\n", "")
    assert "--install-completion" in run(capsys, "--help")[1]
    for name, value in (("_CXR_COMPLETE", "complete_bash"), ("COMP_WORDS", "cxr ev"), ("COMP_CWORD", "1")):
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as done:
        main([])
    assert done.value.code == 0
    assert capsys.readouterr().out.split() == ["evaluate"]


def test_the_screens_get_model_host_and_port(capsys, monkeypatch):
    import app
    import dashboard.__main__

    served = []
    monkeypatch.setattr(app, "main", lambda arguments: served.append(arguments) or 0)
    monkeypatch.setattr(dashboard.__main__, "main", lambda arguments: served.append(dict(os.environ)))
    for name in ("CXR_MODEL", "CXR_HOST", "CXR_PORT"):
        monkeypatch.setenv(name, "unset")
    options = ("--model", "phantom", "--port", "7000")
    assert run(capsys, "app", *options, "--mcp")[0] == 0
    assert run(capsys, "dashboard", *options)[0] == 0
    assert served[0] == [*options, "--mcp"]
    assert [served[1][name] for name in ("CXR_MODEL", "CXR_HOST", "CXR_PORT")] == ["phantom", "unset", "7000"]


@pytest.mark.parametrize("verb", ["fit", "evaluate"])
def test_training_without_its_packages_names_the_extra(verb, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("train.terminal.find_spec", lambda package: None)
    options = {
        "fit": ["phantom-resnet10t"],
        "evaluate": ["phantom", "--dataset", "phantom", "--split", "test"],
    }
    code, out, err = run(capsys, verb, *options[verb], "--data", tmp_path, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert err == f"cxr: cxr {verb} needs the training packages: pip install 'cxrcore[train]'\n"


def test_help_of_every_verb(capsys):
    single = (
        "predict",
        "models",
        "recipes",
        "fit",
        "evaluate",
        "metrics",
        "compare",
        "report",
        "ensemble",
        "push",
        "pull",
        "deploy",
        "app",
        "dashboard",
        "bench",
    )
    for verb in ([], ["data", "get"], ["data", "check"], *([name] for name in single)):
        code, out, _ = run(capsys, *verb, "--help")
        assert code == 0
        assert "Usage" in out


def test_bench_names_its_measurements_and_each_is_there(capsys):
    code, _, err = run(capsys, "bench", "speed")
    assert code == 2
    names = err.rpartition(": ")[2].strip().split(", ")
    assert err.startswith("cxr: there is no measurement 'speed'")
    others = {
        "baselines",
        "embedded",
        "gate",
        "generalise",
        "localisation",
        "many",
        "nih_subset",
        "seeds",
        "measuring",
        "triage",
    }  # tables of documents
    assert sorted(names) == sorted(path.stem for path in BENCHMARKS.glob("*.py") if path.stem not in others)


def test_python_dash_m_train_is_the_same_door():
    done = subprocess.run([sys.executable, "-m", "train", "predict", "nope", "x"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("cxr: cannot open model 'nope'")
    assert "Traceback" not in done.stderr
