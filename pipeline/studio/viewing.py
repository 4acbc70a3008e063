"""Pictures of photos, faces, regions and masks for the page, made off the event loop's thread."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from starlette.concurrency import run_in_threadpool

from editing.regions import REGIONS, region_mask
from pipeline.align import Alignment, Window, crop_to_photo
from pipeline.photo import Photo
from pipeline.request import FULLY, Mask
from pipeline.requestfile import read_mask
from pipeline.session import write_atomically
from pipeline.studio.errors import MessageError, UnknownError
from pipeline.studio.materials import import_mask, mask_file
from pipeline.studio.parts import face_of, select_part
from pipeline.studio.pictures import (
    FACE_THUMBNAIL,
    bytes_of,
    display_size,
    face_picture,
    mask_picture,
    read_mask_picture,
    resized,
    thumbnail,
    to_jpeg,
    write_bytes,
)
from pipeline.studio.records import Part, PhotoRecord, read_named
from pipeline.studio.workshop import Workshop
from pipeline.subject import align_face

T = TypeVar("T")

PHOTO_THUMBNAIL = 192
WINDOW_SIDE = 2048
REGION_SIDE = 1024
FINE = 512
"""Crop resolution at which regions are drawn for the page."""


class Viewing:
    """Makes pictures one at a time, so that memory stays bounded, and keeps the whole ones.

    Args:
        workshop: May have the photo loaded already.
    """

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._turn = asyncio.Lock()

    async def picture(self, record: PhotoRecord) -> Path:
        """The whole photo as it is shown."""

        def make(photo: Photo) -> bytes:
            size = display_size(photo.width, photo.height)
            return to_jpeg(resized(bytes_of(photo), *size), photo, quality=92, fine=True)

        return await self._kept(record, record.folder / "display.jpg", make)

    async def thumbnail(self, record: PhotoRecord) -> Path:
        """The whole photo, small."""

        def make(photo: Photo) -> bytes:
            return to_jpeg(thumbnail(bytes_of(photo), PHOTO_THUMBNAIL), photo)

        return await self._kept(record, record.folder / "thumbnail.jpg", make)

    async def part(self, record: PhotoRecord, part: Part) -> Path:
        """A face or a square, small."""

        def make(photo: Photo) -> bytes:
            face = face_of(record, part)
            if face is not None:
                return face_picture(photo, face)
            window = self.window_of(record, part)
            return to_jpeg(thumbnail(bytes_of(photo, window), FACE_THUMBNAIL), photo)

        return await self._kept(record, record.folder_of(part).with_suffix(".jpg"), make)

    async def window(self, record: PhotoRecord, window: Window) -> bytes:
        """A part of the untouched photo at 100 %.

        Raises:
            MessageError: It is empty, too large, or reaches out of the photo.
        """
        x0, y0, x1, y1 = window
        fits = x0 < x1 <= record.width and y0 < y1 <= record.height
        if not fits or x1 - x0 > WINDOW_SIDE or y1 - y0 > WINDOW_SIDE:
            raise MessageError(f"rect must lie in the photo, at most {WINDOW_SIDE} pixels a side")

        def make() -> bytes:
            photo = self._photo(record)
            return to_jpeg(bytes_of(photo, window), photo, quality=92, fine=True)

        return await self._do(make)

    async def region(self, record: PhotoRecord, part: Part, name: str) -> bytes:
        """A region of a face over the face's window.

        Raises:
            UnknownError: There is none of that name, or no face.
        """
        face = face_of(record, part)
        if name not in REGIONS or face is None:
            raise UnknownError(f"there is no region {name[:40]!r}")

        def make() -> bytes:
            square = align_face(face, FINE)
            landmarks = square.to_crop(face.landmarks)
            mask = region_mask(landmarks, [name], resolution=FINE)[0, 0].numpy()
            reduced, window = _reduced(square, self.window_of(record, part), REGION_SIDE)
            share = crop_to_photo(mask, reduced, window).clip(0, 1)
            return mask_picture((share * FULLY).round().astype(np.uint8))

        return await self._do(make)

    async def read_mask(self, record: PhotoRecord, part: Part, content: bytes) -> Mask:
        """A painted picture over the part's window as a mask of the photo's size.

        Raises:
            MessageError: It is no PNG, or too large.
        """

        def make() -> Mask:
            x0, y0, x1, y1 = self.window_of(record, part)
            mask = np.zeros((record.height, record.width), np.uint8)
            mask[y0:y1, x0:x1] = read_mask_picture(content, (x1 - x0, y1 - y0))
            return mask

        return await self._do(make)

    async def import_mask(self, record: PhotoRecord, part: Part, content: bytes, name: str) -> str:
        """Keep a mask of the photo's size from a file; returns its name.

        Raises:
            RequestError: It is none of this photo.
        """
        folder = record.folder_of(part) / "masks"
        return await self._do(lambda: import_mask(folder, content, name, record))

    async def mask(self, record: PhotoRecord, part: Part, folder: Path, name: str) -> bytes:
        """A kept mask over the part's window.

        Raises:
            UnknownError: There is none of that name.
        """
        file = mask_file(folder, name)

        def make() -> bytes:
            x0, y0, x1, y1 = self.window_of(record, part)
            return mask_picture(read_mask(file)[y0:y1, x0:x1])

        return await self._do(make)

    def window_of(self, record: PhotoRecord, part: Part) -> Window:
        """The photo's rectangle in which a part's masks and edits lie."""
        alignment = select_part(record, part, self._workshop.models, FINE).alignment
        return alignment.window(record.width, record.height)

    async def _kept(self, record: PhotoRecord, path: Path, make: Callable[[Photo], bytes]) -> Path:
        def work() -> None:
            if not path.is_file():
                content = make(self._photo(record))
                write_atomically(path, lambda half: write_bytes(half, content))

        if not path.is_file():
            await self._do(work)
        return path

    async def _do(self, work: Callable[[], T]) -> T:
        async with self._turn:
            return await run_in_threadpool(work)

    def _photo(self, record: PhotoRecord) -> Photo:
        return self._workshop.loaded(record) or read_named(record.file, record.name)


def _reduced(square: Alignment, window: Window, side: int) -> tuple[Alignment, Window]:
    """The square and a window of at most so many pixels a side, seen from the window's corner."""
    x0, y0, x1, y1 = window
    factor = min(1.0, side / max(x1 - x0, y1 - y0))
    x, y = square.centre
    centre = (x - x0) * factor, (y - y0) * factor
    size = max(1, round((x1 - x0) * factor)), max(1, round((y1 - y0) * factor))
    return replace(square, centre=centre, size=square.size * factor), (0, 0, *size)
