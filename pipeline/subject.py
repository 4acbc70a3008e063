"""Whose face: find the faces of a photo, choose one, cut it out."""

from collections.abc import Sequence

import numpy as np

from pipeline.align import FaceCrop, align, crop_face
from pipeline.errors import FaceError
from pipeline.faces import Face, find_faces
from pipeline.models import Models
from pipeline.photo import Photo
from pipeline.request import EditRequest, Point

MIN_SQUARE = 64.0
"""Side of the smallest face's square that is edited, in photo pixels."""


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
        raise FaceError("no face found: try a photo in which a face is upright and not tiny")
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


def cut_face(photo: Photo, face: Face, resolution: int) -> FaceCrop:
    """Align a face and cut it out.

    Raises:
        FaceError: It is smaller than the working minimum.
    """
    alignment = align(face.landmarks, resolution)
    if alignment.size < MIN_SQUARE:
        raise FaceError(
            f"face {face.index} is too small to edit: its square is {alignment.size:.0f} pixels "
            f"wide, at least {MIN_SQUARE:.0f} are needed; take a larger version of the photo"
        )
    return crop_face(photo.rgb(), alignment)
