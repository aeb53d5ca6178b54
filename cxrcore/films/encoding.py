"""Pictures as text: data URIs for a page."""

from __future__ import annotations

import base64
import io
from typing import Any, Literal

import numpy as np
from PIL import Image


def data_uri(
    pixels: np.ndarray, longest_side: int | None = None, encoding: Literal["JPEG", "PNG"] = "JPEG", **options: Any
) -> str:
    """Encode a picture as a data URI, at most ``longest_side`` wide and high.

    ``pixels``: float (H, W) in [0, 1] (values outside are clipped), or uint8 (H, W) or (H, W, 3). ``options`` go to
    Pillow's writer: ``quality`` (88 for JPEG if not given), ``compress_level``.

    >>> data_uri(np.zeros((4, 4), np.float32))[:27]
    'data:image/jpeg;base64,/9j/'
    """
    values = pixels if pixels.dtype == np.uint8 else np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    picture = Image.fromarray(values)
    if longest_side is not None:
        picture.thumbnail((longest_side, longest_side), Image.Resampling.BOX, reducing_gap=2.0)
    if encoding == "JPEG":
        options.setdefault("quality", 88)
    buffer = io.BytesIO()
    picture.save(buffer, encoding, **options)
    return f"data:image/{encoding.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
