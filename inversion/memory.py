"""How much memory tuning takes, how much is free, and what follows from it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import torch

from weights.stylegan2 import Generator

ASSUMED = 4_000_000_000
"""Free memory, bytes, where the system does not tell."""

HELD = 16
"""Tensors of a layer's size that gradients hold: those of two renderings, measured at 1024 px."""

USABLE = 0.8
"""Share of the free memory that is planned with."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How tuning fits into the memory.

    Attributes:
        together: pictures that are drawn at once.
        recomputing: whether layers are computed again on the way back instead of being kept.
    """

    together: int
    recomputing: bool


def plan(generator: Generator, count: int, free: int | None = None) -> Plan:
    """Decide how tuning goes: as many pictures at once as fit, and layers kept where one fits.

    Args:
        generator: to be tuned.
        count: pictures that share it.
        free: bytes; None asks the system.
    """
    if free is None:
        free = free_bytes(generator.mapping.w_avg.device)
    # Adam's two moments, the gradient and the change of the tuned copy.
    weights = 4 * sum(value.numel() * value.element_size() for value in generator.parameters())
    room, one = USABLE * free - weights, gradient_bytes(generator)
    return Plan(together=max(1, min(count, int(room // one))), recomputing=one > room)


def gradient_bytes(generator: Generator) -> int:
    """Memory that the gradients of one picture hold, with no layer computed again."""
    config, size = generator.config, generator.compute_dtype.itemsize
    layers = sum(
        len(block.layers()) * config.channels(block.side) * block.side * block.side
        for block in generator.synthesis.blocks()
    )
    return HELD * size * layers // config.height_to_width


def free_bytes(device: torch.device) -> int:
    """Memory that is free on a device, in bytes."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    try:
        said = Path("/proc/meminfo").read_text("ascii")
    except OSError:
        return ASSUMED
    found = re.search(r"^MemAvailable:\s*(\d+) kB$", said, re.MULTILINE)
    return int(found[1]) * 1024 if found else ASSUMED
