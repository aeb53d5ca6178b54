"""A film's report, other models on it, and a prior film beside it: in a browser, against what the library says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cxrcore
from cxrcore.gate.negatives import draw_negatives
from cxrcore.models.classifier import Classifier
from cxrcore.models.shaking import spread
from cxrcore.phantom import draw_phantom
from cxrcore.reporting.film_report import percent
from tests.accessibility import violations
from tests.app.test_trust import picture
from tests.app.visit import Visit
from tests.films import BIRTH_DATE, PATIENT, chest, dataset, written

pytestmark = pytest.mark.browser
CURRENT, PRIOR = draw_phantom(3, ["Effusion"]).pixels, draw_phantom(3).pixels


@pytest.fixture
def reader(visit: Visit) -> Visit:
    """The current film, read by the embedded model of drawn films."""
    visit.page.select_option("[data-part=model]", "phantom")
    visit.page.wait_for_function("document.querySelector('[data-part=about]').innerText.includes('resnet10t')")
    visit.analyse(picture(CURRENT))
    return visit


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def opened(pixels: np.ndarray) -> cxrcore.Radiograph:
    return cxrcore.read_radiograph(picture(pixels)["buffer"])


def compare(reader: Visit, film: Any) -> None:
    reader.page.locator("[data-part=priors] summary").click()
    reader.page.set_input_files("#prior-upload input[type=file]", film)
    reader.page.wait_for_selector("[data-part=prior-panel]:not([hidden])", timeout=60_000)


def calm(visit: Visit) -> bool:
    return [line for line in visit.console if not line.startswith("warning")] == []


def test_the_saved_report_is_one_page_of_this_answer(reader: Visit) -> None:
    page = reader.page
    page.click("[data-part=save-report]")
    page.fill("[data-part=report-title]", "Case <7>")
    with page.expect_download(timeout=60_000) as download:
        page.click("[data-part=report-form] [type=submit]")
    html = Path(download.value.path()).read_text("utf-8")
    assert download.value.suggested_filename == "film-report.html"
    assert "Case &lt;7&gt;" in html
    model, film = cxrcore.load("phantom"), opened(CURRENT)
    for probability in model.predict(film).probabilities.values():
        assert percent(probability).replace("<", "&lt;").replace(">", "&gt;") in html
    assert model.id in html
    shown = page.context.new_page()
    shown.set_content(html)
    for paper in ("A4", "Letter"):
        assert len(re.findall(rb"/Type\s*/Page\b", shown.pdf(format=paper))) == 1
    shown.close()
    page.evaluate("window.print = null")
    page.click("[data-part=report-print]")
    page.wait_for_selector("#cxr-print", state="attached", timeout=60_000)
    assert page.frame_locator("#cxr-print").locator("h1").inner_text() == "Case <7>"
    assert calm(reader)


def test_nothing_of_a_patient_is_in_the_report(visit: Visit) -> None:
    file = written(dataset(chest(16), PatientComments="Geheim"))
    visit.analyse({"name": "Geheim_Otto.dcm", "mimeType": "application/dicom", "buffer": file})
    visit.page.evaluate("document.querySelector('.cxr').dataset.gate = 'open'")
    visit.page.click("[data-part=save-report]")
    with visit.page.expect_download(timeout=60_000) as download:
        visit.page.click("[data-part=report-form] [type=submit]")
    html = Path(download.value.path()).read_text("utf-8")
    for name in (PATIENT, "Geheim", "Otto", "0815-4711", BIRTH_DATE):
        assert name not in html


def test_other_models_read_the_same_film_without_another_upload(reader: Visit, bundle: Path, model: Classifier) -> None:
    page = reader.page
    page.locator("[data-part=opinions] summary").click()
    assert page.locator("[data-part=opinion-ask]").is_disabled()
    own = page.locator("[data-part=opinion-choice] input").evaluate_all("boxes => boxes.map(({ value }) => value)")
    assert "phantom" not in own
    page.check(f"[data-part=opinion-choice] [value='{bundle.name}']")
    page.check("[data-part=opinion-choice] [value=pneumonia]")
    uploads = [url for url in reader.requests if "/upload" in url]
    page.click("[data-part=opinion-ask]")
    page.wait_for_selector("[data-part=opinion-table]:not([hidden])", timeout=60_000)
    assert [url for url in reader.requests if "/upload" in url] == uploads
    heads = page.locator("[data-part=opinion-table] thead th").all_inner_texts()
    assert [head.split("\n")[0].strip() for head in heads] == ["Finding", "phantom", bundle.name, "pneumonia"]
    film = opened(CURRENT)
    answers = [one.predict(film) for one in (cxrcore.load("phantom"), model, cxrcore.load("pneumonia"))]
    page.click("[data-part=opinion-table] tbody button")
    rows = page.locator("[data-part=opinion-table] tbody tr:has(th)")
    texts = {row[0].split("\n")[0]: row[1:] for row in (r.locator("th, td").all_inner_texts() for r in rows.all())}
    for at, answer in enumerate(answers):
        for name, probability in answer.probabilities.items():
            shown = texts[name.replace("_", " ").capitalize()][at]
            assert plain(shown).replace("\n", " ").startswith(percent(probability))
    counted = [answer for answer in answers if answer.gate.accepted is not False]
    apart = set()
    for name in {name for answer in answers for name in answer.positive} - {"Normal"}:
        if len({answer.positive[name] for answer in counted if answer.positive.get(name) is not None}) > 1:
            apart.add(name.replace("_", " ").capitalize())
    marked = page.locator("[data-part=opinion-table] tr[data-marked=true] th").all_inner_texts()
    assert {title.split("\n")[0] for title in marked} == apart
    said = page.inner_text("[data-part=opinion-said]")
    assert all(title.lower() in said for title in apart)
    assert calm(reader)


def test_a_prior_films_differences_are_the_librarys(reader: Visit) -> None:
    """Oracle: two predictions, and the range of each film shaken."""
    page, model = reader.page, cxrcore.load("phantom")
    compare(reader, picture(PRIOR))
    before, after = (model.predict(opened(film)).probabilities for film in (PRIOR, CURRENT))
    ranges = [spread(model, opened(film)) for film in (PRIOR, CURRENT)]
    for name in model.labels:
        cells = page.locator(f"tr[data-change='{name}'] td").all_inner_texts()
        difference, then, now = (plain(cell) for cell in cells)
        assert then.split("\n") == [percent(before[name]), " to ".join(map(percent, ranges[0][name]))]
        assert now.split("\n") == [percent(after[name]), " to ".join(map(percent, ranges[1][name]))]
        points = float(difference.split()[0].replace("−", "-"))
        assert points == pytest.approx(100 * (after[name] - before[name]), abs=0.051)
        apart = ranges[0][name][1] < ranges[1][name][0] or ranges[1][name][1] < ranges[0][name][0]
        assert difference.endswith("beyond shaking" if apart else "within shaking")
    assert "effusion (higher now)" in page.inner_text("[data-part=prior-said]")
    assert calm(reader)


def transforms(page: Any) -> list[str]:
    return page.locator(".panes .sheet").evaluate_all("sheets => sheets.map(({ style }) => style.transform)")


def test_both_films_follow_one_zoom_window_and_finding(reader: Visit) -> None:
    page = reader.page
    compare(reader, picture(PRIOR))
    views = page.locator(".panes .view")
    views.first.scroll_into_view_if_needed()
    box = views.first.bounding_box()
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.wheel(0, -400)
    page.wait_for_function("document.querySelector('.panes .sheet').style.transform.includes('scale(2.7')")
    zoomed = transforms(page)
    assert zoomed[0] == zoomed[1]
    page.mouse.down()
    page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 0.5 * box["height"], steps=3)
    page.mouse.up()
    assert transforms(page)[0] == transforms(page)[1] != zoomed[0]
    views.last.focus()
    page.keyboard.press("0")
    assert transforms(page) == ["translate(0%, 0%) scale(1)"] * 2
    page.fill("[data-part=prior-width]", "50")
    assert page.get_attribute("#cxr-prior-window feFuncR", "slope") == "2"
    page.click("tr[data-change=Nodule] button")
    assert page.locator('.finding[data-finding="Nodule"]').get_attribute("class").endswith("chosen")
    assert all("Nodule" in text for text in page.locator(".panes figcaption").all_inner_texts())
    page.click("[data-part=prior-remove]")
    assert not page.locator("[data-part=prior-panel]").is_visible()
    assert calm(reader)


def test_a_bad_prior_film_leaves_the_answer_and_another_film_takes_the_prior_away(reader: Visit) -> None:
    page = reader.page
    compare(reader, picture(PRIOR))
    page.set_input_files(
        "#prior-upload input[type=file]",
        {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"Dear colleague" * 9},
    )
    page.wait_for_function("document.querySelector('[data-part=prior-status]').textContent.includes('is text')")
    assert page.locator(".findings").is_visible()
    assert not page.locator("[data-part=error]").is_visible()
    assert page.locator("[data-part=prior-panel]").is_visible()
    page.set_input_files("#prior-upload input[type=file]", picture(draw_negatives(2, seed=6)[0]))
    page.wait_for_selector("[data-part=prior-gate]:not([hidden])", timeout=60_000)
    assert "refuses the prior film" in page.inner_text("[data-part=prior-gate]")
    reader.analyse(picture(draw_phantom(4).pixels))
    assert not page.locator("[data-part=prior-panel]").is_visible()
    assert reader.server.uploads() == []
    assert calm(reader)


@pytest.mark.parametrize("dark", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_what_stands_below_an_answer_has_no_grave_violation(open_page: Any, dark: bool) -> None:
    """Oracle: axe, with everything open, on a phone."""
    visit = open_page(390, dark=dark)
    page = visit.page
    page.select_option("[data-part=model]", "phantom")
    page.wait_for_function("document.querySelector('[data-part=about]').innerText.includes('resnet10t')")
    visit.analyse(picture(CURRENT))
    compare(visit, picture(PRIOR))
    page.locator("[data-part=opinions] summary").click()
    page.check("[data-part=opinion-choice] [value=pneumonia]")
    page.click("[data-part=opinion-ask]")
    page.wait_for_selector("[data-part=opinion-table]:not([hidden])", timeout=60_000)
    page.click("[data-part=save-report]")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
