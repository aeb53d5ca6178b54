"""Starts a screen as its users do, on a free port, and stops it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


class Server(NamedTuple):
    """A running server."""

    url: str  # ends in a slash
    folder: Path  # its working directory
    log_path: Path
    started_in_s: float

    @property
    def log(self) -> str:
        return self.log_path.read_text("utf-8")

    def uploads(self) -> list[Path]:
        """Every file with content that it keeps in its working directory, which the tests make its TMPDIR too."""
        return [path for path in self.folder.rglob("*") if path.is_file() and path.stat().st_size > 0]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str] = os.environ,
    *,
    patience_s: float = 180,
    stop: signal.Signals = signal.SIGTERM,
) -> Iterator[Server]:
    """Run the command with ``CXR_PORT`` set to a free port, unless it is set already; yield once its page answers.

    Fails when the command stops by itself, or has not answered after ``patience_s`` seconds.
    """
    port = environment.get("CXR_PORT") or str(free_port())
    with tempfile.TemporaryDirectory() as logs:
        log_path, started = Path(logs) / "log", time.monotonic()
        with log_path.open("w") as log:
            process = subprocess.Popen(
                [*command],
                cwd=folder,
                env={**environment, "CXR_PORT": port},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        server = Server(f"http://127.0.0.1:{port}/", folder, log_path, 0.0)
        try:
            while not answers(server.url):
                assert process.poll() is None, server.log[-3000:]
                assert time.monotonic() - started < patience_s, f"no answer in {patience_s} s\n{server.log[-3000:]}"
                time.sleep(0.1)
            yield server._replace(started_in_s=time.monotonic() - started)
            assert process.poll() is None, server.log[-3000:]
        finally:
            os.killpg(process.pid, stop)
            process.wait(120)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status == 200
    except OSError:
        return False
