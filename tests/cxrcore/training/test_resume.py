"""kill -9 in the middle of an epoch, then --resume: the weights of a run that was never interrupted, bit for bit."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

ASKED = (
    "model.architecture=test_resnet",
    "optimizer.epochs=3",
    "optimizer.batch_size=4",
    "optimizer.precision=fp32",  # auto: the two runs might find another type faster
    "optimizer.ema=0.5",
    "optimizer.schedule=plateau",
    "optimizer.plateau_patience=0",
    "model.dropout=0.2",
    "loss.mixup=0.3",
    "preprocessing.height=32",
    "preprocessing.width=32",
    "data.val_fraction=0.2",
    "data.test_fraction=0.2",
    "keep.checkpoint_minutes=1e-9",
)


def command(data: Path, out: Path, *more: str) -> list[str]:
    settings = [part for item in ASKED for part in ("--set", item)]
    return [
        *(sys.executable, "-m", "train", "fit", "pneumonia-resnet18"),
        *("--data", str(data), "--out", str(out), *settings, *more),
    ]


@pytest.mark.slow
def test_a_killed_run_ends_with_the_weights_of_an_uninterrupted_one(kermany_like, tmp_path):
    root = Path(__file__).resolve().parents[3]
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    subprocess.run(command(kermany_like, whole), cwd=root, check=True, capture_output=True)

    process = subprocess.Popen(
        command(kermany_like, torn), cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    history = torn / "training/history.jsonl"
    checkpoint = torn / "training/checkpoint.safetensors"
    first = None
    while process.poll() is None:  # let one epoch end and a step of the next be saved
        if history.exists() and history.read_text().count("\n") >= 1:
            first = first or checkpoint.stat().st_mtime_ns
            if checkpoint.stat().st_mtime_ns != first:
                break
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (torn / "config.json").exists(), "the run had ended before it was killed"

    subprocess.run(command(kermany_like, torn, "--resume"), cwd=root, check=True, capture_output=True)
    for name in ("model.safetensors", "training/checkpoint.safetensors", "training/best.safetensors"):
        one, two = load_file(whole / name), load_file(torn / name)
        assert one.keys() == two.keys()
        assert all(torch.equal(one[key], two[key]) for key in one), name
    assert len(history.read_text().splitlines()) == 3
    assert (whole / "training/split.csv").read_bytes() == (torn / "training/split.csv").read_bytes()
