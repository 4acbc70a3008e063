"""The engines by name, and running one: an inversion and a specification in, an edit out."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from editing.drag import DragEngine
from editing.errors import EditingError
from editing.reference import PAPER, ReferenceEngine
from editing.render import render_edit
from editing.spec import DragSpec
from editing.steps import EditStart as EditStart
from editing.steps import EditStep as EditStep
from editing.steps import Engine as Engine
from editing.steps import StopReason as StopReason
from inversion.types import Inversion

ENGINES: Mapping[str, DragEngine | ReferenceEngine] = {
    "default": DragEngine(),
    "reference": ReferenceEngine(),
    "paper": PAPER,
}


@dataclass(frozen=True, kw_only=True, eq=False)
class EditResult:
    """A finished edit.

    Attributes:
        latents: `[1, L, C]` float32, edited.
        image: `[1, 3, R, R]` float32, the crop rendered from them.
        points: `[N, 2]` where the handles ended, crop pixels.
        stopped: why the edit ended.
        steps: number of optimiser steps taken.
        seconds: time of the steps, without the final rendering.
        mean_distance: mean distance of the handles that move to their targets, crop pixels.
        reached: for each handle, whether it came close enough to its target.
        movable: `[1, 1, R, R]`, where the latents draw the picture; see `EditStep`.
    """

    latents: Tensor
    image: Tensor
    points: Tensor
    stopped: StopReason
    steps: int
    seconds: float
    mean_distance: float
    reached: tuple[bool, ...]
    movable: Tensor | None = None

    def as_start(self, spec: DragSpec, before: EditStart | None = None) -> EditStart:
        """Where a further edit of the same inversion goes on.

        Args:
            spec: what this edit was.
            before: where this edit started, unless at the inversion itself.
        """
        return EditStart.after(self.latents, spec, before)


def run_edit(
    engine: Engine, subject: Inversion, spec: DragSpec, *, start: EditStart | None = None
) -> EditResult:
    """Run an engine to its end.

    Args:
        engine: one of `ENGINES`, or another with options of its own.
        subject: the inversion to edit.
        spec: points and mask on the picture that the edit starts with.
        start: where an earlier edit of the same inversion ended, from `EditResult.as_start`.

    Raises:
        EditingError: from the engine, or when the engine ends without saying why.
    """
    return finish_edit(engine.steps(subject, spec, start), subject)


def finish_edit(steps: Iterable[EditStep], subject: Inversion) -> EditResult:
    """Drain an engine's steps, perhaps wrapped in a progress bar, and render the last one.

    Raises:
        EditingError: the steps end without saying why.
    """
    start = time.perf_counter()
    last: EditStep | None = None
    for step in steps:
        last = step
    seconds = time.perf_counter() - start
    if last is None or last.stopped is None:
        raise EditingError("the edit was interrupted before its end: run it again")
    return EditResult(
        latents=last.latents,
        image=render_edit(subject, last.latents, last.movable),
        points=last.points,
        stopped=last.stopped,
        steps=last.index,
        seconds=seconds,
        mean_distance=last.mean_distance,
        reached=tuple(bool(reached) for reached in last.reached.tolist()),
        movable=last.movable,
    )
