"""The layers that StyleGAN2 is made of, as NVIDIA's stylegan2-ada-pytorch defines them."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ACTIVATION_GAIN = math.sqrt(2)


def normal(*shape: int, std: float = 1.0) -> Tensor:
    """Random numbers; on the meta device a shape only, without torch's slow imports for drawing."""
    values = torch.empty(shape)
    return values if values.is_meta else values.normal_(std=std)


class FullyConnected(nn.Module):
    """Linear layer with an equalised learning rate, optionally followed by leaky ReLU."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        activate: bool = False,
        bias: float = 0.0,
        lr_multiplier: float = 1.0,
    ) -> None:
        super().__init__()
        self.activate = activate
        self.weight = nn.Parameter(normal(out_features, in_features, std=1 / lr_multiplier))
        self.bias = nn.Parameter(torch.full((out_features,), bias / lr_multiplier))
        self.weight_gain = lr_multiplier / math.sqrt(in_features)
        self.bias_gain = lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        """`[N, in]` -> `[N, out]`."""
        y = F.linear(x, self.weight * self.weight_gain, self.bias * self.bias_gain)
        return F.leaky_relu(y, 0.2) * ACTIVATION_GAIN if self.activate else y


def resample_filter() -> Tensor:
    """The `[4, 4]` low-pass filter [1, 3, 3, 1] x [1, 3, 3, 1], summing to one."""
    taps = (1.0, 3.0, 3.0, 1.0)
    return torch.tensor([[a * b / 64.0 for b in taps] for a in taps])


def upsample_image(image: Tensor, low_pass: Tensor) -> Tensor:
    """Double the side: zeros between the pixels, then the low-pass filter with gain 4."""
    n, c, h, w = image.shape
    kernel = (low_pass * 4).flip(0, 1).to(image.dtype)[None, None].expand(c, 1, 4, 4)
    padded = F.conv_transpose2d(image, kernel, stride=2, padding=1, groups=c)
    return padded.view(n, c, 2 * h, 2 * w)


def _modulated_convolution(
    x: Tensor, weight: Tensor, styles: Tensor, *, demodulate: bool, up: Tensor | None
) -> Tensor:
    """Convolution whose input channels are scaled by `styles` `[N, in]` (Section 2.2).

    The scale is applied to the input and the demodulation to the output, which gives the same
    function as scaling the weights and lets a batch share one convolution.

    Args:
        x: `[N, in, r, r]`.
        weight: `[out, in, k, k]`.
        styles: `[N, in]` float32.
        demodulate: divide each output channel by the norm of its modulated weights (Eq. 3).
        up: the `[4, 4]` low-pass filter when the side is to be doubled, else None.
    """
    kernel = weight.to(x.dtype)
    x = x * styles.to(x.dtype)[:, :, None, None]
    if up is None:
        x = F.conv2d(x, kernel, padding=weight.shape[2] // 2)
    else:
        x = F.conv_transpose2d(x, kernel.transpose(0, 1), stride=2)
        blur = (up * 4).to(x.dtype)[None, None].expand(x.shape[1], 1, 4, 4)
        x = F.conv2d(x, blur, padding=1, groups=x.shape[1])
    if demodulate:
        energy = weight.square().sum(dim=(2, 3))
        x = x * (styles.square() @ energy.t() + 1e-8).rsqrt().to(x.dtype)[:, :, None, None]
    return x


def _clamped(x: Tensor, limit: float | None) -> Tensor:
    return x if limit is None else x.clamp(-limit, limit)


class SynthesisLayer(nn.Module):
    """Modulated 3 x 3 convolution, noise, bias, leaky ReLU.

    Attributes:
        size: height and width of its output.
    """

    resample_filter: Tensor
    noise_const: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        size: tuple[int, int],
        *,
        up: bool,
        clamp: float | None,
    ) -> None:
        super().__init__()
        self.size = size
        self.up = up
        self.clamp = clamp
        self.affine = FullyConnected(w_dim, in_channels, bias=1.0)
        self.weight = nn.Parameter(normal(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.register_buffer("noise_const", normal(*size))
        self.register_buffer("resample_filter", resample_filter())

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        """x `[N, in, r, r]`, w `[N, w_dim]`, noise `[N or 1, 1, *size]` or None."""
        up = self.resample_filter if self.up else None
        x = _modulated_convolution(x, self.weight, self.affine(w), demodulate=True, up=up)
        if noise is not None:
            x = x + (noise * self.noise_strength).to(x.dtype)
        x = F.leaky_relu(x + self.bias.to(x.dtype)[:, None, None], 0.2) * ACTIVATION_GAIN
        return _clamped(x, self.clamp)


class ToRgb(nn.Module):
    """Modulated 1 x 1 convolution to colour, without demodulation."""

    def __init__(self, in_channels: int, w_dim: int, *, clamp: float | None) -> None:
        super().__init__()
        self.clamp = clamp
        self.affine = FullyConnected(w_dim, in_channels, bias=1.0)
        self.weight = nn.Parameter(normal(3, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(3))
        self.style_gain = 1 / math.sqrt(in_channels)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """x `[N, in, r, r]`, w `[N, w_dim]` -> `[N, 3, r, r]` float32."""
        styles = self.affine(w) * self.style_gain
        y = _modulated_convolution(x, self.weight, styles, demodulate=False, up=None)
        return _clamped(y.float() + self.bias[:, None, None], self.clamp)
