"""StyleGAN2's discriminator (Karras et al. 2020, residual architecture)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from weights.layers import ACTIVATION_GAIN, FullyConnected, normal, resample_filter
from weights.stylegan2 import GeneratorConfig

GROUP = 4
"""Pictures whose deviation the last block sees together."""


class Convolution(nn.Module):
    """Convolution with an equalised learning rate; halves the side after a low-pass filter."""

    low_pass: Tensor

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, *, down: bool, activate: bool
    ) -> None:
        super().__init__()
        self.down = down
        self.activate = activate
        self.weight = nn.Parameter(normal(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if activate else None
        self.gain = 1 / math.sqrt(in_channels * kernel**2)
        self.register_buffer("low_pass", resample_filter(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, in, r, r]` -> `[N, out, r or r / 2, ...]`, in the dtype of x."""
        weight = (self.weight * self.gain).to(x.dtype)
        kernel = weight.shape[2]
        if self.down:
            blur = self.low_pass.to(x.dtype)[None, None].expand(x.shape[1], 1, 4, 4)
            # 3 x 3 reads one pixel beyond the picture, 1 x 1 none: the sides come out alike.
            x = F.conv2d(x, blur, padding=1 + kernel // 2, groups=x.shape[1])
            x = F.conv2d(x, weight, stride=2)
        else:
            x = F.conv2d(x, weight, padding=kernel // 2)
        if self.bias is None:
            return x
        return F.leaky_relu(x + self.bias.to(x.dtype)[:, None, None], 0.2) * ACTIVATION_GAIN


class ResidualBlock(nn.Module):
    """Two convolutions that halve the side, beside a shortcut."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv0 = Convolution(in_channels, in_channels, 3, down=False, activate=True)
        self.conv1 = Convolution(in_channels, out_channels, 3, down=True, activate=True)
        self.skip = Convolution(in_channels, out_channels, 1, down=True, activate=False)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, in, r, r]` -> `[N, out, r / 2, r / 2]`."""
        return (self.conv1(self.conv0(x)) + self.skip(x)) * math.sqrt(0.5)


def minibatch_deviation(x: Tensor) -> Tensor:
    """Append the mean deviation within groups of a batch as one more channel.

    Args:
        x: `[N, C, r, r]`; groups are of `GROUP` pictures where N is a multiple of it, else all N.
    """
    n, c, h, w = x.shape
    group = GROUP if n % GROUP == 0 else n
    y = x.float().view(group, n // group, c, h, w)
    deviation = (y.var(0, correction=0) + 1e-8).sqrt().mean((1, 2, 3)).repeat(group)
    channel = deviation.to(x.dtype)[:, None, None, None].expand(n, 1, h, w)
    return torch.cat([x, channel], 1)


class Discriminator(nn.Module):
    """How real pictures look: `[N, 3, R, R]` -> logits `[N]` float32.

    Attributes:
        compute_dtype: dtype of the convolutions; parameters, pictures and logits stay float32.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.compute_dtype = torch.float32
        sides = config.block_resolutions
        last = config.channels(4)
        self.from_rgb = Convolution(3, config.channels(sides[-1]), 1, down=False, activate=True)
        self.blocks = nn.Sequential(
            *(
                ResidualBlock(config.channels(side), config.channels(side // 2))
                for side in reversed(sides[1:])
            )
        )
        self.conv = Convolution(last + 1, last, 3, down=False, activate=True)
        self.hidden = FullyConnected(last * 16, last, activate=True)
        self.out = FullyConnected(last, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Pictures in [-1, 1] -> logits; more is more real."""
        x = images.to(self.compute_dtype).contiguous(memory_format=torch.channels_last)
        x = self.blocks(self.from_rgb(x))
        x = self.conv(minibatch_deviation(x))
        return self.out(self.hidden(x.flatten(1).float()))[:, 0]
