"""Pictures for the page: encoded parts of photos, thumbnails and masks, none of them exact."""

import io
import math
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from pipeline.align import Window
from pipeline.bands import cut_out
from pipeline.faces import Face
from pipeline.photo import Photo
from pipeline.request import Mask
from pipeline.studio.errors import MessageError

DISPLAY_PIXELS = 24_000_000
"""A larger photo is shown reduced."""

MASK_SIDE = 2048
"""Largest side of a mask's picture, in and out."""

FACE_THUMBNAIL = 160

Rgb = NDArray[np.uint8]


def display_size(width: int, height: int) -> tuple[int, int]:
    """Size at which a photo is shown."""
    factor = min(1.0, math.sqrt(DISPLAY_PIXELS / (width * height)))
    return max(1, round(width * factor)), max(1, round(height * factor))


def bytes_of(photo: Photo, window: Window | None = None) -> Rgb:
    """A photo's window, or all of it, as 8-bit RGB [h, w, 3]."""
    part = photo if window is None else cut_out(photo, window)
    if part.mode == "RGB" and part.pixels.dtype == np.uint8:
        return np.asarray(part.pixels, np.uint8)
    return (part.rgb() * 255).round().astype(np.uint8)


def to_jpeg(rgb: Rgb, photo: Photo, *, quality: int = 90, fine: bool = False) -> bytes:
    """Encode; the photo's colour profile goes along where it is one of RGB.

    Args:
        rgb: [h, w, 3].
        photo: Whose colours they are.
        quality: Of the JPEG.
        fine: Keep the colours at full resolution.
    """
    profile = photo.metadata.icc_profile if photo.mode.startswith("RGB") else None
    file = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(rgb))
    subsampling = 0 if fine else 2
    picture.save(file, "JPEG", quality=quality, subsampling=subsampling, icc_profile=profile)
    return file.getvalue()


def resized(rgb: Rgb, width: int, height: int) -> Rgb:
    """Reduce by area."""
    if rgb.shape[:2] == (height, width):
        return rgb
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def thumbnail(rgb: Rgb, side: int) -> Rgb:
    """Reduce so that neither side is longer."""
    factor = min(1.0, side / max(rgb.shape[:2]))
    height, width = (max(1, round(length * factor)) for length in rgb.shape[:2])
    return resized(rgb, width, height)


def face_picture(photo: Photo, face: Face) -> bytes:
    """A face with some of its surroundings, small."""
    x0, y0, x1, y1 = face.box
    half = 0.75 * max(x1 - x0, y1 - y0)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    window = (
        max(int(x - half), 0), max(int(y - half), 0),
        min(int(x + half) + 1, photo.width), min(int(y + half) + 1, photo.height),
    )  # fmt: skip
    return to_jpeg(thumbnail(bytes_of(photo, window), FACE_THUMBNAIL), photo)


def read_mask_picture(content: bytes, size: tuple[int, int]) -> Mask:
    """Read a mask that the page painted, and bring it to the size of the window it covers.

    Args:
        content: A PNG; alpha, or lightness where there is none, says how far a pixel may change.
        size: Width and height of the window, photo pixels.

    Raises:
        MessageError: It is no PNG, or too large.
    """
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            if max(picture.size) > MASK_SIDE:
                raise MessageError(f"a mask's picture has at most {MASK_SIDE} pixels a side")
            channel = "A" if "A" in picture.getbands() else None
            levels = np.asarray(picture.getchannel(channel) if channel else picture.convert("L"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise MessageError("the mask is not a readable PNG") from error
    return np.asarray(cv2.resize(levels, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def mask_picture(levels: Mask, most: int = MASK_SIDE) -> bytes:
    """A PNG, white with the levels as alpha, at most so many pixels a side."""
    factor = min(1.0, most / max(levels.shape))
    if factor < 1:
        size = max(1, round(levels.shape[1] * factor)), max(1, round(levels.shape[0] * factor))
        levels = np.asarray(cv2.resize(levels, size, interpolation=cv2.INTER_AREA), np.uint8)
    white = np.full_like(levels, 255)
    file = io.BytesIO()
    Image.fromarray(np.dstack([white, levels]), "LA").save(file, "PNG", compress_level=3)
    return file.getvalue()


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file; a writer for `write_atomically`."""
    path.write_bytes(content)
