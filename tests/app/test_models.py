"""Models that cost more, know no threshold, or learned from drawings say so wherever they are named."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file

import cxrcore
from cxrcore.findings import NIH14, PHANTOM5, PNEUMONIA2, PNEUMONIA3
from cxrcore.metrics.operating_points import OperatingPoints
from cxrcore.publishing.ensemble import make_ensemble
from cxrcore.serving.catalog import Catalog, analysis_report, model_facts, open_catalog
from cxrcore.serving.notices import DISCLAIMER, Notices, read_notices
from page.build import build_app
from tests.app.visit import Visit
from tests.servers import Server, free_port

DRAWN = {"synthetic": True}
NOTE = "It learned from 3.5 films of one hospital. Believe nothing of it."


@pytest.fixture(scope="module")
def pair(make_bundle: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ensemble of two that learned from phantoms, the second of which looks twice."""
    one = make_bundle("resnet10t", PHANTOM5, provenance=DRAWN)
    other = make_bundle("resnet18", PHANTOM5, provenance=DRAWN, test_time_augmentation="flip")
    out = tmp_path_factory.mktemp("ensembles") / "phantom-pair"
    make_ensemble([one, other], out)
    return out


@pytest.fixture(scope="module")
def partly(make_bundle: Callable[..., Path]) -> Path:
    """Fourteen findings, of which Hernia has no operating point and the others never reach theirs."""
    thresholds = np.ones(14, np.float32)
    thresholds[NIH14.index("Hernia")] = np.nan
    return make_bundle("resnet10t", NIH14, operating_points=OperatingPoints(NIH14.names, thresholds, "val"))


@pytest.fixture(scope="module")
def warned(make_bundle: Callable[..., Path]) -> Path:
    """One whose maker warns of it."""
    return make_bundle("resnet10t", NIH14, provenance={"note": NOTE})


@pytest.fixture(scope="module")
def server(
    pair: Path, partly: Path, warned: Path, make_bundle: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """The page with several models on its menu, served from here."""
    folder = tmp_path_factory.mktemp("server")
    three = make_bundle("resnet10t", PNEUMONIA3)
    models = {"pair": pair, "partly": partly, "warned": warned, "three": three} | {
        name: name for name in cxrcore.embedded_models()
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        demo = build_app(models=Catalog({name: str(reference) for name, reference in models.items()}))
        _, url, _ = demo.launch(server_name="127.0.0.1", server_port=free_port())
        yield Server(url, folder, folder / "none.log", 0)
        demo.close()


def test_the_price_and_the_drawings_are_said_before_a_model_is_loaded(
    pair: Path, make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    plain = make_bundle("resnet18", PNEUMONIA2)
    twice = make_bundle("resnet10t", PNEUMONIA2, test_time_augmentation="flip")
    make_ensemble([plain, twice], tmp_path / "mixed")
    make_ensemble([plain, make_bundle("resnet10t", PNEUMONIA2)], tmp_path / "plain")
    assert read_notices(plain).title("a") == "a"
    assert read_notices(twice).title("a") == "a (looks twice, mirrored: about twice the time)"
    assert read_notices(tmp_path / "plain").cost == "2 members: about twice the time"
    assert (
        read_notices(tmp_path / "mixed").cost
        == "2 members, some of which look twice, mirrored: about three times the time"
    )
    menu = open_catalog(str(pair)).menu
    assert menu[0]["name"] == "phantom-pair"
    assert menu[0]["title"].startswith("phantom-pair (synthetic films only; 2 members")
    assert {entry["name"] for entry in menu[1:]} == set(cxrcore.embedded_models())


def test_the_panel_about_an_ensemble_names_its_members_and_its_price(pair: Path) -> None:
    about = model_facts("phantom-pair", cxrcore.load(pair))
    facts = dict(about["facts"])
    assert "resnet10t, 64 × 64 pixels" in facts["Members"]
    assert "resnet18, 64 × 64 pixels" in facts["Members"]
    assert facts["Cost"].endswith("about three times the time")
    assert about["synthetic"] is True
    json.dumps(about, allow_nan=False)


def test_a_report_by_a_model_of_drawings_says_so(pair: Path, film_path: Path) -> None:
    film, model = cxrcore.read_radiograph(film_path), cxrcore.load(pair)
    assert "synthetic films" in analysis_report(film, model.analyse(film), model_facts("pair", model))["note"]
    assert Notices("", synthetic=False).caveats == DISCLAIMER


def test_a_models_own_warning_goes_where_it_goes(
    make_bundle: Callable[..., Path], tmp_path: Path, film_path: Path
) -> None:
    note = "Tried on 3.5 films of one hospital. Believe\n nothing."
    warned = make_bundle("resnet10t", PNEUMONIA2, provenance={"note": note})
    plain = make_bundle("resnet18", PNEUMONIA2)
    malformed = make_bundle("resnet10t", PNEUMONIA2, provenance={"note": ["a list"]})
    make_ensemble([plain, warned], tmp_path / "mixed")
    known = read_notices(warned)
    assert known.title("a") == "a (with a warning)"
    assert (known.short, known.note) == ("", "Tried on 3.5 films of one hospital. Believe nothing.")
    assert Notices("", False, "It guesses at .5 (.4-.6). No more.").first_sentence == "It guesses at .5 (.4-.6)."
    assert Notices("", False, "no full stop").first_sentence == "no full stop"
    assert read_notices(malformed).note == read_notices(plain).note == ""
    assert read_notices(tmp_path / "mixed").note == known.note
    film, model = cxrcore.read_radiograph(film_path), cxrcore.load(warned)
    about = model_facts("warned", model)
    assert about["note"] == known.note
    note = analysis_report(film, model.analyse(film), about)["note"]
    assert note == f"{known.note} {DISCLAIMER}"


def test_the_endpoint_returns_the_models_own_warning(server: Server, film_path: Path) -> None:
    client = Client(server.url, verbose=False)
    note = client.predict(film=handle_file(str(film_path)), model="warned", api_name="/analyse")["note"]
    client.close()
    assert note == f"{NOTE} {DISCLAIMER}"


@pytest.mark.browser
def test_the_models_own_warning_stands_above_its_answer(visit: Visit, film_path: Path) -> None:
    page = visit.page
    visit.analyse(film_path)
    assert not page.locator("[data-part=warning]").is_visible()
    page.select_option("[data-part=model]", "warned")
    page.wait_for_selector("[data-part=warning]:not([hidden])", timeout=60_000)
    visit.wait("result")
    banner = page.locator("[data-part=warning]")
    assert banner.inner_text().endswith("warning: It learned from 3.5 films of one hospital.")
    assert banner.bounding_box()["y"] < page.locator(".finding").first.bounding_box()["y"]
    assert page.inner_text("[data-part=about-warning]") == NOTE
    assert "with a warning" in page.locator("[data-part=model] option:checked").inner_text()
    with page.expect_download() as download:
        page.click("[data-part=save-json]")
    assert json.loads(Path(download.value.path()).read_text("utf-8"))["note"].startswith(NOTE)
    assert visit.console == []


@pytest.mark.browser
def test_an_ensemble_of_drawings_on_the_page(visit: Visit, film_path: Path, pair: Path) -> None:
    page = visit.page
    assert page.locator("[data-part=about-synthetic-model]").is_visible()
    assert "2 members" in page.locator("[data-part=model] option").first.inner_text()
    visit.analyse(film_path)
    prediction = cxrcore.load(pair).predict(cxrcore.read_radiograph(film_path))
    assert visit.probabilities() == pytest.approx(prediction.probabilities, abs=0.00101)
    assert "learned from synthetic films" in page.inner_text("[data-part=synthetic-model]")
    highest = max(prediction.probabilities, key=lambda name: prediction.probabilities[name])
    assert page.inner_text("[data-part=summary]").startswith(f"Highest: {highest}, ")
    assert "calls nothing positive" in page.inner_text("[data-part=how-to-read]")
    assert page.locator(".finding .mark").count() == 0
    assert page.locator(".finding .verdict").first.inner_text() == "no known threshold"
    assert "was not measured for this model" in page.inner_text("[data-part=evidence]")
    assert visit.console == []


@pytest.mark.browser
def test_another_model_answers_the_same_film_and_the_warning_goes(visit: Visit, film_path: Path) -> None:
    visit.analyse(film_path)
    visit.page.select_option("[data-part=model]", "pneumonia")
    visit.page.wait_for_selector('.finding[data-finding="Normal"]', timeout=60_000)
    assert not visit.page.locator("[data-part=synthetic-model]").is_visible()
    assert film_path.name in visit.page.inner_text("[data-part=facts]")


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_the_menu_fits_a_phone(open_page: Callable[..., Visit], width: int) -> None:
    visit = open_page(width)
    box = visit.page.locator("[data-part=model]").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width


@pytest.mark.browser
def test_a_table_of_scores_fits_a_phone(open_page: Callable[..., Visit]) -> None:
    visit = open_page(390)
    visit.page.select_option("[data-part=model]", "nih14")
    visit.page.click(".about details summary")
    visit.page.wait_for_selector(".scores table")
    card = visit.page.locator(".card.about").bounding_box()
    assert card["x"] + card["width"] <= 390


@pytest.mark.browser
@pytest.mark.parametrize(
    ("model", "summary", "verdict"),
    [
        ("partly", "No finding reaches its alarm threshold; 1 has none", "no known threshold"),
        ("three", "Most likely: ", "less likely"),
    ],
)
def test_unknown_thresholds_and_winners_are_said_in_words(
    visit: Visit, film_path: Path, model: str, summary: str, verdict: str
) -> None:
    visit.page.select_option("[data-part=model]", model)
    visit.page.wait_for_selector("[data-part=about-synthetic-model]", state="hidden")
    visit.analyse(film_path)
    assert visit.page.inner_text("[data-part=summary]").startswith(summary)
    assert verdict in visit.page.locator(".finding .verdict").all_inner_texts()
    assert "Pleural_Thickening" not in visit.page.inner_text(".cxr")
