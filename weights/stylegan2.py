"""StyleGAN2 in plain PyTorch operators.

The network of Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (2020), as
NVIDIA's stylegan2-ada-pytorch defines it: skip architecture, resample filter [1, 3, 3, 1],
demodulated convolutions, noise inputs of learned strength, leaky ReLU of gain sqrt 2.
Parameters carry the names of its `G_ema` state dict, so foreign weights load without renaming.
StyleGAN-Human's variant, pictures twice as high as wide, differs only in the first constant.

Images are float32 `[N, 3, R, R]` in [-1, 1] (not clipped); latents are float32 `[N, L, w_dim]`.
A block is called by its side r, the height of its output.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from weights.errors import WeightsError
from weights.layers import (
    FullyConnected,
    SynthesisLayer,
    ToRgb,
    normal,
    resample_filter,
    upsample_image,
)

MAPPING_LR_MULTIPLIER = 0.01

NoiseMode = Literal["const", "random", "none"]
Noise = NoiseMode | Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig:
    """Shape of a StyleGAN2 generator.

    Attributes:
        resolution: height of the image in pixels, a power of two of at least 8.
        channel_base: a block of side r has `min(channel_base / r, channel_max)` channels.
        channel_max: see `channel_base`.
        w_dim: length of one latent vector.
        z_dim: length of the mapping network's input.
        mapping_layers: number of fully connected layers from z to w.
        conv_clamp: bound of every layer's output, or None; it keeps half precision finite.
        height_to_width: 1 for square images, 2 for images twice as high as wide.
    """

    resolution: int
    channel_base: int
    channel_max: int
    w_dim: int = 512
    z_dim: int = 512
    mapping_layers: int = 8
    conv_clamp: float | None = 256.0
    height_to_width: int = 1

    def __post_init__(self) -> None:
        """Refuse a resolution that is not a power of two, and other shapes than those two."""
        if self.resolution < 8 or self.resolution & (self.resolution - 1):
            raise WeightsError(
                f"a generator's resolution is a power of two of at least 8, not {self.resolution}"
            )
        if self.height_to_width not in (1, 2):
            raise WeightsError(
                "a generator's images are square or twice as high as wide, "
                f"not {self.height_to_width} times"
            )

    @property
    def block_resolutions(self) -> tuple[int, ...]:
        """Sides of the synthesis blocks: 4, 8, ..., resolution."""
        return tuple(2**k for k in range(2, self.resolution.bit_length()))

    @property
    def num_latents(self) -> int:
        """Number L of latent vectors that one picture takes."""
        return 2 * len(self.block_resolutions)

    @property
    def width(self) -> int:
        """Width of the image in pixels."""
        return self.resolution // self.height_to_width

    def size(self, side: int) -> tuple[int, int]:
        """Height and width of the block of this side."""
        return side, side // self.height_to_width

    def channels(self, side: int) -> int:
        """Feature channels of the block of this side."""
        return min(self.channel_base // side, self.channel_max)


class Synthesis(NamedTuple):
    """What `Generator.synthesize` was asked for.

    Attributes:
        image: `[N, 3, r, r]` float32, the skip image after the last block computed, or None.
        features: side r of a block -> its output `[N, C, r, r]` in the compute dtype.
    """

    image: Tensor | None
    features: dict[int, Tensor]


class MappingNetwork(nn.Module):
    """From z to w; keeps the mean latent `w_avg` towards which truncation pulls."""

    w_avg: Tensor

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        widths = [config.z_dim] + [config.w_dim] * config.mapping_layers
        self.num_layers = config.mapping_layers
        for k in range(self.num_layers):
            layer = FullyConnected(
                widths[k], widths[k + 1], activate=True, lr_multiplier=MAPPING_LR_MULTIPLIER
            )
            self.add_module(f"fc{k}", layer)
        self.register_buffer("w_avg", torch.zeros(config.w_dim))

    def forward(self, z: Tensor) -> Tensor:
        """z `[N, z_dim]`, of any length (it is normalised) -> w `[N, w_dim]`."""
        w = z * (z.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
        for k in range(self.num_layers):
            w = self.get_submodule(f"fc{k}")(w)
        return w


class SynthesisBlock(nn.Module):
    """One resolution: conv0 (doubles the side; absent at side 4), conv1, torgb."""

    resample_filter: Tensor

    def __init__(self, config: GeneratorConfig, side: int) -> None:
        super().__init__()
        self.side = side
        channels, size, clamp = config.channels(side), config.size(side), config.conv_clamp
        if side == 4:
            self.const = nn.Parameter(normal(channels, *size))
        else:
            below = config.channels(side // 2)
            self.conv0 = SynthesisLayer(below, channels, config.w_dim, size, up=True, clamp=clamp)
        self.conv1 = SynthesisLayer(channels, channels, config.w_dim, size, up=False, clamp=clamp)
        self.torgb = ToRgb(channels, config.w_dim, clamp=clamp)
        self.register_buffer("resample_filter", resample_filter())

    def layers(self) -> list[tuple[str, SynthesisLayer]]:
        """The block's noisy layers in order, with their names inside the block."""
        first = [] if self.side == 4 else [("conv0", self.conv0)]
        return [*first, ("conv1", self.conv1)]


class SynthesisNetwork(nn.Module):
    """The blocks `b4`, `b8`, ..., `b{resolution}`."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        for side in config.block_resolutions:
            self.add_module(f"b{side}", SynthesisBlock(config, side))

    def blocks(self) -> list[SynthesisBlock]:
        """All blocks, coarse to fine."""
        return [cast(SynthesisBlock, block) for block in self.children()]


class Generator(nn.Module):
    """A StyleGAN2 generator.

    Attributes:
        config: its shape.
        compute_dtype: dtype of the convolutions, float32 or bfloat16; parameters, latents and
            images stay float32.
        squared: whether pictures and features that are higher than wide are given zeros at both
            sides until they are square.
        recomputing: whether gradients hold the inputs of layers only and compute each layer again
            on the way back, which takes less memory and a tenth more time.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.compute_dtype = torch.float32
        self.squared = False
        self.recomputing = False
        self.mapping = MappingNetwork(config)
        self.synthesis = SynthesisNetwork(config)

    def map(self, z: Tensor, psi: float = 1.0) -> Tensor:
        """z `[N, z_dim]` -> latents `[N, L, w_dim]`, pulled towards the mean by 1 - psi."""
        w = self.mapping.w_avg.lerp(self.mapping(z), psi)
        return w[:, None].repeat(1, self.config.num_latents, 1)

    def noise_maps(self) -> dict[str, Tensor]:
        """Copies of the constant noise: layer name such as `b8.conv0` -> `[1, 1, r, r]`."""
        return {
            f"b{block.side}.{name}": layer.noise_const.detach().clone()[None, None]
            for block in self.synthesis.blocks()
            for name, layer in block.layers()
        }

    def synthesize(
        self,
        latents: Tensor,
        *,
        image: bool = True,
        keep: Collection[int] = (),
        until: int | None = None,
        noise: Noise = "const",
    ) -> Synthesis:
        """Run the blocks and return only what is asked for.

        Args:
            latents: `[N, L, w_dim]` float32. Vectors that no computed block reads may be absent.
            image: whether to compute the skip image.
            keep: sides of the blocks whose output features to return.
            until: side of the last block to compute; default: the full resolution.
            noise: the stored maps, fresh ones, none, or maps by name as `noise_maps` gives them.

        Raises:
            WeightsError: latents of the wrong shape, or no block of such a side.
        """
        last = self.config.resolution if until is None else until
        self._check(latents, last, keep)
        skip: Tensor | None = None
        features: dict[int, Tensor] = {}
        x = torch.empty(0)
        index = 0
        for block in self.synthesis.blocks():
            if block.side == 4:
                x = block.const.to(self.compute_dtype).expand(len(latents), -1, -1, -1)
                x = x.contiguous(memory_format=torch.channels_last)
            for name, layer in block.layers():
                maps = _noise_of(layer, f"b{block.side}.{name}", noise, latents)
                x = self._layer(layer, x, latents[:, index], maps)
                index += 1
            if block.side in keep:
                features[block.side] = x
            if image:
                # torgb reads the vector that the next block's first layer also reads.
                colour = block.torgb(x, latents[:, min(index, latents.shape[1] - 1)])
                below = 0 if skip is None else upsample_image(skip, block.resample_filter)
                skip = colour + below
            if block.side == last:
                break
        if self.squared:
            skip = None if skip is None else to_square(skip)
            features = {side: to_square(feature) for side, feature in features.items()}
        return Synthesis(skip, features)

    def forward(self, latents: Tensor) -> Tensor:
        """Latents `[N, L, w_dim]` -> image `[N, 3, R, R]`, with the stored noise."""
        return cast(Tensor, self.synthesize(latents).image)

    def _layer(self, layer: SynthesisLayer, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        if self.recomputing and torch.is_grad_enabled():
            return cast(Tensor, checkpoint(layer, x, w, noise, use_reentrant=False))
        return layer(x, w, noise)

    def _check(self, latents: Tensor, last: int, keep: Collection[int]) -> None:
        sides = self.config.block_resolutions
        for side in (last, *keep):
            if side not in sides or side > last:
                raise WeightsError(f"no block of side {side} up to {last}; blocks are {sides}")
        needed = 2 * sides.index(last) + 1
        if latents.ndim != 3 or latents.shape[2] != self.config.w_dim or latents.shape[1] < needed:
            raise WeightsError(
                f"latents must be [N, {self.config.num_latents}, {self.config.w_dim}], "
                f"not {list(latents.shape)}"
            )


def to_square(maps: Tensor) -> Tensor:
    """`[N, C, r, w]` with zeros at both sides, `[N, C, r, r]`; square maps stay as they are."""
    side = (maps.shape[2] - maps.shape[3]) // 2
    return F.pad(maps, (side, side)) if side else maps


def _noise_of(layer: SynthesisLayer, name: str, noise: Noise, latents: Tensor) -> Tensor | None:
    if isinstance(noise, Mapping):
        return noise[name]
    if noise == "const":
        return layer.noise_const[None, None]
    if noise == "random":
        return torch.randn(len(latents), 1, *layer.size, device=latents.device)
    return None
