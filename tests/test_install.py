"""From nothing to a page that answers, as the README promises: both ways, on a fresh clone in a clean folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.servers import running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("git") is None or not (ROOT / ".git").exists(), reason="needs a git checkout"),
]


@pytest.fixture
def clone(tmp_path: Path):
    folder = tmp_path / "cxr"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    yield folder
    shutil.rmtree(folder)  # its .venv is several gigabytes


def answers(command: list[str], folder: Path, patience_s: float) -> tuple[str, str]:
    """Start the app, wait for its page, ask its endpoint with gradio_client: the page and the answer."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("VIRTUAL_ENV", "PYTHON"))}
    with running(command, folder, environment, patience_s=patience_s) as server:
        page = urllib.request.urlopen(server.url).read().decode()
        ask = (
            "import json, sys; from gradio_client import Client, handle_file; "
            f"client = Client({server.url!r}, verbose=False); "
            "print(json.dumps(client.predict(handle_file('assets/examples/normal.png'), api_name='/analyse')))"
        )
        done = subprocess.run([sys.executable, "-c", ask], cwd=folder, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    return page, done.stdout


def test_make_app(clone):
    page, answer = answers(["make", "app"], clone, patience_s=1800)
    assert "Chest X-ray classifier" in page
    assert '"Pneumonia"' in answer


def test_pip_install_and_python_app(clone):
    subprocess.run([sys.executable, "-m", "venv", str(clone / ".venv")], check=True)
    python = str(clone / ".venv" / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", "requirements.txt"], cwd=clone, check=True)
    page, answer = answers([python, "app.py"], clone, patience_s=60)
    assert "Chest X-ray classifier" in page
    assert '"Pneumonia"' in answer
