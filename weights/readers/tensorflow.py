"""NVIDIA's networks of the TensorFlow era, such as `stylegan2-car-config-f.pkl`.

The file is a tuple (G, D, Gs) of `dnnlib.tflib.network.Network`, whose state holds the arguments of
the function that built it, its variables as numpy arrays, and the networks that it is made of.
Dense weights are `[in, out]` and those of convolutions `[k, k, in, out]`, upsampling convolutions
are stored unflipped, and the biases of styles lack the 1 that is added to them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor

from weights.errors import UnsupportedWeightsError
from weights.readers.assemble import Found
from weights.readers.nvidia import read_config
from weights.readers.records import (
    MAX_NAME,
    TENSORFLOW,
    NumpyArray,
    Storage,
    StoredTensor,
    expect,
    text_keys,
)
from weights.readers.unpickle import Opaque
from weights.stylegan2 import GeneratorConfig

ARGUMENTS = {
    "latent_size": ("z_dim", 512), "label_size": ("c_dim", 0), "dlatent_size": ("w_dim", 512),
    "resolution": ("img_resolution", 1024), "num_channels": ("img_channels", 3),
    "mapping_layers": ("num_layers", 8), "fmap_max": ("channel_max", 512),
}  # fmt: skip
"""Their name of an argument -> NVIDIA's later name, and their default."""
REQUIRED: dict[str, object] = {
    "architecture": "skip", "nonlinearity": "lrelu", "mapping_nonlinearity": "lrelu",
    "mapping_lrmul": 0.01, "resample_kernel": [1, 3, 3, 1], "normalize_latents": True,
    "use_noise": True,
}  # fmt: skip
HARMLESS = {
    "fmap_base", "conv_clamp", "num_fp16_res", "mapping_fmaps", "label_fmaps", "dtype",
    "truncation_psi", "truncation_cutoff", "style_mixing_prob", "w_avg_beta", "dlatent_avg_beta",
    "structure", "randomize_noise", "fused_modconv",
}  # fmt: skip
"""Arguments that are read below, that shapes betray, or that only matter in training."""
DENSE, CONVOLUTION = (1, 0), (3, 2, 0, 1)
"""Order of our axes in theirs."""
MAX_VARIABLES = 1000


def is_tensorflow(root: object) -> bool:
    """Whether this is a snapshot (G, D, Gs) of the TensorFlow era."""
    match root:
        case Opaque(name=name) | (Opaque(name=name), *_):
            return name == TENSORFLOW
        case _:
            return False


def find_tensorflow(root: object) -> Found:
    """The generator with averaged weights (Gs) of a snapshot.

    Raises:
        BrokenWeightsError: its configuration makes no sense.
        UnsupportedWeightsError: it is no StyleGAN2, or a variant that is not read.
    """
    try:
        _, _, generator = cast("tuple[object, object, object]", root)
        state = _state(generator)
        arguments, variables = text_keys(state["static_kwargs"]), _variables(state)
    except (TypeError, ValueError, KeyError) as error:
        raise _not_read("its state is of another version") from error
    for name, value in arguments.items():
        known = name in ARGUMENTS or name in HARMLESS or value is None
        if not known and value != REQUIRED.get(name, ...):
            raise _not_read(f"its argument {name!r}")
    config = read_config(_renamed(arguments), arguments.get("conv_clamp"))
    tensors = {
        ours: _ordered(variables.pop(theirs), axes)
        for ours, theirs, axes in _names(config)
        if theirs in variables
    }
    variables.pop("lod", None)
    if variables:
        raise _not_read(f"its variable {min(variables)!r}")
    return Found(kind="tensorflow-pickle", config=config, tensors=tensors, adjust=_adjust)


def _not_read(why: str) -> UnsupportedWeightsError:
    return UnsupportedWeightsError(
        f"it is a network of the TensorFlow era that is not read here ({why}): convert it with "
        "legacy.py of NVIDIA's stylegan2-ada-pytorch and import what that writes"
    )


def _state(network: object) -> dict[str, object]:
    if not isinstance(network, Opaque) or network.name != TENSORFLOW:
        raise TypeError("no network")
    return text_keys(network.state)


def _variables(generator: Mapping[str, object]) -> dict[str, StoredTensor]:
    """All variables of the generator and its two parts, by their path."""
    parts = text_keys(generator["components"])
    found: dict[str, StoredTensor] = {}
    for prefix, state in {
        "": generator,
        "mapping/": _state(parts["mapping"]),
        "synthesis/": _state(parts["synthesis"]),
    }.items():
        variables = cast("list[object]", expect(state["variables"], list))
        if len(variables) > MAX_VARIABLES:
            raise ValueError("too many variables")
        for name, value in (cast("tuple[object, object]", expect(v, tuple)) for v in variables):
            found[prefix + expect(name, str)[:MAX_NAME]] = _stored(value)
    return found


def _stored(value: object) -> StoredTensor:
    if isinstance(value, NumpyArray):
        return value.stored()
    data = memoryview(struct.pack("<d", expect(value, float)))
    return StoredTensor(Storage(torch.float64, 1, data), 0, (), ())


def _renamed(arguments: Mapping[str, object]) -> dict[str, object]:
    given = {name: value for name, value in arguments.items() if value is not None}
    base = expect(given.get("fmap_base", 16384), int)
    renamed = {ours: given.get(theirs, usual) for theirs, (ours, usual) in ARGUMENTS.items()}
    return {"channel_base": 2 * base, **renamed}


def _names(config: GeneratorConfig) -> Iterator[tuple[str, str, tuple[int, ...] | None]]:
    """Our name of each parameter, theirs, and the order of our axes in theirs."""
    yield "mapping.w_avg", "dlatent_avg", None
    for k in range(config.mapping_layers):
        yield f"mapping.fc{k}.weight", f"mapping/Dense{k}/weight", DENSE
        yield f"mapping.fc{k}.bias", f"mapping/Dense{k}/bias", None
    yield "synthesis.b4.const", "synthesis/4x4/Const/const", None
    noises = 0
    for side in config.block_resolutions:
        layers = {"conv0": "Conv0_up", "conv1": "Conv1", "torgb": "ToRGB"}
        if side == 4:
            layers = {"conv1": "Conv", "torgb": "ToRGB"}
        for ours, theirs in layers.items():
            block, path = f"synthesis.b{side}.{ours}", f"synthesis/{side}x{side}/{theirs}"
            yield f"{block}.weight", f"{path}/weight", CONVOLUTION
            yield f"{block}.bias", f"{path}/bias", None
            yield f"{block}.affine.weight", f"{path}/mod_weight", DENSE
            yield f"{block}.affine.bias", f"{path}/mod_bias", None
            if ours != "torgb":
                yield f"{block}.noise_strength", f"{path}/noise_strength", None
                yield f"{block}.noise_const", f"synthesis/noise{noises}", None
                noises += 1


def _ordered(value: StoredTensor, axes: tuple[int, ...] | None) -> StoredTensor:
    if axes is None or len(value.size) != len(axes):
        return value
    size, stride = ([numbers[k] for k in axes] for numbers in (value.size, value.stride))
    return replace(value, size=tuple(size), stride=tuple(stride))


def _adjust(name: str, value: Tensor) -> Tensor:
    if name.endswith("conv0.weight"):
        return value.flip(2, 3)
    return value + 1 if name.endswith("affine.bias") else value
