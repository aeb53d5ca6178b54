"""Many films in a real browser: a list that fills, its table and exports, labels, one film after another, bad input."""

from __future__ import annotations

import json
import re
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import expect

import cxrcore
from cxrcore.phantom import draw_phantom
from cxrcore.predictions import Predictions, read_predictions
from cxrcore.reporting.film_report import percent
from tests.accessibility import violations
from tests.app.visit import Visit
from tests.films import PATIENT, dataset, encoded, written
from train.cli import main

pytestmark = pytest.mark.browser
EXPECTED = 60_000  # milliseconds; the machine may be busy


@pytest.fixture(scope="session")
def pictures() -> dict[str, bytes]:
    """Ten drawn films, every other one with an effusion."""
    drawn = (draw_phantom(n, ["Effusion"] * (n % 2), size=(160, 160)).pixels for n in range(10))
    return {f"f{n}.png": encoded((pixels * 255).astype(np.uint8), "PNG") for n, pixels in enumerate(drawn)}


@pytest.fixture
def make_zip(tmp_path: Path) -> Callable[..., Path]:
    def make(files: dict[str, bytes], name: str = "films.zip") -> Path:
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, content in files.items():
                archive.writestr(path, content)
        return tmp_path / name

    return make


@pytest.fixture
def films_zip(pictures: dict[str, bytes], make_zip: Callable[..., Path]) -> Path:
    return make_zip(
        {f"set/{name}": content for name, content in pictures.items()}
        | {"set/broken.png": pictures["f0.png"][:200], "set/notes.txt": b"hello", "../up.png": pictures["f1.png"]}
    )


class ListPage:
    """The mode "Many films" of a page."""

    def __init__(self, visit: Visit, model: str = "phantom") -> None:
        self.visit, self.page = visit, visit.page
        self.page.select_option("[data-part=model]", model)
        self.page.wait_for_function("document.querySelector('[data-part=about]').innerText.includes('resnet10t')")

    def choose(self, *files: Any, part: str = "list-files") -> None:
        self.page.set_input_files(f"[data-part={part}]", list(files))

    def finish(self) -> None:
        self.page.wait_for_selector("[data-part=many][data-list=done]", timeout=EXPECTED)

    def text(self, part: str) -> str:
        return self.page.inner_text(f"[data-part={part}]")

    def column(self, number: int) -> list[str]:
        return self.page.locator(f"[data-part=list-table] tbody tr > :nth-child({number})").all_inner_texts()

    def save(self, part: str, folder: Path) -> Path:
        with self.page.expect_download() as download:
            self.page.click(part if part.startswith("text=") else f"[data-part={part}]")
        path = folder / download.value.suggested_filename
        download.value.save_as(path)
        return path


@pytest.fixture
def listed(visit: Visit) -> ListPage:
    return ListPage(visit)


def drop(page: Any, files: dict[str, bytes]) -> None:
    """Drop files on the page."""
    transfer = page.evaluate_handle(
        """files => { const data = new DataTransfer();
        for (const [name, bytes] of Object.entries(files)) data.items.add(new File([new Uint8Array(bytes)], name));
        return data; }""",
        {name: list(content) for name, content in files.items()},
    )
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})


def test_a_zip_becomes_a_table_with_the_librarys_numbers(
    listed: ListPage, films_zip: Path, pictures: dict[str, bytes]
) -> None:
    listed.choose(films_zip)
    listed.finish()
    assert listed.text("list-status") == "10 of 11 films read by phantom, 1 not readable"
    page = listed.page
    assert page.locator("tbody tr").count() >= 11
    assert page.locator("[data-part=list-table] tbody img").count() == 10
    assert page.text_content("[data-part=list-skipped] summary") == "2 files skipped, which are no film"
    assert "../up.png: its path leads out of the archive" in page.text_content("[data-part=list-skipped]")
    titles = page.locator("[data-part=list-table] thead th").all_inner_texts()
    cells = dict(zip(listed.column(1), listed.column(titles.index("Effusion") + 1), strict=True))
    model = cxrcore.load("phantom")
    for name in ("f2.png", "f7.png"):
        share = model.predict(cxrcore.read_radiograph(pictures[name])).probabilities["Effusion"]
        shown = float(re.sub(r"[^\d.]", "", cells[name])) / 100
        assert shown == pytest.approx(min(max(share, 0.001), 0.999), abs=6e-4)
    assert "cut short or damaged" in page.get_attribute("tr[data-state=failed] td.words", "title")
    assert [line for line in listed.visit.console if not line.startswith("warning")] == []
    assert listed.visit.hosts == {"127.0.0.1"}
    assert listed.visit.server.uploads() == []


def test_sort_and_filters(listed: ListPage, films_zip: Path) -> None:
    listed.choose(films_zip)
    listed.finish()
    page = listed.page
    page.click("[data-part=list-table] thead >> text=Film")
    assert listed.column(1) == ["broken.png", *(f"f{n}.png" for n in range(10))]
    page.click("[data-part=list-table] thead >> text=Film")
    assert listed.column(1)[0] == "f9.png"
    assert page.get_attribute("[data-part=list-table] th[data-column=image]", "aria-sort") == "descending"
    page.click("[data-part=list-table] thead >> text=Effusion")
    assert listed.column(1)[-1] == "broken.png"  # without a number: last
    page.select_option("[data-part=list-gate]", "failed")
    assert listed.column(1) == ["broken.png"]
    assert listed.text("list-count") == "1 of 11 films"
    page.select_option("[data-part=list-gate]", "all")
    page.select_option("[data-part=list-finding]", "Effusion")
    model = cxrcore.load("phantom")
    with zipfile.ZipFile(films_zip) as archive:
        read = {n: cxrcore.read_radiograph(archive.read(f"set/f{n}.png")) for n in range(10)}
    answers = {f"f{n}.png": model.predict(film) for n, film in read.items()}
    shown = {name for name, one in answers.items() if one.positive["Effusion"] and one.gate.accepted is not False}
    assert set(listed.column(1)) == shown


def test_exports_are_what_cxr_predict_writes_and_the_dashboards_reader_opens(
    listed: ListPage, films_zip: Path, tmp_path: Path
) -> None:
    listed.choose(films_zip)
    listed.finish()
    saved = {part: listed.save(part, tmp_path) for part in ("save-csv", "save-parquet", "save-list-json")}
    main(["predict", "phantom", str(films_zip), "--csv", str(tmp_path / "cli.csv")])
    table, own = pd.read_csv(saved["save-csv"]), pd.read_csv(tmp_path / "cli.csv")
    pd.testing.assert_frame_equal(table, own, atol=1e-4)
    pd.testing.assert_frame_equal(pd.read_parquet(saved["save-parquet"]), table, check_dtype=False)
    truth = ("image,Effusion\n" + "".join(f"f{n}.png,{n % 2}\n" for n in range(10))).encode()
    for part in ("save-csv", "save-parquet"):
        assert read_predictions(saved[part], truth).targets[:, 0].tolist() == [n % 2 for n in range(10)]
    everything = json.loads(saved["save-list-json"].read_text())
    assert [len(everything[key]) for key in ("films", "unreadable", "skipped")] == [10, 1, 2]


def test_labels_dropped_along_make_an_evaluation(listed: ListPage, pictures: dict[str, bytes], tmp_path: Path) -> None:
    labels = "Image Index,Effusion\n" + "".join(f"f{n}.dcm,{n % 2}\n" for n in range(10))
    drop(listed.page, pictures | {"truth.csv": labels.encode()})
    listed.page.wait_for_selector("[data-part=list-scores]:not([hidden])", timeout=EXPECTED)
    assert "Scored on 10 labelled films" in listed.text("list-scores")
    metrics = json.loads(listed.save("text=Scores, metrics.json", tmp_path).read_text())
    assert (metrics["dataset"], metrics["findings"]["Effusion"]["n_pos"]) == ("truth", 5)
    area = metrics["findings"]["Effusion"]["auroc"]
    assert f"{area['value']:.3f} ({area['low']:.3f}–{area['high']:.3f})" in listed.text("list-scores")
    own = Predictions.read(listed.save("text=Table with labels, Parquet", tmp_path))
    assert own.targets[:, 0].tolist() == [n % 2 for n in range(10)]
    assert listed.column(3)[:2] == ["none of these", "Effusion"]


def test_wrong_labels_are_one_sentence_and_the_list_stays(listed: ListPage, pictures: dict[str, bytes]) -> None:
    drop(listed.page, pictures)
    listed.finish()
    listed.choose(
        {"name": "wrong.csv", "mimeType": "text/csv", "buffer": b"image,Effusion\nother.png,1\n"}, part="list-labels"
    )
    expect(listed.page.locator("[data-part=list-error]")).to_contain_text("No predicted film has a label")
    assert len(listed.column(1)) == 10


@pytest.mark.slow
def test_a_film_of_the_list_opens_and_the_next_comes_by_button_and_key(
    listed: ListPage, films_zip: Path, pictures: dict[str, bytes]
) -> None:
    listed.choose(films_zip)
    listed.finish()
    page = listed.page
    page.click("[data-part=list-table] tbody >> text=f3.png")
    listed.visit.wait("result")
    assert listed.text("list-place") == "4 of 11"  # in the archive's order
    page.click("[data-part=list-next]")
    expect(page.locator("[data-part=facts]")).to_contain_text("f4.png")
    for key, name in (("n", "f5.png"), ("p", "f4.png")):
        page.keyboard.press(key)
        expect(page.locator("[data-part=facts]")).to_contain_text(name, timeout=EXPECTED)
    page.keyboard.press("n")
    page.keyboard.press("n")
    page.keyboard.press("n")  # faster than films are read: the last one asked for is shown
    expect(page.locator("[data-part=facts]")).to_contain_text("f7.png", timeout=EXPECTED)
    page.click("text=Back to the list")
    assert page.locator("[data-part=list-table]").is_visible()
    page.click("[data-mode=film]")
    page.click("[data-part=again]")
    assert not page.locator("[data-part=list-nav]").is_visible()


@pytest.mark.parametrize("kind", ["several", "zip"])
def test_several_films_on_the_page_of_one_film_become_a_list(
    listed: ListPage, pictures: dict[str, bytes], films_zip: Path, kind: str
) -> None:
    page = listed.page
    assert page.get_attribute(".cxr", "data-mode") == "film"
    drop(page, pictures if kind == "several" else {"films.zip": films_zip.read_bytes()})
    listed.finish()
    assert page.get_attribute(".cxr", "data-mode") == "many"
    assert len(listed.column(1)) == (10 if kind == "several" else 11)


def test_a_folder_is_searched(listed: ListPage, pictures: dict[str, bytes], tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / "films" / folder).mkdir(parents=True)
        (tmp_path / "films" / folder / "f.png").write_bytes(pictures["f1.png"])
    (tmp_path / "films" / "notes.txt").write_text("hello")
    listed.choose(tmp_path / "films", part="list-folder")
    listed.finish()
    assert sorted(listed.column(1)) == ["films/a/f.png", "films/b/f.png"]  # one name twice: called by their paths


def test_bad_archives_are_one_sentence(
    listed: ListPage, pictures: dict[str, bytes], make_zip: Callable[..., Path]
) -> None:
    error = listed.page.locator("[data-part=list-error]")
    listed.choose(make_zip({f"{n}.png": b"" for n in range(10_000)}, "many.zip"))
    expect(error).to_contain_text("These are 10,000 films, and the most that are read at once is 5,000")
    bomb = bytearray(make_zip({f"{n}.png": b"x" for n in range(20)}, "bomb.zip").read_bytes())
    for start in [match.start() for match in re.finditer(b"PK\x01\x02", bomb)]:
        bomb[start + 24 : start + 28] = (4_000_000_000).to_bytes(4, "little")  # what each would unpack to
    listed.choose({"name": "bomb.zip", "mimeType": "application/zip", "buffer": bytes(bomb)})
    expect(error).to_contain_text("would unpack to 80 GB")
    listed.choose({"name": "not.zip", "mimeType": "application/zip", "buffer": pictures["f0.png"]})
    expect(error).to_contain_text("not.zip is damaged or no zip archive")


def films_read(visit: Visit) -> int:
    return sum(map(int, re.findall(r"(\d+) films of a list read", visit.server.log)))


@pytest.mark.slow
def test_stop_and_go_on_and_a_closed_tab_ends_the_work(
    open_page: Callable[..., Visit], pictures: dict[str, bytes], make_zip: Callable[..., Path]
) -> None:
    many = make_zip({f"{n}.png": content for content in [pictures["f1.png"]] for n in range(400)})
    listed = ListPage(open_page())
    before = films_read(listed.visit)
    listed.choose(many)
    listed.page.wait_for_function("document.querySelector('[data-part=list-progress]').value > 0.02")
    listed.page.click("[data-part=list-stop]")
    expect(listed.page.locator("[data-part=list-status]")).to_contain_text("stopped")
    assert len(read_rows(listed)) < 400
    listed.page.click("[data-part=list-go-on]")
    listed.page.wait_for_function("document.querySelector('[data-part=list-progress]').value > 0.1")
    listed.page.goto(listed.visit.server.url)  # leaves the list, as a closed tab does
    time.sleep(1)  # what was on its way is finished
    after = films_read(listed.visit)
    time.sleep(1.5)
    assert films_read(listed.visit) == after
    assert after - before < 400


def read_rows(listed: ListPage) -> list[str]:
    return [
        state
        for state in listed.page.eval_on_selector_all(
            "[data-part=list-table] tbody tr", "rows => rows.map((row) => row.dataset.state)"
        )
        if state == "read"
    ]


@pytest.mark.slow
def test_two_visitors_at_once_see_their_own_films(open_page: Callable[..., Visit], pictures: dict[str, bytes]) -> None:
    lists = [ListPage(open_page()), ListPage(open_page())]
    for listed, own in zip(lists, ("one", "two"), strict=True):
        drop(listed.page, {f"{own}-{name}": content for name, content in pictures.items()})
    for listed, own in zip(lists, ("one", "two"), strict=True):
        listed.finish()
        assert {name.split("-")[0] for name in listed.column(1)} == {own}
        assert len(listed.column(1)) == 10


def test_a_dicom_with_a_name_leaves_it_nowhere(listed: ListPage, pictures: dict[str, bytes], tmp_path: Path) -> None:
    pixels = (draw_phantom(1, size=(160, 160)).pixels * 4095).astype(np.uint16)
    secret = written(dataset(pixels, 12))
    assert PATIENT.encode() in secret
    drop(listed.page, {"film.dcm": secret, "other.png": pictures["f0.png"]})
    listed.finish()
    exports = [listed.save(part, tmp_path).read_bytes() for part in ("save-csv", "save-parquet", "save-list-json")]
    places = [*exports, listed.page.content().encode(), listed.visit.server.log.encode()]
    assert all(PATIENT.split("^")[0].encode() not in place for place in places)
    assert listed.visit.server.uploads() == []


@pytest.mark.slow
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_the_list_is_accessible_and_fits(
    open_page: Callable[..., Visit], films_zip: Path, width: int, dark: bool
) -> None:
    listed = ListPage(open_page(width, dark))
    listed.page.click("[data-mode=many]")
    assert violations(listed.page) == []
    listed.choose(films_zip)
    listed.finish()
    assert violations(listed.page) == []
    assert listed.page.evaluate("document.documentElement.scrollWidth") <= width
    if width > 600:
        listed.page.locator("thead button").first.focus()
        listed.page.keyboard.press("Enter")
    else:
        listed.page.select_option("[data-part=list-sort]", "image")
    assert listed.page.get_attribute("th[data-column=image]", "aria-sort") == "ascending"


def test_on_a_phone_each_film_is_a_card_with_its_findings_above_threshold(
    open_page: Callable[..., Visit], pictures: dict[str, bytes]
) -> None:
    """Oracle: the library's own answer to each file."""
    listed, model = ListPage(open_page(390)), cxrcore.load("phantom")
    page = listed.page
    page.click("[data-mode=many]")
    names = ["f0.png", "f1.png", "f3.png"]
    listed.choose(*({"name": name, "mimeType": "image/png", "buffer": pictures[name]} for name in names))
    listed.finish()
    answers = {name: model.predict(cxrcore.read_radiograph(pictures[name])) for name in names}

    def words(name: str, *first: str) -> str:
        chances, positive = answers[name].probabilities, answers[name].positive
        above = sorted((finding for finding in chances if positive[finding]), key=lambda finding: -chances[finding])
        named = list(dict.fromkeys([*first, *above]))[:3]
        told = [f"{finding} {percent(chances[finding])}" for finding in named]
        return " ".join(told) or "No finding above its threshold"

    def cards() -> dict[str, str]:
        rows = page.locator("[data-part=list-table] tbody tr").all()
        brief = [" ".join(row.locator(".brief").inner_text().split()) for row in rows]
        return dict(zip((row.locator("button").inner_text() for row in rows), brief, strict=True))

    assert cards() == {name: words(name) for name in names}
    assert page.locator("[data-part=list-table] td:visible:not(.words, .brief)").count() == 0
    scroll = page.locator("[data-part=list-scroll]")
    assert scroll.evaluate("node => node.scrollWidth <= node.clientWidth")
    page.select_option("[data-part=list-sort]", "Effusion")
    order = sorted(names, key=lambda name: -answers[name].probabilities["Effusion"])
    assert cards() == {name: words(name, "Effusion") for name in order}
    assert list(cards()) == order


def test_a_request_that_disagrees_with_itself_is_refused(visit: Visit) -> None:
    import httpx

    address = visit.server.url + "gradio_api/many/films"
    for body, status in (
        (b"no json", 400),
        (b'{"model": "phantom", "files": []}\n', 400),
        (b'{"model": "phantom", "files": [{"name": "a", "size": 9}]}\nabc', 400),
        (b'{"model": "nosuch", "files": [{"name": "a", "size": 3}]}\nabc', 422),
    ):
        answer = httpx.post(address, content=body, timeout=60)
        assert (answer.status_code, answer.json()["kind"]) == (status, "error")
    other = b'{"model": "phantom", "files": [{"name": "/x/a.png", "size": 3, "crc": 7}]}\nabc'
    damaged = httpx.post(address, content=other, timeout=60).json()["films"][0]
    assert damaged["error"] == "'a.png' is damaged within its archive and cannot be read."
    good = httpx.post(
        address, content=b'{"model": "phantom", "files": [{"name": "/x/a.png", "size": 3}]}\nabc', timeout=60
    )
    assert good.json()["films"][0]["error"].startswith("'a.png' is text, not a film")
