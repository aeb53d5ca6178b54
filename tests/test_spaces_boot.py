"""The very folders that ``cxr deploy`` makes, each in an environment with its own packages alone: they answer."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import cxrcore
from cxrcore.publishing.push import push_bundle
from cxrcore.publishing.space_upload import deploy_space
from cxrcore.publishing.spaces import pinned_version, plan_space, space_url, write_space
from tests.hub import Hub
from tests.hub.fixtures import PHANTOM, REPO, contents, quiet
from tests.servers import free_port, running

pytestmark = pytest.mark.slow
SPACE = "tester/film"


@pytest.fixture
def python(tmp_path: Path) -> Iterator[Path]:
    """An interpreter with no packages."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    yield tmp_path / "venv" / "bin" / "python"
    shutil.rmtree(tmp_path / "venv")  # several gigabytes


def install(python: Path, *asked: str) -> None:
    """As pip would; by uv where it is, which links what another environment has already."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    pip, into = ([uv, "pip"], ["--python", str(python)]) if uv else ([str(python), "-m", "pip"], [])
    subprocess.run([*pip, "install", "--quiet", *into, *asked], check=True, timeout=1800)
    subprocess.run([*pip, "check", *into], check=True, timeout=120)


def bare_environment(hub: Hub, home: Path, python: Path, **more: str) -> dict[str, str]:
    """What a Space's process has, on the localhost hub and without a token."""
    page = {"CXR_HOST": "127.0.0.1", "CXR_PORT": str(free_port()), "SPACE_ID": SPACE}
    system = {"HOME": str(home), "PATH": f"{python.parent}:/usr/bin:/bin", "OMP_NUM_THREADS": "1", "LANG": "C.UTF-8"}
    return system | page | hub.environment(home / ".cache", token=None) | more


def deployed_folder(hub: Hub, out: Path, kind, other: str) -> Path:
    """A Space's folder, after making sure that the Hub got the same."""
    plan = plan_space(SPACE, REPO, kind, other=other, say=quiet)
    write_space(plan, out)
    deploy_space(plan, say=quiet)
    assert hub.files(SPACE, "spaces") == contents(out)
    return out


def test_the_apps_space_answers_in_an_environment_of_its_own(hub: Hub, tmp_path: Path, python: Path) -> None:
    import torch
    from gradio_client import Client, handle_file

    sha = push_bundle(PHANTOM, REPO, say=quiet).revision
    folder = deployed_folder(hub, tmp_path / "space", "app", "tester/else")
    lock = (folder / "requirements.txt").read_text()
    gradio = pinned_version(lock, "gradio")
    beside = [f"gradio[oauth,mcp]=={gradio}", "uvicorn>=0.14.0", "websockets>=10.4", "spaces"]
    install(python, "-r", str(folder / "requirements.txt"), *beside)  # in one resolution, as a Gradio Space does
    environment = bare_environment(hub, tmp_path / "visitor", python, CXR_DTYPE="float32")
    line = re.search(r"^preload_from_hub:\n- (.+)$", (folder / "README.md").read_text(), re.M)
    repo, files, commit = line[1].split(" ")
    fetch = [str(python.parent / "hf"), "download", repo, *files.split(","), "--revision", commit]
    subprocess.run(fetch, check=True, env=environment, capture_output=True, timeout=120)
    hub.requests.clear()
    example = folder / "assets" / "examples" / "effusion.png"
    with running([str(python), "app.py"], folder, environment) as server:
        page = urllib.request.urlopen(server.url).read().decode()
        answer = Client(server.url, verbose=False).predict(handle_file(str(example)), api_name="/analyse")
    assert "Chest X-ray classifier" in page
    assert space_url("tester/else") in page
    assert answer["model"].endswith(f"({REPO}@{sha[:12]})")
    here = cxrcore.load(PHANTOM, dtype=torch.float32).predict(cxrcore.read_radiograph(example))
    assert answer["probabilities"] == pytest.approx(here.probabilities, abs=1e-6)
    assert answer["positive"] == here.positive
    assert not [asked for asked in hub.requests if asked.startswith("GET") and "model.safetensors" in asked]


def test_the_dashboards_space_shows_its_first_page(hub: Hub, tmp_path: Path, python: Path, browser) -> None:
    sha = push_bundle(PHANTOM, REPO, say=quiet).revision
    folder = deployed_folder(hub, tmp_path / "space", "dashboard", "tester/else")
    dockerfile = (folder / "Dockerfile").read_text()
    install(python, "-r", str(folder / "requirements.txt"))
    settings = dict(re.findall(r"(STREAMLIT_\w+|PYTHON\w+)=(\S+)", dockerfile)) | {"CXR_SCREEN": "dashboard"}
    settings = {key: "false" if value == "$XSRF" else value for key, value in settings.items()}
    environment = bare_environment(hub, tmp_path / "visitor", python, **settings)
    health, command = (json.loads(asked) for asked in re.findall(r"CMD (\[.*\])$", dockerfile, re.M))
    scores = json.loads((PHANTOM / "evaluation" / "phantom-test" / "metrics.json").read_text())
    with running(command, folder, environment) as server:
        subprocess.run(health, check=True, env=environment, timeout=30)
        page = browser.new_page()
        problems: list[str] = []
        hosts: set[str | None] = set()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
        page.goto(server.url)
        page.locator('[data-testid="stMetricValue"]').first.wait_for(timeout=60_000)
        page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
        text = page.inner_text("body")
        links = page.eval_on_selector_all("a", "all => all.map(a => a.href)")
        page.close()
    assert f"{REPO}@{sha[:12]}" in text
    assert f"{scores['macro']['auroc']['value']:.3f}".lstrip("0") in text
    assert space_url("tester/else") in links
    assert not problems
    assert hosts == {"127.0.0.1"}  # nothing is asked of the world
