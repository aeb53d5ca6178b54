"""The verbs push and pull as a terminal sees them, and plain timm on what was pushed; each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cxrcore
from cxrcore.bundle.folder import read_metrics
from cxrcore.phantom import draw_phantom
from tests.hub import TOKEN, Hub
from tests.hub.fixtures import PHANTOM, REPO
from train.cli import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def shared_hub():
    with Hub() as running:
        yield running


def run(
    hub: Hub, home: Path, code: str, token: str | None = TOKEN, arguments: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    environment = os.environ | hub.environment(home, token)
    if not token:
        environment.pop("HF_TOKEN", None)
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=180
    )


SESSION = """
import json
from pathlib import Path
from cxrcore.models.opening import find_bundle
from train.pull import pull
from train.push import push, push_after_fit, refuse_unpushable
from cxrcore.errors import CxrError

refuse_unpushable("tester/film")
first = push("phantom", "tester/film", tag="v1")
again = push_after_fit(find_bundle("phantom"), "tester/film")
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
def session(shared_hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """What someone with a token sees, in one process."""
    done = run(shared_hub, tmp_path_factory.mktemp("home"), SESSION)
    assert done.returncode == 0, done.stderr[-2000:]
    return done


@pytest.mark.slow
def test_push_and_pull_say_what_they_do_and_draw_no_bars_into_pipes(shared_hub: Hub, session) -> None:
    said = session.stdout.splitlines()
    sha = shared_hub.repos["models", REPO].branches["main"][:12]
    assert any(line.startswith("sending model.safetensors (9.") for line in said)
    assert f"pushed to {shared_hub.url}/{REPO} at {sha}" in said
    assert f"{REPO} holds this bundle already, at {sha}" in said
    assert f"{PHANTOM.name} opens offline as {REPO}@{sha}" in said
    assert said[-2].startswith("there is no model tester/absent on the Hub")
    assert session.stderr == ""
    assert TOKEN not in session.stdout


@pytest.mark.slow
def test_plain_timm_gives_our_logits(session) -> None:
    theirs, network, ours = np.array(json.loads(session.stdout.splitlines()[-1]))
    assert theirs.shape == (3, 5)
    assert (theirs == network).all()
    assert np.abs(theirs - ours).max() < 1e-4


def no_token(hub: Hub, patch: pytest.MonkeyPatch) -> None:
    patch.delenv("HF_TOKEN")


def wrong_token(hub: Hub, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("HF_TOKEN", "hf_wrong")


def down(hub: Hub, patch: pytest.MonkeyPatch) -> None:
    hub.faults.down = True


def damaged(hub: Hub, patch: pytest.MonkeyPatch) -> None:
    hub.add(REPO, {path.relative_to(PHANTOM).as_posix(): path for path in PHANTOM.rglob("*") if path.is_file()})
    hub.faults.corrupt = {"model.safetensors"}


def nothing(hub: Hub, patch: pytest.MonkeyPatch) -> None:
    """All is well with the Hub."""


FIT = ("fit", "phantom-resnet10t", "--data", "no-such-folder", "--out", "run", "--push")


@pytest.mark.parametrize(
    ("arguments", "happens", "said"),
    [
        (("push", "phantom", REPO), no_token, "there is no Hugging Face token: set HF_TOKEN"),
        (("push", "phantom", REPO), wrong_token, "the Hub refuses the token"),
        (("push", "phantom", REPO), down, "the Hub cannot do this for tester/film just now (503)"),
        (("push", "phantom", "film"), nothing, "'film': that is no model on the Hub; write user/repo"),
        (("push", "no-such-model", REPO), nothing, "cannot open model 'no-such-model'"),
        (("push",), nothing, "Missing argument"),
        (("pull", "tester/absent"), nothing, "there is no model tester/absent on the Hub, or it is private"),
        (("pull", REPO), damaged, "model.safetensors of tester/film arrived damaged"),
        (("pull", f"{REPO}@v9"), damaged, "tester/film has no revision 'v9'"),
        (("pull", "film"), nothing, "that is no model on the Hub"),
        ((*FIT, REPO), no_token, "there is no Hugging Face token"),
        ((*FIT, REPO), wrong_token, "the Hub refuses the token"),
        ((*FIT, "film"), nothing, "that is no model on the Hub"),
    ],
)
def test_what_a_user_gets_wrong_is_one_line_and_exit_code_2(
    hub: Hub, monkeypatch, capfd, tmp_path: Path, arguments: tuple[str, ...], happens, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    happens(hub, monkeypatch)
    assert main(arguments) == 2
    told = capfd.readouterr()
    assert said in told.err
    assert told.err.startswith("cxr: ")
    assert told.err.count("\n") == 1
    for secret in (TOKEN, "hf_wrong", str(tmp_path), "Traceback"):
        assert secret not in told.err + told.out
    assert not list(tmp_path.glob("run*"))  # a fit that could not be pushed does not begin


def test_push_and_pull_end_with_0(hub: Hub, capfd, tmp_path: Path) -> None:
    assert main(["push", "phantom", REPO, "--tag", "v1", "--private"]) == 0
    assert main(["pull", f"{REPO}@v1", "--out", str(tmp_path / "mine")]) == 0
    told = capfd.readouterr()
    assert told.err == ""
    assert TOKEN not in told.out
    assert hub.repos["models", REPO].private
    assert cxrcore.load(tmp_path / "mine").name == PHANTOM.name


OPENED = """
import json, sys
import cxrcore
from cxrcore.phantom import draw_phantom

model = cxrcore.load(sys.argv[1], device="cpu")
film = draw_phantom(7, ["Effusion"]).film
files = {p.relative_to(model.folder).as_posix(): p.read_bytes().hex() for p in model.folder.rglob("*") if p.is_file()}
print(json.dumps({"name": model.name, "hub": model.info["hub"], "metrics": model.info["metrics"], "files": files,
                  "probabilities": model.predict(film).probabilities}))
"""
TOY_PHANTOM = (
    *("--set", "optimizer.epochs=1", "--set", "optimizer.batch_size=8"),
    *("--set", "preprocessing.height=32", "--set", "preprocessing.width=32"),
)


@pytest.mark.slow
def test_what_was_fitted_here_opens_there_and_its_old_revision_stays(hub: Hub, tmp_path: Path) -> None:
    """fit --push here; pulled on a fresh cache by another process; pushed again; the old revision still opens."""

    def opened_elsewhere(reference: str, home: str) -> dict:
        done = run(hub, tmp_path / home, OPENED, arguments=(reference,))
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout.splitlines()[-1])

    films, repo, out = tmp_path / "films", hub.repos, tmp_path / "runs"
    assert main(["data", "get", "phantom", "--out", str(films), "--subset", "40"]) == 0
    revisions, pushed = [], []
    for seed in "01":
        where = ["--data", str(films), "--out", str(out / seed), "--push", REPO]
        assert main(["fit", "phantom-resnet10t", *where, *TOY_PHANTOM, "--set", f"seed={seed}"]) == 0
        revisions.append(repo["models", REPO].branches["main"])
        pushed.append({path: content.hex() for path, content in hub.files(REPO).items()})
        there = opened_elsewhere(REPO, f"fresh-{seed}")
        assert there["name"] == seed
        assert there["hub"] == f"{REPO}@{revisions[-1][:12]}"
        assert there["metrics"] == read_metrics(out / seed)
        assert there["files"] == pushed[-1]
        ours = cxrcore.load(out / seed, device="cpu").predict(draw_phantom(7, ["Effusion"]).film)
        assert there["probabilities"] == ours.probabilities
    assert revisions[0] != revisions[1]
    assert pushed[0]["model.safetensors"] != pushed[1]["model.safetensors"]
    for home in ("fresh-0", "fresher"):  # a cache that has it, and one that never saw it
        old = opened_elsewhere(f"{REPO}@{revisions[0]}", home)
        assert old["files"] == pushed[0]
        assert old["hub"] == f"{REPO}@{revisions[0][:12]}"
