"""A film's report, other models on it, and a prior film beside it: in a browser, against what the library says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cxrcore
from cxrcore.films.windowing import Window, apply_window
from cxrcore.gate.negatives import draw_negatives
from cxrcore.models.classifier import Classifier
from cxrcore.models.shaking import spread
from cxrcore.phantom import draw_phantom
from cxrcore.reporting.film_report import percent
from tests.accessibility import violations
from tests.app.test_trust import picture
from tests.app.visit import Visit
from tests.films import BIRTH_DATE, PATIENT, chest, dataset, encoded, written

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


DEEP = np.rint(65535 * CURRENT).astype(np.uint16)


def deep(values: np.ndarray) -> dict[str, Any]:
    return {"name": "film.png", "mimeType": "image/png", "buffer": encoded(values, "PNG")}


def window_of(reader: Visit) -> Window:
    words = reader.page.inner_text("[data-part=prior-panel] .pointer").split(" · ")
    assert words[0] == "This film"
    width, center = (float(word.split()[1]) for word in words[1:3])
    return Window(center, width, "LINEAR_EXACT")


def shown(reader: Visit, film: str, size: int) -> np.ndarray:
    """What the film's canvas shows at 1:1, uint8 (rows, columns) of its middle ``size`` pixels."""
    reader.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    values = reader.page.locator(f"[data-film={film}] .grey").evaluate(
        """(c, size) => { const [x, y] = [c.width, c.height].map((side) => Math.round((side - size) / 2));
        const data = c.getContext("2d").getImageData(x, y, size, size).data;
        return Array.from({ length: size * size }, (_, at) => data[4 * at]); }""",
        size,
    )
    return np.array(values, dtype=float).reshape(size, size)


def test_both_films_are_numpys_own_windowing_of_their_sixteen_bits(reader: Visit) -> None:
    """The prior film has half the grey values of the current one; a window dragged on one changes on both alike."""
    page = reader.page
    reader.analyse(deep(DEEP))
    compare(reader, deep(DEEP // 2))
    page.locator("[data-film=current] .stage").focus()
    page.keyboard.press("z")
    settled(page)
    assert page.inner_text("[data-part=prior-panel] .tools output") == "100\u00a0%"
    middle = slice(len(DEEP) // 2 - 50, len(DEEP) // 2 + 50)
    for own in (False, True):
        if own:
            box = page.locator("[data-film=prior] .stage").bounding_box()
            page.mouse.move(box["x"] + 90, box["y"] + 90)
            page.mouse.down(button="right")
            page.mouse.move(box["x"] + 40, box["y"] + 80, steps=3)
            page.mouse.up(button="right")
            page.mouse.move(5, 5)
        assert page.locator("[data-part=prior-panel] .tools select").input_value() == ("own" if own else "stored")
        window = window_of(reader)
        for film, values in (("current", DEEP), ("prior", DEEP // 2)):
            expected = np.rint(255 * apply_window(values.astype(float), window))[middle, middle]
            assert np.abs(shown(reader, film, 100) - expected).max() <= 1
    page.keyboard.press("2")  # each film's own percentiles: half the values, the same picture
    assert np.abs(shown(reader, "current", 100) - shown(reader, "prior", 100)).max() <= 2
    assert page.locator("[data-part=zoom]").inner_text() != "100\u00a0%"  # the film above is left as it was
    assert calm(reader)


def places(page: Any) -> list[list[float]]:
    """Where each film lies in its pane: its left and top side and its width, in shares of the pane."""
    return page.locator(".panes .stage").evaluate_all(
        """stages => stages.map((stage) => { const pane = stage.getBoundingClientRect();
        const film = stage.querySelector(".sheet").getBoundingClientRect();
        return [film.left - pane.left, film.top - pane.top, film.width].map((at) => at / pane.width); })"""
    )


def settled(page: Any) -> list[list[float]]:
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    here = places(page)
    assert here[0] == pytest.approx(here[1], abs=0.01)
    return here


def test_both_films_follow_one_zoom_tool_and_finding(reader: Visit) -> None:
    page = reader.page
    larger = np.kron(PRIOR, np.ones((2, 2), PRIOR.dtype))
    compare(reader, picture(larger))
    views = page.locator(".panes .stage")
    views.first.scroll_into_view_if_needed()
    whole = settled(page)
    assert whole[0][2] == pytest.approx(1, abs=0.01)
    box = views.first.bounding_box()
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 0.5 * box["height"])
    for _ in range(4):
        page.mouse.wheel(0, -150)
    zoomed = settled(page)
    assert zoomed[0][2] > 2
    page.mouse.down()
    page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 0.5 * box["height"], steps=3)
    page.mouse.up()
    assert settled(page)[0][0] < zoomed[0][0]
    views.last.focus()
    page.keyboard.press("0")
    assert settled(page) == whole
    before = [shown(reader, film, 60) for film in ("prior", "current")]
    page.click("[data-part=prior-panel] [data-act=invert]")
    after = [shown(reader, film, 60) for film in ("prior", "current")]
    assert np.abs(np.add(before, after) - 255).max() <= 1
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


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
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
