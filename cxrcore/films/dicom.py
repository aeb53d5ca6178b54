"""Read a DICOM film into pixels that are bright where the body is dense, in the order of PS3.3 C.11.

Only the elements named here are read: patient data never leave the file's bytes, but for an age in years. pydicom is
imported with the first DICOM.
"""

from __future__ import annotations

import io
import logging
import re
import warnings
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cxrcore.errors import UnreadableImage
from cxrcore.films.quality import in_colour, subsample
from cxrcore.films.spacing import SPACING_TAGS, Spacing, read_spacing
from cxrcore.films.windowing import Window, darken, inverts, modality_values, number, padding, through_window

if TYPE_CHECKING:
    from pydicom import Dataset

_FILMS = ("CR", "DX", "RG")
_OTHER_KINDS = {
    "CT": "a CT slice",
    "MR": "an MR slice",
    "US": "an ultrasound image",
    "IVUS": "an ultrasound image",
    "MG": "a mammogram",
    "PT": "a PET image",
    "NM": "a nuclear medicine image",
    "PX": "a dental film",
    "IO": "a dental film",
    "BMD": "a bone density scan",
    "XC": "a photograph",
    "ES": "an endoscopy picture",
    "GM": "a microscopy picture",
    "SM": "a microscopy picture",
    "OP": "an eye photograph",
    "OPT": "an eye scan",
    "OCT": "a tissue scan",
    "RTIMAGE": "a radiotherapy image",
    "RTDOSE": "a radiotherapy dose map",
    "SEG": "a segmentation",
    "DOC": "a document",
    "ECG": "an electrocardiogram",
}
_SOP_MODALITIES = {  # storage classes, for files that leave Modality out
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.2.1": "CT",
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.4.1": "MR",
    "1.2.840.10008.5.1.4.1.1.6.1": "US",
    "1.2.840.10008.5.1.4.1.1.20": "NM",
    "1.2.840.10008.5.1.4.1.1.128": "PT",
    "1.2.840.10008.5.1.4.1.1.1.2": "MG",
    "1.2.840.10008.5.1.4.1.1.1.2.1": "MG",
}
_FRONT = ("PA", "AP")
_SIDE = ("LL", "RL", "LAT", "LATERAL")
_CHEST_WORDS = ("CHEST", "THORAX", "LUNG", "RIB", "TORAX", "TRUNK", "HEART", "BRONCH")

_TAGS = [
    "SOPClassUID", "Modality", "ViewPosition", "BodyPartExamined", "PresentationIntentType", "SamplesPerPixel",
    "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows", "Columns", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit", "WindowCenter",
    "WindowWidth", "VOILUTFunction", "VOILUTSequence", "RescaleIntercept", "RescaleSlope", "ModalityLUTSequence",
    "PresentationLUTShape", "PixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
    "RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData", "PatientAge", *SPACING_TAGS,
]  # fmt: skip

_VRS = (b"AE", b"AS", b"CS", b"DA", b"DS", b"IS", b"LO", b"OB", b"OW", b"PN", b"SH", b"TM", b"UI", b"UL", b"US")
_DEFLATED = b"1.2.840.10008.1.2.1.99"


@dataclass(frozen=True, eq=False)
class DicomFilm:
    """The result of ``read_dicom``; fields as in ``Radiograph``."""

    pixels: np.ndarray
    bits: int
    bits_stored: int
    encoding: str
    notes: tuple[str, ...]
    stored: np.ndarray
    window: Window | None
    inverted: bool
    view: str
    colour: bool
    step: float
    spacing: Spacing | None
    age_years: int | None


def looks_like_dicom(data: bytes) -> bool:
    """Whether bytes are DICOM, with the 128-byte preamble or straight from the first element."""
    if data[128:132] == b"DICM":
        return True
    group = data[:2]
    if group in (b"\x02\x00", b"\x08\x00"):
        return data[4:6] in _VRS or (data[2:4] <= b"\x18\x00" and data[5:8] == b"\0\0\0" and len(data) > 132)
    return group == b"\x00\x08" and data[4:6] in _VRS  # big endian


def read_dicom(data: bytes, called: str, *, max_pixels: int, max_bytes: int) -> DicomFilm:
    """Read one film: stored values, modality LUT or rescale, VOI LUT or first window, and inversion last.

    ``called`` is how messages name the file. Raises UnreadableImage with one sentence when the bytes are damaged, hold
    no image, several frames, another kind of scan, too many pixels, or a compression that cannot be unpacked.
    """
    ds = _parse(data, called, max_bytes)
    if "PixelData" not in ds or not ds.PixelData:
        raise UnreadableImage(f"{called} is a DICOM file without an image, or was cut short before it.")
    notes = _check_kind(ds, called)
    _check_syntax(ds, called)
    _check_size(ds, called, max_pixels)
    raw = _decode(ds, called)
    try:
        return _develop(ds, raw, notes)
    except Exception:  # elements of the wrong type, tables of the wrong length
        raise UnreadableImage(f"{called} is a DICOM file whose description of its image is damaged.") from None


def _parse(data: bytes, called: str, max_bytes: int) -> Dataset:
    """The elements in _TAGS and the file's meta information."""
    import pydicom
    from pydicom import uid

    if _inflates_beyond(data, max_bytes):
        raise UnreadableImage(f"{called} unpacks to more than {max_bytes // 1_000_000} MB, the most that is read.")
    # pydicom quotes elements when it warns, and no log should hold them
    warnings.filterwarnings("ignore", module="pydicom")
    logging.getLogger("pydicom").setLevel(logging.ERROR)
    try:
        ds = pydicom.dcmread(io.BytesIO(data), force=True, specific_tags=_TAGS)
        if "TransferSyntaxUID" not in ds.file_meta:
            implicit, little = ds.original_encoding
            plain = uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian
            ds.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian if implicit else plain
        for tag in list(ds.keys()):
            _ = ds[tag].value  # converts, so that a malformed element shows here
    except Exception:  # pydicom raises whatever hostile bytes lead it to
        raise UnreadableImage(f"{called} is a DICOM file that is cut short or damaged.") from None
    return ds


def _inflates_beyond(data: bytes, limit: int) -> bool:
    """Whether a deflated data set unpacks to more than ``limit`` bytes (pydicom would unpack all of it)."""
    from pydicom.filereader import _read_file_meta_info, read_preamble

    if _DEFLATED not in data:
        return False
    file = io.BytesIO(data)
    try:
        read_preamble(file, force=True)
        _read_file_meta_info(file)  # as dcmread does, so that both unpack from the same byte
        return len(zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[file.tell() :], limit + 1)) > limit
    except Exception:  # damaged, or only mentions that syntax: pydicom says so next
        return False


def _check_kind(ds: Dataset, called: str) -> list[str]:
    """Notes on what the file says it shows. Raises UnreadableImage for anything but a single plain film."""
    modality = str(ds.get("Modality") or "").strip().upper()
    if modality in ("", "OT", "SC"):
        modality = _SOP_MODALITIES.get(str(ds.get("SOPClassUID") or ""), modality)
    if modality in _OTHER_KINDS:
        raise UnreadableImage(
            f"{called} is {_OTHER_KINDS[modality]}, not a plain radiograph (DICOM modality CR or DX)."
        )
    frames = number(ds, "NumberOfFrames", 1)
    if frames > 1:
        raise UnreadableImage(f"{called} holds {frames:.0f} frames; one single film is needed.")
    notes = []
    if modality in ("RF", "XA"):
        notes.append("The file says this is a fluoroscopy image, not a plain chest film.")
    elif modality not in _FILMS:
        notes.append("The file does not say that it is a plain radiograph (DICOM modality CR or DX).")
    part = str(ds.get("BodyPartExamined") or "").upper()
    if part and not any(word in part for word in _CHEST_WORDS):
        notes.append("The file says that it shows a body part other than the chest.")
    if _view(ds) in _SIDE:
        notes.append("The file says that this is a side view; front views (PA or AP) are expected.")
    if str(ds.get("PresentationIntentType") or "") == "FOR PROCESSING":
        notes.append("The file holds unprocessed detector values; a version made for viewing is expected.")
    return notes


def _view(ds: Dataset) -> str:
    """The view position where it is one of the usual codes, else nothing: free text could say anything."""
    view = str(ds.get("ViewPosition") or "").strip().upper()
    return view if view in _FRONT + _SIDE or view in ("LLD", "RLD", "LLO", "RLO", "LPO", "RPO", "LAO", "RAO") else ""


def _age_years(ds: Dataset) -> int | None:
    """Whole years, at most 90, which names nobody (the limit of the US rule of de-identification); None if not said."""
    stated = re.fullmatch(r"(\d{3})([DWMY])", str(ds.get("PatientAge") or "").strip().upper())
    return min(90, int(stated[1]) // {"D": 365, "W": 52, "M": 12, "Y": 1}[stated[2]]) if stated else None


def _check_syntax(ds: Dataset, called: str) -> None:
    """Raises UnreadableImage for a transfer syntax that nothing installed here reads."""
    from pydicom.pixels.decoders.base import get_decoder

    try:
        readable = get_decoder(ds.file_meta.TransferSyntaxUID).is_available
    except Exception:  # unknown, or not an identifier at all
        readable = False
    if not readable:
        raise UnreadableImage(f"{called} is compressed or stored in a way (transfer syntax) that cannot be read here.")


def _check_size(ds: Dataset, called: str, max_pixels: int) -> None:
    """Raises UnreadableImage for sizes beyond the limit, in the header or in the compressed stream itself."""
    size = rows, columns = int(number(ds, "Rows", 0)), int(number(ds, "Columns", 0))
    if rows < 1 or columns < 1:
        raise UnreadableImage(f"{called} is a DICOM file without an image.")
    coded: tuple[int, int] | None = size
    syntax = ds.file_meta.TransferSyntaxUID
    if syntax.is_encapsulated and "JPEG" in syntax.name:
        from pydicom.encaps import get_frame

        try:
            coded = coded_size(get_frame(ds.PixelData, 0, number_of_frames=1))
        except Exception:  # pydicom raises whatever hostile bytes lead it to
            coded = None
    if rows * columns > max_pixels or (coded and coded[0] * coded[1] > max_pixels):
        most = max_pixels // 1_000_000
        raise UnreadableImage(f"{called} has more than {most} million pixels, the most that is read.")
    if coded != size:
        raise UnreadableImage(f"{called} is a DICOM file whose image is cut short or damaged.")


def coded_size(stream: bytes) -> tuple[int, int] | None:
    """Height and width that a JPEG, JPEG-LS or JPEG 2000 stream states; None where its start is malformed."""

    def read(at: int, length: int = 2) -> int:
        return int.from_bytes(stream[at : at + length], "big")

    at = 0
    if stream[4:8] == b"jP  ":  # a JP2 file around the JPEG 2000 stream
        while stream[at + 4 : at + 8] != b"jp2c":
            if read(at, 4) < 8 or at > len(stream):
                return None
            at += read(at, 4)
        at += 8
    if read(at, 4) == 0xFF4FFF51:  # JPEG 2000: the SIZ segment
        return read(at + 12, 4) - read(at + 20, 4), read(at + 8, 4) - read(at + 16, 4)
    if read(at) != 0xFFD8:
        return None
    at += 2
    while at + 9 < len(stream):
        marker = read(at)
        if marker == 0xFFF7 or (0xFFC0 <= marker <= 0xFFCF and marker not in (0xFFC4, 0xFFC8, 0xFFCC)):
            return read(at + 5), read(at + 7)
        if marker < 0xFF00:
            return None
        at += 2 + read(at + 2)
    return None


def _decode(ds: Dataset, called: str) -> np.ndarray:
    """Stored values, (H, W) or (H, W, 3), unused high bits cleared and signs restored."""
    from pydicom.pixels.utils import pixel_array

    syntax = ds.file_meta.TransferSyntaxUID
    try:
        spare = 0
        if not syntax.is_encapsulated and ds.SamplesPerPixel == 1:
            high = number(ds, "HighBit", ds.BitsStored - 1)
            spare = int(min(high + 1, ds.BitsAllocated) - ds.BitsStored)  # values sit higher than bit 0: older files
        if spare > 0:
            ds.BitsStored += spare
        raw = pixel_array(ds)
        if spare > 0:
            ds.BitsStored -= spare
            raw = raw >> spare
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # decoders raise whatever hostile bytes lead them to; pylibjpeg-rle's panics are no Exception
        raise UnreadableImage(f"{called} is a DICOM file whose image is cut short or damaged.") from None
    return raw


def _develop(ds: Dataset, raw: np.ndarray, notes: list[str]) -> DicomFilm:
    """From stored values to display, in the standard's order."""
    from pydicom.pixels.processing import apply_color_lut

    bits, photometric, colour = int(ds.BitsStored), str(ds.PhotometricInterpretation).strip(), False
    if photometric == "PALETTE COLOR":
        raw = apply_color_lut(raw, ds)
        bits = raw.dtype.itemsize * 8
    window: Window | None = None
    if raw.ndim == 3:
        white = np.float32(2**bits - 1)
        values = raw[..., :3].astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
        colour = in_colour((subsample(raw[..., :3], 128) / white * 255).astype(np.uint8))
        pixels = np.clip(values / white, 0, 1)
        inverted = False
    else:
        mask = padding(ds, raw)
        values, whole_range = modality_values(ds, raw, bits)
        inverted = inverts(ds, photometric, notes)
        darken(values, mask, inverted)
        pixels, window = through_window(ds, values, mask, whole_range, inverted, notes)
    return DicomFilm(
        pixels=pixels,
        bits=bits,
        bits_stored=max(bits, int(ds.BitsAllocated)),
        encoding=_encoding(ds),
        notes=tuple(notes),
        stored=values,
        window=window,
        inverted=inverted,
        view=_view(ds),
        colour=colour,
        step=1.0 if ds.get("ModalityLUTSequence") else abs(number(ds, "RescaleSlope", 1)) or 1.0,
        spacing=read_spacing(ds),
        age_years=_age_years(ds),
    )


def _encoding(ds: Dataset) -> str:
    """How the pixels lay in the file: "DICOM", "DICOM (JPEG 2000)", ..."""
    name = ds.file_meta.TransferSyntaxUID.name
    for sign, short in (
        ("High-Throughput", "HTJ2K"),
        ("JPEG 2000", "JPEG 2000"),
        ("JPEG-LS", "JPEG-LS"),
        ("JPEG Lossless", "JPEG lossless"),
        ("JPEG", "JPEG"),
        ("RLE", "RLE"),
        ("Deflated", "deflated"),
        ("Big Endian", "big endian"),
    ):
        if sign in name:
            return f"DICOM ({short})"
    return "DICOM"
