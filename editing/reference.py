"""DragGAN as its authors published it, to compare with point by point.

Pan et al., "Drag Your GAN: Interactive Point-based Manipulation on the Generative Image
Manifold" (2023). `ReferenceEngine()` does what the authors' program does, its peculiarities
included; `PAPER` does what the paper writes where the two differ. Everything happens on whole
pixels of a feature map that is enlarged to the image, and every step draws the whole image: this
is the yardstick, not the engine to edit with. The authors' program computes in float32 on a
processor; here the generator's compute dtype decides.

Points are crop pixels, (x, y), and always the centre of a pixel: its index plus one half.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from editing.features import Features
from editing.options import REFERENCE_SIDE, DragOptions, check_options
from editing.spec import DragSpec
from editing.steps import EditStart, EditStep
from editing.trackers import TRACKERS, Search, Tracker
from inversion.types import Inversion

SUPERVISED_BLOCK = 128


@dataclass(frozen=True, kw_only=True)
class ReferenceEngine(DragOptions):
    """Options of the authors' program; see `DragOptions` for those that are not explained."""

    radius: float | None = 3.0
    reach: float | None = 2.0
    norm: Literal["l1", "l2"] = field(
        default="l2", metadata={"help": "distance between feature vectors when tracking"}
    )
    reduction: Literal["mean", "sum"] = field(
        default="mean", metadata={"help": "how absolute differences become a loss"}
    )

    def steps(
        self, subject: Inversion, spec: DragSpec, start: EditStart | None = None, /
    ) -> Iterator[EditStep]:
        """Yield the start, then one step at a time; the last says why it ended.

        As in the authors' program, a further edit takes its handles and what the mask fixes from
        the picture it starts with.

        Args:
            subject: the inversion to edit; it is left as it is.
            spec: points and mask in pixels of the subject's crop.
            start: latents to go on from; default: the inversion's.

        Raises:
            OptionError: an option or the specification does not fit the subject's generator.
        """
        check_options(self, subject, spec, start)
        w0 = (subject.pivot.latents if start is None else start.latents).detach().clone()
        drag = _Reference.begin(self, subject, spec, w0)
        step = drag.describe(0, drag.handles, 0.0, w0)
        if bool(spec.anchors.all()):
            yield replace(step, stopped="nothing to do")
            return
        w = w0[:, : 1 if self.space == "w" else self.layers].clone().requires_grad_()
        adam = torch.optim.Adam([w], lr=self.learning_rate)
        loss = torch.zeros(())
        for index in range(self.max_steps + 1):
            with torch.enable_grad():
                latents = torch.cat((w.expand(-1, self.layers, -1), w0[:, self.layers :]), dim=1)
                features = _enlarged_features(subject, latents, drag.block)
            points = drag.track(features.detach(), step.points)
            step = drag.describe(index, points, loss.item(), latents.detach().clone())
            if bool(step.reached.all()) or index == self.max_steps:
                reached = bool(step.reached.all())
                yield replace(step, stopped="reached" if reached else "step cap")
                return
            yield step
            with torch.enable_grad():
                loss = drag.loss(features.maps[0], points)
                adam.zero_grad()
                if loss.requires_grad:
                    loss.backward()
                adam.step()


PAPER = ReferenceEngine(learning_rate=2e-3, norm="l1", reduction="sum", reach=None)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Reference:
    """What stays constant during one drag."""

    engine: ReferenceEngine
    subject: Inversion
    block: int
    handles: Tensor
    targets: Tensor
    anchors: Tensor
    fixed: Tensor | None
    first: Tensor
    track: Tracker
    reach: float
    side: int

    @classmethod
    def begin(
        cls, engine: ReferenceEngine, subject: Inversion, spec: DragSpec, latents: Tensor
    ) -> _Reference:
        """Round the points to pixels and keep the features of the first picture."""
        device, side = latents.device, spec.resolution
        block = engine.blocks[-1] if engine.blocks else min(SUPERVISED_BLOCK, side)
        handles = _pixel_centres(spec.handles.to(device, torch.float32), side)
        with torch.no_grad():
            first = _enlarged_features(subject, latents, block)
        search = Search(
            radius=_scaled(engine.tracking_radius, side),
            spacing=1.0,
            patch_radii=torch.full((len(handles),), _scaled(engine.radius, side), device=device),
            norm=engine.norm,
        )
        # The authors' program passes over a mask that does not hold both 0 and 1.
        mask = spec.mask
        both = mask is not None and bool(mask.min() == 0) and bool(mask.max() == 1)
        reach = engine.reach_for(spec)
        return cls(
            engine=engine,
            subject=subject,
            block=block,
            handles=handles,
            targets=_pixel_centres(spec.targets.to(device, torch.float32), side),
            anchors=spec.anchors.to(device),
            fixed=1 - mask.to(device, torch.float32) if mask is not None and both else None,
            first=first.maps[0],
            track=TRACKERS[engine.tracker](first, handles, search),
            reach=max(reach * side / REFERENCE_SIDE, reach),
            side=side,
        )

    def loss(self, features: Tensor, points: Tensor) -> Tensor:
        """Motion supervision of every handle in turn, and the mask's term (Eq. 1)."""
        loss = features.new_zeros(())
        for p, t in zip(points, self.targets, strict=True):
            if (t - p).norm() > 1:
                loss = loss + self._supervise(features, p, t)
        if self.fixed is not None:
            change = (features - self.first) * self.fixed
            loss = loss + self.engine.mask_weight * self._reduce(change)
        return loss

    def _supervise(self, features: Tensor, p: Tensor, t: Tensor) -> Tensor:
        """|F(q) - F(q + d)| over the disc, F(q) held constant."""
        # The authors' grid runs from 0 to R in R steps, so that discs drift by up to a pixel.
        axis = torch.linspace(0, self.side, self.side, device=p.device)
        x, y = p - 0.5
        inside = (axis[None] - x).square() + (axis[:, None] - y).square()
        rows, columns = torch.nonzero(inside.sqrt() < _scaled(self.engine.radius, self.side)).T
        d = (t - p) / ((t - p).norm() + 1e-7)
        there = (torch.stack((columns, rows), dim=1) + d) / (self.side - 1) * 2 - 1
        read = F.grid_sample(features, there[None, None], align_corners=True)[:, :, 0]
        return self._reduce(features[:, :, rows, columns].detach() - read)

    def _reduce(self, difference: Tensor) -> Tensor:
        absolute = difference.abs()
        return absolute.mean() if self.engine.reduction == "mean" else absolute.sum()

    def describe(self, index: int, points: Tensor, loss: float, latents: Tensor) -> EditStep:
        """An `EditStep` with its distances."""
        return EditStep.measured(
            index=index,
            points=points,
            targets=self.targets,
            anchors=self.anchors,
            reach=self.reach,
            loss=loss,
            latents=latents,
        )


def _enlarged_features(subject: Inversion, latents: Tensor, block: int) -> Features:
    """The block's output, enlarged to the image; the image is drawn on the way, as theirs."""
    side = subject.generator.config.resolution
    drawn = subject.generator.synthesize(
        latents, keep=(block,), noise=subject.pivot.noise or "const"
    )
    enlarged = F.interpolate(drawn.features[block].float(), size=(side, side), mode="bilinear")
    kept = latents.detach().clone()
    return Features((enlarged,), side, lambda: subject.render(kept))


def _pixel_centres(points: Tensor, side: int) -> Tensor:
    return points.floor().clamp(0, side - 1) + 0.5


def _scaled(radius: float | None, side: int) -> int:
    """A radius in whole pixels of this image; at least one, or a small image had no disc."""
    return max(round((radius or 0.0) * side / REFERENCE_SIDE), 1)
