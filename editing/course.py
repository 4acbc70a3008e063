"""The course of a drag: where it is, what was best, and whether it goes on.

All of it are tensors, and each step makes a new course out of one by operators alone: the host
need not know how a step came out before it asks for the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar, cast

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from editing.descent import Descent
from editing.steps import StopReason

ENDS: tuple[StopReason, ...] = ("reached", "stalled", "step cap")

Tensors = TypeVar("Tensors")


class Place(NamedTuple):
    """A place in the latents that a drag has come to.

    Attributes:
        offset: `[1, K, w_dim]`, what the latents have moved by.
        points: `[N, 2]`, where the handles are, crop pixels.
        distance: `[]`, mean distance of the handles that move to their targets, crop pixels.
        lowered: `[]`, the loss that was lowered to come here.
        loss: `[]`, of these latents.
        gradient: like `offset`, of the loss but for what in keeping resists the handles.
    """

    offset: Tensor
    points: Tensor
    distance: Tensor
    lowered: Tensor
    loss: Tensor
    gradient: Tensor


class Verdict(NamedTuple):
    """What is thought of a step.

    Attributes:
        ends: `[3]` bool, which of `ENDS` have come.
        back: `[]` bool, whether the best place is to be preferred to where the step led.
        progress: `[]`, number of the last step that came nearer.
    """

    ends: Tensor
    back: Tensor
    progress: Tensor


class Course(NamedTuple):
    """A drag after some steps; one that has ended stays as it is.

    Attributes:
        here: where it is; at its end, what it found.
        best: the nearest place so far.
        descent: of the optimiser.
        taken: `[]`, number of steps.
        progress: `[]`, number of the last one that came nearer.
        ends: `[3]` bool, which of `ENDS` have come.
    """

    here: Place
    best: Place
    descent: Descent
    taken: Tensor
    progress: Tensor
    ends: Tensor

    @classmethod
    def begin(cls, start: Place, descent: Descent) -> Course:
        """Before the first step."""
        none = torch.zeros_like(descent.taken)
        ends = torch.zeros(len(ENDS), dtype=torch.bool, device=none.device)
        return cls(start, start, descent, taken=none, progress=none, ends=ends)

    def after(self, place: Place, descent: Descent, verdict: Verdict) -> Course:
        """The course after a step that led to a place."""
        further = Course(
            here=where(verdict.back, self.best, place),
            best=where(place.distance < self.best.distance, place, self.best),
            # Too far at once: the tracker may have lost a handle.
            descent=where(verdict.back, descent.again(), descent),
            taken=self.taken + 1,
            progress=verdict.progress,
            ends=verdict.ends,
        )
        return where(self.ends.any(), self, further)


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a drag goes on.

    Attributes:
        steps: number of steps at most.
        idle: number of steps without progress after which the drag is given up.
        progress: what counts as such, crop pixels.
        setback: by how much the handles may fall behind the best place before the step is undone.
    """

    steps: int
    idle: int
    progress: float
    setback: float

    def judge(self, course: Course, distance: Tensor, reached: Tensor) -> Verdict:
        """Judge a step that led to a mean distance `[]`, with all handles there or not, `[]`."""
        taken, best = course.taken + 1, course.best.distance
        progress = torch.where(distance < best - self.progress, taken, course.progress)
        ends = torch.stack((reached, taken - progress >= self.idle, taken >= self.steps))
        # The best place is what a drag in vain has found.
        worse = torch.where(ends.any(), distance > best, distance > best + self.setback)
        return Verdict(ends=ends, back=worse & ~reached, progress=progress)


def where(condition: Tensor, these: Tensors, those: Tensors) -> Tensors:
    """These tensors where a condition `[]` holds, else those, each for itself."""
    return cast(Tensors, tree_map(partial(torch.where, condition), these, those))
