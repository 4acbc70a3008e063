"""What a photo's file carries besides pixels: EXIF, XMP, ICC profile, resolution, JPEG tables."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from PIL import ExifTags, Image, JpegImagePlugin
from PIL.TiffImagePlugin import TiffImageFile

from pipeline.xmp import IPTC_EXT, TIFF, XMP, with_xmp_properties

DIGITAL_SOURCE_TYPE: Final = (
    "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
)
EXIF_DIRECTORIES: Final = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"

_XMP_KEYWORD: Final = b"XML:com.adobe.xmp\0"
_PNG_KEPT_CHUNKS: Final = frozenset(
    {b"gAMA", b"cHRM", b"sRGB", b"cICP", b"tEXt", b"zTXt", b"iTXt", b"tIME"}
)
# A TIFF's own directory doubles as its EXIF: these tags describe how its pixels are stored.
_TIFF_STORAGE_TAGS: Final = frozenset(
    {*range(254, 260), *range(262, 267), 273, *range(277, 282), 284, 292, 293, 317, 320}
    | {*range(322, 326), 330, *range(332, 343), 347, *range(512, 522), *range(529, 533), 700, 34675}
)


@dataclass(frozen=True, kw_only=True)
class JpegSettings:
    """How a JPEG was compressed.

    Attributes:
        tables: Quantisation tables of 64 numbers, in rows.
        subsampling: Pillow's number for 4:4:4, 4:2:2 or 4:2:0; -1 for one that Pillow cannot write.
        progressive: Whether the scans refine each other.
        comment: The comment segment.
        photoshop: The APP13 segment, which holds the older IPTC fields.
    """

    tables: tuple[tuple[int, ...], ...]
    subsampling: int
    progressive: bool
    comment: bytes = b""
    photoshop: bytes = b""

    def transposed(self) -> "JpegSettings":
        """Return the settings that fit the picture turned by a quarter."""
        tables = tuple(
            tuple(int(q) for q in np.reshape(table, (8, 8)).T.flat) for table in self.tables
        )
        # 4:2:2 turned is 4:4:0, which Pillow cannot write; 4:4:4 loses nothing.
        return replace(
            self, tables=tables, subsampling=0 if self.subsampling == 1 else self.subsampling
        )


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """Everything kept of a photo's file besides its pixels.

    Attributes:
        exif: EXIF block, with its six-byte `Exif` header.
        xmp: XMP packet.
        icc_profile: Colour profile.
        dpi: Pixels per inch, across and down.
        png_chunks: Kinds and contents of the PNG's other descriptive chunks.
        jpeg: Compression of a JPEG.
        tiff_compression: Pillow's name for a TIFF's compression.
        orientation: EXIF orientation, 1 to 8, before it was applied.
    """

    exif: bytes | None = None
    xmp: bytes | None = None
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None
    png_chunks: tuple[tuple[bytes, bytes], ...] = ()
    jpeg: JpegSettings | None = None
    tiff_compression: str | None = None
    orientation: int = 1

    def upright(self) -> "Metadata":
        """Return the metadata for pixels to which the orientation has been applied."""
        if self.orientation == 1:
            return self
        turned = self.orientation >= 5
        return replace(
            self,
            exif=_with_exif_tags(self.exif, {ExifTags.Base.Orientation: 1}, turned=turned),
            xmp=with_xmp_properties(self.xmp, {(TIFF, "tiff:Orientation"): "1"})
            if self.xmp and b"Orientation" in self.xmp
            else self.xmp,
            dpi=self.dpi and (self.dpi[::-1] if turned else self.dpi),
            jpeg=self.jpeg.transposed() if self.jpeg and turned else self.jpeg,
            orientation=1,
        )

    def edited(self, software: str) -> "Metadata":
        """Return the metadata that says the picture was edited with a trained generator."""
        properties = {
            (IPTC_EXT, "Iptc4xmpExt:DigitalSourceType"): DIGITAL_SOURCE_TYPE,
            (XMP, "xmp:CreatorTool"): software,
        }
        others = tuple(chunk for chunk in self.png_chunks if chunk[1][:9] != b"Software\0")
        return replace(
            self,
            exif=_with_exif_tags(self.exif, {ExifTags.Base.Software: software}, turned=False),
            xmp=with_xmp_properties(self.xmp or b"", properties),
            png_chunks=(*others, (b"tEXt", b"Software\0" + software.encode("latin-1"))),
        )

    def chunks(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield the PNG chunks that carry this metadata."""
        if self.icc_profile:
            yield b"iCCP", b"ICC profile\0\0" + zlib.compress(self.icc_profile)
        for kind, content in self.png_chunks:
            # An embedded profile overrides sRGB, and the two must not stand together.
            if kind != b"sRGB" or not self.icc_profile:
                yield kind, content
        if self.dpi:
            across, down = (round(dpi / 0.0254) for dpi in self.dpi)
            yield b"pHYs", struct.pack(">IIB", across, down, 1)
        if self.exif:
            yield b"eXIf", self.exif.removeprefix(b"Exif\0\0")
        if self.xmp:
            yield b"iTXt", _XMP_KEYWORD + b"\0\0\0\0" + self.xmp


def read_metadata(image: Image.Image, encoded: bytes) -> Metadata:
    """Collect what an opened, not yet transposed picture carries.

    Args:
        image: The picture as Pillow opened it.
        encoded: The bytes of its file.
    """
    info = image.info
    exif, orientation = _read_exif(image)
    xmp = info.get("xmp")
    return Metadata(
        exif=exif,
        xmp=(xmp.encode() if isinstance(xmp, str) else xmp) or None,
        icc_profile=info.get("icc_profile") or None,
        dpi=_read_dpi(image),
        png_chunks=tuple(_read_chunks(encoded)) if image.format == "PNG" else (),
        jpeg=_read_jpeg(image) if isinstance(image, JpegImagePlugin.JpegImageFile) else None,
        tiff_compression=info.get("compression") if isinstance(image, TiffImageFile) else None,
        orientation=orientation,
    )


def with_chunks(png: bytes, metadata: Metadata) -> bytes:
    """Return a PNG file with the metadata's chunks put behind its header."""
    start = len(PNG_SIGNATURE) + 25
    chunks = [
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in metadata.chunks()
    ]
    return png[:start] + b"".join(chunks) + png[start:]


def _read_exif(image: Image.Image) -> tuple[bytes | None, int]:
    try:
        exif = image.getexif()
        orientation = exif.get(ExifTags.Base.Orientation, 1)
        if isinstance(image, TiffImageFile):
            block = _descriptive(exif)
        else:
            block = image.info.get("exif")
            if block and not block.startswith(b"Exif\0\0"):
                block = b"Exif\0\0" + block
    except (ValueError, TypeError, KeyError, OSError, SyntaxError, struct.error):
        return None, 1  # a damaged block: readers ignore it, and so do we
    return block or None, orientation if orientation in range(1, 9) else 1


def _descriptive(exif: Image.Exif) -> bytes | None:
    kept = Image.Exif()
    for tag, value in exif.items():
        if tag not in _TIFF_STORAGE_TAGS and tag not in EXIF_DIRECTORIES:
            kept[tag] = value
    for directory in EXIF_DIRECTORIES:
        if content := exif.get_ifd(directory):
            kept[directory] = content
    return kept.tobytes() if len(kept) else None


def _with_exif_tags(
    block: bytes | None, tags: dict[ExifTags.Base, int | str], *, turned: bool
) -> bytes | None:
    """Set tags of an EXIF block, which is replaced by a new one when it cannot be written again."""
    try:
        exif = load_exif(block or b"")
        exif.update(tags.items())
        across, down = ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight
        # Asking for a directory that is missing would add an empty one: ask a copy first.
        has_sizes = turned and load_exif(block or b"").get_ifd(ExifTags.IFD.Exif)
        sizes = exif.get_ifd(ExifTags.IFD.Exif) if has_sizes else {}
        if across in sizes and down in sizes:
            sizes[across], sizes[down] = sizes[down], sizes[across]
        return exif.tobytes()
    except (ValueError, TypeError, KeyError, OSError, SyntaxError, struct.error):
        exif = Image.Exif()
        exif.update(tags.items())
        return exif.tobytes()


def load_exif(block: bytes) -> Image.Exif:
    """Parse an EXIF block."""
    exif = Image.Exif()
    if block:
        exif.load(block)
    return exif


def _read_dpi(image: Image.Image) -> tuple[float, float] | None:
    dpi = image.info.get("dpi")
    if dpi is None:
        return None
    # Pillow reports 72 for a JPEG whose EXIF names no resolution, and 1 for such a TIFF: that is
    # not the file's word.
    in_file = image.info.get("jfif_unit") in (1, 2) or image.format not in ("JPEG", "MPO", "TIFF")
    if not in_file and ExifTags.Base.XResolution not in image.getexif():
        return None
    across, down = float(dpi[0]), float(dpi[1])
    return (across, down) if 0 < across < 1e6 and 0 < down < 1e6 else None


def _read_jpeg(image: JpegImagePlugin.JpegImageFile) -> JpegSettings:
    tables = [image.quantization[key] for key in sorted(image.quantization)]
    return JpegSettings(
        tables=tuple(tuple(int(q) for q in table) for table in tables),
        subsampling=JpegImagePlugin.get_sampling(image),
        progressive=bool(image.info.get("progressive")),
        comment=image.info.get("comment", b""),
        photoshop=next((content for name, content in image.applist if name == "APP13"), b""),
    )


def _read_chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(PNG_SIGNATURE)
    while at + 12 <= len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, content = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        if kind in _PNG_KEPT_CHUNKS and not content.startswith(_XMP_KEYWORD):
            yield kind, content
        at += 12 + length
