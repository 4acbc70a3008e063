"""Expressions: along a known direction first, then DragGAN for the rest of the way.

A drag alone finds the nearest picture in which the points have moved. A direction that was learnt
from people who smile brings along what moves nowhere: teeth, folds, cheeks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from editing.drag import DragEngine, default_blocks
from editing.options import REFERENCE_SIDE
from editing.spec import DragSpec
from editing.steps import EditStart, EditStep
from editing.supervision import patch_radii
from editing.synthesis import PartialSynthesis
from editing.trackers import Search, track_subpixel
from inversion.types import Inversion

STRIDES = 10
FARTHEST = 1.25
# The way may worsen for so many strides, as a lip does that first parts and then lifts.
DETOUR = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class GuidedEngine:
    """Walks along a direction while that brings the handles nearer, then drags from there.

    Attributes:
        direction: `[1, L, C]`, the whole of the expected way.
        drag: what goes on from there.
    """

    direction: Tensor
    drag: DragEngine

    @property
    def max_steps(self) -> int:
        """Number of steps at most: strides count, and one of the drag is taken at least."""
        return self.drag.max_steps

    def steps(
        self, subject: Inversion, spec: DragSpec, start: EditStart | None = None, /
    ) -> Iterator[EditStep]:
        """Yield the start and the strides, then the drag's steps; see `Engine`."""
        if bool(spec.anchors.all()):
            yield from self.drag.steps(subject, spec, start)
            return
        taken = best = 0
        nearest: EditStep | None = None
        for step in self._walk(subject, spec, start):
            yield step
            taken = step.index
            if nearest is None or step.mean_distance < nearest.mean_distance:
                nearest, best = step, taken
            if taken - best >= DETOUR or taken >= self.max_steps - 1:
                break
        if nearest is None or best == 0:
            rest, onward = spec, start
        else:
            rest = spec.seen_from(nearest.points)
            onward = EditStart.after(nearest.latents, spec, start)
        drag = replace(self.drag, max_steps=self.max_steps - taken)
        for step in drag.steps(subject, rest, onward):
            # The drag starts where a stride has been shown already.
            if step.index or step.stopped is not None:
                yield replace(step, index=taken + step.index)

    def _walk(
        self, subject: Inversion, spec: DragSpec, start: EditStart | None
    ) -> Iterator[EditStep]:
        config = subject.generator.config
        latents = subject.pivot.latents.detach() if start is None else start.latents
        latents = latents.to(self.direction)
        blocks = default_blocks(config.resolution)
        synthesis = PartialSynthesis(subject, latents, moving=latents.shape[1], blocks=blocks)
        points, targets = spec.handles.to(latents), spec.targets.to(latents)
        pixel = config.resolution / REFERENCE_SIDE
        fine, coarse = config.resolution / max(blocks), config.resolution / min(blocks)
        search = Search(
            radius=self.drag.tracking_radius * pixel,
            spacing=fine / 2,
            patch_radii=patch_radii(points, targets, largest=coarse, least=fine / 2),
        )
        anchors = spec.anchors.to(points.device)
        reach = torch.where(anchors, torch.inf, self.drag.reach_for(spec) * pixel)
        movable = None if spec.mask is None else EditStart.after(latents, spec, start).touched
        with torch.no_grad():
            track = track_subpixel(synthesis(latents), points, search)
        for stride in range(STRIDES + 1):
            here = latents + self.direction * (FARTHEST * stride / STRIDES)
            if stride:
                with torch.no_grad():
                    points = track(synthesis(here), points)
            yield EditStep.measured(
                index=stride,
                points=points,
                targets=targets,
                anchors=anchors,
                reach=reach,
                loss=0.0,
                latents=here,
                movable=movable,
            )
