"""The bytes of a file to pixels in the file's own mode and bit depth."""

import importlib
import io
import re
import struct
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from pipeline.colour import Mode, Pixels
from pipeline.errors import BrokenPhotoError, NotAPhotoError, PhotoTooLargeError
from pipeline.metadata import PNG_SIGNATURE

MAX_PIXELS: Final = 178_000_000
"""Largest photo read by default; Pillow itself opens none that is much larger."""

KINDS: Final = {
    "JPEG": (".jpg", ".jpeg"),
    "MPO": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".pgm", ".ppm"),
    "HEIF": (".heic", ".heif"),
    "BMP": (),
    "GIF": (),
}
_OWN_MODES: Final[dict[str, Mode]] = {
    "L": "L", "LA": "LA", "RGB": "RGB", "RGBA": "RGBA", "CMYK": "CMYK", "P": "P"
}  # fmt: skip
_CONVERTED: Final[dict[str, Mode]] = {
    "1": "L", "La": "LA", "RGBa": "RGBA", "PA": "RGBA", "RGBX": "RGB", "YCbCr": "RGB",
    "LAB": "RGB", "HSV": "RGB",
}  # fmt: skip
_HEIF_BRANDS: Final = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
_PPM_HEADER: Final = re.compile(rb"P6(?:\s+|\s*#[^\n]*\n)+\d+\s+\d+\s+(\d+)\s")


def open_image(path: Path, encoded: bytes) -> Image.Image:
    """Open a file's bytes as Pillow's image, undecoded.

    Raises:
        NotAPhotoError: It is no picture, or of a kind that is not read.
        BrokenPhotoError: It is damaged.
        PhotoTooLargeError: Pillow itself refuses its size.
    """
    is_heif = encoded[4:8] == b"ftyp" and encoded[8:12] in _HEIF_BRANDS
    if is_heif and not register_heif():
        raise NotAPhotoError(f"{path} is HEIC, which needs: pip install 'photodrag[heic]'")
    # The JPEG reader finds MPO, a JPEG with more pictures behind the first, by itself.
    formats = [kind for kind in KINDS if kind != "MPO" and (kind != "HEIF" or is_heif)]
    Image.init()  # registers the kinds that Pillow loads only on demand
    try:
        return Image.open(io.BytesIO(encoded), formats=formats)
    except Image.DecompressionBombError as error:
        raise too_large(path, "too many pixels", MAX_PIXELS) from error
    except UnidentifiedImageError as error:
        what = "is empty" if not encoded else "is not a photo that can be read"
        raise NotAPhotoError(
            f"{path} {what}: use a JPEG, PNG, WebP, TIFF, PGM, PPM, BMP, GIF or HEIC file"
        ) from error
    except (OSError, SyntaxError, ValueError, struct.error) as error:
        raise BrokenPhotoError(
            f"{path} is cut short or damaged ({error}): get a complete copy of the file"
        ) from error


def too_large(path: Path, size: str, max_pixels: int) -> PhotoTooLargeError:
    """Make the error of a photo above the limit."""
    return PhotoTooLargeError(
        f"{path} has {size}, more than the limit of {max_pixels / 1e6:.0f} million: scale it down"
    )


def register_heif() -> bool:
    """Let Pillow open HEIC, where pillow-heif is installed."""
    try:
        importlib.import_module("pillow_heif").register_heif_opener()
    except ImportError:
        return False
    return True


def decode(
    path: Path, image: Image.Image, encoded: bytes
) -> tuple[Pixels, Mode, NDArray[np.uint8] | None, tuple[str, ...]]:
    """Return the loaded picture's pixels, mode, palette and notes."""
    mode = image.mode
    if mode.startswith("I;16") or (mode == "I" and image.format == "PPM"):
        return np.asarray(image).astype(np.uint16), "L", None, ()
    if _bits_per_channel(image, encoded) == 16:
        return _decode_deep(path, image, encoded)
    if mode == "P":
        return np.asarray(image), "P", _palette(image), ()
    if "transparency" in image.info and mode in ("L", "RGB"):
        opened: Mode = "LA" if mode == "L" else "RGBA"
        note = f"the transparent colour was converted to an alpha channel ({mode} to {opened})"
        return np.asarray(image.convert(opened)), opened, None, (note,)
    if mode in _OWN_MODES:
        return np.asarray(image), _OWN_MODES[mode], None, ()
    if mode in _CONVERTED:
        opened = _CONVERTED[mode]
        return (
            np.asarray(image.convert(opened)),
            opened,
            None,
            (f"{mode} was converted to {opened}",),
        )
    raise NotAPhotoError(
        f"{path} holds pixels of mode {mode}, which is not edited: "
        "convert it to 8 or 16 bits per channel"
    )


def turn(pixels: Pixels, orientation: int) -> Pixels:
    """Apply an EXIF orientation, of 1 to 8."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def _palette(image: Image.Image) -> NDArray[np.uint8]:
    colours = image.convert("P").getpalette("RGBA") or []
    palette = np.asarray(colours, np.uint8).reshape(-1, 4).copy()
    transparency = image.info.get("transparency")
    if isinstance(transparency, bytes):
        opacity = np.frombuffer(transparency, np.uint8)[: len(palette)]
        palette[: len(opacity), 3] = opacity
    elif isinstance(transparency, int) and transparency < len(palette):
        palette[transparency, 3] = 0
    return palette


def _bits_per_channel(image: Image.Image, encoded: bytes) -> int:
    if image.format == "PPM" and image.mode == "RGB":
        header = _PPM_HEADER.match(encoded)
        return 16 if header is not None and int(header[1]) > 255 else 8
    if encoded.startswith(PNG_SIGNATURE):
        return encoded[24]
    if isinstance(image, TiffImageFile):
        return int(image.tag_v2.get(258, (8,))[0])
    return 8


def _decode_deep(
    path: Path, image: Image.Image, encoded: bytes
) -> tuple[Pixels, Mode, NDArray[np.uint8] | None, tuple[str, ...]]:
    """Decode 16-bit colour, which Pillow would cut to 8 bits, with OpenCV."""
    pixels = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
    header = _PPM_HEADER.match(encoded)
    if header is not None and header[1] != b"65535":
        raise NotAPhotoError(
            f"{path} counts to {header[1].decode()} per channel: convert it to 65535, or to a PNG"
        )
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 3:
        raise NotAPhotoError(
            f"{path} holds 16-bit pixels of mode {image.mode}, which are not edited: "
            "convert it to 16-bit gray or RGB"
        )
    if pixels.shape[2] == 4:
        note = ("16-bit gray with alpha was converted to RGBA",) if image.mode == "LA" else ()
        return pixels[..., [2, 1, 0, 3]].astype(np.uint16), "RGBA", None, note
    return pixels[..., ::-1].astype(np.uint16), "RGB", None, ()
