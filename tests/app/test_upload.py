"""Uploads: a folder of their own, a limit, nothing left behind; and the page under another program's prefix."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastapi
import gradio as gr
import httpx
import pytest
import uvicorn

from cxrcore.serving.catalog import Catalog
from page.build import build_app
from page.upload import ROUTES
from tests.servers import Server, free_port


@pytest.fixture(scope="module")
def mounted(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page's address under a prefix of another program."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        page = build_app(models=Catalog({"one": str(bundle)}))
        options = {"app_kwargs": {"routes": ROUTES}, "max_file_size": 1000, "ssr_mode": False}
        program = gr.mount_gradio_app(fastapi.FastAPI(), page, path="/films", **options)
        port = free_port()
        server = uvicorn.Server(uvicorn.Config(program, host="127.0.0.1", port=port, log_level="error"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/films/"
        server.should_exit = True
        thread.join()


def send(address: str, content: bytes) -> httpx.Response:
    return httpx.post(address + "gradio_api/upload", files={"files": ("film.png", content)}, timeout=60)


def test_equal_files_lie_in_different_folders(server: Server) -> None:
    paths = [Path(send(server.url, b"the same bytes").json()[0]) for _ in range(2)]
    assert paths[0] != paths[1]
    for path in paths:
        assert path.name == "film.png"
        assert path.is_relative_to(server.folder)
        assert path.read_bytes() == b"the same bytes"
        path.unlink()


def test_too_large_a_file_is_refused_and_not_kept(mounted: str) -> None:
    assert send(mounted, b"x" * 1000).status_code == 200
    answer = send(mounted, b"x" * 1001)
    assert answer.status_code == 413
    assert "1000 bytes" in answer.text


@pytest.mark.browser
def test_the_page_works_under_a_prefix(mounted: str, browser: Any) -> None:
    page = browser.new_page()
    complaints: list[str] = []
    page.on("response", lambda answer: complaints.append(answer.url) if answer.status >= 400 else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(mounted)
    page.wait_for_selector(".cxr .about dl", timeout=60_000)
    page.locator(".example").first.click()
    page.wait_for_selector('.cxr[data-state="result"]', timeout=60_000)
    assert page.locator(".finding").count() == 14
    page.close()
    assert complaints == []
