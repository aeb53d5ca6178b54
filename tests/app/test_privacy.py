"""Nothing of a patient leaves a DICOM; visitors are never mixed; a film goes when its visitor does."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from gradio_client import Client, handle_file
from pydicom.datadict import DicomDictionary

import cxrcore
from cxrcore.models.base import Model
from cxrcore.models.classifier import Classifier
from cxrcore.serving.catalog import Catalog
from cxrcore.serving.recent_films import RecentFilms
from page.build import build_app
from page.viewer import FilmViewer
from tests.app.conftest import visit_of
from tests.app.visit import Visit
from tests.films import chest, dataset, encoded, written
from tests.servers import Server, free_port
from train.cli import main

SECRET = "Zyxwvut"  # begins every text in the file
BORN, TAKEN, UID = "19170329", "20110413", "1.2.826.0.1.3680043.8.498.7717717"  # every date, and every identifier
TEXTS, NAMES = ("LO", "SH", "LT", "ST", "UT", "UC", "AE"), ("PN",)
DECODING = ("SOPClassUID", "SOPInstanceUID", "TransferSyntaxUID")  # what a reader needs


def named_everywhere() -> bytes:
    """A film whose header holds a secret in every text, name, date and identifier that DICOM's dictionary has."""
    ds = dataset(chest(16), 12)
    for number, (tag, (vr, _, _, retired, keyword)) in enumerate(DicomDictionary.items()):
        if not 0x0008 <= tag >> 16 < 0x7FE0 or not keyword or retired or keyword in DECODING:
            continue
        if vr in TEXTS:
            setattr(ds, keyword, f"{SECRET}{number}")
        elif vr in NAMES:
            setattr(ds, keyword, f"{SECRET}{number}^Otto")
        elif vr in ("DA", "DT"):
            setattr(ds, keyword, BORN if number % 2 else TAKEN)
        elif vr == "UI":
            setattr(ds, keyword, f"{UID}.{number}")
    ds.private_block(0x0011, SECRET, create=True).add_new(1, "LO", f"{SECRET} private")
    return written(ds)


def leaks(content: bytes | str) -> list[str]:
    data = content.encode() if isinstance(content, str) else content
    return [word for word in (SECRET, BORN, TAKEN, UID, "0815-4711") if word.encode() in data]


def test_the_film_is_full_of_secrets() -> None:
    data = named_everywhere()
    assert data.count(SECRET.encode()) > 500
    assert set(leaks(data)) == {SECRET, BORN, TAKEN, UID}


@pytest.mark.browser
def test_no_tag_reaches_the_page_its_log_its_exports_or_a_file(visit: Visit) -> None:
    page, saved = visit.page, []
    visit.analyse({"name": "film.dcm", "mimeType": "application/dicom", "buffer": named_everywhere()})
    if page.locator("[data-part=anyway]").is_visible():
        page.click("[data-part=anyway]")
    for export in ("save-json", "save-png"):
        with page.expect_download() as download:
            page.click(f"[data-part={export}]")
        saved.append(Path(download.value.path()).read_bytes())
    page.click("[data-part=shake]")
    page.wait_for_selector("[data-part=shaken] li", timeout=60_000)
    payloads = page.evaluate("JSON.stringify([...document.querySelectorAll('*')].map((node) => ({ ...node.dataset })))")
    for content in (page.content(), payloads, visit.server.log, *visit.console, *visit.requests, *saved):
        assert leaks(content) == []
    assert [path for path in visit.server.folder.rglob("*") if path.is_file() and leaks(path.read_bytes())] == []
    assert [path for path in visit.server.folder.rglob("*") if leaks(path.name)] == []


def test_no_tag_reaches_a_programs_answer(server: Server, tmp_path: Path) -> None:
    (tmp_path / "film.dcm").write_bytes(named_everywhere())
    client, film = Client(server.url, verbose=False), handle_file(str(tmp_path / "film.dcm"))
    for name in ("analyse", "explain", "shake", "erase"):
        assert leaks(json.dumps(client.predict(film=film, api_name=f"/{name}"))) == []
    client.close()
    assert leaks(server.log) == []
    assert server.uploads() == []


def test_no_tag_reaches_the_command_lines_answer_or_overlays(
    bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "film.dcm").write_bytes(named_everywhere())
    for more in (["--json"], ["--heatmaps", str(tmp_path / "maps")]):
        assert main(["predict", str(bundle), str(tmp_path / "film.dcm"), *more]) == 0
    out, err = capfd.readouterr()
    overlays = [path.read_bytes() for path in (tmp_path / "maps").iterdir()]
    assert len(overlays) == 14
    texts: list[str | bytes] = [out, err, caplog.text, *overlays]
    for content in texts:
        assert leaks(content) == []


def test_an_upload_that_is_broken_off_leaves_nothing(server: Server) -> None:
    address = urlsplit(server.url)
    begun = (
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="film.dcm"\r\n\r\n'
        + named_everywhere()[:50_000]
    )
    head = f"POST /gradio_api/upload HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: 9000000\r\n"
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(head.encode() + b"Content-Type: multipart/form-data; boundary=x\r\n\r\n" + begun)
        assert soon(lambda: server.uploads() != [])
    assert soon(lambda: server.uploads() == [])


def films_of_sizes() -> dict[str, bytes]:
    """Different films, told apart by their width, too."""
    rng = np.random.default_rng(5)
    return {str(width): encoded(rng.integers(0, 255, (200, width), np.uint8), "PNG") for width in range(180, 260, 10)}


@pytest.mark.slow
@pytest.mark.browser
def test_two_visitors_at_once_are_never_mixed(browser: Any, server: Server, model: Classifier) -> None:
    """Each sees the size, the picture and the probabilities of their own film. Oracle: the library."""
    films = list(films_of_sizes().items())
    expected = {width: model.predict(cxrcore.read_radiograph(data)).probabilities for width, data in films}
    contexts = [browser.new_context() for _ in range(2)]
    visits = [visit_of(context, server) for context in contexts]
    for pair in zip(films[::2], films[1::2], strict=True):
        for visit, (width, data) in zip(visits, pair, strict=True):
            visit.upload({"name": f"{width}.png", "mimeType": "image/png", "buffer": data})
        for visit, (width, _) in zip(visits, pair, strict=True):
            visit.page.wait_for_function(
                "name => document.querySelector('[data-part=facts]').textContent.startsWith(name)",
                arg=f"{width}.png · {width} × 200",
                timeout=60_000,
            )
            visit.wait("result")
            assert visit.probabilities() == pytest.approx(expected[width], abs=0.00101)
            assert visit.page.evaluate("document.querySelector('[data-part=image]').naturalWidth") == int(width)
    for context in contexts:
        context.close()


def test_many_programs_at_once_get_the_answer_to_their_own_film(
    server: Server, model: Classifier, tmp_path: Path
) -> None:
    films = films_of_sizes()

    def ask(width: str) -> dict[str, Any]:
        (tmp_path / f"{width}.png").write_bytes(films[width])
        return Client(server.url, verbose=False).predict(
            film=handle_file(str(tmp_path / f"{width}.png")), api_name="/analyse"
        )

    with ThreadPoolExecutor(4) as pool:
        for width, answer in zip(films, pool.map(ask, films), strict=True):
            expected = model.predict(cxrcore.read_radiograph(films[width])).probabilities
            assert answer["film"]["width"] == int(width)
            assert answer["probabilities"] == pytest.approx(expected, abs=1e-6)


class Patient(Catalog):
    """Models that wait, once told to, before they are handed out."""

    def __init__(self, references: dict[str, str]) -> None:
        super().__init__(references)
        self.ready, self.asked = threading.Event(), threading.Event()
        self.ready.set()

    def __getitem__(self, name: str) -> Model:
        if not self.ready.is_set():
            self.asked.set()
            assert self.ready.wait(60)
        return super().__getitem__(name)


@pytest.fixture
def here(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Patient, RecentFilms]]:
    """A page served by this process: its address, its models and the films in its memory."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    catalog, port = Patient({"one": str(bundle)}), free_port()
    page = build_app(models=catalog)
    page.launch(server_name="127.0.0.1", server_port=port)
    (viewer,) = [block for block in page.blocks.values() if isinstance(block, FilmViewer)]
    yield f"http://127.0.0.1:{port}/", catalog, viewer._films
    catalog.ready.set()
    page.close(verbose=False)


def soon(true: Any) -> bool:
    """Whether it comes true within some seconds."""
    for _ in range(300):
        if true():
            return True
        time.sleep(0.1)
    return False


@pytest.mark.slow
@pytest.mark.browser
def test_a_film_goes_when_its_visitor_closes_the_page(browser: Any, here: tuple[str, Patient, RecentFilms]) -> None:
    address, catalog, films = here
    film = {"name": "film.png", "mimeType": "image/png", "buffer": encoded(chest(), "PNG")}
    first, second = (browser.new_context().new_page() for _ in range(2))
    for page in (first, second):
        page.goto(address)
        page.wait_for_selector(".cxr .about dl", timeout=60_000)
        page.set_input_files("#film-upload input[type=file]", film)
        page.wait_for_selector('.cxr[data-state="result"]', timeout=60_000)
    assert len(films) == 2
    first.context.close()
    assert soon(lambda: len(films) == 1)
    catalog.ready.clear()  # the other one leaves while the film is being read
    second.set_input_files("#film-upload input[type=file]", film)
    assert catalog.asked.wait(60)
    second.context.close()
    assert soon(lambda: len(films) == 0)
    time.sleep(1)
    catalog.ready.set()
    time.sleep(1)
    assert len(films) == 0
