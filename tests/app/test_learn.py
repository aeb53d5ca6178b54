"""Learn to read: a round played by a script, its scores, a teacher's set by its link, boxes, keys and touch."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import recall_score, roc_auc_score

import cxrcore
from cxrcore.datasets.case_set import phantom_set, read_case_set
from cxrcore.evaluation.readers import score_reading
from cxrcore.evaluation.readings import read_reading
from cxrcore.findings import PHANTOM5
from cxrcore.predictions.import_table import read_predictions
from tests.accessibility import violations
from tests.app.conftest import visit_of
from tests.app.visit import Visit

pytestmark = pytest.mark.browser

STEPS = (0, 0.25, 0.5, 0.75, 1)


def open_set(visit: Visit, address: str) -> Any:
    visit.page.evaluate("address => (location.hash = 'learn=' + address)", address)
    stage(visit, "read")
    return visit.page


def stage(visit: Visit, name: str) -> None:
    visit.page.wait_for_selector(f'.learn[data-stage="{name}"]:not([aria-busy="true"])', timeout=120_000)


def rate_all(page: Any, steps: np.ndarray) -> None:
    """Click the steps of every finding that differ from what is chosen, at once."""
    page.evaluate(
        """steps => Object.entries(steps).forEach(([finding, step]) => {
        const input = document.querySelectorAll(`[data-finding="${finding}"] .learn-steps input`)[step];
        if (!input.checked) input.click(); })""",
        dict(zip(PHANTOM5, steps.tolist(), strict=True)),
    )


def go_on(visit: Visit, name: str) -> None:
    visit.page.click("[data-part=learn-next]")
    stage(visit, name)


def drag(page: Any, finding: str, box: tuple[float, float, float, float]) -> None:
    page.click(f'[data-finding="{finding}"] [name=mark]')
    frame = page.locator("[data-part=learn-draw]").bounding_box()
    corners = [(frame["x"] + x * frame["width"], frame["y"] + y * frame["height"]) for x, y in (box[:2], box[2:])]
    page.mouse.move(*corners[0])
    page.mouse.down()
    page.mouse.move(*corners[1], steps=3)
    page.mouse.up()
    page.wait_for_selector("[data-part=learn-draw]", state="hidden")


def saved(page: Any, kind: str, reader: str = "") -> str:
    page.fill("[data-part=learn-reader]", reader)
    with page.expect_download() as download:
        page.click(f"[data-part=learn-{kind}]")
    return download.value.path().read_text("utf-8")


def errors(visit: Visit) -> list[str]:
    return [line for line in visit.console if not line.startswith("warning")]


@pytest.mark.slow
def test_twenty_phantoms_score_as_scikit_learn_scores_them(visit: Visit) -> None:
    """A script answers with chance and skill, changes some answers after the model's, and marks some places exactly.

    Oracle: scikit-learn on the answers that the script gave, and the phantoms' own truth.
    """
    chosen, rng = phantom_set(20, 11), np.random.default_rng(0)
    truth = chosen.targets
    before = np.clip(np.rint(2 + 2.4 * (truth - 0.4) + rng.normal(0, 1.1, truth.shape)), 0, 4).astype(int)
    after = np.where(rng.random(truth.shape) < 0.1, 4 * truth, before).astype(int)
    page = open_set(visit, "phantoms-20-11")
    marked = 0
    for row in range(20):
        rate_all(page, before[row])
        for k, finding in enumerate(PHANTOM5):
            if row < 4 and truth[row, k] and before[row, k] > 2:
                drag(page, finding, chosen.open(row).boxes[finding][0])
                marked += 1
        go_on(visit, "model")
        assert page.locator(".learn-box.learn-true").count() == 0
        rate_all(page, after[row])
        go_on(visit, "truth")
        here = [PHANTOM5[name].title for k, name in enumerate(PHANTOM5) if truth[row, k]]
        told = page.inner_text("[data-part=learn-question]")
        assert told == "The truth: " + (", ".join(here) or "none of these findings")
        if row < 19:
            go_on(visit, "read")
    go_on(visit, "score")

    frame = pd.read_csv(io.StringIO(csv := saved(page, "csv", "script")))
    assert frame["image"].tolist() == list(chosen.images)
    assert (frame["reader"] == "script").all()
    data = json.loads(saved(page, "json", "script"))
    model = cxrcore.load("phantom")
    answers = {k: model.predict(chosen.open(k).film).probabilities for k in (0, 7)}
    for k, finding in enumerate(PHANTOM5):
        row = data["findings"][finding]
        assert frame[f"prob:{finding}"].tolist() == [STEPS[step] for step in before[:, k]]
        assert frame[f"after:{finding}"].tolist() == [STEPS[step] for step in after[:, k]]
        assert frame[f"target:{finding}"].tolist() == truth[:, k].tolist()
        for case, probabilities in answers.items():
            assert frame[f"model:{finding}"][case] == pytest.approx(probabilities[finding], abs=1e-3)
        assert row["before"]["auroc"]["value"] == pytest.approx(roc_auc_score(truth[:, k], before[:, k]))
        assert row["after"]["auroc"]["value"] == pytest.approx(roc_auc_score(truth[:, k], after[:, k]))
        assert row["model"]["auroc"]["value"] == pytest.approx(roc_auc_score(truth[:, k], frame[f"model:{finding}"]))
        assert row["before"]["sensitivity"]["value"] == pytest.approx(recall_score(truth[:, k], before[:, k] > 2))
        assert row["before"]["specificity"]["value"] == pytest.approx(recall_score(1 - truth[:, k], before[:, k] <= 2))
    mean = roc_auc_score(truth, before, average="macro")
    assert data["overall"]["before"]["auroc"]["value"] == pytest.approx(mean)
    assert data["boxes"]["hit"]["n_pos"] == marked > 0
    assert data["boxes"]["hit"]["n_pos"] + data["boxes"]["hit"]["n_neg"] == truth.sum()
    towards = (np.abs(after / 4 - truth) < np.abs(before / 4 - truth)).sum()
    assert (data["changed"]["towards_truth"], data["changed"]["away_from_truth"]) == (towards, 0)
    assert f"{mean:.2f}" in page.inner_text("[data-part=learn-cards]")
    assert f"{towards} towards the truth, 0 away" in page.inner_text("[data-part=learn-changed]")

    table = read_predictions(csv.encode())  # what the dashboard's upload reads
    assert table.probabilities.shape == (20, 5)
    again = score_reading(read_reading(csv.encode()))  # and its page of readers
    assert again["overall"]["before"]["auroc"]["value"] == pytest.approx(mean)
    assert again["changed"] == data["changed"]
    assert errors(visit) == []


def test_a_link_opens_a_teachers_set_and_keys_alone_play_it(visit: Visit, case_set: Path) -> None:
    """Oracle: the set as the library reads it."""
    chosen = read_case_set(case_set)
    page = open_set(visit, "week-1")
    assert page.inner_text("[data-part=learn-progress]") == "Case 1 of 4 · Week 1"
    for row in range(4):
        present = chosen.targets[row][0] == 1
        page.focus("[data-finding=Consolidation] input")
        page.keyboard.press("5" if present else "2")
        if present:
            page.focus("[data-finding=Consolidation] [name=mark]")
            page.keyboard.press("Enter")
            left, top, right, bottom = chosen.open(row).boxes["Consolidation"][0]
            middle = (left + right) / 2, (top + bottom) / 2
            for key, steps in (("ArrowRight", (middle[0] - 0.5) / 0.02), ("ArrowDown", (middle[1] - 0.5) / 0.02)):
                name = key if steps > 0 else {"ArrowRight": "ArrowLeft", "ArrowDown": "ArrowUp"}[key]
                for _ in range(round(abs(steps))):
                    page.keyboard.press(name)
            page.keyboard.press("Enter")
            page.focus("[data-finding=Consolidation] input")
        page.keyboard.press("Enter")
        stage(visit, "model")
        page.focus("[data-part=learn-next]")
        page.keyboard.press("Enter")
        stage(visit, "truth")
        assert page.get_attribute("[data-finding=Consolidation]", "data-verdict") == "right"
        assert page.locator(".learn-true.learn-box").count() == present
        page.focus("[data-part=learn-next]")
        page.keyboard.press("Enter")
        stage(visit, "read" if row < 3 else "score")
    data = json.loads(saved(page, "json"))
    assert data["findings"]["Consolidation"]["before"]["auroc"]["value"] == 1
    assert (data["boxes"]["hit"]["n_pos"], data["boxes"]["hit"]["n_neg"]) == (2, 0)
    assert errors(visit) == []


SHEET = """() => { const at = (part) => document.querySelector(`.learn ${part}`).getBoundingClientRect();
const [film, stage] = [at(".sheet"), at(".stage")];
return [film.left, film.top, film.width, film.height, stage.left, stage.top, stage.width, stage.height]; }"""


def test_a_case_is_handled_as_in_the_viewer_and_boxes_stay_on_the_film(visit: Visit) -> None:
    """Oracle: NumPy's windowing of the phantom at 1:1, inverted by key; a box drawn on the enlarged film."""
    page = open_set(visit, "phantoms-2-7")
    page.keyboard.press("z")
    page.keyboard.press("i")
    assert page.get_attribute(".learn [data-act=invert]", "aria-pressed") == "true"
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    shown = page.locator(".learn .grey").evaluate(
        """(c) => { const d = c.getContext("2d").getImageData(c.width / 2 - 50, c.height / 2 - 50, 100, 100).data;
        return Array.from({ length: 10000 }, (_, at) => d[4 * at]); }"""
    )
    pixels = phantom_set(2, 7).open(0).film.pixels
    top, left = (side // 2 - 50 for side in pixels.shape)
    expected = 255 - np.rint(255 * pixels[top : top + 100, left : left + 100])
    assert np.abs(np.reshape(shown, (100, 100)) - expected).max() <= 1
    page.select_option(".learn .tools select", "lung")
    assert page.locator(".learn .tools select").input_value() == "lung"
    page.focus('[data-finding="Nodule"] input')
    page.keyboard.press("3")  # a confidence there, and no window
    assert page.locator(".learn .tools select").input_value() == "lung"
    for _ in range(5):
        page.click(".learn [data-act=zoomIn]")
    page.click('[data-finding="Nodule"] [name=mark]')
    before = page.evaluate(SHEET)
    corners = [(before[4] + x * before[6], before[5] + y * before[7]) for x, y in ((0.3, 0.3), (0.6, 0.7))]
    page.mouse.move(*corners[0])
    page.mouse.down()
    page.mouse.move(*corners[1], steps=3)
    page.mouse.up()
    box = page.locator(".learn-box.learn-yours").last.evaluate(
        "(node) => ['left', 'top', 'width', 'height'].map((side) => parseFloat(node.style[side]) / 100)"
    )
    shares = [((x - before[0]) / before[2], (y - before[1]) / before[3]) for x, y in corners]
    (left, top), (right, bottom) = shares
    assert box == pytest.approx([left, top, right - left, bottom - top], abs=0.003)
    page.keyboard.press("?")
    assert page.locator("[data-part=keys]").is_visible()
    assert "Erase" not in page.inner_text("[data-part=key-list]")
    page.keyboard.press("?")
    go_on(visit, "model")
    assert page.evaluate(SHEET)[:4] == pytest.approx(before[:4], abs=60)  # as large; the page may have scrolled
    assert errors(visit) == []


def test_two_fingers_zoom_a_case(browser: Any, server: Any) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = open_set(visit_of(context, server), "phantoms-1-7")
    x, y, width, height = page.evaluate(SHEET)[4:]
    middle, touch = (x + width / 2, y + height / 2), context.new_cdp_session(page)
    for apart, kind in ((30, "touchStart"), (45, "touchMove"), (60, "touchMove")):
        points = [{"x": middle[0] + way * apart, "y": middle[1], "id": way + 1} for way in (-1, 1)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait_for_selector(".learn .stage[data-zoomed=true]")
    page.click('[data-finding="Nodule"] [name=mark]')
    x, y, width, height = page.evaluate(SHEET)[4:]
    for share, kind in ((0.4, "touchStart"), (0.5, "touchMove"), (0.6, "touchMove")):
        point = {"x": x + share * width, "y": y + share * height, "id": 0}
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait_for_selector("[data-part=learn-draw]", state="hidden")
    assert "Likely" in page.inner_text("[data-part=learn-told]")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


def test_a_round_may_end_early_and_without_the_model_first(visit: Visit) -> None:
    page = visit.page
    page.click("[data-mode=learn]")
    page.uncheck("[data-part=learn-revise]")
    page.check("[data-part=learn-fine]")
    page.fill("[data-part=learn-count]", "3")
    page.click("[data-part=learn-phantoms] button")
    stage(visit, "read")
    assert page.evaluate("location.hash") == "#learn=phantoms-3-7"
    page.locator("[data-finding=Nodule] input[type=range]").fill("60")
    go_on(visit, "truth")
    page.click("[data-mode=film]")
    page.click("[data-mode=learn]")
    stage(visit, "truth")  # the round is still there
    page.click("[data-part=learn-finish]")
    stage(visit, "score")
    assert not page.locator("[data-part=learn-changed]").is_visible()
    frame = pd.read_csv(io.StringIO(saved(page, "csv")))
    assert frame["prob:Nodule"].tolist() == [0.6]
    assert frame["after:Nodule"].tolist() == [0.6]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("nowhere", "There is no set of cases 'nowhere' here; choose one from the list."),
        ("phantoms-0-7", "A round has 1 to 200 phantoms, and this link asks for 0."),
        ("/etc/passwd", "There is no set of cases '/etc/passwd' here; choose one from the list."),
    ],
)
def test_a_link_to_no_set_gets_one_sentence(visit: Visit, address: str, message: str) -> None:
    page = visit.page
    page.evaluate("address => (location.hash = 'learn=' + address)", address)
    page.wait_for_selector("[data-part=learn-error]:not([hidden])", timeout=60_000)
    assert page.inner_text("[data-part=learn-error]") == message
    assert page.locator(".learn-sets").is_visible()


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
def test_the_mode_fits_a_phone_and_has_no_grave_violation_of_accessibility(open_page, dark: bool) -> None:
    """Oracle: axe, at every stage."""
    visit = open_page(390, dark=dark)
    visit.page.click("[data-mode=learn]")
    visit.page.wait_for_selector("[data-part=learn-menu] button")
    assert violations(visit.page) == []
    page = open_set(visit, "phantoms-1-7")
    drag(page, "Nodule", (0.2, 0.5, 0.4, 0.7))
    assert "Likely" in page.inner_text("[data-part=learn-told]")
    for name in ("model", "truth", "score"):
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        go_on(visit, name)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
