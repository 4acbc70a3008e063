"""What a drag minimises: features, patches and the two terms of DragGAN's Eq. 1.

Pan et al., "Drag Your GAN: Interactive Point-based Manipulation on the Generative Image
Manifold" (2023), Section 3.2.1. Points and lengths are in crop pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from editing.tracking import disc_offsets, sample_features
from inversion.types import Inversion

# Some twenty places in a patch: closer ones would read the same feature cells again.
_PLACES = 0.4


def block_features(subject: Inversion, latents: Tensor, blocks: Sequence[int]) -> Tensor:
    """Features F: the blocks upsampled to the finest of them, each of equal weight in a mean.

    A coarse block knows which part of the face a place belongs to, a fine one where its edge is.

    Args:
        subject: gives the generator and its noise.
        latents: `[1, L, w_dim]`.
        blocks: sides of feature blocks.

    Returns:
        `[1, C, r, r]` float32, r the largest side.
    """
    finest = max(blocks)
    kept = subject.generator.synthesize(
        latents, image=False, keep=blocks, until=finest, noise=subject.pivot.noise or "const"
    ).features
    maps = [kept[block].float() for block in blocks]
    channels = sum(each.shape[1] for each in maps)
    return torch.cat(
        [
            F.interpolate(each, size=(finest, finest), mode="bilinear", align_corners=False)
            * (channels / len(maps) / each.shape[1])
            for each in maps
        ],
        dim=1,
    )


def patch_offsets(handles: Tensor, targets: Tensor, *, largest: float, least: float) -> Tensor:
    """Offsets q - p of the patch around each handle, `[N, P, 2]`.

    A patch is a disc that keeps to a quarter of the way to the nearest handle that stays or goes
    another way: otherwise the lids of an eye, a few pixels apart, would each drag the other along,
    and lips would carry the teeth between them.

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
    radius = room.clamp(min=min(least, largest))
    return disc_offsets(1.0, _PLACES).to(handles.device) * radius[:, None, None]


def motion_supervision(
    features: Tensor,
    templates: Tensor,
    points: Tensor,
    targets: Tensor,
    *,
    patch: Tensor,
    step_length: float,
    resolution: int,
) -> Tensor:
    """Sum over handles of |f(q) - F(q + d)|_1, q in the patch around p (Eq. 1, first term).

    d is the direction from p to its target t, `step_length` long or less if t is nearer. The
    patch f is held constant and asked to lie at q + d: the current F(q) in the paper, what F0 held
    around the first handle in FreeDrag and GoodDrag, which cannot drift. As in the authors' code
    the norm is averaged over the patch and the channels.

    Args:
        features: `[1, C, r, r]`, F.
        templates: `[N, P, C]`, f.
        points: `[N, 2]`, p, crop pixels.
        targets: `[N, 2]`, t.
        patch: `[N, P, 2]` offsets of q from p.
        step_length: crop pixels.
        resolution: side of the crop in pixels.

    Returns:
        A scalar.
    """
    away = targets - points
    distance = away.norm(dim=1, keepdim=True)
    d = away * (step_length / distance.clamp(min=step_length))
    there = sample_features(features, (points + d)[:, None] + patch, resolution)
    return (templates - there).abs().mean(dim=(1, 2)).sum()


def mask_loss(features: Tensor, first: Tensor, fixed: Tensor) -> Tensor:
    """|(F - F0) (1 - M)|_1, averaged over what is fixed (Eq. 1, second term).

    Args:
        features: `[1, C, r, r]`, F.
        first: `[1, C, r, r]`, F0, of the unedited image.
        fixed: `[1, 1, r, r]`, 1 - M at the features' resolution.

    Returns:
        A scalar, 0 where nothing is fixed.
    """
    change = ((features - first) * fixed).abs().mean(dim=1).sum()
    return change / fixed.sum().clamp(min=1)
