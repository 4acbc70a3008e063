"""What a reconstruction of a portrait is measured by."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from weights.perceptual import Perceptual
from weights.training.portraits import pixel_grid


def face_weight(side: int) -> Tensor:
    """Loss weight `[1, 1, side, side]` of mean one: the face counts four times the corners."""
    grid = pixel_grid(side)
    x, y = grid[..., 0] / 0.62, (grid[..., 1] - 0.12) / 0.8
    weight = 0.35 + torch.exp(-(x**4 + y**4))
    return (weight / weight.mean())[None, None]


def pyramid_l1(output: Tensor, target: Tensor, scales: int = 3) -> Tensor:
    """Mean L1 over several scales, weighted to the face."""
    weight = face_weight(output.shape[-1]).to(output.device)
    total = output.new_zeros(())
    for _ in range(scales):
        total = total + ((output - target).abs() * weight).mean()
        output, target, weight = (F.avg_pool2d(t, 2) for t in (output, target, weight))
    return total / scales


def attended_l1(output: Tensor, target: Tensor, attention: Tensor) -> Tensor:
    """Mean L1 where `attention` `[N, 1, R, R]` is, at the full resolution."""
    weight = attention / attention.mean((1, 2, 3), keepdim=True).clamp(min=1e-3)
    return ((output - target).abs() * weight).mean()


def jittered_perceptual(
    perceptual: Perceptual, output: Tensor, target: Tensor, rng: torch.Generator
) -> Tensor:
    """Perceptual distance after a random shift and mirror, so that no pixel grid is favoured."""
    if output.shape[-1] < 100:
        output, target = (F.interpolate(t, (100, 100), mode="bilinear") for t in (output, target))
    dx, dy, mirror = (int(v) for v in torch.randint(0, 8, (3,), generator=rng))
    output, target = output[..., dy:, dx:], target[..., dy:, dx:]
    if mirror < 4:
        output, target = output.flip(3), target.flip(3)
    return perceptual(output, target).mean()


def perceptual_at_eyes(perceptual: Perceptual, output: Tensor, target: Tensor) -> Tensor:
    """Perceptual distance of brows and eyes alone, enlarged.

    In the whole picture a lid is too small a detail to be learnt.
    """
    side = output.shape[-1]
    rows, columns = (
        slice(side * 42 // 128, side * 78 // 128),
        slice(side * 7 // 32, side * 25 // 32),
    )
    size = (72, 144)
    strips = [F.interpolate(t[..., rows, columns], size, mode="bilinear") for t in (output, target)]
    return perceptual(*strips).mean()
