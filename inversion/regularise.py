"""Terms that keep an inversion from explaining the picture in the wrong place."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

from inversion.options import InversionOptions
from weights.perceptual import Perceptual
from weights.stylegan2 import Generator

# The published weights of both terms of L_R, mean square error and perceptual distance.
LOCALITY_PER_WEIGHT = 0.1


def noise_autocorrelation(maps: Iterable[Tensor]) -> Tensor:
    """Penalise noise maps that carry a picture (Karras et al. 2020, Section 5, L_ij).

    Args:
        maps: `[N, 1, r, r]` each. The correlation of each map with itself shifted by one pixel in x
            and in y, squared, is summed over a pyramid down to 8 x 8.
    """
    total = torch.zeros(())
    for noise in maps:
        total = total.to(noise.device)
        while True:
            for axis in (2, 3):
                total = total + (noise * noise.roll(1, axis)).mean((1, 2, 3)).square().sum()
            if noise.shape[2] <= 8:
                break
            noise = F.avg_pool2d(noise, 2)
    return total


@torch.no_grad()
def renormalise(maps: Iterable[Tensor]) -> None:
    """Give each noise map zero mean and unit variance, in place."""
    for noise in maps:
        noise -= noise.mean((1, 2, 3), keepdim=True)
        noise *= (noise.square().mean((1, 2, 3), keepdim=True) + 1e-12).rsqrt()


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

    def lost(
        self, tuned: Generator, pivot: Tensor, image: Tensor, rng: torch.Generator, face: int = 0
    ) -> Tensor:
        """Mean square difference between the changes of the picture along one direction.

        Args:
            tuned: the generator in tuning.
            pivot: latents `[1, L, w_dim]`.
            image: what it draws of them, `[1, 3, R, R]`.
            face: number of the picture, for the renderings that are remembered.
            rng: draws the direction and whether to go along it or against it.
        """
        k = int(torch.randint(2 * len(self._directions), (1,), generator=rng))
        step = self._directions[k // 2][None] * (1 - 2 * (k % 2))
        return F.mse_loss(tuned(pivot + step) - image, self._change(pivot, step, (face, k)))

    @torch.no_grad()
    def _change(self, pivot: Tensor, step: Tensor, key: tuple[int, int]) -> Tensor:
        """What the step did before tuning, rendered once."""
        if key not in self._changes:
            self._changes[key] = self._base(pivot + step) - self._base(pivot)
        return self._changes[key]


class Regulariser:
    """What tuning is to keep beside the picture, as its options weigh it."""

    def __init__(
        self,
        base: Generator,
        perceptual: Perceptual,
        options: InversionOptions,
        directions: Tensor | None,
        rng: torch.Generator,
    ) -> None:
        """Remember the generator before tuning.

        Args:
            base: the generator before.
            perceptual: distance of the locality regularisation.
            options: the weights.
            directions: `[K, L, w_dim]` of the expressions, if there are any.
            rng: draws where to look.
        """
        self._base, self._perceptual, self._options, self._rng = base, perceptual, options, rng
        kept = directions if options.expression_weight else None
        self._expressions = None if kept is None else Expressions(base, kept)

    def loss(
        self, tuned: Generator, pivot: Tensor, image: Tensor, step: int, face: int
    ) -> Tensor | float:
        """Terms of one step at one pivot; the expressions' has every other step.

        Args:
            tuned: the generator in tuning.
            pivot: latents `[1, L, w_dim]`.
            image: what it draws of them, `[1, 3, R, R]`.
            step: of tuning, from 0.
            face: number of the pivot.
        """
        options, total = self._options, 0.0
        if options.locality_weight:
            total = total + options.locality_weight * LOCALITY_PER_WEIGHT * locality(
                tuned, self._base, pivot, self._perceptual,
                distance=options.locality_distance, rng=self._rng,
            )  # fmt: skip
        if self._expressions is not None and step % 2:
            lost = self._expressions.lost(tuned, pivot, image, self._rng, face)
            total = total + 2 * options.expression_weight * options.tuning_l2 * lost
        return total
