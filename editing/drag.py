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

from editing.course import ENDS, Course, Patience, Place
from editing.descent import Descent, exact_dtype, latent_deviation, yielding
from editing.errors import OptionError
from editing.features import Features
from editing.graphs import captured
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
from editing.steps import EditStart, EditStep
from editing.supervision import motion_supervision, patch_offsets, patch_radii
from editing.synthesis import PartialSynthesis
from editing.trackers import TRACKERS, Search, Tracker
from inversion.types import Inversion

FINEST_BLOCK = 128
# Share of the step length that is left at the targets.
LEAST_STEP = 0.2
# Share of the asked step by which the handles may fall back before it is undone.
ROLL_BACK = 0.5
# What counts as progress, px@512.
PROGRESS = 0.1
# Steps that a GPU takes before the host looks at them: more keep it from waiting, but those after
# the end are for nothing.
AHEAD = 4


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
        drag = Drag.begin(self, subject, spec, start)
        step = drag.first_step()
        if bool(drag.anchors.all()):
            yield replace(step, stopped="nothing to do")
            return
        if bool(step.reached.all()):
            yield replace(step, stopped="reached")
            return
        yield step
        course = drag.set_out()
        # RAFT brings numbers of its own to the device each time.
        advance = drag.advance if self.tracker == "raft" else captured(drag.advance, course)
        while True:
            courses: list[Course] = []
            for _ in range(1 if drag.on_host else AHEAD):
                course = advance(course)
                courses.append(course)
            for step in drag.read(courses):
                yield step
                if step.stopped is not None:
                    return

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


@dataclass(frozen=True, kw_only=True, eq=False)
class Drag:
    """What stays constant during one drag: the start and lengths in crop pixels.

    Attributes:
        moving: `[M]`, which handles are no anchors.
        weights: `[N]`, of the handles' losses.
        on_host: whether values may be looked at on the way, to compute only what is needed: on a
            processor that costs nothing, while a GPU would have to wait for it.
    """

    engine: DragEngine
    start: Tensor
    handles: Tensor
    targets: Tensor
    anchors: Tensor
    moving: Tensor
    weights: Tensor
    synthesis: PartialSynthesis
    keep: Keep
    patch: Tensor
    supervised: Sequence[int]
    tracked: Sequence[int]
    templates: Tensor
    track: Tracker
    step_length: float
    length: float
    margin: float
    reach: Tensor
    patience: Patience
    on_host: bool

    @classmethod
    def begin(
        cls, engine: DragEngine, subject: Inversion, spec: DragSpec, start: EditStart | None
    ) -> Drag:
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
        anchors = spec.anchors.to(device)
        on_host = device.type != "cuda"
        with torch.no_grad():
            around = handles if on_host else None
            first = synthesis(latents[:, : engine.layers], around, margin, held=keep.held)
        return cls(
            engine=engine,
            start=latents,
            handles=handles,
            targets=targets,
            anchors=anchors,
            moving=(~anchors).nonzero().flatten(),
            weights=torch.where(anchors, engine.anchor_weight, 1.0),
            synthesis=synthesis,
            keep=keep,
            patch=patch,
            supervised=supervised,
            tracked=tracked,
            templates=first.only(supervised).at(handles[:, None] + patch),
            track=TRACKERS[engine.tracker](first.only(tracked), handles, search),
            step_length=step_length,
            length=engine.learning_rate * latent_deviation(subject.generator),
            margin=margin,
            reach=torch.where(anchors, torch.inf, engine.reach_for(spec) * pixel),
            patience=Patience(
                steps=engine.max_steps,
                idle=engine.patience,
                progress=PROGRESS * pixel,
                setback=ROLL_BACK * step_length,
            ),
            on_host=on_host,
        )

    def set_out(self) -> Course:
        """The course at the start: one offset for all layers that move, or one for each."""
        count = self.engine.layers if self.engine.space == "w+" else 1
        still = self.start.new_zeros(1, count, self.start.shape[2])
        none = still.new_zeros(())
        start = Place(
            offset=still,
            points=self.handles,
            distance=self.distance(self.handles),
            lowered=none,
            loss=none,
            gradient=still,
        )
        return Course.begin(self.pull(*self.at(start)), Descent.begin(still, self.length))

    @torch.no_grad()
    def advance(self, course: Course) -> Course:
        """One step: down the gradient, the handles found again, and what is thought of it.

        A pure function of tensors, which a CUDA graph can record.
        """
        place, features, descent = self.descend(course)
        points = self.track(features.detach().only(self.tracked), place.points)
        place = place._replace(
            points=points, distance=self.distance(points), lowered=course.here.loss
        )
        verdict = self.patience.judge(course, place.distance, self.reached(points).all())
        if not self.on_host or not bool(verdict.back | verdict.ends.any()):
            place = self.pull(place, features)
        return course.after(place, descent, verdict)

    def descend(self, course: Course) -> tuple[Place, Features, Descent]:
        """Steps of the optimiser alone, shorter near the targets."""
        share = (course.here.distance / self.step_length + LEAST_STEP).clamp(max=1)
        place, features, descent = self.step(course.here, course.descent, share)
        for _ in range(self.engine.gradient_steps - 1):
            place, features, descent = self.step(self.pull(place, features), descent, share)
        return place, features, descent

    def step(
        self, place: Place, descent: Descent, share: Tensor
    ) -> tuple[Place, Features, Descent]:
        """One of them: the next place, with the handles as they were, and its features."""
        change, descent = descent.step(place.gradient, share)
        return *self.at(place._replace(offset=place.offset + change)), descent

    def at(self, place: Place) -> tuple[Place, Features]:
        """A place, its offset a leaf, and its features F with the graph back to that.

        They may be read where handles that were at its points may be.
        """
        offset = place.offset.detach().requires_grad_()
        around = place.points if self.on_host else None
        with torch.enable_grad():
            moved = self.start[:, : self.engine.layers] + offset
            features = self.synthesis(moved, around, self.margin, held=self.keep.held)
        return place._replace(offset=offset), features

    def pull(self, place: Place, features: Features) -> Place:
        """A place with its loss and gradient; its features are those from `at`."""
        with torch.enable_grad():
            loss, strain = self.loss(features, place.points), features.strain
            (gradient,) = torch.autograd.grad(loss, place.offset, retain_graph=strain is not None)
            if strain is not None:
                strain = self.keep.weight * strain
                (keeping,) = torch.autograd.grad(strain, place.offset)
                loss, gradient = loss + strain, gradient + yielding(keeping, gradient)
        return place._replace(offset=place.offset.detach(), loss=loss.detach(), gradient=gradient)

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
        return self.weights @ pulls

    def distance(self, points: Tensor) -> Tensor:
        """Mean distance `[]` of the handles that move to their targets, crop pixels."""
        distance = (self.targets - points).norm(dim=1)[self.moving].mean()
        return distance.to(exact_dtype(points.device))

    def reached(self, points: Tensor) -> Tensor:
        """`[N]` bool: handles that are there; anchors need not be."""
        return (self.targets - points).norm(dim=1) <= self.reach

    def read(self, courses: Sequence[Course]) -> Iterator[EditStep]:
        """What the caller sees of some courses; the host waits for their numbers once."""
        numbers = [
            torch.stack((at.taken, at.here.lowered, at.here.distance, *at.ends)) for at in courses
        ]
        for at, (taken, loss, distance, *ends) in zip(
            courses, torch.stack(numbers).tolist(), strict=True
        ):
            yield EditStep(
                index=int(taken),
                points=at.here.points,
                loss=loss,
                mean_distance=distance,
                reached=self.reached(at.here.points),
                latents=self.latents(at.here.offset),
                movable=self.keep.movable,
                stopped=next((why for why, come in zip(ENDS, ends, strict=True) if come), None),
            )

    def first_step(self) -> EditStep:
        """What the caller sees of the start."""
        return EditStep.measured(
            index=0,
            points=self.handles,
            targets=self.targets,
            anchors=self.anchors,
            reach=self.reach,
            loss=0.0,
            latents=self.start.clone(),
            movable=self.keep.movable,
        )

    def latents(self, offset: Tensor) -> Tensor:
        """The start with its first vectors moved."""
        moved = self.start.clone()
        moved[:, : self.engine.layers] += offset
        return moved


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
