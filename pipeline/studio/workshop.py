"""What the one worker does: it owns the networks, and keeps the last photo and inversions loaded.

Every stage is the library's own, as the command line calls it. All methods run on the
worker's thread.
"""

from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from PIL import Image
from torch import Tensor

from editing.closing import closed_over
from editing.engine import EditResult, EditStep, finish_edit
from editing.render import Renderer, render_edit
from editing.spec import DragSpec
from pipeline.bands import slices
from pipeline.composite import Patch, begin_composition
from pipeline.edit import SessionPlace, check_request, drag_face, invert_face, open_for
from pipeline.engines import OptionValue, engine_for
from pipeline.faces import Face
from pipeline.handles import remark_on_handles
from pipeline.models import Models
from pipeline.photo import Photo
from pipeline.preview import begin_previews, compose_preview
from pipeline.request import EditRequest, Mask
from pipeline.requestfile import read_mask
from pipeline.sequence import move_face, of_the_whole, start_from, union_of_masks
from pipeline.session import open_session
from pipeline.stored import StoredEdit, keep_edit, recall_edit
from pipeline.studio.errors import NoInversionError
from pipeline.studio.jobs import Control
from pipeline.studio.materials import mask_file
from pipeline.studio.painter import Painter, Subject
from pipeline.studio.parts import select_part
from pipeline.studio.records import PhotoRecord, Slot, read_named
from pipeline.subject import cut, detect

Step = TypeVar("Step")

KEPT_INVERSIONS = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """A run that was asked for.

    Attributes:
        slot: Whose.
        parent: The edit to start from, 0 for the untouched photo.
        request: What to do on top of it; None to go on with the parent's own targets.
        engine: Name of the engine.
        options: Its options.
    """

    slot: Slot
    parent: int
    request: EditRequest | None
    engine: str
    options: Mapping[str, OptionValue]


@dataclass(frozen=True, kw_only=True, eq=False)
class Ran:
    """The end of a run.

    Attributes:
        number: Of the edit in the session.
        spec: What was dragged, crop pixels.
        result: Its end.
        patch: What it changes of the photo; None for nothing.
        subject: Whose.
        steps: All of its steps.
        remarks: What to say about its handles.
    """

    number: int
    spec: DragSpec
    result: EditResult
    patch: Patch | None
    subject: Subject
    steps: tuple[EditStep, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Way:
    """A run as the engine takes it, and as the composition does."""

    spec: DragSpec
    whole: DragSpec
    request: EditRequest
    stored: StoredEdit | None


class Workshop:
    """The networks and what is loaded beside them."""

    def __init__(self, models: Models) -> None:
        self.models = models
        self._photo: tuple[str, Photo] | None = None
        self._subjects: OrderedDict[str, Subject] = OrderedDict()

    def photo(self, record: PhotoRecord) -> Photo:
        """The photo, read once."""
        if self._photo is None or self._photo[0] != record.photo:
            self._subjects.clear()
            self._photo = record.photo, read_named(record.file, record.name)
        return self._photo[1]

    def loaded(self, record: PhotoRecord) -> Photo | None:
        """The photo if it is in memory; from any thread."""
        latest = self._photo
        return latest[1] if latest is not None and latest[0] == record.photo else None

    def find_faces(self, record: PhotoRecord, control: Control) -> tuple[Face, ...]:
        """Look for faces."""
        control.announce("read")
        photo = self.photo(record)
        control.announce("faces")
        return detect(photo, self.models)

    def invert(self, slot: Slot, control: Control) -> Subject:
        """Invert the slot's part, or load what was inverted before."""
        if str(slot.folder) in self._subjects:
            self._subjects.move_to_end(str(slot.folder))
            return self._subjects[str(slot.folder)]
        control.announce("read")
        photo = self.photo(slot.record)
        selection = select_part(slot.record, slot.part, self.models)
        file = slot.hidden and mask_file(slot.folder.parent, slot.hidden)
        crop = cut(photo, selection, read_mask(file) if file else None)
        place = SessionPlace(folder=slot.session, photo=slot.record.file)
        session = open_for(place, photo, selection, crop, self.models, slot.quality, slot.seed)
        inversion, _ = invert_face(crop, self.models, slot.quality, slot.seed, session, control)
        draw = Renderer(inversion)
        subject = Subject(
            selection=selection,
            inversion=inversion,
            composer=begin_composition(photo, selection.alignment, inversion.render()),
            previews=begin_previews(photo, selection.alignment, draw(inversion.pivot.latents)),
            draw=draw,
        )
        self._subjects[str(slot.folder)] = subject
        while len(self._subjects) > KEPT_INVERSIONS:
            self._subjects.popitem(last=False)
        return subject

    def subject(self, slot: Slot, control: Control) -> Subject:
        """What was inverted before.

        Raises:
            NoInversionError: Nothing was.
        """
        if not slot.inverted:
            raise NoInversionError("this is not inverted yet: invert it first")
        return self.invert(slot, control)

    def forget(self, record: PhotoRecord) -> None:
        """Let go of a photo."""
        if self._photo is not None and self._photo[0] == record.photo:
            self._photo = None
            self._subjects.clear()

    def run(
        self,
        plan: Plan,
        control: Control,
        painter: Painter,
        note: Callable[[EditStep], None],
    ) -> Ran:
        """Drag to the end or until stopped, compose the photo, and keep the edit in the session.

        Args:
            plan: What was asked for.
            control: Stops and cancels.
            painter: Shows steps.
            note: Gets every step, to be found again after a crash.
        """
        subject = self.subject(plan.slot, control)
        way = self._plan(plan, subject)
        control.unit = subject.selection.alignment.scale
        painter.begin(subject, way.spec, way.whole, way.request.mask)
        presets = plan.request.presets if plan.request else ()
        engine = engine_for(plan.engine, plan.options, presets, self.models.directions)

        def watch(steps: Iterable[Step], /, *, stage: str, total: int) -> Iterable[Step]:
            return control(_until_stopped(steps, control, see), stage=stage, total=total)

        def see(step: EditStep) -> None:
            painter.offer(step)
            note(step)

        start = None if way.stored is None else start_from(way.stored)
        with _sharing_cores():
            result, taken = drag_face(subject.inversion, way.spec, engine, watch, start=start)
        return self._keep(plan, subject, way, result, taken, control)

    def recover(self, plan: Plan, last: EditStep, control: Control) -> Ran:
        """Finish a run that was cut off, at the last of its steps that was noted."""
        subject = self.subject(plan.slot, control)
        way = self._plan(plan, subject)
        result = finish_edit([replace(last, stopped="stopped")], subject.inversion)
        return self._keep(plan, subject, way, result, (last,), control)

    def compose_stored(
        self, slot: Slot, edit: int, control: Control, base: Photo | None = None
    ) -> Patch | None:
        """What an edit of the session changes of the photo; None for nothing.

        Args:
            slot: Whose.
            edit: Its number in the session.
            control: Of this job.
            base: The photo with the edits of other faces, if there are any.
        """
        subject = self.subject(slot, control)
        stored = recall_edit(open_session(slot.session), edit)
        control.announce("compose")
        latents = stored.latents.to(self.models.device)
        image = render_edit(subject.inversion, latents, stored.movable)
        if base is not None:
            subject = replace(subject, composer=replace(subject.composer, photo=base))
        return compose_end(subject, stored.spec, image, stored.points, stored.mask)

    def preview_picture(
        self, subject: Subject, stored: StoredEdit, latents: Tensor, points: Tensor
    ) -> Image.Image:
        """The reduced photo around the face with a moment of a stored edit."""
        preview = subject.previews.fine.with_painted(stored.mask)
        edited = subject.draw(latents.to(self.models.device), stored.movable)
        pixels = preview.pixels.copy()
        composed = compose_preview(preview, edited, stored.spec, points)
        if composed is not None:
            window, picture = composed
            pixels[slices(window)] = picture
        return Image.fromarray(pixels)

    def _keep(
        self,
        plan: Plan,
        subject: Subject,
        way: _Way,
        result: EditResult,
        steps: tuple[EditStep, ...],
        control: Control,
    ) -> Ran:
        control.announce("compose")
        patch = compose_end(subject, way.whole, result.image, result.points, way.request.mask)
        control.check()
        session = open_session(plan.slot.session)
        number = max(keep_edit(session, way.request, way.whole, result, parent=plan.parent).edits)
        return Ran(
            number=number,
            spec=way.spec,
            result=result,
            patch=patch,
            subject=subject,
            steps=steps,
            remarks=_remarks(plan, subject, way),
        )

    def _plan(self, plan: Plan, subject: Subject) -> _Way:
        face, alignment = subject.selection.face, subject.selection.alignment
        if plan.parent == 0:
            request = plan.request or EditRequest()
            check_request(subject.photo, request)
            spec = request.to_spec(face, alignment)
            return _Way(spec=spec, whole=spec, request=request, stored=None)
        stored = recall_edit(open_session(plan.slot.session), plan.parent)
        if plan.request is None:
            request = EditRequest(mask=stored.mask)
            return _Way(
                spec=stored.spec.seen_from(stored.points),
                whole=stored.spec,
                request=request,
                stored=stored,
            )
        check_request(subject.photo, plan.request)
        face = move_face(subject.selection, stored, subject.inversion)
        spec = plan.request.to_spec(face, alignment)
        whole = of_the_whole(spec, stored, subject.inversion)
        request = replace(plan.request, mask=union_of_masks(plan.request.mask, stored.mask))
        return _Way(spec=spec, whole=whole, request=request, stored=stored)


def compose_end(
    subject: Subject, whole: DragSpec, image: Tensor, points: Tensor, painted: Mask | None
) -> Patch | None:
    """Carry a rendering over to the photo, at full resolution."""
    return subject.composer.compose(
        image,
        whole.mask,
        painted=painted,
        handles=whole.handles,
        finals=points,
        covered=closed_over(whole),
    )


def _remarks(plan: Plan, subject: Subject, way: _Way) -> tuple[str, ...]:
    """What to say about the handles on the picture that they were set on."""
    if plan.request is None:
        return ()
    inversion, stored = subject.inversion, way.stored
    if stored is None:
        before = inversion.render()
    else:
        before = subject.draw(stored.latents.to(inversion.pivot.latents), stored.movable)
    return remark_on_handles(plan.request.drags, before, subject.selection.alignment)


@contextmanager
def _sharing_cores() -> Generator[None]:
    """Leave one core to the painter: two pools of threads on the same cores wait for each other."""
    cores = torch.get_num_threads()
    torch.set_num_threads(max(1, cores - 1))
    try:
        yield
    finally:
        torch.set_num_threads(cores)


def _until_stopped(
    steps: Iterable[Step], control: Control, see: Callable[[EditStep], None]
) -> Iterator[Step]:
    """Let every step of a drag be seen; when asked to stop, the one at hand is the last."""
    for step in steps:
        if isinstance(step, EditStep):
            see(step)
            if control.stopped and step.stopped is None:
                yield replace(step, stopped="stopped")
                return
        yield step
