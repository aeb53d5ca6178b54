"""Models from the Hugging Face Hub on the page: a real browser, the real client, a localhost hub."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

import app
import cxrcore
from cxrcore.errors import HubError
from cxrcore.findings import PNEUMONIA3
from cxrcore.hub.client import cache_folder
from cxrcore.resources import ASSETS
from cxrcore.serving import hub_catalog
from cxrcore.serving.catalog import Catalog, open_catalog
from cxrcore.serving.hub_catalog import HubCatalog
from page.build import build_app
from tests.app.visit import Visit
from tests.hub import Hub
from tests.hub.fixtures import REPO, contents
from tests.servers import Server, free_port

pytestmark = pytest.mark.browser
FILMS = "tester/films"
METRICS = "evaluation/phantom-test/metrics.json"


@pytest.fixture(scope="module")
def room() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def hub(room: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """One hub, and one cache, for all visits of this file."""
    from huggingface_hub import constants

    home = tmp_path_factory.mktemp("home")
    room.setattr(constants, "HF_TOKEN_PATH", str(home / "no-login"))
    with Hub() as running:
        for name, value in running.environment(home).items():
            room.setenv(name, value)
        yield running


@contextmanager
def served(models: Catalog, folder: Path) -> Iterator[Server]:
    demo = build_app(models=models)
    try:
        _, url, _ = demo.launch(server_name="127.0.0.1", server_port=free_port())
        yield Server(url, folder, folder / "none.log", 0)
    finally:
        demo.close()


@pytest.fixture(scope="module")
def three(make_bundle: Callable[..., Path]) -> Path:
    return make_bundle("resnet10t", PNEUMONIA3)


@pytest.fixture(scope="module")
def server(
    hub: Hub, three: Path, room: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """The page as it is on a machine of one's own, with a model of three classes."""
    folder = tmp_path_factory.mktemp("uploads")
    room.setenv("GRADIO_TEMP_DIR", str(folder))
    room.setattr(hub_catalog, "ASK_AGAIN_S", 0.0)
    room.setenv("CXR_EXAMPLES", FILMS)
    (folder / "deployed.json").write_text('{"dashboard": "http://127.0.0.1:9/board"}')
    room.setenv("CXR_DEPLOYED", str(folder / "deployed.json"))
    with served(Catalog({"three": str(three)}, HubCatalog(True, token=None)), folder) as running:
        yield running


@pytest.fixture(scope="module")
def first(hub: Hub, ready: Path) -> str:
    """The commit of a model on the hub, before its branch moves."""
    return hub.add(REPO, contents(ready))


def ask_for(visit: Visit, reference: str) -> None:
    if not visit.page.locator("[data-part=hub-reference]").is_visible():
        visit.page.click("[data-part=hub] summary")
    visit.page.fill("[data-part=hub-reference]", reference)
    visit.page.keyboard.press("Enter")


def opened(visit: Visit, name: str) -> None:
    """Until the model of that name answers, for the film if there is one."""
    visit.page.wait_for_function(
        """(name) => document.querySelector("[data-part=about]").innerText.includes(name)
        && document.querySelector(".cxr").dataset.state !== "reading" """,
        arg=name,
        timeout=60_000,
    )


def refused(visit: Visit) -> str:
    visit.page.wait_for_selector("[data-part=hub-status]:not([hidden]):not(.busy)", timeout=60_000)
    return visit.page.inner_text("[data-part=hub-status]")


def menu(visit: Visit) -> list[str]:
    return visit.page.eval_on_selector_all("[data-part=model] option", "options => options.map((o) => o.value)")


def test_a_model_opens_by_its_name_on_the_hub_for_the_film_that_is_there(
    open_page: Callable[..., Visit], hub: Hub, first: str, film_path: Path
) -> None:
    visit, other = open_page(), open_page()
    visit.analyse(film_path)
    before = visit.probabilities()
    ask_for(visit, REPO)
    name = f"{REPO}@{first[:12]}"
    opened(visit, name)
    expected = cxrcore.load("phantom").predict(cxrcore.read_radiograph(film_path))
    assert visit.probabilities() == pytest.approx(expected.probabilities, abs=0.00101)
    assert visit.probabilities().keys() != before.keys()
    assert film_path.name in visit.page.inner_text("[data-part=facts]")
    assert "phantom" in visit.page.inner_text("[data-part=about]")
    macro = json.loads(hub.files(REPO, revision=first)[METRICS])["macro"]["auroc"]["value"]
    assert f"{macro:.3f}" in visit.page.inner_text("[data-part=headline]")
    assert visit.page.input_value("[data-part=model]") == name
    assert visit.page.locator("[data-part=model] optgroup option").inner_text().startswith(name)
    assert name not in menu(other)
    assert visit.console == []
    assert visit.hosts == {"127.0.0.1"}


def test_the_endpoint_takes_a_name_on_the_hub(server: Server, first: str, film_path: Path) -> None:
    client = Client(server.url, verbose=False)
    report = client.predict(film=handle_file(str(film_path)), model=f"{REPO}@{first}", api_name="/analyse")
    client.close()
    expected = cxrcore.load("phantom").predict(cxrcore.read_radiograph(film_path))
    assert report["probabilities"] == pytest.approx(expected.probabilities, abs=1e-6)
    assert f"({REPO}@{first[:12]})" in report["model"]


def test_what_cannot_be_opened_is_one_sentence_and_the_page_goes_on(
    visit: Visit, hub: Hub, ready: Path, first: str, film_path: Path, room: pytest.MonkeyPatch
) -> None:
    files = contents(ready)
    newer = json.loads(files["config.json"])
    newer["cxrcore"] |= {"schema": 99}
    fewer = json.loads(files["config.json"]) | {"num_classes": 3}
    huge = json.loads(files["config.json"])
    huge["cxrcore"]["preprocessing"] |= {"height": 30_000, "width": 30_000}
    for name, config in (("newer", newer), ("fewer", fewer), ("huge", huge)):
        hub.add(f"tester/{name}", files | {"config.json": json.dumps(config).encode()})
    hub.add("tester/empty", {"config.json": files["config.json"]})
    hub.add("tester/pickled", {"config.json": files["config.json"], "pytorch_model.bin": b"x"})
    hub.add("tester/spoilt", files | {"model.safetensors": files["model.safetensors"] + b"other"})
    visit.analyse(film_path)
    before = visit.probabilities()
    cases = {
        "tester/none": "There is no model tester/none on the Hub, or it is private",
        f"{REPO}@v9": f"{REPO} has no revision 'v9'; name one of its branches, tags or commits",
        "tester/empty": "tester/empty has no weights (model.safetensors); push the whole bundle again",
        "tester/pickled": "tester/pickled has its weights only in pytorch_model.bin, which can run code",
        "tester/newer": "has schema version 99 and this program reads 1",
        "tester/fewer": "head has 3 outputs and its label set",
        "tester/huge": "takes films of 30000 × 30000 pixels",
        "tester/spoilt": "model.safetensors of tester/spoilt arrived damaged",
        "phantom": "that is no model on the Hub; write user/repo",
    }
    for reference, sentence in cases.items():
        hub.faults.corrupt = {"model.safetensors"} if reference == "tester/spoilt" else set()
        ask_for(visit, reference)
        message = refused(visit)
        print(message)
        assert sentence in message
        assert message.endswith(".")
        assert "/tmp" not in message
        assert "\n" not in message
        assert visit.page.is_enabled("[data-part=hub-open]")
        assert visit.probabilities() == before
    assert visit.page.locator(".findings").is_visible()
    with room.context() as patch:
        patch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free_port()}")
        ask_for(visit, "tester/other")
        message = refused(visit)
        print(message)
        assert "The Hugging Face Hub cannot be reached" in message
        assert f"what opens without it: {REPO}@{first[:12]}" in message
    assert visit.probabilities() == before
    assert [line for line in visit.console if not line.startswith("warning")] == []


def test_a_model_that_is_here_opens_without_the_hub(
    open_page: Callable[..., Visit], first: str, film_path: Path, room: pytest.MonkeyPatch
) -> None:
    with room.context() as patch:
        patch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free_port()}")
        visit, name = open_page(), f"{REPO}@{first[:12]}"
        assert name in menu(visit)
        visit.page.select_option("[data-part=model]", name)
        opened(visit, name)
        visit.analyse(film_path)
        assert name in visit.page.inner_text("[data-part=about]")


def test_a_model_that_went_missing_leaves_the_answer_where_it_was(
    open_page: Callable[..., Visit], hub: Hub, ready: Path, film_path: Path, room: pytest.MonkeyPatch
) -> None:
    hub.add("tester/lost", contents(ready))
    name = HubCatalog(True, token=None).open("tester/lost")
    visit = open_page()
    visit.analyse(film_path)
    before = visit.probabilities()
    shutil.rmtree(cache_folder() / "models--tester--lost")
    with room.context() as patch:
        patch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free_port()}")
        visit.page.select_option("[data-part=model]", name)
        assert "The Hugging Face Hub cannot be reached" in refused(visit)
    visit.wait("result")
    assert visit.probabilities() == before
    assert visit.page.input_value("[data-part=model]") == "three"
    visit.page.select_option("[data-part=method]", "random")
    visit.page.wait_for_function("document.querySelector('[data-part=stage]').ariaBusy === 'false'")
    assert "knows nothing of this film" in visit.page.inner_text("[data-part=evidence]")


@pytest.mark.slow
def test_a_moved_branch_is_offered_and_swapped_only_for_who_takes_it(
    open_page: Callable[..., Visit], hub: Hub, first: str, ready: Path, film_path: Path
) -> None:
    name = f"{REPO}@{first[:12]}"
    visit, other = open_page(), open_page()
    for each in (visit, other):
        ask_for(each, REPO)
        opened(each, name)
        assert not each.page.locator("[data-part=newer]").is_visible()
    metrics = json.loads(contents(ready)[METRICS])
    metrics["macro"]["auroc"]["value"] = 0.123
    second = hub.add(REPO, {METRICS: json.dumps(metrics).encode()})
    for each in (visit, other):
        each.analyse(film_path)
        each.page.wait_for_selector("[data-part=newer]:not([hidden])")
        offered = each.page.inner_text("[data-part=newer]")
        assert offered == f"A newer revision of {REPO} is on the Hub ({second[:12]}). Open it"
        assert name in each.page.inner_text("[data-part=about]")
    visit.page.click("[data-part=newer] button")
    opened(visit, f"{REPO}@{second[:12]}")
    assert "0.123" in visit.page.inner_text("[data-part=headline]")
    assert not visit.page.locator("[data-part=newer]").is_visible()
    assert film_path.name in visit.page.inner_text("[data-part=facts]")
    other.page.select_option("[data-part=method]", "random")
    other.page.wait_for_function("document.querySelector('[data-part=stage]').ariaBusy === 'false'")
    assert name in other.page.inner_text("[data-part=about]")
    assert other.console == []


def test_public_films_are_fetched_on_a_click_and_named_with_their_licence(visit: Visit, hub: Hub, three: Path) -> None:
    film = ASSETS / "examples" / "effusion.png"
    entries = [{"file": name, "title": name[:-4], "licence": "CC0"} for name in ("film.png", "broken.png")]
    index = json.dumps(entries).encode()
    hub.add(FILMS, {"examples.json": index, "film.png": film, "broken.png": b"no film"}, kind="datasets")
    page, asked = visit.page, len(hub.requests)
    assert FILMS in page.inner_text("[data-part=real-source]")
    page.wait_for_timeout(200)
    assert len(hub.requests) == asked
    page.click("[data-part=films] button")
    page.click("[data-part=films] [data-film=example-2]")
    message = visit.error()
    assert "broken" in message
    assert page.locator("[data-part=films] button").first.inner_text() == "film\nCC0"
    page.click("[data-part=films] [data-film=example-1]")
    visit.wait("result")
    expected = cxrcore.load(three).predict(cxrcore.read_radiograph(film))
    assert visit.probabilities() == pytest.approx(expected.probabilities, abs=0.00101)
    assert f"film, {FILMS}, CC0" in page.inner_text("[data-part=facts]")
    assert "synthetic" not in page.inner_text("[data-part=facts]")
    assert [line for line in visit.console if not line.startswith("warning")] == []


def test_the_page_links_to_the_dashboard_it_was_deployed_with(visit: Visit, first: str) -> None:
    link = visit.page.locator("[data-part=dashboard] a")
    assert link.get_attribute("href") == "http://127.0.0.1:9/board"
    ask_for(visit, f"{REPO}@{first}")
    opened(visit, f"{REPO}@{first[:12]}")
    assert link.get_attribute("href") == f"http://127.0.0.1:9/board?model=tester%2Ffilm%40{first[:12]}"


@pytest.mark.slow
def test_strangers_open_what_is_public_and_nothing_where_it_is_not_allowed(
    hub: Hub, ready: Path, three: Path, browser: Any, film_path: Path, tmp_path: Path
) -> None:
    hub.add("tester/secret", contents(ready), private=True)
    name = HubCatalog(True, token=None).open("tester/secret")  # whoever runs the server may
    strangers = HubCatalog(True, token=False)
    for reference in ("tester/secret", name):
        with pytest.raises(HubError, match=r"no revision|no model tester/secret"):
            strangers.open(reference)
    assert strangers.open(REPO).startswith(f"{REPO}@")
    assert strangers.cached_models() == {}
    closed = open_catalog("tester/secret")  # the server's own, for everybody
    assert closed.names[0] == name
    assert closed.hub.newer(name) is None
    moved = hub.add("tester/secret", {"README.md": b"Better now."})
    newer = closed.hub.newer(name)
    assert newer is not None
    assert (newer.reference, newer.revision) == ("tester/secret", moved[:12])
    assert closed.hub.open(newer.reference, newest=True) == f"tester/secret@{moved[:12]}"
    assert closed[name].info["hub"] == name
    assert closed[f"tester/secret@{moved[:12]}"].info["hub"] == f"tester/secret@{moved[:12]}"
    for reference in (REPO, "tester/secret@dev"):
        with pytest.raises(HubError, match="this page opens no other models from the Hugging Face Hub"):
            closed[reference]
    with served(Catalog({"three": str(three)}), tmp_path) as server:
        page = browser.new_page()
        page.goto(server.url)
        page.wait_for_selector(".cxr .about dl", timeout=60_000)
        assert not page.locator("[data-part=hub]").is_visible()
        page.close()
        client = Client(server.url, verbose=False)
        with pytest.raises(AppError, match="this page opens no other models"):
            client.predict(film=handle_file(str(film_path)), model=REPO, api_name="/analyse")
        client.close()


def test_each_revision_is_loaded_once_and_the_last_few_stay(
    hub: Hub, ready: Path, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_catalog, "MAX_LOADED", 1)
    models = HubCatalog(True, token=None)
    loaded = models[f"{REPO}@{first}"]
    assert models[f"{REPO}@{first[:12]}"] is loaded
    assert models[f"https://huggingface.co/{REPO}/tree/{first}"] is loaded
    hub.add("tester/second", contents(ready))
    assert models["tester/second"].info["hub"].startswith("tester/second@")
    assert models[f"{REPO}@{first}"] is not loaded


@pytest.mark.parametrize(
    ("environment", "host", "expected"),
    [
        ({}, "127.0.0.1", (True, None)),
        ({}, "localhost", (True, None)),
        ({}, "0.0.0.0", (False, False)),
        ({"CXR_HUB": "1"}, "0.0.0.0", (True, False)),
        ({"CXR_HUB": "0"}, "127.0.0.1", (False, None)),
        ({"SPACE_ID": "a/b"}, "127.0.0.1", (False, False)),
    ],
)
def test_who_may_open_models_on_the_hub(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], host: str, expected: tuple
) -> None:
    for name in ("CXR_HUB", "SPACE_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert app.hub_for_visitors(host) == expected


@pytest.mark.parametrize("way", ["--model", "CXR_MODEL", "deployed.json"])
@pytest.mark.parametrize(
    ("reference", "sentence"),
    [("tester/none", "there is no model tester/none on the Hub"), (f"{REPO}@v9", f"{REPO} has no revision 'v9'")],
)
def test_a_start_with_a_model_that_is_not_there_ends_with_one_line(
    hub: Hub,
    first: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    reference: str,
    sentence: str,
    way: str,
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.delenv("CXR_MODEL", raising=False)
    arguments = ["--port", str(free_port())]
    if way == "--model":
        arguments += [way, reference]
    elif way == "CXR_MODEL":
        monkeypatch.setenv(way, reference)
    else:
        (tmp_path / way).write_text(json.dumps({"model": reference}))
        monkeypatch.setenv("CXR_DEPLOYED", str(tmp_path / way))
    assert app.main(arguments) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"app.py: {sentence}")
    assert message.count("\n") == 1
