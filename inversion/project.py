"""Projection: latents whose rendering resembles a crop, with the generator as it is.

The projector of Karras et al. 2020 ("Analyzing and Improving the Image Quality of StyleGAN",
Section 5) with PTI's settings, and from an encoder's latents where there is an encoder.
"""

from __future__ import annotations

import math
from collections.abc import Generator as Steps

import torch
from torch import Tensor
from torch.nn import functional as F

from inversion.errors import NotFiniteError
from inversion.options import InversionOptions
from inversion.regularise import noise_autocorrelation, renormalise
from inversion.resume import Keeper
from inversion.targets import Targets, check, compare
from inversion.types import InversionStep
from weights.perceptual import Perceptual
from weights.stylegan2 import Generator

COMPARED_SIDE = 256
"""Larger pictures are averaged down to this side, as in PTI's projector."""


@torch.no_grad()
def latent_statistics(
    generator: Generator, samples: int, rng: torch.Generator
) -> tuple[Tensor, float]:
    """Sample the mapping network: mean w `[1, 1, w_dim]`, deviation sqrt(mean |w - mean|^2)."""
    z = torch.randn(samples, generator.config.z_dim, generator=rng)
    w = generator.mapping(z.to(generator.mapping.w_avg.device))
    mean = w.mean(0)
    return mean[None, None], math.sqrt(float((w - mean).square().sum()) / samples)


def ramp(t: float, *, up: float, down: float) -> float:
    """Share of the learning rate at time t in [0, 1): linear rise, plateau, cosine fall."""
    fall = min(1.0, (1 - t) / down) if down else 1.0
    return (0.5 - 0.5 * math.cos(math.pi * fall)) * (min(1.0, t / up) if up else 1.0)


def project(
    targets: Targets,
    generator: Generator,
    perceptual: Perceptual,
    options: InversionOptions,
    *,
    start: Tensor,
    deviation: float,
    rng: torch.Generator,
    keeper: Keeper,
    loop: str = "project",
) -> Steps[InversionStep, None, Tensor]:
    """Optimise latents, and noise maps beside them, until renderings resemble the targets.

    Args:
        targets: N crops, side by side; none has a say in another's latents.
        generator: frozen.
        perceptual: distance to descend.
        options: see there.
        start: latents `[N, 1 or L, w_dim]` to start from; one vector is repeated where the space is
            W+.
        deviation: of the latents, the unit of the noise on them.
        rng: draws all noise, on the CPU.
        keeper: holds the state, for a run that is killed.
        loop: what the state is called there.

    Returns:
        Latents `[N, L, w_dim]`.

    Raises:
        NotFiniteError: the loss is NaN or infinite.
    """
    layers = generator.config.num_latents
    until = min(
        options.projection_until or generator.config.resolution, generator.config.resolution
    )
    small = Targets(crops=_reduce(targets.crops, until), valid=_reduce(targets.valid, until))
    start = start.detach().mean(1, keepdim=True) if options.space == "w" else start.detach()
    w = start.expand(-1, 1 if options.space == "w" else layers, -1).clone().requires_grad_()
    noise = _noise(generator, len(targets), rng) if options.noise_weight else {}
    moved = [w, *noise.values()]
    optimizer = torch.optim.Adam(moved, betas=(0.9, 0.999))
    for k in range(keeper.resume(loop, moved, optimizer, rng), options.projection_steps):
        t = k / options.projection_steps
        share = ramp(t, up=options.ramp_up, down=options.ramp_down)
        optimizer.param_groups[0]["lr"] = options.projection_rate * share
        scale = deviation * options.latent_noise * max(0.0, 1 - t / 0.75) ** 2
        wander = torch.randn(w.shape, generator=rng).to(w.device) * scale
        image = generator.synthesize(
            (w + wander).expand(-1, layers, -1), until=until, noise=noise or "const"
        ).image
        if image is None:
            raise NotFiniteError("the generator drew no image")
        distance, error = compare(_reduce(image, until), small, perceptual)
        away = (w - start).square().mean((1, 2))
        loss = (distance + options.projection_l2 * error + options.pull * away).sum()
        if noise:
            loss = loss + options.noise_weight * noise_autocorrelation(noise.values())
        check(loss, "projection", k)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        renormalise(noise.values())
        finished = k + 1 == options.projection_steps
        keeper.keep(loop, k + 1, moved, optimizer, rng, finished=finished)
        yield InversionStep(
            phase="project",
            index=k + 1,
            total=options.projection_steps,
            loss=loss.item() / len(targets),
            perceptual=distance.mean().item(),
        )
    return w.detach().expand(-1, layers, -1).contiguous()


def _reduce(image: Tensor, until: int) -> Tensor:
    """Average an image down to the side at which projection compares."""
    return F.adaptive_avg_pool2d(image, min(until, COMPARED_SIDE))


def _noise(generator: Generator, count: int, rng: torch.Generator) -> dict[str, Tensor]:
    return {
        name: torch.randn(count, *stored.shape[1:], generator=rng)
        .to(stored.device)
        .requires_grad_()
        for name, stored in generator.noise_maps().items()
    }
