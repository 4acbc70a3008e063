"""Pivotal tuning: weights adjusted until the pivot gives the crop (Roich et al. 2021, Sec. 3.2)."""

from __future__ import annotations

from collections.abc import Generator as Steps
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from inversion.options import InversionOptions
from inversion.regularise import Regulariser
from inversion.resume import Keeper
from inversion.targets import Targets, check, compare
from inversion.types import InversionStep
from weights.perceptual import Perceptual
from weights.stylegan2 import Generator

SMALLEST = 0.1
"""Root mean square that a tensor counts with at least: even one of zeros must be able to move."""


FURTHER = 0.25
"""Share of the steps that each further target adds, so that all come as near as one alone."""


def most_steps(options: InversionOptions, count: int) -> int:
    """Most steps that tuning to so many crops takes."""
    return round(options.tuning_steps * (1 + FURTHER * (count - 1)))


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
    targets: Targets,
    latents: Tensor,
    generator: Generator,
    perceptual: Perceptual,
    options: InversionOptions,
    *,
    base: Generator,
    rng: torch.Generator,
    keeper: Keeper,
    directions: Tensor | None = None,
    together: int = 1,
) -> Steps[InversionStep, None, int]:
    """Tune a generator in place, with its constant noise, until it draws the targets.

    A step draws all targets, so that several cost less than one after the other. What regularises
    is measured at one target a step, in turn.

    Args:
        targets: N crops.
        latents: the pivots `[N, L, w_dim]`.
        generator: tuned in place, frozen again at the end.
        perceptual: distance to descend.
        options: see there.
        base: the generator before tuning, for the locality regularisation.
        rng: draws that regularisation's latents, on the CPU.
        keeper: holds the state, for a run that is killed.
        directions: `[K, L, w_dim]`, steps of the latents whose effect is to stay as it was.
        together: targets that are drawn at once; fewer take less memory, and a little longer.

    Returns:
        Number of steps taken.

    Raises:
        NotFiniteError: the loss is NaN or infinite.
    """
    parameters = list(tunable(generator, options).values())
    optimizer = _optimizer(parameters, options, latents.device)
    rates = [group["lr"] for group in optimizer.param_groups]
    regular = Regulariser(base, perceptual, options, directions, rng)
    total = most_steps(options, len(targets))
    taken = keeper.resume("tune", parameters, optimizer, rng)
    for k in range(taken, total):
        share = min(1.0, (1 - k / total) / options.tuning_decay) if options.tuning_decay else 1.0
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * share
        optimizer.zero_grad()
        turn = k // 2 % len(targets)
        losses, distances = 0.0, list[float]()
        for part, some in targets.parts(together):
            images = generator(latents[part])
            distance, error = compare(images, some, perceptual)
            loss = options.tuning_l2 * error + options.tuning_perceptual * distance
            loss = loss.sum() / len(targets)
            check(loss, "tuning", k)
            if part.start <= turn < part.stop:
                image = images[turn - part.start][None]
                loss = loss + regular.loss(generator, latents[turn][None], image, k, turn)
            loss.backward()
            losses += loss.item()
            distances += distance.tolist()
        if max(distances) <= options.threshold:
            break
        optimizer.step()
        taken = k + 1
        keeper.keep("tune", taken, parameters, optimizer, rng)
        yield InversionStep(
            phase="tune",
            index=taken,
            total=total,
            loss=losses,
            perceptual=sum(distances) / len(distances),
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
