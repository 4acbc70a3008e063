"""Directions in W+: what to add to a face's latents to change one thing about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from weights.errors import WeightsError


@dataclass(frozen=True, kw_only=True)
class DirectionsConfig:
    """Names and shape of a generator's directions.

    Attributes:
        names: one for each direction.
        num_latents: latent vectors of the generator (L).
        w_dim: length of one.
    """

    names: tuple[str, ...]
    num_latents: int
    w_dim: int = 512


class Directions(nn.Module):
    """Directions of one generator, each as long as one unit of what it changes.

    The buffer `vectors` is `[K, L, w_dim]`. Lengths are eyes apart (the distance between the eyes'
    centres), x to the right of the picture and y down, and degrees.
    """

    vectors: Tensor

    def __init__(self, config: DirectionsConfig) -> None:
        super().__init__()
        self.config = config
        shape = (len(config.names), config.num_latents, config.w_dim)
        self.register_buffer("vectors", torch.zeros(shape))

    def along(self, amounts: Mapping[str, float]) -> Tensor:
        """Sum of directions times amounts, `[1, L, w_dim]`.

        Args:
            amounts: name of a direction -> how much of it, in its unit.

        Raises:
            WeightsError: there is no such direction.
        """
        unknown = [name for name in amounts if name not in self.config.names]
        if unknown:
            raise WeightsError(f"this generator has no direction called {', '.join(unknown)}")
        weights = torch.tensor([amounts.get(name, 0.0) for name in self.config.names])
        return torch.einsum("k,kld->ld", weights.to(self.vectors), self.vectors)[None]
