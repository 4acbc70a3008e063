"""Steps through the latents, with lengths in the generator's own deviations.

Adam gives every coordinate of the latents a rate of its own, so that all of them move alike, most
of them for nothing: the picture changes where no handle asked for it. Here all coordinates share
one rate, and a step goes down the gradient itself.
"""

from __future__ import annotations

import torch
from torch import Tensor

from weights.stylegan2 import Generator

_SAMPLES = 1024
_SEED = 0


@torch.no_grad()
def latent_deviation(generator: Generator) -> float:
    """Root mean square deviation of one coordinate of the mapping network's latents."""
    source = torch.Generator().manual_seed(_SEED)
    z = torch.randn(_SAMPLES, generator.config.z_dim, generator=source)
    w = generator.mapping(z.to(generator.mapping.w_avg))
    return w.var(dim=0).mean().sqrt().item()


class Descent:
    """Adam (Kingma and Ba 2015) with one second moment for all coordinates."""

    def __init__(self, *, memory: float = 0.8, spread: float = 0.99) -> None:
        self.memory, self.spread = memory, spread
        self.index = 0
        self.mean: Tensor | float = 0.0
        self.energy: Tensor | float = 0.0

    def step(self, gradient: Tensor, length: float) -> Tensor:
        """What to add to the latents.

        Args:
            gradient: of any shape.
            length: of the first step; later ones are shorter where gradients disagree.
        """
        self.index += 1
        energy = gradient.square().sum()
        self.mean = self.mean * self.memory + gradient * (1 - self.memory)
        self.energy = self.energy * self.spread + energy * (1 - self.spread)
        mean = self.mean / (1 - self.memory**self.index)
        energy = self.energy / (1 - self.spread**self.index)
        return mean * (-length / (energy.sqrt() + torch.finfo(energy.dtype).tiny))
