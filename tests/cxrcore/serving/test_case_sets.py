"""Which sets a link opens: drawn ones, those the server was started with, public films, the Hub; and nothing else."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from cxrcore.errors import CxrError, HubError, InvalidDataset
from cxrcore.serving.case_sets import CaseSets, open_case_sets, sources_from_environment
from tests.cxrcore.datasets.test_case_set import index, png, written
from tests.hub import Hub


def test_a_set_is_opened_by_the_name_of_its_file(tmp_path: Path) -> None:
    sets = open_case_sets([str(written(tmp_path / "week-1.zip", index()))])
    assert [entry for entry in sets.menu if entry["address"] == "week-1"] == [
        {"address": "week-1", "title": "Two films", "cases": 2}
    ]
    assert sets.case("week-1", 0).film.pixels.shape == (40, 60)
    assert sets.boxes("week-1", 0) == {"Pneumonia": ((0.1, 0.2, 0.5, 0.6),)}
    with pytest.raises(InvalidDataset, match="this set has 2 cases, and there is no case 3"):
        sets.case("week-1", 2)


def test_phantoms_are_opened_by_number_and_seed() -> None:
    sets = CaseSets()
    assert len(sets["phantoms-20-7"]) == 20
    assert sets["phantoms-3-7"].images == sets["phantoms-20-7"].images[:3]
    for count in (0, 201):
        with pytest.raises(InvalidDataset, match="a round has 1 to 200 phantoms"):
            sets[f"phantoms-{count}-7"]


@pytest.mark.parametrize("open_hub", [False, True])
def test_a_link_reads_no_file_and_no_other_host(tmp_path: Path, open_hub: bool) -> None:
    path = written(tmp_path / "secret.zip", index())
    sets = CaseSets({}, open_hub=open_hub)
    for address in (
        str(path), f"file://{path}", "../secret.zip", "secret", "http://10.0.0.1/a/b.zip", "user/../../x.zip", "",
        "user/set/../../x.zip", "C:\\x.zip", "user/set/.hidden.zip",
    ):  # fmt: skip
        with pytest.raises(InvalidDataset) as error:
            sets[address]
        assert "there is no set of cases" in str(error.value)
    if not open_hub:
        with pytest.raises(InvalidDataset, match="opens no sets from the Hugging Face Hub"):
            sets["user/dataset/set.zip"]


def test_a_set_on_the_hub_is_fetched_checked_and_read(hub: Hub, tmp_path: Path) -> None:
    content = written(tmp_path / "set.zip", index()).read_bytes()
    hub.add("teacher/sets", {"week 1/set.zip": content, "bad.zip": b"hello", "notes.txt": b"x"}, "datasets")
    sets = CaseSets(open_hub=True)
    for address in ("teacher/sets/week 1/set.zip", "hf://datasets/teacher/sets@main/week 1/set.zip"):
        assert sets[address].title == "Two films"
    with pytest.raises(InvalidDataset, match=r"bad\.zip is no zip file of a set"):
        sets["teacher/sets/bad.zip"]
    with pytest.raises(InvalidDataset, match=r"has no none\.zip"):
        sets["teacher/sets/none.zip"]
    with pytest.raises(HubError, match="there is no dataset teacher/others"):
        sets["teacher/others/set.zip"]
    closed = open_case_sets(["teacher/sets/week 1/set.zip"])
    assert closed["teacher/sets/week 1/set.zip"].title == "Two films"
    with pytest.raises(InvalidDataset, match="opens no sets"):
        closed["teacher/sets/bad.zip"]


def test_public_films_whose_label_is_known_make_a_set(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    films = [(f"person{n}_bacteria_{n}.jpeg", 1) for n in range(8)] + [
        (f"NORMAL2-IM-{n}-0001.jpeg", 0) for n in range(8)
    ]
    rows = [
        {"image": {"bytes": png(10 * n + 5), "path": name}, "label": label} for n, (name, label) in enumerate(films)
    ]
    buffer = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), buffer)
    place = "data/validation-00000-of-00001.parquet"
    hub.add("hf-vision/chest-xray-pneumonia", {place: buffer.getvalue()}, "datasets")
    chosen = CaseSets()["public"]
    assert (len(chosen), chosen.asked) == (16, ("Pneumonia",))
    assert chosen.targets.sum(axis=0).tolist() == [8, 8]
    assert 2 <= chosen.targets[:8, 1].sum() <= 6
    for row in (0, 15):
        grey = round(255 * float(chosen.open(row).film.pixels[0, 0]))
        assert (grey < 80) == (chosen.targets[row, 1] == 1)
    assert "CC BY 4.0" in chosen.note


def test_a_wrong_set_stops_the_server_with_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = written(tmp_path / "a.zip", index())
    (tmp_path / "b").mkdir()
    for sources, message in (
        ([str(tmp_path / "none.zip")], "there is no set of cases 'none.zip'"),
        ([str(first), str(written(tmp_path / "b" / "a.zip", index()))], "two sets of cases are called 'a'"),
        ([str(written(tmp_path / "public.zip", index()))], "are called 'public'"),
    ):
        with pytest.raises(CxrError, match=message):
            open_case_sets(sources)
    monkeypatch.setenv("CXR_CASES", f"{first}:teacher/sets/set.zip")
    assert sources_from_environment() == [str(first), "teacher/sets/set.zip"]
