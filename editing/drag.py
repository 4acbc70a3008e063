"""DragGAN: drag points of a generated image by optimising its latents.

Pan et al., "Drag Your GAN: Interactive Point-based Manipulation on the Generative Image
Manifold" (2023). Each step supervises the motion of a small patch around every handle (Eq. 1-2)
and finds the handles again (Eq. 3, `editing.tracking`). Lengths are quoted in pixels of a
512-pixel crop (px@512) and scaled to the crop at hand.
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
from editing.tracking import disc_offsets, sample_features, square_offsets, track_points
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
        default=6, metadata={"help": "number of latent vectors, counted from the first, that move"}
    )
    block: int | None = field(
        default=None,
        metadata={"help": "side of the feature block; default a quarter of the image's side"},
    )
    learning_rate: float = field(
        default=1e-2, metadata={"help": "step size of Adam; the paper's is 0.002"}
    )
    radius: float | None = field(
        default=None,
        metadata={
            "help": "radius r1 of the supervised patch; default one feature cell, paper 3",
            "unit": PIXELS_AT_512,
        },
    )
    step_length: float | None = field(
        default=None,
        metadata={
            "help": "how far a patch is asked to move at a time; default half a feature cell, "
            "paper 1",
            "unit": PIXELS_AT_512,
        },
    )
    tracking_radius: float = field(
        default=12.0,
        metadata={"help": "reach r2 of the search for a handle", "unit": PIXELS_AT_512},
    )
    template_radius: float | None = field(
        default=None,
        metadata={
            "help": "radius of the patch that is searched for; default one feature cell, "
            "paper 0: a point",
            "unit": PIXELS_AT_512,
        },
    )
    mask_weight: float = field(
        default=20.0, metadata={"help": "weight lambda of keeping what may not change"}
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


def motion_supervision(
    features: Tensor,
    points: Tensor,
    targets: Tensor,
    *,
    patch: Tensor,
    step_length: float,
    resolution: int,
) -> Tensor:
    """Sum over handles of |F(q) - F(q + d)|_1, q in the patch around p (Eq. 1, first term).

    d is the direction from p to its target t, `step_length` long or less if t is nearer, so a
    handle on its target adds nothing. F(q) is held constant: the patch is asked to move onto
    q + d. As in the authors' code the norm is averaged over the patch and the channels.

    Args:
        features: `[1, C, r, r]`, F.
        points: `[N, 2]`, p, crop pixels.
        targets: `[N, 2]`, t.
        patch: `[P, 2]` offsets of q from p.
        step_length: crop pixels.
        resolution: side of the crop in pixels.

    Returns:
        A scalar.
    """
    away = targets - points
    distance = away.norm(dim=1, keepdim=True)
    d = away * (step_length / distance.clamp(min=step_length))
    q = points[:, None] + patch
    here = sample_features(features.detach(), q, resolution)
    there = sample_features(features, q + d[:, None], resolution)
    return (here - there).abs().mean(dim=(1, 2)).sum()


def mask_loss(features: Tensor, first: Tensor, fixed: Tensor) -> Tensor:
    """|(F - F0) (1 - M)|_1, averaged over what is fixed (Eq. 1, second term).

    Args:
        features: `[1, C, r, r]`, F.
        first: `[1, C, r, r]`, F0, of the unedited image.
        fixed: `[1, 1, r, r]`, 1 - M at the features' resolution.

    Returns:
        A scalar, 0 where nothing is fixed.
    """
    change = ((features - first) * fixed).abs().mean(dim=1).sum()
    return change / fixed.sum().clamp(min=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Drag:
    """What stays constant during one drag: the start and lengths in crop pixels."""

    engine: DragEngine
    subject: Inversion
    handles: Tensor
    targets: Tensor
    anchors: Tensor
    block: int
    first: Tensor
    fixed: Tensor | None
    patch: Tensor
    template_patch: Tensor
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
        block = config.resolution // 4 if engine.block is None else engine.block
        _check(engine, block, subject, spec)
        device = subject.pivot.latents.device
        pixel = config.resolution / REFERENCE_SIDE
        handles = spec.handles.to(device, torch.float32)
        moving = int((~spec.anchors).sum())
        reach = engine.reach if engine.reach is not None else (1.0 if moving <= 5 else 2.0)
        first = _block_features(subject, subject.pivot.latents, block).detach()
        cell = config.resolution / block

        def length(option: float | None, cells: float) -> float:
            return cells * cell if option is None else option * pixel

        # A quarter of a feature cell is the paper's one pixel: 512 px, features of 128.
        spacing = cell / 4
        template_patch = disc_offsets(length(engine.template_radius, 1.0), 2 * spacing).to(device)
        mask = None if spec.mask is None else spec.mask.to(device, torch.float32)
        return cls(
            engine=engine,
            subject=subject,
            handles=handles,
            targets=spec.targets.to(device, torch.float32),
            anchors=spec.anchors.to(device),
            block=block,
            first=first,
            fixed=None if mask is None else 1 - F.adaptive_avg_pool2d(mask, block),
            patch=disc_offsets(length(engine.radius, 1.0), spacing).to(device),
            template_patch=template_patch,
            templates=sample_features(first, handles[:, None] + template_patch, config.resolution),
            window=square_offsets(engine.tracking_radius * pixel, spacing).to(device),
            step_length=length(engine.step_length, 0.5),
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
        """Features F of the supervised block, differentiable with respect to `offset`."""
        start = self.subject.pivot.latents.detach()
        layers = self.engine.layers
        with torch.enable_grad():
            latents = torch.cat((start[:, :layers] + offset, start[:, layers:]), dim=1)
            return _block_features(self.subject, latents, self.block)

    def loss(self, features: Tensor, points: Tensor) -> Tensor:
        """Eq. 1: motion of the handles, and the change of what is fixed or anchored."""
        moving = ~self.anchors
        loss = motion_supervision(
            features,
            points[moving],
            self.targets[moving],
            patch=self.patch,
            step_length=self.step_length,
            resolution=self.resolution,
        )
        if self.fixed is not None:
            loss = loss + self.engine.mask_weight * mask_loss(features, self.first, self.fixed)
        q = self.handles[self.anchors][:, None] + self.patch
        kept = sample_features(self.first, q, self.resolution)
        held = (sample_features(features, q, self.resolution) - kept).abs().mean(dim=(1, 2)).sum()
        return loss + self.engine.anchor_weight * held

    def track(self, features: Tensor, points: Tensor) -> Tensor:
        """Where the handles are now, crop pixels."""
        return track_points(
            features,
            self.templates,
            points,
            window=self.window,
            patch=self.template_patch,
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


def _block_features(subject: Inversion, latents: Tensor, block: int) -> Tensor:
    noise = subject.pivot.noise or "const"
    synthesis = subject.generator.synthesize(
        latents, image=False, keep=(block,), until=block, noise=noise
    )
    return synthesis.features[block].float()


def _check(engine: DragEngine, block: int, subject: Inversion, spec: DragSpec) -> None:
    config = subject.generator.config
    if spec.resolution != config.resolution:
        raise OptionError(
            f"the drag is drawn on a crop of {spec.resolution} pixels, but the generator makes "
            f"{config.resolution}: scale its points and mask"
        )
    if block not in config.block_resolutions:
        raise OptionError(
            f"the generator has no feature block {block}; choose one of "
            f"{', '.join(map(str, config.block_resolutions))}"
        )
    if not 1 <= engine.layers <= config.num_latents:
        raise OptionError(
            f"layers must be from 1 to the generator's {config.num_latents} latent vectors, "
            f"not {engine.layers}"
        )
    if engine.space not in ("w", "w+"):
        raise OptionError(f"space is w or w+, not {engine.space!r}")
    for name in ("learning_rate", "radius", "step_length", "tracking_radius"):
        value: float | None = getattr(engine, name)
        if value is not None and not 0 < value < float("inf"):
            raise OptionError(f"{name.replace('_', ' ')} must be a positive number, not {value}")
    for name in ("template_radius", "mask_weight", "anchor_weight"):
        value = getattr(engine, name)
        if value is not None and not 0 <= value < float("inf"):
            raise OptionError(f"{name.replace('_', ' ')} must be zero or positive, not {value}")
    if engine.max_steps < 1 or engine.patience < 1:
        raise OptionError("max steps and patience must be at least 1")
    if engine.reach is not None and not engine.reach > 0:
        raise OptionError(f"reach must be a positive number, not {engine.reach}")
