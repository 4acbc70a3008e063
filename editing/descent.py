"""Steps through the latents, with lengths in the generator's own deviations.

Adam gives every coordinate of the latents a rate of its own, so that all of them move alike, most
of them for nothing: the picture changes where no handle asked for it. Here all coordinates share
one rate, and a step goes down the gradient itself.
"""

from __future__ import annotations

from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from weights.stylegan2 import Generator

MEMORY = 0.8
SPREAD = 0.99

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


class Descent(NamedTuple):
    """Adam (Kingma and Ba 2015) with one second moment for all coordinates, after some steps.

    Attributes:
        mean: of the gradients, of their shape.
        energy: `[]`, mean of their squares' sum.
        taken: `[]`, number of steps.
        length: `[]`, of the first step; later ones are shorter where gradients disagree.
    """

    mean: Tensor
    energy: Tensor
    taken: Tensor
    length: Tensor

    @classmethod
    def begin(cls, like: Tensor, length: float) -> Descent:
        """Before the first step, for gradients like `like`."""
        exact = like.new_zeros((), dtype=exact_dtype(like.device))
        return cls(
            mean=torch.zeros_like(like),
            energy=like.new_zeros(()),
            taken=exact,
            length=torch.full_like(exact, length),
        )

    def again(self) -> Descent:
        """Before the first step once more, half as long."""
        return Descent(
            mean=torch.zeros_like(self.mean),
            energy=torch.zeros_like(self.energy),
            taken=torch.zeros_like(self.taken),
            length=self.length / 2,
        )

    def step(self, gradient: Tensor, share: Tensor | float = 1.0) -> tuple[Tensor, Descent]:
        """What to add to the latents, and the descent after that.

        Args:
            gradient: of any shape.
            share: of the length.
        """
        taken = self.taken + 1
        mean = self.mean * MEMORY + gradient * (1 - MEMORY)
        energy = self.energy * SPREAD + gradient.square().sum() * (1 - SPREAD)
        after = self._replace(mean=mean, energy=energy, taken=taken)
        mean = mean / (1 - MEMORY**taken).to(mean)
        energy = energy / (1 - SPREAD**taken).to(energy)
        length = (self.length * share).to(energy)
        return mean * (
            -length * (energy.sqrt() + torch.finfo(energy.dtype).tiny).reciprocal()
        ), after


def exact_dtype(device: torch.device) -> torch.dtype:
    """Number format of lengths and distances: float64, but on Metal, which has none."""
    return torch.float32 if device.type == "mps" else torch.float64


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
