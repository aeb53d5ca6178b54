"""Small made-up films, and DICOM files around them, for tests of reading."""

from __future__ import annotations

import io
import zlib
from typing import Any

import numpy as np
from PIL import Image
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

PATIENT = "Geheim^Otto"
BIRTH_DATE = "19450508"


def chest(bits: int = 8, height: int = 256, width: int = 240, seed: int = 0) -> np.ndarray:
    """A crude front view with noise: bright body, spine and abdomen, dark lungs and corners; uint8 or uint16 (H, W)."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]  # type: ignore[misc]
    film = 0.75 - 1.1 * ((x - 0.5) ** 2 + 0.3 * (y - 0.6) ** 2)
    for centre in (0.28, 0.72):
        film -= 0.4 * np.exp(-(((x - centre) / 0.13) ** 4) - ((y - 0.45) / 0.28) ** 4)
    film -= 0.5 * (y < 0.15) * (abs(x - 0.5) > 0.3)
    film += np.random.default_rng(seed).normal(0, 0.02, film.shape)
    film = (film - film.min()) / (film.max() - film.min())
    return np.rint(film * (2**bits - 1)).astype(np.uint8 if bits <= 8 else np.uint16)


def encoded(pixels: np.ndarray | Image.Image, kind: str, **options: Any) -> bytes:
    """An image file's bytes."""
    buffer = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(buffer, kind, **options)
    return buffer.getvalue()


def dataset(pixels: np.ndarray, bits: int | None = None, **elements: Any) -> Dataset:
    """A DX film of a patient with a name, values as given; elements override or, when None, delete."""
    allocated = pixels.dtype.itemsize * 8
    bits = bits or allocated
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.SOPClassUID, ds.SOPInstanceUID = DigitalXRayImageStorageForPresentation, generate_uid()
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = PATIENT, "0815-4711", BIRTH_DATE
    ds.Modality, ds.ViewPosition, ds.BodyPartExamined = "DX", "PA", "CHEST"
    ds.Rows, ds.Columns = pixels.shape[:2]
    ds.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    ds.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    if pixels.ndim == 3:
        ds.PlanarConfiguration = 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = allocated, bits, bits - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    ds.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    ds["PixelData"].VR = "OB" if allocated == 8 else "OW"
    for keyword, value in elements.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return ds


def table(entries: np.ndarray, first: int, bits: int) -> Sequence:
    """A modality or VOI LUT sequence of one table."""
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries) % 65536, first, bits])
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return Sequence([item])


def written(ds: Dataset) -> bytes:
    """A DICOM file's bytes, with preamble."""
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def png_of_size(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header promises a size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
