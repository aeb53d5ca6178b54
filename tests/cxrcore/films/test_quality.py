"""Warnings about a film's pixels. Oracle: faults put into a sound film, and real films."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cxrcore.films import quality as film_quality
from cxrcore.films.radiograph import read_radiograph
from tests.films import chest

GREY = chest() / np.float32(255)


@pytest.mark.parametrize(
    ("pixels", "word"),
    [
        (np.full((300, 300), 0.4, np.float32), "blank"),
        (GREY[:180, :190], "small"),
        (np.tile(GREY, (1, 3)), "longer than wide"),
        (np.rint(GREY * 20) / np.float32(20), "shades"),
        (np.minimum(chest(12), 255).astype(np.float32) / 255, "pure white"),
        (1 - GREY, "inverted"),
    ],
)
def test_each_fault_is_warned_about(pixels: np.ndarray, word: str) -> None:
    assert any(word in sentence for sentence in film_quality.warnings_for(pixels.astype(np.float32)))


def test_a_sound_film_has_no_warning_and_is_not_changed() -> None:
    before = GREY.copy()
    assert film_quality.warnings_for(before) == ()
    np.testing.assert_array_equal(before, GREY)


def test_inversion_score_turns_its_sign_with_the_film() -> None:
    assert film_quality.inversion_score(GREY) == pytest.approx(-film_quality.inversion_score(1 - GREY), abs=1e-5)


@pytest.mark.data
def test_negatives_of_real_films_are_noticed(data_dir: Path) -> None:
    paths = [*sorted(data_dir.glob("nih/images-320/*.png"))[::8], *sorted(data_dir.glob("kermany/**/*.jpeg"))[::30]]
    missed = [p.name for p in paths if not any("inverted" in w for w in negative_warnings(p))]
    assert len(missed) <= 0.03 * len(paths), missed


def negative_warnings(path: Path) -> tuple[str, ...]:
    return film_quality.warnings_for(1 - read_radiograph(path).pixels)
