"""What of a photo is edited: a face by its number, or a square that was drawn on it."""

import re
from typing import cast

from pipeline.faces import Face
from pipeline.models import Models
from pipeline.studio.draft import read_whole
from pipeline.studio.errors import MessageError, UnknownError
from pipeline.studio.records import Part, PhotoRecord, read_faces
from pipeline.subject import Selection, align_face, choose_face, middle_square, take_square

_SQUARE = re.compile(r"\d{1,6}(,\d{1,6}){2}")


def read_part(value: object) -> Part:
    """Read what a page names: a number, or the corner and side of a square, "X,Y,SIZE".

    Raises:
        MessageError: It is neither.
    """
    if not isinstance(value, str):
        return read_whole(value, "face")
    if value.isdecimal() and len(value) <= 6:
        return int(value)
    if not _SQUARE.fullmatch(value):
        raise MessageError("a face is a number, a square X,Y,SIZE in whole photo pixels")
    return cast("tuple[int, int, int]", tuple(map(int, value.split(","))))


def select_part(
    record: PhotoRecord, part: Part, models: Models, resolution: int | None = None
) -> Selection:
    """What the library edits.

    Args:
        record: The photo.
        part: Of it.
        models: Of this run.
        resolution: Side of the crop; None for the generator's.

    Raises:
        FaceError: There is no such face, or it is too small.
        RequestError: The square reaches out of the photo, or is too small.
    """
    config = models.generator.config
    side = resolution or config.resolution
    if isinstance(part, tuple):
        extent = record.width, record.height
        return take_square(extent, part, side, drawn=1 / config.height_to_width)
    faces = read_faces(record) or ()
    face = choose_face(faces, part)
    return Selection(faces=faces, face=face, alignment=align_face(face, side))


def faces_of(record: PhotoRecord, models: Models) -> tuple[Face, ...] | None:
    """The faces that can be edited; None where nobody has looked for them yet.

    A generator of anything but faces knows none.
    """
    return () if models.domain == "whole" else read_faces(record)


def whole_of(record: PhotoRecord, models: Models) -> Part:
    """The largest square in the photo's middle, which such a generator takes unless told."""
    extent = record.width, record.height
    x, y, side = middle_square(extent, 1 / models.generator.config.height_to_width)
    return int(x), int(y), int(side)


def face_of(record: PhotoRecord, part: Part) -> Face | None:
    """The face of that number; None for a square.

    Raises:
        UnknownError: There is no such face.
    """
    if isinstance(part, tuple):
        return None
    for face in read_faces(record) or ():
        if face.index == part:
            return face
    raise UnknownError(f"there is no face {part}")
