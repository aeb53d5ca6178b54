"""From a DICOM's stored values to shades of grey: modality LUT, VOI LUT or window, inversion, as in PS3.3 C.11.

pydicom has these steps too, but computes in 64 bits, on the scale of the stored values, and applies windows and tables
to padding. Tests compare ours with pydicom's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cxrcore.films.quality import subsample

if TYPE_CHECKING:
    from pydicom import Dataset

ROBUST_RANGE = (0.5, 99.5)  # percentiles that become black and white where a file names no window


@dataclass(frozen=True)
class Window:
    """A VOI window in the units of the values it is applied to. Raises ValueError for a width DICOM forbids."""

    center: float
    width: float
    function: str = "LINEAR"  # or LINEAR_EXACT or SIGMOID

    def __post_init__(self) -> None:
        if self.function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
            raise ValueError(f"expected LINEAR, LINEAR_EXACT or SIGMOID, got {self.function!r}")
        wide = self.width >= 1 if self.function == "LINEAR" else self.width > 0
        if not (wide and np.isfinite(self.center) and np.isfinite(self.width)):
            least = "of at least 1" if self.function == "LINEAR" else "above 0"
            raise ValueError(f"expected a finite center and a width {least}, got {self.center} and {self.width}")


def apply_window(values: np.ndarray, window: Window, inverted: bool = False) -> np.ndarray:
    """Values through a window, as a new float32 array in [0, 1] (PS3.3 C.11.2.1.2 and C.11.2.1.3).

    ``inverted`` inverts the brightness, by the sign of the distance from the centre rather than as 1 - x: a film stored
    as MONOCHROME1 and the same film as MONOCHROME2 become equal to the last bit.

    >>> apply_window(np.array([0, 50, 100]), Window(50, 100, "LINEAR_EXACT"))
    array([0. , 0.5, 1. ], dtype=float32)
    """
    center, width = window.center, window.width
    if window.function == "LINEAR":
        center, width = center - 0.5, width - 1
    if width == 0:
        step: np.ndarray = values <= center if inverted else values > center
        return step.astype(np.float32)
    out: np.ndarray = np.subtract(values, np.float32(center), dtype=np.float32)
    out /= np.float32(-width if inverted else width)
    if window.function == "SIGMOID":
        out *= np.float32(-4)
        np.exp(np.minimum(out, 80, out=out), out=out)
        out += 1
        np.reciprocal(out, out=out)
        return out
    out += np.float32(0.5)
    np.clip(out, 0, 1, out=out)
    return out


def number(ds: Dataset, keyword: str, default: float) -> float:
    """An element's first value as a finite number, or the default."""
    value = ds.get(keyword)
    first = value[0] if isinstance(value, list | tuple) or (hasattr(value, "append") and len(value)) else value
    try:
        number = float(first)
    except (TypeError, ValueError):
        return default
    return number if np.isfinite(number) else default


def modality_values(ds: Dataset, raw: np.ndarray, bits: int) -> tuple[np.ndarray, tuple[float, float] | None]:
    """Float32 values after the modality LUT, or rescale slope and intercept; and what 8-bit values could span."""
    if ds.get("ModalityLUTSequence"):
        values, depth = look_up(raw, ds, "ModalityLUTSequence")
        return values, (0.0, 2.0**depth - 1) if depth <= 8 else None
    slope, intercept = number(ds, "RescaleSlope", 1) or 1.0, number(ds, "RescaleIntercept", 0)
    values = raw.astype(np.float32)
    if (slope, intercept) != (1, 0):
        values *= np.float32(slope)
        values += np.float32(intercept)
    lowest = -(2 ** (bits - 1)) if ds.PixelRepresentation else 0
    ends = sorted((slope * lowest + intercept, slope * (lowest + 2**bits - 1) + intercept))
    return values, (ends[0], ends[1]) if bits <= 8 else None


def look_up(values: np.ndarray, ds: Dataset, sequence: str) -> tuple[np.ndarray, int]:
    """Values through the first LUT of a sequence, float32, and its depth in bits; values outside take the ends.

    PS3.3 C.11.1.1.1 and C.11.2.1.1.
    """
    item = ds[sequence].value[0]
    count, first, depth = (int(entry) for entry in item.LUTDescriptor)
    count = count or 2**16
    table = item.LUTData
    if isinstance(table, bytes):
        wide = "<u2" if ds.file_meta.TransferSyntaxUID.is_little_endian else ">u2"
        table = np.frombuffer(table, np.uint8 if len(table) < 2 * count else wide)
    table = np.asarray(table, np.float32)[:count]
    if first >= 2**15 and values.min() < 0:
        first -= 2**16  # a negative number that was written unsigned
    index = np.rint(values).astype(np.int32) - first
    return table[np.clip(index, 0, len(table) - 1)], depth


def padding(ds: Dataset, raw: np.ndarray) -> np.ndarray | None:
    """Where pixels only fill up the rectangle, bool (H, W), by the padding value and its range limit; or None."""
    if "PixelPaddingValue" not in ds or ds.PixelPaddingValue is None:
        return None
    one = number(ds, "PixelPaddingValue", 0)
    other = number(ds, "PixelPaddingRangeLimit", one)
    if ds.PixelRepresentation == 1 and raw.dtype.itemsize == 2:
        one, other = (end - 2**16 if end >= 2**15 else end for end in (one, other))  # written unsigned
    mask = (raw >= min(one, other)) & (raw <= max(one, other))
    return mask if mask.any() and not mask.all() else None


def darken(values: np.ndarray, mask: np.ndarray | None, inverted: bool) -> None:
    """Give masked padding the value of the darkest true pixel, in place.

    Only where it reaches the edge: some files declare a padding value that occurs inside the body too.
    """
    if mask is None:
        return
    from scipy.ndimage import label

    regions, _ = label(mask)
    edge = np.unique(np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]]))
    outside = np.isin(regions, edge[edge > 0])
    true = values[~mask]
    values[outside] = true.max() if inverted else true.min()


def through_window(
    ds: Dataset,
    values: np.ndarray,
    mask: np.ndarray | None,
    whole_range: tuple[float, float] | None,
    inverted: bool,
    notes: list[str],
) -> tuple[np.ndarray, Window | None]:
    """Pixels in [0, 1] by VOI LUT, else the first window, else a robust range; then inversion. And the window used."""
    if ds.get("VOILUTSequence"):
        table, depth = look_up(values, ds, "VOILUTSequence")
        pixels = np.clip(table / np.float32(2**depth - 1), 0, 1)
        return (1 - pixels if inverted else pixels), None
    if ds.get("WindowCenter") is not None and ds.get("WindowWidth") is not None:
        function = str(ds.get("VOILUTFunction") or "LINEAR").strip().upper()
        try:
            window = Window(number(ds, "WindowCenter", np.nan), number(ds, "WindowWidth", np.nan), function)
            return apply_window(values, window, inverted), window
        except ValueError:
            notes.append("The brightness window in the file makes no sense; the film's own range is used.")
    if whole_range is None:
        sample = subsample(values, 512)
        sample = sample[~subsample(mask, 512)] if mask is not None else sample
        sample = sample if sample.size else values
        low, high = (float(end) for end in np.percentile(sample, ROBUST_RANGE))
        if low == high:
            low, high = float(values.min()), float(values.max())
    else:
        low, high = whole_range
    window = Window((low + high) / 2, high - low if high > low else 1.0, "LINEAR_EXACT")
    return apply_window(values, window, inverted), window


def inverts(ds: Dataset, photometric: str, notes: list[str]) -> bool:
    """Whether low values are meant to be bright: one inversion, whether one attribute says so or both do.

    The standard ties IDENTITY to MONOCHROME2 and INVERSE to MONOCHROME1 (PS3.3 C.8.11.3); a file that breaks the tie is
    taken at the word that asks for inversion, and noted.
    """
    shape = str(ds.get("PresentationLUTShape") or "").strip().upper()
    turned = photometric == "MONOCHROME1"
    if shape in ("IDENTITY", "INVERSE") and turned != (shape == "INVERSE"):
        notes.append("The file says two different things about which way is bright; check that bone is bright.")
    return turned or shape == "INVERSE"
