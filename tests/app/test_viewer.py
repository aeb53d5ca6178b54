"""The film on the screen: its own values, zoom, window, orientation, lengths. Real browser, real server."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

import cxrcore
from cxrcore.films.windowing import Window, apply_window
from cxrcore.models.classifier import Classifier
from tests.app.conftest import visit_of
from tests.app.visit import Server, Visit
from tests.films import PATIENT, chest, dataset, encoded, written

pytestmark = pytest.mark.browser
SPACING = 0.4  # mm
DEEP = chest(16, 500, 500)

SCREEN = """() => { const c = document.querySelector("[data-part=grey]");
const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
let text = ""; for (let at = 0; at < d.length; at += 4) text += String.fromCharCode(d[at + 3] ? d[at] : 0);
return [c.width, c.height, btoa(text)]; }"""


def dicom(values: np.ndarray, bits: int, **elements: Any) -> dict[str, Any]:
    more = {"ImagerPixelSpacing": [SPACING, SPACING], "PatientAge": "057Y"} | elements
    return {"name": "film.dcm", "mimeType": "application/dicom", "buffer": written(dataset(values, bits, **more))}


def png(values: np.ndarray) -> dict[str, Any]:
    return {"name": "film.png", "mimeType": "image/png", "buffer": encoded(values, "PNG")}


def open_film(visit: Visit, file: dict[str, Any]) -> None:
    visit.analyse(file)
    visit.page.wait_for_selector(".stage.has-values", timeout=60_000)
    if visit.page.locator("[data-part=anyway]").is_visible():
        visit.page.click("[data-part=anyway]")
    settle(visit)


def settle(visit: Visit) -> None:
    """Until two frames were drawn."""
    visit.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def key(visit: Visit, *keys: str) -> None:
    for name in keys:
        visit.page.keyboard.press(name)
    settle(visit)


def on_screen(visit: Visit) -> np.ndarray:
    """The canvas of grey values, uint8 (H, W); outside of the film 0."""
    settle(visit)
    width, height, data = visit.page.evaluate(SCREEN)
    return np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width)


def pane(visit: Visit) -> dict[str, float]:
    return visit.page.locator(".pane.mapped").bounding_box()


def drag(visit: Visit, start: tuple[float, float], end: tuple[float, float], button: str = "left") -> None:
    """Between two points of the pane, in CSS pixels."""
    box = pane(visit)
    visit.page.mouse.move(box["x"] + start[0], box["y"] + start[1])
    visit.page.mouse.down(button=button)
    visit.page.mouse.move(box["x"] + end[0], box["y"] + end[1], steps=4)
    visit.page.mouse.up(button=button)
    settle(visit)


@pytest.fixture(scope="module")
def page_for_all(browser: Any, server: Server) -> Iterator[Visit]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    visit = visit_of(context, server)
    open_film(visit, dicom(DEEP // 16, 12, WindowCenter=2000, WindowWidth=3000))
    yield visit
    context.close()


@pytest.fixture
def film(page_for_all: Visit) -> Visit:
    """A page with a 12-bit film, as read and whole."""
    page = page_for_all.page
    page.evaluate("window.scrollTo(0, 0)")
    if page.locator("[data-part=as-read]").is_visible():
        page.click("[data-part=as-read]")
    page.mouse.move(5, 5)
    key(page_for_all, "1", "0", "v", "Escape")
    return page_for_all


@pytest.mark.parametrize("bits", [8, 16])
def test_pixels_on_the_screen_are_numpys_own_windowing(visit: Visit, bits: int) -> None:
    """A 16-bit film and its 8-bit copy, at 1:1, under the same window: as stored, and one of the visitor's own."""
    values = DEEP if bits == 16 else (DEEP >> 8).astype(np.uint8)
    open_film(visit, png(values))
    key(visit, "z")
    for own in (False, True):
        if own:
            drag(visit, (200, 200), (110, 230), button="right")
        words = visit.page.inner_text("[data-part=pointer]").split(" · ")
        width, center = (float(word.split()[1]) for word in words[:2])
        if not own:
            assert width == 2**bits - 1
        shown = on_screen(visit)
        left, top = (shown.shape[1] - 500) // 2, (shown.shape[0] - 500) // 2
        assert min(left, top) >= 0
        exact = visit.page.evaluate("() => document.querySelector('[data-part=window]').value")
        assert exact == ("own" if own else "stored")
        expected = np.rint(255 * apply_window(values.astype(float), Window(center, width, "LINEAR_EXACT")))
        film = shown[top : top + 500, left : left + 500]
        assert np.abs(film - expected).max() <= 1
        assert (film == expected).mean() > 0.9  # 64 bits there, 32 here: halves may round either way


def test_both_depths_look_the_same_under_one_window(visit: Visit) -> None:
    pictures = []
    for values in (DEEP, (DEEP >> 8).astype(np.uint8)):
        open_film(visit, png(values))
        key(visit, "z", "1")
        pictures.append(on_screen(visit).astype(int))
    assert np.abs(pictures[0] - pictures[1]).max() <= 2


def test_a_dicom_is_shown_through_its_own_window_with_its_facts(film: Visit) -> None:
    key(film, "z")
    shown = on_screen(film)
    expected = np.rint(255 * apply_window(DEEP // 16, Window(2000, 3000)))
    left, top = (shown.shape[1] - 500) // 2, (shown.shape[0] - 500) // 2
    assert np.abs(shown[top : top + 500, left : left + 500] - expected).max() <= 1
    facts = film.page.inner_text("[data-part=file-facts]")
    assert facts == "View PA · age 57 · 0.4 mm a pixel (at the detector, not corrected for magnification)"
    assert PATIENT not in film.page.content()


def test_the_wheel_zooms_to_the_pointer(film: Visit) -> None:
    """The same film pixel is under the pointer before and after; the fixture's film has noise, so it is known by it."""
    page, box = film.page, pane(film)
    pointer = (round(box["x"] + box["width"] / 2 + 60), round(box["y"] + box["height"] / 2 - 45))  # events are whole
    point = (pointer[0] - box["x"], pointer[1] - box["y"])
    page.mouse.move(*pointer)
    seen = []
    for _ in range(5):
        seen.append(page.evaluate(UNDER, list(point)))
        page.mouse.wheel(0, -240)
        settle(film)
    assert int(page.inner_text("[data-part=zoom]").split("\u00a0")[0]) > 300
    assert np.abs(np.array(seen) - seen[0]).max() < 0.05
    page.mouse.dblclick(*pointer)
    settle(film)
    assert page.get_attribute("[data-part=stage]", "data-zoomed") == "false"


UNDER = """([x, y]) => { const sheet = document.querySelector(".mapped .sheet").getBoundingClientRect();
const pane = document.querySelector(".pane.mapped").getBoundingClientRect();
return [500 * (x + pane.left - sheet.left) / sheet.width, 500 * (y + pane.top - sheet.top) / sheet.height]; }"""


def test_map_boxes_and_erased_region_stay_on_the_film_at_every_zoom(film: Visit) -> None:
    page = film.page
    page.evaluate("document.querySelector('[data-part=region]').hidden = false")
    page.evaluate(
        "document.querySelector('[data-part=region]').style.cssText = 'left:20%;top:30%;width:10%;height:20%'"
    )
    for keys in ((), ("+", "+", "+"), ("r",), ("m", "+", "+")):
        key(film, *keys)
        boxes = [page.locator(f".mapped {part}").bounding_box() for part in (".heat", ".boxes", "[data-part=image]")]
        for box in boxes[1:]:
            assert [box[side] for side in box] == pytest.approx([boxes[0][side] for side in box], abs=0.1)
        region = page.evaluate(
            """() => { const r = document.querySelector("[data-part=region]").getBoundingClientRect();
            return [r.left, r.top, r.right, r.bottom]; }"""
        )
        heat = boxes[0]
        shares = [(region[0] - heat["x"]) / heat["width"], (region[1] - heat["y"]) / heat["height"]]
        expected = {(): (0.2, 0.3), ("+", "+", "+"): (0.2, 0.3), ("r",): (0.5, 0.2), ("m", "+", "+"): (0.3, 0.2)}[keys]
        assert shares == pytest.approx(expected, abs=0.01)
    page.evaluate("document.querySelector('[data-part=region]').hidden = true")


def test_the_grey_values_lie_where_the_map_lies(film: Visit) -> None:
    """The film's left edge on the canvas and the heatmap's agree when it is small enough to be seen whole."""
    shown = on_screen(film)
    columns = np.flatnonzero(shown.any(axis=0))
    box, heat = pane(film), film.page.locator(".mapped .heat").bounding_box()
    ratio = shown.shape[1] / box["width"]
    assert columns[0] == pytest.approx(ratio * (heat["x"] - box["x"]), abs=1.5)
    assert columns[-1] == pytest.approx(ratio * (heat["x"] + heat["width"] - box["x"]) - 1, abs=1.5)


def test_presets_and_inversion_by_key(film: Visit) -> None:
    page = film.page
    stored = on_screen(film).astype(int)
    for name, digit in (("auto", "2"), ("lung", "3"), ("bone", "4"), ("full", "5")):
        key(film, digit)
        assert page.input_value("[data-part=window]") == name
        assert not np.array_equal(on_screen(film), stored)
    key(film, "1")
    assert np.array_equal(on_screen(film), stored)
    covered = on_screen(film) > 0
    key(film, "i")
    inverted = on_screen(film).astype(int)
    inner = covered & (stored < 255)
    assert np.abs(inverted + stored - 255)[inner].max() <= 1
    assert "inverted" in page.inner_text("[data-part=as-shown-words]")


def test_every_key_of_the_card_does_something_and_a_field_takes_letters(film: Visit) -> None:
    page = film.page
    key(film, "?")
    assert page.locator("[data-part=keys]").is_visible()
    assert page.locator("[data-part=key-list] li").count() > 20
    key(film, "?")
    assert not page.locator("[data-part=keys]").is_visible()
    for letter, tool in (("w", "window"), ("l", "ruler"), ("g", "lens"), ("v", "move")):
        key(film, letter)
        assert page.locator(f'[name="cxr-tool"][value="{tool}"]').is_checked()
    for letter, view in (("s", "side"), ("d", "slider"), ("o", "film"), ("o", "overlay")):
        key(film, letter)
        assert page.get_attribute("[data-part=stage]", "data-view") == view
    before = page.locator(".finding.chosen").get_attribute("data-finding")
    key(film, "]")
    assert page.locator(".finding.chosen").get_attribute("data-finding") != before
    key(film, "[")
    assert page.locator(".finding.chosen").get_attribute("data-finding") == before
    key(film, "f")
    assert page.locator(".film.full").count() == 1
    assert not page.locator(".findings").is_visible() or page.locator(".caution").is_visible()
    key(film, "Escape")
    assert page.locator(".film.full").count() == 0
    page.click("[data-part=hub] summary")
    page.fill("[data-part=hub-reference]", "")
    page.focus("[data-part=hub-reference]")
    page.keyboard.type("mir")
    assert page.input_value("[data-part=hub-reference]") == "mir"
    assert not page.locator("[data-part=as-shown]").is_visible()
    page.fill("[data-part=hub-reference]", "")
    page.click("[data-part=hub] summary")


def test_arrow_keys_on_the_film_move_it_and_with_shift_change_the_window(film: Visit) -> None:
    page = film.page
    page.focus("[data-part=stage]")
    key(film, "z", "+", "+", "+", "+")
    before = page.locator(".mapped .heat").bounding_box()
    key(film, "ArrowRight")
    assert page.locator(".mapped .heat").bounding_box()["x"] == pytest.approx(before["x"] - 40, abs=1)
    key(film, "Shift+ArrowUp")
    assert page.input_value("[data-part=window]") == "own"


def test_a_ruler_says_millimetres_and_that_they_are_not_corrected(film: Visit) -> None:
    page = film.page
    key(film, "z", "l")
    drag(film, (250, 200), (400, 200))
    assert page.locator(".rulers text").text_content() == f"{150 * SPACING:.1f} mm"
    assert "not corrected for magnification" in page.inner_text("[data-part=lengths]")
    drag(film, (250, 100), (250, 400))
    assert "ratio 0.50" in page.inner_text("[data-part=lengths]")
    key(film, "+")
    assert page.locator(".rulers text").first.text_content() == f"{150 * SPACING:.1f} mm"
    line = page.locator(".rulers line").first
    length = float(line.get_attribute("x2")) - float(line.get_attribute("x1"))
    assert length == pytest.approx(150 * 1.25, abs=0.5)
    bar = page.locator("[data-part=scale-bar]")
    assert bar.inner_text() == "5 cm"
    assert bar.bounding_box()["width"] == pytest.approx(50 / SPACING * 1.25, abs=1)
    key(film, "Backspace", "Escape")
    assert page.locator(".rulers line").count() == 0


def test_the_magnifier_enlarges_what_is_under_the_pointer(film: Visit) -> None:
    box = pane(film)
    key(film, "g")
    film.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    settle(film)
    lens = film.page.locator("[data-part=lens]").bounding_box()
    assert lens["x"] + lens["width"] / 2 == pytest.approx(box["x"] + box["width"] / 2, abs=1)
    middle = film.page.locator("[data-part=lens]").evaluate(
        "(c) => c.getContext('2d').getImageData(c.width / 2, c.height / 2, 1, 1).data[0]"
    )
    expected = 255 * apply_window(DEEP[246:254, 246:254] // 16, Window(2000, 3000))
    assert expected.min() - 2 <= middle <= expected.max() + 2


def test_analyse_as_shown_reads_the_film_so(visit: Visit, model: Classifier) -> None:
    """Oracle: the library's answer for the array turned, mirrored and inverted by NumPy."""
    grey = chest(8, 300, 260, seed=3)
    open_film(visit, png(grey))
    key(visit, "r", "m", "i")
    words = visit.page.inner_text("[data-part=as-shown-words]")
    assert "mirrored, inverted" in words
    assert "holds for the film as it was read" in words
    shown = on_screen(visit)
    visit.page.click("[data-part=analyse-as-shown]")
    visit.page.wait_for_function("() => document.querySelector('[data-part=facts]').textContent.includes('mirrored')")
    visit.wait("result")
    visit.page.wait_for_selector("[data-part=as-shown]", state="hidden")
    if visit.page.locator("[data-part=anyway]").is_visible():
        visit.page.click("[data-part=anyway]")
    assert not visit.page.locator("[data-part=as-shown]").is_visible()
    changed = 255 - np.rot90(grey, -1)[:, ::-1]
    expected = model.predict(cxrcore.read_radiograph(encoded(np.ascontiguousarray(changed), "PNG"))).probabilities
    assert visit.probabilities() == pytest.approx(expected, abs=0.00101)
    visit.page.wait_for_selector(".stage.has-values")
    assert np.abs(on_screen(visit).astype(int) - shown).max() <= 1


def test_the_saved_picture_has_the_window_and_the_legend_below_the_film(film: Visit) -> None:
    page = film.page
    key(film, "3")
    words = page.inner_text("[data-part=pointer]").split(" · ")
    width, center = (float(word.split()[1]) for word in words[:2])
    page.click('label:has-text("Film") >> nth=0')
    page.fill("[data-part=opacity]", "0")
    with page.expect_download() as download:
        page.click("[data-part=save-png]")
    page.fill("[data-part=opacity]", "80")
    key(film, "o")
    with Image.open(download.value.path()) as saved:
        times = saved.width // 500
        assert saved.width == 500 * times >= 720
        assert saved.height > 500 * times
        shown = np.asarray(saved.convert("L"))[: 500 * times]
    expected = 255 * apply_window(DEEP // 16, Window(center, width, "LINEAR_EXACT"))
    means = [np.asarray(Image.fromarray(part).resize((50, 50), Image.Resampling.BOX)) for part in (shown, expected)]
    assert np.abs(means[0] - means[1]).max() < 4  # enlarged smoothly, nothing over it


def test_two_fingers_zoom_and_one_still_scrolls(browser: Any, server: Server) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    visit = visit_of(context, server)
    open_film(visit, dicom(DEEP // 16, 12))
    page = visit.page
    verdict, stage = (page.locator(part).bounding_box() for part in ("[data-part=summary]", "[data-part=stage]"))
    assert verdict["y"] + verdict["height"] <= stage["y"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("getComputedStyle(document.querySelector('.stage')).touchAction") == "pan-y"
    box = pane(visit)
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    before = page.evaluate(UNDER, [box["width"] / 2, box["height"] / 2])
    touch = context.new_cdp_session(page)
    for apart, kind in ((40, "touchStart"), (60, "touchMove"), (90, "touchMove"), (120, "touchMove")):
        points = [{"x": middle[0] - apart, "y": middle[1], "id": 0}, {"x": middle[0] + apart, "y": middle[1], "id": 1}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    settle(visit)
    assert page.get_attribute("[data-part=stage]", "data-zoomed") == "true"
    assert page.locator(".mapped .heat").bounding_box()["width"] == pytest.approx(3 * box["width"], rel=0.05)
    assert page.evaluate(UNDER, [box["width"] / 2, box["height"] / 2]) == pytest.approx(before, abs=2)
    assert page.evaluate("getComputedStyle(document.querySelector('.stage')).touchAction") == "none"
    context.close()


@pytest.mark.slow
def test_the_film_stays_in_sight_while_findings_scroll(open_page: Callable[..., Visit], film_path: Any) -> None:
    for width in (1280, 390):
        visit = open_page(width)
        visit.analyse(film_path)
        visit.page.locator(".finding:visible").last.scroll_into_view_if_needed()
        box = visit.page.locator("[data-part=stage]").bounding_box()
        assert box["y"] >= 0
        assert box["y"] + box["height"] / 2 < 900


@pytest.mark.slow
def test_warnings_are_above_the_fold(open_page: Callable[..., Visit]) -> None:
    for width in (1280, 390):
        visit = open_page(width)
        visit.analyse(png(chest(8, 150, 150)))
        warning = visit.page.locator("[data-part=warnings] li").first.bounding_box()
        assert warning["y"] + warning["height"] < 900


def test_a_picture_is_on_the_screen_before_the_server_has_answered(visit: Visit) -> None:
    """The upload is held back; the browser draws the file by itself."""
    page = visit.page
    page.route("**/gradio_api/upload*", lambda route: page.wait_for_timeout(500) or route.continue_())
    visit.upload(png(chest(8, 400, 400)))
    preview = page.locator("[data-part=preview]")
    preview.wait_for(state="visible", timeout=5000)
    assert preview.evaluate("(image) => image.decode().then(() => image.naturalWidth)") == 400
    visit.wait("result")
    assert not preview.is_visible()


def test_values_of_one_film_are_sent_once_for_two_models(film: Visit) -> None:
    page = film.page
    key(film, "+", "3")
    shown = on_screen(film)
    asked = len(film.requests)
    first = page.input_value("[data-part=model]")
    page.select_option("[data-part=model]", "phantom")
    page.wait_for_function("document.querySelector('[data-part=about]').innerText.includes('resnet10t')")
    film.wait("result")
    assert np.array_equal(on_screen(film), shown)
    page.select_option("[data-part=model]", first)
    page.wait_for_function("!document.querySelector('[data-part=about]').innerText.includes('resnet10t')")
    film.wait("result")
    bodies = [url for url in film.requests[asked:] if "values" in url]
    assert bodies == []


def test_the_payload_of_values_holds_nothing_of_the_patient() -> None:
    from page.payloads import values_payload

    payload = values_payload(cxrcore.read_radiograph(io.BytesIO(dicom(DEEP // 16, 12)["buffer"])))
    text = json.dumps(payload | {"data": ""})
    assert PATIENT not in text
    assert "1945" not in text
    assert payload["facts"]["age_years"] == 57
