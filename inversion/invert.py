"""Inversion: a crop in, an `Inversion` out.

PTI, "Pivotal Tuning for Latent-based Editing of Real Images" (Roich et al. 2021), starting from an
encoder's latents where the generator has an encoder.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Generator as Steps
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from inversion.errors import InversionError
from inversion.finish import finish
from inversion.hidden import fill_hidden
from inversion.memory import plan
from inversion.options import InversionOptions
from inversion.project import COMPARED_SIDE, latent_statistics, project
from inversion.resume import Keeper, identity
from inversion.run import Run
from inversion.targets import Targets, gather
from inversion.tune import tune
from inversion.types import Inversion, InversionStep
from weights.encoder import Encoder
from weights.perceptual import Perceptual
from weights.store import parameters_sha256
from weights.stylegan2 import Generator

T = TypeVar("T")

# The pivot is the encoder's, or near it, so edits go as they do for the encoder's pictures; the
# blocks from 32 x 32 on and their colours explain the rest. The mean square error weighs more than
# PTI's, since LPIPS on small pictures forgives a wrong face, and it favours the face: the
# composition leaves the rest of the photo as it is.
_FAST = InversionOptions(
    start="encoder",
    space="w+",
    projection_steps=2,
    projection_rate=0.05,
    ramp_up=0.0,
    ramp_down=0.5,
    latent_noise=0.0,
    noise_weight=0.0,
    projection_l2=5.0,
    face_emphasis=0.8,
    pull=3.0,
    tuning_steps=4,
    tuning_rate=6e-3,
    tuning_relative=True,
    tuning_betas=(0.7, 0.95),
    tuning_decay=0.5,
    tuning_from=32,
    tuning_styles=False,
    tuning_l2=3.0,
    threshold=0.002,
)
_EDITABLE = replace(
    _FAST, projection_steps=10, tuning_rate=3.5e-3, tuning_l2=5.0, expression_weight=4.0
)

QUALITIES: dict[str, InversionOptions] = {
    "fast": _FAST,
    "balanced": replace(_EDITABLE, tuning_steps=20),
    "best": replace(_EDITABLE, projection_steps=20, tuning_steps=80),
    "reference": InversionOptions(),
}


def invert(
    crop: Tensor,
    valid: Tensor | None,
    generator: Generator,
    perceptual: Perceptual,
    options: InversionOptions,
    *,
    encoder: Encoder | None = None,
    seed: int = 0,
    hidden: Tensor | None = None,
    directions: Tensor | None = None,
    checkpoint: Path | None = None,
) -> Iterator[InversionStep]:
    """Find latents and a tuned generator that draw a crop, step by step.

    As `invert_together` for one crop.
    """
    return invert_together(
        [crop],
        [valid],
        generator,
        perceptual,
        options,
        encoder=encoder,
        seed=seed,
        hidden=[hidden],
        directions=directions,
        checkpoint=checkpoint,
    )


def invert_together(
    crops: Sequence[Tensor],
    valids: Sequence[Tensor | None],
    generator: Generator,
    perceptual: Perceptual,
    options: InversionOptions,
    *,
    encoder: Encoder | None = None,
    seed: int = 0,
    hidden: Sequence[Tensor | None] | None = None,
    directions: Tensor | None = None,
    checkpoint: Path | None = None,
) -> Iterator[InversionStep]:
    """Find latents for each crop and one tuned generator that draws them all, step by step.

    The crops may be the faces of one photo, or photos of one person. Closing the iterator cancels.
    Without an encoder, options that start from one start from the mean latent, in W.

    Args:
        crops: `[1, 3, R, R]` float32 in [-1, 1], R the generator's resolution.
        valids: `[1, 1, R, R]`, 0 where a crop was invented; None when all of it is real.
        generator: stays as it is; a copy is tuned.
        perceptual: distance to descend.
        options: for one crop; see there, `QUALITIES`, and `options_for`.
        encoder: first guess of the latents.
        seed: of all randomness.
        hidden: `[1, 1, R, R]`, 1 where something hides a face; such pixels have no influence.
        directions: `[K, L, w_dim]`, steps of the latents, such as a smile, whose effect tuning is
            to leave as it was; the report tells of the first two.
        checkpoint: file that keeps the state of the run until it ends. A run of the same crops,
            generator, options and seed goes on from it, to the same result.

    Yields:
        Steps; the last one carries the inversions.

    Raises:
        InversionError: there is no crop, a crop or mask has another shape, or nothing is valid.
        NotFiniteError: a crop or a loss is not finite.
    """
    targets, covered = gather(crops, valids, hidden or [None] * len(crops), generator.config)
    options = _options_of_run(options, len(targets), encoder)
    run = _begin(targets, covered, generator, perceptual, options, seed, directions, checkpoint)
    if bool(covered.any()):
        filled = fill_hidden(targets.crops, covered, run.generator, encoder)
        run = replace(run, targets=replace(targets, crops=filled))
    start, deviation = _start(run, encoder)
    starts = run.score(start)
    far = max(each.perceptual for each in starts)
    yield InversionStep(phase="encode", index=0, total=1, loss=far, perceptual=far)
    losses: list[float] = []
    latents = yield from _recorded(project(run, start, deviation), losses)
    pivots = run.score(latents) if options.projection_steps else starts
    taken = yield from _recorded(tune(run, latents), losses)
    run.generator.recomputing = False
    inversions = finish(run, latents, starts, pivots, taken=taken, losses=losses)
    run.keeper.remove()
    last = max(inversion.report.perceptual for inversion in inversions)
    yield InversionStep(
        phase="tune", index=taken, total=taken, loss=last, perceptual=last, inversions=inversions
    )


def options_for(options: InversionOptions, count: int) -> InversionOptions:
    """What becomes of options where so many crops share a generator.

    Each has less of the tuning, so that the pivots must be nearer, and tuning go farther: then all
    come as near as one alone, and lose no more of what the generator knew.
    """
    further = count - 1
    nearer = further / 2 if options.start == "encoder" else 0.0
    return replace(
        options,
        projection_steps=round(options.projection_steps * (1 + nearer)),
        tuning_steps=round(options.tuning_steps * (1 + further / 4)),
        tuning_rate=options.tuning_rate * count ** (1 / 3),
    )


def most_steps(
    generator: Generator, options: InversionOptions, count: int, encoder: Encoder | None
) -> int:
    """Most steps that `invert_together` yields for so many crops, as far as memory is free now."""
    options = _options_of_run(options, count, encoder)
    turns = math.ceil(count / plan(generator, count).together)
    # The start comes before them, and the inversions after them.
    return 1 + turns * options.projection_steps + options.tuning_steps + 1


def _options_of_run(
    options: InversionOptions, count: int, encoder: Encoder | None
) -> InversionOptions:
    if options.start == "encoder" and encoder is None:
        options = _without_encoder(options)
    return options_for(options, count)


def finish_inversion(steps: Iterable[InversionStep]) -> Inversion:
    """Drain the steps of `invert`, perhaps wrapped in a progress bar, and give its result.

    Raises:
        InversionError: the steps end without a result.
    """
    return finish_inversions(steps)[0]


def finish_inversions(steps: Iterable[InversionStep]) -> tuple[Inversion, ...]:
    """Drain the steps of `invert_together`, and give its results in the order of the crops.

    Raises:
        InversionError: the steps end without a result.
    """
    inversions: tuple[Inversion, ...] = ()
    for step in steps:
        inversions = step.inversions
    if not inversions:
        raise InversionError("the inversion was interrupted before its end: run it again")
    return inversions


def _without_encoder(options: InversionOptions) -> InversionOptions:
    """Walk to the face first, fast: the mean is a long way off, and a W vector is stiff."""
    return replace(
        options,
        start="mean",
        space="w",
        projection_steps=max(2 * options.projection_steps, 4 * options.tuning_steps),
        projection_until=COMPARED_SIDE,
        ramp_up=0.05,
        latent_noise=0.05,
        pull=0.0,
    )


def _begin(
    targets: Targets,
    covered: Tensor,
    generator: Generator,
    perceptual: Perceptual,
    options: InversionOptions,
    seed: int,
    directions: Tensor | None,
    checkpoint: Path | None,
) -> Run:
    """Copy the generator, plan with the memory that is free, and find an earlier start's state."""
    memory = plan(generator, len(targets))
    base_sha256 = parameters_sha256(generator)
    pixels = [targets.crops, targets.valid, covered]
    pixels += [] if directions is None else [directions]
    words = (
        base_sha256, repr(options), str(seed), perceptual.name, str(generator.compute_dtype),
        str(memory.together),
    )  # fmt: skip
    tuned = copy.deepcopy(generator).eval().requires_grad_(False)
    tuned.recomputing = memory.recomputing
    return Run(
        targets=targets,
        base=generator,
        base_sha256=base_sha256,
        generator=tuned,
        perceptual=perceptual,
        options=options,
        directions=directions,
        seed=seed,
        rng=torch.Generator().manual_seed(seed),
        keeper=Keeper(checkpoint, identity(pixels, *words) if checkpoint else ""),
        together=memory.together,
    )


def _start(run: Run, encoder: Encoder | None) -> tuple[Tensor, float]:
    """Latents `[N, 1 or L, w_dim]` to start from, and their deviation (0 where unused)."""
    options, crops = run.options, run.targets.crops
    if options.start == "mean" or encoder is None:
        mean, deviation = latent_statistics(run.generator, options.latent_samples, run.rng)
        return mean.expand(len(crops), -1, -1), deviation
    deviation = 0.0
    if options.latent_noise:
        deviation = latent_statistics(run.generator, options.latent_samples, run.rng)[1]
    with torch.no_grad():
        return encoder(crops), deviation


def _recorded(
    steps: Steps[InversionStep, None, T], losses: list[float]
) -> Steps[InversionStep, None, T]:
    """Pass steps on, and note their losses."""
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            return end.value
        losses.append(step.loss)
        yield step
