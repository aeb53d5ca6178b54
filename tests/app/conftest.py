"""One real server, started as a visitor's host would start it, and one real browser for all tests of the page."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import cxrcore
from cxrcore.findings import NIH14
from cxrcore.metrics.operating_points import OperatingPoints
from cxrcore.models.classifier import Classifier
from tests.app.visit import NEVER, Visit, command
from tests.servers import Server, running


@pytest.fixture(scope="session")
def bundle(make_bundle: Callable[..., Path]) -> Path:
    """A ResNet-18 of random weights with fourteen findings, thresholds, and evidence levels that one finding never
    reaches and the others always do."""
    thresholds = np.linspace(0.3, 0.7, len(NIH14)).astype(np.float32)
    return make_bundle(
        "resnet18",
        NIH14,
        size=128,
        operating_points=OperatingPoints(NIH14.names, thresholds, "val"),
        evidence_levels={finding: 1e6 if finding == NEVER else -1.0 for finding in NIH14},
        map_ceilings=dict.fromkeys(NIH14, 0.5),
    )


@pytest.fixture(scope="session")
def model(bundle: Path) -> Classifier:
    """The same bundle, opened by the library: what the page has to agree with."""
    opened = cxrcore.load(bundle)
    assert isinstance(opened, Classifier)
    return opened


@pytest.fixture(scope="session")
def case_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher's set of four films, two with a bright square and its box."""
    from cxrcore.publishing.case_set import make_case_set

    folder = tmp_path_factory.mktemp("teacher")
    rows, boxes = ["image,Consolidation"], ["image,finding,x,y,width,height"]
    for n in range(4):
        grey = np.random.default_rng(n).integers(20, 90, (128, 128)).astype(np.uint8)
        if n < 2:
            grey[32:64, 64:96] = 230
            boxes.append(f"Doe-{n}.png,Consolidation,64,32,32,32")
        Image.fromarray(grey).save(folder / f"Doe-{n}.png")
        rows.append(f"Doe-{n}.png,{int(n < 2)}")
    labels = tmp_path_factory.mktemp("labels")
    for name, lines in (("labels.csv", rows), ("boxes.csv", boxes)):
        (labels / name).write_text("\n".join(lines) + "\n")
    out = labels / "week-1.zip"
    make_case_set(folder, out, labels / "labels.csv", labels / "boxes.csv", title="Week 1")
    return out


@pytest.fixture(scope="session")
def server(bundle: Path, case_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    environment = os.environ | {"TMPDIR": str(folder), "CXR_MODEL": str(bundle), "CXR_CASES": str(case_set)}
    with running(command(), folder, environment, stop=signal.SIGINT) as started:
        yield started


@pytest.fixture(scope="session")
def film_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real NIH film where there is one, else a phantom, as a PNG."""
    data = os.environ.get("CXR_DATA_DIR")
    real = sorted(Path(data, "nih", "images-1024").glob("*.png")) if data else []
    if real:
        return real[0].resolve()
    from cxrcore.phantom import draw_phantom

    path = tmp_path_factory.mktemp("film") / "phantom.png"
    Image.fromarray((draw_phantom(3).pixels * 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="session")
def browser_context(browser: Any) -> Iterator[Callable[[int, bool], Any]]:
    """``browser_context(width, dark)``: one for each look of the page, so that Gradio's scripts are loaded once."""
    contexts: dict[tuple[int, bool], Any] = {}

    def context(width: int, dark: bool) -> Any:
        if (width, dark) not in contexts:
            scheme = "dark" if dark else "light"
            contexts[width, dark] = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        return contexts[width, dark]

    yield context
    for made in contexts.values():
        made.close()


@pytest.fixture
def open_page(browser_context: Callable[[int, bool], Any], server: Server) -> Iterator[Callable[..., Visit]]:
    """A function that opens the page as a new visitor would: ``open_page(width=1280, dark=False)``."""
    pages = []

    def visit(width: int = 1280, dark: bool = False) -> Visit:
        opened = visit_of(browser_context(width, dark), server)
        pages.append(opened.page)
        return opened

    yield visit
    for page in pages:
        page.evaluate("localStorage.clear(); sessionStorage.clear()")
        page.context.clear_cookies()
        page.close()


def visit_of(context: Any, server: Server) -> Visit:
    page = context.new_page()
    seen = Visit(page, server)
    page.on("console", lambda message: seen.console.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: seen.console.append(f"uncaught: {error}"))
    page.on("request", lambda request: seen.requests.append(request.url))
    page.goto(server.url)
    page.wait_for_selector(".cxr .about dl", timeout=60_000)
    return seen


@pytest.fixture
def visit(open_page: Callable[..., Visit]) -> Visit:
    return open_page()
