"""Starting ``python app.py``: quick when all is well, one line and exit status 2 when not."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import cxrcore
from cxrcore.serving.catalog import open_catalog
from tests.app.visit import ROOT, Server, command, free_port


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=120, cwd=ROOT)


def one_line(process: subprocess.CompletedProcess[str]) -> str:
    assert process.returncode == 2
    assert "Traceback" not in process.stderr
    lines = [line for line in process.stderr.splitlines() if line.strip() and " INFO " not in line]
    assert len(lines) == 1
    return lines[0]


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
