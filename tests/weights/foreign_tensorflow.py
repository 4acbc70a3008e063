"""Networks of the TensorFlow era, written from a generator of `foreign_nvidia`.

The axes, the flip and the bias are those of the format; the forward pass to compare with is that of
the generator that was written.
"""

from __future__ import annotations

import pickle
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.weights.foreign_nvidia import Generator

Variables = list[tuple[str, npt.NDArray[np.float32] | np.float32]]


class Network:
    """`dnnlib.tflib.network.Network`: its state is all that is pickled."""

    def __init__(self, name: str, variables: Variables, **static_kwargs: Any) -> None:
        self.state: dict[str, Any] = {
            "version": 4, "name": name, "static_kwargs": static_kwargs, "components": {},
            "build_module_src": "raise SystemExit('the source code was run')",
            "build_func_name": name, "variables": variables,
        }  # fmt: skip

    def __getstate__(self) -> dict[str, Any]:  # noqa: D105
        return self.state


Network.__module__ = "dnnlib.tflib.network"


def layer(state: dict[str, npt.NDArray[np.float32]], ours: str, theirs: str) -> Variables:
    weight = state[f"{ours}.weight"].transpose(2, 3, 1, 0)
    variables: Variables = [
        (f"{theirs}/weight", weight[::-1, ::-1] if theirs.endswith("_up") else weight),
        (f"{theirs}/mod_weight", state[f"{ours}.affine.weight"].transpose()),
        (f"{theirs}/mod_bias", state[f"{ours}.affine.bias"] - 1),
        (f"{theirs}/bias", state[f"{ours}.bias"]),
    ]
    if not theirs.endswith("ToRGB"):
        strength = state[f"{ours}.noise_strength"][()]
        variables.append((f"{theirs}/noise_strength", strength))
    return variables


def network(generator: Generator, **static_kwargs: Any) -> Network:
    """Gs of a generator without a clamp."""
    state = {name: value.numpy() for name, value in generator.state_dict().items()}
    synthesis: Variables = [("4x4/Const/const", state["synthesis.b4.const"][None])]
    noises = [name for name in state if name.endswith("noise_const")]
    noises.sort(key=lambda name: (int(name.split(".")[1][1:]), name))
    synthesis += [(f"noise{k}", state[name][None, None]) for k, name in enumerate(noises)]
    for side in generator.synthesis.block_resolutions:
        names = {"conv0": "Conv0_up", "conv1": "Conv1", "torgb": "ToRGB"}
        if side == 4:
            names = {"conv1": "Conv", "torgb": "ToRGB"}
        for ours, theirs in names.items():
            synthesis += layer(state, f"synthesis.b{side}.{ours}", f"{side}x{side}/{theirs}")
    mapping: Variables = []
    for k in range(generator.mapping.num_layers):
        mapping.append((f"Dense{k}/weight", np.asfortranarray(state[f"mapping.fc{k}.weight"].T)))
        mapping.append((f"Dense{k}/bias", state[f"mapping.fc{k}.bias"]))
    whole = Network(
        "Gs", [("dlatent_avg", state["mapping.w_avg"]), ("lod", np.float32(0))],
        **{"num_channels": 3, "resolution": 32, "label_size": 0, "latent_size": generator.z_dim,
           "dlatent_size": generator.w_dim, "mapping_layers": 3, "fmap_base": 128, "fmap_max": 24,
           "truncation_psi": None, **static_kwargs},
    )  # fmt: skip
    whole.state["components"] = {
        "mapping": Network("G_mapping", mapping), "synthesis": Network("G_synthesis", synthesis)
    }  # fmt: skip
    return whole


def write(path: Path, *networks: Network, protocol: int = 4) -> None:
    names = ("dnnlib", "dnnlib.tflib", "dnnlib.tflib.network")
    modules = {name: types.ModuleType(name) for name in names}
    vars(modules[names[-1]])["Network"] = Network
    sys.modules.update(modules)
    try:
        path.write_bytes(pickle.dumps(networks, protocol))
    finally:
        for name in names:
            del sys.modules[name]
