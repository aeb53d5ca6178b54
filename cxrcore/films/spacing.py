"""How many millimetres a pixel spans, and whether the number is corrected for magnification.

A projection enlarges: what lies 10 cm before a detector at 1.8 m appears 6 % larger. ``ImagerPixelSpacing`` is measured
at the detector and not corrected (PS3.3 C.8.7.1); ``PixelSpacing`` of a projection may be corrected, equal to it where
it is not (PS3.3 10.7.1.3).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from pydicom import Dataset

SPACING_TAGS = ["PixelSpacing", "PixelSpacingCalibrationType", "ImagerPixelSpacing", "NominalScannedPixelSpacing"]
_SANE_MM = (0.005, 10.0)


@dataclass(frozen=True)
class Spacing:
    """Millimetres between the centres of neighbouring pixels.

    ``kind``: ``calibrated`` (the file says that it is corrected for magnification), ``detector`` (it is not), or
    ``unstated``.
    """

    row_mm: float  # from a row to the one below
    column_mm: float
    kind: Literal["calibrated", "detector", "unstated"]

    def turned(self, turn: int) -> Spacing:
        """Of the film after quarter turns."""
        return replace(self, row_mm=self.column_mm, column_mm=self.row_mm) if turn % 2 else self


def read_spacing(ds: Dataset) -> Spacing | None:
    """The spacing that a DICOM data set states; None without one, or where it makes no sense."""
    pixel, detector = _pair(ds.get("PixelSpacing")), _pair(ds.get("ImagerPixelSpacing"))
    detector = detector or _pair(ds.get("NominalScannedPixelSpacing"))
    if pixel is None:
        return Spacing(*detector, "detector") if detector else None
    if str(ds.get("PixelSpacingCalibrationType") or "").strip().upper() in ("GEOMETRY", "FIDUCIAL"):
        return Spacing(*pixel, "calibrated")
    if detector is None:
        return Spacing(*pixel, "unstated")
    return Spacing(*pixel, "detector" if np.allclose(pixel, detector, rtol=1e-3) else "calibrated")


def _pair(value: object) -> tuple[float, float] | None:
    if not isinstance(value, Iterable):
        return None
    try:
        row, column = (float(part) for part in value)
    except (TypeError, ValueError):
        return None
    low, high = _SANE_MM
    return (row, column) if low <= row <= high and low <= column <= high else None
