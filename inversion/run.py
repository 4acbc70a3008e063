"""What the stages of one inversion share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from inversion.options import InversionOptions
from inversion.resume import Keeper
from inversion.targets import Score, Targets, score
from weights.perceptual import Perceptual
from weights.stylegan2 import Generator


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """One inversion on its way.

    Attributes:
        targets: N crops that shall be drawn.
        base: the generator as it was.
        base_sha256: hash of its parameters.
        generator: a copy of it, that is tuned in place.
        perceptual: distance to descend.
        options: see there.
        directions: `[K, L, w_dim]`, steps of the latents whose effect tuning is to leave as it was.
        seed: of all randomness.
        rng: draws it, on the CPU.
        keeper: holds the state, for a run that is killed.
        together: crops that are drawn at once; fewer take less memory, and a little longer.
    """

    targets: Targets
    base: Generator
    base_sha256: str
    generator: Generator
    perceptual: Perceptual
    options: InversionOptions
    directions: Tensor | None
    seed: int
    rng: torch.Generator
    keeper: Keeper
    together: int

    def score(self, latents: Tensor) -> list[Score]:
        """Score each rendering of latents `[N, 1 or L, w_dim]`, as it would be shown."""
        return score(self.generator, latents, self.targets, self.perceptual)
