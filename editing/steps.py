"""What passes between an engine and its caller: where an edit starts, and its steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from editing.spec import DragSpec
from inversion.types import Inversion

StopReason = Literal["reached", "stalled", "step cap", "stopped", "nothing to do"]


@dataclass(frozen=True, kw_only=True, eq=False)
class EditStart:
    """Where a further edit of the same inversion starts.

    Attributes:
        latents: `[1, L, C]` float32, of the picture that the specification's handles lie on.
        touched: `[1, 1, R, R]` in [0, 1], 1 where earlier edits were free to change the picture;
            None says nowhere. What a mask fixes elsewhere is drawn from the inversion; there the
            loss keeps it near the look it has at the start.
    """

    latents: Tensor
    touched: Tensor | None = None

    @staticmethod
    def after(latents: Tensor, spec: DragSpec, before: EditStart | None = None) -> EditStart:
        """Where an edit goes on from what another left.

        Args:
            latents: where that edit ended.
            spec: what it was.
            before: where it started, unless at the inversion itself.
        """
        side = spec.resolution
        touched = torch.ones(1, 1, side, side) if spec.mask is None else spec.mask.float()
        if before is not None and before.touched is not None:
            touched = torch.maximum(touched, before.touched.to(touched))
        return EditStart(latents=latents, touched=touched)


@dataclass(frozen=True, kw_only=True, eq=False)
class EditStep:
    """State of an edit after one step; nothing in it changes later.

    Render it with `editing.render.Renderer` or `render_edit`.

    Attributes:
        index: number of optimiser steps taken; 0 is the start.
        points: `[N, 2]` where the handles are now, crop pixels.
        loss: what the optimiser lowered to come here; 0.0 at the start.
        mean_distance: mean distance of the handles that move to their targets, crop pixels.
        reached: `[N]` bool, handles close enough to their targets.
        latents: `[1, L, C]` float32.
        movable: `[1, 1, R, R]` in [0, 1], where the latents draw the picture; elsewhere it stays
            the inversion's own. None: everywhere.
        stopped: why the edit ended, on the last step only.
    """

    index: int
    points: Tensor
    loss: float
    mean_distance: float
    reached: Tensor
    latents: Tensor
    movable: Tensor | None = None
    stopped: StopReason | None = None

    @classmethod
    def measured(
        cls,
        *,
        index: int,
        points: Tensor,
        targets: Tensor,
        anchors: Tensor,
        reach: Tensor | float,
        loss: float,
        latents: Tensor,
        movable: Tensor | None = None,
    ) -> EditStep:
        """A step with its distances.

        Args:
            index: see above, as are the others that are not explained.
            points: `[N, 2]` where the handles are now.
            targets: `[N, 2]`.
            anchors: `[N]` bool, handles that do not move and do not count for the mean.
            reach: crop pixels from its target at which a handle is there; of each handle or all.
            loss: see above.
            latents: see above.
            movable: see above.
        """
        distance = (targets - points).norm(dim=1)
        moving = distance[~anchors]
        return cls(
            index=index,
            points=points.clone(),
            loss=loss,
            mean_distance=moving.mean().item() if len(moving) else 0.0,
            reached=distance <= reach,
            latents=latents,
            movable=movable,
        )


class Engine(Protocol):
    """Edits an inversion; implementations are frozen dataclasses of their options."""

    @property
    def max_steps(self) -> int:
        """Number of optimiser steps at most."""
        ...

    def steps(
        self, subject: Inversion, spec: DragSpec, start: EditStart | None = None, /
    ) -> Iterator[EditStep]:
        """Yield the start, then a step at a time; the last one says why it `stopped`."""
        ...
