"""The generator up to a block, with everything that a drag does not move computed once.

A drag moves the first latent vectors only. The layers that read the others keep their styles, so
that modulation, demodulation (Karras et al. 2020, Eq. 1 and 3) and the activation's gain are
folded into their kernels; the layers that move keep their kernels' energies and their number
format. Noise and bias become one map. Where only some places are read, the finer blocks are
computed on windows around them. The features are those of `Generator.synthesize` up to the rounding
of the compute dtype.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from editing.features import Features
from editing.held import Held, Painted
from editing.windows import BlockWindows, Window, box_around, boxes_around, plan_windows
from inversion.types import Inversion
from weights.layers import ACTIVATION_GAIN, SynthesisLayer, upsample_image
from weights.stylegan2 import SynthesisBlock, to_square

_EPSILON = 1e-8


@dataclass(frozen=True, kw_only=True, eq=False)
class _Layer:
    """One modulated convolution, as far as it stays the same.

    Attributes:
        side: of its output.
        style: weight and bias of the style of a layer that moves; None where it is folded in.
        kernel: `[out, in, 3, 3]`, or `[in, out, 3, 3]` where the side doubles, compute dtype.
        blur: `[out, 1, 4, 4]` low-pass filter where the side doubles.
        added: `[1, out, side, side]` noise and bias, with the activation's gain.
        energy: `[in, out]` squares of the kernel summed over its cells.
        clamp: bound of the output, or None.
    """

    side: int
    style: tuple[Tensor, Tensor] | None
    kernel: Tensor
    blur: Tensor | None
    added: Tensor
    energy: Tensor
    clamp: float | None

    def __call__(self, x: Tensor, w: Tensor | None, window: Window) -> Tensor:
        """Run the layer on a window of its output.

        Args:
            x: `[N, in, h, w]`, the input there.
            w: `[1, w_dim]` of a layer that moves.
            window: N rectangles of a map of this side.

        Returns:
            `[N, out, *window.size]`.
        """
        demodulation: Tensor | None = None
        if w is not None and self.style is not None:
            styles = F.linear(w, *self.style)
            x = x * styles.to(x.dtype)[:, :, None, None]
            demodulation = (styles.square() @ self.energy + _EPSILON).rsqrt() * ACTIVATION_GAIN
        if self.blur is None:
            x = F.conv2d(x, self.kernel, padding=1)
        else:
            x = F.conv_transpose2d(x, self.kernel, stride=2)
            x = F.conv2d(x, self.blur, padding=1, groups=len(self.blur))
        if demodulation is not None:
            x = x * demodulation.to(x.dtype)[:, :, None, None]
        # The gain sqrt 2 is inside already: leaky ReLU lets positive factors through.
        x = F.leaky_relu_(x.add_(window.cut_whole(self.added)), 0.2)
        return x if self.clamp is None else F.hardtanh(x, -self.clamp, self.clamp)


class PartialSynthesis:
    """Features of some blocks as a function of the first latent vectors alone."""

    def __init__(
        self,
        subject: Inversion,
        latents: Tensor,
        *,
        moving: int,
        blocks: tuple[int, ...],
        coloured: bool = False,
    ) -> None:
        """Compute what stays the same.

        Args:
            subject: gives the generator and its noise.
            latents: `[1, L, w_dim]`; those from index `moving` on stay as they are.
            moving: number of latent vectors that move.
            blocks: sides of the blocks to return.
            coloured: whether to paint the picture as far as these blocks go.
        """
        generator = subject.generator
        self.subject = subject
        self.latents = latents
        self.resolution = generator.config.resolution
        self.blocks = blocks
        self.moving = moving
        self.coloured = coloured
        self.layers: list[_Layer] = []
        self.painting: list[SynthesisBlock] = []
        noise = subject.pivot.noise or generator.noise_maps()
        with torch.no_grad():
            for block in generator.synthesis.blocks():
                if block.side > max(blocks):
                    break
                self.painting.append(block)
                if block.side == 4:
                    const = block.const[None].to(generator.compute_dtype)
                    self.const = const.contiguous(memory_format=torch.channels_last)
                for name, layer in block.layers():
                    w = latents[:, len(self.layers)] if len(self.layers) >= moving else None
                    maps = noise[f"b{block.side}.{name}"]
                    self.layers.append(_prepare(layer, block.side, maps, w, self.const.dtype))

    def __call__(
        self,
        moved: Tensor,
        around: Tensor | None = None,
        margin: float = 0.0,
        *,
        held: Held | None = None,
    ) -> Features:
        """Features for some latents, differentiable in them.

        Args:
            moved: `[1, moving, w_dim]`, the first latent vectors.
            around: `[N, 2]`, crop pixels; where given, only what lies near them may be read, with
                the places near point n at index n.
            margin: how far from them along each axis, crop pixels.
            held: a picture to keep to.
        """
        plan: Mapping[int, BlockWindows] = {}
        if around is not None and len(around) and not self.coloured:
            whole = held.fixed if held is not None and held.everywhere else ()
            plan = self._plan(around, margin, whole)
        maps, windows, strain = self._run(moved, plan, held)
        first = moved.detach().clone()
        finest = max(self.blocks)
        colours = self._colours(maps, moved, held) if self.coloured else None
        return Features(
            maps=tuple(maps[block] if plan else to_square(maps[block]) for block in self.blocks),
            resolution=self.resolution,
            image=lambda: self._draw(first),
            colour=None if colours is None else to_square(colours[finest]),
            strain=strain,
            windows=tuple(windows[block] for block in self.blocks) if plan else None,
        )

    @torch.no_grad()
    def paint(self, moved: Tensor) -> Painted:
        """All that is computed on the way to the finest block, for latents as above."""
        maps, _, _ = self._run(moved, {}, None)
        return Painted(maps=maps, colours=self._colours(maps, moved, None))

    def _run(
        self, moved: Tensor, plan: Mapping[int, BlockWindows], held: Held | None
    ) -> tuple[dict[int, Tensor], dict[int, Window], Tensor | None]:
        """The blocks' outputs, what of their maps these show, and the strain on what is held."""
        maps: dict[int, Tensor] = {}
        windows: dict[int, Window] = {}
        strain: Tensor | None = None
        x, here = self.const, Window.whole(self.const)
        for index, layer in enumerate(self.layers):
            doubles, planned = layer.blur is not None, plan.get(layer.side)
            if planned is not None:
                wanted = planned.below if doubles else planned.here
                x, here = wanted.cut(x, here), wanted
            here = here.doubled() if doubles else here
            x = layer(x, moved[:, index] if index < self.moving else None, here)
            if held is not None and not doubles:
                if layer.side in held.fixed:
                    strained = held.loss(x, layer.side, here) / len(held.fixed)
                    strain = strained if strain is None else strain + strained
                x = held.hold(x, layer.side, here)
            maps[layer.side], windows[layer.side] = x, here
        return maps, windows, strain

    def _plan(
        self, around: Tensor, margin: float, whole: Collection[int]
    ) -> Mapping[int, BlockWindows]:
        """The cheapest of windows around each point, one around all of them, and whole maps.

        The maps of the sides in `whole` are not cut.
        """
        height, width = self.const.shape[2:]
        if height != width:
            return {}
        sides = sorted({layer.side for layer in self.layers})
        apart = {
            block: boxes_around(around, margin, block, self.resolution) for block in self.blocks
        } | {side: [(0, 0, side, side)] * len(around) for side in whole}
        together = {block: [box_around(boxes)] for block, boxes in apart.items()}
        return min((plan_windows(reads, sides) for reads in (apart, together)), key=self._work)

    def _work(self, plan: Mapping[int, BlockWindows]) -> int:
        """Multiplications of the convolutions."""
        work = 0
        for layer in self.layers:
            doubles, planned = layer.blur is not None, plan.get(layer.side)
            cells = (layer.side // (1 + doubles)) ** 2
            if planned is not None:
                cells = (planned.below if doubles else planned.here).cells
            work += cells * layer.kernel.numel()
        return work

    def _colours(
        self, maps: dict[int, Tensor], moved: Tensor, held: Held | None
    ) -> dict[int, Tensor]:
        """Side of a block -> the picture as far as it is painted there."""
        height, width = self.const.shape[2:]
        skip = moved.new_zeros(1, 3, height // 2, width // 2)
        colours: dict[int, Tensor] = {}
        for k, block in enumerate(self.painting):
            # torgb reads the vector that the next block's first layer also reads.
            index = 2 * k + 1
            w = moved[:, index] if index < self.moving else self.latents[:, index]
            below = upsample_image(skip, block.resample_filter)
            skip = below + block.torgb(maps[block.side], w)
            if held is not None:
                skip = held.hold_colour(skip, block.side)
            colours[block.side] = skip
        return colours

    def _draw(self, moved: Tensor) -> Tensor:
        return self.subject.render(torch.cat((moved, self.latents[:, self.moving :]), dim=1))


def _prepare(
    layer: SynthesisLayer, side: int, noise: Tensor, w: Tensor | None, dtype: torch.dtype
) -> _Layer:
    """Fold what stays the same; `w` `[1, w_dim]` is None where the style moves."""
    kernel, energy = layer.weight, layer.weight.square().sum(dim=(2, 3)).t().contiguous()
    affine, style = layer.affine, None
    if w is None:
        style = (affine.weight * affine.weight_gain, affine.bias * affine.bias_gain)
    else:
        styles = layer.affine(w)
        demodulation = (styles.square() @ energy + _EPSILON).rsqrt() * ACTIVATION_GAIN
        kernel = kernel * styles[:, :, None, None] * demodulation[0, :, None, None, None]
    blur = None
    if layer.up:
        kernel = kernel.transpose(0, 1)
        blur = (layer.resample_filter * 4).expand(layer.weight.shape[0], 1, 4, 4)
        blur = blur.to(dtype).contiguous(memory_format=torch.channels_last)
    added = (noise * layer.noise_strength + layer.bias[None, :, None, None]) * ACTIVATION_GAIN
    return _Layer(
        side=side,
        style=style,
        kernel=kernel.to(dtype).contiguous(memory_format=torch.channels_last),
        blur=blur,
        added=added.to(dtype).contiguous(memory_format=torch.channels_last),
        energy=energy,
        clamp=layer.clamp,
    )
