"""DragGAN: drag points of a generated image by optimising its latents.

Pan et al., "Drag Your GAN: Interactive Point-based Manipulation on the Generative Image
Manifold" (2023). Each step supervises the motion of a small patch around every handle (Eq. 1-2,
`editing.supervision`) and finds the handles again (Eq. 3, `editing.tracking`). Lengths are quoted
in pixels of a 512-pixel crop (px@512) and scaled to the crop at hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from editing.engine import EditStep, StopReason
from editing.errors import OptionError
from editing.spec import DragSpec
from editing.supervision import block_features, mask_loss, motion_supervision, patch_offsets
from editing.tracking import sample_features, square_offsets, track_points
from inversion.types import Inversion

REFERENCE_SIDE = 512
PIXELS_AT_512 = "px@512"


@dataclass(frozen=True, kw_only=True)
class DragEngine:
    """Options of DragGAN; each field's metadata holds its help text, unit and choices."""

    space: Literal["w", "w+"] = field(
        default="w+",
        metadata={"help": "move one shared latent vector or each one", "choices": ("w", "w+")},
    )
    layers: int = field(
        default=7,
        metadata={"help": "number of latent vectors, counted from the first, that move; paper 6"},
    )
    blocks: tuple[int, ...] | None = field(
        default=None,
        metadata={"help": "sides of the feature blocks; default 1/4 and 1/2 of the image's side"},
    )
    source: Literal["first", "current"] = field(
        default="first",
        metadata={
            "help": "patch to supervise with: the first handle's, or the current one as the paper",
            "choices": ("first", "current"),
        },
    )
    learning_rate: float = field(
        default=3e-2, metadata={"help": "step size of Adam; the paper's is 0.002"}
    )
    radius: float | None = field(
        default=None,
        metadata={
            "help": "radius r1 of the supervised and tracked patch; default one cell of the "
            "coarsest block, less beside a handle that goes another way; paper 3",
            "unit": PIXELS_AT_512,
        },
    )
    step_length: float | None = field(
        default=None,
        metadata={
            "help": "how far a patch is asked to move at a time; default one cell of the coarsest "
            "block, paper 1",
            "unit": PIXELS_AT_512,
        },
    )
    tracking_radius: float = field(
        default=12.0,
        metadata={"help": "reach r2 of the search for a handle", "unit": PIXELS_AT_512},
    )
    mask_weight: float = field(
        default=5.0, metadata={"help": "weight lambda of keeping what may not change; paper 20"}
    )
    anchor_weight: float = field(
        default=1.0, metadata={"help": "weight of keeping handles whose target is their own place"}
    )
    reach: float | None = field(
        default=None,
        metadata={
            "help": "distance at which a target counts as reached; default 1, or 2 with more "
            "than five handles",
            "unit": PIXELS_AT_512,
        },
    )
    max_steps: int = field(
        default=100, metadata={"help": "number of steps at most; the paper's cap is 100 to 300"}
    )
    patience: int = field(
        default=20,
        metadata={"help": "steps without progress after which the drag is given up"},
    )

    def steps(self, subject: Inversion, spec: DragSpec) -> Iterator[EditStep]:
        """Yield the start, then one step at a time; the last is the best and says why it ended.

        Args:
            subject: the inversion to edit; it is left as it is.
            spec: points and mask in pixels of the subject's crop.

        Raises:
            OptionError: an option or the specification does not fit the subject's generator.
        """
        drag = _Drag.begin(self, subject, spec)
        step = drag.describe(0, drag.handles, 0.0, subject.pivot.latents.detach().clone())
        if bool(drag.anchors.all()):
            yield replace(step, stopped="nothing to do")
            return
        if bool(step.reached.all()):
            yield replace(step, stopped="reached")
            return
        best = step
        latest_progress = 0
        yield step
        shape = (1, self.layers if self.space == "w+" else 1, step.latents.shape[2])
        offset = torch.zeros(shape, device=step.latents.device, requires_grad=True)
        adam = torch.optim.Adam([offset], lr=self.learning_rate)
        features = drag.features(offset)
        stopped: StopReason | None = None
        while stopped is None:
            with torch.enable_grad():
                loss = drag.loss(features, step.points)
                adam.zero_grad()
                loss.backward()
                adam.step()
            features = drag.features(offset)
            points = drag.track(features.detach(), step.points)
            step = drag.describe(step.index + 1, points, loss.item(), drag.latents(offset))
            if step.mean_distance < best.mean_distance - drag.pixel / 10:
                latest_progress = step.index
            if step.mean_distance < best.mean_distance:
                best = step
            if bool(step.reached.all()):
                best, stopped = step, "reached"
            elif step.index - latest_progress >= self.patience:
                stopped = "stalled"
            elif step.index >= self.max_steps:
                stopped = "step cap"
            if stopped is None:
                yield step
            else:
                yield replace(best, index=step.index, stopped=stopped)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Drag:
    """What stays constant during one drag: the start and lengths in crop pixels."""

    engine: DragEngine
    subject: Inversion
    handles: Tensor
    targets: Tensor
    anchors: Tensor
    blocks: tuple[int, ...]
    first: Tensor
    fixed: Tensor | None
    patch: Tensor
    templates: Tensor
    window: Tensor
    step_length: float
    pixel: float
    reach: float
    resolution: int

    @classmethod
    def begin(cls, engine: DragEngine, subject: Inversion, spec: DragSpec) -> _Drag:
        """Check the options against the subject and read the features of the start."""
        config = subject.generator.config
        blocks = engine.blocks or (config.resolution // 4, config.resolution // 2)
        _check(engine, blocks, subject, spec)
        device = subject.pivot.latents.device
        pixel = config.resolution / REFERENCE_SIDE
        handles = spec.handles.to(device, torch.float32)
        targets = spec.targets.to(device, torch.float32)
        moving = int((~spec.anchors).sum())
        reach = engine.reach if engine.reach is not None else (1.0 if moving <= 5 else 2.0)
        first = block_features(subject, subject.pivot.latents, blocks).detach()
        coarse, fine = config.resolution / min(blocks), config.resolution / max(blocks)
        radius = coarse if engine.radius is None else engine.radius * pixel
        patch = patch_offsets(handles, targets, largest=radius, least=fine / 2)
        mask = None if spec.mask is None else spec.mask.to(device, torch.float32)
        return cls(
            engine=engine,
            subject=subject,
            handles=handles,
            targets=targets,
            anchors=spec.anchors.to(device),
            blocks=blocks,
            first=first,
            fixed=None if mask is None else 1 - F.adaptive_avg_pool2d(mask, max(blocks)),
            patch=patch,
            templates=sample_features(first, handles[:, None] + patch, config.resolution),
            window=square_offsets(engine.tracking_radius * pixel, fine / 2).to(device),
            step_length=coarse if engine.step_length is None else engine.step_length * pixel,
            pixel=pixel,
            reach=reach * pixel,
            resolution=config.resolution,
        )

    def latents(self, offset: Tensor) -> Tensor:
        """The pivot with its first vectors moved, detached."""
        moved = self.subject.pivot.latents.detach().clone()
        moved[:, : self.engine.layers] += offset.detach()
        return moved

    def features(self, offset: Tensor) -> Tensor:
        """Features F of the supervised blocks, differentiable with respect to `offset`."""
        start = self.subject.pivot.latents.detach()
        layers = self.engine.layers
        with torch.enable_grad():
            latents = torch.cat((start[:, :layers] + offset, start[:, layers:]), dim=1)
            return block_features(self.subject, latents, self.blocks)

    def loss(self, features: Tensor, points: Tensor) -> Tensor:
        """Eq. 1: motion of the handles, and the change of what is fixed or anchored."""
        moving = ~self.anchors
        patch, templates = self.patch[moving], self.templates[moving]
        if self.engine.source == "current":
            q = points[moving][:, None] + patch
            templates = sample_features(features.detach(), q, self.resolution)
        loss = motion_supervision(
            features,
            templates,
            points[moving],
            self.targets[moving],
            patch=patch,
            step_length=self.step_length,
            resolution=self.resolution,
        )
        if self.fixed is not None:
            loss = loss + self.engine.mask_weight * mask_loss(features, self.first, self.fixed)
        q = (self.handles[:, None] + self.patch)[self.anchors]
        kept = self.templates[self.anchors]
        held = (sample_features(features, q, self.resolution) - kept).abs().mean(dim=(1, 2)).sum()
        return loss + self.engine.anchor_weight * held

    def track(self, features: Tensor, points: Tensor) -> Tensor:
        """Where the handles are now, crop pixels."""
        return track_points(
            features,
            self.templates,
            points,
            window=self.window,
            patch=self.patch,
            resolution=self.resolution,
        )

    def describe(self, index: int, points: Tensor, loss: float, latents: Tensor) -> EditStep:
        """An `EditStep` with its distances."""
        distance = (self.targets - points).norm(dim=1)
        moving = distance[~self.anchors]
        return EditStep(
            index=index,
            points=points.clone(),
            loss=loss,
            mean_distance=moving.mean().item() if len(moving) else 0.0,
            reached=self.anchors | (distance <= self.reach),
            latents=latents,
        )


def _check(engine: DragEngine, blocks: tuple[int, ...], subject: Inversion, spec: DragSpec) -> None:
    config = subject.generator.config
    if spec.resolution != config.resolution:
        raise OptionError(
            f"the drag is drawn on a crop of {spec.resolution} pixels, but the generator makes "
            f"{config.resolution}: scale its points and mask"
        )
    unknown = [block for block in blocks if block not in config.block_resolutions]
    if unknown:
        raise OptionError(
            f"the generator has no feature block {unknown[0]}; choose among "
            f"{', '.join(map(str, config.block_resolutions))}"
        )
    if not 1 <= engine.layers <= config.num_latents:
        raise OptionError(
            f"layers must be from 1 to the generator's {config.num_latents} latent vectors, "
            f"not {engine.layers}"
        )
    if engine.space not in ("w", "w+"):
        raise OptionError(f"space is w or w+, not {engine.space!r}")
    if engine.source not in ("first", "current"):
        raise OptionError(f"source is first or current, not {engine.source!r}")
    for name in ("learning_rate", "radius", "step_length", "tracking_radius"):
        value: float | None = getattr(engine, name)
        if value is not None and not 0 < value < float("inf"):
            raise OptionError(f"{name.replace('_', ' ')} must be a positive number, not {value}")
    for name, weight in (("mask", engine.mask_weight), ("anchor", engine.anchor_weight)):
        if not 0 <= weight < float("inf"):
            raise OptionError(f"{name} weight must be zero or positive, not {weight}")
    if engine.max_steps < 1 or engine.patience < 1:
        raise OptionError("max steps and patience must be at least 1")
    if engine.reach is not None and not engine.reach > 0:
        raise OptionError(f"reach must be a positive number, not {engine.reach}")
