"""A film that the model cannot read: withheld, corrected at a click, or analysed anyway; what an answer is worth."""

from __future__ import annotations

import json

import numpy as np
import pytest

import cxrcore
from cxrcore.explain.boxes import boxes_of
from cxrcore.explain.chest import outline_chest
from cxrcore.gate.negatives import draw_negatives
from cxrcore.models.erasing import erase
from cxrcore.models.shaking import CHANGES
from cxrcore.phantom import draw_phantom
from cxrcore.serving.decisions import decisions
from tests.accessibility import violations
from tests.app.visit import Visit
from tests.films import encoded

pytestmark = pytest.mark.browser


def picture(pixels: np.ndarray) -> dict:
    grey = (np.ascontiguousarray(pixels) * 255).astype(np.uint8)
    return {"name": "film.png", "mimeType": "image/png", "buffer": encoded(grey, "PNG")}


@pytest.fixture
def reader(visit: Visit) -> Visit:
    """The page with the embedded model of drawn films, which has a gate."""
    visit.page.select_option("[data-part=model]", "phantom")
    visit.page.wait_for_function("document.querySelector('[data-part=about]').innerText.includes('resnet10t')")
    return visit


def test_a_turned_film_is_put_right_at_a_click(reader: Visit) -> None:
    page = reader.page
    reader.analyse(picture(np.rot90(draw_phantom(3, ["Effusion"]).pixels, 2)))
    assert "turned" in page.inner_text("[data-part=gate-reasons]")
    assert not page.locator(".findings").is_visible()
    assert not page.locator("[data-part=save-json]").is_visible()
    page.click("text=Turn it by 180°")
    page.wait_for_selector('.cxr[data-gate="open"] .finding')
    reader.wait("result")
    assert page.locator(".findings").is_visible()
    assert "turned by 180° here" in page.inner_text("[data-part=facts]")
    assert [line for line in reader.console if not line.startswith("warning")] == []


def test_what_is_no_film_is_analysed_only_when_asked_and_the_export_says_so(reader: Visit) -> None:
    page = reader.page
    reader.analyse(picture(draw_negatives(2, seed=6)[0]))
    assert page.inner_text("[data-part=summary]") == "Not a film that this model can read"
    page.click("[data-part=anyway]")
    assert page.locator(".findings").is_visible()
    assert "as you asked" in page.inner_text("[data-part=gate-reasons]")
    with page.expect_download() as download:
        page.click("[data-part=save-json]")
    gate = json.loads(download.value.path().read_text())["gate"]
    assert (gate["accepted"], gate["overruled"], gate["reasons"][0]) == (False, True, "NOT_A_CHEST_XRAY")
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_good_film_after_it_is_shown_at_once(reader: Visit) -> None:
    reader.analyse(picture(draw_negatives(2, seed=6)[0]))
    reader.analyse(picture(draw_phantom(4).pixels))
    assert reader.page.locator(".findings").is_visible()
    assert not reader.page.locator("[data-part=anyway]").is_visible()


def test_what_an_answer_is_worth_follows_the_prevalence(reader: Visit) -> None:
    """Oracle: Bayes' rule on the rates of the model's own metrics.json."""
    page = reader.page
    reader.analyse(picture(draw_phantom(3, ["Effusion"]).pixels))
    (scores,) = [entry for entry in cxrcore.load("phantom").info["metrics"] if entry["split"] == "test"]
    for finding in ("Effusion", "Nodule"):
        reader.choose(finding)
        row = scores["findings"][finding]
        page.select_option("[data-part=setting]", "screening")
        assert page.input_value("[data-part=prevalence]") == "1"
        page.fill("[data-part=prevalence]", "25")
        assert page.input_value("[data-part=setting]") == "other"
        found, cleared = 0.25 * row["sensitivity"], 0.75 * row["specificity"]
        positive = page.get_attribute(f'[data-finding="{finding}"]', "data-positive") == "true"
        right, wrong = (found, 0.75 - cleared) if positive else (cleared, 0.25 - found)
        assert f"right in {100 * right / (right + wrong):.1f}" in page.inner_text("[data-part=worth]")
        assert ("not excluded" in page.inner_text("[data-part=rates]")) is not positive
    page.fill("[data-part=prevalence]", "200")
    assert page.inner_text("[data-part=worth]") == "Give a share between 0 and 100 %."


def test_a_shaken_film_shows_how_far_the_answer_moves(reader: Visit) -> None:
    page = reader.page
    reader.analyse(picture(draw_phantom(3, ["Effusion"]).pixels))
    reader.choose("Effusion")
    page.click("[data-part=shake]")
    page.wait_for_selector("[data-part=shaken] li")
    rows = [
        row.inner_text().replace("\u00a0", " ").split("\n") for row in page.query_selector_all("[data-part=shaken] li")
    ]
    assert [row[0] for row in rows] == ["as it is", *CHANGES]
    shown = page.inner_text('.finding[data-finding="Effusion"] .probability').replace("\u00a0", " ")
    assert rows[0][-1] == shown
    assert "The answer stays in" in page.inner_text("[data-part=shake-status]")
    reader.choose("Nodule")
    assert page.inner_text("[data-part=shake-status]").startswith("Nodule:")
    reader.analyse(picture(draw_phantom(4).pixels))
    assert not page.locator("[data-part=shaken]").is_visible()


def test_another_way_to_decide_answers_the_same_film_at_once(reader: Visit) -> None:
    """Oracle: the limits and thresholds of the bundle, by the library."""
    page = reader.page
    reader.analyse(picture(draw_phantom(3, ["Effusion"]).pixels))
    before, asked = reader.probabilities(), len(reader.requests)
    page.select_option("[data-part=decide]", "risk=0.05")
    model = cxrcore.load("phantom")
    prediction = model.predict(cxrcore.read_radiograph(picture(draw_phantom(3, ["Effusion"]).pixels)["buffer"]))
    words = {"rule_in": "ruled in", "rule_out": "ruled out", "unsure": "unsure"}
    for finding, answer in prediction.triage.items():
        assert page.inner_text(f'[data-finding="{finding}"] .verdict').startswith(words[answer])
    reader.choose("Effusion")
    assert "at most 5" in page.inner_text("[data-part=rates]")
    assert not page.locator("[data-part=prevalence]").is_visible()
    with page.expect_download() as download:
        page.click("[data-part=save-json]")
    saved = json.loads(download.value.path().read_text())
    assert saved["decided_by"] == {"rule": "risk=0.05"}
    (rule,) = [choice for choice in decisions(model) if choice["key"] == "specificity=0.95"]
    page.select_option("[data-part=decide]", "specificity=0.95")
    for finding, threshold in rule["thresholds"].items():
        shown = page.inner_text(f'[data-finding="{finding}"] .verdict')
        assert shown.startswith("above" if prediction.probabilities[finding] >= threshold else "below")
    assert f"{100 * rule['rates']['Effusion']['sensitivity']:.0f}" in page.inner_text("[data-part=rates]")
    assert reader.probabilities() == before
    assert len(reader.requests) == asked
    assert [line for line in reader.console if not line.startswith("warning")] == []


@pytest.mark.parametrize("dark", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_page_has_no_grave_violation_of_accessibility(open_page, film_path, dark: bool) -> None:
    """Oracle: axe, before a film, with its answer, and with three answers instead of two."""
    visit = open_page(390, dark=dark)
    assert violations(visit.page) == []
    visit.page.select_option("[data-part=model]", "phantom")
    visit.analyse(film_path)
    if visit.page.locator("[data-part=anyway]").is_visible():
        visit.page.click("[data-part=anyway]")
    visit.page.click("[data-part=shake]")
    visit.page.wait_for_selector("[data-part=shaken] li")
    assert violations(visit.page) == []
    visit.page.select_option("[data-part=decide]", "risk=0.05")
    assert violations(visit.page) == []


def test_an_erased_region_moves_the_answer_beside_the_maps_claim(reader: Visit) -> None:
    """Oracle: the library's own answer for the box that was dragged."""
    page, film = reader.page, draw_phantom(3, ["Effusion"]).film
    reader.analyse(picture(film.pixels))
    reader.choose("Effusion")
    page.click("[data-part=erase]")
    box = page.locator("[data-part=eraser]").bounding_box()
    corners = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in ((0.8, 0.9), (0.1, 0.5))]
    page.mouse.move(*corners[0])
    page.mouse.down()
    page.mouse.move(*corners[1], steps=4)
    page.mouse.up()
    page.wait_for_selector("[data-part=erased]:not([hidden])")
    grey = np.rint(film.pixels * 255).astype(np.uint8)
    model, opened = cxrcore.load("phantom"), cxrcore.read_radiograph(encoded(grey, "PNG"))
    findings = erase(model, opened, (0.1, 0.5, 0.8, 0.9)).findings
    for name in ("Effusion", "Nodule"):
        reader.choose(name)
        moved, claimed = (row.inner_text() for row in page.query_selector_all("[data-part=erased] li"))
        assert float(moved.split()[-1].replace("−", "-")) == pytest.approx(findings[name].move, abs=0.06)
        assert float(claimed.split()[-1].replace("−", "-")) == pytest.approx(-findings[name].claim, abs=0.06)
    assert page.locator("[data-part=region]").is_visible()
    assert page.locator("[data-part=fill]").is_visible()
    with page.expect_download() as download:
        page.click("[data-part=save-json]")
    assert set(json.loads(download.value.path().read_text())["erased"]["findings"]) == set(model.labels)
    page.click("[data-part=restore]")
    assert not page.locator("[data-part=region]").is_visible()
    assert not page.locator("[data-part=erased]").is_visible()
    assert [line for line in reader.console if not line.startswith("warning")] == []


def test_a_region_is_erased_with_the_keyboard_and_another_film_begins_anew(reader: Visit) -> None:
    page = reader.page
    reader.analyse(picture(draw_phantom(3, ["Effusion"]).pixels))
    reader.choose("Effusion")
    page.focus("[data-part=erase]")
    page.keyboard.press("Enter")
    before = page.locator("[data-part=region]").bounding_box()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Shift+ArrowRight")
    after = page.locator("[data-part=region]").bounding_box()
    assert after["y"] < before["y"]
    assert after["width"] > before["width"]
    page.keyboard.press("Escape")
    assert not page.locator("[data-part=region]").is_visible()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-part=erased]:not([hidden])")
    reader.analyse(picture(draw_phantom(4).pixels))
    assert not page.locator("[data-part=erased]").is_visible()
    assert not page.locator("[data-part=fill]").is_visible()


def test_boxes_are_drawn_where_the_library_finds_them(reader: Visit) -> None:
    page, film = reader.page, draw_phantom(3, ["Effusion"]).film
    reader.analyse(picture(film.pixels))
    reader.choose("Effusion")
    assert page.locator("[data-part=boxes] span").count() == 0
    page.check("[data-part=show-boxes]")
    x, y, width, height = boxes_of(cxrcore.load("phantom").explain(film, "Effusion"))[0]
    drawn = page.locator("[data-part=boxes] span").first.evaluate(
        "({ style }) => [style.left, style.top, style.width, style.height].map(parseFloat)"
    )
    down, across = film.pixels.shape
    shares = 100 * np.array([x / across, y / down, width / across, height / down])
    assert drawn == pytest.approx(shares.tolist(), abs=2)


def test_the_chest_is_outlined_where_the_library_finds_it(reader: Visit) -> None:
    page, film = reader.page, draw_phantom(3, ["Effusion"]).film
    reader.analyse(picture(film.pixels))
    outline = page.locator("[data-part=chest]")
    assert not outline.get_attribute("points")
    page.check("[data-part=show-chest]")
    corners = np.array([point.split(",") for point in outline.get_attribute("points").split()], float)
    assert corners == pytest.approx(outline_chest(film.pixels).outline.clip(0, 1), abs=0.01)
    reader.analyse(picture(np.random.default_rng(0).random((256, 256), np.float32)))
    assert page.locator("[data-part=show-chest]").is_disabled()
    assert not outline.get_attribute("points")
