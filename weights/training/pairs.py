"""Pairs of pictures that differ by an expression, to learn a step in the latents from.

The encoder sees one, the other is to be drawn. What is to be drawn is the warp of the portrait, or
the warp of what the generator itself draws without the step, which leaves nothing to learn but the
expression.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from weights.encoder import Encoder
from weights.training.expressions import EXPRESSIONS, TEETH, express, random_expressions
from weights.training.portraits import pixel_grid, random_source, read
from weights.training.processes import processes, rank

CHANGED = 8.0
"""Attention, beside that of eyes and mouth, for each unit of a pair's difference."""
OVERSHOT = 0.3
"""How far beyond shut lids are asked for: a step that shuts everybody's is too long for narrow
eyes, and a step that is never too long leaves wide ones open."""


@dataclass(frozen=True, kw_only=True)
class Shares:
    """How often the pictures of a batch are what.

    Attributes:
        expressive: share of the pictures that show a strong expression.
        paired: share of those that are drawn from the plain portrait's latents and a step.
        undone: share of those whose plain portrait is drawn, from the other's latents and a step.
        own: share of the paired whose step has to lead to the warp of the generator's own drawing.
    """

    expressive: float = 0.8
    paired: float = 0.55
    undone: float = 0.15
    own: float = 0.6


@dataclass(frozen=True)
class Batch:
    """What one step learns from.

    Attributes:
        shown: pictures `[N, 3, R, R]` that the encoder sees.
        wanted: pictures of the same shape that are to be drawn.
        change: `[N, K]`, the expressions by which they differ.
        attention: `[N, 1, R, R]`, where the pictures wanted matter most.
        paired: `[N]` bool, what differs by an expression that is done rather than undone.
        own: `[N]` bool, the paired whose step has to lead to the warp of what is drawn without it.
        landmarks: `[N, 68, 2]` of the pictures shown, valid for `own` alone.
    """

    shown: Tensor
    wanted: Tensor
    change: Tensor
    attention: Tensor
    paired: Tensor
    own: Tensor
    landmarks: Tensor

    def share(self, device: torch.device) -> Batch:
        """This process's part of the batch, on its device."""
        n = len(self.shown) // processes()
        mine = slice(rank() * n, (rank() + 1) * n)
        return Batch(*(getattr(self, field.name)[mine].to(device) for field in fields(self)))


def with_expressions(
    images: Tensor, landmarks: Tensor, shares: Shares, rng: torch.Generator
) -> Batch:
    """Portraits under random warps, some with expressions, some of those in pairs."""
    n = len(images)
    expressive = torch.rand(n, generator=rng) < shares.expressive
    kind = torch.rand(n, generator=rng)
    paired = expressive & (kind < shares.paired)
    own = paired & (kind < shares.paired * shares.own)
    undone = expressive & ~paired & (kind < shares.paired + shares.undone)
    side = images.shape[-1]
    grid = _where(own, pixel_grid(side)[None], random_source(landmarks, side, rng))
    after = random_expressions(landmarks, rng) * expressive[:, None]
    height = 0.14 * torch.rand(n, generator=rng) * (torch.rand(n, generator=rng) < 0.8)
    # A step cannot know how many teeth will be seen.
    drawn = express(images, landmarks, after, grid, teeth=torch.where(paired, TEETH, height))
    plain = read(images, grid)
    shown = _where(paired, plain, drawn.images)
    wanted = _where(undone, plain, drawn.images)
    change = paired[:, None] * _insisted(after, rng) - undone[:, None] * after
    attention = attention_to_change(drawn.attention, shown, wanted)
    return Batch(shown, wanted, change, attention, paired, own, landmarks)


def _where(chosen: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """`one` of the chosen pictures, `other` of the rest."""
    return torch.where(chosen[:, None, None, None], one, other)


def attention_to_change(attention: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """Attention `[N, 1, R, R]` to `attention` and to what changes between two pictures."""
    return attention + CHANGED * (after - before).abs().mean(1, keepdim=True)


def _insisted(amounts: Tensor, rng: torch.Generator) -> Tensor:
    """Amounts `[N, K]` of which lids that are to be shut ask for more."""
    lids = torch.tensor([name.startswith("lid") for name in EXPRESSIONS])
    more = OVERSHOT * torch.rand(len(amounts), 1, generator=rng)
    return amounts + more * (lids & (amounts == 1))


@torch.no_grad()
def with_own(batch: Batch, still: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures wanted and attention, where `own` asks for them warps of the generator's drawings.

    Args:
        batch: what is to be learnt from.
        still: `[own, 3, R, R]`, what the generator draws of those without the step.
    """
    own, device = batch.own, still.device
    grid = pixel_grid(still.shape[-1]).expand(len(still), -1, -1, -1)
    still = still.float().cpu()
    drawn = express(still, batch.landmarks[own].cpu(), batch.change[own].cpu(), grid)
    wanted, attention = batch.wanted.clone(), batch.attention.clone()
    wanted[own] = drawn.images.to(device)
    attention[own] = attention_to_change(drawn.attention, still, drawn.images).to(device)
    return wanted, attention


def disagreement(encoder: Encoder, batch: Batch, expected: Tensor) -> Tensor:
    """Mean square between the latents read from what pairs lead to and those `expected`.

    Gradients must reach the encoder through both: an encoder that chased what it expects itself
    would run away along the steps. What is no pair counts as agreed, so that a batch can be shared
    among processes.
    """
    if not batch.paired.any():
        return expected.new_zeros(())
    base, offsets = encoder.base_and_offsets(batch.wanted[batch.paired])
    away = (base[:, None] + offsets - expected[batch.paired]).square().mean((1, 2))
    return away.sum() / len(expected)
