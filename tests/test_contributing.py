"""CONTRIBUTING's examples work as they stand: a new dataset, recipe, page and metric, followed word for word."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cxrcore.datasets import registry
from cxrcore.datasets.splits import carve
from cxrcore.findings import PNEUMONIA2
from tests.conftest import ROOT
from train.cli import main
from train.recipes import open_recipe


def example(title: str, language: str) -> str:
    """The first code block below a heading of CONTRIBUTING.md."""
    section = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    block = re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert block, f"no {language} below {title!r}"
    return block[1]


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """Twelve films of six patients as the example describes them."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "films"
    folder.mkdir()
    rows = ["file,patient,pneumonia"]
    for number in range(12):
        Image.fromarray(rng.integers(0, 255, (64, 64), dtype=np.uint8)).save(folder / f"{number}.png")
        rows.append(f"{number}.png,p{number // 2},{number % 2}")
    (folder / "films.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_a_dataset_of_ones_own(clinic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    source = example("Add a dataset", "python")
    assert len(source.splitlines()) < 40
    (tmp_path / "clinic.py").write_text(source)
    spec = importlib.util.spec_from_file_location("clinic", tmp_path / "clinic.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(registry, "READERS", (*registry.READERS, module.READER))
    monkeypatch.setitem(registry.DATASETS, "clinic", module.READER)

    films = registry.read_dataset("clinic", clinic, PNEUMONIA2)
    assert len(films) == 12
    assert films.targets[1].tolist() == [0, 1]
    splits = carve(films, official=True, val_fraction=0.2, test_fraction=0.2, seed=0)
    assert all(len({splits[row], splits[row + 1]}) == 1 for row in range(0, 12, 2))  # a patient stays in one split
    assert registry.detect_dataset(clinic) == "clinic"
    code = main(["data", "check", str(clinic), "--json"])
    report = json.loads(capsys.readouterr().out)
    assert code == 0
    assert (report["dataset"], report["films"]) == ("clinic", 12)


def test_a_recipe_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(example("Add a recipe", "yaml"))
    assert open_recipe(str(path)).model.architecture == "resnet10t"


def test_a_page_of_ones_own() -> None:
    from streamlit.testing.v1 import AppTest

    from dashboard import parts
    from dashboard.sources.opening import open_source

    page = AppTest.from_string(example("Add a page", "python"), default_timeout=60)
    page.session_state[parts.SOURCE] = open_source("phantom")
    page.run()
    assert not page.exception
    assert len(page.markdown) == 5
    assert "films have it" in page.markdown[0].value


def test_a_metric_of_ones_own() -> None:
    from cxrcore.metrics.arrays import known

    names: dict[str, Any] = {"np": np, "known": known}
    exec(example("Add a metric", "python"), names)
    balanced_accuracy = names["balanced_accuracy"]
    assert balanced_accuracy(np.array([1, 1, 0, np.nan]), np.array([1, 0, 0, 1])) == 0.75
    assert np.isnan(balanced_accuracy(np.array([1, 1]), np.array([1, 0])))
