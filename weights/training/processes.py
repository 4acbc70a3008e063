"""What the processes of one training share, which torchrun starts: the gradients of a batch."""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch
from torch import Tensor, distributed, nn


def join_processes(device: torch.device) -> torch.device:
    """Take part in what torchrun started, each process with a GPU of its own; else do nothing.

    Returns:
        The device of this process.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return device
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    if device.type != "cuda":
        return device
    place = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(place)
    return place


def rank() -> int:
    """Number of this process, 0 for the one that reports."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def processes() -> int:
    """Number of processes that train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def mean_over_processes(value: Tensor) -> Tensor:
    """Mean of a value over all processes, the same in each."""
    if distributed.is_initialized():
        distributed.all_reduce(value)
        value = value / distributed.get_world_size()
    return value


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give every process the mean of all processes' gradients, in place."""
    if not distributed.is_initialized():
        return
    for parameter in parameters:
        if parameter.grad is not None:
            distributed.all_reduce(parameter.grad)
            parameter.grad /= distributed.get_world_size()
