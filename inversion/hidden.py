"""Crops whose face is partly hidden, so that nothing of what hides it is inverted."""

from __future__ import annotations

import torch
from torch import Tensor

from weights.encoder import Encoder
from weights.stylegan2 import Generator


@torch.no_grad()
def fill_hidden(
    crops: Tensor, hidden: Tensor, generator: Generator, encoder: Encoder | None
) -> Tensor:
    """Replace what is hidden by what the generator expects behind it.

    The result depends on the visible pixels only: the mean face takes the hidden place first, then
    the rendering of what the encoder makes of that picture.

    Args:
        crops: `[N, 3, R, R]` in [-1, 1].
        hidden: `[N, 1, R, R]`, 1 where something hides the face; above one half counts as hidden.
        generator: draws the fill.
        encoder: of that generator; without it the mean face stays.
    """
    mean = generator.mapping.w_avg.expand(1, generator.config.num_latents, -1)
    covered = hidden > 0.5
    filled = torch.where(covered, generator(mean).clamp(-1, 1), crops)
    if encoder is not None:
        filled = torch.where(covered, generator(encoder(filled)).clamp(-1, 1), crops)
    return filled
