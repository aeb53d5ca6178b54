"""data_uri writes a picture that reads back as the pixels it was given."""

from __future__ import annotations

import base64
import io
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from cxrcore.films.encoding import data_uri


def decoded(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1])))


@pytest.mark.parametrize("encoding", ["JPEG", "PNG"])
def test_a_picture_has_its_encoding_and_its_longest_side(encoding: Literal["JPEG", "PNG"]) -> None:
    uri = data_uri(np.full((40, 20), 0.5, np.float32), 10, encoding)
    assert uri.startswith(f"data:image/{encoding.lower()};base64,")
    picture = decoded(uri)
    assert (picture.format, picture.size) == (encoding, (5, 10))


def test_values_outside_the_range_are_clipped_and_png_keeps_the_others() -> None:
    pixels = np.array([[-1.0, 0.2], [0.6, 2.0]], np.float32)
    assert np.asarray(decoded(data_uri(pixels, encoding="PNG"))).tolist() == [[0, 51], [153, 255]]


def test_colours_stay_colours() -> None:
    colours = np.zeros((3, 2, 3), np.uint8)
    colours[..., 0] = 200
    assert np.array_equal(np.asarray(decoded(data_uri(colours, encoding="PNG"))), colours)
