"""From an aligned crop to W+ in one pass: the start of an inversion with a built-in generator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CHANNELS = (64, 128, 256, 256)


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Shape of an encoder.

    Attributes:
        resolution: side of the images it reads, at least 128 and a power of two.
        num_latents: latent vectors to predict (L).
        w_dim: length of one.
        hidden: width of the layer before the latents.
    """

    resolution: int
    num_latents: int
    w_dim: int = 512
    hidden: int = 384


class ResidualBlock(nn.Module):
    """Two convolutions that halve the side, beside a pooled shortcut."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(in_channels, in_channels, 3, padding=1)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.skip = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, in, r, r]` -> `[N, out, r / 2, r / 2]`."""
        y = F.leaky_relu(self.conv0(x), 0.2)
        y = F.leaky_relu(self.conv1(F.avg_pool2d(y, 2)), 0.2)
        return (y + self.skip(F.avg_pool2d(x, 2))) / math.sqrt(2)


class Encoder(nn.Module):
    """One w for the whole picture plus a small offset for each layer (as in e4e)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        fold = config.resolution // 32
        self.stem = nn.Conv2d(3 * fold * fold, CHANNELS[0], 3, padding=1)
        self.blocks = nn.Sequential(*(ResidualBlock(a, b) for a, b in pairwise(CHANNELS)))
        self.hidden = nn.Linear(CHANNELS[-1] * 16, config.hidden)
        self.base = nn.Linear(config.hidden, config.w_dim)
        self.offsets = nn.Linear(config.hidden, config.num_latents * config.w_dim)
        nn.init.normal_(self.offsets.weight, std=1e-3)
        nn.init.zeros_(self.offsets.bias)

    def base_and_offsets(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Image `[N, 3, R, R]` in [-1, 1] -> w `[N, w_dim]`, offsets `[N, L, w_dim]`."""
        folded = F.pixel_unshuffle(image, image.shape[-1] // 32)
        x = F.leaky_relu(self.stem(folded.contiguous(memory_format=torch.channels_last)), 0.2)
        x = F.leaky_relu(self.hidden(self.blocks(x).flatten(1)), 0.2).float()
        x = F.layer_norm(x, x.shape[1:])
        shape = (len(image), self.config.num_latents, self.config.w_dim)
        return self.base(x).float(), self.offsets(x).float().view(shape)

    def forward(self, image: Tensor) -> Tensor:
        """Image `[N, 3, R, R]` in [-1, 1] -> latents `[N, L, w_dim]`."""
        base, offsets = self.base_and_offsets(image)
        return base[:, None] + offsets
