"""Example films for the app and the README: synthetic, labelled as such in the picture, one of each kind of file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from cxrcore.phantom.film import Phantom, draw_phantom
from cxrcore.storage import write_json


@dataclass(frozen=True)
class Example:
    """One example film: its file, what to call it, and what is drawn."""

    file: str
    title: str
    seed: int
    findings: tuple[str, ...]
    size: tuple[int, int]


EXAMPLES = (
    Example("normal.png", "No finding", 27, (), (512, 512)),
    Example("consolidation.png", "A patch of consolidation", 142, ("Consolidation",), (512, 512)),
    Example("effusion.png", "Fluid beside a lung", 135, ("Effusion",), (512, 512)),
    Example("pneumothorax-16bit.png", "Air beside a lung (16-bit file)", 140, ("Pneumothorax",), (512, 512)),
    Example("cardiomegaly.dcm", "A large heart (DICOM, MONOCHROME1)", 130, ("Cardiomegaly",), (512, 512)),
    Example("nodule.png", "A nodule", 138, ("Nodule",), (768, 768)),
)


def write_examples(folder: str | Path) -> list[dict[str, Any]]:
    """Draw every example film into ``folder`` with an ``examples.json`` beside them; returns what that file lists."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    listed = []
    for example in EXAMPLES:
        phantom = draw_phantom(example.seed, example.findings, example.size, labelled=True)
        path = folder / example.file
        if path.suffix == ".dcm":
            write_dicom(phantom, path)
        elif "16bit" in path.name:  # of which 12 are used, as detectors leave them
            Image.fromarray(_to_integers(phantom.pixels, 12)).save(path, optimize=True)
        else:
            Image.fromarray(_to_integers(phantom.pixels, 8).astype(np.uint8)).save(path, optimize=True)
        listed.append(
            {
                "file": example.file,
                "title": example.title,
                "findings": list(phantom.findings),
                "boxes": {name: list(box) for name, box in phantom.boxes.items()},
                "seed": example.seed,
                "synthetic": True,
            }
        )
    write_json(folder / "examples.json", listed)
    return listed


def write_dicom(phantom: Phantom, path: str | Path) -> None:
    """Write a phantom as 12-bit MONOCHROME1 (dark = dense) in explicit VR little endian, with its window."""
    values = 4095 - _to_integers(phantom.pixels, 12)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["phantom", str(phantom.seed), "instance"])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = Dataset()
    ds.file_meta = meta
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.StudyInstanceUID = generate_uid(entropy_srcs=["phantom", str(phantom.seed), "study"])
    ds.SeriesInstanceUID = generate_uid(entropy_srcs=["phantom", str(phantom.seed), "series"])
    ds.PatientName, ds.PatientID = "SYNTHETIC", f"PHANTOM-{phantom.seed}"
    ds.Modality, ds.ViewPosition, ds.BodyPartExamined = "DX", "PA", "CHEST"
    ds.PhotometricInterpretation, ds.SamplesPerPixel = "MONOCHROME1", 1
    ds.Rows, ds.Columns = values.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "US"
    ds.WindowCenter, ds.WindowWidth, ds.VOILUTFunction = 2048, 4096, "LINEAR"
    ds.ImageComments = "SYNTHETIC film of no person; not for diagnosis"
    ds.PixelData = values.astype("<u2").tobytes()
    ds.save_as(path, enforce_file_format=True)


def _to_integers(pixels: np.ndarray, bits: int) -> np.ndarray:
    """Pixels in [0, 1] as uint16 from 0 to 2^bits - 1."""
    values: np.ndarray = np.rint(pixels * (2**bits - 1)).astype(np.uint16)
    return values
