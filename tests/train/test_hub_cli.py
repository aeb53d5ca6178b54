"""The verbs push and pull as a terminal sees them, and plain timm on what was pushed; each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.hub import TOKEN, Hub

REPO = "tester/film"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def hub():
    with Hub() as running:
        yield running


def run(hub: Hub, home: Path, code: str, token: str | None = TOKEN) -> subprocess.CompletedProcess[str]:
    environment = os.environ | hub.environment(home, token)
    if not token:
        environment.pop("HF_TOKEN", None)
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=180
    )


SESSION = """
import json
from pathlib import Path
from train.pull import pull
from train.push import push, push_after_fit, refuse_unpushable
from cxrcore.errors import CxrError

refuse_unpushable("tester/film")
first = push("phantom-resnet10t", "tester/film", tag="v1")
again = push_after_fit(Path("assets/models/phantom-resnet10t"), "tester/film")
assert again.unchanged and again.revision == first.revision
pull("tester/film@v1")
try:
    pull("tester/absent")
except CxrError as error:
    print(error)

import timm, torch
import cxrcore
from cxrcore.phantom import draw_phantom

name = f"tester/film@{first.revision}"
ours = cxrcore.load(name, device="cpu", dtype=torch.float32)
theirs = timm.create_model(f"hf-hub:{name}", pretrained=True).eval()
films = torch.cat([ours.tensor(draw_phantom(seed, ["Effusion"]).film) for seed in (1, 2, 3)])
with torch.inference_mode():
    print(json.dumps([theirs(films).tolist(), ours.network(films).tolist(), ours.forward(films)[0].tolist()]))
"""


@pytest.fixture(scope="module")
def session(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """What someone with a token sees, in one process."""
    done = run(hub, tmp_path_factory.mktemp("home"), SESSION)
    assert done.returncode == 0, done.stderr[-2000:]
    return done


def test_push_and_pull_say_what_they_do_and_draw_no_bars_into_pipes(hub: Hub, session) -> None:
    said = session.stdout.splitlines()
    sha = hub.repos["models", REPO].branches["main"][:12]
    assert any(line.startswith("sending model.safetensors (9.") for line in said)
    assert f"pushed to {hub.url}/{REPO} at {sha}" in said
    assert f"{REPO} holds this bundle already, at {sha}" in said
    assert f"phantom-resnet10t opens offline as {REPO}@{sha}" in said
    assert said[-2].startswith("there is no model tester/absent on the Hub")
    assert session.stderr == ""
    assert TOKEN not in session.stdout


def test_plain_timm_gives_our_logits(session) -> None:
    theirs, network, ours = np.array(json.loads(session.stdout.splitlines()[-1]))
    assert theirs.shape == (3, 5)
    assert (theirs == network).all()
    assert np.abs(theirs - ours).max() < 1e-4
