"""Files that appear whole or not at all, and tensors from files of others."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from weights.errors import BrokenWeightsError, MissingWeightsError


def _read_umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


_UMASK = _read_umask()
"""Read once: to read it is to clear it for an instant, for every thread that makes a file then."""


@contextmanager
def replacing(path: Path) -> Generator[Path, None, None]:
    """Give a temporary path in the same folder; on success it is synced and renamed to `path`.

    A file that is replaced keeps its permissions.
    """
    # The whole of a long name would leave no room for what makes it temporary.
    prefix = f".{path.name[:40]}."
    handle, name = tempfile.mkstemp(prefix=prefix, suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        # mkstemp makes private files; what we write is as readable as any file of the user's.
        temporary.chmod(path.stat().st_mode if path.exists() else 0o666 & ~_UMASK)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_safetensors(path: Path, tensors: Mapping[str, Tensor], header: dict[str, str]) -> None:
    """Write tensors and a header of strings atomically."""
    with replacing(path) as temporary:
        save_file({k: v.contiguous() for k, v in tensors.items()}, temporary, header)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a state dictionary, from safetensors or from what PyTorch reads without running code.

    Raises:
        MissingWeightsError: the file does not exist.
        BrokenWeightsError: it cannot be read, or holds more than tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise MissingWeightsError(f"{path} does not exist") from error
    except (SafetensorError, UnpicklingError, OSError, RuntimeError, EOFError, ValueError) as error:
        raise BrokenWeightsError(f"{path} cannot be read ({error}): fetch it again") from error
