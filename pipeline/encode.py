"""Pixels and metadata to the bytes of a file, one function per kind of file."""

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from pipeline.colour import Mode, Pixels, to_rgb
from pipeline.metadata import EXIF_DIRECTORIES, Metadata, load_exif, with_chunks

_JPEG_SEGMENT: Final = 65_500
_STRIP: Final = 64
"""Rows of a strip of a TIFF."""
_DEFLATE, _RGB, _HORIZONTAL, _UNASSOCIATED = 8, 2, 2, 2
"""TIFF's numbers for zlib's compression, colour, differences along a row, and alpha as it is."""
_LOSSLESS_TIFF: Final = ("tiff_lzw", "tiff_adobe_deflate", "packbits", "raw")


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """What an encoder writes.

    Attributes:
        pixels: [H, W] or [H, W, C], 8 or 16 bits per channel.
        mode: Pillow's name of the channels.
        palette: [N, 4] colours of mode P, else None.
        metadata: What the file carries besides.
        notes: What had to be given up so far.
    """

    pixels: Pixels
    mode: Mode
    palette: NDArray[np.uint8] | None
    metadata: Metadata
    notes: tuple[str, ...] = ()

    @property
    def is_deep(self) -> bool:
        """Whether the channels have 16 bits."""
        return self.pixels.dtype == np.uint16

    @property
    def has_alpha(self) -> bool:
        """Whether some kind of transparency is stored."""
        in_palette = self.palette is not None and bool((self.palette[:, 3] < 255).any())
        return self.mode in ("LA", "RGBA") or in_palette

    def image(self) -> Image.Image:
        """Return the picture as Pillow's, without metadata."""
        image = Image.fromarray(self.pixels, None if self.is_deep else self.mode)
        if self.palette is not None:
            image.putpalette(self.palette[:, :3].tobytes())
        return image


Encoder = Callable[[Picture], tuple[bytes, tuple[str, ...]]]


def encode_jpeg(picture: Picture) -> tuple[bytes, tuple[str, ...]]:
    """Encode as JPEG, with the source's own tables and subsampling where it was a JPEG."""
    picture = _without_alpha(_eight_bit(_without_palette(picture)), "JPEG")
    metadata, jpeg = picture.metadata, picture.metadata.jpeg
    options: dict[str, object] = {"quality": 95, "subsampling": 0}
    if jpeg is not None:
        tables = [list(table) for table in jpeg.tables]
        layers = 1 if picture.mode == "L" else len(tables)
        options = {
            "qtables": tables[:layers],
            "subsampling": max(jpeg.subsampling, 0),
            "progressive": jpeg.progressive,
            "comment": jpeg.comment,
            "extra": _segment(0xED, jpeg.photoshop),
        }
    notes = picture.notes
    if metadata.exif and len(metadata.exif) > _JPEG_SEGMENT:
        notes += ("the EXIF block is too large for a JPEG and was left out",)
        metadata = replace(metadata, exif=None)
    if metadata.xmp and len(metadata.xmp) > _JPEG_SEGMENT:
        notes += ("the XMP packet is too large for a JPEG and was left out",)
        metadata = replace(metadata, xmp=None)
    return _save(picture.image(), "JPEG", metadata, **options), notes


def encode_png(picture: Picture) -> tuple[bytes, tuple[str, ...]]:
    """Encode as PNG, of 8 or 16 bits."""
    picture = _without_ink(picture, "PNG")
    if picture.is_deep:
        png = _opencv_bytes(".png", picture)
    else:
        buffer = io.BytesIO()
        opacity = picture.palette[:, 3].tobytes() if picture.palette is not None else None
        options = {"transparency": opacity} if picture.has_alpha and opacity else {}
        picture.image().save(buffer, "PNG", **options)
        png = buffer.getvalue()
    return with_chunks(png, picture.metadata), picture.notes


def encode_webp(picture: Picture) -> tuple[bytes, tuple[str, ...]]:
    """Encode as lossless WebP, with the colours under transparent pixels kept."""
    picture = _eight_bit(_without_palette(_without_ink(picture, "WebP")))
    image = picture.image().convert("RGBA" if picture.has_alpha else "RGB")
    return _save(image, "WEBP", picture.metadata, lossless=True, exact=True), picture.notes


def encode_tiff(picture: Picture) -> tuple[bytes, tuple[str, ...]]:
    """Encode as TIFF, losslessly, of 8 or 16 bits."""
    if picture.has_alpha and picture.palette is not None:
        picture = _without_palette(picture)
    if picture.is_deep and picture.mode != "L":
        return _deep_tiff(picture), picture.notes
    own = picture.metadata.tiff_compression
    compression = own if own in _LOSSLESS_TIFF else "tiff_adobe_deflate"
    metadata = replace(picture.metadata, xmp=None)
    if _has_directories(metadata):
        compression = None  # libtiff, which compresses, cannot write EXIF's own directories
    options: dict[str, object] = {"compression": compression}
    exif = load_exif(metadata.exif or b"")
    if picture.metadata.xmp:
        exif[ExifTags.Base.XMLPacket] = picture.metadata.xmp
    return _save(picture.image(), "TIFF", metadata, exif=exif, **options), picture.notes


def encode_portable(picture: Picture) -> tuple[bytes, tuple[str, ...]]:
    """Encode as PGM or PPM, of 8 or 16 bits, which hold nothing but pixels."""
    picture = _without_alpha(_without_palette(_without_ink(picture, "PPM")), "PPM")
    carried = (picture.metadata.exif, picture.metadata.xmp, picture.metadata.icc_profile)
    notes = picture.notes
    if any(carried):
        notes += ("PGM and PPM hold nothing but pixels: all metadata were left out",)
    return _opencv_bytes(".pgm" if picture.mode == "L" else ".ppm", picture), notes


def encode_heif(picture: Picture) -> tuple[bytes, tuple[str, ...]]:
    """Encode as HEIF through pillow-heif."""
    picture = _eight_bit(_without_palette(_without_ink(picture, "HEIC")))
    return _save(picture.image(), "HEIF", picture.metadata, quality=95), picture.notes


def _save(image: Image.Image, kind: str, metadata: Metadata, **options: object) -> bytes:
    carried = {
        "exif": metadata.exif,
        "xmp": metadata.xmp,
        "icc_profile": metadata.icc_profile,
        "dpi": metadata.dpi,
    }
    present = {key: value for key, value in carried.items() if value} | options
    buffer = io.BytesIO()
    image.save(buffer, kind, **present)
    return buffer.getvalue()


def _has_directories(metadata: Metadata) -> bool:
    """Tell whether the EXIF block holds camera settings or a place."""
    exif = load_exif(metadata.exif or b"")
    return any(exif.get_ifd(directory) for directory in EXIF_DIRECTORIES)


def _segment(marker: int, content: bytes) -> bytes:
    if not content:
        return b""
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def _opencv_bytes(suffix: str, picture: Picture) -> bytes:
    order = {2: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}
    pixels = picture.pixels
    if pixels.ndim == 3:
        pixels = np.ascontiguousarray(pixels[..., order[pixels.shape[2]]])
    _, encoded = cv2.imencode(suffix, pixels)
    return encoded.tobytes()


def _deep_tiff(picture: Picture) -> bytes:
    """Sixteen bits of colour, which Pillow does not write: its directory, and strips of our own."""
    metadata, pixels = picture.metadata, picture.pixels
    height, width, channels = pixels.shape
    directory = load_exif(metadata.exif or b"")
    order = "<u2" if directory.endian == "<" else ">u2"
    strips = [
        zlib.compress(_differences(rows).astype(order).tobytes())
        for rows in (pixels[y : y + _STRIP] for y in range(0, height, _STRIP))
    ]
    tags = ExifTags.Base
    directory.update(
        {
            tags.ImageWidth: width,
            tags.ImageLength: height,
            tags.BitsPerSample: (16,) * channels,
            tags.Compression: _DEFLATE,
            tags.PhotometricInterpretation: _RGB,
            tags.SamplesPerPixel: channels,
            tags.RowsPerStrip: _STRIP,
            tags.StripByteCounts: tuple(len(strip) for strip in strips),
            tags.Predictor: _HORIZONTAL,
        }
    )
    if picture.has_alpha:
        directory[tags.ExtraSamples] = _UNASSOCIATED
    if metadata.dpi:
        directory.update({282: metadata.dpi[0], 283: metadata.dpi[1], tags.ResolutionUnit: 2})
    if metadata.xmp:
        directory[tags.XMLPacket] = metadata.xmp
    if metadata.icc_profile:
        directory[tags.InterColorProfile] = metadata.icc_profile
    # Pillow counts these from the directory's end. An EXIF block is a TIFF file behind six bytes.
    ends = np.cumsum([0, *map(len, strips)])
    directory[tags.StripOffsets] = tuple(ends[:-1].tolist())
    return directory.tobytes().removeprefix(b"Exif\0\0") + b"".join(strips)


def _differences(rows: Pixels) -> Pixels:
    """Each pixel [h, W, C] less its left neighbour, which deflates better."""
    return np.concatenate([rows[:, :1], np.diff(rows, axis=1)], axis=1)


def _without_palette(picture: Picture) -> Picture:
    if picture.palette is None:
        return picture
    colours = picture.palette if picture.has_alpha else picture.palette[:, :3]
    note = "the palette was replaced by full colour, which this kind of file needs"
    return replace(
        picture,
        pixels=colours[picture.pixels],
        mode="RGBA" if picture.has_alpha else "RGB",
        palette=None,
        notes=(*picture.notes, note),
    )


def _without_ink(picture: Picture, kind: str) -> Picture:
    if picture.mode != "CMYK":
        return picture
    note = f"CMYK was converted to RGB, and its ink profile left out: {kind} holds no inks"
    return replace(
        picture,
        pixels=np.rint(to_rgb(picture.pixels, "CMYK", None) * 255).astype(np.uint8),
        mode="RGB",
        metadata=replace(picture.metadata, icc_profile=None),
        notes=(*picture.notes, note),
    )


def _eight_bit(picture: Picture) -> Picture:
    if not picture.is_deep:
        return picture
    return replace(
        picture,
        pixels=((picture.pixels.astype(np.uint32) + 128) // 257).astype(np.uint8),
        notes=(*picture.notes, "16 bits per channel were rounded to the 8 that this file holds"),
    )


def _without_alpha(picture: Picture, kind: str) -> Picture:
    if picture.mode not in ("LA", "RGBA"):
        return picture
    peak = np.iinfo(picture.pixels.dtype).max
    opacity = picture.pixels[..., -1:] / peak
    flat = np.rint(picture.pixels[..., :-1] * opacity + peak * (1 - opacity))
    return replace(
        picture,
        pixels=(flat[..., 0] if picture.mode == "LA" else flat).astype(picture.pixels.dtype),
        mode="L" if picture.mode == "LA" else "RGB",
        notes=(*picture.notes, f"transparency was laid on white: {kind} holds none"),
    )


ENCODERS: Final[dict[str, Encoder]] = {
    ".jpg": encode_jpeg,
    ".jpeg": encode_jpeg,
    ".png": encode_png,
    ".webp": encode_webp,
    ".tif": encode_tiff,
    ".tiff": encode_tiff,
    ".pgm": encode_portable,
    ".ppm": encode_portable,
    ".heic": encode_heif,
    ".heif": encode_heif,
}
