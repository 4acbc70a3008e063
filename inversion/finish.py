"""The end of an inversion: rounded, measured, reported."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from inversion.deltas import Delta, round_to_deltas
from inversion.expressions import expressions_kept
from inversion.project import latent_statistics
from inversion.report import InversionReport
from inversion.run import Run
from inversion.targets import Score
from inversion.tune import tunable
from inversion.types import Inversion, Pivot
from weights.perceptual import Perceptual
from weights.stylegan2 import Generator

TOLD = 2
"""Expressions that the report tells of; more would take as long as all of `fast`."""


def finish(
    run: Run,
    latents: Tensor,
    starts: Sequence[Score],
    pivots: Sequence[Score],
    *,
    taken: int,
    losses: Sequence[float],
) -> tuple[Inversion, ...]:
    """Round what tuning changed, measure, and report.

    Args:
        run: its generator is left with the rounded changes.
        latents: the pivots `[N, L, w_dim]`.
        starts: what was measured at the start of projection.
        pivots: after it.
        taken: steps of tuning.
        losses: of all steps.
    """
    tuned, options = run.generator, run.options
    deltas, error = _round(run, latents, taken)
    common = InversionReport(
        start=options.start,
        space=options.space,
        seed=run.seed,
        projection_steps=options.projection_steps,
        tuning_steps=taken,
        perceptual_name=run.perceptual.name,
        losses=tuple(losses[:: max(1, math.ceil(len(losses) / 64))]),
        forgetting=forgetting(tuned, run.base, run.perceptual) if deltas else 0.0,
        stored_error=error,
    )
    rows = latents.split(1)
    scores = zip(rows, starts, pivots, run.score(latents), strict=True)
    told = run.directions[:TOLD] if deltas and run.directions is not None else None
    reports = [_report(common, run, *each, told) for each in scores]
    seconds, noise = run.keeper.seconds, tuned.noise_maps()
    return tuple(
        Inversion(
            tuned, Pivot(row, noise), replace(report, seconds=seconds), run.base_sha256, deltas
        )
        for row, report in zip(rows, reports, strict=True)
    )


def _round(run: Run, latents: Tensor, taken: int) -> tuple[dict[str, Delta], float]:
    """Round what tuning changed, see `round_to_deltas`, by pictures in float32."""
    tuned, base = run.generator, run.base
    names = list(tunable(base, run.options)) if taken else []
    tuned.compute_dtype = torch.float32
    rounded = round_to_deltas(
        tuned, base, names, lambda: tuned(latents), allowed=run.options.stored_error
    )
    tuned.compute_dtype = base.compute_dtype
    return rounded


def _report(
    common: InversionReport,
    run: Run,
    latents: Tensor,
    start: Score,
    pivot: Score,
    end: Score,
    told: Tensor | None,
) -> InversionReport:
    """Tell of one crop; of expressions where there are steps `[K, L, w_dim]` along them."""
    cloud = latent_statistics(run.base, 200, torch.Generator().manual_seed(0))
    away, spread = place(latents, *cloud)
    kept = None if told is None else expressions_kept(run.generator, run.base, latents, told)
    return replace(
        common,
        start_psnr=start.psnr, start_perceptual=start.perceptual,
        pivot_psnr=pivot.psnr, pivot_perceptual=pivot.perceptual,
        psnr=end.psnr, perceptual=end.perceptual,
        distance=away, spread=spread, kept=kept,
    )  # fmt: skip


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
