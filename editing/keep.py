"""What a drag leaves as it is: what a mask fixes by features, the rest by the loss."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from editing.held import COARSEST_HELD, Held, Painted, held_sides, merge, shares
from editing.steps import EditStart
from editing.synthesis import PartialSynthesis
from inversion.types import Inversion


@dataclass(frozen=True, kw_only=True, eq=False)
class Keep:
    """What is kept during one drag.

    Attributes:
        held: the inversion's picture, and that of the start where earlier edits touched it.
        weight: of the loss.
        movable: `[1, 1, R, R]`, where the latents draw the picture; None: everywhere.
    """

    held: Held
    weight: float
    movable: Tensor | None = None

    @classmethod
    def of_all(cls, synthesis: PartialSynthesis, latents: Tensor, *, weight: float) -> Keep:
        """Keep the picture of some latents as a whole, by the features of one coarse block.

        No handle knows what else its target asks for: of all pictures that have it there, the
        nearest one is wanted.
        """
        block, side = min(*synthesis.blocks, COARSEST_HELD), synthesis.resolution
        kept = synthesis.paint(latents[:, : synthesis.moving])
        fixed = shares(latents.new_ones(1, 1, side, side), kept, [block])
        return cls(held=Held(kept=kept, movable={}, fixed=fixed, everywhere=True), weight=weight)

    @classmethod
    def fixed_by(
        cls,
        mask: Tensor,
        subject: Inversion,
        start: EditStart | None,
        *,
        weight: float,
        blocks: tuple[int, ...],
    ) -> Keep:
        """Keep what a mask `[1, 1, R, R]` fixes.

        Args:
            mask: 1 = may change.
            subject: gives the untouched picture.
            start: what earlier edits changed and this mask fixes is kept by the loss alone.
            weight: of the loss.
            blocks: that are supervised.
        """
        latents = subject.pivot.latents.detach()
        mask = movable = mask.to(latents)
        kept = _paint(subject, latents, max(blocks))
        spilt = False
        if start is not None and start.touched is not None:
            touched = start.touched.to(latents)
            spilt = bool(((touched > 0) & (mask == 0)).any())
            movable = mask.maximum(touched)
            kept = merge(_paint(subject, start.latents.to(latents), max(blocks)), kept, touched)
        held = Held(
            kept=kept,
            movable=shares(movable, kept, held_sides(subject.generator.config.resolution)),
            fixed=shares(1 - mask, kept, (min(*blocks, COARSEST_HELD),) if spilt else blocks),
            everywhere=spilt,
        )
        return cls(held=held, weight=weight, movable=movable)


def _paint(subject: Inversion, latents: Tensor, finest: int) -> Painted:
    """A picture on its way, up to a block."""
    synthesis = PartialSynthesis(subject, latents, moving=0, blocks=(finest,))
    return synthesis.paint(latents[:, :0])
