"""The whole way, from photo to photo: align, invert, drag, compose."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from editing.drag import DragEngine
from editing.engine import EditResult, EditStep, finish_edit
from editing.spec import DragSpec
from inversion.invert import QUALITIES, InversionOptions, finish_inversion, invert
from inversion.types import Inversion
from pipeline.align import FaceCrop
from pipeline.composite import Composite, composite
from pipeline.errors import RequestError
from pipeline.faces import Face
from pipeline.models import Models
from pipeline.photo import Photo
from pipeline.request import EditRequest, check_mask
from pipeline.session import Session, Settings, begin_session, open_session
from pipeline.stored import keep_crop, keep_edit, keep_inversion, recall_inversion
from pipeline.subject import choose_face, cut_face, detect

Step = TypeVar("Step")


class Watch(Protocol):
    """Passes the steps of a stage through; a progress bar, for example."""

    def __call__(self, steps: Iterable[Step], /, *, stage: str, total: int) -> Iterable[Step]:
        """Yield the same steps; `total` is the most there can be."""
        ...


def unwatched(steps: Iterable[Step], /, *, stage: str, total: int) -> Iterable[Step]:  # noqa: ARG001
    """Pass the steps through: nobody looks."""
    return steps


@dataclass(frozen=True, kw_only=True)
class SessionPlace:
    """Where to keep the stages, and the photo's path to note there."""

    folder: Path
    photo: Path


@dataclass(frozen=True, kw_only=True, eq=False)
class Edited:
    """What the edit of an inverted face left behind; none of it exists for an edit that is none.

    Attributes:
        inversion: The subject.
        inverted: False where a session already had it.
        result: End of the drag.
        steps: All of the drag, to be rendered as frames.
        composite: The photo with the edit.
    """

    inversion: Inversion
    inverted: bool
    result: EditResult
    steps: tuple[EditStep, ...]
    composite: Composite


@dataclass(frozen=True, kw_only=True, eq=False)
class EditedPhoto:
    """The end of the way.

    Attributes:
        request: What was asked for.
        photo: The edited photo; the very same one where the edit moves nothing.
        faces: All faces, left to right.
        face: The one that was edited.
        crop: It, as the networks saw it.
        spec: The edit in crop pixels.
        edited: What the stages gave, or None where the edit moves nothing.
        seconds: Of everything.
    """

    request: EditRequest
    photo: Photo
    faces: tuple[Face, ...]
    face: Face
    crop: FaceCrop
    spec: DragSpec
    edited: Edited | None
    seconds: float

    @property
    def changed_pixels(self) -> int:
        """Number of photo pixels that may differ from the input."""
        return self.edited.composite.report.changed_pixels if self.edited else 0


def edit_photo(
    photo: Photo,
    edit: EditRequest,
    *,
    models: Models,
    face: int | None = None,
    quality: str = "balanced",
    seed: int = 0,
    session: SessionPlace | None = None,
    watch: Watch = unwatched,
) -> EditedPhoto:
    """Align a face, invert it, drag it, and compose the edit into the photo.

    Args:
        photo: Not modified.
        edit: What to do, in photo pixels.
        models: From `load_models`.
        face: Its number from 1, left to right; None takes the one that the edit's handles lie on,
            or the largest.
        quality: A name in `inversion.invert.QUALITIES`.
        seed: Of all randomness.
        session: Where to keep the stages; an inversion found there is used again.
        watch: Sees the steps of the long stages go by.

    Raises:
        PhotodragError: Anything the user can mend, see the packages' errors.
    """
    start = time.perf_counter()
    check_request(photo, edit)
    faces = detect(photo, models)
    chosen = choose_face(faces, face, edit)
    crop = cut_face(photo, chosen, models.generator.config.resolution)
    spec = edit.to_spec(chosen, crop.alignment)
    edited = None
    if not bool(spec.anchors.all()):
        kept = open_for(session, photo, faces, chosen, crop, models, quality, seed)
        inversion, inverted = invert_face(crop, models, quality, seed, kept, watch)
        result, steps = drag_face(inversion, spec, watch)
        composed = compose(photo, crop, inversion, result, spec, edit.mask)
        edited = Edited(
            inversion=inversion, inverted=inverted, result=result, steps=steps, composite=composed
        )
        if kept is not None:
            keep_edit(open_session(kept.folder), edit, spec, result)
    return EditedPhoto(
        request=edit,
        photo=edited.composite.photo if edited else photo,
        faces=faces,
        face=chosen,
        crop=crop,
        spec=spec,
        edited=edited,
        seconds=time.perf_counter() - start,
    )


def check_request(photo: Photo, edit: EditRequest) -> None:
    """Refuse an edit that does not fit the photo, before anything takes long.

    Raises:
        RequestError: Nothing is asked for, or the mask is of another size or empty.
    """
    if edit.empty:
        raise RequestError("nothing to edit: give a drag, a preset or an expression")
    if edit.mask is not None:
        check_mask(edit.mask, photo.width, photo.height)


def quality_options(quality: str) -> InversionOptions:
    """Options of a named quality.

    Raises:
        RequestError: The name is unknown.
    """
    if quality not in QUALITIES:
        raise RequestError(f"unknown quality {quality!r}: choose one of {', '.join(QUALITIES)}")
    return QUALITIES[quality]


def invert_face(
    crop: FaceCrop,
    models: Models,
    quality: str,
    seed: int,
    session: Session | None,
    watch: Watch = unwatched,
) -> tuple[Inversion, bool]:
    """Invert a crop, unless the session has done so; the flag says whether it was done now."""
    kept = recall_inversion(session, models.generator) if session is not None else None
    if kept is not None:
        return kept, False
    options = quality_options(quality)
    steps = invert(
        crop.image.to(models.device),
        crop.valid.to(models.device),
        models.generator,
        models.perceptual,
        options,
        encoder=models.encoder,
        seed=seed,
    )
    total = options.projection_steps + options.tuning_steps
    inversion = finish_inversion(watch(steps, stage="invert", total=total))
    if session is not None:
        keep_inversion(session, inversion)
    return inversion, True


def drag_face(
    inversion: Inversion, spec: DragSpec, watch: Watch = unwatched
) -> tuple[EditResult, tuple[EditStep, ...]]:
    """Drag to the end; also give every step of the way."""
    engine = DragEngine()
    taken: list[EditStep] = []
    steps = watch(engine.steps(inversion, spec), stage="drag", total=engine.max_steps)
    return finish_edit(_noting(steps, taken), inversion), tuple(taken)


def compose(
    photo: Photo,
    crop: FaceCrop,
    inversion: Inversion,
    result: EditResult,
    spec: DragSpec,
    mask: NDArray[np.bool_] | None,
) -> Composite:
    """Carry the edit over to the photo; a photo-sized mask is honoured to the pixel."""
    composed = composite(
        photo,
        crop.alignment,
        inversion.render(),
        result.image,
        spec.mask,
        handles=spec.handles,
        finals=result.points,
    )
    return restrict(photo, composed, mask)


def restrict(photo: Photo, composed: Composite, mask: NDArray[np.bool_] | None) -> Composite:
    """Put back what lies outside a photo-sized mask; the crop's mask is coarser than that."""
    if mask is None:
        return composed
    kept = composed.changed & mask
    pixels = photo.pixels.copy()
    pixels[kept] = composed.photo.pixels[kept]
    pixels.setflags(write=False)
    report = replace(composed.report, changed_pixels=int(kept.sum()))
    restored = replace(composed.photo, pixels=pixels)
    return replace(composed, photo=restored, changed=kept, report=report)


def open_for(
    place: SessionPlace | None,
    photo: Photo,
    faces: Sequence[Face],
    face: Face,
    crop: FaceCrop,
    models: Models,
    quality: str,
    seed: int,
) -> Session | None:
    """Begin or go on with a session and keep the crop in it; None where none is wanted.

    Raises:
        SessionError: The folder holds something else, or cannot be written.
    """
    if place is None:
        return None
    session = begin_session(
        place.folder,
        photo=place.photo,
        photo_sha256=photo.sha256,
        face=face.index,
        settings=Settings(
            generator=models.generator_name,
            generator_sha256=models.sha256,
            quality=quality,
            seed=seed,
        ),
    )
    return keep_crop(session, faces, face, crop)


def _noting(steps: Iterable[EditStep], taken: list[EditStep]) -> Iterator[EditStep]:
    for step in steps:
        taken.append(step)
        yield step
