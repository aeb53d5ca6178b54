"""Starting ``python app.py``: quick when all is well, one line and exit status 2 when not."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import app
import cxrcore
from cxrcore.serving.catalog import open_catalog
from tests.app.visit import ROOT, command
from tests.servers import Server, free_port


@pytest.fixture
def one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., str]:
    """``one_line(*arguments)``: what a start that fails says."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))

    def start(*arguments: str) -> str:
        assert app.main(list(arguments)) == 2
        message = capsys.readouterr().err
        assert "Traceback" not in message
        lines = [line for line in message.splitlines() if line.strip() and " INFO " not in line]
        assert len(lines) == 1
        return lines[0]

    return start


@pytest.mark.slow
def test_the_status_of_a_failed_start_is_2() -> None:
    process = subprocess.run(command("--model", "no-such-model"), capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert process.returncode == 2
    assert "no-such-model" in process.stderr


def test_the_page_answers(server: Server) -> None:
    assert server.started_in_s < 60  # 8 on an idle core; tests share theirs


def test_a_wrong_model_name(one_line: Callable[..., str]) -> None:
    assert "no-such-model" in one_line("--model", "no-such-model")


def test_corrupt_weights(one_line: Callable[..., str], bundle: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_bytes((bundle / "config.json").read_bytes())
    (broken / "model.safetensors").write_bytes((bundle / "model.safetensors").read_bytes()[:1000])
    assert "damaged" in one_line("--model", str(broken), "--port", str(free_port()))


def test_a_taken_port(one_line: Callable[..., str], bundle: Path) -> None:
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        port = squatter.getsockname()[1]
        assert str(port) in one_line("--model", str(bundle), "--port", str(port))


def test_mcp_without_its_package(one_line: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "find_spec", lambda package: None)
    message = "app.py: --mcp needs the package mcp, which is not installed: pip install 'cxrcore[mcp]'"
    assert one_line("--mcp") == message


def test_the_listing_is_the_librarys() -> None:
    if cxrcore.embedded_models():
        assert open_catalog(None).names == cxrcore.embedded_models()


def test_importing_the_app_loads_no_torch() -> None:
    code = "import sys, app; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=120).returncode == 0
