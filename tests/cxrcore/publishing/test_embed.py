"""A trained run becomes a folder of ``assets/models``: what ships, what stays, and that its scores still agree."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import cxrcore
from cxrcore.evaluation.record import read_metrics
from cxrcore.evaluation.summary import summarise
from cxrcore.findings import NIH14
from cxrcore.predictions.record import Predictions
from cxrcore.publishing.embed import embed_bundle
from tests.hub.fixtures import run_on
from train.cli import main

TABLE = "evaluation/phantom-test/predictions.parquet"


def test_a_run_on_public_films_ships_its_test_films_alone(tmp_path: Path, capsys, monkeypatch) -> None:
    run = run_on(tmp_path / "run", "nih", "0000{:04d}_000.png")
    (run / "training" / "split.csv").write_text("image,patient_id,split\n")
    (run / "training" / "checkpoint.safetensors").write_bytes(b"x")
    (run / "evaluation" / "phantom-test" / "roc.png").write_bytes(b"a film")
    monkeypatch.setattr("cxrcore.publishing.embed.embed_bundle.__defaults__", (tmp_path / "models",))
    assert main(["models", "--embed", str(run), "--name", "nih14-mine"]) == 0
    assert "in nih14-mine" in capsys.readouterr().out
    folder = tmp_path / "models" / "nih14-mine"
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {path for path in files if path.startswith("evaluation/")} == {
        "evaluation/golden.json",
        *(f"evaluation/phantom-{name}" for name in ("val/metrics.json", "val/curves.json")),
        *(f"evaluation/phantom-test/{name}" for name in ("metrics.json", "curves.json", "robustness.json")),
        TABLE,
    }
    assert files >= {"README.md", "config.json", "model.safetensors", "recipe.yaml", "training/history.jsonl"}
    assert not {path for path in files if "split.csv" in path or "checkpoint" in path or path.endswith(".png")}
    assert "nih14-mine" in (folder / "README.md").read_text()
    assert cxrcore.load(folder).name == "nih14-mine"
    ours, shipped = Predictions.read(run / TABLE), Predictions.read(folder / TABLE)
    assert shipped.images.tolist() == ours.images.tolist()
    assert np.array_equal(shipped.probabilities, ours.probabilities)  # oracle: every score is the same
    assert np.allclose(shipped.logits, ours.logits, rtol=1e-3)
    assert read_metrics(folder / TABLE.replace("predictions.parquet", "metrics.json")).model.startswith("nih14-mine")
    changed = json.loads((folder / TABLE.replace("predictions.parquet", "robustness.json")).read_text())
    assert changed["model"].startswith("nih14-mine")


def test_ids_that_are_not_public_stay_behind(tmp_path: Path) -> None:
    run = run_on(tmp_path / "run", "csv", "mueller_{:04d}.png")
    folder = embed_bundle(run, "mine", tmp_path / "models")
    assert not list(folder.rglob("*.parquet"))
    assert not list(folder.rglob("boxes.csv"))
    assert all(b"mueller" not in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_table_of_two_thousand_films_is_small(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n, c = 2000, len(NIH14)
    logits = rng.normal(-2, 1, (n, c)).astype(np.float16).astype(np.float32)
    films = Predictions(
        images=np.array([f"{k // 3:08d}_{k % 3:03d}.png" for k in range(n)]),
        patient_ids=np.array([str(k // 3) for k in range(n)]),
        split=np.full(n, "test"),
        labels=NIH14,
        targets=rng.binomial(1, 0.1, (n, c)),
        probabilities=(1 / (1 + np.exp(-0.9 * logits))).astype(np.float32),
        logits=logits,
        metadata={"age_years": rng.integers(20, 90, n).astype(float), "sex": np.where(rng.random(n) < 0.5, "M", "F")},
    )
    films.write(tmp_path / "table.parquet")
    assert (tmp_path / "table.parquet").stat().st_size < 300_000
    again = Predictions.read(tmp_path / "table.parquet")
    assert np.array_equal(again.probabilities, films.probabilities)
    area = summarise(again, dataset="nih", split="test", model="m").findings["Mass"].auroc.value
    assert area == pytest.approx(roc_auc_score(films.targets[:, 4], films.probabilities[:, 4]))
