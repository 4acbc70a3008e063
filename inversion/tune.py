"""Pivotal tuning: weights adjusted until the pivot gives the crop (Roich et al. 2021, Sec. 3.2)."""

from __future__ import annotations

from collections.abc import Generator as Steps

import torch
from torch import Tensor, nn

from inversion.project import check, compare
from inversion.regularise import locality
from inversion.types import InversionOptions, InversionStep
from weights.perceptual import Perceptual
from weights.stylegan2 import Generator

# The published weights of both terms of L_R, mean square error and perceptual distance.
LOCALITY_PER_WEIGHT = 0.1


def tunable(generator: Generator) -> dict[str, nn.Parameter]:
    """All parameters that draw; the mapping network stays as it is."""
    return {
        name: value
        for name, value in generator.named_parameters()
        if not name.startswith("mapping.")
    }


def tune(
    target: Tensor,
    valid: Tensor,
    generator: Generator,
    perceptual: Perceptual,
    options: InversionOptions,
    *,
    latents: Tensor,
    base: Generator,
    rng: torch.Generator,
) -> Steps[InversionStep, None, int]:
    """Tune a generator in place, with its constant noise, until it draws the target.

    Args:
        target: `[1, 3, R, R]`.
        valid: `[1, 1, R, R]`, 0 where the target was invented.
        generator: tuned in place, frozen again at the end.
        perceptual: distance to descend.
        options: see there.
        latents: the pivot `[1, L, w_dim]`.
        base: the generator before tuning, for the locality regularisation.
        rng: draws that regularisation's latents, on the CPU.

    Returns:
        Number of steps taken.

    Raises:
        NotFiniteError: the loss is NaN or infinite.
    """
    parameters = list(tunable(generator).values())
    for parameter in parameters:
        parameter.requires_grad_()
    fused = target.device.type in ("cpu", "cuda")
    optimizer = torch.optim.Adam(parameters, lr=options.tuning_rate, fused=fused)
    taken = 0
    for k in range(options.tuning_steps):
        left = 1 - k / options.tuning_steps
        share = min(1.0, left / options.tuning_decay) if options.tuning_decay else 1.0
        optimizer.param_groups[0]["lr"] = options.tuning_rate * share
        image = generator.synthesize(latents).image
        distance, error = compare(image, target, valid, perceptual)
        loss = options.tuning_l2 * error + options.tuning_perceptual * distance
        check(loss, "tuning", k)
        if distance.item() <= options.threshold:
            break
        if options.locality_weight:
            weight = options.locality_weight * LOCALITY_PER_WEIGHT
            loss = loss + weight * locality(
                generator, base, latents, perceptual, distance=options.locality_distance, rng=rng
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        taken = k + 1
        yield InversionStep(
            phase="tune",
            index=taken,
            total=options.tuning_steps,
            loss=loss.item(),
            perceptual=distance.item(),
        )
    optimizer.zero_grad()
    generator.requires_grad_(False)
    return taken
