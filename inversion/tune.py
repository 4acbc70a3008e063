"""Pivotal tuning: weights adjusted until the pivot gives the crop (Roich et al. 2021, Sec. 3.2)."""

from __future__ import annotations

from collections.abc import Generator as Steps
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from inversion.options import InversionOptions
from inversion.project import check, compare
from inversion.regularise import Expressions, locality
from inversion.resume import Keeper
from inversion.types import InversionStep
from weights.perceptual import Perceptual
from weights.stylegan2 import Generator

# The published weights of both terms of L_R, mean square error and perceptual distance.
LOCALITY_PER_WEIGHT = 0.1

SMALLEST = 0.1
"""Root mean square that a tensor counts with at least: even one of zeros must be able to move."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A crop that tuning shall draw.

    Attributes:
        crop: `[1, 3, R, R]`.
        valid: `[1, 1, R, R]`, 0 where the crop was invented or hidden.
        latents: the pivot `[1, L, w_dim]`.
    """

    crop: Tensor
    valid: Tensor
    latents: Tensor


def tunable(generator: Generator, options: InversionOptions) -> dict[str, nn.Parameter]:
    """Parameters that tuning may change.

    The mapping network stays as it is, and so does noise that the generator does not use: it would
    stay in place where a dragged part moves.
    """
    chosen: dict[str, nn.Parameter] = {}
    for block in generator.synthesis.blocks():
        if block.side < options.tuning_from:
            continue
        for name, value in block.named_parameters():
            unused = name.endswith("noise_strength") and not bool(value)
            if not unused and (options.tuning_styles or "affine." not in name):
                chosen[f"synthesis.b{block.side}.{name}"] = value
    return chosen


def tune(
    targets: Sequence[Target],
    generator: Generator,
    perceptual: Perceptual,
    options: InversionOptions,
    *,
    base: Generator,
    rng: torch.Generator,
    keeper: Keeper,
    directions: Tensor | None = None,
) -> Steps[InversionStep, None, int]:
    """Tune a generator in place, with its constant noise, until it draws the targets.

    Several targets take turns, a step each.

    Args:
        targets: at least one.
        generator: tuned in place, frozen again at the end.
        perceptual: distance to descend.
        options: see there.
        base: the generator before tuning, for the locality regularisation.
        rng: draws that regularisation's latents, on the CPU.
        keeper: holds the state, for a run that is killed.
        directions: `[K, L, w_dim]`, steps of the latents whose effect is to stay as it was.

    Returns:
        Number of steps taken.

    Raises:
        NotFiniteError: the loss is NaN or infinite.
    """
    parameters = list(tunable(generator, options).values())
    optimizer = _optimizer(parameters, options, targets[0].crop.device)
    rates = [group["lr"] for group in optimizer.param_groups]
    total = options.tuning_steps * len(targets)
    taken = keeper.resume("tune", parameters, optimizer, rng)
    expressions = None
    if directions is not None and options.expression_weight:
        expressions = Expressions(base, directions)
    near = 0
    for k in range(taken, total):
        target = targets[k % len(targets)]
        share = min(1.0, (1 - k / total) / options.tuning_decay) if options.tuning_decay else 1.0
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * share
        image = generator(target.latents)
        distance, error = compare(image, target.crop, target.valid, perceptual)
        loss = options.tuning_l2 * error + options.tuning_perceptual * distance
        check(loss, "tuning", k)
        near = near + 1 if distance.item() <= options.threshold else 0
        if near == len(targets):
            break
        if near:
            continue
        if options.locality_weight:
            weight = options.locality_weight * LOCALITY_PER_WEIGHT
            loss = loss + weight * locality(
                generator, base, target.latents, perceptual,
                distance=options.locality_distance, rng=rng,
            )  # fmt: skip
        if expressions is not None and k % (2 * len(targets)) >= len(targets):
            lost = expressions.lost(generator, target.latents, image, rng)
            loss = loss + 2 * options.expression_weight * options.tuning_l2 * lost
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        taken = k + 1
        keeper.keep("tune", taken, parameters, optimizer, rng)
        yield InversionStep(
            phase="tune",
            index=taken,
            total=total,
            loss=loss.item(),
            perceptual=distance.item(),
        )
    optimizer.zero_grad()
    generator.requires_grad_(False)
    return taken


def _optimizer(
    parameters: Sequence[nn.Parameter], options: InversionOptions, device: torch.device
) -> torch.optim.Adam:
    """Adam with a learning rate for each tensor.

    A relative rate moves every tensor by the same share of itself, so that it suits colour layers
    and convolutions alike, and other generators. Biases start at zero and count as of size one.
    """
    groups: list[dict[str, object]] = []
    for parameter in parameters:
        size = 1.0
        if options.tuning_relative and parameter.ndim > 1:
            size = max(SMALLEST, float(parameter.detach().square().mean().sqrt()))
        groups.append({"params": [parameter.requires_grad_()], "lr": options.tuning_rate * size})
    fused = device.type in ("cpu", "cuda")
    return torch.optim.Adam(groups, betas=options.tuning_betas, fused=fused)
