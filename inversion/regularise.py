"""Terms that keep an inversion from explaining the picture in the wrong place."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

from weights.perceptual import Perceptual
from weights.stylegan2 import Generator


def noise_autocorrelation(maps: Iterable[Tensor]) -> Tensor:
    """Penalise noise maps that carry a picture (Karras et al. 2020, Section 5, L_ij).

    Args:
        maps: `[1, 1, r, r]` each. The correlation of each map with itself shifted by one pixel in x
            and in y, squared, is summed over a pyramid down to 8 x 8.
    """
    total = torch.zeros(())
    for noise in maps:
        total = total.to(noise.device)
        while True:
            for axis in (2, 3):
                total = total + (noise * noise.roll(1, axis)).mean().square()
            if noise.shape[2] <= 8:
                break
            noise = F.avg_pool2d(noise, 2)
    return total


@torch.no_grad()
def renormalise(maps: Iterable[Tensor]) -> None:
    """Give each noise map zero mean and unit variance, in place."""
    for noise in maps:
        noise -= noise.mean()
        noise *= (noise.square().mean() + 1e-12).rsqrt()


def locality(
    tuned: Generator,
    base: Generator,
    pivot: Tensor,
    perceptual: Perceptual,
    *,
    distance: float,
    rng: torch.Generator,
) -> Tensor:
    """Penalise what tuning does beside the pivot (Roich et al. 2021, Section 3.3, L_R).

    Args:
        tuned: the generator in tuning.
        base: the generator before.
        pivot: latents `[1, L, w_dim]`.
        perceptual: distance between the two renderings, added to their mean square error.
        distance: length alpha of the step from the pivot towards a random latent.
        rng: draws that latent.
    """
    z = torch.randn(1, base.config.z_dim, generator=rng).to(pivot.device)
    with torch.no_grad():
        direction = base.map(z, psi=0.5) - pivot
        beside = pivot + distance * direction / direction[:, 0].norm()
        wanted = base(beside)
    given = tuned(beside)
    return F.mse_loss(given, wanted) + perceptual(given, wanted).mean()
