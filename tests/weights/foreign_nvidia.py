"""NVIDIA's StyleGAN2 as a foreign program: its own classes, forward pass and pickles.

Written from the format's description and the paper: weights are modulated sample by sample, and
upsampling is upfirdn on the zero-stuffed image, so that nothing is shared with the code under test.
"""

# The layers are those of the format and need no words each.
# ruff: noqa: D101, D102, D105

from __future__ import annotations

import pickle
import sys
import types
from collections.abc import Generator as Yields
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

SOURCE = "raise SystemExit('the source code in the pickle was run')\n"


def _reconstruct_persistent_obj(meta: Any) -> None:
    raise AssertionError(f"{meta} was rebuilt")


class EasyDict(dict[str, Any]):
    """NVIDIA's dictionary with attribute access."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


_reconstruct_persistent_obj.__module__ = "torch_utils.persistence"
EasyDict.__module__ = "dnnlib.util"


@contextmanager
def their_modules() -> Yields[None, None, None]:
    """Make the names importable, which pickle insists on when it writes them."""
    persistence, util = types.ModuleType("torch_utils.persistence"), types.ModuleType("dnnlib.util")
    vars(persistence)["_reconstruct_persistent_obj"] = _reconstruct_persistent_obj
    vars(util)["EasyDict"] = EasyDict
    modules = {
        "torch_utils": types.ModuleType("torch_utils"), "torch_utils.persistence": persistence,
        "dnnlib": types.ModuleType("dnnlib"), "dnnlib.util": util,
    }  # fmt: skip
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in modules:
            del sys.modules[name]


class Persistent(nn.Module):
    """A module that pickles as its class's name, the source code and its state."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__()
        self._init_args = ()
        self._init_kwargs = EasyDict(kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        meta = {
            "type": "class", "version": 6, "module_src": SOURCE,
            "class_name": type(self).__name__, "state": self.__dict__,
        }  # fmt: skip
        return _reconstruct_persistent_obj, (meta,), None


def setup_filter() -> Tensor:
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    return torch.outer(taps, taps) / torch.outer(taps, taps).sum()


def upfirdn(x: Tensor, fir: Tensor, before: int, after: int) -> Tensor:
    """Zeros between the pixels, zero padding, a true convolution with gain 4."""
    n, c, h, w = x.shape
    spread = x.new_zeros(n, c, 2 * h, 2 * w)
    spread[:, :, ::2, ::2] = x
    kernel = (fir * 4).flip(0, 1).expand(c, 1, 4, 4)
    return F.conv2d(F.pad(spread, (before, after, before, after)), kernel, groups=c)


def modulated(
    x: Tensor, weight: Tensor, styles: Tensor, *, demodulate: bool, up: Tensor | None
) -> Tensor:
    outputs: list[Tensor] = []
    for sample, style in zip(x, styles, strict=True):
        w = weight * style[None, :, None, None]
        if demodulate:
            w = w * (w.square().sum((1, 2, 3), keepdim=True) + 1e-8).rsqrt()
        if up is None:
            outputs.append(F.conv2d(sample[None], w, padding=w.shape[-1] // 2))
        else:
            outputs.append(F.conv2d(upfirdn(sample[None], up, 3, 2), w.flip(2, 3)))
    return torch.cat(outputs)


def bias_act(x: Tensor, bias: Tensor, activation: str, gain: float, clamp: float | None) -> Tensor:
    x = x + bias.reshape(1, -1, *[1] * (x.ndim - 2))
    if activation == "lrelu":
        x = F.leaky_relu(x, 0.2)
    x = x * gain
    return x if clamp is None else x.clamp(-clamp, clamp)


class FullyConnectedLayer(Persistent):
    def __init__(
        self, in_features: int, out_features: int, activation: str = "linear",
        lr_multiplier: float = 1, bias_init: float = 0,
    ) -> None:  # fmt: skip
        super().__init__(in_features=in_features, out_features=out_features)
        self.activation = activation
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        bias = bias_init + 0.3 * torch.randn(out_features)
        self.bias = nn.Parameter(bias / lr_multiplier)
        self.weight_gain = lr_multiplier / np.sqrt(in_features)
        self.bias_gain = lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        y = x @ (self.weight * float(self.weight_gain)).t()
        gain = 2**0.5 if self.activation == "lrelu" else 1.0
        return bias_act(y, self.bias * self.bias_gain, self.activation, gain, None)


class MappingNetwork(Persistent):
    def __init__(self, z_dim: int, w_dim: int, num_layers: int, lr_multiplier: float) -> None:
        super().__init__(z_dim=z_dim, w_dim=w_dim, num_layers=num_layers)
        self.num_layers = num_layers
        self.w_avg_beta = 0.995
        for k in range(num_layers):
            layer = FullyConnectedLayer(z_dim if k == 0 else w_dim, w_dim, "lrelu", lr_multiplier)
            setattr(self, f"fc{k}", layer)
        self.register_buffer("w_avg", torch.randn(w_dim) * 0.2)

    def forward(self, z: Tensor, truncation_psi: float) -> Tensor:
        x = z * (z.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
        for k in range(self.num_layers):
            x = cast(nn.Module, getattr(self, f"fc{k}"))(x)
        average = cast(Tensor, self.w_avg)
        return average + truncation_psi * (x - average)


class SynthesisLayer(Persistent):
    def __init__(
        self, inside: int, outside: int, w_dim: int, size: tuple[int, int], up: int,
        conv_clamp: float | None, use_noise: bool, activation: str,
    ) -> None:  # fmt: skip
        super().__init__(in_channels=inside, out_channels=outside, conv_clamp=conv_clamp)
        self.up, self.conv_clamp, self.activation = up, conv_clamp, activation
        self.use_noise = use_noise
        self.act_gain = np.sqrt(2)
        self.register_buffer("resample_filter", setup_filter())
        self.affine = FullyConnectedLayer(w_dim, inside, bias_init=1)
        self.weight = nn.Parameter(torch.randn(outside, inside, 3, 3))
        if use_noise:
            self.register_buffer("noise_const", torch.randn(*size))
            self.noise_strength = nn.Parameter(torch.randn([]) * 0.3)
        self.bias = nn.Parameter(torch.randn(outside) * 0.3)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        fir = cast(Tensor, self.resample_filter) if self.up == 2 else None
        x = modulated(x, self.weight, self.affine(w), demodulate=True, up=fir)
        if self.use_noise:
            x = x + cast(Tensor, self.noise_const) * self.noise_strength
        return bias_act(x, self.bias, self.activation, float(self.act_gain), self.conv_clamp)


class ToRGBLayer(Persistent):
    def __init__(self, inside: int, outside: int, w_dim: int, conv_clamp: float | None) -> None:
        super().__init__(in_channels=inside, out_channels=outside)
        self.conv_clamp = conv_clamp
        self.affine = FullyConnectedLayer(w_dim, inside, bias_init=1)
        self.weight = nn.Parameter(torch.randn(outside, inside, 1, 1))
        self.bias = nn.Parameter(torch.randn(outside) * 0.3)
        self.weight_gain = 1 / np.sqrt(inside)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        styles = self.affine(w) * float(self.weight_gain)
        x = modulated(x, self.weight, styles, demodulate=False, up=None)
        return bias_act(x, self.bias, "linear", 1.0, self.conv_clamp)


class SynthesisBlock(Persistent):
    def __init__(
        self, inside: int, outside: int, w_dim: int, size: tuple[int, int], img_channels: int,
        architecture: str, conv_clamp: float | None, use_noise: bool, activation: str,
    ) -> None:  # fmt: skip
        super().__init__(in_channels=inside, out_channels=outside, resolution=size[0])
        self.resolution, self.architecture = size[0], architecture
        self.register_buffer("resample_filter", setup_filter())
        layer = (w_dim, size)
        rest = (conv_clamp, use_noise, activation)
        if inside == 0:
            self.const = nn.Parameter(torch.randn(outside, *size))
        else:
            self.conv0 = SynthesisLayer(inside, outside, *layer, 2, *rest)
        self.conv1 = SynthesisLayer(outside, outside, *layer, 1, *rest)
        self.torgb = ToRGBLayer(outside, img_channels, w_dim, conv_clamp)

    def forward(
        self, x: Tensor | None, image: Tensor | None, ws: Iterator[Tensor], colour: Tensor
    ) -> tuple[Tensor, Tensor]:
        if x is None:
            x = self.const.expand(len(colour), -1, -1, -1)
        else:
            x = cast(Tensor, self.conv0(x, next(ws)))
        x = cast(Tensor, self.conv1(x, next(ws)))
        y = cast(Tensor, self.torgb(x, colour))
        if image is not None:
            y = y + upfirdn(image, cast(Tensor, self.resample_filter), 2, 1)
        return x, y


class SynthesisNetwork(Persistent):
    def __init__(
        self, w_dim: int, img_resolution: int, img_channels: int, *, square: bool = True,
        channel_base: int = 32768, channel_max: int = 512, num_fp16_res: int = 0,
        architecture: str = "skip", conv_clamp: float | None = None, use_noise: bool = True,
        activation: str = "lrelu",
    ) -> None:  # fmt: skip
        super().__init__(w_dim=w_dim, img_resolution=img_resolution, channel_base=channel_base)
        self.num_fp16_res = num_fp16_res
        self.block_resolutions = [2**i for i in range(2, img_resolution.bit_length())]
        inside = 0
        for r in self.block_resolutions:
            outside = min(channel_base // r, channel_max)
            block = SynthesisBlock(
                inside, outside, w_dim, (r, r if square else r // 2), img_channels, architecture,
                conv_clamp, use_noise, activation,
            )  # fmt: skip
            setattr(self, f"b{r}", block)
            inside = outside

    def forward(self, ws: Tensor) -> Tensor:
        x = image = None
        for k, r in enumerate(self.block_resolutions):
            block = cast(SynthesisBlock, getattr(self, f"b{r}"))
            first = max(2 * k - 1, 0)
            x, image = block(x, image, iter(ws[:, first:].unbind(1)), ws[:, 2 * k + 1])
        assert image is not None
        return image


class Generator(Persistent):
    """`nested` puts the synthesis arguments where stylegan2-ada does, else where stylegan3 does."""

    def __init__(
        self, *, z_dim: int = 24, w_dim: int = 32, c_dim: int = 0, img_resolution: int = 32,
        img_channels: int = 3, num_layers: int = 3, lr_multiplier: float = 0.01,
        nested: bool = True, **synthesis: Any,
    ) -> None:  # fmt: skip
        mapping = EasyDict(num_layers=num_layers)
        square = {"square": synthesis.pop("square")} if "square" in synthesis else {}
        arguments = {"synthesis_kwargs": EasyDict(synthesis)} if nested else synthesis
        super().__init__(
            z_dim=z_dim, c_dim=c_dim, w_dim=w_dim, img_resolution=img_resolution,
            img_channels=img_channels, mapping_kwargs=mapping, **square, **arguments,
        )  # fmt: skip
        self.z_dim, self.w_dim, self.c_dim = z_dim, w_dim, c_dim
        self.img_resolution, self.img_channels = img_resolution, img_channels
        self.num_ws = 2 * img_resolution.bit_length() - 4
        synthesis = {**synthesis, **square}
        self.synthesis = SynthesisNetwork(w_dim, img_resolution, img_channels, **synthesis)
        self.mapping = MappingNetwork(z_dim, w_dim, num_layers, lr_multiplier)

    def forward(self, z: Tensor, truncation_psi: float = 1.0) -> Tensor:
        w = cast(Tensor, self.mapping(z, truncation_psi))
        return self.synthesis(w[:, None].repeat(1, self.num_ws, 1))


class Discriminator(Persistent):
    def __init__(self) -> None:
        super().__init__(c_dim=0)
        self.fc = FullyConnectedLayer(8, 8)
        self.magnitudes = np.arange(4.0)


def tiny(seed: int = 0, **arguments: Any) -> Generator:
    """A random generator of 32 px whose channels differ from block to block."""
    torch.manual_seed(seed)
    settings: dict[str, Any] = {"channel_base": 256, "channel_max": 24, **arguments}
    return Generator(**settings).eval().requires_grad_(False)


def snapshot(generator: Generator) -> dict[str, Any]:
    """What NVIDIA's training loop writes."""
    return {
        "training_set_kwargs": EasyDict(path="faces.zip", max_size=np.int64(9)),
        "G": Generator(channel_base=64, channel_max=8), "D": Discriminator(), "G_ema": generator,
        "augment_pipe": None,
    }  # fmt: skip


def write_pickle(path: Path, value: Any, protocol: int = 4) -> None:
    with their_modules(), path.open("wb") as file:
        pickle.dump(value, file, protocol)


def write_module(path: Path, module: nn.Module, *, zipped: bool = True) -> None:
    """As PTI saves a tuned generator."""
    with their_modules():
        torch.save(module, path, _use_new_zipfile_serialization=zipped)


def pickled(value: Any, protocol: int = 4) -> bytes:
    with their_modules():
        return pickle.dumps(value, protocol)
