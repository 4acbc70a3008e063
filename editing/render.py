"""Pictures of edits: what a mask fixes is the inversion's own, the rest is drawn from latents."""

from __future__ import annotations

import torch
from torch import Tensor

from editing.held import Held, Painted, held_sides, shares
from editing.synthesis import PartialSynthesis
from inversion.types import Inversion


class Renderer:
    """Draws many edits of one inversion."""

    def __init__(self, subject: Inversion) -> None:
        config = subject.generator.config
        self._subject = subject
        self._sides = held_sides(config.resolution)
        self._synthesis = PartialSynthesis(
            subject,
            subject.pivot.latents,
            moving=config.num_latents,
            blocks=(config.resolution,),
            coloured=True,
        )
        self._kept: Painted | None = None

    @torch.no_grad()
    def __call__(self, latents: Tensor, movable: Tensor | None = None) -> Tensor:
        """Draw an edit.

        Args:
            latents: `[1, L, w_dim]`.
            movable: `[1, 1, R, R]` in [0, 1], where the latents draw the picture; None: everywhere.

        Returns:
            `[1, 3, R, R]` float32, not clipped.
        """
        held = None
        if movable is not None:
            if self._kept is None:
                self._kept = self._synthesis.paint(self._subject.pivot.latents)
            share = shares(movable.to(latents), self._kept, self._sides)
            held = Held(kept=self._kept, movable=share, fixed={})
        picture = self._synthesis(latents, held=held).colour
        return self._subject.render(latents) if picture is None else picture


def render_edit(subject: Inversion, latents: Tensor, movable: Tensor | None) -> Tensor:
    """Draw one edit, as `Renderer` does."""
    if movable is None:
        return subject.render(latents)
    return Renderer(subject)(latents, movable)
