"""What a drag minimises: features, patches and the two terms of DragGAN's Eq. 1.

Pan et al., "Drag Your GAN: Interactive Point-based Manipulation on the Generative Image
Manifold" (2023), Section 3.2.1. Points and lengths are in crop pixels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from editing.features import Features
from editing.tracking import disc_offsets


def patch_radii(handles: Tensor, targets: Tensor, *, largest: float, least: float) -> Tensor:
    """Radius of the patch around each handle, `[N]`.

    A patch keeps to a quarter of the way to the nearest handle that stays or goes another way:
    otherwise the lids of an eye, a few pixels apart, would each drag the other along, and lips
    would carry the teeth between them.

    Args:
        handles: `[N, 2]`.
        targets: `[N, 2]`.
        largest: radius of a patch that has the room.
        least: radius of the others at least; 0 for a single point.
    """
    away = targets - handles
    apart = torch.cdist(handles, handles)
    alike = (away @ away.T > 0) | torch.eye(len(handles), dtype=torch.bool, device=handles.device)
    room = F.pad(apart.masked_fill(alike, torch.inf) / 4, (0, 1), value=largest).amin(dim=1)
    return room.clamp(min=min(least, largest))


def patch_offsets(radii: Tensor) -> Tensor:
    """Offsets q - p of some twenty places in each patch: radii `[N]` -> `[N, P, 2]`.

    Closer places would read the same feature cells again.
    """
    return disc_offsets(1.0, 0.4).to(radii.device) * radii[:, None, None]


def motion_supervision(
    features: Features,
    templates: Tensor,
    points: Tensor,
    targets: Tensor,
    *,
    patch: Tensor,
    step_length: float,
) -> Tensor:
    """For each handle |f(q) - F(q + d)|_1, q in the patch around p (Eq. 1, first term).

    d is the direction from p to its target t, `step_length` long or less if t is nearer. The
    patch f is held constant and asked to lie at q + d: the current F(q) in the paper, what F0 held
    around the first handle in FreeDrag and GoodDrag, which cannot drift. As in the authors' code
    the norm is averaged over the patch and the channels.

    Args:
        features: F.
        templates: `[N, P, C]`, f.
        points: `[N, 2]`, p, crop pixels.
        targets: `[N, 2]`, t.
        patch: `[N, P, 2]` offsets of q from p.
        step_length: crop pixels.

    Returns:
        `[N]`.
    """
    away = targets - points
    distance = away.norm(dim=1, keepdim=True)
    d = away * (step_length / distance.clamp(min=step_length))
    there = features.at((points + d)[:, None] + patch)
    return (templates - there).abs().mean(dim=(1, 2))


def mask_loss(now: Tensor, first: Tensor, fixed: Tensor) -> Tensor:
    """|(F - F0) (1 - M)|, averaged over what is fixed (Eq. 1, second term).

    The norm is the Euclidean one over a cell's channels, as their root mean square, and the sum
    over cells: few places change, rather than all of them a little.

    Args:
        now: `[N, C, h, w]`, F of a block.
        first: likewise, F0 of the picture to keep to.
        fixed: `[N, 1, h, w]`, 1 - M as shares of the cells.

    Returns:
        A scalar, 0 where nothing is fixed.
    """
    change = torch.linalg.vector_norm((now - first).float(), dim=1, keepdim=True)
    change = change / math.sqrt(now.shape[1])
    return (change * fixed).sum() / fixed.sum().clamp(min=1)
