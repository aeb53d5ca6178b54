"""Whatever a visitor sends gets one calm sentence, and the next film is read as if nothing had happened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.app.visit import Visit
from tests.films import BIRTH_DATE, PATIENT, chest, dataset, encoded, png_of_size, written

pytestmark = pytest.mark.browser

BAD = {
    "truncated.png": encoded(chest(), "PNG")[:5000],
    "empty.png": b"",
    "letter.pdf": b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n%%EOF\n",
    "bomb.png": png_of_size(30_000, 30_000),
    "notes.png": b"Dear colleague, please find the film attached.\n" * 20,
    "report.dcm": written(dataset(chest(), PixelData=None)),
    "slice.dcm": written(dataset(chest(16), Modality="CT", SOPClassUID="1.2.840.10008.5.1.4.1.1.2")),
}


@pytest.mark.parametrize("name", BAD)
def test_one_calm_sentence_and_the_next_film_is_read(visit: Visit, name: str) -> None:
    visit.upload({"name": name, "mimeType": "application/octet-stream", "buffer": BAD[name]})
    sentence = visit.error()
    assert 10 < len(sentence) < 250
    for leak in ("Traceback", "Error:", "/tmp", "\n", PATIENT, "Otto", BIRTH_DATE, "Something went wrong"):
        assert leak not in sentence
    assert visit.page.locator(".finding").count() == 0 or not visit.page.locator(".findings").is_visible()
    visit.analyse({"name": "film.png", "mimeType": "image/png", "buffer": encoded(chest(), "PNG")})
    assert len(visit.probabilities()) == 14
    assert not visit.page.locator("[data-part=error]").is_visible()
    assert "Traceback" not in visit.server.log
    assert visit.server.uploads() == []
    assert [line for line in visit.console if not line.startswith("warning")] == []


def test_a_film_before_a_bad_file_does_not_stay_on_the_screen(visit: Visit) -> None:
    visit.analyse({"name": "film.png", "mimeType": "image/png", "buffer": encoded(chest(), "PNG")})
    visit.upload({"name": "notes.png", "mimeType": "image/png", "buffer": BAD["notes.png"]})
    visit.error()
    assert not visit.page.locator("[data-part=stage]").is_visible()
    assert not visit.page.locator(".findings").is_visible()


def test_a_colour_photograph_is_warned_about(visit: Visit) -> None:
    cat = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
    visit.analyse({"name": "cat.jpg", "mimeType": "image/jpeg", "buffer": encoded(cat, "JPEG", quality=95)})
    assert "colour" in visit.page.inner_text("[data-part=warnings]")


def test_a_dicom_without_an_extension_is_read_and_shows_no_patient(visit: Visit) -> None:
    visit.analyse({"name": "IM000001", "mimeType": "", "buffer": written(dataset(chest(16), 16))})
    assert "DICOM" in visit.page.inner_text("[data-part=facts]")
    assert "Otto" not in visit.page.content()
    assert "Otto" not in visit.server.log


def test_sixteen_bits_arrive_as_sixteen_bits(visit: Visit, tmp_path: Path) -> None:
    visit.analyse({"name": "deep.png", "mimeType": "image/png", "buffer": encoded(chest(16), "PNG")})
    assert "16 bit" in visit.page.inner_text("[data-part=facts]")
