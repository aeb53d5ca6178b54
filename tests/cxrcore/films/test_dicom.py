"""Reading films from DICOM. Oracle: the array that was stored."""

from __future__ import annotations

import io
import logging
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    MPEG2MPML,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from cxrcore.errors import UnreadableImage
from cxrcore.films.dicom import coded_size, looks_like_dicom
from cxrcore.films.radiograph import COLOUR_WARNING, Radiograph, read_radiograph
from tests.films import BIRTH_DATE, PATIENT, chest, dataset, encoded, table, written

FILM = chest(12)
WINDOW = {"WindowCenter": 2048, "WindowWidth": 4096}


def read(ds: Dataset) -> Radiograph:
    return read_radiograph(written(ds))


def unit(values: np.ndarray) -> np.ndarray:
    """pydicom keeps the scale of 12-bit values; here 0 to 1."""
    return np.asarray(values, np.float64) / 4095


# --- stored values ------------------------------------------------------------------------------------------------


def test_signed_values() -> None:
    signed = (FILM.astype(np.int32) - 2048).astype(np.int16)
    film = read(dataset(signed, 12, WindowCenter=0, WindowWidth=4096))
    np.testing.assert_array_equal(film.stored, signed)
    np.testing.assert_allclose(film.pixels, unit(FILM), atol=1e-3)


@pytest.mark.parametrize("signed", [False, True])
def test_garbage_above_bits_stored_is_ignored(signed: bool) -> None:
    values = (FILM.astype(np.int32) - 2048).astype(np.int16) if signed else FILM
    dirty = (values.view(np.uint16) & 0x0FFF) | np.uint16(0x5000)
    film = read(dataset(dirty, 12, PixelRepresentation=int(signed), **WINDOW))
    np.testing.assert_array_equal(film.stored, values)


def test_high_bit_above_bits_stored() -> None:
    film = read(dataset(FILM << 4, 12, HighBit=15, **WINDOW))
    np.testing.assert_array_equal(film.stored, FILM)


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_deep_film_and_its_8_bit_picture_agree(bits: int) -> None:
    deep = chest(bits)
    film = read(dataset(deep, bits, WindowCenter=2 ** (bits - 1), WindowWidth=2**bits))
    picture = read_radiograph(encoded((deep >> (bits - 8)).astype(np.uint8), "PNG"))
    np.testing.assert_allclose(film.pixels, picture.pixels, atol=1 / 255)
    assert film.bits == bits


@pytest.mark.parametrize(
    ("syntax", "encoding"),
    [
        (ImplicitVRLittleEndian, "DICOM"),
        (DeflatedExplicitVRLittleEndian, "DICOM (deflated)"),
        (RLELossless, "DICOM (RLE)"),
        (JPEG2000Lossless, "DICOM (JPEG 2000)"),
    ],
)
@pytest.mark.parametrize("bits", [8, 12])
def test_transfer_syntaxes_give_the_same_film(syntax: UID, encoding: str, bits: int) -> None:
    ds = dataset(chest(bits), bits, WindowCenter=2 ** (bits - 1), WindowWidth=2**bits)
    plain = read(ds)
    if syntax.is_encapsulated:
        ds.compress(syntax)
    else:
        ds.file_meta.TransferSyntaxUID = syntax
    film = read(ds)
    np.testing.assert_array_equal(film.pixels, plain.pixels)
    assert film.encoding == encoding


def test_big_endian_film_and_table() -> None:
    curve = np.rint(np.linspace(0, 1, 4096) ** 2 * 4095).astype(np.uint16)
    plain = dataset(FILM, 12, VOILUTSequence=table(curve, 0, 12))
    swapped = dataset(FILM.astype(">u2"), 12, VOILUTSequence=table(curve.byteswap(), 0, 12))
    swapped.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    np.testing.assert_array_equal(read(swapped).pixels, read(plain).pixels)


def test_without_preamble_or_meta_information() -> None:
    plain = read(dataset(FILM, 12, **WINDOW))
    whole = written(dataset(FILM, 12, **WINDOW))
    assert looks_like_dicom(whole[132:])
    np.testing.assert_array_equal(read_radiograph(whole[132:]).pixels, plain.pixels)
    for implicit in (True, False):
        ds, buffer = dataset(FILM, 12, **WINDOW), io.BytesIO()
        del ds.file_meta
        pydicom.dcmwrite(buffer, ds, implicit_vr=implicit, little_endian=True)
        np.testing.assert_array_equal(read_radiograph(buffer.getvalue()).pixels, plain.pixels)


def test_colour_and_palette_captures() -> None:
    grey = np.stack([chest(8)] * 3, -1)
    film = read(dataset(grey, Modality="OT"))
    np.testing.assert_allclose(film.pixels, chest(8) / 255, atol=1e-6)
    assert COLOUR_WARNING not in film.warnings
    red = grey.copy()
    red[..., 1:] = 0
    assert COLOUR_WARNING in read(dataset(red)).warnings
    ds = dataset(chest(8), PhotometricInterpretation="PALETTE COLOR")
    for colour in ("Red", "Green", "Blue"):
        setattr(ds, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(ds, f"{colour}PaletteColorLookupTableData", (np.arange(256, dtype="<u2")[::-1] * 257).tobytes())
    np.testing.assert_allclose(read(ds).pixels, 1 - chest(8) / 255, atol=1e-6)


# --- what it is, and whose --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("elements", "word"),
    [
        ({"Modality": None}, "does not say that it is a plain radiograph"),
        ({"Modality": "OT"}, "does not say that it is a plain radiograph"),
        ({"Modality": "RF"}, "fluoroscopy"),
        ({"BodyPartExamined": "HAND"}, "body part other than the chest"),
        ({"ViewPosition": "LL"}, "side view"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "unprocessed"),
    ],
)
def test_facts_that_call_for_care_are_noted(elements: dict, word: str) -> None:
    film = read(dataset(FILM, 12, **WINDOW, **elements))
    assert len(film.warnings) == 1
    assert word in film.warnings[0]


@pytest.mark.parametrize("modality", ["CR", "DX", "RG"])
def test_plain_films_have_no_warning(modality: str) -> None:
    assert read(dataset(FILM, 12, **WINDOW, Modality=modality)).warnings == ()


def test_free_text_in_view_position_is_dropped() -> None:
    assert read(dataset(FILM, 12, ViewPosition="OTTO")).view == ""


CODED = dataset(FILM, 12, **WINDOW)
CODED.compress(JPEG2000Lossless)
WHOLE, CODED_WHOLE = written(dataset(FILM, 12, **WINDOW)), written(CODED)
SHORT = dataset(FILM, 12)
SHORT.Rows = 20_000
HUGE = dataset(FILM, 12)
HUGE.Rows = HUGE.Columns = 30_000
FRAMES = dataset(FILM, 12, NumberOfFrames=2)
FRAMES.PixelData *= 2
MPEG = dataset(FILM, 12)
MPEG.PixelData = pydicom.encaps.encapsulate([b"\0\0\1\xb3" + bytes(100)])
MPEG["PixelData"].is_undefined_length = True
MPEG.file_meta.TransferSyntaxUID = MPEG2MPML
RLE_OVERRUN = dataset(FILM, 12)
RLE_OVERRUN.compress(RLELossless)
at = RLE_OVERRUN.PixelData.index(b"\2\0\0\0\x40\0\0\0") + 64
RLE_OVERRUN.PixelData = RLE_OVERRUN.PixelData[:at] + b"\x81\x01" * ((len(RLE_OVERRUN.PixelData) - at) // 2)
BAD_TABLE = dataset(FILM, 12, VOILUTSequence=Sequence([Dataset()]))
CT_BY_CLASS = dataset(FILM, 12, Modality=None)
CT_BY_CLASS.SOPClassUID = CT_BY_CLASS.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.2")
BAD = {
    "no pixels": (written(dataset(FILM, 12, PixelData=None)), "without an image"),
    "no rows": (written(dataset(FILM, 12, Rows=None)), "without an image"),
    "cut in the header": (WHOLE[:600], "without an image|cut short"),
    "cut in the pixels": (WHOLE[:-5000], "cut short"),
    "cut in a compressed image": (CODED_WHOLE[: len(CODED_WHOLE) * 2 // 3], "cut short"),
    "fewer pixels than said": (written(SHORT), "cut short"),
    "too many pixels": (written(HUGE), "80 million pixels"),
    "several frames": (written(FRAMES), "2 frames"),
    "CT": (written(dataset(FILM, 12, Modality="CT")), "CT slice"),
    "CT by its class": (written(CT_BY_CLASS), "CT slice"),
    "MR": (written(dataset(FILM, 12, Modality="MR")), "MR slice"),
    "US": (written(dataset(FILM, 12, Modality="US")), "ultrasound"),
    "MG": (written(dataset(FILM, 12, Modality="MG")), "mammogram"),
    "RLE runs past the end": (written(RLE_OVERRUN), "cut short or damaged"),
    "MPEG": (written(MPEG), "compressed or stored in a way"),
    "unknown transfer syntax": (
        WHOLE.replace(b"1.2.840.10008.1.2.1\0", b"1.2.3.4.5.6.7.8.9.1\0"),
        "compressed|damaged",
    ),
    "table without data": (written(BAD_TABLE), "damaged"),
    "preamble only": (bytes(128) + b"DICM", "without an image|cut short"),
    "noise after the preamble": (bytes(128) + b"DICM" + bytes(range(256)) * 20, "DICOM file"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_get_one_calm_sentence(case: str) -> None:
    data, word = BAD[case]
    with pytest.raises(UnreadableImage, match=word) as caught:
        read_radiograph(data, name="/srv/in/film.dcm")
    message = str(caught.value)
    assert message.startswith("'film.dcm' ")
    assert message.endswith(".")
    assert PATIENT not in message
    assert "srv" not in message


def test_a_small_header_around_a_huge_stream_is_refused_unopened() -> None:
    ds = dataset(FILM, 12, **WINDOW)
    ds.compress(JPEG2000Lossless)
    at = ds.PixelData.index(b"\xff\x4f\xff\x51")
    stream = bytearray(ds.PixelData)
    stream[at + 8 : at + 16] = (60_000).to_bytes(4, "big") * 2
    ds.PixelData = bytes(stream)
    with pytest.raises(UnreadableImage, match="80 million pixels"):
        read(ds)


def test_stream_sizes_equal_those_written() -> None:
    ds = dataset(FILM, 12)
    for syntax in (JPEG2000Lossless, JPEGLSLossless):
        ds = dataset(FILM, 12)
        try:
            ds.compress(syntax)
        except RuntimeError:
            continue  # JPEG-LS is written by a plugin that need not be there
        assert coded_size(pydicom.encaps.get_frame(ds.PixelData, 0, number_of_frames=1)) == FILM.shape
    assert coded_size(encoded(chest(8), "JPEG")) == FILM.shape
    assert coded_size(encoded(chest(8), "JPEG2000")) == FILM.shape
    assert coded_size(b"") is None
    assert coded_size(b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40)) is None


def test_deflated_bomb_is_refused_unopened() -> None:
    ds = dataset(FILM, 12)
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    whole = written(ds)
    start = 144 + int.from_bytes(whole[140:144], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = b"".join(packer.compress(bytes(10_000_000)) for _ in range(21)) + packer.flush()
    with pytest.raises(UnreadableImage, match="unpacks to more than 200 MB"):
        read_radiograph(whole[:start] + body)


def test_damage_anywhere_ends_in_a_film_or_the_calm_sentence() -> None:
    rng = np.random.default_rng(2)
    for whole in (WHOLE, CODED_WHOLE):
        for _ in range(60):
            data = bytearray(whole)
            for at in rng.integers(0, min(len(data), 2000), 4):
                data[at] = rng.integers(256)
            try:
                film = read_radiograph(bytes(data))
            except UnreadableImage:
                continue
            assert 0 <= film.pixels.min() <= film.pixels.max() <= 1


def test_nothing_of_the_patient_is_kept_or_logged(
    caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    caplog.set_level(logging.DEBUG)
    ds = dataset(FILM, 12, **WINDOW, Modality="OT")
    ds.add_new("AcquisitionDate", "DA", BIRTH_DATE)
    film = read(ds)
    seen = " ".join([str(vars(film)), repr(film), caplog.text, *(str(warning.message) for warning in recwarn)])
    for secret in (PATIENT, "Geheim", "0815", BIRTH_DATE, str(ds.SOPInstanceUID)):
        assert secret not in seen
    assert film.name is None


def test_pydicom_samples_open_or_say_why() -> None:
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    opened = 0
    for path in folder.glob("*.dcm"):
        try:
            film = read_radiograph(path)
        except UnreadableImage as error:
            assert str(error).startswith(f"'{path.name}' ")  # noqa: PT017
            continue
        opened += 1
        assert 0 <= film.pixels.min() <= film.pixels.max() <= 1
    assert opened > 20
