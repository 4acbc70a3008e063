"""Edits on top of edits: where an edit's end is the start of the next.

Latents are the history. What is composed is always the latest picture against the inversion's own,
so a chain of edits needs one specification of the whole: its handles on the untouched picture, and
all that any of them was free to change.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from editing.closing import closed_over
from editing.render import render_edit
from editing.spec import DragSpec
from editing.steps import EditStart
from inversion.types import Inversion
from pipeline.bands import to_picture
from pipeline.correspondence import Array, find_correspondence
from pipeline.faces import Face
from pipeline.request import Mask
from pipeline.stored import StoredEdit
from pipeline.subject import Selection


def start_from(stored: StoredEdit) -> EditStart:
    """The start of an edit that goes on from a stored one."""
    return EditStart.after(stored.latents, stored.spec)


def of_the_whole(spec: DragSpec, stored: StoredEdit, subject: Inversion) -> DragSpec:
    """The specification of a stored edit and a further one together, on the untouched picture.

    Args:
        spec: The further edit, its handles on the stored edit's picture.
        stored: The edit that it starts from.
        subject: What both of them edit.
    """
    handles = trace_back(spec.handles, stored, subject)
    stays = spec.anchors[:, None] & (handles == spec.handles).all(dim=1, keepdim=True)
    mask = _union(spec.mask, stored.spec.mask)
    return DragSpec(
        handles=handles,
        targets=torch.where(stays, handles, spec.targets),
        resolution=spec.resolution,
        mask=_with_places(mask, handles),
        covered=closed_over(stored.spec),
    )


def move_face(selection: Selection, stored: StoredEdit, subject: Inversion) -> Face | None:
    """The face as a stored edit, and those that it goes on from, left it.

    Landmarks that the edit itself dragged lie where they ended; others went along the flow between
    the untouched picture and the edit's.
    """
    face = selection.face
    if face is None:
        return None
    landmarks = torch.from_numpy(selection.alignment.to_crop(face.landmarks)).float()
    before, after = _pictures(stored, subject)
    known = stored.spec.handles.cpu(), stored.points.cpu()
    moved = _follow(landmarks, before, after, known)
    return replace(face, landmarks=selection.alignment.to_photo(moved.numpy()))


def trace_back(points: Tensor, stored: StoredEdit, subject: Inversion) -> Tensor:
    """Where points `[N, 2]` of a stored edit's picture lie in the untouched one, crop pixels.

    A handle of the stored edit goes back to where it was; other points go along the flow between
    the two pictures.
    """
    before, after = _pictures(stored, subject)
    known = stored.points.to(points), stored.spec.handles.to(points)
    return _follow(points, after, before, known).clamp(0, stored.spec.resolution)


def _pictures(stored: StoredEdit, subject: Inversion) -> tuple[Array, Array]:
    """The untouched picture and the stored edit's."""
    latents = stored.latents.to(subject.pivot.latents.device)
    edited = render_edit(subject, latents, stored.movable)
    return to_picture(subject.render()), to_picture(edited)


def _follow(points: Tensor, here: Array, there: Array, known: tuple[Tensor, Tensor]) -> Tensor:
    """Where points `[N, 2]` of one picture lie in another; `known` are such pairs of points."""
    if len(points) == 0:
        return points
    handles, finals = known[1].numpy(), known[0].numpy()
    found = find_correspondence(there, here, handles=handles, finals=finals)
    cells = points.long().clamp(0, here.shape[0] - 1).numpy()
    followed = points + torch.from_numpy(found.flow[cells[:, 1], cells[:, 0]]).to(points)
    if len(known[0]):
        apart = torch.cdist(points, known[0])
        pinned = (apart.amin(dim=1) < 0.5)[:, None]
        followed = torch.where(pinned, known[1][apart.argmin(dim=1)], followed)
    return followed


def union_of_masks(one: Mask | None, other: Mask | None) -> Mask | None:
    """What either of two masks of a photo allows; None allows everything."""
    if one is None or other is None:
        return None
    return np.maximum(one, other)


def _union(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    if one is None or other is None:
        return None
    return torch.maximum(one, other)


def _with_places(mask: Tensor | None, points: Tensor) -> Tensor | None:
    """The mask, opened at the points themselves: a handle may have been tracked to its border."""
    if mask is None:
        return None
    cells = points.long().clamp(0, mask.shape[-1] - 1)
    opened = mask.clone()
    opened[0, 0, cells[:, 1], cells[:, 0]] = 1
    return opened
