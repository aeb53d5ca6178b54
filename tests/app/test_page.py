"""What a visitor sees, in a real browser, held against what the library says of the same film."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import cxrcore
from cxrcore.explain.overlay import colours
from cxrcore.models.classifier import Classifier
from cxrcore.resources import ASSETS
from tests.app.conftest import visit_of
from tests.app.visit import NEVER, Server, Visit
from tests.films import encoded

pytestmark = pytest.mark.browser
VISIBLE, ANOTHER, MIXED = "Infiltration", "Emphysema", "Nodule"  # what these random weights see, and see against


@pytest.fixture(scope="module")
def page_for_all(browser: Any, server: Server, film_path: Path) -> Iterator[Visit]:
    """The page with one film analysed, for tests that leave it as it is but for the finding."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    visit = visit_of(context, server)
    visit.analyse(film_path)
    yield visit
    context.close()


@pytest.fixture
def shown(page_for_all: Visit) -> Visit:
    page_for_all.page.evaluate("window.scrollTo(0, 0)")
    page_for_all.page.uncheck("[data-part=against]")
    return page_for_all


@pytest.fixture
def own(visit: Visit, film_path: Path) -> Visit:
    """The same, for a test that leaves it otherwise."""
    visit.analyse(film_path)
    return visit


def test_probabilities_on_the_page_are_the_models(shown: Visit, film_path: Path, model: Classifier) -> None:
    prediction = model.predict(cxrcore.read_radiograph(film_path))
    expected, positive = prediction.probabilities, prediction.positive
    printed = shown.probabilities()
    assert printed.keys() == expected.keys()
    for finding, probability in expected.items():
        assert printed[finding] == pytest.approx(probability, abs=0.00101)  # one decimal of a per cent
    assert list(printed) == sorted(expected, key=lambda finding: (not positive[finding], -expected[finding]))


def test_every_bar_marks_its_threshold_and_says_above_or_below(
    shown: Visit, film_path: Path, model: Classifier
) -> None:
    prediction = model.predict(cxrcore.read_radiograph(film_path))
    for finding, threshold in prediction.thresholds.items():
        row = shown.page.locator(f'.finding[data-finding="{finding}"]')
        side = "above" if prediction.positive[finding] else "below"
        assert row.locator(".verdict").inner_text().startswith(f"{side} its threshold of {100 * threshold:.0f}")
        mark = row.locator(".mark").evaluate("mark => parseFloat(mark.style.left)")
        assert mark == pytest.approx(100 * threshold, abs=0.01)


def test_another_finding_redraws_the_map_without_asking_the_server(shown: Visit) -> None:
    shown.choose(ANOTHER)
    before, asked = shown.canvas(), len(shown.requests)
    shown.choose(VISIBLE)
    assert not np.array_equal(before, shown.canvas())
    assert len(shown.requests) == asked
    assert shown.page.locator(f'.finding[data-finding="{VISIBLE}"] .about-finding').is_visible()


def test_the_drawn_map_is_the_librarys_map_on_the_films_grid(visit: Visit, model: Classifier, tmp_path: Path) -> None:
    path = tmp_path / "film.png"
    Image.fromarray(np.random.default_rng(5).integers(0, 255, (150, 210), np.uint8)).save(path)
    visit.analyse(path)
    visit.choose(VISIBLE)
    visit.page.uncheck("[data-part=against]")
    heat = model.explain(cxrcore.read_radiograph(path), VISIBLE)
    share = np.clip(np.asarray(heat) / heat.ceiling, 0, 1)
    drawn = visit.canvas().astype(float)
    assert drawn.shape == (150, 210, 4)
    assert np.abs(drawn[..., 3] - 255 * share).max() <= 2
    strong = share > 0.2
    assert strong.any()
    assert np.abs(drawn[strong][:, :3] - colours(share)[strong]).max() <= 6  # canvases hold premultiplied bytes


def test_no_more_evidence_than_in_other_films_is_said_instead_of_drawn(shown: Visit) -> None:
    shown.choose(NEVER)
    assert shown.page.inner_text("[data-part=quiet-text]") == f"Nothing on this film stands out for {NEVER.lower()}."
    canvas = shown.page.locator("[data-part=canvas]")
    assert not canvas.is_visible()
    shown.page.click("[data-part=show-anyway]")
    assert canvas.is_visible()
    shown.choose(VISIBLE)
    assert not shown.page.locator("[data-part=quiet]").is_visible()
    assert "logits" in shown.page.inner_text("[data-part=evidence]")


@pytest.mark.parametrize(("method", "words"), [("random", "knows nothing of this film"), ("layercam", "has no unit")])
def test_other_methods_say_what_they_cannot_tell(shown: Visit, method: str, words: str) -> None:
    shown.choose(VISIBLE)
    before = shown.canvas()
    shown.page.select_option("[data-part=method]", method)
    shown.page.wait_for_function(
        "words => document.querySelector('[data-part=evidence]').textContent.includes(words)", arg=words, timeout=60_000
    )
    assert not np.array_equal(before, shown.canvas())
    shown.page.select_option("[data-part=method]", "gradcam")
    assert np.array_equal(before, shown.canvas())


def test_evidence_against_is_drawn_in_blue_unless_it_is_switched_off(
    own: Visit, film_path: Path, model: Classifier
) -> None:
    assert own.page.locator("[data-part=against]").is_checked()
    own.choose(MIXED)
    assert own.page.inner_text("[data-part=ticks]").startswith("−")
    heat = model.explain(cxrcore.read_radiograph(film_path), MIXED)
    assert f"The sum is the logit, {heat.target:+.2f}".replace("-", "−") in own.page.inner_text("[data-part=map-notes]")


def test_what_is_drawn_with_evidence_against_is_blue(shown: Visit) -> None:
    shown.choose(MIXED)
    without = shown.canvas()
    shown.page.check("[data-part=against]")
    drawn = shown.canvas()
    added = (without[..., 3] == 0) & (drawn[..., 3] > 10)
    assert added.any()
    assert (drawn[added][:, 2] >= drawn[added][:, 0]).all()


def test_views_and_opacity(own: Visit) -> None:
    page = own.page
    page.click('label:has-text("Side by side")')
    assert page.locator(".plain img").is_visible()
    page.click('label:has-text("Slider")')
    page.fill("[data-part=sweep]", "250")
    assert "25%" in page.locator(".veil").evaluate("veil => getComputedStyle(veil).clipPath")
    page.fill("[data-part=opacity]", "30")
    assert page.locator("[data-part=canvas]").evaluate("canvas => getComputedStyle(canvas).opacity") == "0.3"


def test_findings_are_chosen_with_the_keyboard(own: Visit) -> None:
    own.page.locator(".finding input").first.focus()
    first = own.page.locator(".finding.chosen").get_attribute("data-finding")
    own.page.keyboard.press("ArrowDown")
    assert own.page.locator(".finding.chosen").get_attribute("data-finding") != first


@pytest.mark.parametrize("way", ["paste", "drop"])
def test_a_film_can_be_pasted_or_dropped(visit: Visit, film_path: Path, way: str) -> None:
    visit.page.evaluate(
        """async ([way, bytes]) => {
        const carrier = new DataTransfer();
        carrier.items.add(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], "film.png"));
        const event = way === "paste" ? new ClipboardEvent("paste", { clipboardData: carrier, bubbles: true })
          : new DragEvent("drop", { dataTransfer: carrier, bubbles: true });
        document.body.dispatchEvent(event); }""",
        [way, base64.b64encode(film_path.read_bytes()).decode()],
    )
    visit.wait("result")


def test_a_drawn_film_is_read_by_a_model_of_drawn_films_and_the_next_film_by_ones_own(
    visit: Visit, film_path: Path, bundle: Path
) -> None:
    own = visit.page.input_value("[data-part=model]")
    assert own == bundle.name
    assert visit.page.locator(".example").count() >= 3
    assert visit.page.locator(".example .badge").first.inner_text() == "synthetic"
    visit.page.locator(".example").first.click()
    visit.wait("result")
    assert "synthetic" in visit.page.inner_text("[data-part=facts]")
    assert visit.page.input_value("[data-part=model]") == "phantom"
    assert "drawn by a program" in visit.page.inner_text("[data-part=synthetic-film]")
    assert not visit.page.locator("[data-part=synthetic-model]").is_visible()
    film = cxrcore.read_radiograph(ASSETS / "examples" / "normal.png")
    assert visit.probabilities() == pytest.approx(cxrcore.load("phantom").predict(film).probabilities, abs=0.00101)
    visit.page.click("[data-part=again]")
    visit.analyse(film_path)
    assert visit.page.input_value("[data-part=model]") == own
    assert not visit.page.locator("[data-part=synthetic-film]").is_visible()
    assert len(visit.probabilities()) == 14


def test_numbers_and_overlay_can_be_taken_home(shown: Visit, film_path: Path, model: Classifier) -> None:
    film = cxrcore.read_radiograph(film_path)
    with shown.page.expect_download() as download:
        shown.page.click("[data-part=save-json]")
    report = json.loads(Path(download.value.path()).read_text("utf-8"))
    prediction = model.predict(film)
    assert report["probabilities"] == pytest.approx(prediction.probabilities, abs=1e-6)
    assert report["model"] == model.id
    assert set(report["heatmaps"]) == set(model.labels)
    assert "never for diagnosis" in report["note"]
    with shown.page.expect_download() as download:
        shown.page.click("[data-part=save-png]")
    with Image.open(download.value.path()) as saved:
        enlarged = saved.width / film.width
        assert enlarged == round(enlarged) >= 1
        assert saved.height > enlarged * film.height
        below = np.asarray(saved.convert("RGB"))[round(enlarged * film.height) :].astype(int)
    colourful = np.ptp(below, axis=2) > 60  # the scale; the caption is white on black
    assert colourful.any(axis=0).sum() > saved.width / 10


def test_another_film_replaces_the_first(own: Visit) -> None:
    before = own.probabilities()
    own.page.click("[data-part=again]")
    own.wait("empty")
    noise = np.random.default_rng(1).integers(0, 255, (300, 300), np.uint8)
    own.analyse({"name": "noise.png", "mimeType": "image/png", "buffer": encoded(noise, "PNG")})
    assert own.probabilities() != before


def test_the_caution_stays_in_sight(shown: Visit) -> None:
    shown.page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    box = shown.page.locator(".caution").bounding_box()
    assert 0 <= box["y"] < 100
    assert "Never for diagnosis" in shown.page.inner_text(".caution")


def test_nothing_is_said_to_the_console_or_to_any_other_machine(own: Visit) -> None:
    own.choose(VISIBLE)
    assert own.console == []
    assert own.hosts == {"127.0.0.1"}


def test_uploads_are_gone_once_the_answer_is_there(shown: Visit) -> None:
    assert shown.server.uploads() == []


@pytest.mark.parametrize("dark", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_sticks_out_sideways(open_page: Callable[..., Visit], film_path: Path, width: int, dark: bool) -> None:
    visit = open_page(width, dark)
    visit.analyse(film_path)
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    paper = visit.page.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor")
    assert (sum(int(part) for part in paper[4:-1].split(",")) < 384) == dark


def test_the_embedded_two_class_model_can_be_picked_for_the_same_film(own: Visit, film_path: Path) -> None:
    name = "pneumonia"
    if name not in cxrcore.embedded_models():
        pytest.skip(f"{name} is not embedded here")
    prediction = cxrcore.load(name).predict(cxrcore.read_radiograph(film_path))
    own.page.select_option("[data-part=model]", name)
    own.page.wait_for_selector('.finding[data-finding="Normal"]', timeout=60_000)
    assert own.probabilities() == pytest.approx(prediction.probabilities, abs=0.00101)
    side = "above" if prediction.positive["Pneumonia"] else "below"
    assert f"Pneumonia is {side} the alarm threshold" == own.page.inner_text("[data-part=summary]")
    verdict = own.page.inner_text('.finding[data-finding="Pneumonia"] .verdict')
    assert verdict.startswith(f"{side} this model's alarm threshold of ")
    assert "It learned from films of children of one to five years" in own.page.inner_text("[data-part=how-to-read]")
