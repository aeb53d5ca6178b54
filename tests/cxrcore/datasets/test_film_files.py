"""Films in files, folders and zips; nothing of an archive reaches the disk, and a hostile one costs one sentence."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cxrcore.datasets import film_files
from cxrcore.datasets.film_files import MAX_ARCHIVE_FILES, find_film_files, image_names
from cxrcore.errors import CxrError, UnreadableImage
from tests.films import encoded

GREY = np.arange(64, dtype=np.uint8).reshape(8, 8)
FILM = encoded(GREY, "PNG")


def archive(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return path


def names(pairs) -> list[str]:
    return [path.rsplit("/", 1)[-1] for path, _ in pairs]


def test_a_folder_gives_its_films_and_names_the_rest(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("b.png", "a.JPG", "deep/c.dcm", ".hidden.png", "deep/.DS_Store"):
        (tmp_path / name).write_bytes(FILM)
    (tmp_path / "IM0001").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "1.2.840.5").write_bytes(bytes(128) + b"DICM")
    for name in ("notes.txt", "README"):
        (tmp_path / name).write_text("no film")
    found = find_film_files([str(tmp_path)])
    films = ["1.2.840.5", "IM0001", "a.JPG", "b.png", "deep/c.dcm"]
    assert [film.path for film in found.films] == [str(tmp_path / name) for name in films]
    assert names(found.skipped) == ["README", "notes.txt"]


def test_a_zip_gives_the_same_bytes_and_leaves_nothing_on_the_disk(tmp_path):
    made = archive(
        tmp_path / "films.ZIP", {"a/1.png": FILM, "b/2.png": FILM[::-1], "labels.csv": b"x", "inner.zip": b"x"}
    )
    found = find_film_files([str(made)])
    assert {film.path: film.content() for film in found.films} == {
        f"{made}/a/1.png": FILM,
        f"{made}/b/2.png": FILM[::-1],
    }
    assert names(found.skipped) == ["labels.csv", "inner.zip"]
    assert list(tmp_path.iterdir()) == [made]


def test_a_file_as_typed_is_taken_whatever_its_name(tmp_path):
    (film,) = find_film_files([str(tmp_path / "nothing.xyz")]).films
    assert film.content() == tmp_path / "nothing.xyz"


def test_paths_out_of_the_archive_and_links_are_skipped_by_name(tmp_path):
    made = tmp_path / "films.zip"
    link = zipfile.ZipInfo("link.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(made, "w") as file:
        for name in ("../../up.png", "/etc/root.png", "C:\\x\\disk.png", "good.png"):
            file.writestr(name, FILM)
        file.writestr(link, "/etc/passwd")
    found = find_film_files([str(made)])
    assert [film.path for film in found.films] == [f"{made}/good.png"]
    assert [why for _, why in found.skipped] == [*3 * ["its path leads out of the archive"], "a link"]


def test_a_zip_bomb_is_refused_before_anything_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(film_files, "_SMALL", 1_000_000)
    made = archive(tmp_path / "bomb.zip", {f"{n}.png": bytes(1_000_000) for n in range(3)})
    with pytest.raises(CxrError, match=r"'bomb\.zip' has 0\.0 MB and would unpack to"):
        find_film_files([str(made)])
    monkeypatch.setattr(film_files, "MAX_ARCHIVE_BYTES", 5)
    with pytest.raises(CxrError, match="not read"):
        find_film_files([str(archive(tmp_path / "large.zip", {"a.png": FILM}, zipfile.ZIP_STORED))])


def test_ten_thousand_files_are_one_sentence(tmp_path):
    made = archive(tmp_path / "many.zip", dict.fromkeys((f"{n}.png" for n in range(10_000)), b""), zipfile.ZIP_STORED)
    with pytest.raises(CxrError, match=f"10,000 files, and at most {MAX_ARCHIVE_FILES:,}"):
        find_film_files([str(made)])


def test_what_is_no_archive_is_one_sentence(tmp_path):
    (tmp_path / "not.zip").write_bytes(FILM)
    with pytest.raises(CxrError, match=r"'not\.zip' is damaged or no zip archive"):
        find_film_files([str(tmp_path / "not.zip")])


def patched(path: Path, where: bytes, offset: int, value: bytes) -> Path:
    """The archive with bytes of its last directory entry replaced."""
    content = bytearray(path.read_bytes())
    start = content.rindex(where) + offset
    content[start : start + len(value)] = value
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("offset", "value", "said"),
    [
        (8, struct.pack("<H", 1), "encrypted"),
        (24, struct.pack("<I", 10), "damaged within its archive"),  # more comes out than the directory says
        (24, struct.pack("<I", 900_000_000), "larger than 200 MB"),
        (16, struct.pack("<I", 7), "damaged within its archive"),  # another checksum
    ],
)
def test_one_bad_film_in_an_archive_is_named_and_the_others_are_read(tmp_path, offset, value, said):
    made = archive(tmp_path / "films.zip", {"good.png": FILM, "bad.png": FILM})
    good, bad = find_film_files([str(patched(made, b"PK\x01\x02", offset, value))]).films
    assert good.content() == FILM
    with pytest.raises(UnreadableImage, match=rf"'bad\.png' .*{said}"):
        bad.content()


def test_the_ratio_is_far_from_what_films_reach():
    """A black film of a hundred is no bomb: noise, as a film has it, does not shrink."""
    noise = np.random.default_rng(0).integers(0, 255, (256, 256), dtype=np.uint8)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("black.bmp", encoded(np.zeros((256, 256), np.uint8), "BMP"))
        file.writestr("film.bmp", encoded(noise, "BMP"))
    unpacked = sum(entry.file_size for entry in zipfile.ZipFile(buffer).infolist())
    assert unpacked < film_files.MAX_RATIO / 20 * len(buffer.getvalue())


def test_images_are_called_by_path_only_where_names_collide():
    assert image_names(["x/a/1.png", "x\\b\\1.png", "x/b/2.png"]) == ["x/a/1.png", "x\\b\\1.png", "2.png"]
