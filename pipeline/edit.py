"""The whole way, from photo to photo: align, invert, drag, compose."""

import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from editing.closing import closed_over
from editing.engine import EditResult, EditStart, EditStep, Engine, finish_edit
from editing.options import check_values
from editing.spec import DragSpec
from inversion.expressions import expression_steps
from inversion.invert import (
    QUALITIES,
    InversionOptions,
    finish_inversions,
    invert_together,
    most_steps,
)
from inversion.types import Inversion
from pipeline.align import Crop
from pipeline.composite import Composite, composite
from pipeline.engines import choose_engine, engine_for
from pipeline.errors import RequestError
from pipeline.models import Models
from pipeline.photo import Photo
from pipeline.request import EditRequest, Mask, check_mask
from pipeline.session import Session, Settings, begin_session, open_session
from pipeline.stored import UNFINISHED, keep_crop, keep_edit, keep_inversion, recall_inversion
from pipeline.subject import Selection, Square, cut, select
from weights.stylegan2 import GeneratorConfig

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
        selection: What was edited.
        crop: It, as the networks saw it.
        spec: The edit in crop pixels.
        edited: What the stages gave, or None where the edit moves nothing.
        seconds: Of everything.
    """

    request: EditRequest
    photo: Photo
    selection: Selection
    crop: Crop
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
    square: Square | None = None,
    quality: str = "balanced",
    seed: int = 0,
    hidden: Mask | None = None,
    session: SessionPlace | None = None,
    watch: Watch = unwatched,
) -> EditedPhoto:
    """Align a face or take a square, invert it, drag it, and compose the edit into the photo.

    Args:
        photo: Not modified.
        edit: What to do, in photo pixels.
        models: From `load_models`.
        face: Its number from 1, left to right; None takes the one that the edit's handles lie on,
            or the largest.
        square: What to edit instead of a face: corner and side, photo pixels. Without one, a
            generator that draws no aligned faces takes the largest square in the photo's middle.
        quality: A name in `inversion.invert.QUALITIES`.
        seed: Of all randomness.
        hidden: Photo-sized mask of what hides the face, such as a hand: it is not inverted.
        session: Where to keep the stages; an inversion found there is used again.
        watch: Sees the steps of the long stages go by.

    Raises:
        PhotodragError: Anything the user can mend, see the packages' errors.
    """
    start = time.perf_counter()
    check_request(photo, edit, models.generator.config)
    selection = select(photo, models, face=face, square=square, edit=edit)
    spec = edit.to_spec(selection.face, selection.alignment)
    crop = cut(photo, selection, hidden)
    edited = None
    if not bool(spec.anchors.all()):
        kept = open_for(session, photo, selection, crop, models, quality, seed)
        inversion, inverted = invert_face(crop, models, quality, seed, kept, watch)
        edited = edit_inverted(photo, edit, crop, spec, inversion, models, watch, inverted=inverted)
        if kept is not None:
            keep_edit(open_session(kept.folder), edit, spec, edited.result)
    return EditedPhoto(
        request=edit,
        photo=edited.composite.photo if edited else photo,
        selection=selection,
        crop=crop,
        spec=spec,
        edited=edited,
        seconds=time.perf_counter() - start,
    )


def edit_inverted(
    photo: Photo,
    edit: EditRequest,
    crop: Crop,
    spec: DragSpec,
    inversion: Inversion,
    models: Models,
    watch: Watch = unwatched,
    *,
    inverted: bool = False,
) -> Edited:
    """Drag what was inverted, now or before, and compose the edit into the photo."""
    engine = engine_for(edit.engine, edit.options, edit.presets, models.directions)
    result, steps = drag_face(inversion, spec, engine, watch)
    composed = compose(photo, crop, inversion, result, spec, edit.mask)
    return Edited(
        inversion=inversion, inverted=inverted, result=result, steps=steps, composite=composed
    )


def check_request(photo: Photo, edit: EditRequest, config: GeneratorConfig | None = None) -> None:
    """Refuse an edit that does not fit the photo or the generator, before anything takes long.

    Args:
        photo: What is to be edited.
        edit: What to do.
        config: Of the generator; None leaves the engine's options to be checked later.

    Raises:
        RequestError: Nothing is asked for, there is no such engine, or the mask is of another size
            or empty.
        OptionError: An option of the engine is none for this generator.
    """
    if edit.empty:
        raise RequestError("nothing to edit: give a drag, a preset or an expression")
    engine = choose_engine(edit.engine, edit.options)
    if config is not None:
        check_values(engine, config)
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
    crop: Crop,
    models: Models,
    quality: str,
    seed: int,
    session: Session | None,
    watch: Watch = unwatched,
) -> tuple[Inversion, bool]:
    """Invert a crop, unless the session has done so; the flag says whether it was done now.

    An inversion that was killed goes on from where its session last kept its state.
    """
    inversions, fresh = invert_crops(
        [crop], models, quality, seed, [session] if session else [], watch
    )
    return inversions[0], fresh


def invert_crops(
    crops: Sequence[Crop],
    models: Models,
    quality: str,
    seed: int,
    sessions: Sequence[Session],
    watch: Watch = unwatched,
) -> tuple[tuple[Inversion, ...], bool]:
    """Invert crops with one tuned generator; as `invert_face`, with a session for each or none."""
    found = [recall_inversion(session, models) for session in sessions]
    complete = tuple(inversion for inversion in found if inversion is not None)
    if len(complete) == len(crops):
        return complete, False
    options = quality_options(quality)
    steps = invert_together(
        [crop.image.to(models.device) for crop in crops],
        [crop.valid.to(models.device) for crop in crops],
        models.generator,
        models.perceptual,
        options,
        encoder=models.encoder,
        seed=seed,
        hidden=[None if crop.hidden is None else crop.hidden.to(models.device) for crop in crops],
        directions=expression_steps(models.directions),
        checkpoint=sessions[0].folder / UNFINISHED if sessions else None,
    )
    total = most_steps(models.generator, options, len(crops), models.encoder)
    inversions = finish_inversions(watch(steps, stage="invert", total=total))
    for session, inversion in zip(sessions, inversions, strict=False):
        keep_inversion(session, inversion)
    return inversions, True


def drag_face(
    inversion: Inversion,
    spec: DragSpec,
    engine: Engine,
    watch: Watch = unwatched,
    *,
    start: EditStart | None = None,
) -> tuple[EditResult, tuple[EditStep, ...]]:
    """Drag to the end; also give every step of the way."""
    taken: list[EditStep] = []
    steps = watch(engine.steps(inversion, spec, start), stage="drag", total=engine.max_steps)
    return finish_edit(_noting(steps, taken), inversion), tuple(taken)


def compose(
    photo: Photo,
    crop: Crop,
    inversion: Inversion,
    result: EditResult,
    spec: DragSpec,
    mask: Mask | None,
) -> Composite:
    """Carry the edit over to the photo; black of a photo's mask is honoured to the pixel."""
    return composite(
        photo,
        crop.alignment,
        inversion.render(),
        result.image,
        spec.mask,
        painted=mask,
        handles=spec.handles,
        finals=result.points,
        covered=closed_over(spec),
    )


def open_for(
    place: SessionPlace | None,
    photo: Photo,
    selection: Selection,
    crop: Crop,
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
        selected=selection.name,
        settings=Settings(
            generator=models.generator_name,
            generator_sha256=models.sha256,
            quality=quality,
            seed=seed,
            hidden=hidden_sha256(crop),
        ),
    )
    return keep_crop(session, selection, crop)


def hidden_sha256(crop: Crop) -> str:
    """What sessions remember of the mask of what hides a face."""
    if crop.hidden is None:
        return ""
    return hashlib.sha256(crop.hidden.numpy().tobytes()).hexdigest()


def _noting(steps: Iterable[EditStep], taken: list[EditStep]) -> Iterator[EditStep]:
    for step in steps:
        taken.append(step)
        yield step
