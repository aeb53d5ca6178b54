"""Starting ``python app.py``: quick when all is well, one line and exit status 2 when not."""

from __future__ import annotations

import base64
import io
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cxrcore
from cxrcore.errors import CxrError
from cxrcore.films.encoding import data_uri
from cxrcore.serving.catalog import open_catalog
from cxrcore.serving.recent_films import RecentFilms
from tests.app.visit import ROOT, Server, command, free_port
from tests.films import chest, encoded


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=120, cwd=ROOT)


def one_line(process: subprocess.CompletedProcess[str]) -> str:
    assert process.returncode == 2
    assert "Traceback" not in process.stderr
    said = [line for line in process.stderr.splitlines() if line.strip() and " INFO " not in line]
    assert len(said) == 1
    return said[0]


def test_the_page_answers(server: Server) -> None:
    assert server.seconds_to_answer < 60  # 8 on an idle core; tests share theirs


def test_a_wrong_model_name(tmp_path: Path) -> None:
    line = one_line(run("--model", "no-such-model"))
    assert "no-such-model" in line


def test_corrupt_weights(bundle: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_bytes((bundle / "config.json").read_bytes())
    (broken / "model.safetensors").write_bytes((bundle / "model.safetensors").read_bytes()[:1000])
    assert "damaged" in one_line(run("--model", str(broken), "--port", str(free_port())))


def test_a_taken_port(bundle: Path) -> None:
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        port = squatter.getsockname()[1]
        assert str(port) in one_line(run("--model", str(bundle), "--port", str(port)))


def test_the_listing_is_the_librarys() -> None:
    if cxrcore.embedded_models():
        assert open_catalog(None).names == cxrcore.embedded_models()


def test_importing_the_app_loads_no_torch() -> None:
    code = "import sys, app; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=120).returncode == 0


@pytest.fixture
def film() -> cxrcore.Radiograph:
    return cxrcore.read_radiograph(encoded(chest(), "PNG"))


def test_films_leave_memory_when_let_go_when_old_and_when_others_need_the_room(film: cxrcore.Radiograph) -> None:
    films = RecentFilms(seconds=3600, max_pixels=2 * film.pixels.size)
    tokens = [films.add(film) for _ in range(3)]
    with pytest.raises(CxrError, match="deleted"):
        films[tokens[0]]
    assert np.shares_memory(films[tokens[2]].pixels, film.pixels)
    films.delete(tokens[2])
    with pytest.raises(CxrError):
        films[tokens[2]]
    old = RecentFilms(seconds=0.0)
    token = old.add(film)
    _wait_until(lambda: not old._films)
    with pytest.raises(CxrError):
        old[token]


def test_the_shown_film_keeps_its_greys(film: cxrcore.Radiograph) -> None:
    uri = data_uri(film.pixels, 1024, "PNG")
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))
    assert np.abs(shown / 255 - film.pixels).max() <= 0.5 / 255 + 1e-6


def _wait_until(true: Callable[[], bool]) -> None:
    for _ in range(100):
        if true():
            return
        time.sleep(0.02)
    raise AssertionError("never came true")
