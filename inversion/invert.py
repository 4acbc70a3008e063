"""Inversion: a crop in, an `Inversion` out.

PTI, "Pivotal Tuning for Latent-based Editing of Real Images" (Roich et al. 2021), starting from an
encoder's latents where the generator has an encoder.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Generator as Steps
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from inversion.errors import InversionError, NotFiniteError
from inversion.project import compare, latent_statistics, project
from inversion.tune import tunable, tune
from inversion.types import Inversion, InversionOptions, InversionReport, InversionStep, Pivot
from weights.encoder import Encoder
from weights.perceptual import Perceptual
from weights.store import parameters_sha256
from weights.stylegan2 import Generator

T = TypeVar("T")

# The mean square error weighs more than PTI's, since LPIPS on small pictures forgives a wrong
# face; a few pulled steps in W+ only, since latents far from the encoder's drag badly.
_SHORT = InversionOptions(
    start="encoder",
    space="w+",
    projection_steps=25,
    projection_rate=0.02,
    ramp_up=0.0,
    ramp_down=0.3,
    latent_noise=0.0,
    noise_weight=0.0,
    projection_l2=5.0,
    pull=3.0,
    tuning_steps=150,
    tuning_rate=4e-3,
    tuning_decay=0.5,
    tuning_l2=10.0,
    threshold=0.006,
)

QUALITIES: dict[str, InversionOptions] = {
    "fast": _SHORT,
    "balanced": replace(_SHORT, projection_steps=50, tuning_steps=500, threshold=0.004),
    "best": replace(_SHORT, projection_steps=100, tuning_steps=1500, threshold=0.002),
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
) -> Iterator[InversionStep]:
    """Find latents and a tuned generator that draw a crop, step by step.

    Closing the iterator cancels. Without an encoder, options that start from one start from the
    mean latent, in W.

    Args:
        crop: `[1, 3, R, R]` float32 in [-1, 1], R the generator's resolution.
        valid: `[1, 1, R, R]`, 0 where the crop was invented; None when all of it is real.
        generator: stays as it is; a copy is tuned.
        perceptual: distance to descend.
        options: see there, and `QUALITIES`.
        encoder: first guess of the latents.
        seed: of all randomness.

    Yields:
        Steps; the last one carries the `Inversion`.

    Raises:
        InversionError: the crop or `valid` has another shape, or nothing is valid.
        NotFiniteError: the crop or a loss is not finite.
    """
    valid = torch.ones_like(crop[:, :1]) if valid is None else valid
    _check(crop, valid, generator)
    began = time.monotonic()
    if options.start == "encoder" and encoder is None:
        options = _without_encoder(options)
    rng = torch.Generator().manual_seed(seed)
    tuned = copy.deepcopy(generator).eval().requires_grad_(False)
    start, deviation = _start(crop, tuned, options, encoder, rng)
    first = _score(tuned, start, crop, valid, perceptual)
    losses: list[float] = []
    yield InversionStep(phase="encode", index=0, total=1, loss=first[1], perceptual=first[1])
    latents = yield from _recorded(
        project(crop, valid, tuned, perceptual, options, start=start, deviation=deviation, rng=rng),
        losses,
    )
    second = _score(tuned, latents, crop, valid, perceptual)
    taken = yield from _recorded(
        tune(crop, valid, tuned, perceptual, options, latents=latents, base=generator, rng=rng),
        losses,
    )
    third = _score(tuned, latents, crop, valid, perceptual)
    report = InversionReport(
        start=options.start,
        space=options.space,
        seed=seed,
        projection_steps=options.projection_steps,
        tuning_steps=taken,
        seconds=time.monotonic() - began,
        perceptual_name=perceptual.name,
        start_psnr=first[0],
        start_perceptual=first[1],
        pivot_psnr=second[0],
        pivot_perceptual=second[1],
        psnr=third[0],
        perceptual=third[1],
        losses=tuple(losses[:: max(1, math.ceil(len(losses) / 64))]),
    )
    inversion = Inversion(
        tuned,
        Pivot(latents, tuned.noise_maps()),
        report,
        parameters_sha256(generator),
        frozenset(tunable(tuned) if taken else ()),
    )
    yield InversionStep(
        phase="tune",
        index=taken,
        total=taken,
        loss=third[1],
        perceptual=third[1],
        inversion=inversion,
    )


def finish_inversion(steps: Iterable[InversionStep]) -> Inversion:
    """Drain the steps of `invert`, perhaps wrapped in a progress bar, and give its result.

    Raises:
        InversionError: the steps end without a result.
    """
    inversion: Inversion | None = None
    for step in steps:
        inversion = step.inversion
    if inversion is None:
        raise InversionError("the inversion was interrupted before its end: run it again")
    return inversion


def _check(crop: Tensor, valid: Tensor, generator: Generator) -> None:
    side = generator.config.resolution
    if crop.shape != (1, 3, side, side):
        raise InversionError(
            f"this generator inverts crops of [1, 3, {side}, {side}], not {list(crop.shape)}"
        )
    if valid.shape != (1, 1, side, side):
        raise InversionError(f"`valid` must be [1, 1, {side}, {side}], not {list(valid.shape)}")
    if not bool(torch.isfinite(crop).all() and torch.isfinite(valid).all()):
        raise NotFiniteError("the crop holds NaN or infinite pixels: the photo cannot be inverted")
    if not bool(valid.any()):
        raise InversionError("no pixel of the crop is valid: the face lies outside the photo")


def _without_encoder(options: InversionOptions) -> InversionOptions:
    """Walk further and faster: the mean is a long way from any face, and a W vector is stiff."""
    return replace(
        options,
        start="mean",
        space="w",
        projection_steps=2 * options.projection_steps,
        projection_rate=3 * options.projection_rate,
        ramp_up=0.05,
        latent_noise=0.05,
        pull=0.0,
    )


def _start(
    crop: Tensor,
    generator: Generator,
    options: InversionOptions,
    encoder: Encoder | None,
    rng: torch.Generator,
) -> tuple[Tensor, float]:
    """Latents `[1, 1 or L, w_dim]` to start from, and their deviation (0 where unused)."""
    if options.start == "mean" or encoder is None:
        return latent_statistics(generator, options.latent_samples, rng)
    deviation = 0.0
    if options.latent_noise:
        deviation = latent_statistics(generator, options.latent_samples, rng)[1]
    with torch.no_grad():
        return encoder(crop), deviation


@torch.no_grad()
def _score(
    generator: Generator, latents: Tensor, crop: Tensor, valid: Tensor, perceptual: Perceptual
) -> tuple[float, float]:
    """PSNR in dB and perceptual distance of a rendering, as it would be shown."""
    image = generator(latents.expand(-1, generator.config.num_latents, -1)).clamp(-1, 1)
    distance, error = compare(image, crop, valid, perceptual)
    return 10 * math.log10(4 / max(error.item(), 1e-10)), distance.item()


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
