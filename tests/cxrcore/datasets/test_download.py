"""Fetching a collection: the real client against a localhost hub that holds small archives in the public layout."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections import Counter, namedtuple
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from cxrcore import storage
from cxrcore.datasets.download import get_dataset
from cxrcore.datasets.kermany import read_kermany
from cxrcore.datasets.nih import read_nih
from cxrcore.datasets.phantoms import read_phantoms
from cxrcore.datasets.public_copies import COPIES
from cxrcore.errors import InvalidDataset
from tests.hub import Hub

NIH, KERMANY = COPIES["nih"].repo, COPIES["kermany"].repo


def film(seed: int, side: int = 24, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, kind, **({"compress_level": 0} if kind == "PNG" else {}))
    return buffer.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def nih_films() -> dict[str, bytes]:
    """Sixty patients of one to four films, in order of name, as NIH has them."""
    names = [f"{patient:08d}_{n:03d}.png" for patient in range(1, 61) for n in range(1 + patient % 4)]
    return {name: film(i) for i, name in enumerate(names)}


def nih_copy(films: dict[str, bytes], archives: int = 4) -> dict[str, bytes]:
    rows = ["Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"]
    rows += [f"{name},{'Mass' if i % 3 else 'No Finding'},0,{int(name[:8])},58,F,PA" for i, name in enumerate(films)]
    files = {
        "README.md": b"# NIH",
        "data/Data_Entry_2017_v2020.csv": "\n".join(rows).encode(),
        "data/train_val_list.txt": "\n".join(name for name in films if name < "00000050").encode(),
        "data/test_list.txt": "\n".join(name for name in films if name >= "00000050").encode(),
        "data/BBox_List_2017.csv": b"Image Index,Finding Label,Bbox [x,y,w,h],,,\n",
    }
    for i, part in enumerate(np.array_split(list(films), archives)):
        members = {f"images/{name}": films[name] for name in part} | {"__MACOSX/._x.png": b"junk"}
        files[f"data/images/images_{i + 1:03d}.zip"] = zipped(members)
    return files


def kermany_copy() -> dict[str, bytes]:
    """The rows a public copy has: image {bytes, path} and label, a few shards for train and one for the rest."""

    def rows(split: str, count: int, at: int) -> list[dict]:
        normal = [(f"IM-{at + i:04d}-0001.jpeg", 0) for i in range(count // 4)]
        sick = [(f"person{at + i // 2}_{'virus' if i % 3 else 'bacteria'}_{i}.jpeg", 1) for i in range(count * 3 // 4)]
        return [
            {"image": {"bytes": film(at + i, kind="JPEG"), "path": name}, "label": label}
            for i, (name, label) in enumerate(normal + sick)
        ]

    shards = {"train-00000-of-00002": rows("train", 40, 100), "train-00001-of-00002": rows("train", 24, 200)}
    shards |= {"validation-00000-of-00001": rows("val", 4, 300), "test-00000-of-00001": rows("test", 12, 400)}
    files = {}
    for name, content in shards.items():
        buffer = io.BytesIO()
        parquet.write_table(pa.Table.from_pylist(content), buffer, row_group_size=10)
        files[f"data/{name}.parquet"] = buffer.getvalue()
    return files


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch):
    with Hub() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def placed(folder: Path) -> dict[str, bytes]:
    """Every film under the folder by its place."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.suffix in (".png", ".jpeg")
    }


def fetched(hub: Hub) -> Counter:
    """How often each file's content was asked for."""
    return Counter(line.split()[1].split("/")[-1] for line in hub.requests if line.startswith("GET /datasets/"))


def test_nih_arrives_whole_and_in_its_official_layout(hub: Hub, tmp_path: Path) -> None:
    said: list[str] = []
    films = nih_films()
    copy = nih_copy(films)
    sha = hub.add(NIH, copy, "datasets")
    get_dataset("nih", tmp_path / "nih", say=said.append)
    there = placed(tmp_path / "nih")
    assert {place.split("/")[-1]: content for place, content in there.items()} == films
    assert {place.rsplit("/", 1)[0] for place in there} == {f"images_00{i}/images" for i in (1, 2, 3, 4)}
    entry = tmp_path / "nih" / "Data_Entry_2017_v2020.csv"
    assert entry.read_bytes() == copy["data/Data_Entry_2017_v2020.csv"]
    assert {p.name for p in (tmp_path / "nih").iterdir() if p.is_file()} == {
        "Data_Entry_2017_v2020.csv", "train_val_list.txt", "test_list.txt", "BBox_List_2017.csv", "download.json",
    }  # fmt: skip
    assert json.loads((tmp_path / "nih" / "download.json").read_text())["revision"] == sha
    assert not list(tmp_path.rglob("*.zip"))
    table = read_nih(tmp_path / "nih")
    assert len(table) == len(films)
    assert table.splits.count("test") == sum(name >= "00000050" for name in films)
    assert "4 archives" in said[0]
    assert f"{len(films)} films of 60 patients" in said[-2]


def test_a_second_call_fetches_only_what_is_gone(hub: Hub, tmp_path: Path) -> None:
    hub.add(NIH, nih_copy(nih_films()), "datasets")
    get_dataset("nih", tmp_path, say=str, keep_archives=False)
    said: list[str] = []
    before = placed(tmp_path)
    hub.requests.clear()
    hub.faults.down = True
    get_dataset("nih", tmp_path, say=said.append)
    assert hub.requests == []
    assert "already" in said[0]
    hub.faults.down = False
    next((tmp_path / "images_002" / "images").glob("*.png")).unlink()
    get_dataset("nih", tmp_path, say=str)
    assert fetched(hub) == {"images_002.zip": 1}
    assert placed(tmp_path) == before


def test_archives_stay_when_asked(hub: Hub, tmp_path: Path) -> None:
    copy = nih_copy(nih_films(), archives=2)
    hub.add(NIH, copy, "datasets")
    get_dataset("nih", tmp_path, say=str, keep_archives=True)
    assert {p.name: p.read_bytes() for p in tmp_path.rglob("*.zip")} == {
        f"images_00{i}.zip": copy[f"data/images/images_00{i}.zip"] for i in (1, 2)
    }


def test_kermany_becomes_folders_its_reader_knows(hub: Hub, tmp_path: Path) -> None:
    copy = kermany_copy()
    hub.add(KERMANY, copy, "datasets")
    get_dataset("kermany", tmp_path, say=str)
    rows = [row for data in copy.values() for row in parquet.read_table(io.BytesIO(data)).to_pylist()]
    assert Counter(placed(tmp_path).values()) == Counter(row["image"]["bytes"] for row in rows)
    table = read_kermany(tmp_path)
    assert len(table) == len(rows)
    assert table.targets[:, 1].sum() == sum(row["label"] for row in rows)
    assert table.splits.count("test") == 12
    assert len(list((tmp_path / "chest_xray" / "val" / "NORMAL").iterdir())) == 1


def test_a_killed_download_goes_on_where_it_was(hub: Hub, tmp_path: Path) -> None:
    films = {f"{i:08d}_000.png": film(i, side=2048) for i in range(1, 6)}  # 4 MB each; the client writes 10 MB pieces
    hub.add(NIH, nih_copy(films, archives=1), "datasets")
    hub.faults.stall_after = 12_000_000
    code = "import sys, pathlib, cxrcore.datasets.download as d; d.get_dataset('nih', pathlib.Path(sys.argv[1]))"
    client = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "nih")],
        env=os.environ | hub.environment(tmp_path / "home"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not any(p.stat().st_size >= 10_000_000 for p in tmp_path.rglob("*.part")):
            assert client.poll() is None
            time.sleep(0.05)
    finally:
        client.send_signal(signal.SIGKILL)
        client.wait()
    assert not placed(tmp_path / "nih")
    hub.faults.stall_after = 0
    hub.requests.clear()
    get_dataset("nih", tmp_path / "nih", say=str)
    assert {place.split("/")[-1]: content for place, content in placed(tmp_path / "nih").items()} == films
    assert [line for line in hub.requests if line.startswith("GET") and line.endswith("bytes=10485760-")]
    assert fetched(hub)["Data_Entry_2017_v2020.csv"] == 0


def test_a_film_half_unpacked_is_no_film(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add(NIH, nih_copy(nih_films()), "datasets")
    calls, replace = [], os.replace

    def fail_at_tenth(source, target) -> None:
        if str(target).endswith(".png"):
            calls.append(target)
        if len(calls) == 10:
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("cxrcore.datasets.download.os.replace", fail_at_tenth)
        with pytest.raises(KeyboardInterrupt):
            get_dataset("nih", tmp_path, say=str)
    early = {place: (tmp_path / place).stat().st_mtime_ns for place in placed(tmp_path)}
    assert len(early) == 9
    get_dataset("nih", tmp_path, say=str)
    assert {place.split("/")[-1]: content for place, content in placed(tmp_path).items()} == nih_films()
    assert early == {place: (tmp_path / place).stat().st_mtime_ns for place in early}
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("path", ["data/images/images_002.zip", "data/test_list.txt", "data/train_val_list.txt"])
def test_a_corrupted_file_of_the_same_size_is_refused(hub: Hub, tmp_path: Path, path: str) -> None:
    hub.add(NIH, nih_copy(nih_films()), "datasets")
    hub.faults.corrupt = {path}
    name = path.split("/")[-1]
    with pytest.raises(InvalidDataset, match=f"{name} arrived damaged.*deleted.*again"):
        get_dataset("nih", tmp_path, say=str)
    assert not list(tmp_path.rglob(name))
    assert not (tmp_path / "images_002").exists()
    hub.faults.corrupt = set()
    get_dataset("nih", tmp_path, say=str)
    assert len(placed(tmp_path)) == len(nih_films())


def test_a_subset_is_whole_patients_the_same_ones_every_time(hub: Hub, tmp_path: Path) -> None:
    films = nih_films()
    hub.add(NIH, nih_copy(films), "datasets")
    said: list[str] = []
    get_dataset("nih", tmp_path / "a", subset=20, say=said.append)
    archives = {name for name in fetched(hub) if name.endswith(".zip")}
    get_dataset("nih", tmp_path / "b", subset=20, say=str)
    kept = placed(tmp_path / "a")
    assert kept == placed(tmp_path / "b")
    assert 17 <= len(kept) <= 20  # patients have up to four films, and none is cut
    assert len(archives) == 1
    everyone = Counter(name[:8] for name in films)
    chosen = Counter(place.split("/")[-1][:8] for place in kept)
    assert all(everyone[patient] == count for patient, count in chosen.items())
    assert len(read_nih(tmp_path / "a")) == len(kept)
    assert any(f"keeping {len(kept)} films of whole patients (1 of the archives" in line for line in said)
    assert not list(tmp_path.rglob("*.zip"))


def test_a_subset_folder_grows_into_the_whole_but_not_into_another_subset(hub: Hub, tmp_path: Path) -> None:
    hub.add(NIH, nih_copy(nih_films()), "datasets")
    hub.add(KERMANY, kermany_copy(), "datasets")
    get_dataset("nih", tmp_path, subset=9, say=str)
    with pytest.raises(InvalidDataset, match="made for 9 of the nih films; give another --out"):
        get_dataset("nih", tmp_path, subset=12, say=str)
    with pytest.raises(InvalidDataset, match="another collection"):
        get_dataset("kermany", tmp_path, say=str)
    get_dataset("nih", tmp_path, say=str)
    assert len(placed(tmp_path)) == len(nih_films())
    with pytest.raises(InvalidDataset, match="whole nih collection"):
        get_dataset("nih", tmp_path, subset=9, say=str)


def test_a_subset_cut_short_is_finished_to_the_same_films(hub: Hub, tmp_path: Path) -> None:
    hub.add(NIH, nih_copy(nih_films()), "datasets")
    get_dataset("nih", tmp_path / "whole", subset=60, say=str)

    def stop(line: str) -> None:
        if line.startswith("images_"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get_dataset("nih", tmp_path / "cut", subset=60, say=stop)
    with pytest.raises(InvalidDataset, match="made for 60"):
        get_dataset("nih", tmp_path / "cut", subset=30, say=str)
    hub.requests.clear()
    get_dataset("nih", tmp_path / "cut", subset=60, say=str)
    assert placed(tmp_path / "cut") == placed(tmp_path / "whole")
    assert not fetched(hub)


def test_a_large_subset_takes_more_archives_and_a_larger_one_everything(hub: Hub, tmp_path: Path) -> None:
    hub.add(NIH, nih_copy(nih_films()), "datasets")
    said: list[str] = []
    get_dataset("nih", tmp_path / "many", subset=70, say=str)
    get_dataset("nih", tmp_path / "all", subset=10_000, say=said.append)
    assert 68 <= len(placed(tmp_path / "many")) <= 70
    assert len(placed(tmp_path / "all")) == len(nih_films())
    assert any("keeping 150 films of whole patients (all there are)" in line for line in said)


def test_a_kermany_subset_has_both_classes_in_proportion(hub: Hub, tmp_path: Path) -> None:
    hub.add(KERMANY, kermany_copy(), "datasets")
    get_dataset("kermany", tmp_path, subset=16, say=str)
    table = read_kermany(tmp_path)
    assert 14 <= len(table) <= 16
    assert 3 <= table.targets[:, 0].sum() <= 5


def test_an_unreachable_hub_is_said_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed, socket.socket() as silent:
        closed.bind(("127.0.0.1", 0))
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        for sock in (closed, silent):  # the silent one never answers
            monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{sock.getsockname()[1]}")
            monkeypatch.setattr("cxrcore.datasets.download.HUB_PATIENCE_S", 1.0)
            with pytest.raises(InvalidDataset, match=r"could not be reached.*again"):
                get_dataset("nih", tmp_path, say=str)


def test_what_the_hub_answers_is_one_sentence(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(InvalidDataset, match="no public copy alkzar90/NIH-Chest-X-ray-dataset; https://nihcc"):
        get_dataset("nih", tmp_path, say=str)
    hub.add(NIH, {"README.md": b"moved"}, "datasets")
    with pytest.raises(InvalidDataset, match=r"has changed: no data/Data_Entry_2017_v2020.csv.*images_001.zip"):
        get_dataset("nih", tmp_path, say=str)
    hub.faults.down = True
    with pytest.raises(InvalidDataset, match="answered 503"):
        get_dataset("nih", tmp_path, say=str)


@pytest.mark.parametrize(
    ("member", "content", "message"),
    [
        ("../../00000001_000.png", film(1), "would leave the folder"),
        ("/tmp/00000001_000.png", film(1), "would leave the folder"),
        ("images/00000001_000.png", bytes(40_000_000), "claims to unpack to 40 MB"),
        ("images/00000001_000.png", bytes(100_000_001), "holds a film of 100 MB"),
        ("images/notes.txt", b"none", "holds no films"),
    ],
)
def test_a_hostile_archive_is_not_unpacked(hub: Hub, tmp_path: Path, member: str, content: bytes, message: str) -> None:
    copy = nih_copy({"00000001_000.png": film(1)}, archives=1)
    hub.add(NIH, copy | {"data/images/images_001.zip": zipped({member: content})}, "datasets")
    with pytest.raises(InvalidDataset, match=message):
        get_dataset("nih", tmp_path / "nih", say=str)
    assert not list(tmp_path.rglob("*.png"))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": [{"bytes": b"x", "path": None}], "label": [0]}, "without a file name or class"),
        ({"image": [{"bytes": b"x", "path": "IM-1.jpeg"}], "label": [7]}, "without a file name or class"),
        ({"picture": [b"x"], "label": [0]}, "without a file name or class"),
        (None, "archive of the public copy of kermany is damaged; https://doi.org"),
    ],
)
def test_a_copy_that_changed_its_rows_is_refused(hub: Hub, tmp_path: Path, columns: dict | None, message: str) -> None:
    buffer = io.BytesIO(b"not parquet")
    if columns:
        parquet.write_table(pa.table(columns), buffer)
    hub.add(KERMANY, {"data/train-00000-of-00001.parquet": buffer.getvalue()}, "datasets")
    with pytest.raises(InvalidDataset, match=message):
        get_dataset("kermany", tmp_path, say=str)
    assert not placed(tmp_path)


def test_too_little_room_is_said_before_and_during(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add(NIH, nih_copy(nih_films()), "datasets")
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patch:
        patch.setattr(storage, "disk_usage", lambda _: usage(10_000, 9_000, 1_000))
        with pytest.raises(InvalidDataset, match=r"needs about .* 1 kB are free.*--subset"):
            get_dataset("nih", tmp_path, say=str)
    assert not any(name.endswith(".zip") for name in fetched(hub))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cxrcore.datasets.download.write_bytes", full)
    with pytest.raises(InvalidDataset, match=r"the disk is full.*again"):
        get_dataset("nih", tmp_path, say=str)


def test_names_and_places_are_checked_first(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataset, match="did you mean 'kermany'"):
        get_dataset("Kermani", tmp_path)
    with pytest.raises(InvalidDataset, match="there are: nih, kermany, tb, phantom"):
        get_dataset("mnist", tmp_path)
    with pytest.raises(InvalidDataset, match="above 0"):
        get_dataset("nih", tmp_path, subset=-1)
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InvalidDataset, match=f"cannot write into '{out.name}'"):
            get_dataset("nih", out)


def test_tb_is_explained_and_nothing_is_written(tmp_path: Path) -> None:
    said: list[str] = []
    get_dataset("tb", tmp_path / "tb", say=said.append)
    assert "kaggle.com" in said[0]
    assert f"cxr data check {tmp_path / 'tb'}" in said[0]
    assert not (tmp_path / "tb").exists()


def test_phantoms_are_drawn_without_a_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    get_dataset("phantom", tmp_path, subset=3, say=str)
    assert len(read_phantoms(tmp_path)) == 3


def test_a_line_that_breaks_for_good_is_said_and_what_came_is_kept(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)  # between the client's retries
    hub.add(NIH, nih_copy(nih_films()), "datasets")
    hub.faults.drops, hub.faults.drop_after = 100, 20_000  # tables are shorter, archives longer
    with pytest.raises(InvalidDataset, match=r"the line broke; what is here already is kept"):
        get_dataset("nih", tmp_path, say=str)
    hub.faults.drops = 0
    hub.requests.clear()
    get_dataset("nih", tmp_path, say=str)
    assert len(placed(tmp_path)) == len(nih_films())
    assert sum(fetched(hub).values()) == 4
