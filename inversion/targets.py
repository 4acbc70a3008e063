"""The crops that one run inverts, side by side, and how near renderings come to them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from inversion.errors import InversionError, NotFiniteError
from weights.perceptual import Perceptual
from weights.stylegan2 import Generator, GeneratorConfig

FACE_CENTRE = (0.5, 0.565)
"""Of the ellipse that a face fills in FFHQ's alignment, x and y in sides of the crop."""

FACE_AXES = (0.33, 0.41)
"""Its half axes."""

FACE_EDGE = 0.1
"""Width of its soft edge, in half axes."""


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Crops that shall be drawn.

    Attributes:
        crops: `[N, 3, R, R]` float32 in [-1, 1].
        valid: `[N, 1, R, R]`, 0 where a crop was invented or is hidden.
    """

    crops: Tensor
    valid: Tensor

    def __len__(self) -> int:
        """Number of crops."""
        return len(self.crops)

    def parts(self, size: int) -> Iterator[tuple[slice, Targets]]:
        """At most `size` of them at a time, with their place among all."""
        for first in range(0, len(self), size):
            part = slice(first, min(first + size, len(self)))
            yield part, Targets(crops=self.crops[part], valid=self.valid[part])


class Score(NamedTuple):
    """How near a rendering is to a crop: PSNR in dB, and perceptual distance."""

    psnr: float
    perceptual: float


def gather(
    crops: Sequence[Tensor],
    valids: Sequence[Tensor | None],
    hidden: Sequence[Tensor | None],
    config: GeneratorConfig,
) -> tuple[Targets, Tensor]:
    """Check crops and their masks, see `invert_together`, and lay them side by side.

    Returns:
        The targets, and where something hides them, `[N, 1, R, R]`.

    Raises:
        InversionError: there is no crop, a crop or mask has another shape, or nothing is valid.
        NotFiniteError: a crop is not finite.
    """
    if not crops:
        raise InversionError("there is no crop to invert: give at least one")
    if not len(crops) == len(valids) == len(hidden):
        raise InversionError("give a mask, or None, for each crop")
    side = config.resolution
    for crop in crops:
        if crop.shape != (1, 3, side, side):
            raise InversionError(
                f"this generator inverts crops of [1, 3, {side}, {side}], not {list(crop.shape)}"
            )
    for name, masks in (("valid", valids), ("hidden", hidden)):
        for mask in masks:
            if mask is not None and mask.shape != (1, 1, side, side):
                raise InversionError(
                    f"`{name}` must be [1, 1, {side}, {side}], not {list(mask.shape)}"
                )
    pictures = torch.cat(list(crops))
    real, covered = _lay(valids, pictures, 1.0), _lay(hidden, pictures, 0.0)
    if not bool(torch.isfinite(pictures).all() and torch.isfinite(real).all()):
        raise NotFiniteError("the crop holds NaN or infinite pixels: the photo cannot be inverted")
    seen = real * (covered <= 0.5)
    if not bool(seen.flatten(1).any(1).all()):
        raise InversionError(
            "no pixel of the crop is valid: the face lies outside the photo, or all of it is hidden"
        )
    return Targets(crops=pictures, valid=seen), covered


def _lay(masks: Sequence[Tensor | None], crops: Tensor, absent: float) -> Tensor:
    """Masks side by side, a constant in the place of absent ones."""
    whole = torch.full_like(crops[:1, :1], absent)
    return torch.cat([whole if mask is None else mask for mask in masks])


def compare(
    images: Tensor, targets: Targets, perceptual: Perceptual, weights: Tensor | float = 1.0
) -> tuple[Tensor, Tensor]:
    """Measure perceptual distances `[N]` and mean square errors `[N]` where targets are valid.

    The rendering takes the target's place outside `valid`, so that neither measure sees a border
    there. The pixels' squares count by their weights, `[1, 1, R, R]`.
    """
    seen = targets.crops + targets.valid * (images - targets.crops)
    squares = (weights * (seen - targets.crops).square()).mean((1, 2, 3))
    return perceptual(seen, targets.crops), squares / (weights * targets.valid).mean((1, 2, 3))


def face_weights(side: int, emphasis: float, device: torch.device) -> Tensor | float:
    """Weights of pixels that favour the place where alignment puts a face.

    Args:
        side: of the crop.
        emphasis: 0 for no favour, 1 for none but the face.
        device: of the crop.

    Returns:
        `[1, 1, side, side]` of mean 1: a soft ellipse around brows and chin, and the rest even.
    """
    if not emphasis:
        return 1.0
    at = (torch.arange(side, device=device) + 0.5) / side
    x, y = (at - FACE_CENTRE[0]) / FACE_AXES[0], (at - FACE_CENTRE[1]) / FACE_AXES[1]
    inside = torch.sigmoid((1 - torch.hypot(x[None, :], y[:, None])) / FACE_EDGE)
    weights = 1 - emphasis + emphasis * inside
    return (weights / weights.mean())[None, None]


@torch.no_grad()
def score(
    generator: Generator, latents: Tensor, targets: Targets, perceptual: Perceptual
) -> list[Score]:
    """Score each rendering of latents `[N, 1 or L, w_dim]`, as it would be shown."""
    latents = latents.expand(-1, generator.config.num_latents, -1)
    scores: list[Score] = []
    for part, target in targets.parts(1):
        images = generator(latents[part]).clamp(-1, 1)
        distance, error = compare(images, target, perceptual)
        psnr = 10 * math.log10(4 / max(error.item(), 1e-10))
        scores.append(Score(psnr=psnr, perceptual=distance.item()))
    return scores


def check(loss: Tensor, phase: str, step: int) -> None:
    """Raise `NotFiniteError` for a loss that is NaN or infinite."""
    if not math.isfinite(loss.item()):
        raise NotFiniteError(
            f"{phase} failed at step {step + 1}: the loss is not a finite number; "
            "lower the learning rate"
        )
