"""From stored values to shades of grey. Oracle: pydicom's own processing, in 64 bits."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut, apply_windowing
from pydicom.pixels.processing import apply_voi

from cxrcore.films.radiograph import Radiograph, read_radiograph
from cxrcore.films.windowing import Window, apply_window
from tests.films import chest, dataset, table, written

FILM = chest(12)
WINDOW = {"WindowCenter": 2048, "WindowWidth": 4096}


def read(ds: Dataset) -> Radiograph:
    return read_radiograph(written(ds))


def unit(values: np.ndarray) -> np.ndarray:
    """pydicom keeps the scale of 12-bit values; here 0 to 1."""
    return np.asarray(values, np.float64) / 4095


# --- the chain ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("center", "width"), [(2048, 4096), (1500, 800), (2000.5, 1), (300, 20)])
def test_window_equals_pydicom(function: str | None, center: float, width: float) -> None:
    ds = dataset(FILM, 12, WindowCenter=center, WindowWidth=width)
    if function:
        ds.VOILUTFunction = function
    film = read(ds)
    np.testing.assert_allclose(film.pixels, unit(apply_windowing(FILM, ds)), atol=2e-6)
    assert film.window == Window(center, width, function or "LINEAR")
    np.testing.assert_array_equal(film.stored, FILM)
    assert (film.bits, film.bits_stored, film.encoding, film.view) == (12, 16, "DICOM", "PA")


def test_first_of_several_windows_is_used() -> None:
    film = read(dataset(FILM, 12, WindowCenter=[2048, 100], WindowWidth=[4096, 10]))
    assert film.window == Window(2048, 4096)


@pytest.mark.parametrize(("slope", "intercept"), [(1, -1024), (0.5, 10), (2, 0), (-1, 4095), (-0.25, 0)])
def test_rescale_then_window_equals_pydicom(slope: float, intercept: float) -> None:
    middle = 2048 * slope + intercept
    ds = dataset(FILM, 12, RescaleSlope=slope, RescaleIntercept=intercept, WindowCenter=middle, WindowWidth=900)
    film = read(ds)
    values = apply_modality_lut(FILM, ds)
    np.testing.assert_allclose(film.stored, values, atol=1e-3)
    ends = sorted((intercept, 4095 * slope + intercept))
    # pydicom runs from the first end to the last, which turns round under a negative slope; the standard does not
    expected = (apply_windowing(values, ds) - intercept) / (4095 * slope)
    np.testing.assert_allclose(film.pixels, expected, atol=1e-5)
    assert ends[0] <= film.stored.min() <= film.stored.max() <= ends[1]


def test_modality_table_then_window_equals_pydicom() -> None:
    curve = np.rint(np.sqrt(np.arange(4096) / 4095) * 65535).astype(np.uint16)
    ds = dataset(FILM, 12, WindowCenter=32768, WindowWidth=65536, ModalityLUTSequence=table(curve, 0, 16))
    film = read(ds)
    np.testing.assert_array_equal(film.stored, apply_modality_lut(FILM, ds))
    np.testing.assert_allclose(film.pixels, apply_windowing(film.stored, ds) / 65535, atol=2e-6)


@pytest.mark.parametrize(("first", "count", "bits"), [(0, 4096, 12), (500, 2000, 16), (0, 4096, 10)])
def test_voi_table_comes_before_the_window_and_equals_pydicom(first: int, count: int, bits: int) -> None:
    curve = np.rint(np.linspace(0, 1, count) ** 2 * (2**bits - 1)).astype(np.uint16)
    ds = dataset(FILM, 12, **WINDOW, VOILUTSequence=table(curve, first, bits))
    film = read(ds)
    np.testing.assert_allclose(film.pixels, apply_voi_lut(FILM, ds) / (2**bits - 1), atol=1e-6)
    assert film.window is None
    assert apply_window(film.stored, Window(2048, 4096)) == pytest.approx(unit(apply_windowing(FILM, ds)), abs=1e-5)


def test_voi_table_over_negative_values_equals_pydicom() -> None:
    signed = (FILM.astype(np.int32) - 2048).astype(np.int16)
    curve = np.linspace(0, 4095, 4096).astype(np.uint16)[::-1]
    ds = dataset(signed, 12, VOILUTSequence=table(curve, -2048, 12))
    np.testing.assert_allclose(read(ds).pixels, apply_voi(signed, ds) / 4095, atol=1e-6)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_window_keeps_order_and_range(function: str) -> None:
    values = np.linspace(-70_000, 70_000, 1001, dtype=np.float32)
    out = apply_window(values, Window(100, 300, function))
    assert (np.diff(out) >= 0).all()
    assert out.min() >= 0
    assert out.max() <= 1


@pytest.mark.parametrize(
    "arguments", [(0, 0.5, "LINEAR"), (0, 0, "LINEAR_EXACT"), (np.nan, 1, "SIGMOID"), (0, 1, "CUBIC")]
)
def test_windows_that_dicom_forbids(arguments: tuple) -> None:
    with pytest.raises(ValueError, match="expected"):
        Window(*arguments)


@pytest.mark.parametrize("elements", [{"WindowWidth": 0}, {"WindowCenter": 10, "WindowWidth": -5}])
def test_senseless_window_gives_way_to_the_films_own_range(elements: dict) -> None:
    film = read(dataset(FILM, 12, **{"WindowCenter": 2048, **elements}))
    assert any("makes no sense" in sentence for sentence in film.warnings)
    assert film.pixels.std() > 0.1


def test_without_a_window_8_bits_span_their_range_and_deeper_films_their_own() -> None:
    shallow = chest(8)
    np.testing.assert_allclose(read(dataset(shallow)).pixels, shallow / 255, atol=1e-6)
    film = read(dataset((FILM // 4 + 300).astype(np.uint16), 12))
    low, high = np.percentile(FILM // 4 + 300, (0.5, 99.5))
    np.testing.assert_allclose(film.pixels, np.clip((FILM // 4 + 300 - low) / (high - low), 0, 1), atol=2e-3)


# --- inversion ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [None, "right"])
@pytest.mark.parametrize(
    "window", [{}, WINDOW, {"WindowCenter": 2000, "WindowWidth": 3001, "VOILUTFunction": "SIGMOID"}]
)
def test_monochrome1_and_2_give_one_film(window: dict, shape: str | None) -> None:
    """The mirrored window: LINEAR is symmetric about center - 0.5, the other functions about center."""
    plain, turned = (
        dataset(FILM, 12, **window),
        dataset(4095 - FILM, 12, **window, PhotometricInterpretation="MONOCHROME1"),
    )
    if window:
        turned.WindowCenter = 4095 - window["WindowCenter"] + (0 if "VOILUTFunction" in window else 1)
    if shape:
        plain.PresentationLUTShape, turned.PresentationLUTShape = "IDENTITY", "INVERSE"
    one, two = read(turned), read(plain)
    np.testing.assert_allclose(one.pixels, two.pixels, atol=1e-6)
    assert (one.inverted, two.inverted) == (True, False)
    assert one.warnings == two.warnings == ()
    np.testing.assert_allclose(
        apply_window(one.stored, Window(2095, 1000, "SIGMOID"), one.inverted),
        apply_window(two.stored, Window(2000, 1000, "SIGMOID"), two.inverted),
        atol=1e-6,
    )


@pytest.mark.parametrize(("photometric", "shape"), [("MONOCHROME2", "INVERSE"), ("MONOCHROME1", "IDENTITY")])
def test_contradictions_invert_once_and_are_noted(photometric: str, shape: str) -> None:
    ds = dataset(4095 - FILM, 12, **WINDOW, PhotometricInterpretation=photometric, PresentationLUTShape=shape)
    film = read(ds)
    np.testing.assert_allclose(film.pixels, unit(FILM), atol=1e-3)
    assert any("two different things" in sentence for sentence in film.warnings)


# --- padding ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [None, 3])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_dark_and_does_not_stretch_the_range(photometric: str, limit: int | None) -> None:
    body = (FILM // 4 + 1000).astype(np.uint16)
    padded = np.pad(body, 40, constant_values=0)
    if limit:
        padded[:20] = limit
    ds = dataset(padded, 12, PhotometricInterpretation=photometric, PixelPaddingValue=0)
    if limit:
        ds.PixelPaddingRangeLimit = limit
    film = read(ds)
    np.testing.assert_allclose(
        film.pixels[40:-40, 40:-40], read(dataset(body, 12, PhotometricInterpretation=photometric)).pixels, atol=0.02
    )
    assert (film.pixels[:40] == 0).all()
    assert (film.pixels[:, :40] == 0).all()
    narrow = Window(1500, 1024, film.window.function)
    assert (apply_window(film.stored, narrow, film.inverted)[:40] < 0.02).all()


def test_padding_value_inside_the_body_is_left_alone() -> None:
    body = FILM.copy()
    body[100:110, 100:110] = 4095
    film = read(dataset(body, 12, **WINDOW, PixelPaddingValue=4095))
    assert (film.pixels[100:110, 100:110] == 1).all()


def test_signed_padding_written_as_unsigned() -> None:
    padded = np.pad((FILM // 4).astype(np.int16), 40, constant_values=-2000)
    ds = dataset(padded, 16)
    ds.add_new("PixelPaddingValue", "US", 63536)
    film = read(ds)
    assert film.stored.min() >= 0
