"""Pivotal tuning: weights adjusted until the pivot gives the crop (Roich et al. 2021, Sec. 3.2)."""

from __future__ import annotations

from collections.abc import Generator as Steps
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from inversion.options import InversionOptions
from inversion.regularise import Regulariser
from inversion.run import Run
from inversion.targets import check, compare, face_weights
from inversion.types import InversionStep
from weights.stylegan2 import Generator

SMALLEST = 0.1
"""Root mean square that a tensor counts with at least: even one of zeros must be able to move."""


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


def tune(run: Run, latents: Tensor) -> Steps[InversionStep, None, int]:
    """Tune the run's generator in place, with its constant noise, until it draws the targets.

    A step draws all targets, so that several cost less than one after the other. What regularises
    is measured at one target a step, in turn.

    Args:
        run: the generator is frozen again at the end.
        latents: the pivots `[N, L, w_dim]`.

    Returns:
        Number of steps taken.

    Raises:
        NotFiniteError: the loss is NaN or infinite.
    """
    options = run.options
    parameters = list(tunable(run.generator, options).values())
    optimizer = _optimizer(parameters, options, latents.device)
    rates = [group["lr"] for group in optimizer.param_groups]
    regular = Regulariser(run.base, run.perceptual, options, run.directions, run.rng)
    total = options.tuning_steps
    taken = run.keeper.resume("tune", parameters, optimizer, run.rng)
    for k in range(taken, total):
        share = min(1.0, (1 - k / total) / options.tuning_decay) if options.tuning_decay else 1.0
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * share
        optimizer.zero_grad()
        loss, distances = _add_gradients(run, latents, regular, k)
        if max(distances) <= options.threshold:
            break
        optimizer.step()
        taken = k + 1
        run.keeper.keep("tune", taken, parameters, optimizer, run.rng)
        mean = sum(distances) / len(distances)
        yield InversionStep(phase="tune", index=taken, total=total, loss=loss, perceptual=mean)
    optimizer.zero_grad()
    run.generator.requires_grad_(False)
    return taken


def _add_gradients(
    run: Run, latents: Tensor, regular: Regulariser, k: int
) -> tuple[float, list[float]]:
    """Add the gradients of step k to the generator's; give the loss and each target's distance."""
    options, count = run.options, len(run.targets)
    turn = k // 2 % count
    weights = face_weights(
        run.targets.crops.shape[-1], options.face_emphasis, run.targets.crops.device
    )
    total, distances = 0.0, list[float]()
    for part, some in run.targets.parts(run.together):
        images = run.generator(latents[part])
        distance, error = compare(images, some, run.perceptual, weights)
        loss = options.tuning_l2 * error + options.tuning_perceptual * distance
        loss = loss.sum() / count
        check(loss, "tuning", k)
        if part.start <= turn < part.stop:
            image = images[turn - part.start][None]
            loss = loss + regular.loss(run.generator, latents[turn][None], image, k, turn)
        loss.backward()
        total += loss.item()
        distances += distance.tolist()
    return total, distances


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
