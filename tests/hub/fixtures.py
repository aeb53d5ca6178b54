"""Fixtures of every test that pushes to or pulls from the localhost hub through the real client."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants

from cxrcore.films.radiograph import Radiograph
from cxrcore.models.opening import find_bundle
from cxrcore.predictions.record import Predictions
from cxrcore.publishing.push import prepare_push
from tests.hub import Hub

REPO = "tester/film"
PHANTOM = find_bundle("phantom")


def quiet(text: str) -> None:
    """For what a push or a pull says on its way."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with Hub() as running:
        for name, value in running.environment(tmp_path / "home").items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-login"))
        yield running


@pytest.fixture(scope="session")
def ready(once: Callable[..., Path]) -> Path:
    """The phantom model as a push sends it."""
    return once("bundle", lambda folder: prepare_push(PHANTOM, folder, REPO))


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def run_on(folder: Path, dataset: str, name: str) -> Path:
    """A run on films of people, of such names."""
    shutil.copytree(PHANTOM, folder)
    config = json.loads((folder / "config.json").read_text())
    config["cxrcore"]["provenance"] |= {"synthetic": False, "dataset": dataset}
    (folder / "config.json").write_text(json.dumps(config))
    for table in folder.glob("evaluation/*/predictions.parquet"):
        films = Predictions.read(table)
        names = np.array([name.format(n) for n in range(len(films))])
        ages = np.where(np.arange(len(films)) == 0, 97.0, 40.0)
        people = np.array([f"MRN{n // 2}" for n in range(len(films))])
        metadata = {"age_years": ages, "ward": np.array(["9b"] * len(films))}
        boxes = (table.parent / "boxes.csv").read_text()
        for old, new in zip(films.images, names, strict=True):
            boxes = boxes.replace(old, new)
        (table.parent / "boxes.csv").write_text(boxes)
        values = {key: getattr(films, key) for key in ("split", "labels", "targets", "probabilities", "logits")}
        Predictions(names, people, metadata=metadata, **values).write(table)
        scores = json.loads((table.parent / "metrics.json").read_text()) | {"dataset": dataset}
        (table.parent / "metrics.json").write_text(json.dumps(scores))
    return folder


def unreachable(hub: Hub, patch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        patch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")


@pytest.fixture(scope="session")
def film() -> Radiograph:
    from cxrcore.phantom import draw_phantom

    return draw_phantom(5, ["Effusion"], size=(160, 140)).film
