"""Several faces with one tuned generator: those of one photo, or one person's in several photos."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from editing.spec import DragSpec
from inversion.types import Inversion
from pipeline.align import Crop
from pipeline.edit import (
    EditedPhoto,
    SessionPlace,
    Watch,
    check_request,
    edit_inverted,
    invert_crops,
    open_for,
    unwatched,
)
from pipeline.errors import RequestError
from pipeline.models import Models
from pipeline.photo import Photo, read_photo
from pipeline.request import EditRequest, Mask
from pipeline.session import Session, open_session
from pipeline.stored import keep_edit
from pipeline.subject import Selection, align_face, choose_face, cut, select


@dataclass(frozen=True, kw_only=True)
class InvertedTogether:
    """Photos that were inverted together.

    Attributes:
        sessions: One for each photo.
        inversions: One for each, all with one generator unless `found`.
        found: Whether the sessions had them.
    """

    sessions: tuple[Session, ...]
    inversions: tuple[Inversion, ...]
    found: bool


def edit_faces(
    photo: Photo,
    edit: EditRequest,
    *,
    models: Models,
    faces: Sequence[int],
    quality: str = "balanced",
    seed: int = 0,
    hidden: Mask | None = None,
    session: SessionPlace | None = None,
    watch: Watch = unwatched,
) -> tuple[EditedPhoto, ...]:
    """Edit several faces of a photo alike, with one generator tuned to all of them.

    Args:
        photo: Not modified.
        edit: Presets or an expression; drags belong to one face.
        models: From `load_models`.
        faces: Their numbers from 1, left to right.
        quality: A name in `inversion.invert.QUALITIES`.
        seed: Of all randomness.
        hidden: Photo-sized mask of what hides the faces.
        session: Where to keep the stages, each face in a folder of its own.
        watch: Sees the steps of the long stages go by.

    Returns:
        One for each face, in that order. Each one's photo also holds the edits before it.

    Raises:
        PhotodragError: Anything the user can mend, see the packages' errors.
    """
    start = time.perf_counter()
    check_request(photo, edit, models.generator.config)
    if edit.drags:
        raise RequestError("drags move points of one face: give one --face, or only presets")
    parts = [
        _Part(
            selection=each,
            crop=cut(photo, each, hidden),
            spec=edit.to_spec(each.face, each.alignment),
        )
        for each in _select_faces(photo, models, faces)
    ]
    moving = [part for part in parts if not bool(part.spec.anchors.all())]
    sessions = [] if session is None else _open_each(session, photo, moving, models, quality, seed)
    inversions, fresh = (), False
    if moving:
        crops = [part.crop for part in moving]
        inversions, fresh = invert_crops(crops, models, quality, seed, sessions, watch)
    done: list[EditedPhoto] = []
    for part in parts:
        edited = None
        if part in moving:
            number = moving.index(part)
            edited = edit_inverted(
                photo, edit, part.crop, part.spec, inversions[number], models, watch, inverted=fresh
            )
            photo = edited.composite.photo
            if sessions:
                keep_edit(open_session(sessions[number].folder), edit, part.spec, edited.result)
        done.append(
            EditedPhoto(
                request=edit, photo=photo, selection=part.selection, crop=part.crop,
                spec=part.spec, edited=edited, seconds=time.perf_counter() - start,
            )
        )  # fmt: skip
    return tuple(done)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Part:
    """One of several faces."""

    selection: Selection
    crop: Crop
    spec: DragSpec


def _open_each(
    place: SessionPlace,
    photo: Photo,
    parts: Sequence[_Part],
    models: Models,
    quality: str,
    seed: int,
) -> list[Session]:
    """Begin or go on with a session for each face, in a folder named after it."""
    sessions: list[Session] = []
    for part in parts:
        folder = place.folder / part.selection.name.replace(" ", "-")
        own = replace(place, folder=folder)
        opened = open_for(own, photo, part.selection, part.crop, models, quality, seed)
        sessions += [opened] if opened is not None else []
    return sessions


def _select_faces(photo: Photo, models: Models, numbers: Sequence[int]) -> list[Selection]:
    first = select(photo, models, face=numbers[0])
    resolution = models.generator.config.resolution
    chosen = [choose_face(first.faces, number) for number in dict.fromkeys(numbers)]
    return [replace(first, face=face, alignment=align_face(face, resolution)) for face in chosen]


def invert_photos(
    paths: Sequence[Path],
    folder: Path,
    models: Models,
    quality: str,
    seed: int,
    watch: Watch = unwatched,
) -> InvertedTogether:
    """Invert the largest face of each photo, all of one person, with one tuned generator.

    Each photo gets a session of its own in the folder, `photo-1` and so on, to be edited like any.

    Raises:
        PhotodragError: Anything the user can mend, see the packages' errors.
    """
    crops, sessions = list[Crop](), list[Session]()
    for number, path in enumerate(paths, start=1):
        photo = read_photo(path)
        selection = select(photo, models)
        crops.append(cut(photo, selection))
        place = SessionPlace(folder=folder / f"photo-{number}", photo=path)
        opened = open_for(place, photo, selection, crops[-1], models, quality, seed)
        sessions += [opened] if opened is not None else []
    inversions, fresh = invert_crops(crops, models, quality, seed, sessions, watch)
    return InvertedTogether(sessions=tuple(sessions), inversions=inversions, found=not fresh)
