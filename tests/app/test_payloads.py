"""What the server sends to the viewer."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

import cxrcore
from page.payloads import large_film_picture
from tests.films import chest, encoded


def test_the_shown_film_keeps_its_greys() -> None:
    film = cxrcore.read_radiograph(encoded(chest(), "PNG"))
    content = base64.b64decode(large_film_picture(film).partition(",")[2])
    shown = np.asarray(Image.open(io.BytesIO(content)))
    assert np.abs(shown / 255 - film.pixels).max() <= 0.5 / 255 + 1e-6
