"""Read a film from a file of any supported kind into one ``Radiograph``, bright where the body is dense.

The content decides the kind, not the extension. Sizes are checked in the header, before anything is decoded.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from cxrcore.errors import UnreadableImage
from cxrcore.films.dicom import looks_like_dicom, read_dicom
from cxrcore.films.quality import in_colour, warnings_for
from cxrcore.films.spacing import Spacing
from cxrcore.films.windowing import Window

MAX_BYTES = 200_000_000
MAX_PIXELS = 80_000_000  # several times the largest X-ray detectors, and below the size at which Pillow itself warns

COLOUR_WARNING = "This is a colour picture; a chest film is grey."
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
_READS = "PNG, JPEG, TIFF, BMP, WebP and DICOM"
_ENCODINGS = {"MPO": "JPEG", "DIB": "BMP", "WEBP": "WebP"}
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_WHITE_IS_ZERO = 0  # TIFF tag 262, PhotometricInterpretation


@dataclass(frozen=True, eq=False)
class Radiograph:
    """One film with its bit depth, encoding and warnings; holds no patient data but an age in years."""

    pixels: np.ndarray  # float32, shape (H, W), in [0, 1], bright = dense (MONOCHROME2 sense), read-only
    bits: int  # bit depth the values use: 12 for a 12-bit film in a 16-bit file
    bits_stored: int  # bit depth of the container: 16 for that film
    encoding: str  # "PNG", "JPEG", "DICOM (JPEG 2000)", ...
    warnings: tuple[str, ...] = ()  # plain sentences, ready to show
    name: str | None = None  # as the caller gave it, never read from inside the file
    stored: np.ndarray | None = None  # float32 (H, W), values before the window (DICOM modality units), read-only
    window: Window | None = None  # the window that made pixels from stored; None if there was none, or a table
    inverted: bool = False  # whether brightness was turned round after the window (MONOCHROME1)
    view: str = ""  # "PA", "AP", "LL", ... where a DICOM says so
    step: float = 1.0  # between neighbouring values of stored: a DICOM's rescale slope
    spacing: Spacing | None = None  # millimetres, where a DICOM says so
    age_years: int | None = None  # at most 90, where a DICOM says so; shown, and part of no report

    def __post_init__(self) -> None:
        if self.pixels.ndim != 2 or self.pixels.dtype != np.float32:
            raise ValueError(f"expected float32 pixels of shape (H, W), got {self.pixels.dtype} {self.pixels.shape}")
        for field in ("pixels", "stored"):
            array = getattr(self, field)
            if array is not None:
                view = array.view()  # the caller's own array stays writable
                view.flags.writeable = False
                object.__setattr__(self, field, view)

    def corrected(self, turn: int = 0, invert: bool = False, mirror: bool = False) -> Radiograph:
        """The film after ``turn`` quarter turns, counter-clockwise; then ``mirror`` exchanges left and right, and
        ``invert`` black and white.
        """

        def moved(values: np.ndarray) -> np.ndarray:
            turned = np.rot90(values, turn)
            return np.ascontiguousarray(turned[:, ::-1] if mirror else turned)

        pixels = moved(1 - self.pixels if invert else self.pixels)
        stored = None if self.stored is None else moved(self.stored)
        spacing = self.spacing and self.spacing.turned(turn)
        notes = tuple(note for note in self.warnings if note not in warnings_for(self.pixels))
        warnings = (*notes, *warnings_for(pixels))
        inverted = self.inverted != invert
        return replace(self, pixels=pixels, stored=stored, inverted=inverted, warnings=warnings, spacing=spacing)

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])


def read_radiograph(source: str | Path | bytes | BinaryIO, *, name: str | None = None) -> Radiograph:
    """Read one film from a path, from bytes, or from an open binary file.

    Raises UnreadableImage, with one sentence that calls the file by the last part of ``name`` (or of the path), when it
    is missing, empty, damaged, too large, or not a single radiograph.
    """
    if name is None and isinstance(source, str | Path):
        name = Path(source).name
    called = _calling(name)
    data = _bytes_of(source, called)
    if looks_like_dicom(data):
        film = read_dicom(data, called, max_pixels=MAX_PIXELS, max_bytes=MAX_BYTES)
        notes = (*film.notes, COLOUR_WARNING) if film.colour else film.notes
        return Radiograph(
            pixels=film.pixels,
            bits=film.bits,
            bits_stored=film.bits_stored,
            encoding=film.encoding,
            warnings=(*notes, *warnings_for(film.pixels)),
            name=name,
            stored=film.stored,
            window=film.window,
            inverted=film.inverted,
            view=film.view,
            step=film.step,
            spacing=film.spacing,
            age_years=film.age_years,
        )
    return _read_picture(data, called, name)


def _calling(name: str | None) -> str:
    """How messages call the file: the last part of its name in quotes, or "The file"."""
    last = re.split(r"[\\/]", name)[-1] if name else ""
    return repr(last if len(last) <= 80 else last[:77] + "...") if last else "The file"


def _bytes_of(source: str | Path | bytes | BinaryIO, called: str) -> bytes:
    """The whole file. Raises UnreadableImage when it is missing, empty or over MAX_BYTES."""
    if isinstance(source, str | Path):
        try:
            with open(source, "rb") as file:
                data = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            raise UnreadableImage(f"{called} was not found.") from None
        except (OSError, ValueError):  # a folder, no permission, a name the system refuses
            raise UnreadableImage(f"{called} could not be opened.") from None
    elif isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
    else:
        data = source.read(MAX_BYTES + 1)
    if not data:
        raise UnreadableImage(f"{called} is empty (0 bytes).")
    if len(data) > MAX_BYTES:
        raise UnreadableImage(f"{called} is larger than {MAX_BYTES // 1_000_000} MB, the most that is read.")
    return data


def _read_picture(data: bytes, called: str, name: str | None) -> Radiograph:
    """A film from PNG, JPEG, TIFF, BMP or WebP."""
    image = _open(data, called)
    if image is None:
        return _read_rare_tiff(data, called, name)
    encoding = _ENCODINGS.get(str(image.format), str(image.format))
    try:
        tags = image.tag_v2 if image.format == "TIFF" else {}  # type: ignore[attr-defined]
        white_is_zero = tags.get(262) == _WHITE_IS_ZERO
        deep = _container_bits(image, tags, data)
        notes = _pages(image) if image.format == "TIFF" else []
        image.load()
    except Exception:  # decoders raise whatever hostile bytes lead them to
        raise UnreadableImage(f"{called} is cut short or damaged and cannot be read whole.") from None
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except Exception:  # a damaged EXIF block says nothing about the picture
        notes.append("The file's note on which way is up is damaged; check that the film is upright.")

    if image.mode.startswith(("I", "F")):
        values = np.asarray(image)
        pixels, bits = _scaled(values, white_is_zero, notes)  # Pillow turns 8-bit files round itself and leaves these
    else:
        pixels, bits = _grey(image, notes), min(8, deep)
        if deep > 8:
            notes.append("16-bit colour is read at 8 bits; save the film as 16-bit grayscale to keep its depth.")
    return Radiograph(pixels, bits, max(deep, bits), encoding, (*notes, *warnings_for(pixels)), name)


def _scaled(values: np.ndarray, white_is_zero: bool, notes: list[str]) -> tuple[np.ndarray, int]:
    """Float32 in [0, 1], bright = dense, and the bit depth used; adds a note when the range was guessed."""
    scale = scale_floats if values.dtype.kind == "f" else scale_integers
    pixels, bits, stretched = scale(values)
    if stretched:
        notes.append("The file does not say which values are black and white; its darkest and brightest are used.")
    return (_inverted(pixels) if white_is_zero else pixels), bits


def _read_rare_tiff(data: bytes, called: str, name: str | None) -> Radiograph:
    """An uncompressed TIFF whose numbers Pillow does not know: floats of 16 or 64 bits, some big-endian kinds."""
    import tifffile

    notes: list[str] = []
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages.first
            # uncompressed and all there: decoding can then need no more memory than the file has bytes
            plain = page.compression == 1 and not page.is_tiled and page.nbytes <= len(data)
            fits = page.imagewidth * page.imagelength * page.imagedepth <= MAX_PIXELS
            values = page.asarray() if plain and fits else None
            white_is_zero = page.photometric == _WHITE_IS_ZERO
        if values is not None and values.ndim == 3 and values.shape[-1] in (3, 4) and values.dtype.kind in "uf":
            levels, _ = _scaled(values[..., :3], False, notes)
            if in_colour((levels * 255).astype(np.uint8)):
                notes.append(COLOUR_WARNING)
            grey = values[..., :3] @ np.array([0.299, 0.587, 0.114])
            values = grey if values.dtype.kind == "f" else np.rint(grey).astype(values.dtype)
        if values is not None and values.ndim == 2 and values.dtype.kind in "uif":
            pixels, bits = _scaled(values, white_is_zero, notes)
            deep = values.dtype.itemsize * 8
            return Radiograph(pixels, bits, deep, "TIFF", (*notes, *warnings_for(pixels)), name)
    except Exception:  # decoders raise whatever hostile bytes lead them to
        raise UnreadableImage(f"{called} is a TIFF that is damaged, or of a kind that cannot be read here.") from None
    raise UnreadableImage(f"{called} is a TIFF too large or of a kind that cannot be read here.")


def _open(data: bytes, called: str) -> Image.Image | None:
    """An image whose header was read and found fit to decode; None for a TIFF Pillow does not know.

    Raises UnreadableImage.
    """
    too_many = f"{called} has more than {MAX_PIXELS // 1_000_000} million pixels, the most that is read."
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
        animated = image.format in ("PNG", "WEBP") and getattr(image, "is_animated", False)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UnreadableImage(too_many) from None
    except UnidentifiedImageError:
        if data[:4] in _TIFF_STARTS:
            return None
        raise UnreadableImage(f"{called} {_what_else(data)}.") from None
    except Exception:  # decoders raise whatever hostile bytes lead them to
        raise UnreadableImage(f"{called} is damaged and cannot be read.") from None
    if image.width * image.height > MAX_PIXELS:
        raise UnreadableImage(too_many)
    if animated:
        raise UnreadableImage(f"{called} is an animation; one still film is needed.")
    return image


def _pages(image: Image.Image) -> list[str]:
    """A note when a TIFF has more than one page."""
    try:
        image.seek(1)
    except EOFError:
        return []
    except Exception:  # a broken second page does not spoil the first
        pass
    image.seek(0)
    return ["The file has several pages; only the first is read."]


def _container_bits(image: Image.Image, tags: Mapping[int, Any], data: bytes) -> int:
    """Bits a sample takes in the file, from its header; ``tags`` are a TIFF's."""
    if image.format == "PNG":
        return data[24]
    if image.format == "TIFF":
        return int(np.max(tags.get(258, 1)))
    return 1 if image.mode == "1" else 8


def _grey(image: Image.Image, notes: list[str]) -> np.ndarray:
    """Float32 grey of an 8-bit image in any mode, alpha over black; adds a note when it is in colour."""
    alpha = None
    if image.has_transparency_data:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            alpha = np.asarray(image.getchannel("A"))
    if image.mode not in ("1", "L", "LA", "RGB", "RGBA"):
        image = image.convert("RGB")
    if image.mode.startswith("RGB"):
        small = image.resize((min(image.width, 128), min(image.height, 128)), Image.Resampling.NEAREST)
        if in_colour(np.asarray(small)[..., :3]):
            notes.append(COLOUR_WARNING)
    pixels: np.ndarray = np.divide(np.asarray(image if image.mode == "L" else image.convert("L")), np.float32(255))
    if alpha is not None:
        pixels *= alpha
        pixels /= np.float32(255)
    return pixels


def scale_integers(values: np.ndarray) -> tuple[np.ndarray, int, bool]:
    """Whole numbers as float32 in [0, 1], the bit depth they use, and whether their range had to be guessed.

    A film keeps its own depth inside a deeper file: with a maximum of 4,095, white is 4,095 and not 65,535. Zeros in
    all low bits mean values shifted up to fill the file, and 257 × v is an 8-bit film widened to 16; both are given
    the depth they had, so an 8-bit film and its 16-bit copies agree.
    """
    lowest, highest = int(values.min()), int(values.max())
    if lowest < 0 or highest.bit_length() > 24:
        return *scale_floats(values)[:2], True
    used = int(np.bitwise_or.reduce(values, axis=None))
    shift = (used & -used).bit_length() - 1 if used else 0
    depth = max(8, highest.bit_length() + highest.bit_length() % 2)
    if shift >= 8 and depth <= 16:
        depth = 16
    white = (2**depth - 1) >> shift << shift
    bits = max(depth - shift, 1)
    if depth == 16 and bits > 8 and (values[::4, ::4] >> 8 == values[::4, ::4] & 255).all():
        bits = 8
    return np.divide(values, np.float32(white), dtype=np.float32), bits, False


def scale_floats(values: np.ndarray) -> tuple[np.ndarray, int, bool]:
    """Numbers as float32 in [0, 1]: kept if they are there, else stretched from least to most (then True); 32 bits."""
    values = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    lowest, highest = float(values.min()), float(values.max())
    if lowest >= 0 and highest <= 1:
        return values, 32, False
    values -= np.float32(lowest)
    values /= np.float32(max(highest - lowest, 1e-30))
    return np.clip(values, 0, 1, out=values), 32, True


def _inverted(pixels: np.ndarray) -> np.ndarray:
    """Inverted brightness, in place."""
    np.subtract(np.float32(1), pixels, out=pixels)
    return pixels


def _what_else(data: bytes) -> str:
    """What bytes that are no picture seem to be, as the end of a sentence."""
    head = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n")
    if data[4:8] == b"ftyp":
        picture = data[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"avif")
        kind = "a HEIC or AVIF photo" if picture else "a video"
    elif data[:4] == b"\x1a\x45\xdf\xa3" or (data[:4] == b"RIFF" and data[8:12] == b"AVI "):
        kind = "a video"
    elif head[:4] == b"%PDF":
        kind = "a PDF document"
    elif data[:4] == b"PK\x03\x04" or data[:2] == b"\x1f\x8b" or data[:4] in (b"Rar!", b"7z\xbc\xaf"):
        kind = "a compressed archive or office document"
    elif data[:4] == b"GIF8":
        kind = "a GIF picture"
    elif head[:1] == b"<":
        kind = "a web page or another kind of markup"
    elif data[:8] == b"\x89PNG\r\n\x1a\n" or data[:3] == b"\xff\xd8\xff" or data[:4] in (b"II*\0", b"MM\0*", b"RIFF"):
        return "is cut short or damaged and cannot be read"
    elif all(byte >= 32 or byte in b"\t\r\n\f" for byte in head):
        kind = "text"
    else:
        return f"is not an image that can be read here; supported are {_READS}"
    return f"is {kind}, not a film; supported are {_READS}"
