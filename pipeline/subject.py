"""What of a photo is edited: the square around a face, or a square that is taken as it is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.align import Alignment, Crop, align, crop_square, upright_square
from pipeline.errors import FaceError, RequestError
from pipeline.faces import Face, find_faces
from pipeline.models import Models
from pipeline.photo import Photo
from pipeline.request import EditRequest, Mask, Point, hidden_to_crop

MIN_SQUARE = 64.0
"""Side of the smallest square that is edited, in photo pixels."""

Square = tuple[float, float, float]
"""Top-left corner x, y and side of an upright square, photo pixels.

For generators of pictures higher than wide: corner and height of the part that is drawn.
"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Selection:
    """What of a photo is edited.

    Attributes:
        faces: All faces of the photo, left to right; empty where none were looked for.
        face: The chosen one, or None where the square is taken as it is.
        alignment: The square.
    """

    faces: tuple[Face, ...]
    face: Face | None
    alignment: Alignment

    @property
    def name(self) -> str:
        """How sessions and messages call it."""
        if self.face is not None:
            return f"face {self.face.index}"
        half = self.alignment.size / 2
        x, y = (
            self.alignment.centre[0] - half * self.alignment.drawn,
            self.alignment.centre[1] - half,
        )
        return f"the square {x:g},{y:g},{2 * half:g}"


def select(
    photo: Photo,
    models: Models,
    *,
    face: int | None = None,
    square: Square | None = None,
    edit: EditRequest | None = None,
) -> Selection:
    """Choose what is edited: a face, a square, or the largest square in the photo's middle.

    No face is looked for where a square is given or the generator draws no aligned faces.

    Args:
        photo: Where to choose.
        models: Of this run; the generator says whether it draws aligned faces.
        face: Number of a face, from 1, left to right.
        square: What to take instead of a face.
        edit: Its handles choose among the faces where no number does.

    Raises:
        FaceError: There is no face, none of that number, or it is too small.
        RequestError: A face and a square, a face for a generator of something else, or a square
            that does not fit the photo.
    """
    config = models.generator.config
    resolution, drawn = config.resolution, 1 / config.height_to_width
    if square is not None:
        if face is not None:
            raise RequestError("a face and a square are given: choose one of --face and --crop")
        return take_square((photo.width, photo.height), square, resolution, drawn=drawn)
    if models.domain == "whole":
        if face is not None:
            raise RequestError(
                f"the generator {models.generator_name} takes photos as they are and knows no "
                "faces: leave out --face, or choose a square with --crop"
            )
        extent = photo.width, photo.height
        return take_square(extent, middle_square(extent, drawn), resolution, drawn=drawn)
    faces = detect(photo, models)
    chosen = choose_face(faces, face, edit)
    return Selection(faces=faces, face=chosen, alignment=align_face(chosen, resolution))


def middle_square(extent: tuple[int, int], drawn: float = 1.0) -> Square:
    """The largest square in the middle of a photo of that width and height."""
    width, height = extent
    side = min(width / drawn, height)
    return (width - side * drawn) / 2, (height - side) / 2, side


def take_square(
    extent: tuple[int, int], square: Square, resolution: int, *, drawn: float = 1.0
) -> Selection:
    """Take an upright square of the photo as it is, or its middle part.

    Args:
        extent: Width and height of the photo.
        square: Corner of the part that is drawn, and side of the square.
        resolution: Side of the crop.
        drawn: See `Alignment`.

    Raises:
        RequestError: It reaches out of the photo, or is smaller than the working minimum.
    """
    (width, height), (x, y, side) = extent, square
    # NaN compares false, so it is refused here too.
    if not (x >= 0 and y >= 0 and x + drawn * side <= width and y + side <= height):
        raise RequestError(
            f"the square {x:g},{y:g},{side:g} reaches out of the photo of "
            f"{width} x {height} pixels: give corner and side of one inside it"
        )
    if not side >= MIN_SQUARE:
        raise RequestError(
            f"a square of {side:g} pixels is too small to edit: "
            f"at least {MIN_SQUARE:.0f} are needed; take a larger version of the photo"
        )
    return Selection(
        faces=(), face=None, alignment=upright_square((x, y), side, resolution, drawn=drawn)
    )


def detect(photo: Photo, models: Models) -> tuple[Face, ...]:
    """Find the photo's faces, left to right, with the finder of this run."""
    return tuple(find_faces(photo.rgb(), finder=models.finder, device=models.device))


def choose_face(faces: Sequence[Face], number: int | None, edit: EditRequest | None = None) -> Face:
    """Take a face by its number, or the one whose square holds the edit's handles, or the largest.

    Args:
        faces: Of one photo.
        number: From 1, left to right; None leaves the choice to the handles and the size.
        edit: What is to be done; where several squares hold all its handles, the nearest face wins.

    Raises:
        FaceError: There is none, or none of that number.
    """
    if not faces:
        raise FaceError(
            "no face found: try a photo in which a face is upright and not tiny, "
            "or choose a square with --crop"
        )
    if number is None:
        handles = [handle for handle, _ in edit.drags] if edit else []
        return _around(faces, handles) or max(faces, key=lambda face: face.box[3] - face.box[1])
    for face in faces:
        if face.index == number:
            return face
    raise FaceError(f"there is no face {number}: the photo has {describe_faces(faces)}")


def _around(faces: Sequence[Face], points: Sequence[Point]) -> Face | None:
    """Face whose square holds all points and whose centre is nearest, in sides of the square."""
    if not points:
        return None
    held: list[tuple[float, Face]] = []
    for face in faces:
        inside = align(face.landmarks, 1).to_crop(points)
        if ((inside >= 0) & (inside <= 1)).all():
            held.append((float(np.linalg.norm(inside - 0.5, axis=1).mean()), face))
    return min(held, key=lambda pair: pair[0])[1] if held else None


def describe_faces(faces: Sequence[Face]) -> str:
    """List faces in half a line: number and place."""
    places = (
        f"{f.index} at ({(f.box[0] + f.box[2]) / 2:.0f}, {(f.box[1] + f.box[3]) / 2:.0f})"
        for f in faces[:12]
    )
    more = ", ..." if len(faces) > 12 else ""
    noun = "face" if len(faces) == 1 else "faces"
    return f"{len(faces)} {noun}: {', '.join(places)}{more}"


def align_face(face: Face, resolution: int) -> Alignment:
    """Return a face's square.

    Raises:
        FaceError: It is smaller than the working minimum.
    """
    alignment = align(face.landmarks, resolution)
    if alignment.size < MIN_SQUARE:
        raise FaceError(
            f"face {face.index} is too small to edit: its square is {alignment.size:.0f} pixels "
            f"wide, at least {MIN_SQUARE:.0f} are needed; take a larger version of the photo"
        )
    return alignment


def cut(photo: Photo, selection: Selection, hidden: Mask | None = None) -> Crop:
    """Cut out what is edited.

    Args:
        photo: Where to cut.
        selection: The square.
        hidden: What of the photo hides the face, such as a hand or dark glasses.

    Raises:
        RequestError: The mask has another size than the photo.
    """
    crop = crop_square(photo.rgb(), selection.alignment)
    if hidden is None:
        return crop
    return replace(crop, hidden=hidden_to_crop(hidden, photo, selection.alignment))
