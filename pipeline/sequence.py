"""Edits on top of edits: where an edit's end is the start of the next.

Latents are the history. What is composed is always the latest picture against the inversion's own,
so a chain of edits needs one specification of the whole: its handles on the untouched picture, and
all that any of them was free to change.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from editing.render import render_edit
from editing.spec import DragSpec
from editing.steps import EditStart
from inversion.types import Inversion
from pipeline.bands import to_picture
from pipeline.correspondence import find_correspondence
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
    )


def move_face(selection: Selection, stored: StoredEdit) -> Face | None:
    """The face as a stored edit left it: landmarks that it dragged lie where they ended."""
    face = selection.face
    if face is None or len(stored.points) == 0:
        return face
    landmarks = selection.alignment.to_crop(face.landmarks)
    handles, ends = stored.spec.handles.numpy(), stored.points.numpy()
    apart = np.linalg.norm(landmarks[:, None] - handles, axis=2)
    dragged = (apart.min(axis=1) < 0.5)[:, None]
    moved = np.where(dragged, ends[apart.argmin(axis=1)], landmarks)
    return replace(face, landmarks=selection.alignment.to_photo(moved))


def trace_back(points: Tensor, stored: StoredEdit, subject: Inversion) -> Tensor:
    """Where points `[N, 2]` of a stored edit's picture lie in the untouched one, crop pixels.

    A handle of the stored edit goes back to where it was; other points go along the flow between
    the two pictures.
    """
    if len(points) == 0:
        return points
    before = to_picture(subject.render())
    latents = stored.latents.to(subject.pivot.latents.device)
    after = to_picture(render_edit(subject, latents, stored.movable))
    found = find_correspondence(
        before, after, handles=stored.spec.handles.numpy(), finals=stored.points.numpy()
    )
    side = stored.spec.resolution
    cells = points.long().clamp(0, side - 1).numpy()
    traced = points + torch.from_numpy(found.flow[cells[:, 1], cells[:, 0]]).to(points)
    apart = torch.cdist(points, stored.points.to(points))
    if apart.shape[1]:
        nearest = apart.argmin(dim=1)
        known = (apart.amin(dim=1) < 0.5)[:, None]
        traced = torch.where(known, stored.spec.handles.to(points)[nearest], traced)
    return traced.clamp(0, side)


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
