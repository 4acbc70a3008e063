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
from inversion.regularise import noise_autocorrelation, renormalise
from inversion.run import Run
from inversion.targets import Targets, check, compare, face_weights
from inversion.types import InversionStep
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


def project(run: Run, start: Tensor, deviation: float) -> Steps[InversionStep, None, Tensor]:
    """Optimise latents, and noise maps beside them, until renderings resemble the targets.

    The targets lie side by side: none has a say in another's latents.

    Args:
        run: its generator stays as it is.
        start: latents `[N, 1 or L, w_dim]` to start from; one vector is repeated where the space is
            W+.
        deviation: of the latents, the unit of the noise on them.

    Returns:
        Latents `[N, L, w_dim]`.

    Raises:
        NotFiniteError: the loss is NaN or infinite.
    """
    found: list[Tensor] = []
    for part, targets in run.targets.parts(run.together):
        latents = yield from _project_part(
            run, targets, start[part], deviation, loop=f"project {part.start}"
        )
        found.append(latents)
    return torch.cat(found)


def _project_part(
    run: Run, targets: Targets, start: Tensor, deviation: float, *, loop: str
) -> Steps[InversionStep, None, Tensor]:
    """As `project`, for targets that are drawn at once; `loop` is what the keeper calls it."""
    options, config = run.options, run.generator.config
    until = min(options.projection_until or config.resolution, config.resolution)
    small = Targets(crops=_reduce(targets.crops, until), valid=_reduce(targets.valid, until))
    weights = face_weights(small.crops.shape[-1], options.face_emphasis, start.device)
    start = start.detach().mean(1, keepdim=True) if options.space == "w" else start.detach()
    vectors = 1 if options.space == "w" else config.num_latents
    w = start.expand(-1, vectors, -1).clone().requires_grad_()
    noise = _noise(run.generator, len(targets), run.rng) if options.noise_weight else {}
    moved = [w, *noise.values()]
    optimizer = torch.optim.Adam(moved, betas=(0.9, 0.999))
    total = options.projection_steps
    for k in range(run.keeper.resume(loop, moved, optimizer, run.rng), total):
        share = ramp(k / total, up=options.ramp_up, down=options.ramp_down)
        optimizer.param_groups[0]["lr"] = options.projection_rate * share
        scale = deviation * options.latent_noise * max(0.0, 1 - k / total / 0.75) ** 2
        wander = torch.randn(w.shape, generator=run.rng).to(w.device) * scale
        image = _draw(run.generator, w + wander, until, noise)
        distance, error = compare(image, small, run.perceptual, weights)
        away = (w - start).square().mean((1, 2))
        loss = (distance + options.projection_l2 * error + options.pull * away).sum()
        if noise:
            loss = loss + options.noise_weight * noise_autocorrelation(noise.values())
        check(loss, "projection", k)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        renormalise(noise.values())
        run.keeper.keep(loop, k + 1, moved, optimizer, run.rng, finished=k + 1 == total)
        yield InversionStep(
            phase="project", index=k + 1, total=total,
            loss=loss.item() / len(targets), perceptual=distance.mean().item(),
        )  # fmt: skip
    return w.detach().expand(-1, config.num_latents, -1).contiguous()


def _draw(generator: Generator, w: Tensor, until: int, noise: dict[str, Tensor]) -> Tensor:
    """The picture that projection compares, of latents `[N, 1 or L, w_dim]`."""
    latents = w.expand(-1, generator.config.num_latents, -1)
    image = generator.synthesize(latents, until=until, noise=noise or "const").image
    if image is None:
        raise NotFiniteError("the generator drew no image")
    return _reduce(image, until)


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
