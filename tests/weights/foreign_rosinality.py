"""rosinality's StyleGAN2 as a foreign program: its own parameter names and forward pass.

Written from the format's description: weights of five axes, scaled before they are modulated,
grouped convolutions over the batch, and kernels that are stored with their gain.
"""

# The layers are those of the format and need no words each.
# ruff: noqa: D101, D102

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def upfirdn(x: Tensor, kernel: Tensor, pad: tuple[int, int], up: int = 1) -> Tensor:
    n, c, h, w = x.shape
    spread = x.new_zeros(n, c, up * h, up * w)
    spread[:, :, ::up, ::up] = x
    padded = F.pad(spread, (*pad, *pad)).reshape(n * c, 1, up * h + sum(pad), up * w + sum(pad))
    y = F.conv2d(padded, kernel.flip(0, 1)[None, None])
    return y.view(n, c, *y.shape[2:])


class Kernel(nn.Module):
    kernel: Tensor

    def __init__(self, gain: float = 4.0) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
        self.register_buffer("kernel", torch.outer(taps, taps) / 64 * gain)


class PixelNorm(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(dim=1, keepdim=True) + 1e-8)


class EqualLinear(nn.Module):
    def __init__(
        self, inside: int, outside: int, *, bias_init: float = 0.0, lr_mul: float = 1.0,
        activation: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outside, inside) / lr_mul)
        self.bias = nn.Parameter((bias_init + 0.3 * torch.randn(outside)) / lr_mul)
        self.activation, self.lr_mul = activation, lr_mul
        self.scale = 1 / math.sqrt(inside) * lr_mul

    def forward(self, x: Tensor) -> Tensor:
        y = F.linear(x, self.weight * self.scale, self.bias * self.lr_mul)
        return F.leaky_relu(y, 0.2) * 2**0.5 if self.activation else y


class ModulatedConv2d(nn.Module):
    def __init__(
        self, inside: int, outside: int, k: int, w_dim: int, *, demodulate: bool, upsample: bool
    ) -> None:
        super().__init__()
        self.demodulate, self.upsample = demodulate, upsample
        self.scale = 1 / math.sqrt(inside * k**2)
        self.weight = nn.Parameter(torch.randn(1, outside, inside, k, k))
        self.modulation = EqualLinear(w_dim, inside, bias_init=1.0)
        if upsample:
            self.blur = Kernel()

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        n, c, h, width = x.shape
        weight = self.scale * self.weight * self.modulation(w).view(n, 1, c, 1, 1)
        if self.demodulate:
            weight = weight * torch.rsqrt(weight.pow(2).sum([2, 3, 4], keepdim=True) + 1e-8)
        flat = x.reshape(1, n * c, h, width)
        if self.upsample:
            kernel = weight.transpose(1, 2).flatten(0, 1)
            y = F.conv_transpose2d(flat, kernel, stride=2, groups=n)
            return upfirdn(y.view(n, -1, *y.shape[2:]), self.blur.kernel, (1, 1))
        y = F.conv2d(flat, weight.flatten(0, 1), padding=weight.shape[-1] // 2, groups=n)
        return y.view(n, -1, h, width)


class NoiseInjection(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1) * 0.3)


class FusedLeakyReLU(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.randn(channels) * 0.3)


class StyledConv(nn.Module):
    def __init__(self, inside: int, outside: int, w_dim: int, *, upsample: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(inside, outside, 3, w_dim, demodulate=True, upsample=upsample)
        self.noise = NoiseInjection()
        self.activate = FusedLeakyReLU(outside)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        x = self.conv(x, w) + self.noise.weight * noise
        return F.leaky_relu(x + self.activate.bias[:, None, None], 0.2) * 2**0.5


class ToRGB(nn.Module):
    def __init__(self, inside: int, w_dim: int, *, upsample: bool = True) -> None:
        super().__init__()
        if upsample:
            self.upsample = Kernel()
        self.conv = ModulatedConv2d(inside, 3, 1, w_dim, demodulate=False, upsample=False)
        self.bias = nn.Parameter(torch.randn(1, 3, 1, 1) * 0.3)

    def forward(self, x: Tensor, w: Tensor, skip: Tensor | None = None) -> Tensor:
        y = self.conv(x, w) + self.bias
        return y if skip is None else y + upfirdn(skip, self.upsample.kernel, (2, 1), up=2)


class ConstantInput(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.randn(1, channels, 4, 4))


class Generator(nn.Module):
    """`channels` maps each side, 4 and up, to its number of feature channels."""

    def __init__(self, channels: Mapping[int, int], w_dim: int = 32, n_mlp: int = 3) -> None:
        super().__init__()
        layers = (EqualLinear(w_dim, w_dim, lr_mul=0.01, activation=True) for _ in range(n_mlp))
        self.style = nn.Sequential(PixelNorm(), *layers)
        self.input = ConstantInput(channels[4])
        self.conv1 = StyledConv(channels[4], channels[4], w_dim)
        self.to_rgb1 = ToRGB(channels[4], w_dim, upsample=False)
        self.convs, self.to_rgbs = nn.ModuleList(), nn.ModuleList()
        self.noises = nn.Module()
        self.noises.register_buffer("noise_0", torch.randn(1, 1, 4, 4))
        for side in list(channels)[1:]:
            below = channels[side // 2]
            self.convs.append(StyledConv(below, channels[side], w_dim, upsample=True))
            self.convs.append(StyledConv(channels[side], channels[side], w_dim))
            self.to_rgbs.append(ToRGB(channels[side], w_dim))
            for _ in range(2):
                number = len(list(self.noises.buffers()))
                self.noises.register_buffer(f"noise_{number}", torch.randn(1, 1, side, side))

    def forward(self, z: Tensor, mean: Tensor | None = None, truncation: float = 1.0) -> Tensor:
        w = cast(Tensor, self.style(z))
        if mean is not None:
            w = mean + truncation * (w - mean)
        noises = list(self.noises.buffers())
        x = self.conv1(self.input.input.expand(len(z), -1, -1, -1), w, noises[0])
        skip = self.to_rgb1(x, w)
        for k, to_rgb in enumerate(self.to_rgbs):
            x = self.convs[2 * k](x, w, noises[2 * k + 1])
            x = self.convs[2 * k + 1](x, w, noises[2 * k + 2])
            skip = to_rgb(x, w, skip)
        return cast(Tensor, skip)


def tiny() -> Generator:
    """A random generator of 32 px with 24 channels down to 8."""
    torch.manual_seed(0)
    return Generator({4: 24, 8: 24, 16: 16, 32: 8}).eval().requires_grad_(False)
