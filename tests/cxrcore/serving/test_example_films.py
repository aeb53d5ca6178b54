"""Public films through the real client against a localhost hub: what is offered, fetched, kept, refused and said."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

import cxrcore
from cxrcore.errors import CxrError, HubError, InvalidDataset, UnreadableImage
from cxrcore.hub.client import cache_folder
from cxrcore.serving import example_films as module
from cxrcore.serving.example_films import fetch_example_film, list_example_films
from tests.hub import Hub
from tests.hub.fixtures import unreachable

KERMANY, OURS = "hf-vision/chest-xray-pneumonia", "tester/examples"
VALIDATION = "data/validation-00000-of-00001.parquet"
NORMAL = "kermany-normal-1"


def jpeg(grey: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((40, 50), grey, np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


def copy_of(films: list[tuple[str, int, bytes]]) -> bytes:
    """Rows as in the public copy: image {bytes, path} and label."""
    rows = [{"image": {"bytes": content, "path": name}, "label": label} for name, label, content in films]
    buffer = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


@pytest.fixture
def kermany(hub: Hub) -> Hub:
    films = [(f"person{n}_bacteria_{n}.jpeg", 1, jpeg(200 + n)) for n in range(4)]
    films += [(f"NORMAL2-IM-{n}-0001.jpeg", 0, jpeg(50 + n)) for n in range(4)]
    hub.add(KERMANY, {VALIDATION: copy_of(films), "data/train-00000-of-00007.parquet": b"x" * 1000}, "datasets")
    return hub


@pytest.fixture
def ours(hub: Hub, monkeypatch) -> Hub:
    monkeypatch.setenv("CXR_EXAMPLES", OURS)
    return hub


def add_ours(hub: Hub, *entries: object, **films: bytes) -> None:
    hub.add(OURS, {"examples.json": json.dumps(entries).encode()} | films, "datasets")


def entry(file: str = "films/a.png", **more: object) -> dict[str, object]:
    return {"file": file, "title": "A film", "licence": "CC0", "findings": ["Effusion"]} | more


def test_the_offer_needs_no_network_and_names_source_and_licence(monkeypatch, hub):
    films = list_example_films()
    assert [film.id for film in films] == [f"kermany-{label}-{n}" for label in ("normal", "pneumonia") for n in (1, 2)]
    assert {(film.repo, film.licence) for film in films} == {(KERMANY, "CC BY 4.0")}
    assert all("Kermany" in film.credit for film in films)
    assert not hub.requests


def test_a_film_is_fetched_on_the_first_call_and_kept(kermany: Hub, monkeypatch):
    greys = {
        film.id: cxrcore.read_radiograph(fetch_example_film(film.id)).pixels.mean() * 255
        for film in list_example_films()
    }
    expected = {"kermany-normal-1": 50, "kermany-normal-2": 51, "kermany-pneumonia-1": 200, "kermany-pneumonia-2": 201}
    assert greys == pytest.approx(expected, abs=1.5)
    assert not [request for request in kermany.requests if "train-" in request]
    asked = len(kermany.requests)
    path = fetch_example_film(NORMAL)
    unreachable(kermany, monkeypatch)
    assert fetch_example_film(NORMAL) == path
    assert len(kermany.requests) == asked
    assert path.is_relative_to(cache_folder())
    assert path.read_bytes() == jpeg(50)  # as its source has it


def test_a_films_own_name_stays_behind(kermany: Hub):
    assert not re.search(r"IM-|person", str(fetch_example_film(NORMAL).relative_to(cache_folder())))


def test_another_dataset_brings_its_own_list(ours: Hub):
    add_ours(
        ours,
        entry(),
        entry("b.jpeg", title="Another", credit="A clinic"),
        **{"films/a.png": jpeg(9), "b.jpeg": jpeg(90)},
    )
    assert list_example_films() == ()
    assert not ours.requests
    films = list_example_films(refresh=True)
    assert [(film.id, film.title, film.licence, film.credit) for film in films] == [
        ("example-1", "A film", "CC0", OURS),
        ("example-2", "Another", "CC0", "A clinic"),
    ]
    asked = len(ours.requests)
    assert list_example_films() == films
    assert len(ours.requests) == asked
    assert fetch_example_film("example-2").read_bytes() == jpeg(90)


@pytest.mark.parametrize(
    "entries",
    [
        {"file": "a.png"},
        ["a.png"],
        [{"file": "a.png", "title": "no licence"}],
        [entry(licence=" ")],
        [entry("../a.png")],
        [entry("/etc/a.png")],
        [entry("run.py")],
        7,
    ],
)
def test_a_list_of_something_else_is_refused(ours: Hub, entries):
    ours.add(OURS, {"examples.json": json.dumps(entries).encode()}, "datasets")
    with pytest.raises(InvalidDataset, match=f"the examples.json of {OURS} is no list of films"):
        list_example_films(refresh=True)
    assert list_example_films() == ()


def test_a_list_without_end_is_refused(ours: Hub):
    add_ours(ours, *[entry()] * 51)
    with pytest.raises(InvalidDataset, match="lists 51 films, and 50 is the most offered"):
        list_example_films(refresh=True)


def test_what_is_no_film_is_refused_and_not_kept(ours: Hub):
    add_ours(ours, entry(), **{"films/a.png": b"<html>"})
    list_example_films(refresh=True)
    for _ in range(2):
        with pytest.raises(UnreadableImage):
            fetch_example_film("example-1")


def test_a_file_too_large_for_an_example_is_not_fetched(hub: Hub):
    hub.add(KERMANY, {VALIDATION: bytes(30_000_001)}, "datasets")
    with pytest.raises(HubError, match="has 30 MB, too much to fetch here"):
        fetch_example_film(NORMAL)
    assert not [request for request in hub.requests if "/resolve/" in request]


@pytest.mark.parametrize(
    "content",
    [b"PAR1 but no more", copy_of([("person1_virus_1.jpeg", 1, jpeg(9))]), copy_of([("a.jpeg", 7, jpeg(9))])],
    ids=["damaged", "no normal film", "other labels"],
)
def test_a_copy_that_changed_is_said(hub: Hub, content: bytes):
    hub.add(KERMANY, {VALIDATION: content}, "datasets")
    with pytest.raises(InvalidDataset, match="has changed"):
        fetch_example_film(NORMAL)


def test_a_copy_without_the_file_is_said(hub: Hub):
    hub.add(KERMANY, {"README.md": b"moved"}, "datasets")
    with pytest.raises(InvalidDataset, match=r"has no data/validation-\*"):
        fetch_example_film(NORMAL)


def test_a_film_that_arrives_damaged_is_not_kept(kermany: Hub):
    kermany.faults.corrupt = {VALIDATION}
    with pytest.raises(HubError, match="arrived damaged"):
        fetch_example_film(NORMAL)
    kermany.faults.corrupt = set()
    assert fetch_example_film(NORMAL).read_bytes() == jpeg(50)


def test_no_such_dataset_film_or_name(hub: Hub, monkeypatch):
    with pytest.raises(HubError, match=f"there is no dataset {KERMANY} on the Hub, or it is not public"):
        fetch_example_film(NORMAL)
    with pytest.raises(InvalidDataset, match="no public film 'mars'; there are: kermany-normal-1,"):
        fetch_example_film("mars")
    monkeypatch.setenv("CXR_EXAMPLES", "../films")
    with pytest.raises(InvalidDataset, match=r"CXR_EXAMPLES is '\.\./films', which names no dataset"):
        list_example_films()


def test_a_private_dataset_is_not_offered_with_the_hosts_token(ours: Hub):
    add_ours(ours, entry(), **{"films/a.png": jpeg(9)})
    ours.repos["datasets", OURS].private = True
    with pytest.raises(HubError, match="or it is not public"):
        list_example_films(refresh=True)


def test_a_hub_that_does_not_answer_is_said_in_time(kermany: Hub, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT_S", 1.0)
    kermany.faults.silent = 600  # longer than a test may take
    with pytest.raises(HubError, match="cannot be reached, or the line broke; the drawn films are here as ever"):
        fetch_example_film(NORMAL)


def test_a_cache_that_cannot_be_written_to_is_said(kermany: Hub, monkeypatch, tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    with pytest.raises(CxrError, match="set HF_HOME to a folder"):
        fetch_example_film(NORMAL)


def test_the_films_of_the_real_collection_are_read(kermany_dir: Path, hub: Hub):
    """Bytes as the collection has them, in the copy's layout."""
    chosen = [*sorted(kermany_dir.rglob("NORMAL/*.jpeg"))[:2], *sorted(kermany_dir.rglob("PNEUMONIA/*.jpeg"))[:2]]
    rows = [(path.name, int(path.parent.name == "PNEUMONIA"), path.read_bytes()) for path in chosen]
    hub.add(KERMANY, {VALIDATION: copy_of(rows)}, "datasets")
    for film, path in zip(list_example_films(), chosen, strict=True):
        fetched = cxrcore.read_radiograph(fetch_example_film(film.id))
        np.testing.assert_array_equal(fetched.pixels, cxrcore.read_radiograph(path).pixels)
