"""Sets of cases in a file from outside: what is read, and the one sentence that a wrong one gets."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cxrcore.datasets import case_set
from cxrcore.datasets.case_set import phantom_set, read_case_set, shares_of
from cxrcore.datasets.phantoms import phantom_findings
from cxrcore.errors import CxrError, InvalidDataset
from cxrcore.findings import PNEUMONIA2
from cxrcore.phantom import draw_phantom


def png(grey: int = 90, size: tuple[int, int] = (40, 60)) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full(size, grey, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def index(**changes: Any) -> dict[str, Any]:
    cases = [
        {
            "film": f"films/000{n}.png",
            "image": f"ab-000{n}.png",
            "patient": f"ab-{n}",
            "targets": {"Normal": 1 - n % 2, "Pneumonia": n % 2},
            "boxes": [["Pneumonia", 0.1, 0.2, 0.5, 0.6]] if n % 2 else [],
        }
        for n in (1, 2)
    ]
    return {"schema": 1, "title": "Two films", "labels": PNEUMONIA2.to_dict(), "cases": cases} | changes


def written(path: Path, content: dict[str, Any], films: dict[str, bytes] | None = None) -> Path:
    films = {"films/0001.png": png(), "films/0002.png": png(200)} if films is None else films
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("set.json", json.dumps(content))
        for name, film in films.items():
            file.writestr(name, film)
    return path


def test_a_set_is_read_with_its_films_boxes_and_truth(tmp_path: Path) -> None:
    chosen = read_case_set(written(tmp_path / "two.zip", index()))
    assert (chosen.title, len(chosen), chosen.asked) == ("Two films", 2, ("Pneumonia",))
    assert chosen.targets.tolist() == [[0, 1], [1, 0]]
    case = chosen.open(0)
    assert case.film.pixels.shape == (40, 60)
    assert case.film.pixels[0, 0] == pytest.approx(90 / 255)
    assert case.boxes == {"Pneumonia": ((0.1, 0.2, 0.5, 0.6),)}
    assert chosen.open(1).boxes == {}


def test_phantoms_have_the_truth_of_the_drawing() -> None:
    """Oracle: the phantom drawn by the library."""
    chosen = phantom_set(3, seed=7)
    for row, seed in enumerate((7_000_000, 7_000_001, 7_000_002)):
        drawn = draw_phantom(seed, phantom_findings(seed), (512, 512))
        assert chosen.targets[row].tolist() == drawn.targets.tolist()
        boxes = {name: (shares_of(box, (512, 512)),) for name, box in drawn.boxes.items()}
        assert chosen.open(row).boxes == boxes
    assert chosen.images == phantom_set(3, seed=7).images != phantom_set(3, seed=8).images


Change = Callable[[list[dict[str, Any]]], Any]
WRONG: list[tuple[Change, str]] = [
    (lambda c: c[0]["targets"].update(Flu=1), "case 1 of bad.zip is labelled Flu, which is none of Normal, Pneumonia"),
    (lambda c: c[1].update(film="films/0009.png"), "case 2 of bad.zip has no film: films/0009.png is missing"),
    (lambda c: c[1].update(image="ab-0001.png"), "1 case(s) are there more than once: ab-0001.png"),
    (lambda c: c[0].update(film="../../etc/passwd"), "a film is called films/0001.png"),
    (lambda c: c[0]["targets"].update(Pneumonia=2), "a label other than 0, 1 and null"),
    (lambda c: c[0]["targets"].update(Normal=1), "each case has exactly one of Normal, Pneumonia"),
    (lambda c: c[1].update(boxes=[["Pneumonia", 0.1, 0.1, 0.2, 0.2]]), "which its labels do not say is there"),
    (lambda c: c[0].update(boxes=[["Pneumonia", 0.5, 0.1, 0.2, 2]]), "a box that does not lie on the film"),
    (lambda c: c[0].update(boxes=[["Pneumonia"]]), "the set.json of bad.zip is damaged"),
    (lambda c: c[0].pop("targets"), "the set.json of bad.zip is damaged"),
    (lambda c: c.clear(), "a set has 1 to 1,000 cases, and this one has 0"),
]


@pytest.mark.parametrize(("change", "message"), WRONG, ids=[message[:40] for _, message in WRONG])
def test_wrong_labels_get_one_sentence(tmp_path: Path, change: Change, message: str) -> None:
    content = index()
    change(content["cases"])
    with pytest.raises(InvalidDataset) as error:
        read_case_set(written(tmp_path / "bad.zip", content))
    assert message in str(error.value)
    assert str(tmp_path) not in str(error.value)


def test_other_files_get_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "other.zip"
    with pytest.raises(InvalidDataset, match=r"there is no set of cases 'other\.zip'"):
        read_case_set(path)
    for content in (b"", b"hello", png(), b"PK\x05\x06"):
        path.write_bytes(content)
        with pytest.raises(InvalidDataset, match=r"other\.zip is (no zip file of a set|damaged)"):
            read_case_set(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("films/0001.png", png())
    with pytest.raises(InvalidDataset, match=r"has no set\.json, so it is no set of cases"):
        read_case_set(path)
    for schema in (2, None):
        with pytest.raises(InvalidDataset, match="this program reads 1"):
            read_case_set(written(path, index(schema=schema)))


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "bomb.zip", index(), {"films/0001.png": bytes(60_000_000), "films/0002.png": png()})
    chosen = read_case_set(path)
    with pytest.raises(InvalidDataset, match=r"films/0001.png of bomb.zip would unpack to more than 50 MB"):
        chosen.open(0)
    data = bytearray(path.read_bytes())
    at = data.rfind(b"PK\x05\x06")
    struct.pack_into("<I", data, at + 12, 2_000_000)  # a table of contents of 2 MB
    path.write_bytes(data)
    with pytest.raises(InvalidDataset, match="larger than any set of cases"):
        read_case_set(path)
    monkeypatch.setattr(case_set, "MAX_INDEX_BYTES", 100)
    with pytest.raises(InvalidDataset, match=r"set\.json of long\.zip would unpack"):
        read_case_set(written(tmp_path / "long.zip", index()))


def test_a_film_that_is_no_png_or_is_damaged_gets_one_sentence(tmp_path: Path) -> None:
    films = {"films/0001.png": b"GIF89a", "films/0002.png": png()[:60]}
    chosen = read_case_set(written(tmp_path / "films.zip", index(), films))
    for row, message in enumerate(("is no PNG", "cut short or damaged")):
        with pytest.raises(CxrError, match=message):
            chosen.open(row)
    data = (tmp_path / "films.zip").read_bytes()
    (tmp_path / "films.zip").write_bytes(data.replace(png()[10:40], bytes(30)))
    with pytest.raises(CxrError, match=r"damaged|cut short"):
        chosen.open(1)
