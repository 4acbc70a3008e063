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


class Expressions:
    """Keeps what steps along given directions do to a picture (locality where edits go).

    Tuning fits one picture and may take from the generator what other expressions of that face
    need, such as teeth behind closed lips.
    """

    def __init__(self, base: Generator, directions: Tensor) -> None:
        """Remember the generator before tuning.

        Args:
            base: the generator before.
            directions: `[K, L, w_dim]`.
        """
        self._base = base
        self._directions = directions
        self._changes: dict[tuple[int, int], Tensor] = {}

    def lost(self, tuned: Generator, pivot: Tensor, image: Tensor, rng: torch.Generator) -> Tensor:
        """Mean square difference between the changes of the picture along one direction.

        Args:
            tuned: the generator in tuning.
            pivot: latents `[1, L, w_dim]`.
            image: what it draws of them, `[1, 3, R, R]`.
            rng: draws the direction and whether to go along it or against it.
        """
        k = int(torch.randint(2 * len(self._directions), (1,), generator=rng))
        step = self._directions[k // 2][None] * (1 - 2 * (k % 2))
        return F.mse_loss(tuned(pivot + step) - image, self._change(pivot, step, k))

    @torch.no_grad()
    def _change(self, pivot: Tensor, step: Tensor, k: int) -> Tensor:
        """What the step did before tuning, rendered once."""
        if (id(pivot), k) not in self._changes:
            self._changes[id(pivot), k] = self._base(pivot + step) - self._base(pivot)
        return self._changes[id(pivot), k]
