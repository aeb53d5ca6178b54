"""The film cache: what it holds is what a fresh decoding gives, whoever wrote it and however often they were killed."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxrcore import storage
from cxrcore.datasets import cache as film_cache
from cxrcore.datasets.cache import DecodedFilms, cache_folder, open_films
from cxrcore.datasets.table import FilmTable
from cxrcore.errors import InvalidDataset, TrainingStopped
from cxrcore.films.preprocessing import Preprocessing
from cxrcore.films.radiograph import read_radiograph
from cxrcore.findings import PNEUMONIA2

SMALL = Preprocessing(12, 10)


def draw(folder: Path, count: int = 30, seed: int = 0) -> Path:
    """Noise films as BMP, whose size does not depend on what they show."""
    folder.mkdir(exist_ok=True)
    for n in range(count):
        pixels = np.random.default_rng((seed, n)).integers(0, 256, (20 + n % 3, 24), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{n:03d}.bmp")
    return folder


def table_of(folder: Path) -> FilmTable:
    paths = tuple(sorted(folder.iterdir()))
    names = tuple(path.name for path in paths)
    targets = np.zeros((len(paths), 2), np.float32)
    targets[:, 1] = np.arange(len(paths)) % 2
    return FilmTable("some films", PNEUMONIA2, paths, names, names, targets, (None,) * len(paths))


def is_right(decoded: DecodedFilms, preprocessing: Preprocessing = SMALL) -> bool:
    """Oracle: each film read and prepared by itself, compared bit for bit."""
    prepared = [preprocessing.prepare(read_radiograph(path).pixels) for path in decoded.table.paths]
    return np.array_equal(decoded.take(slice(None)), np.stack(prepared))


def entries(cache: Path) -> list[Path]:
    return sorted(path.parent for path in cache.rglob("films.json"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return draw(tmp_path / "dataset")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_films_are_decoded_once_and_mapped(folder, cache):
    seen = []

    def progress(items):
        for item in items:
            seen.append(item)
            yield item

    first = open_films(table_of(folder), SMALL, cache, progress)
    again = open_films(table_of(folder), SMALL, cache, progress)
    assert (first.fresh, again.fresh, len(seen)) == (True, False, 30)
    assert is_right(first)
    assert is_right(again)
    assert isinstance(again.pixels, np.memmap)
    assert again.pixels.dtype == np.uint16
    assert not again.pixels.flags.writeable
    some = np.array([7, 0, 7])
    assert np.array_equal(again.take(some), again.take(slice(None))[some])


def test_only_size_and_geometry_make_another_entry(folder, cache):
    table = table_of(folder)
    open_films(table, SMALL, cache)
    assert not open_films(table, Preprocessing(12, 10, 3, intensity="equalise", mean=0.4), cache).fresh
    for other in (Preprocessing(10, 12), Preprocessing(12, 10, geometry="letterbox")):
        decoded = open_films(table, other, cache)
        assert decoded.fresh
        assert is_right(decoded, other)
    assert not open_films(table, SMALL, cache).fresh


def test_a_part_of_a_dataset_in_any_order_is_served_from_the_whole(folder, cache):
    table = table_of(folder)
    part = table.select([20, 3, 11])
    assert open_films(part, SMALL, cache).fresh
    assert open_films(table, SMALL, cache).fresh
    assert len(entries(cache)) == 1  # the part is included now
    again = open_films(part, SMALL, cache)
    assert not again.fresh
    assert again.table.images == part.images
    assert is_right(again)


def test_a_copied_dataset_is_known_by_its_content(folder, cache):
    open_films(table_of(folder), SMALL, cache)
    moved = shutil.copytree(folder, folder.parent / "moved")  # keeps times, as rsync and unpacking do
    assert not open_films(table_of(moved), SMALL, cache).fresh


def test_a_changed_film_makes_the_entry_stale(folder, cache):
    before = open_films(table_of(folder), SMALL, cache)
    shutil.copy2(folder / "001.bmp", folder / "004.bmp")
    os.utime(folder / "004.bmp", ns=(1, 1))
    after = open_films(table_of(folder), SMALL, cache)
    assert after.fresh
    assert is_right(after)
    assert not np.array_equal(before.pixels[4], after.pixels[4])  # the old entry stays readable while it is mapped
    assert len(entries(cache)) == 1


def test_an_entry_that_a_fresh_decoding_contradicts_is_replaced(folder, cache):
    """As when a library reads films differently now: here other films of the same size and time."""
    open_films(table_of(folder), SMALL, cache)
    times = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    draw(folder, seed=1)
    for path, time in times.items():
        os.utime(path, ns=(time, time))
    decoded = open_films(table_of(folder), SMALL, cache)
    assert decoded.fresh
    assert is_right(decoded)
    assert len(entries(cache)) == 1


def test_unreadable_films_are_left_out_and_listed(tmp_path, cache):
    folder = draw(tmp_path / "dataset", 120)
    whole = (folder / "005.bmp").read_bytes()
    (folder / "005.bmp").write_bytes(whole[:100])
    for fresh in (True, False):
        decoded = open_films(table_of(folder), SMALL, cache)
        assert decoded.fresh is fresh
        assert len(decoded.table) == len(decoded.rows) == 119
        assert "005.bmp" not in decoded.table.images
        assert len(decoded.skipped) == 1
        assert decoded.skipped[0].startswith("005.bmp: '005.bmp' is")
        assert str(tmp_path) not in decoded.skipped[0]
        assert is_right(decoded)
    (folder / "005.bmp").write_bytes(whole)
    mended = open_films(table_of(folder), SMALL, cache)
    assert (len(mended.table), mended.skipped) == (120, ())
    assert is_right(mended)


def test_more_than_one_percent_unreadable_stops_and_keeps_nothing(folder, cache):
    (folder / "003.bmp").unlink()
    (folder / "003.png").write_text("no film")
    with pytest.raises(InvalidDataset, match=r"1 of 30 films cannot be read, first: 003\.png: "):
        open_films(table_of(folder), SMALL, cache)
    assert not entries(cache)
    assert not list(cache.rglob("*.part"))


def run(script: str, *arguments: object, **environment: str) -> subprocess.Popen:
    """A process of its own that sees this file's helpers."""
    start = "import os, signal, sys\nfrom pathlib import Path\nfrom tests.cxrcore.datasets.test_cache import *\n"
    command = [sys.executable, "-c", start + script, *map(str, arguments)]
    root = Path(__file__).resolve().parents[3]
    return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})


def test_a_killed_decoding_leaves_nothing_that_is_believed_and_goes_on(folder, cache, monkeypatch):
    killed = run(
        """
def kill(items):
    for n, item in enumerate(items):
        if n == 17:
            os.kill(os.getpid(), signal.SIGKILL)
        yield item
film_cache.SAVE_EVERY = 5
open_films(table_of(Path(sys.argv[1])), SMALL, Path(sys.argv[2]), kill)
""",
        folder,
        cache,
    )
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert not entries(cache)
    read = []
    monkeypatch.setattr(film_cache, "read_radiograph", lambda path: read.append(path.name) or read_radiograph(path))
    decoded = open_films(table_of(folder), SMALL, cache)
    assert sorted(read) == [f"{n:03d}.bmp" for n in range(15, 30)]
    assert decoded.fresh
    assert is_right(decoded)
    assert not list(cache.rglob("*.part"))


@pytest.mark.parametrize("damage", ["pixels.npy", "films.json", "rows"])
def test_a_damaged_entry_is_made_again(folder, cache, damage):
    open_films(table_of(folder), SMALL, cache)
    (entry,) = entries(cache)
    if damage == "rows":
        facts = json.loads((entry / "films.json").read_text())
        (entry / "films.json").write_text(json.dumps({**facts, "films": facts["films"][1:]}))
    else:
        path = entry / damage
        path.write_bytes(path.read_bytes()[:-10])
    decoded = open_films(table_of(folder), SMALL, cache)
    assert decoded.fresh
    assert is_right(decoded)
    assert not open_films(table_of(folder), SMALL, cache).fresh


def test_of_several_processes_one_decodes_and_all_see_the_same(tmp_path, cache):
    folder = draw(tmp_path / "dataset", 60)
    script = """
import hashlib, time
def slow(items):
    for item in items:
        time.sleep(0.01)
        yield item
decoded = open_films(table_of(Path(sys.argv[1])), SMALL, progress=slow)
print(decoded.fresh, hashlib.sha256(decoded.take(slice(None)).tobytes()).hexdigest(), "torch" in sys.modules)
"""
    racing = [run(script, folder, CXR_CACHE_DIR=str(cache)) for _ in range(3)]
    said = [process.communicate(timeout=60)[0].split() for process in racing]
    assert sorted(fresh for fresh, _, _ in said) == ["False", "False", "True"]
    assert len({digest for _, digest, _ in said}) == 1
    assert {torch for _, _, torch in said} == {"False"}
    assert len(entries(cache)) == 1


def test_the_decoder_is_only_a_few_films_ahead(tmp_path, cache, monkeypatch):
    folder = draw(tmp_path / "dataset", 200)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    read, ahead = [], []
    monkeypatch.setattr(film_cache, "read_radiograph", lambda path: read.append(path) or read_radiograph(path))

    def progress(items):
        for n, item in enumerate(items):
            ahead.append(len(read) - n)
            yield item

    open_films(table_of(folder), SMALL, cache, progress)
    assert max(ahead) <= 10


def test_too_small_a_disk_is_said_before_and_a_full_one_while_writing(folder, cache, monkeypatch):
    table = table_of(folder)
    with monkeypatch.context() as patch:
        patch.setattr(storage, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
        big = Preprocessing(1024, 1024)
        with pytest.raises(TrainingStopped, match=r"needs 63 MB and its disk has 1 kB left; CXR_CACHE_DIR"):
            open_films(table, big, cache)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(TrainingStopped, match=r"its disk is full.*CXR_CACHE_DIR"):
            open_films(table, SMALL, cache)
    assert not list(cache.rglob("*.npy"))
    assert open_films(table, SMALL, cache).fresh


def test_a_cache_that_cannot_be_written_is_one_sentence(folder, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(TrainingStopped, match="cannot be written") as caught:
        open_films(table_of(folder), SMALL, tmp_path / "file" / "films")
    assert str(tmp_path) not in str(caught.value)


def test_where_the_cache_lies(monkeypatch):
    monkeypatch.setenv("CXR_CACHE_DIR", "/somewhere")
    assert cache_folder() == Path("/somewhere/films")
    monkeypatch.delenv("CXR_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert cache_folder() == Path("/cache/cxrcore/films")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache/cxrcore/films"


def test_real_films_come_out_of_the_cache_bit_for_bit(nih_films, cache):
    names = tuple(path.name for path in nih_films[:4])
    table = FilmTable("nih", PNEUMONIA2, tuple(nih_films[:4]), names, names, np.zeros((4, 2), np.float32), (None,) * 4)
    preprocessing = Preprocessing(64, 48, geometry="letterbox")
    for _ in range(2):
        assert is_right(open_films(table, preprocessing, cache), preprocessing)
