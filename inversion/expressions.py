"""What a face does most: steps of the latents whose effect tuning has to leave as it was."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from weights.directions import Directions
from weights.stylegan2 import Generator

EXPRESSIONS: tuple[Mapping[str, float], ...] = (
    {"smile": 0.12, "mouth-width": 0.08, "mouth-open": 0.06},
    {"mouth-open": 0.2},
    {"brow-left": 0.12, "brow-right": 0.12},
    {"lid-left": 0.4, "lid-right": 0.4},
    {"yaw": 8.0},
)
"""A smile, an open mouth, risen brows, lowered lids, a turned head."""


def expression_steps(directions: Directions | None) -> Tensor | None:
    """Steps `[K, L, w_dim]` of the expressions that a generator's directions can do, if any."""
    if directions is None:
        return None
    known = set(directions.config.names)
    steps = [directions.along(amounts) for amounts in EXPRESSIONS if amounts.keys() <= known]
    return torch.cat(steps) if steps else None


@torch.no_grad()
def expressions_kept(tuned: Generator, base: Generator, pivot: Tensor, steps: Tensor) -> float:
    """Share of what expressions do to a face that tuning has left: 1 when nothing was lost.

    For each step d: 1 - |D_tuned - D_base|^2 / |D_base|^2, where D is the change of the picture
    from the pivot w to w + d; then the mean over steps.

    Args:
        tuned: the generator after tuning.
        base: the generator before.
        pivot: latents `[1, L, w_dim]`.
        steps: `[K, L, w_dim]`.
    """
    kept: list[Tensor] = []
    before, after = base(pivot), tuned(pivot)
    for step in steps.split(1):
        was = base(pivot + step) - before
        lost = tuned(pivot + step) - after - was
        kept.append(1 - lost.square().mean() / was.square().mean().clamp_min(1e-12))
    return float(torch.stack(kept).mean())
