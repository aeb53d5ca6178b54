"""Millimetres a pixel, by the attributes that a file gives (PS3.3 10.7.1.3)."""

from __future__ import annotations

import pytest

import cxrcore
from cxrcore.films.spacing import Spacing
from tests.films import chest, dataset, encoded, written


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({}, None),
        ({"ImagerPixelSpacing": [0.2, 0.1]}, Spacing(0.2, 0.1, "detector")),
        ({"NominalScannedPixelSpacing": [0.2, 0.1]}, Spacing(0.2, 0.1, "detector")),
        ({"PixelSpacing": [0.2, 0.1]}, Spacing(0.2, 0.1, "unstated")),
        ({"PixelSpacing": [0.2, 0.1], "ImagerPixelSpacing": [0.2, 0.1]}, Spacing(0.2, 0.1, "detector")),
        ({"PixelSpacing": [0.18, 0.09], "ImagerPixelSpacing": [0.2, 0.1]}, Spacing(0.18, 0.09, "calibrated")),
        ({"PixelSpacing": [0.2, 0.1], "PixelSpacingCalibrationType": "FIDUCIAL"}, Spacing(0.2, 0.1, "calibrated")),
        ({"PixelSpacing": [0, 0.1]}, None),
        ({"PixelSpacing": [900, 900]}, None),
    ],
)
def test_the_spacing_of_a_file(elements: dict[str, object], expected: Spacing | None) -> None:
    assert cxrcore.read_radiograph(written(dataset(chest(12), 12, **elements))).spacing == expected


def test_a_picture_has_none() -> None:
    assert cxrcore.read_radiograph(encoded(chest(), "PNG", dpi=(300, 300))).spacing is None


def test_a_turned_film_has_its_spacings_exchanged() -> None:
    film = cxrcore.read_radiograph(written(dataset(chest(12), 12, PixelSpacing=[0.2, 0.1])))
    assert film.corrected(turn=1).spacing == Spacing(0.1, 0.2, "unstated")
    assert film.corrected(turn=2, mirror=True).spacing == film.spacing


@pytest.mark.parametrize(
    ("stated", "years"), [("057Y", 57), ("018M", 1), ("010D", 0), ("104Y", 90), ("", None), ("57", None), ("abc", None)]
)
def test_an_age_is_in_whole_years_and_at_most_ninety(stated: str, years: int | None) -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of malformed ages
        content = written(dataset(chest(12), 12, PatientAge=stated))
    assert cxrcore.read_radiograph(content).age_years == years
