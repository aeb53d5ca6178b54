"""Reading films from pictures. Oracle: Pillow's own decoding, and the array that was saved."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from cxrcore.errors import UnreadableImage
from cxrcore.films import radiograph as images
from cxrcore.films.radiograph import COLOUR_WARNING, Radiograph, read_radiograph
from cxrcore.films.windowing import Window, apply_window
from tests.films import chest, encoded, png_of_size

FILM = chest()
GREY = FILM / np.float32(255)


@pytest.mark.parametrize(
    ("kind", "options", "encoding"),
    [
        ("PNG", {}, "PNG"),
        ("BMP", {}, "BMP"),
        ("TIFF", {}, "TIFF"),
        ("TIFF", {"compression": "tiff_lzw"}, "TIFF"),
        ("TIFF", {"compression": "tiff_deflate"}, "TIFF"),
        ("WEBP", {"lossless": True}, "WebP"),
    ],
)
def test_lossless_formats_give_the_saved_values(kind: str, options: dict, encoding: str) -> None:
    film = read_radiograph(encoded(FILM, kind, **options))
    np.testing.assert_array_equal(film.pixels, GREY)
    assert (film.encoding, film.bits, film.bits_stored, film.warnings) == (encoding, 8, 8, ())
    assert film.pixels.dtype == np.float32
    assert not film.pixels.flags.writeable


def test_jpeg_equals_pillow() -> None:
    data = encoded(FILM, "JPEG", quality=90)
    film = read_radiograph(data)
    np.testing.assert_array_equal(film.pixels, np.asarray(Image.open(io.BytesIO(data))) / np.float32(255))
    assert film.encoding == "JPEG"


def test_path_bytes_and_file_object_agree_whatever_the_extension(tmp_path: Path) -> None:
    path = tmp_path / "film.dcm"
    path.write_bytes(encoded(FILM, "PNG"))
    with path.open("rb") as file:
        films = [
            read_radiograph(path),
            read_radiograph(str(path)),
            read_radiograph(path.read_bytes()),
            read_radiograph(file),
        ]
    assert [film.name for film in films] == ["film.dcm", "film.dcm", None, None]
    assert all((film.pixels == GREY).all() for film in films)
    assert read_radiograph(path, name="my film").name == "my film"


@pytest.mark.parametrize(
    ("values", "bits"),
    [
        (FILM.astype(np.uint16), 8),  # 8-bit values as they are
        (FILM.astype(np.uint16) << 8, 8),  # shifted up
        (FILM.astype(np.uint16) << 4, 8),
        (FILM.astype(np.uint16) * 257, 8),  # widened
    ],
)
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_copies_of_an_8_bit_film_are_that_film(values: np.ndarray, bits: int, kind: str) -> None:
    film = read_radiograph(encoded(values, kind))
    np.testing.assert_allclose(film.pixels, GREY, atol=1e-6)
    assert (film.bits, film.bits_stored) == (bits, 16)


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_deep_films_keep_their_depth_and_agree_with_8_bits(bits: int, kind: str) -> None:
    deep = chest(bits)
    film = read_radiograph(encoded(deep, kind))
    np.testing.assert_allclose(film.pixels, deep / (2**bits - 1), atol=1e-6)
    assert (film.bits, film.bits_stored, film.warnings) == (bits, 16, ())
    shallow = read_radiograph(encoded((deep >> (bits - 8)).astype(np.uint8), kind))
    np.testing.assert_allclose(film.pixels, shallow.pixels, atol=1 / 255)


def test_big_endian_tiff() -> None:
    film = read_radiograph(encoded(chest(16).astype(">u2"), "TIFF"))
    np.testing.assert_allclose(film.pixels, chest(16) / 65535, atol=1e-6)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "CMYK", "P"])
def test_grey_in_other_modes_is_the_grey_film_without_a_warning(mode: str) -> None:
    image = Image.fromarray(FILM).convert(mode)
    film = read_radiograph(encoded(image, "TIFF" if mode == "CMYK" else "PNG"))
    np.testing.assert_allclose(film.pixels, GREY, atol=1e-6)
    assert film.warnings == ()


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparency_lies_on_black(mode: str) -> None:
    image = Image.fromarray(FILM).convert(mode)
    half = np.full(FILM.shape, 255, np.uint8)
    half[:100] = 51
    image.putalpha(Image.fromarray(half))
    np.testing.assert_allclose(read_radiograph(encoded(image, "PNG")).pixels, GREY * (half / 255), atol=1e-6)


def test_transparent_grey_level_becomes_black() -> None:
    film = read_radiograph(encoded(FILM, "PNG", transparency=200))
    np.testing.assert_allclose(film.pixels, np.where(FILM == 200, 0, GREY), atol=1e-6)


def test_one_bit_film_is_read_and_warned_about() -> None:
    film = read_radiograph(encoded(Image.fromarray(FILM).convert("1"), "PNG"))
    assert set(np.unique(film.pixels)) == {0, 1}
    assert film.bits == film.bits_stored == 1
    assert any("2 shades" in sentence for sentence in film.warnings)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_exif_orientation_is_applied_once(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    corner = np.zeros((240, 320), np.uint8)
    corner[:40, :60] = 255
    film = read_radiograph(encoded(corner, kind, exif=exif))
    top, left = {1: (1, 1), 2: (1, 0), 3: (0, 0), 4: (0, 1), 5: (1, 1), 6: (1, 0), 7: (0, 0), 8: (0, 1)}[orientation]
    assert film.pixels.shape == ((240, 320) if orientation < 5 else (320, 240))
    bright = film.pixels[0 if top else -1, 0 if left else -1]
    assert bright > 0.9
    assert film.pixels.mean() < 0.1


@pytest.mark.parametrize("values", [FILM, chest(16), chest(16).astype(np.float32) / np.float32(65535)])
def test_tiff_with_white_as_zero_is_turned_round(values: np.ndarray) -> None:
    white = 65535 if values.dtype == np.uint16 else 1
    negative = (
        values if values.dtype == np.uint8 else (white - values).astype(values.dtype)
    )  # Pillow turns 8 bits itself
    film = read_radiograph(encoded(negative, "TIFF", tiffinfo={262: 0}))
    plain = read_radiograph(encoded(values, "TIFF"))
    np.testing.assert_allclose(film.pixels, plain.pixels, atol=1e-6)


def test_float_tiff_in_unit_range_is_kept_and_any_other_is_stretched() -> None:
    kept = read_radiograph(encoded(GREY * np.float32(0.5), "TIFF"))
    np.testing.assert_array_equal(kept.pixels, GREY * np.float32(0.5))
    assert kept.warnings == ()
    stretched = read_radiograph(encoded(GREY * np.float32(900) - np.float32(300), "TIFF"))
    np.testing.assert_allclose(stretched.pixels, GREY, atol=1e-6)
    assert any("darkest and brightest" in sentence for sentence in stretched.warnings)


@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f2", ">u4"])
def test_tiffs_that_pillow_does_not_know(dtype: str) -> None:
    values = (chest(16) if "u" in dtype else GREY).astype(dtype)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, byteorder=">" if dtype[0] == ">" else "<")
    expected = values / 65535 if "u" in dtype else GREY
    np.testing.assert_allclose(read_radiograph(buffer.getvalue()).pixels, expected, atol=5e-4)


def test_16_bit_colour_tiff_of_a_grey_film() -> None:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.stack([chest(16)] * 3, -1), photometric="rgb", compression="zlib")
    film = read_radiograph(buffer.getvalue())
    np.testing.assert_allclose(film.pixels, chest(16) / 65535, atol=1 / 255)
    assert COLOUR_WARNING not in film.warnings


def test_rare_tiffs_that_unpack_to_more_than_they_hold_are_refused() -> None:
    for options in ({"compression": "zlib"}, {"tile": (64, 64)}):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, np.zeros((9000, 200)), **options)
        with pytest.raises(UnreadableImage, match="TIFF too large or of a kind"):
            read_radiograph(buffer.getvalue())


def test_damaged_floats_become_black() -> None:
    values = GREY.copy()
    values[:50] = np.nan
    film = read_radiograph(encoded(values, "TIFF"))
    assert np.isfinite(film.pixels).all()
    assert (film.pixels[:50] == 0).all()


def test_first_page_of_a_tiff_is_read_and_said() -> None:
    other = Image.fromarray(255 - FILM)
    film = read_radiograph(encoded(FILM, "TIFF", save_all=True, append_images=[other]))
    np.testing.assert_array_equal(film.pixels, GREY)
    assert film.warnings == ("The file has several pages; only the first is read.",)


def colour_photo() -> Image.Image:
    y, x = np.mgrid[0:240, 0:320]
    return Image.fromarray(np.stack([x % 256, y % 256, (x * y) % 256], -1).astype(np.uint8))


def test_colour_photo_is_read_with_a_warning_and_equals_pillow_grey() -> None:
    film = read_radiograph(encoded(colour_photo(), "PNG"))
    assert COLOUR_WARNING in film.warnings
    np.testing.assert_allclose(film.pixels, np.asarray(colour_photo().convert("L")) / 255, atol=1e-6)


@pytest.mark.parametrize("quality", [20, 50, 95])
def test_jpeg_noise_and_a_small_coloured_marker_are_not_colour(quality: int) -> None:
    rgb = np.stack([FILM] * 3, -1)
    rgb[5:35, 5:25] = (255, 0, 0)
    assert COLOUR_WARNING not in read_radiograph(encoded(rgb, "JPEG", quality=quality)).warnings


def test_deep_colour_is_read_at_8_bits_and_said() -> None:
    cv2 = pytest.importorskip("cv2")  # Pillow writes no 16-bit colour
    deep = chest(16)
    data = cv2.imencode(".png", np.stack([deep] * 3, -1))[1].tobytes()
    film = read_radiograph(data)
    np.testing.assert_allclose(film.pixels, deep / 65535, atol=1 / 255)
    assert (film.bits, film.bits_stored) == (8, 16)
    assert any("16-bit colour" in sentence for sentence in film.warnings)


def test_tiny_films_are_no_trouble() -> None:
    assert read_radiograph(encoded(np.zeros((1, 1), np.uint8), "PNG")).pixels.shape == (1, 1)


# --- errors -------------------------------------------------------------------------------------------------------


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("film.png", encoded(FILM, "PNG"))
    return buffer.getvalue()


PNG, JPEG = encoded(FILM, "PNG"), encoded(FILM, "JPEG")
BAD = {
    "zero bytes": (b"", "is empty"),
    "truncated png": (PNG[: len(PNG) // 2], "cut short"),
    "png header only": (PNG[:20], "damaged"),
    "png signature only": (PNG[:8], "damaged"),
    "corrupt png": (PNG[:200] + bytes(100) + PNG[300:], "damaged"),
    "truncated jpeg": (JPEG[: len(JPEG) // 2], "cut short"),
    "truncated tiff": (encoded(FILM, "TIFF")[:5000], "cut short|damaged"),
    "truncated bmp": (encoded(FILM, "BMP")[:5000], "cut short"),
    "truncated webp": (encoded(FILM, "WEBP")[:1000], "cut short|damaged"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "PDF"),
    "text": (b"patient,finding\n1,Pneumonia\n", "text"),
    "html": (b"\n<!doctype html><html><body>404</body></html>", "web page"),
    "zip": (zipped(), "archive"),
    "video": (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "video"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
    "gif": (encoded(FILM, "GIF"), "GIF"),
    "noise": (bytes(range(1, 256)) * 10, "not an image"),
    "png bomb": (png_of_size(30_000, 30_000), "80 million pixels"),
    "png just over": (png_of_size(9_001, 9_000), "80 million pixels"),
    "animation": (encoded(FILM, "WEBP", save_all=True, append_images=[Image.fromarray(255 - FILM)]), "animation"),
    "apng": (encoded(FILM, "PNG", save_all=True, append_images=[Image.fromarray(255 - FILM)]), "animation"),
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("case", BAD)
def test_bad_files_get_one_calm_sentence(case: str, tmp_path: Path) -> None:
    data, word = BAD[case]
    path = tmp_path / "film.png"
    path.write_bytes(data)
    for source, called in ((path, "'film.png'"), (data, "The file"), (io.BytesIO(data), "The file")):
        with pytest.raises(UnreadableImage, match=word) as caught:
            read_radiograph(source)
        message = str(caught.value)
        assert message.startswith(called)
        assert message.endswith(".")
        assert "\n" not in message
        assert str(tmp_path) not in message
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_only_the_last_part_of_a_name_is_said() -> None:
    for name in ("/srv/uploads/7f/film.png", r"C:\Users\Otto\film.png"):
        with pytest.raises(UnreadableImage, match=r"^'film\.png' is empty") as caught:
            read_radiograph(b"", name=name)
        assert "uploads" not in str(caught.value)
        assert "Otto" not in str(caught.value)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match=r"^'none\.png' was not found\.$"):
        read_radiograph(tmp_path / "none.png")
    with pytest.raises(UnreadableImage, match="could not be opened"):
        read_radiograph(tmp_path)


def test_large_files_are_refused_before_decoding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(images, "MAX_BYTES", 10_000_000)
    (tmp_path / "big.png").write_bytes(bytes(10_000_001))
    with pytest.raises(UnreadableImage, match="larger than 10 MB"):
        read_radiograph(tmp_path / "big.png")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP"])
def test_damage_anywhere_ends_in_a_film_or_the_calm_sentence(kind: str) -> None:
    whole = encoded(FILM, kind)
    rng = np.random.default_rng(1)
    for _ in range(40):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), 3):
            data[at] = rng.integers(256)
        try:
            film = read_radiograph(bytes(data[: rng.integers(len(data) // 2, len(data) + 1)]))
        except UnreadableImage:
            continue
        assert 0 <= film.pixels.min() <= film.pixels.max() <= 1


# --- the record ---------------------------------------------------------------------------------------------------


def test_a_window_over_a_picture_stretches_its_grey_values() -> None:
    film = read_radiograph(encoded(FILM, "PNG"))
    narrow, whole = Window(0.5, 0.2, "LINEAR_EXACT"), Window(0.5, 1, "LINEAR_EXACT")
    np.testing.assert_allclose(apply_window(film.pixels, narrow), np.clip((GREY - 0.4) / 0.2, 0, 1), atol=1e-5)
    np.testing.assert_allclose(apply_window(film.pixels, whole), GREY, atol=1e-6)
    with pytest.raises(ValueError, match="width"):
        Window(0.5, 0, "LINEAR_EXACT")


def test_radiograph_is_read_only_and_leaves_the_callers_array_alone() -> None:
    mine = np.zeros((3, 3), np.float32)
    film = Radiograph(mine, 8, 8, "PNG")
    with pytest.raises(ValueError, match="read-only"):
        film.pixels[0, 0] = 1
    mine[0, 0] = 1


def test_radiograph_checks_its_pixels() -> None:
    with pytest.raises(ValueError, match=r"float32 pixels of shape \(H, W\)"):
        Radiograph(np.zeros((3, 3)), 8, 8, "PNG")


def test_import_loads_neither_torch_nor_pydicom() -> None:
    code = "import sys, cxrcore.films.radiograph; print(sorted({'torch', 'pydicom', 'scipy'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.data
def test_real_films_open_without_a_warning(data_dir: Path) -> None:
    paths = [
        *sorted(data_dir.glob("nih/images-1024/*.png")),
        *sorted(data_dir.glob("nih/images-320/*.png"))[::8],
        *sorted(data_dir.glob("kermany/**/*.jpeg"))[::30],
    ]
    assert paths, "no films under nih/ or kermany/"
    warned = [path.name for path in paths if read_radiograph(path).warnings]
    assert len(warned) <= 0.01 * len(paths), warned


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
@pytest.mark.parametrize("mirror", [False, True])
def test_a_film_is_turned_then_mirrored_then_inverted(turn: int, mirror: bool) -> None:
    film = Radiograph(GREY, 8, 8, "PNG", stored=GREY * 100)
    turned = np.rot90(GREY, turn)
    expected = turned[:, ::-1] if mirror else turned
    changed = film.corrected(turn, invert=True, mirror=mirror)
    np.testing.assert_array_equal(changed.pixels, 1 - expected)
    np.testing.assert_array_equal(changed.stored, expected * 100)
    assert changed.inverted
