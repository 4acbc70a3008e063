"""State dictionaries of rosinality's stylegan2-pytorch, alone or as e4e and pSp carry them.

It numbers its layers through: `conv1` and `to_rgb1` at side 4, then `convs.2i`, `convs.2i+1` and
`to_rgbs.i` at side 8 * 2^i. Its layers compute what NVIDIA's do, save that the weights of the
convolutions are scaled before they are modulated. Demodulation divides the scale out again, but for
an epsilon of 1e-8, so they are taken as they are: tuning needs steps as for NVIDIA's networks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import cast

import torch

from weights.errors import BrokenWeightsError, UnsupportedWeightsError
from weights.layers import resample_filter
from weights.readers.assemble import MAX_WIDTH, Found, height_to_width
from weights.readers.records import StoredTensor, text_keys
from weights.stylegan2 import GeneratorConfig

FIRST = "conv1.conv.weight"
"""A parameter that every state dictionary of this code has."""
DECODER = "decoder."
"""Prefix of the generator in the state dictionary of an encoder."""
MAX_LAYERS = 64
"""More than any of these networks has of one sort."""
LAYER = {
    "conv.weight": "weight",
    "conv.modulation.weight": "affine.weight",
    "conv.modulation.bias": "affine.bias",
    "noise.weight": "noise_strength",
    "activate.bias": "bias",
}
TO_RGB = {
    "bias": "bias",
    "conv.weight": "weight",
    "conv.modulation.weight": "affine.weight",
    "conv.modulation.bias": "affine.bias",
}


def state_dict_of(root: object) -> Mapping[str, object] | None:
    """The generator's state dictionary, or None where there is none."""
    if not isinstance(root, dict):
        return None
    outer = cast("dict[object, object]", root)
    for state in (outer.get("g_ema"), outer.get("state_dict"), outer):
        if isinstance(state, dict):
            inner = cast("dict[object, object]", state)
            for prefix in ("", DECODER):
                if prefix + FIRST in inner:
                    return {
                        name.removeprefix(prefix): value
                        for name, value in text_keys(inner).items()
                        if name.startswith(prefix)
                    }
    return None


def find_rosinality(root: Mapping[str, object], state: Mapping[str, object]) -> Found:
    """The generator of a file.

    Args:
        root: the whole file, for its mean latent.
        state: as `state_dict_of` gives it.

    Raises:
        BrokenWeightsError: shapes contradict each other.
        UnsupportedWeightsError: it is a variant that is not read.
    """
    known = {name: value for name, value in state.items() if isinstance(value, StoredTensor)}
    blocks = 1 + _count(known, "to_rgbs.{}.bias", first=0)
    layers = _count(known, "style.{}.weight", first=1)
    names = dict(_names(blocks, layers))
    for name, value in known.items():
        if name.endswith(".kernel"):
            _check_kernel(name, value)
        elif name not in names:
            raise UnsupportedWeightsError(
                f"its generator has parameters that StyleGAN2 has not ({name!r})"
            )
    tensors = {ours: known[theirs] for theirs, ours in names.items() if theirs in known}
    average = root.get("latent_avg")
    if isinstance(average, StoredTensor):
        tensors["mapping.w_avg"] = _one_latent(average)
    config = _config(tensors, blocks, layers)
    return Found(kind="rosinality", config=config, tensors=tensors)


def _count(known: Mapping[str, StoredTensor], pattern: str, *, first: int) -> int:
    """How many of the numbered names there are without a gap."""
    for k in range(MAX_LAYERS):
        if pattern.format(first + k) not in known:
            return k
    raise BrokenWeightsError("its generator has too many layers")


def _names(blocks: int, layers: int) -> Iterator[tuple[str, str]]:
    """Their name of each parameter, and ours."""
    for k in range(layers):
        for part in ("weight", "bias"):
            yield f"style.{k + 1}.{part}", f"mapping.fc{k}.{part}"
    yield "input.input", "synthesis.b4.const"
    for index in range(2 * blocks - 1):
        theirs = "conv1" if index == 0 else f"convs.{index - 1}"
        ours = f"synthesis.b{4 << (index + 1) // 2}.conv{(index + 1) % 2}"
        yield f"noises.noise_{index}", f"{ours}.noise_const"
        for part, name in LAYER.items():
            yield f"{theirs}.{part}", f"{ours}.{name}"
    for index in range(blocks):
        theirs = "to_rgb1" if index == 0 else f"to_rgbs.{index - 1}"
        for part, name in TO_RGB.items():
            yield f"{theirs}.{part}", f"synthesis.b{4 << index}.torgb.{name}"


def _check_kernel(name: str, kernel: StoredTensor) -> None:
    """Their upsampling kernels are stored with the gain of four."""
    if kernel.size != (4, 4) or not torch.allclose(kernel.read(), 4 * resample_filter()):
        raise UnsupportedWeightsError(f"its {name} is not the low-pass filter [1, 3, 3, 1]")


def _one_latent(average: StoredTensor) -> StoredTensor:
    """The mean latent; e4e and pSp repeat it for each layer."""
    if len(average.size) != 2 or average.size[0] == 0:
        return average
    return replace(average, size=average.size[1:], stride=average.stride[1:])


def _config(tensors: Mapping[str, StoredTensor], blocks: int, layers: int) -> GeneratorConfig:
    """The shape, which this format does not write down, from the tensors."""
    if not layers or "synthesis.b4.const" not in tensors:
        raise BrokenWeightsError("it lacks parts of a generator: get the file anew")
    last = 4 << (blocks - 1)
    w_dim, z_dim = _shape(tensors, "mapping.fc0.weight", 2)
    channels = {
        4 << k: _shape(tensors, f"synthesis.b{4 << k}.torgb.weight", 5)[2] for k in range(blocks)
    }
    most = max(channels.values())
    narrower = [side * count for side, count in channels.items() if count < most]
    return GeneratorConfig(
        resolution=last,
        channel_base=narrower[0] if narrower else most * last,
        channel_max=most,
        w_dim=w_dim,
        z_dim=z_dim,
        mapping_layers=layers,
        conv_clamp=None,
        height_to_width=height_to_width(tensors),
    )


def _shape(tensors: Mapping[str, StoredTensor], name: str, axes: int) -> tuple[int, ...]:
    size = tensors[name].size if name in tensors else ()
    if len(size) != axes or not all(1 <= n <= MAX_WIDTH for n in size):
        raise BrokenWeightsError(f"its {name} has shape {list(size)}: get the file anew")
    return size
