"""Mistakes on the command line, and the message of each.

``mistakes.json`` records the messages word for word, so that a change of words is deliberate: whoever changes one
changes it there too. ``{tmp}`` stands for the folder of the fixture, ``{embedded}``, ``{recipes}``, ``{datasets}``,
``{labels}`` and ``{optimizer}`` for the names there are, ``{pneumonia}`` and ``{phantom}`` for those bundles'.
"""

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxrcore.bundle.folder import embedded_models, read_config
from cxrcore.datasets import DATASETS
from cxrcore.findings import LABEL_SETS
from cxrcore.models.opening import find_bundle
from cxrcore.training.config import OptimizerConfig
from train.cli import main
from train.recipes import RECIPES

MISTAKES = json.loads((Path(__file__).parent / "mistakes.json").read_text(encoding="utf-8"))
NAMES = {
    "embedded": ", ".join(embedded_models()),
    "recipes": ", ".join(RECIPES),
    "datasets": ", ".join(DATASETS),
    "labels": ", ".join(LABEL_SETS),
    "optimizer": ", ".join(sorted(field.name for field in fields(OptimizerConfig))),
}
NAMES |= {task: read_config(find_bundle(task)).name for task in ("pneumonia", "phantom")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films, bundles and tables, most of them wrong in one way."""
    root = tmp_path_factory.mktemp("mistakes")
    rng = np.random.default_rng(0)
    for name in ("film.png", "folders/Normal/a.png", "folders/Pneumonia/b.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (64, 64), dtype=np.uint8)).save(root / name)
    film = (root / "film.png").read_bytes()
    (root / "broken.png").write_bytes(film[: len(film) // 2])
    (root / "broken.zip").write_bytes(film)
    (root / "empty").mkdir()

    scores = "".join(f"f{n}.png,{0.1 + 0.08 * n:.2f}\n" for n in range(10))
    targets = "".join(f"f{n}.png,{n % 2}\n" for n in range(10))
    for name, text in {
        "text.txt": "hello\n",
        "brokenbundle/config.json": "{",
        "misfit/config.json": '{"architecture": "resnet18", "cxrcore": {}}',
        "preds.csv": f"image,prob_Effusion\n{scores}",
        "others.csv": f"image,prob_Effusion\n{scores.replace('f', 'gf')}",
        "badprobs.csv": f"image,prob_Effusion\n{scores.replace('0.82', '1.7')}",
        "twice.csv": f"image,prob_Effusion\n{scores}f0.png,.3\n",
        "labels.csv": f"image,Effusion\n{targets}",
        "otherlabels.csv": f"image,Mass\n{targets}",
        "badthresholds.json": '{"Effusion": 7}',
    }.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    return root


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("mistake", MISTAKES, ids=[mistake["id"] for mistake in MISTAKES])
def test_a_mistake_is_one_sentence_and_leaves_no_file(mistake, folder, capsys):
    if "xrv:" in mistake["command"]:
        pytest.importorskip("torchxrayvision")
    before = files(folder)
    code = main(mistake["command"].format(tmp=folder).split())
    output, message = (text.replace(str(folder), "{tmp}").rstrip("\n") for text in capsys.readouterr())
    expected = mistake["message"]
    for placeholder, name in NAMES.items():
        expected = expected.replace(f"{{{placeholder}}}", name)
    assert (code, message, output) == (mistake["code"], expected, mistake.get("output", ""))
    assert files(folder) == before


def test_the_names_of_the_mistakes_are_unique():
    assert len({mistake["id"] for mistake in MISTAKES}) == len(MISTAKES)
