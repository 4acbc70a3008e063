"""Steps through the latents, with lengths in the generator's own deviations.

Adam gives every coordinate of the latents a rate of its own, so that all of them move alike, most
of them for nothing: the picture changes where no handle asked for it. Here all coordinates share
one rate, and a step goes down the gradient itself.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from weights.stylegan2 import Generator

_SAMPLES = 1024
_SEED = 0


_deviations: WeakKeyDictionary[Generator, float] = WeakKeyDictionary()


def latent_deviation(generator: Generator) -> float:
    """Root mean square deviation of one coordinate of the mapping network's latents."""
    if generator not in _deviations:
        _deviations[generator] = _measure_deviation(generator)
    return _deviations[generator]


@torch.no_grad()
def _measure_deviation(generator: Generator) -> float:
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


def yielding(gradient: Tensor, to: Tensor) -> Tensor:
    """A gradient less its share against another: g - min(g.t, 0) / |t|^2 t.

    The projection of conflicting tasks (Yu et al., "Gradient Surgery for Multi-Task Learning",
    2020), on one side only: to first order, going down the sum lowers the other loss as far as
    going down that alone does.

    Args:
        gradient: g, of what may be kept only where it is in nobody's way.
        to: t, of the same shape.
    """
    against = (gradient * to).sum().clamp(max=0)
    return gradient - to * (against / (to.square().sum() + torch.finfo(to.dtype).tiny))
