"""What a visitor sees in a real browser: every page drawn, the slider moved, no complaint, nothing asked of outside."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from cxrcore.models.opening import find_bundle
from cxrcore.predictions.record import Predictions
from tests.accessibility import violations
from tests.dashboard.opening import PHANTOM, ROOT, stored
from tests.servers import running

pytestmark = pytest.mark.browser
HARMLESS = "Failed to load resource: the server responded with a status of 404"  # two probes of Streamlit's own
SCREENS = sorted(path.stem for path in (ROOT / "dashboard" / "screens").glob("*.py"))
FINDING = "Effusion"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running ``python -m dashboard``, started from somewhere else."""
    command = [sys.executable, "-m", "dashboard"]
    environment = os.environ | {"CXR_MODEL": PHANTOM}
    with running(command, tmp_path_factory.mktemp("elsewhere"), environment, stop=signal.SIGINT) as server:
        yield server.url
        assert "Traceback" not in server.log


@pytest.fixture(scope="module")
def page(address: str, browser: Any) -> Iterator[Any]:
    """A browser page that notes what it hears and asks for."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    opened.set_default_timeout(60_000)
    opened.heard, opened.hosts = [], set()
    opened.on("console", lambda message: opened.heard.append(message.text))
    opened.on("pageerror", lambda error: opened.heard.append(f"uncaught: {error}"))
    opened.on("request", lambda request: opened.hosts.add(urlsplit(request.url).hostname or ""))
    yield opened
    opened.close()


def settle(page: Any) -> None:
    """Until the script has run and its charts are there."""
    page.wait_for_selector("h2, h1")
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')


def shown(page: Any, label: str) -> str:
    """A headline number."""
    card = page.locator('[data-testid="stMetric"]').filter(has_text=label).first
    return card.locator('[data-testid="stMetricValue"]').inner_text()


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_every_page_opens_from_the_menu_readable_and_with_an_empty_console(
    page: Any, address: str, scheme: str
) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto(address)
    settle(page)
    assert shown(page, "Mean AUROC") == f"{stored(PHANTOM, 'phantom-test')['macro']['auroc']['value']:.3f}"
    for number in range(len(SCREENS)):
        page.locator('[data-testid="stSidebarNavLink"]').nth(number).click()
        settle(page)
        page.wait_for_selector("text=never for diagnosis")
        assert page.locator('[data-testid="stException"]').count() == 0, page.url
        assert violations(page) == [], page.url
    assert [text for text in page.heard if not text.startswith(HARMLESS)] == []
    assert page.hosts <= {"127.0.0.1", ""}


@pytest.mark.slow
def test_the_slider_moves_numbers_point_and_address(page: Any, address: str) -> None:
    page.goto(f"{address}threshold?model={PHANTOM}&finding={FINDING}")
    settle(page)
    scores = stored(PHANTOM, "phantom-test")["findings"][FINDING]
    page.wait_for_selector(".js-plotly-plot .scatterlayer")
    for label, key in (("Sensitivity", "sensitivity"), ("Specificity", "specificity"), ("PPV", "ppv"), ("NPV", "npv")):
        assert shown(page, label) == f"{100 * scores[key]:.1f} %"
    page.locator('[data-testid="stSlider"] input, [data-testid="stSlider"] [role="slider"]').first.focus()
    page.keyboard.press("End")
    page.wait_for_function("() => new URLSearchParams(location.search).get('threshold') !== null")
    settle(page)
    films = Predictions.read(find_bundle(PHANTOM) / "evaluation" / "phantom-test" / "predictions.parquet")
    column = films.labels.index(FINDING)
    threshold = float(page.evaluate("() => new URLSearchParams(location.search).get('threshold')"))
    calls = films.probabilities[:, column] >= threshold
    found = calls[films.targets[:, column] == 1].mean()
    page.wait_for_function(
        "expected => [...document.querySelectorAll('[data-testid=stMetricValue]')].some(e => e.innerText === expected)",
        arg=f"{100 * found:.1f} %",
    )
    assert shown(page, "Sensitivity") == f"{100 * found:.1f} %"


@pytest.mark.slow
def test_a_chart_is_saved_as_a_picture_and_its_numbers_as_csv(page: Any, address: str) -> None:
    page.goto(f"{address}rank?model={PHANTOM}&finding={FINDING}")
    settle(page)
    page.wait_for_selector(".js-plotly-plot .scatterlayer")
    with page.expect_download() as csv:
        page.locator('[data-testid="stDownloadButton"] button').first.click()
    text = Path(csv.value.path()).read_text("utf-8")
    assert text.startswith("false_positive_rate,sensitivity,thresholds")
    page.get_by_text("SVG", exact=True).click()
    settle(page)
    chart = page.locator(".js-plotly-plot:has(.modebar-btn[data-title='Download plot'])").first  # redrawn for SVG
    chart.wait_for()
    chart.hover()
    with page.expect_download() as picture:
        chart.locator(".modebar-btn[data-title='Download plot']").click()
    assert picture.value.suggested_filename == f"roc-{FINDING}.svg"
    assert "<svg" in Path(picture.value.path()).read_text("utf-8")[:500]


@pytest.mark.slow
def test_back_and_forward_follow_the_choices(page: Any, address: str) -> None:
    def shows(name: str) -> None:
        page.wait_for_function("name => [...document.querySelectorAll('input')].some(i => i.value === name)", arg=name)
        settle(page)

    def choose(name: str) -> None:
        page.get_by_role("combobox", name="Finding").first.click()
        page.get_by_role("option", name=name, exact=True).click()
        page.wait_for_url(f"**finding={name}")
        shows(name)

    page.goto(f"{address}honesty?model={PHANTOM}")
    settle(page)
    first = page.get_by_role("combobox", name="Finding").first.input_value()
    others = [name for name in ("Nodule", FINDING, "Cardiomegaly") if name != first][:2]
    for name in others:
        choose(name)
    page.go_back()
    shows(others[0])
    page.go_back()
    shows(first)
    assert page.url == f"{address}honesty?model={PHANTOM}"
    page.go_forward()
    shows(others[0])
    assert page.url.endswith(f"finding={others[0]}")
