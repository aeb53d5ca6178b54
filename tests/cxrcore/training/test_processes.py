"""Two processes that talk through gloo train as one does, and score each film exactly once."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from cxrcore.predictions.record import Predictions

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[3]
# A network without batch norm and no augmentation: then a batch's gradient does not depend on who computes which part.
ASKED = (
    "model.architecture=test_convnext",
    "augmentation.flip=0",
    "augmentation.rotation=0",
    "augmentation.zoom=0",
    "augmentation.shift=0",
    "augmentation.brightness=0",
    "optimizer.epochs=2",
    "optimizer.batch_size=9",  # does not divide by two
    "preprocessing.height=32",
    "preprocessing.width=32",
    "data.val_fraction=0.2",
    "data.test_fraction=0.2",
)
LAUNCHERS = {
    "alone": (),
    "torchrun": ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
    "accelerate": ("-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2"),
}


def launch(launcher: str, *arguments: str) -> None:
    environment = {**os.environ, "CXR_DTYPE": "float32"}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = ("--main_process_port", str(free.getsockname()[1])) if launcher == "accelerate" else ()
    command = [sys.executable, *LAUNCHERS[launcher], *port, "-m", "train", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


def trained(launcher: str, data: Path, out: Path, *more: str) -> Path:
    settings = [part for item in (*ASKED, *more) for part in ("--set", item)]
    launch(launcher, "fit", "pneumonia-resnet18", "--data", str(data), "--out", str(out), *settings)
    return out


@pytest.fixture(scope="module")
def alone(kermany_like, tmp_path_factory):
    return trained("alone", kermany_like, tmp_path_factory.mktemp("alone") / "run")


@pytest.mark.parametrize("launcher", ["torchrun", "accelerate"])
def test_training_is_the_same_to_one_in_a_million(launcher, alone, kermany_like, tmp_path):
    more = ("optimizer.accumulate=3",) if launcher == "accelerate" else ()
    shared = trained(launcher, kermany_like, tmp_path / "run", *more)
    one, two = (load_file(run / "training/checkpoint.safetensors") for run in (alone, shared))
    largest = max((one[key].float() - two[key].float()).abs().max().item() for key in one if key.startswith("network"))
    assert largest < 1e-6
    assert len((shared / "training/history.jsonl").read_text().splitlines()) == 2


def test_scores_are_the_same_exactly(toy_run, kermany_like, tmp_path):
    for launcher in ("alone", "torchrun"):
        arguments = ("--dataset", "kermany", "--data", str(kermany_like), "--split", "all")
        launch(launcher, "evaluate", str(toy_run), *arguments, "--out", str(tmp_path / launcher))
    one, two = (Predictions.read(tmp_path / name / "predictions.parquet") for name in ("alone", "torchrun"))
    assert len(two) == 40
    assert one.images.tolist() == two.images.tolist()
    assert (one.logits == two.logits).all()
    assert (tmp_path / "alone/metrics.json").read_bytes() == (tmp_path / "torchrun/metrics.json").read_bytes()
    assert torch.isfinite(torch.from_numpy(one.logits)).all()
