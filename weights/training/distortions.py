"""Distorted copies of portraits: how photographs, files and small generators differ from a picture.

Every distortion takes an image and a picture of somebody else, `[1, 3, R, R]` in [-1, 1], and the
source of its randomness; it returns an image that may leave the range.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

Distortion = Callable[[Tensor, Tensor, torch.Generator], Tensor]


def distort(images: Tensor, others: Tensor, rng: torch.Generator) -> Tensor:
    """Make a picture that resembles each image: one to three distortions of random strength.

    Args:
        images: `[N, 3, R, R]` in [-1, 1].
        others: as many pictures of other people.
        rng: source of all randomness.
    """
    kinds = list(DISTORTIONS.values())
    result: list[Tensor] = []
    for image, other in zip(images.split(1), others.split(1), strict=True):
        count = int(torch.multinomial(torch.tensor([0.5, 0.3, 0.2]), 1, generator=rng)) + 1
        for kind in torch.randperm(len(kinds), generator=rng)[:count].tolist():
            image = kinds[kind](image, other, rng)
        result.append(image.clamp(-1, 1))
    return torch.cat(result)


def _amount(rng: torch.Generator, low: float, high: float) -> float:
    """Draw a number between two positive ones, evenly on a logarithmic scale."""
    share = float(torch.rand((), generator=rng))
    return math.exp(math.log(low) + share * math.log(high / low))


def _blur(image: Tensor, _other: Tensor, rng: torch.Generator) -> Tensor:
    sigma = _amount(rng, 0.3, 3.5)
    reach = math.ceil(3 * sigma)
    taps = torch.exp(-(torch.arange(-reach, reach + 1).float() ** 2) / (2 * sigma**2))
    taps = (taps / taps.sum()).expand(3, 1, 1, -1)
    padded = F.pad(image, (reach, reach, reach, reach), mode="reflect")
    return F.conv2d(F.conv2d(padded, taps, groups=3), taps.transpose(2, 3), groups=3)


def _noise(image: Tensor, _other: Tensor, rng: torch.Generator) -> Tensor:
    grain = torch.randn(image.shape, generator=rng)
    if torch.rand((), generator=rng) < 0.4:
        grain = F.avg_pool2d(grain, 3, stride=1, padding=1) * 2
    return image + grain * _amount(rng, 0.01, 0.3)


def _jpeg(image: Tensor, _other: Tensor, rng: torch.Generator) -> Tensor:
    pixels = ((image[0].permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).byte().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=int(_amount(rng, 5, 90)))
    decoded = torch.from_numpy(np.array(Image.open(buffer)))
    return decoded.permute(2, 0, 1)[None].float() / 127.5 - 1


def _warp(image: Tensor, _other: Tensor, rng: torch.Generator) -> Tensor:
    knots = int(torch.randint(3, 12, (), generator=rng))
    field = torch.randn(1, 2, knots, knots, generator=rng) * _amount(rng, 0.003, 0.05)
    side = image.shape[-1]
    field = F.interpolate(field, (side, side), mode="bicubic", align_corners=False)
    turn = torch.eye(2, 3)[None] + torch.randn(1, 2, 3, generator=rng) * _amount(rng, 1e-3, 0.03)
    source = F.affine_grid(turn, list(image.shape), align_corners=False)
    source = source + field.permute(0, 2, 3, 1)
    return F.grid_sample(image, source, padding_mode="reflection", align_corners=False)


def _colour(image: Tensor, _other: Tensor, rng: torch.Generator) -> Tensor:
    strength = _amount(rng, 0.01, 0.3)
    gain = 1 + strength * torch.randn(1, 1, 1, 1, generator=rng)
    cast = strength * torch.randn(1, 3, 1, 1, generator=rng)
    gray = image.mean(1, keepdim=True)
    saturation = 1 + 2 * strength * torch.randn(1, 1, 1, 1, generator=rng)
    knots = torch.randn(1, 3, 4, 4, generator=rng) * strength
    patches = F.interpolate(knots, image.shape[-2:], mode="bicubic", align_corners=False)
    return (gray + (image - gray) * saturation) * gain + cast + patches


def _reduce(image: Tensor, _other: Tensor, rng: torch.Generator) -> Tensor:
    side = max(6, round(image.shape[-1] / _amount(rng, 1.1, 12)))
    mode = "bilinear" if torch.rand((), generator=rng) < 0.7 else "bicubic"
    small = F.interpolate(image, (side, side), mode=mode, align_corners=False, antialias=True)
    return F.interpolate(small, image.shape[-2:], mode=mode, align_corners=False)


def _mixture(image: Tensor, other: Tensor, rng: torch.Generator) -> Tensor:
    return image.lerp(other, _amount(rng, 0.02, 1))


def _flatten_texture(image: Tensor, _other: Tensor, rng: torch.Generator) -> Tensor:
    """Lose faint detail and keep strong edges, as a small generator does."""
    soft = F.avg_pool2d(F.pad(image, (2, 2, 2, 2), mode="reflect"), 5, stride=1)
    detail = image - soft
    kept = detail * torch.sigmoid((detail.abs() - _amount(rng, 0.02, 0.3)) * 30)
    return soft + kept


def _patch(image: Tensor, other: Tensor, rng: torch.Generator) -> Tensor:
    side = image.shape[-1]
    height, width = (torch.randint(side // 12, side // 2, (2,), generator=rng)).tolist()
    top = int(torch.randint(0, side - height, (), generator=rng))
    left = int(torch.randint(0, side - width, (), generator=rng))
    image = image.clone()
    hole = (slice(None), slice(None), slice(top, top + height), slice(left, left + width))
    image[hole] = other[hole] if torch.rand((), generator=rng) < 0.5 else image.mean()
    return image


DISTORTIONS: dict[str, Distortion] = {
    "blur": _blur, "noise": _noise, "jpeg": _jpeg, "warp": _warp, "colour": _colour,
    "reduce": _reduce, "mixture": _mixture, "texture": _flatten_texture, "patch": _patch,
}  # fmt: skip
