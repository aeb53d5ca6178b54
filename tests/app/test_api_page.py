"""docs/api.md: as the code writes it, and each of its examples run against a running app."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxrcore.phantom import draw_phantom
from docs.api_page import DOCUMENT, document
from tests.app.visit import ROOT, command
from tests.servers import Server, running

TEXT = DOCUMENT.read_text("utf-8")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app with the models that ship, answering by MCP too."""
    folder = tmp_path_factory.mktemp("server")
    with running(command("--mcp"), folder, os.environ | {"TMPDIR": str(folder)}) as started:
        yield started


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a reader of the document would be: beside film.png."""
    place = tmp_path_factory.mktemp("reader")
    Image.fromarray((draw_phantom(3).pixels * 255).astype(np.uint8)).save(place / "film.png")
    return place


def example(heading: str, language: str) -> str:
    section = TEXT.split(f"## {heading}")[1].split("\n## ")[0]
    (code,) = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    return code


def ran(code: str, program: list[str], app: Server, folder: Path) -> str:
    text = code.replace("http://127.0.0.1:7860/", app.url).replace("http://127.0.0.1:7860", app.url.rstrip("/"))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}
    done = subprocess.run([*program, text], cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_document_is_what_the_code_writes() -> None:
    assert document() == TEXT, "write it again: python -m docs.api_page"


def test_the_example_in_python(app: Server, folder: Path) -> None:
    said = ran(example("From Python", "python"), [sys.executable, "-c"], app, folder)
    assert "alarm threshold" in said
    assert app.uploads() == []


def test_the_example_with_curl(app: Server, folder: Path) -> None:
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    (answer,) = json.loads(ran(example("With curl", "bash"), ["bash", "-euo", "pipefail", "-c"], app, folder))
    assert set(answer["positive"]) == set(answer["sentences"])
    assert app.uploads() == []


def test_the_example_of_a_language_model(app: Server, folder: Path) -> None:
    """The film that came as text is deleted with its upload."""
    said = ran(example("From a language model, by MCP", "python"), [sys.executable, "-c"], app, folder)
    assert "alarm threshold" in said
    assert app.uploads() == []
