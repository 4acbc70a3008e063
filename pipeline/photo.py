"""Photographs as values: read from a file, changed in places, written with all they carried."""

import hashlib
import struct
import tempfile
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.colour import Mode, Pixels, from_rgb, to_rgb
from pipeline.decode import KINDS, MAX_PIXELS, decode, open_image, register_heif, too_large, turn
from pipeline.encode import ENCODERS, Picture
from pipeline.errors import (
    BrokenPhotoError,
    OutputError,
    PhotoNotFoundError,
)
from pipeline.metadata import Metadata, read_metadata
from pipeline.version import VERSION
from weights.files import replacing


@dataclass(frozen=True, kw_only=True, eq=False)
class Photo:
    """A photograph, upright, in its file's own mode and bit depth. Never modified.

    Attributes:
        pixels: [H, W] or [H, W, C] uint8 or uint16, read-only.
        mode: Pillow's name of the channels.
        palette: [N, 4] colours (R, G, B, alpha) of mode P, else None.
        kind: Pillow's name of the file's kind.
        metadata: What the file carried besides, made upright.
        sha256: Digest of the file read.
        notes: What reading or editing had to convert, one sentence each.
        encoded: The file itself while these are exactly its pixels and metadata, else None.
    """

    pixels: Pixels
    mode: Mode
    palette: NDArray[np.uint8] | None
    kind: str
    metadata: Metadata
    sha256: str
    notes: tuple[str, ...] = ()
    encoded: bytes | None = None

    @property
    def width(self) -> int:
        """Pixels across, upright."""
        return self.pixels.shape[1]

    @property
    def height(self) -> int:
        """Pixels down, upright."""
        return self.pixels.shape[0]

    def rgb(self) -> NDArray[np.float32]:
        """Return [H, W, 3] float32 in [0, 1] for the vision code; alpha is ignored."""
        return to_rgb(self.pixels, self.mode, self.palette)

    def with_rgb(self, rgb: NDArray[np.float32], changed: NDArray[np.bool_]) -> "Photo":
        """Return the photo with new colours where `changed`, bit-identical elsewhere.

        Alpha stays, and so do pixels that are fully transparent.

        Args:
            rgb: [H, W, 3] float32 in [0, 1].
            changed: [H, W] bool.

        Raises:
            ValueError: When a shape differs from the photo's.
        """
        if rgb.shape != (self.height, self.width, 3) or changed.shape != rgb.shape[:2]:
            raise ValueError(
                f"colours {rgb.shape} and mask {changed.shape} do not fit a photo of "
                f"{self.width} x {self.height} pixels"
            )
        if self.mode in ("LA", "RGBA"):
            changed = changed & (self.pixels[..., -1] > 0)
        pixels = self.pixels.copy()
        # One index for each pixel: much faster than to choose with a mask.
        index, channels = np.flatnonzero(changed), pixels.shape[2:]
        flat = pixels.reshape(-1, *channels)
        colours = rgb.reshape(-1, 3).take(index, axis=0)
        flat[index] = from_rgb(colours, flat.take(index, axis=0), self.mode, self.palette)
        if np.array_equal(pixels, self.pixels):
            return self
        pixels.setflags(write=False)
        notes = self.notes
        if self.palette is not None:
            notes += (f"edited pixels take the nearest of the photo's {len(self.palette)} colours",)
        return replace(self, pixels=pixels, encoded=None, notes=notes)


def read_photo(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """Read a photograph.

    Args:
        path: JPEG, PNG, WebP, TIFF, PGM, PPM, BMP or GIF; HEIC where pillow-heif is installed.
        max_pixels: Refuse larger pictures before decoding them.

    Raises:
        PhotoNotFoundError: When there is no such file, or it cannot be read.
        NotAPhotoError: When it is no picture, or of a kind or mode that is not read.
        BrokenPhotoError: When it is cut short or damaged.
        PhotoTooLargeError: When it has more than `max_pixels` pixels.
    """
    path = Path(path)
    encoded = _read_bytes(path)
    # Pillow warns about sizes that `max_pixels` judges, and about damaged EXIF that is left out.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = open_image(path, encoded)
        if image.width * image.height > max_pixels:
            raise too_large(path, f"{image.width} x {image.height} pixels", max_pixels)
        metadata = read_metadata(image, encoded)
        try:
            image.load()
        except (OSError, SyntaxError, ValueError, struct.error, EOFError) as error:
            raise BrokenPhotoError(
                f"{path} is cut short or damaged ({error}): get a complete copy of the file"
            ) from error
        pixels, mode, palette, notes = decode(path, image, encoded)
    if getattr(image, "n_frames", 1) > 1:
        notes += (f"the file holds {image.n_frames} frames: the first is used",)  # pyright: ignore[reportAttributeAccessIssue]
    upright = np.ascontiguousarray(turn(pixels, metadata.orientation))
    upright.setflags(write=False)
    as_it_is = metadata.orientation == 1 and not notes
    return Photo(
        pixels=upright,
        mode=mode,
        palette=palette,
        kind=image.format or "",
        metadata=metadata.upright(),
        sha256=hashlib.sha256(encoded).hexdigest(),
        notes=notes,
        encoded=encoded if as_it_is else None,
    )


def check_output(
    path: str | Path, source: str | Path | None = None, *, overwrite: bool = False
) -> None:
    """Check that a result can be written, before the work that makes it.

    Args:
        path: Where the result goes.
        source: The photo it is made from.
        overwrite: Whether an existing file, the source included, may be replaced.

    Raises:
        OutputError: When the kind of file is unknown, the folder is missing or not writable, or
            the file exists and may not be replaced.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in ENCODERS:
        known = ", ".join(ENCODERS)
        raise OutputError(
            f"cannot tell what kind of file {path} should be: end its name in {known}"
        )
    if suffix in KINDS["HEIF"] and not register_heif():
        raise OutputError(
            f"writing {path} needs pillow-heif: run pip install 'photodrag[heic]', or choose .png"
        )
    if path.is_dir():
        raise OutputError(f"{path} is a folder: name a file in it")
    if not path.parent.is_dir():
        raise OutputError(
            f"there is no folder {path.parent} to write {path.name} to: make it first"
        )
    check_folder(path.parent)
    if path.exists() and not overwrite:
        is_source = source is not None and Path(source).exists() and path.samefile(source)
        what = "is the input photo itself" if is_source else "exists already"
        raise OutputError(f"{path} {what}: choose another output, or allow it with --overwrite")


def check_folder(folder: Path) -> None:
    """Check that files can be made in a folder, by making one that has no name.

    Raises:
        OutputError: They cannot.
    """
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"the folder {folder} is not writable ({error.strerror}): choose another output"
        ) from error


def save_photo(
    photo: Photo, path: str | Path, *, edited: bool, overwrite: bool = False
) -> tuple[str, ...]:
    """Write a photo under the kind its name asks for; the file appears whole or not at all.

    A photo that is still exactly its file is written byte for byte. JPEG keeps the source's
    quantisation tables; every other kind is written losslessly, HEIC excepted.

    Args:
        photo: The photo.
        path: Where to write; the suffix decides the kind.
        edited: Whether to mark the file as composed with a trained generator.
        overwrite: Whether an existing file may be replaced.

    Returns:
        What the kind of file could not carry, one sentence each.

    Raises:
        OutputError: When the file cannot be written.
    """
    path = Path(path)
    check_output(path, overwrite=overwrite)
    suffix = path.suffix.lower()
    if photo.encoded is not None and not edited and suffix in KINDS[photo.kind]:
        _write_atomically(path, photo.encoded)
        return ()
    picture = Picture(
        pixels=photo.pixels,
        mode=photo.mode,
        palette=photo.palette,
        metadata=photo.metadata.edited(software()) if edited else photo.metadata,
    )
    encoded, notes = ENCODERS[suffix](picture)
    _write_atomically(path, encoded)
    return notes


def software() -> str:
    """Return the name and version under which edited files are signed."""
    return f"photodrag {VERSION}"


def _read_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise PhotoNotFoundError(f"{path} is a folder: name a photo in it")
    if not path.exists():
        raise PhotoNotFoundError(f"there is no file {path}: check its name and folder")
    if not path.is_file():
        raise PhotoNotFoundError(f"{path} is a device, not a file: copy the photo to a file first")
    try:
        return path.read_bytes()
    except OSError as error:
        raise PhotoNotFoundError(
            f"{path} cannot be read ({error.strerror}): check its permissions"
        ) from error


def _write_atomically(path: Path, content: bytes) -> None:
    try:
        with replacing(path) as half:
            half.write_bytes(content)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror}): check the disk and the folder"
        ) from error
