"""A film's own values come out of their packing as they were."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

import cxrcore
from cxrcore.films.grey_values import grey_values, pack
from cxrcore.films.windowing import apply_window
from tests.films import chest, dataset, encoded, table, written


def unpack(packed: bytes, shape: tuple[int, int]) -> np.ndarray:
    """The inverse of ``pack``, written independently of the page's."""
    planes = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(-1, *shape).astype(np.int64)
    differences = sum(plane << (8 * at) for at, plane in enumerate(planes))
    return np.cumsum(differences, axis=1) % (256 ** len(planes))


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_packing_is_lossless(bits: int) -> None:
    values = chest(bits).astype(np.uint16)
    packed = pack(values)
    assert np.array_equal(unpack(packed, values.shape), values)
    assert len(packed) < values.size * (1 if bits == 8 else 2)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_a_pictures_values_are_those_in_the_file(bits: int) -> None:
    values = chest(bits)
    grey = grey_values(cxrcore.read_radiograph(encoded(values, "PNG")))
    assert np.array_equal(grey.values, values)
    assert (grey.first, grey.step, grey.inverted) == (0, 1, False)
    assert apply_window(np.array([0, 2**bits - 1]), grey.window) == pytest.approx([0, 1])


@pytest.mark.parametrize("slope", [1, 0.25, 3])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_dicoms_values_are_those_before_its_window(slope: float, photometric: str) -> None:
    values = chest(12)
    elements = {"RescaleSlope": slope, "RescaleIntercept": -200, "WindowCenter": 500, "WindowWidth": 700}
    film = cxrcore.read_radiograph(written(dataset(values, 12, PhotometricInterpretation=photometric, **elements)))
    grey = grey_values(film)
    assert np.array_equal(grey.first + grey.step * grey.values, values.astype(float) * slope - 200)
    shown = apply_window(grey.first + grey.step * grey.values, grey.window, grey.inverted)
    assert shown == pytest.approx(film.pixels, abs=1e-6)


def test_a_film_with_a_table_for_a_window_has_the_tables_shades() -> None:
    values = chest(8).astype(np.uint16)
    film = cxrcore.read_radiograph(
        written(dataset(values, 12, VOILUTSequence=table(np.arange(4096) ** 2 // 256, 0, 16)))
    )
    grey = grey_values(film)
    assert apply_window(grey.values, grey.window) == pytest.approx(film.pixels, abs=1e-5)


def test_a_float_film_is_rounded_to_sixteen_bits() -> None:
    levels = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    grey = grey_values(cxrcore.Radiograph(levels, 32, 32, "TIFF"))
    assert grey.values / 65535 == pytest.approx(levels, abs=1e-5)
