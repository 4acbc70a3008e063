"""The end of an inversion: rounded, measured, reported."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from inversion.deltas import round_to_deltas
from inversion.options import InversionOptions
from inversion.project import compare, latent_statistics
from inversion.report import InversionReport
from inversion.resume import Keeper
from inversion.tune import Target, tunable
from inversion.types import Inversion, Pivot
from weights.perceptual import Perceptual
from weights.stylegan2 import Generator


@dataclass(frozen=True, kw_only=True)
class Stage:
    """PSNR and perceptual distance of a crop's rendering at the start and after projection."""

    start: tuple[float, float]
    pivot: tuple[float, float]


def finish(
    targets: Sequence[Target],
    stages: Sequence[Stage],
    tuned: Generator,
    base: Generator,
    perceptual: Perceptual,
    options: InversionOptions,
    *,
    base_sha256: str,
    taken: int,
    losses: Sequence[float],
    seed: int,
    keeper: Keeper,
) -> tuple[Inversion, ...]:
    """Round what tuning changed, measure, and report."""
    pivots = torch.cat([target.latents for target in targets])
    names = list(tunable(base, options)) if taken else []
    tuned.compute_dtype = torch.float32
    deltas, error = round_to_deltas(
        tuned, base, names, lambda: tuned(pivots), allowed=options.stored_error
    )
    tuned.compute_dtype = base.compute_dtype
    common = InversionReport(
        start=options.start,
        space=options.space,
        seed=seed,
        projection_steps=options.projection_steps,
        tuning_steps=taken,
        perceptual_name=perceptual.name,
        losses=tuple(losses[:: max(1, math.ceil(len(losses) / 64))]),
        forgetting=forgetting(tuned, base, perceptual) if deltas else 0.0,
        stored_error=error,
    )
    cloud = latent_statistics(base, 200, torch.Generator().manual_seed(0))
    reports: list[InversionReport] = []
    for target, stage in zip(targets, stages, strict=True):
        psnr, distance = score(tuned, target.latents, target.crop, target.valid, perceptual)
        away, spread = place(target.latents, *cloud)
        reports.append(replace(
            common,
            start_psnr=stage.start[0], start_perceptual=stage.start[1],
            pivot_psnr=stage.pivot[0], pivot_perceptual=stage.pivot[1],
            psnr=psnr, perceptual=distance, distance=away, spread=spread,
        ))  # fmt: skip
    seconds = keeper.seconds
    return tuple(
        Inversion(
            tuned,
            Pivot(target.latents, tuned.noise_maps()),
            replace(report, seconds=seconds),
            base_sha256,
            deltas,
        )
        for target, report in zip(targets, reports, strict=True)
    )


@torch.no_grad()
def score(
    generator: Generator, latents: Tensor, crop: Tensor, valid: Tensor, perceptual: Perceptual
) -> tuple[float, float]:
    """PSNR in dB and perceptual distance of a rendering, as it would be shown."""
    image = generator(latents.expand(-1, generator.config.num_latents, -1)).clamp(-1, 1)
    distance, error = compare(image, crop, valid, perceptual)
    return 10 * math.log10(4 / max(error.item(), 1e-10)), distance.item()


@torch.no_grad()
def forgetting(tuned: Generator, base: Generator, perceptual: Perceptual) -> float:
    """How far tuning moved the picture of another face, always the same one."""
    z = torch.randn(1, base.config.z_dim, generator=torch.Generator().manual_seed(0))
    latents = base.map(z.to(base.mapping.w_avg.device), psi=0.7)
    after, before = tuned(latents).clamp(-1, 1), base(latents).clamp(-1, 1)
    return perceptual(after, before).item()


def place(latents: Tensor, mean: Tensor, deviation: float) -> tuple[float, float]:
    """Distance of latents `[1, L, w_dim]` from the mean, and the layers' spread, in deviations."""
    unit = max(deviation, 1e-12)
    away = float((latents - mean).square().sum(2).mean().sqrt())
    spread = float((latents - latents.mean(1, keepdim=True)).square().sum(2).mean().sqrt())
    return away / unit, spread / unit
