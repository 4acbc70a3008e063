"""Which foreign format a file is in, by its content and never by its name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from weights.errors import (
    BrokenWeightsError,
    MissingWeightsError,
    UnsupportedWeightsError,
    WeightsError,
)
from weights.readers.assemble import Found, assemble
from weights.readers.container import read_root
from weights.readers.nvidia import find_nvidia, is_nvidia
from weights.readers.records import text_keys
from weights.readers.rosinality import find_rosinality, state_dict_of
from weights.readers.tensorflow import find_tensorflow, is_tensorflow
from weights.stylegan2 import Generator

SAFETENSORS_JSON = 8
"""Offset of the JSON header in a safetensors file."""


@dataclass(frozen=True, kw_only=True)
class ForeignGenerator:
    """A generator that came from somebody else's file.

    Attributes:
        generator: float32, on the CPU, frozen, in evaluation mode.
        kind: format that it was read from: "nvidia-pickle", "pti-module", "rosinality" or
            "tensorflow-pickle".
        notes: what a person should know about the conversion, one line each.
    """

    generator: Generator
    kind: str
    notes: tuple[str, ...]


def is_foreign(path: Path) -> bool:
    """Whether the file starts like a pickle or like an archive of torch.save."""
    with path.open("rb") as file:
        start = file.read(16)
    if start[SAFETENSORS_JSON : SAFETENSORS_JSON + 1] == b"{":
        return False
    pickled = start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")
    return pickled or start.startswith((b"PK\x03\x04", b"(d", b"}q"))


def read_generator(path: Path) -> ForeignGenerator:
    """Read a StyleGAN2 generator from a file of another program.

    Raises:
        MissingWeightsError: there is no such file.
        BrokenWeightsError: it is damaged, or contradicts itself.
        UnsafeWeightsError: it asks for code to be run; none was.
        UnsupportedWeightsError: it holds something other than a StyleGAN2 that is read.
    """
    if not path.is_file():
        raise MissingWeightsError(f"{path} is no file: give a network's file")
    try:
        if not is_foreign(path):
            raise BrokenWeightsError("it is neither a pickle nor a file of torch.save")
        root = read_root(path)
        try:
            found = _find(root)
            generator, notes = assemble(found)
        except (TypeError, KeyError) as error:
            raise BrokenWeightsError("its generator lacks parts: get the file anew") from error
    except OSError as error:
        raise BrokenWeightsError(f"{path} cannot be read: {error.strerror}") from error
    except WeightsError as error:
        raise type(error)(f"{path} was not read: {error}") from error
    return ForeignGenerator(generator=generator, kind=found.kind, notes=notes)


def _find(root: object) -> Found:
    if is_nvidia(root):
        return find_nvidia(root)
    if is_tensorflow(root):
        return find_tensorflow(root)
    state = state_dict_of(root)
    if state is None:
        raise UnsupportedWeightsError(
            "it holds no StyleGAN2 generator in a form that is known here (NVIDIA's G_ema, "
            "rosinality's g_ema, PTI's tuned module)"
        )
    return find_rosinality(text_keys(root), state)
