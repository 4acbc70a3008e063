"""Files that leave the studio: the edited photo, its frames, its recipe."""

import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from pipeline.composite import apply_patch
from pipeline.frames import FILMS
from pipeline.photo import save_photo
from pipeline.session import open_session
from pipeline.stored import recall_edit
from pipeline.studio.errors import MessageError
from pipeline.studio.jobs import Control
from pipeline.studio.layers import Layer
from pipeline.studio.recipes import recipe
from pipeline.studio.records import PhotoRecord, keep_record
from pipeline.studio.runs import MOST_STEPS_KEPT
from pipeline.studio.workshop import Workshop

WHATS = {"photo": None, "frames": ".gif", "film": ".mp4", "recipe": ".json"}
"""What can be exported, and the suffix of its file; None for the photo's own."""


def export(
    what: str,
    record: PhotoRecord,
    layers: Sequence[Layer],
    workshop: Workshop,
    control: Control,
    name: str,
) -> Path:
    """Make a file of the edits that the faces of a photo show; returns where it lies.

    Args:
        what: A key of `WHATS`.
        record: The photo.
        layers: What its faces show.
        workshop: Composes.
        control: Of this job.
        name: The file's name for people; its suffix decides the kind.

    Raises:
        MessageError: The frames of nothing are asked for.
    """
    path = record.folder / "exports" / f"{secrets.token_hex(8)}{Path(name).suffix}"
    path.parent.mkdir(exist_ok=True)
    if what == "recipe":
        keep_record(path, recipe(record, layers, workshop.models))
    elif what in ("frames", "film"):
        if not layers:
            raise MessageError("the untouched photo has no frames: show an edit first")
        frames = control(_frames(layers, workshop, control), stage="frames", total=_count(layers))
        FILMS[path.suffix](path, list(frames))
    else:
        photo = workshop.photo(record)
        edited = photo
        for layer in layers:
            patch = workshop.compose_stored(layer.slot, layer.edit, control, edited)
            edited = apply_patch(edited, patch).photo
        control.announce("save")
        save_photo(edited, path, edited=edited is not photo)
    return path


def _frames(layers: Sequence[Layer], workshop: Workshop, control: Control) -> Iterator[Image.Image]:
    """The last face untouched, then the kept steps of every edit on the way to what it shows."""
    layer = layers[-1]
    subject = workshop.subject(layer.slot, control)
    yield Image.fromarray(subject.previews.fine.pixels)
    session = open_session(layer.slot.session)
    for note in layer.document.path(layer.edit):
        stored = recall_edit(session, note.edit)
        for latents, points in _kept_steps(layer, note.edit):
            yield workshop.preview_picture(subject, stored, latents[None], points)


def _kept_steps(layer: Layer, edit: int) -> Iterator[tuple[Tensor, Tensor]]:
    kept = load_file(layer.slot.folder / "steps" / f"{edit:04d}.safetensors")
    yield from zip(kept["latents"], kept["points"], strict=True)


def _count(layers: Sequence[Layer]) -> int:
    notes = layers[-1].document.path(layers[-1].edit)
    return 1 + sum(min(note.steps + 1, MOST_STEPS_KEPT) for note in notes)
