"""What every edit engine offers: an inversion and a specification in, edit steps out."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from editing.errors import EditingError
from editing.spec import DragSpec
from inversion.types import Inversion

StopReason = Literal["reached", "stalled", "step cap", "nothing to do"]


@dataclass(frozen=True, kw_only=True, eq=False)
class EditStep:
    """State of an edit after one step; nothing in it changes later.

    Render it with `subject.render(step.latents)`.

    Attributes:
        index: number of optimiser steps taken; 0 is the start.
        points: `[N, 2]` where the handles are now, crop pixels.
        loss: what the optimiser lowered to come here; 0.0 at the start.
        mean_distance: mean distance of the handles that move to their targets, crop pixels.
        reached: `[N]` bool, handles close enough to their targets.
        latents: `[1, L, C]` float32.
        stopped: why the edit ended, on the last step only.
    """

    index: int
    points: Tensor
    loss: float
    mean_distance: float
    reached: Tensor
    latents: Tensor
    stopped: StopReason | None = None


class Engine(Protocol):
    """Edits an inversion; implementations are frozen dataclasses of their options."""

    def steps(self, subject: Inversion, spec: DragSpec, /) -> Iterator[EditStep]:
        """Yield the start, then a step at a time; the last one says why it `stopped`."""
        ...


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
    """

    latents: Tensor
    image: Tensor
    points: Tensor
    stopped: StopReason
    steps: int
    seconds: float
    mean_distance: float
    reached: tuple[bool, ...]


def run_edit(engine: Engine, subject: Inversion, spec: DragSpec) -> EditResult:
    """Run an engine to its end.

    Raises:
        EditingError: from the engine, or when the engine ends without saying why.
    """
    return finish_edit(engine.steps(subject, spec), subject)


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
    with torch.no_grad():
        image = subject.render(last.latents)
    return EditResult(
        latents=last.latents,
        image=image,
        points=last.points,
        stopped=last.stopped,
        steps=last.index,
        seconds=seconds,
        mean_distance=last.mean_distance,
        reached=tuple(bool(reached) for reached in last.reached.tolist()),
    )
