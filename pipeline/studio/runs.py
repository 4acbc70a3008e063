"""A run from the draft to the edit in the history, with what is needed to find it after a crash."""

import time
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from editing.engine import EditStep
from editing.spec import DragSpec
from pipeline.align import Alignment, Window
from pipeline.bands import bounds
from pipeline.composite import Patch
from pipeline.request import EditRequest
from pipeline.sequence import move_face
from pipeline.session import Json, open_session, write_atomically
from pipeline.stored import recall_edit
from pipeline.studio.document import EditNote
from pipeline.studio.draft import Draft, read_draft
from pipeline.studio.jobs import Control
from pipeline.studio.materials import read_draft_request
from pipeline.studio.painter import Painter, match_points
from pipeline.studio.pictures import bytes_of, thumbnail, to_jpeg, write_bytes
from pipeline.studio.records import Slot, keep_record, read_record
from pipeline.studio.settings import StudioSettings, read_settings
from pipeline.studio.views import round_points
from pipeline.studio.workshop import Plan, Ran, Workshop
from weights.errors import PhotodragError
from weights.files import write_safetensors

RUNNING, REACHED = "running.json", "running.safetensors"
NOTE_EVERY = 1.0
"""Seconds between two steps that are noted on disk."""

MOST_STEPS_KEPT = 24
"""Steps of an edit that are kept for its frames."""

EDIT_THUMBNAIL = 160
GIVEN_UP = (
    "The points came no nearer. Continue, pull less far, or let more of the face move (region or "
    "mask)."
)
NO_FURTHER = "The face went no further. Continue, or take a weaker expression."
CAPPED = "The step limit was reached: continue to go on."

NEAR = 0.2
"""Share of the way that may be left without any advice."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a page asked for: the draft on top of an edit, or to go on with that edit."""

    slot: Slot
    parent: int
    continued: bool
    draft: Draft
    settings: StudioSettings

    def plan(self) -> Plan:
        """The run, with everything that lies in files.

        Raises:
            UnknownError: The draft's mask or expression is not here any more.
            OptionError: An option of the engine is out of its range.
        """
        request = None if self.continued else self.request()
        return Plan(
            slot=self.slot,
            parent=self.parent,
            request=request,
            engine=self.settings.engine,
            options=self.settings.options,
        )

    def request(self) -> EditRequest:
        """What the draft asks for, with the engine of the settings.

        Raises:
            UnknownError: The draft's mask or expression is not here any more.
        """
        read = read_draft_request(self.slot.folder.parent, self.draft)
        return replace(read, engine=self.settings.engine, options=self.settings.options)

    def keep(self) -> None:
        """Note on disk that this run goes on."""
        record: Json = {
            "parent": self.parent,
            "continued": self.continued,
            "draft": self.draft.to_json(),
            "settings": self.settings.to_json(),
        }
        keep_record(self.slot.folder / RUNNING, record)


def recall_asked(slot: Slot) -> Asked | None:
    """The run that was cut off in this slot, if there is one."""
    try:
        record = cast("dict[str, Any] | None", read_record(slot.folder / RUNNING))
        if record is None:
            return None
        return Asked(
            slot=slot,
            parent=int(record["parent"]),
            continued=bool(record["continued"]),
            draft=read_draft(record["draft"]),
            settings=read_settings(record["settings"], StudioSettings()),
        )
    except (KeyError, TypeError, ValueError, PhotodragError):
        return None


def forget_asked(slot: Slot) -> None:
    """The run has ended."""
    for name in (RUNNING, REACHED):
        (slot.folder / name).unlink(missing_ok=True)


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A new edit, and the draft that goes on from it."""

    note: EditNote
    draft: Draft


def run_asked(asked: Asked, workshop: Workshop, control: Control, painter: Painter) -> Finished:
    """Run what was asked for; its state is noted every moment, to be found after a crash."""
    asked.keep()
    latest = time.monotonic()

    def note(step: EditStep) -> None:
        nonlocal latest
        if step.index > 0 and time.monotonic() - latest >= NOTE_EVERY:
            latest = time.monotonic()
            _keep_reached(asked.slot, step)

    try:
        return _finish(asked, workshop.run(asked.plan(), control, painter, note))
    except Exception:
        forget_asked(asked.slot)
        raise
    finally:
        painter.close()


def recover_asked(asked: Asked, workshop: Workshop, control: Control) -> Finished | None:
    """Finish a run that was cut off; None where it had not come far enough."""
    last = _recall_reached(asked.slot)
    forget_asked(asked.slot)
    if last is None:
        return None
    return _finish(asked, workshop.recover(asked.plan(), last, control))


def keep_pictures(slot: Slot, edit: int, patch: Patch | None) -> Window | None:
    """Keep what an edit looks like, for the page; returns the photo's rectangle that it changes."""
    inside = None if patch is None else bounds(patch.changed)
    if patch is None or inside is None:
        return None
    rgb = bytes_of(patch.part, inside)
    small = thumbnail(rgb, EDIT_THUMBNAIL)
    for name, content in (
        (f"{edit:04d}.jpg", to_jpeg(rgb, patch.part, quality=95, fine=True)),
        (f"{edit:04d}-small.jpg", to_jpeg(small, patch.part)),
    ):
        write_atomically(slot.pictures / name, lambda path, c=content: write_bytes(path, c))
    (left, top), (x0, y0, x1, y1) = patch.window[:2], inside
    return left + x0, top + y0, left + x1, top + y1


def _finish(asked: Asked, ran: Ran) -> Finished:
    slot, alignment = asked.slot, ran.subject.selection.alignment
    distance = ran.result.mean_distance * alignment.scale
    rect = keep_pictures(slot, ran.number, ran.patch)
    _keep_steps(slot, ran)
    label = "continued" if asked.continued else asked.draft.label
    note = EditNote(
        edit=ran.number,
        parent=asked.parent,
        continued=asked.continued,
        label=label,
        stopped=ran.result.stopped,
        steps=ran.result.steps,
        seconds=ran.result.seconds,
        distance=distance,
        rect=rect,
        request={} if asked.continued else asked.request().to_json(),
        landmarks=_landmarks(slot, ran),
        message=_advice(asked.draft, ran),
    )
    draft = moved_draft(asked.draft, ran.spec, ran.result.points, alignment, asked.continued)
    return Finished(note=note, draft=draft)


def moved_draft(
    draft: Draft, spec: DragSpec, points: Tensor, alignment: Alignment, continued: bool
) -> Draft:
    """The draft after a run: points where their handles were tracked, expressions spent.

    Args:
        draft: Before.
        spec: What was dragged, crop pixels.
        points: [N, 2] where its handles ended.
        alignment: Between photo and crop.
        continued: Whether the run went on with an earlier one.
    """
    found = match_points(draft.points, spec, alignment)
    ends = alignment.to_photo(points.cpu().numpy())
    moved = tuple(
        point
        if k is None or point.lock
        else replace(point, at=(round(float(ends[k][0]), 2), round(float(ends[k][1]), 2)))
        for point, k in zip(draft.points, found, strict=True)
    )
    if continued:
        return replace(draft, points=moved)
    return replace(draft, points=moved, presets={}, expression=None)


def _advice(draft: Draft, ran: Ran) -> str:
    """What to know of the points of a run, or what to do after it."""
    if ran.remarks:
        return " ".join(f"{remark[0].upper()}{remark[1:]}." for remark in ran.remarks)
    if ran.result.stopped == "step cap":
        return CAPPED
    if ran.result.stopped == "stalled" and ran.result.mean_distance > NEAR * _way(ran.spec):
        return GIVEN_UP if draft.points else NO_FURTHER
    return ""


def _way(spec: DragSpec) -> float:
    """Mean way of the handles that move, crop pixels."""
    return float((spec.targets - spec.handles).norm(dim=1)[~spec.anchors].mean())


def _landmarks(slot: Slot, ran: Ran) -> list[list[float]]:
    """Where the edit left the face's landmarks, as a further edit takes them."""
    stored = recall_edit(open_session(slot.session), ran.number)
    face = move_face(ran.subject.selection, stored, ran.subject.inversion)
    return [] if face is None else round_points(face.landmarks)


def _keep_steps(slot: Slot, ran: Ran) -> None:
    last = len(ran.steps) - 1
    picked = np.unique(np.linspace(0, last, min(MOST_STEPS_KEPT, last + 1)).astype(int))
    chosen = [ran.steps[k] for k in picked]
    tensors = {
        "latents": torch.cat([step.latents for step in chosen]).detach().cpu(),
        "points": torch.stack([step.points for step in chosen]).detach().cpu(),
    }
    folder = slot.folder / "steps"
    folder.mkdir(exist_ok=True)
    write_safetensors(folder / f"{ran.number:04d}.safetensors", tensors, {})


def _keep_reached(slot: Slot, step: EditStep) -> None:
    tensors = {
        "latents": step.latents.detach().cpu(),
        "points": step.points.detach().cpu(),
        "reached": step.reached.detach().cpu(),
        "numbers": torch.tensor([step.index, step.loss, step.mean_distance], dtype=torch.float64),
    }
    if step.movable is not None:
        tensors["movable"] = step.movable.cpu()
    write_safetensors(slot.folder / REACHED, tensors, {})


def _recall_reached(slot: Slot) -> EditStep | None:
    path = slot.folder / REACHED
    try:
        tensors = load_file(path)
        index, loss, distance = tensors["numbers"].tolist()
        return EditStep(
            index=int(index),
            points=tensors["points"],
            loss=loss,
            mean_distance=distance,
            reached=tensors["reached"],
            latents=tensors["latents"],
            movable=tensors.get("movable"),
        )
    except (OSError, SafetensorError, KeyError, ValueError):
        return None  # the run is then as if it had never begun
