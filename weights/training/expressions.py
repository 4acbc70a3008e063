"""Expressions that official portraits lack, as warps of the portraits: closed eyes, open mouths.

What moves how, and what is painted, is in `face_parts`. Left is left in the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from weights.training.face_parts import (
    Faces,
    Warp,
    close_lids,
    move_brow,
    open_mouth,
    shape_face,
    smile,
    turn_head,
)
from weights.training.portraits import read

EXPRESSIONS: dict[str, float] = {
    "smile": 0.1, "mouth-width": 0.1, "mouth-open": 0.2, "lid-left": 1.0, "lid-right": 1.0,
    "brow-left": 0.1, "brow-right": 0.1, "brow-inner": 0.06, "yaw": 8.0, "pitch": 6.0,
    "gaze-x": 0.06, "gaze-y": 0.025, "chin": 0.1, "jaw-left": 0.08, "jaw-right": 0.08, "nose": 0.06,
    "lower-lids": 0.03,
}  # fmt: skip
"""What can be asked for, and a typical amount of it.

Smile (the mouth's corners up), mouth width, mouth opening, brows (up), inner ends of the brows (up)
and gaze are in eyes apart; lids in shares of the aperture, 1 for closed; yaw and pitch in degrees,
positive where the nose points right and down. The last are no expressions but shapes, which make
the latents move these parts alone: chin and nose tip (down), sides of the jaw (outwards) and lower
lids (up), in eyes apart.
"""
TEETH = 0.09
"""Usual height of the teeth seen in an opened mouth, eyes apart."""


@dataclass(frozen=True)
class Drawn:
    """Pictures with other expressions, S pixels wide, and how they came about.

    Attributes:
        images: `[N, 3, S, S]`.
        attention: `[N, 1, S, S]`, 2 at eyes, 1 at the mouth and 0 elsewhere.
        source: `[N, S, S, 2]`, where each pixel is read from, in [-1, 1].
        cover: `[N, 1, S, S]`, how much of each pixel is painted.
    """

    images: Tensor
    attention: Tensor
    source: Tensor
    cover: Tensor


def _tones(images: Tensor, landmarks: Tensor) -> tuple[Tensor, Tensor]:
    """Colours `[N, 3]` in [0, 1] of the skin of the cheeks and of the lower lip."""
    pick = torch.tensor([[3, 31], [13, 35], [2, 31], [14, 35], [57, 66], [56, 65], [58, 67]])
    points = landmarks[:, pick].mean(2)[:, None]
    seen = F.grid_sample(images, points, padding_mode="border", align_corners=False)[:, :, 0]
    seen = (seen + 1) / 2
    return seen[..., :4].mean(2), seen[..., 4:].mean(2)


def _attention(warp: Warp, faces: Faces) -> Tensor:
    """Weight `[N, P]` of the regions that expressions live in."""
    total = torch.zeros_like(warp.x)
    for members, width, height, weight in (
        (range(36, 42), 0.36, 0.22, 2.0), (range(42, 48), 0.36, 0.22, 2.0),
        (range(48, 68), 0.5, 0.34, 1.0),
    ):  # fmt: skip
        x, y = faces.landmarks[:, list(members)].mean(1).split(1, dim=1)
        away = ((warp.x - x) / width).square() + ((warp.y - y) / height).square()
        total = torch.maximum(total, weight * torch.exp(-away.square()))
    return total


def express(
    images: Tensor,
    landmarks: Tensor,
    amounts: Tensor,
    grid: Tensor,
    *,
    teeth: Tensor | None = None,
) -> Drawn:
    """Portraits with other expressions.

    Args:
        images: `[N, 3, R, R]` in [-1, 1].
        landmarks: `[N, 68, 2]` in [-1, 1].
        amounts: `[N, len(EXPRESSIONS)]`, what to add of each; zeros leave a picture as it is. Lids
            are not more than closed.
        grid: `[N, S, S, 2]`, the points of each picture to draw, in [-1, 1]: expressions come
            before whatever else moved them.
        teeth: `[N]`, height of the teeth seen in an opened mouth, eyes apart; `TEETH` if None.
    """
    n, side = grid.shape[:2]
    faces = Faces.of(landmarks, side)
    points = grid.reshape(n, -1, 2)
    x, y = faces.inside(points).unbind(2)
    zero = torch.zeros_like(x)
    warp = Warp(x, y, zero, zero, points.new_zeros(n, 1, 3), zero)
    asked = dict(zip(EXPRESSIONS, amounts.split(1, dim=1), strict=True))
    height = torch.full((n, 1), TEETH) if teeth is None else teeth[:, None]
    skin, lips = _tones(images, landmarks)
    turn_head(warp, faces, asked["yaw"], asked["pitch"])
    for left, brow in ((True, "brow-left"), (False, "brow-right")):
        move_brow(warp, faces, left, asked[brow], asked["brow-inner"])
    smile(warp, faces, asked["smile"], asked["mouth-width"])
    attention = _attention(warp, faces)
    open_mouth(warp, faces, asked["mouth-open"], height, skin, lips)
    for left, lid in ((True, "lid-left"), (False, "lid-right")):
        gaze = asked["gaze-x"], asked["gaze-y"]
        closed = asked[lid].clamp(max=1)
        close_lids(warp, faces, left, closed, asked["lower-lids"], gaze, skin)
    shape_face(warp, faces, asked)
    moved = torch.stack([warp.moved_x, warp.moved_y], 2) @ faces.axes
    source = (points - moved).view(grid.shape)
    seen = read(images, source)
    cover = warp.cover.view(n, 1, side, side)
    colour = (2 * warp.colour - warp.cover[..., None]).transpose(1, 2).reshape(n, 3, side, side)
    attention = attention.view(n, 1, side, side)
    return Drawn(seen * (1 - cover) + colour, attention, source, cover)


def random_expressions(landmarks: Tensor, rng: torch.Generator) -> Tensor:
    """Random amounts `[N, len(EXPRESSIONS)]`, as strong as faces go, for faces `[N, 68, 2]`."""
    n = len(landmarks)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=rng)

    def sometimes(share: float) -> Tensor:
        return (torch.rand(n, generator=rng) < share).float()

    asked = {name: torch.zeros(n) for name in EXPRESSIONS}
    kind = torch.rand(n, generator=rng)
    closing = torch.where(kind < 0.55, 1.0, uniform(0, 1))
    lid = torch.where(kind > 0.85, uniform(-0.45, 0), closing) * sometimes(0.75)
    wink = torch.rand(n, generator=rng)
    asked["lid-left"] = torch.where(wink < 0.25, 0.0, lid)
    asked["lid-right"] = torch.where(wink > 0.75, 0.0, lid)
    face = Faces.of(landmarks, 1).landmarks
    gap = (face[:, 66, 1] - face[:, 62, 1]).clamp(min=0)
    shut = -(0.1 + gap) * sometimes(0.5) * uniform(0.3, 1)
    opening = torch.where((gap > 0.06) & (shut < 0), shut.clamp(min=-gap), uniform(0.03, 0.36))
    asked["mouth-open"] = opening * sometimes(0.6)
    asked["smile"] = uniform(-0.13, 0.15) * sometimes(0.5)
    asked["mouth-width"] = (0.7 * asked["smile"] + uniform(-0.14, 0.14)) * sometimes(0.6)
    both = uniform(-0.11, 0.15) * sometimes(0.55)
    alone = uniform(-0.08, 0.1) * sometimes(0.25)
    asked["brow-left"], asked["brow-right"] = both + alone.clamp(min=0), both - alone.clamp(max=0)
    asked["brow-inner"] = uniform(-0.07, 0.08) * sometimes(0.25)
    turned = sometimes(0.35)
    asked["yaw"], asked["pitch"] = uniform(-11, 11) * turned, uniform(-9, 9) * turned
    looking = sometimes(0.35)
    asked["gaze-x"] = uniform(-0.08, 0.08) * looking
    asked["gaze-y"] = uniform(-0.03, 0.03) * looking
    shaped = sometimes(0.25)
    asked["chin"] = uniform(-0.15, 0.17) * shaped * sometimes(0.7)
    jaw = uniform(-0.13, 0.13) * shaped
    asked["jaw-left"], asked["jaw-right"] = jaw * sometimes(0.6), jaw * sometimes(0.6)
    asked["nose"] = uniform(-0.09, 0.1) * shaped * sometimes(0.6)
    asked["lower-lids"] = uniform(-0.05, 0.05) * sometimes(0.3)
    return torch.stack([asked[name] for name in EXPRESSIONS], 1)
