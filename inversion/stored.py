"""Inversions as files: safetensors with the pivots and the compressed changes of the generator.

A file holds `pivot.latents`, float32 `[K, L, w_dim]` with one row for each inversion, and for each
changed parameter `delta.NAME`, uint8, the zlib stream of its int8 codes. The header has format,
base_sha256, report (a JSON list of K), and shapes and steps of the deltas (JSON).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from inversion.deltas import Delta
from inversion.errors import BrokenInversionError, InversionError
from weights.files import write_safetensors

FORMAT = "photodrag-inversion-2"
_LATENTS = "pivot.latents"
_PREFIX = "delta."
_FIELDS = {"base_sha256", "report", "shapes", "steps"}


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Contents of a file.

    Attributes:
        latents: `[K, L, w_dim]`.
        reports: K JSON objects.
        base_sha256: hash of the untuned generator's parameters.
        deltas: changes of its parameters, by name.
    """

    latents: Tensor
    reports: tuple[dict[str, Any], ...]
    base_sha256: str
    deltas: Mapping[str, Delta]


def write_stored(path: Path, stored: Stored) -> None:
    """Write a file, whole or not at all.

    Raises:
        InversionError: it cannot be written.
    """
    tensors = {_PREFIX + name: _pack(delta.codes) for name, delta in sorted(stored.deltas.items())}
    tensors[_LATENTS] = stored.latents.detach().cpu()
    header = {
        "format": FORMAT,
        "base_sha256": stored.base_sha256,
        "report": json.dumps(stored.reports),
        "shapes": json.dumps({name: [*delta.codes.shape] for name, delta in stored.deltas.items()}),
        "steps": json.dumps({name: delta.step for name, delta in stored.deltas.items()}),
    }
    try:
        write_safetensors(path, tensors, header)
    except (OSError, SafetensorError) as error:
        raise InversionError(f"cannot write the inversion {path}: {error}") from error


def read_stored(path: Path) -> Stored:
    """Read a file that `write_stored` wrote.

    Raises:
        BrokenInversionError: it is missing, damaged, of an older format or of another kind.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise BrokenInversionError(
            f"{path} is not a stored inversion ({error}): invert the photo again"
        ) from error
    found = header.get("format", "no format")
    if found != FORMAT or not header.keys() >= _FIELDS:
        raise BrokenInversionError(
            f"{path} is not a stored inversion of this version: it states {found}, not {FORMAT}; "
            "invert the photo again"
        )
    try:
        return _parse(header, tensors)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, zlib.error) as error:
        raise BrokenInversionError(
            f"{path} is damaged ({error}): invert the photo again"
        ) from error


def _parse(header: Mapping[str, str], tensors: Mapping[str, Tensor]) -> Stored:
    shapes: dict[str, list[int]] = json.loads(header["shapes"])
    steps: dict[str, float] = json.loads(header["steps"])
    reports: list[dict[str, Any]] = json.loads(header["report"])
    latents = tensors[_LATENTS]
    if latents.ndim != 3 or len(latents) != len(reports):
        raise ValueError(f"{len(reports)} reports for latents {list(latents.shape)}")
    return Stored(
        latents=latents,
        reports=tuple(reports),
        base_sha256=header["base_sha256"],
        deltas={
            name: Delta(_unpack(tensors[_PREFIX + name], shape), float(steps[name]))
            for name, shape in shapes.items()
        },
    )


def _pack(codes: Tensor) -> Tensor:
    stream = zlib.compress(codes.cpu().contiguous().numpy().tobytes(), 6)
    return torch.from_numpy(np.frombuffer(stream, np.uint8).copy())


def _unpack(stream: Tensor, shape: list[int]) -> Tensor:
    data = zlib.decompress(stream.numpy().tobytes())
    return torch.from_numpy(np.frombuffer(data, np.int8).copy()).view(shape)
