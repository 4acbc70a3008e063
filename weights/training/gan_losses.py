"""The losses of StyleGAN2.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (2020).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from weights.stylegan2 import Generator


def generator_loss(fake_logits: Tensor) -> Tensor:
    """Non-saturating: -log sigmoid(D(G(z))), mean."""
    return F.softplus(-fake_logits).mean()


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """-log sigmoid(D(x)) - log(1 - sigmoid(D(G(z)))), mean."""
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()


def r1_penalty(real_logits: Tensor, images: Tensor) -> Tensor:
    """R1 of Mescheder et al. 2018: half the squared gradient at real pictures, without gamma.

    Args:
        real_logits: `[N]`.
        images: `[N, 3, R, R]` that they came from, with a gradient.
    """
    (gradient,) = torch.autograd.grad(real_logits.sum(), images, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean() / 2


def path_lengths(images: Tensor, latents: Tensor, rng: torch.Generator) -> Tensor:
    """|J_w^T y| for random pictures y (Section 3.2, Eq. 4), `[N]`.

    Args:
        images: `[N, 3, R, R]` drawn from `latents`.
        latents: `[N, L, w_dim]` with a gradient; lengths are averaged over the L vectors.
        rng: on the CPU, draws y.
    """
    y = torch.randn(images.shape, generator=rng).to(images) / math.sqrt(images[0, 0].numel())
    (gradient,) = torch.autograd.grad((images * y).sum(), latents, create_graph=True)
    return gradient.square().sum(2).mean(1).sqrt()


def mixed_latents(generator: Generator, n: int, probability: float, rng: torch.Generator) -> Tensor:
    """Random latents `[n, L, w_dim]`, some of them of two z with a crossover between (mixing).

    Args:
        generator: draws them by its mapping network.
        n: how many.
        probability: of a crossover.
        rng: on the CPU, draws everything.
    """
    place = generator.mapping.w_avg.device
    z = torch.randn(2 * n, generator.config.z_dim, generator=rng).to(place)
    first, second = generator.map(z).chunk(2)
    count = generator.config.num_latents
    crossover = torch.randint(1, count, (n,), generator=rng)
    crossover[torch.rand(n, generator=rng) >= probability] = count
    keep = torch.arange(count)[None] < crossover[:, None]
    return torch.where(keep[..., None].to(place), first, second)
