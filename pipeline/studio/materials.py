"""What a draft refers to and is too large to lie in it: painted masks, and other faces."""

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.models import Models
from pipeline.request import EditRequest, Mask, check_mask
from pipeline.requestfile import mask_of, read_mask
from pipeline.session import Json, write_atomically
from pipeline.studio.draft import Draft
from pipeline.studio.errors import NoFaceError, UnknownError
from pipeline.studio.pictures import face_picture, write_bytes
from pipeline.studio.records import PhotoRecord, keep_record, read_named, read_record
from pipeline.studio.shelf import ID_LENGTH
from pipeline.subject import choose_face, detect

_ID = re.compile(rf"[0-9a-f]{{{ID_LENGTH}}}")


def keep_mask(folder: Path, mask: Mask) -> str:
    """Keep a photo-sized mask as a file that `--mask` takes, and name it after its content."""
    digest = hashlib.sha256(mask.tobytes())
    digest.update(repr(mask.shape).encode("ascii"))
    name = digest.hexdigest()[:ID_LENGTH]
    picture = Image.fromarray(mask)
    write_atomically(folder / f"{name}.png", lambda path: picture.save(path, format="PNG"))
    return name


def import_mask(folder: Path, content: bytes, name: str, record: PhotoRecord) -> str:
    """Keep a mask from a file of that name, as `--mask` takes it; returns the kept one's name.

    Raises:
        RequestError: It is no picture, not as large as the photo, or black everywhere.
    """
    mask = mask_of(content, Path(name))
    check_mask(mask, record.width, record.height)
    return keep_mask(folder, mask)


def mask_file(part_folder: Path, name: str) -> Path:
    """Where a kept mask lies.

    Raises:
        UnknownError: There is none of that name.
    """
    file = part_folder / "masks" / f"{name}.png"
    return _kept(name, file, "this mask is not here any more: paint it again")


def find_mask(record: PhotoRecord, name: str) -> Path | None:
    """A mask of that name that is kept with any part of a photo."""
    found = record.folder.glob(f"*/masks/{name}.png") if _ID.fullmatch(name) else ()
    return next(iter(found), None)


def adopt_mask(folder: Path, file: Path) -> str:
    """Keep a mask that is kept with another part with this one, too; returns its name."""
    if file.parent != folder:
        content = file.read_bytes()
        write_atomically(folder / file.name, lambda path: write_bytes(path, content))
    return file.stem


def keep_landmarks(folder: Path, landmarks: NDArray[np.float64]) -> str:
    """Keep the landmarks of another face, whose expression is taken, named after themselves."""
    name = hashlib.sha256(landmarks.astype("<f8").tobytes()).hexdigest()[:ID_LENGTH]
    keep_record(folder / f"{name}.json", {"landmarks": landmarks.tolist()})
    return name


def keep_expression(folder: Path, content: bytes, name: str, models: Models) -> Json:
    """Keep the landmarks of all faces of another photo, each with a picture; take the largest's.

    Raises:
        PhotoError: The content is no photo.
        NoFaceError: It shows no face.
    """
    identity = hashlib.sha256(content).hexdigest()[:ID_LENGTH]
    file = folder / f"{identity}.photo"
    write_atomically(file, lambda path: write_bytes(path, content))
    try:
        photo = read_named(file, name)
        faces = detect(photo, models)
    finally:
        file.unlink()
    if not faces:
        raise NoFaceError(f"no face was found in {name}: choose a photo with an upright face")
    kept = [keep_landmarks(folder, face.landmarks) for face in faces]
    for face, found in zip(faces, kept, strict=True):
        content = face_picture(photo, face)
        write_atomically(folder / f"{found}.jpg", lambda path, c=content: write_bytes(path, c))
    return {"expression": kept[choose_face(faces, None).index - 1], "name": name, "faces": kept}


def expression_picture(part_folder: Path, name: str) -> Path:
    """Where the picture of a kept expression's face lies.

    Raises:
        UnknownError: There is none of that name.
    """
    file = part_folder / "expressions" / f"{name}.jpg"
    return _kept(name, file, "there is no picture of this expression")


def read_expression(part_folder: Path, name: str) -> NDArray[np.float64]:
    """Landmarks of a kept expression.

    Raises:
        UnknownError: There is none of that name.
    """
    path = part_folder / "expressions" / f"{name}.json"
    record = read_record(path) if _ID.fullmatch(name) else None
    if record is None:
        raise UnknownError("this expression is not here any more: give its photo again")
    return np.array(cast("dict[str, Any]", record)["landmarks"], np.float64)


def read_draft_request(part_folder: Path, draft: Draft) -> EditRequest:
    """The request that a draft asks for, with what lies in files.

    Raises:
        UnknownError: Its mask or expression is not here.
    """
    expression, file = None, None
    if draft.expression is not None:
        expression = read_expression(part_folder, draft.expression.expression)
    if draft.mask is not None:
        file = mask_file(part_folder, draft.mask)
    request = draft.to_request(expression, None if file is None else read_mask(file))
    return replace(request, mask_file=file)


def _kept(name: str, file: Path, otherwise: str) -> Path:
    """The file of a name that a page gave, which is no path."""
    if not _ID.fullmatch(name) or not file.is_file():
        raise UnknownError(otherwise)
    return file
