"""DragGAN: drag points of a generated image by optimising its latents.

Pan et al., "Drag Your GAN: Interactive Point-based Manipulation on the Generative Image
Manifold" (2023). Each step supervises the motion of a small patch around every handle (Eq. 1-2,
`editing.supervision`) and finds the handles again (Eq. 3, `editing.trackers`). Lengths are quoted
in pixels of a 512-pixel crop (px@512) and scaled to the crop at hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from editing.descent import Descent, latent_deviation, yielding
from editing.errors import OptionError
from editing.features import Features
from editing.keep import Keep
from editing.options import (
    FEW,
    PIXELS_AT_512,
    REFERENCE_SIDE,
    DragOptions,
    check_blocks,
    check_options,
    check_positive,
    check_weight,
)
from editing.spec import DragSpec
from editing.steps import EditStart, EditStep, StopReason
from editing.supervision import motion_supervision, patch_offsets, patch_radii
from editing.synthesis import PartialSynthesis
from editing.trackers import TRACKERS, Search, Tracker
from inversion.types import Inversion

FINEST_BLOCK = 128
# Share of the step length that is left at the targets.
LEAST_STEP = 0.2
# Share of the asked step by which the handles may fall back before it is undone.
ROLL_BACK = 0.5


@dataclass(frozen=True, kw_only=True)
class DragEngine(DragOptions):
    """Options of the default engine; see `DragOptions` for those that are not explained.

    `blocks` are by default half the image's side, at most 128, and half of that. Both are tracked;
    where nothing is fixed, up to five handles are supervised by the coarser one alone, more by the
    finer one. `radius` is one cell of the coarsest, less beside a handle that goes another way.
    """

    layers: int = 7
    learning_rate: float = field(
        default=3.0,
        metadata={
            "help": "length of a step through the latents, in deviations of one of their "
            "coordinates; less near the targets"
        },
    )
    mask_weight: float = 1.0
    max_steps: int = 100
    tracker: str = "subpixel"
    source: Literal["first", "current"] = field(
        default="first",
        metadata={
            "help": "patch to supervise with: the first handle's, or the current one as the paper",
            "choices": ("first", "current"),
        },
    )
    tracking_blocks: tuple[int, ...] | None = field(
        default=None,
        metadata={"help": "sides of the feature blocks that are tracked; default as `blocks`"},
    )
    gradient_steps: int = field(
        default=1, metadata={"help": "steps of the optimiser before the handles are sought again"}
    )
    step_length: float | None = field(
        default=None,
        metadata={
            "help": "how far a patch is asked to move at a time; default one cell of the coarsest "
            "block, paper 1",
            "unit": PIXELS_AT_512,
        },
    )
    still_weight: float = field(
        default=8.0,
        metadata={
            "help": "weight of keeping the picture as a whole where there is no mask, shared by "
            "the handles: over the root of their number"
        },
    )
    anchor_weight: float = field(
        default=1.0, metadata={"help": "weight of keeping handles whose target is their own place"}
    )
    patience: int = field(
        default=12,
        metadata={"help": "steps without progress after which the drag is given up"},
    )

    def steps(
        self, subject: Inversion, spec: DragSpec, start: EditStart | None = None, /
    ) -> Iterator[EditStep]:
        """Yield the start, then one step at a time; the last is the best and says why it ended.

        Args:
            subject: the inversion to edit; it is left as it is.
            spec: points and mask in pixels of the subject's crop.
            start: where to go on from; default: the inversion's own picture.

        Raises:
            OptionError: an option or the specification does not fit the subject's generator.
        """
        drag = _Drag.begin(self, subject, spec, start)
        step = drag.describe(0, drag.handles, 0.0, drag.start.clone())
        if bool(drag.anchors.all()):
            yield replace(step, stopped="nothing to do")
            return
        if bool(step.reached.all()):
            yield replace(step, stopped="reached")
            return
        yield step
        offset = drag.no_offset()
        here = best = drag.pull(offset, drag.features(offset, drag.handles), step)
        descent, length = Descent(), self.learning_rate * latent_deviation(subject.generator)
        progress = 0
        while True:
            offset, features, step = drag.advance(here, descent, length)
            nearest = best.step
            if step.mean_distance < nearest.mean_distance - drag.pixel / 10:
                progress = step.index
            stopped = self._stopped(step, progress)
            if stopped is not None:
                last = min(step, nearest, key=lambda step: step.mean_distance)
                last = step if stopped == "reached" else last
                yield replace(last, index=step.index, stopped=stopped)
                return
            if step.mean_distance > nearest.mean_distance + ROLL_BACK * drag.step_length:
                # Too far at once: the tracker may have lost a handle.
                here = replace(best, step=replace(nearest, index=step.index))
                descent, length = Descent(), length / 2
            else:
                here = drag.pull(offset, features, step)
                if step.mean_distance < nearest.mean_distance:
                    best = here
            yield here.step

    def reach_for(self, spec: DragSpec) -> float:
        """Distance at which a target of this drag counts as reached, px@512.

        Where nothing is fixed, all of the picture moves for what is left of the way, so that a
        handle that is within one pixel of the crop is there. The error of several handles
        together is that of one over the root of their number.
        """
        reach = super().reach_for(spec)
        if self.reach is not None or not spec.frees_all:
            return reach
        return max(reach, REFERENCE_SIDE / spec.resolution / max(spec.moving, 1) ** 0.5)

    def _stopped(self, step: EditStep, progress: int) -> StopReason | None:
        """Why a drag ends with a step, its latest progress being that of step `progress`."""
        if bool(step.reached.all()):
            return "reached"
        if step.index - progress >= self.patience:
            return "stalled"
        return "step cap" if step.index >= self.max_steps else None


@dataclass(frozen=True, kw_only=True, eq=False)
class _State:
    """Where a drag is, and where it is pulled to.

    Attributes:
        offset: `[1, K, w_dim]`, what the latents have moved by.
        step: what the caller sees.
        loss: of these latents.
        gradient: like `offset`, of the loss but for what in keeping resists the handles.
    """

    offset: Tensor
    step: EditStep
    loss: float
    gradient: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class _Drag:
    """What stays constant during one drag: the start and lengths in crop pixels."""

    engine: DragEngine
    subject: Inversion
    start: Tensor
    handles: Tensor
    targets: Tensor
    anchors: Tensor
    synthesis: PartialSynthesis
    keep: Keep
    patch: Tensor
    supervised: Sequence[int]
    tracked: Sequence[int]
    templates: Tensor
    track: Tracker
    step_length: float
    margin: float
    pixel: float
    reach: float

    @classmethod
    def begin(
        cls, engine: DragEngine, subject: Inversion, spec: DragSpec, start: EditStart | None
    ) -> _Drag:
        """Check the options against the subject and read the features of the start."""
        config = subject.generator.config
        _check(engine, subject, spec, start)
        supervised = engine.blocks or _supervised_blocks(spec)
        tracked = engine.tracking_blocks or engine.blocks or default_blocks(config.resolution)
        blocks = tuple(sorted({*supervised, *tracked}))
        pivot = subject.pivot.latents.detach()
        device = pivot.device
        latents = pivot if start is None else start.latents.detach().to(device)
        pixel = config.resolution / REFERENCE_SIDE
        handles = spec.handles.to(device, torch.float32)
        targets = spec.targets.to(device, torch.float32)
        coarse, fine = config.resolution / min(supervised), config.resolution / max(supervised)
        radius = coarse if engine.radius is None else engine.radius * pixel
        radii = patch_radii(handles, targets, largest=radius, least=fine / 2)
        patch = patch_offsets(radii)
        search = Search(
            radius=engine.tracking_radius * pixel,
            spacing=config.resolution / max(tracked) / 2,
            patch_radii=radii,
        )
        step_length = coarse if engine.step_length is None else engine.step_length * pixel
        # A handle is sought first, and then supervised where it was found.
        margin = search.radius + search.spacing + step_length + radius
        synthesis = PartialSynthesis(subject, latents, moving=engine.layers, blocks=blocks)
        if spec.mask is None or spec.frees_all:
            weight = engine.still_weight / max(spec.moving, 1) ** 0.5
            keep = Keep.of_all(synthesis, latents, weight=weight)
        else:
            weight = engine.mask_weight
            keep = Keep.fixed_by(spec.mask, subject, start, weight=weight, blocks=blocks)
        with torch.no_grad():
            first = synthesis(latents[:, : engine.layers], handles, margin, held=keep.held)
        return cls(
            engine=engine,
            subject=subject,
            start=latents,
            handles=handles,
            targets=targets,
            anchors=spec.anchors.to(device),
            synthesis=synthesis,
            keep=keep,
            patch=patch,
            supervised=supervised,
            tracked=tracked,
            templates=first.only(supervised).at(handles[:, None] + patch),
            track=TRACKERS[engine.tracker](first.only(tracked), handles, search),
            step_length=step_length,
            margin=margin,
            pixel=pixel,
            reach=engine.reach_for(spec) * pixel,
        )

    def no_offset(self) -> Tensor:
        """The offset of the start: one vector for all layers that move, or one for each."""
        count = self.engine.layers if self.engine.space == "w+" else 1
        return self.start.new_zeros(1, count, self.start.shape[2]).requires_grad_()

    def pull(self, offset: Tensor, features: Features, step: EditStep) -> _State:
        """The state at an offset whose features, with the graph back to it, are known."""
        with torch.enable_grad():
            loss = self.loss(features, step.points)
            strain = features.strain
            (gradient,) = torch.autograd.grad(loss, offset, retain_graph=strain is not None)
            if strain is not None:
                strain = self.keep.weight * strain
                (keeping,) = torch.autograd.grad(strain, offset)
                loss, gradient = loss + strain, gradient + yielding(keeping, gradient)
        return _State(offset=offset.detach(), step=step, loss=loss.item(), gradient=gradient)

    def advance(
        self, state: _State, descent: Descent, length: float
    ) -> tuple[Tensor, Features, EditStep]:
        """Steps of the optimiser, shorter near the targets, and the handles after them."""
        nearness = min(state.step.mean_distance / self.step_length + LEAST_STEP, 1.0)
        offset, features = self.descend(state, descent, length * nearness)
        for _ in range(self.engine.gradient_steps - 1):
            further = self.pull(offset, features, state.step)
            offset, features = self.descend(further, descent, length * nearness)
        with torch.no_grad():
            points = self.track(features.detach().only(self.tracked), state.step.points)
        step = self.describe(state.step.index + 1, points, state.loss, self.latents(offset))
        return offset, features, step

    def descend(self, state: _State, descent: Descent, length: float) -> tuple[Tensor, Features]:
        """One step of the optimiser alone: the new offset, a leaf, and the features there."""
        offset = (state.offset + descent.step(state.gradient, length)).requires_grad_()
        return offset, self.features(offset, state.step.points)

    def latents(self, offset: Tensor) -> Tensor:
        """The start with its first vectors moved, detached."""
        moved = self.start.clone()
        moved[:, : self.engine.layers] += offset.detach()
        return moved

    def features(self, offset: Tensor, points: Tensor) -> Features:
        """Features F of the supervised blocks where handles that were at `points` may be read.

        Differentiable with respect to `offset`.
        """
        with torch.enable_grad():
            moved = self.start[:, : self.engine.layers] + offset
            return self.synthesis(moved, points, self.margin, held=self.keep.held)

    def loss(self, features: Features, points: Tensor) -> Tensor:
        """Eq. 1, first term: motion of the handles, and anchors towards their own places."""
        features = features.only(self.supervised)
        templates = self.templates
        if self.engine.source == "current":
            now = features.detach().at(points[:, None] + self.patch)
            templates = torch.where(self.anchors[:, None, None], templates, now)
        pulls = motion_supervision(
            features,
            templates,
            points,
            self.targets,
            patch=self.patch,
            step_length=self.step_length,
        )
        return torch.where(self.anchors, self.engine.anchor_weight, 1.0) @ pulls

    def describe(self, index: int, points: Tensor, loss: float, latents: Tensor) -> EditStep:
        """An `EditStep` with its distances; anchors need not arrive."""
        return EditStep.measured(
            index=index,
            points=points,
            targets=self.targets,
            anchors=self.anchors,
            reach=torch.where(self.anchors, torch.inf, self.reach),
            loss=loss,
            latents=latents,
            movable=self.keep.movable,
        )


def default_blocks(resolution: int) -> tuple[int, ...]:
    """Half the image's side, at most 128, and half of that."""
    finest = min(resolution // 2, FINEST_BLOCK)
    return (finest // 2, finest)


def _supervised_blocks(spec: DragSpec) -> tuple[int, ...]:
    """Both default blocks within a mask, else one of them.

    A few handles on a whole picture say roughly what is wanted: the coarse block moves parts of the
    face and leaves their details. Many handles say exactly where each detail is to lie.
    """
    coarse, fine = default_blocks(spec.resolution)
    if not spec.frees_all:
        return (coarse, fine)
    return (coarse,) if spec.moving <= FEW else (fine,)


def _check(engine: DragEngine, subject: Inversion, spec: DragSpec, start: EditStart | None) -> None:
    check_options(engine, subject, spec, start)
    if engine.source not in ("first", "current"):
        raise OptionError(f"source is first or current, not {engine.source!r}")
    check_positive("step length", engine.step_length)
    check_weight("still weight", engine.still_weight)
    check_weight("anchor weight", engine.anchor_weight)
    check_blocks(subject.generator.config, engine.tracking_blocks)
    if engine.gradient_steps < 1:
        raise OptionError(f"gradient steps must be at least 1, not {engine.gradient_steps}")
    if engine.patience < 1:
        raise OptionError(f"patience must be at least 1, not {engine.patience}")
