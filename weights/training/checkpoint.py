"""Checkpoints of a training run: parameters and optimisers' state in one safetensors file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from weights.errors import BrokenWeightsError
from weights.files import write_safetensors

_OPTIMIZER = "optimizer of "


def save_checkpoint(
    path: Path,
    networks: Mapping[str, nn.Module],
    optimizers: Mapping[str, torch.optim.Optimizer],
    header: Mapping[str, str],
) -> None:
    """Write all networks and optimisers atomically.

    Args:
        path: file to write.
        networks: name -> network.
        optimizers: name -> optimiser, whose state goes along.
        header: strings to keep; "seen" is how far the run is, in its own unit.
    """
    tensors = {
        f"{name}/{key}": value
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }
    for name, optimizer in optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            group = f"{_OPTIMIZER}{name}"
            tensors |= {f"{group}/{index}/{key}": value for key, value in state.items()}
    write_safetensors(path, tensors, dict(header))


def load_checkpoint(
    path: Path,
    networks: Mapping[str, nn.Module],
    optimizers: Mapping[str, torch.optim.Optimizer],
) -> int:
    """Restore a run in place and return how far it is ("seen" of `save_checkpoint`).

    Args:
        path: file that `save_checkpoint` wrote.
        networks: name -> network to fill.
        optimizers: name -> optimiser, to go on training; empty to use the networks as they are.

    Raises:
        BrokenWeightsError: the file is damaged or belongs to networks of another shape.
    """
    groups: dict[str, dict[str, Tensor]] = {}
    try:
        with safe_open(path, framework="pt") as file:
            seen = int((file.metadata() or {})["seen"])
            for name in file.keys():  # noqa: SIM118 - not a mapping
                group, _, key = name.partition("/")
                groups.setdefault(group, {})[key] = file.get_tensor(name)
        for name, network in networks.items():
            network.load_state_dict(groups[name])
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise BrokenWeightsError(
            f"{path} is not a checkpoint of this run ({reason}): remove it to start anew"
        ) from error
    for name, optimizer in optimizers.items():
        _restore(optimizer, groups.get(f"{_OPTIMIZER}{name}", {}))
    return seen


def _restore(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, _, key = name.partition("/")
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict(
        {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
    )
