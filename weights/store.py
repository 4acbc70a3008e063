"""Where networks' parameters are found: the built-in files, and files of the user's.

Only safetensors are read; the header holds the configuration. Nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from weights.builtin import FOLDER
from weights.encoder import Encoder, EncoderConfig
from weights.errors import BrokenWeightsError, MissingWeightsError
from weights.files import write_safetensors
from weights.stylegan2 import Generator, GeneratorConfig

DEFAULT_GENERATOR = "portrait-128"
SUFFIX = ".safetensors"

C = TypeVar("C")
N = TypeVar("N", bound=nn.Module)


@dataclass(frozen=True)
class BuiltinModel:
    """A network that comes with this package.

    Attributes:
        name: what `--generator` and `weights list` call it.
        what: one line about it.
        size: bytes of its file.
    """

    name: str
    what: str
    size: int


def builtin_models() -> list[BuiltinModel]:
    """The networks that come with this package, by name."""
    models: list[BuiltinModel] = []
    for path in sorted(FOLDER.glob(f"*{SUFFIX}"), key=lambda file: file.stem):
        with safe_open(path, framework="pt") as file:
            what = (file.metadata() or {}).get("what", "")
        models.append(BuiltinModel(path.stem, what, path.stat().st_size))
    return models


def cache_folder() -> Path:
    """Folder of files that the user adds: `PHOTODRAG_CACHE`, or `~/.cache/photodrag`."""
    chosen = os.environ.get("PHOTODRAG_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "photodrag"


def find_weights(name_or_path: str | Path) -> Path:
    """Path of a built-in network by name, or of a safetensors file.

    Raises:
        MissingWeightsError: there is no such name and no such file.
        BrokenWeightsError: the file is of another format.
    """
    path = Path(name_or_path)
    if path.suffix == SUFFIX and path.is_file():
        return path
    builtin = FOLDER / f"{name_or_path}{SUFFIX}"
    if builtin.is_file() and path.name == str(name_or_path):
        return builtin
    if path.exists():
        raise BrokenWeightsError(
            f"{path} is not a {SUFFIX} file: only that format is read, since others can run code"
        )
    names = ", ".join(model.name for model in builtin_models())
    raise MissingWeightsError(
        f"no weights called {name_or_path}: give a {SUFFIX} file or one of the built-in {names}"
    )


def read_weights(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read the configuration and the tensors of a file that must hold a network of this kind.

    Raises:
        BrokenWeightsError: the file is damaged or holds something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        config = json.loads(header.get("config", "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise BrokenWeightsError(f"{path} is not a readable safetensors file: {error}") from error
    if header.get("kind") != kind:
        raise BrokenWeightsError(
            f"{path} holds {header.get('kind', 'no photodrag network')!r} where a {kind} is needed"
        )
    return config, tensors


def save_weights(
    path: Path, network: nn.Module, *, kind: str, what: str, config: Mapping[str, Any]
) -> None:
    """Write a network in half precision, with its configuration in the header, atomically."""
    tensors = {name: value.detach().half() for name, value in network.state_dict().items()}
    header = {"format": "pt", "kind": kind, "what": what, "config": json.dumps(dict(config))}
    write_safetensors(path, tensors, header)


def load_generator(
    name_or_path: str | Path = DEFAULT_GENERATOR,
    *,
    device: torch.device | str = "cpu",
    compute_dtype: torch.dtype = torch.float32,
) -> Generator:
    """A frozen generator in evaluation mode.

    Args:
        name_or_path: a built-in name such as `portrait-128`, or a safetensors file.
        device: where its parameters go.
        compute_dtype: dtype of its convolutions.

    Raises:
        MissingWeightsError: no such name or file.
        BrokenWeightsError: the file is damaged or its tensors do not fit its configuration.
    """
    path = find_weights(name_or_path)
    config, tensors = read_weights(path, "generator")
    generator = Generator(_configured(GeneratorConfig, config, path))
    generator.compute_dtype = compute_dtype
    return _filled(generator, tensors, path).to(device)


def load_encoder(
    name_or_path: str | Path = DEFAULT_GENERATOR, *, device: torch.device | str = "cpu"
) -> Encoder | None:
    """The encoder that was trained with a generator, or None where there is none.

    It lies beside the generator: `<generator>-encoder.safetensors`.

    Raises:
        MissingWeightsError: no generator of this name or file.
        BrokenWeightsError: the encoder's file is damaged or belongs to another generator.
    """
    generator = find_weights(name_or_path)
    path = generator.with_name(f"{generator.stem}-encoder{SUFFIX}")
    if not path.is_file():
        return None
    values, tensors = read_weights(path, "encoder")
    config = _configured(EncoderConfig, values, path)
    wanted = _configured(GeneratorConfig, read_weights(generator, "generator")[0], generator)
    if (config.resolution, config.num_latents, config.w_dim) != (
        wanted.resolution, wanted.num_latents, wanted.w_dim,
    ):  # fmt: skip
        raise BrokenWeightsError(f"{path} does not belong to {generator}: move it away")
    return _filled(Encoder(config), tensors, path).to(device)


def save_generator(path: Path, generator: Generator, *, what: str) -> None:
    """Write a generator in half precision."""
    save_weights(path, generator, kind="generator", what=what, config=asdict(generator.config))


def save_encoder(path: Path, encoder: Encoder, *, what: str) -> None:
    """Write an encoder in half precision."""
    save_weights(path, encoder, kind="encoder", what=what, config=asdict(encoder.config))


def parameters_sha256(network: nn.Module) -> str:
    """Hash of all parameters and buffers, by which derived files know their base."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _configured(config: Callable[..., C], values: Mapping[str, Any], path: Path) -> C:
    try:
        return config(**values)
    except TypeError as error:
        raise BrokenWeightsError(f"{path} has an unknown configuration: {error}") from error


def _filled(network: N, tensors: dict[str, Tensor], path: Path) -> N:
    try:
        network.load_state_dict({name: value.float() for name, value in tensors.items()})
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise BrokenWeightsError(f"{path} does not fit its configuration: {reason}") from error
    return network.requires_grad_(False).eval()
