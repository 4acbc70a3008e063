"""The trackers that an engine can follow its handles with, behind one interface.

A tracker is made from the first picture's features and the handles on it; called with a later
picture's features and where the handles were last, it says where they are now. "none" is for
comparison: it holds the handles to be where they began. "nearest" is DragGAN's (Eq. 3), on whole
pixels. "subpixel" compares patches between pixels. "raft" follows optical flow from the first
picture, with torchvision's network where its weights are on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from editing.features import Features
from editing.raft import flow_tracker
from editing.tracking import PatchTemplates, square_offsets, track_patches

Tracker = Callable[[Features, Tensor], Tensor]
Norm = Literal["l1", "l2"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Search:
    """How far and how finely a tracker looks.

    Attributes:
        radius: reach of the search around the last place, crop pixels.
        spacing: of the lattice for sub-pixel tracking, crop pixels.
        patch_radii: `[N]` radii of the patches that sub-pixel tracking compares, crop pixels.
        norm: distance between feature vectors on whole pixels.
    """

    radius: float
    spacing: float
    patch_radii: Tensor
    norm: Norm = "l2"


def track_none(first: Features, handles: Tensor, search: Search) -> Tracker:  # noqa: ARG001
    """Make the tracker that sees no motion."""
    return lambda _, points: points


def track_nearest(first: Features, handles: Tensor, search: Search) -> Tracker:
    """Make DragGAN's tracker: the pixel whose feature vector is nearest to the first handle's."""
    template = first.at(handles.floor() + 0.5)
    window = square_offsets(search.radius, 1.0).to(handles.device)
    order = 1 if search.norm == "l1" else 2

    def track(features: Features, points: Tensor) -> Tensor:
        candidates = (points.floor() + 0.5)[:, None, None] + window
        distance = (features.at(candidates) - template[:, None, None]).norm(p=order, dim=-1)
        side = features.resolution
        outside = ((candidates < 0) | (candidates > side)).any(dim=-1)
        best = distance.masked_fill(outside, torch.inf).flatten(1).argmin(dim=1)
        return candidates.flatten(1, 2)[torch.arange(len(best), device=best.device), best]

    return track


def track_subpixel(first: Features, handles: Tensor, search: Search) -> Tracker:
    """Make the tracker that finds patches between pixels; see `track_patches`."""
    templates = PatchTemplates.read(
        first, handles, search.patch_radii, spacing=search.spacing, reach=search.radius
    )
    return partial(track_patches, templates)


TRACKERS: Mapping[str, Callable[[Features, Tensor, Search], Tracker]] = {
    "none": track_none,
    "nearest": track_nearest,
    "subpixel": track_subpixel,
    "raft": lambda first, handles, _: flow_tracker(first, handles),
}
