"""Adaptive augmentation of what a discriminator sees.

Karras et al., "Training Generative Adversarial Networks with Limited Data" (2020): flips, moves,
scales, turns and colours, each with the same probability p, which follows how sure of real
pictures the discriminator is.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def augment(images: Tensor, probability: float, rng: torch.Generator) -> Tensor:
    """Change each picture at random, differentiably.

    Args:
        images: `[N, 3, R, R]` in [-1, 1].
        probability: of each kind of change, p in the paper.
        rng: on the CPU, source of all randomness.
    """
    if probability <= 0:
        return images
    n = len(images)
    theta = _geometry(n, probability, rng).to(images)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    colour = _colour(n, probability, rng).to(images)
    return torch.einsum("nij,njhw->nihw", colour[:, :, :3], moved) + colour[:, :, 3, None, None]


def adapt(probability: float, real_signs: float, *, target: float, step: float) -> float:
    """The next p: up where the discriminator is surer of real pictures than wished, else down.

    Args:
        probability: p now.
        real_signs: r_t, mean sign of the logits of real pictures.
        target: of r_t.
        step: how far p goes.
    """
    change = step if real_signs > target else -step
    return min(max(probability + change, 0.0), 1.0)


def _geometry(n: int, p: float, rng: torch.Generator) -> Tensor:
    """Affine maps `[n, 2, 3]` from the new picture to the old, in [-1, 1]."""
    matrix = torch.eye(3).repeat(n, 1, 1)

    def chosen() -> Tensor:
        return torch.rand(n, generator=rng) < p

    def scaled(x: Tensor, y: Tensor) -> Tensor:
        return torch.diag_embed(torch.stack([x, y, torch.ones(n)], 1))

    mirrored = torch.where(chosen() & (torch.rand(n, generator=rng) < 0.5), -1.0, 1.0)
    matrix = matrix @ scaled(mirrored, torch.ones(n))
    size = torch.exp2(torch.randn(n, generator=rng) * 0.2 * chosen())
    matrix = matrix @ scaled(size, size)
    stretch = torch.exp2(torch.randn(n, generator=rng) * 0.2 * chosen())
    angle = (torch.rand(n, generator=rng) * 2 - 1) * math.pi * chosen()
    turn = torch.eye(3).repeat(n, 1, 1)
    turn[:, 0, 0] = turn[:, 1, 1] = angle.cos()
    turn[:, 1, 0], turn[:, 0, 1] = angle.sin(), -angle.sin()
    matrix = matrix @ turn @ scaled(stretch, 1 / stretch)
    shift = torch.eye(3).repeat(n, 1, 1)
    shift[:, :2, 2] = torch.randn(n, 2, generator=rng) * 0.25 * chosen()[:, None]
    return (matrix @ shift)[:, :2]


def _colour(n: int, p: float, rng: torch.Generator) -> Tensor:
    """Affine maps `[n, 3, 4]` of colours."""

    def drawn(deviation: float) -> Tensor:
        values = torch.randn(n, generator=rng) * deviation
        return values * (torch.rand(n, generator=rng) < p)

    grey = torch.full((3, 3), 1 / 3)
    contrast = torch.exp2(drawn(0.5))[:, None, None]
    saturation = torch.exp2(drawn(1.0))[:, None, None]
    linear = contrast * (grey + (torch.eye(3) - grey) * saturation)
    brightness = drawn(0.2)[:, None, None].expand(n, 3, 1)
    return torch.cat([linear, brightness], 2)
