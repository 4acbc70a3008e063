"""Pickles and archives put together by hand, as no honest program writes them."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

TENSOR = "torch._utils _rebuild_tensor_v2"
MODULE = "torch_utils.persistence _reconstruct_persistent_obj"


class Evil:
    """Pickles as a call of os.system that makes a canary file."""

    def __init__(self, canary: Path) -> None:
        self.command = f"touch {canary}"

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:  # noqa: D105
        return os.system, (self.command,)  # pyright: ignore[reportDeprecated]


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def call(name: str, *arguments: bytes) -> bytes:
    """Instructions that call a global such as "collections OrderedDict"."""
    return b"c" + name.replace(" ", "\n").encode() + b"\n(" + b"".join(arguments) + b"tR"


def whole(body: bytes) -> bytes:
    return b"\x80\x02" + body + b"."


def blob(data: bytes) -> bytes:
    return call("torch.storage _load_from_bytes", b"B" + struct.pack("<I", len(data)) + data)


def torch_header() -> bytes:
    """The magic number, the version and the facts about the machine of torch's older format."""
    buffer = io.BytesIO()
    torch.save(0, buffer, _use_new_zipfile_serialization=False)
    data, position = buffer.getvalue(), 0
    for _ in range(3):
        position = data.index(b".\x80", position) + 1
    return data[:position]


def archive(
    body: bytes, extra: Mapping[str, bytes] | None = None, compression: int = zipfile.ZIP_STORED
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, data in {"data.pkl": body, **(extra or {})}.items():
            file.writestr(f"archive/{name}", data)
    return buffer.getvalue()


GROUPS = text("_parameters") + b"}" + text("_buffers") + b"}"


def module(state: bytes) -> bytes:
    meta = {"type": text("class"), "class_name": text("Generator"), "state": state}
    return call(MODULE, b"}(" + b"".join(text(k) + v for k, v in meta.items()) + b"u")
