"""Where networks' parameters are found: the built-in files, and files of the user's.

Our own files are safetensors whose header holds the configuration; generators in other people's
formats are read by `weights.readers`. Nothing is downloaded from here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from weights.builtin import FOLDER, builtin_models
from weights.cache import find_record, is_name, list_records
from weights.catalogue import Domain, find_entry, read_catalogue
from weights.directions import Directions, DirectionsConfig
from weights.encoder import Encoder, EncoderConfig
from weights.errors import BrokenWeightsError, MissingWeightsError, WeightsError
from weights.fetch import hash_file
from weights.files import write_safetensors
from weights.readers import is_foreign, read_generator
from weights.stylegan2 import Generator, GeneratorConfig

DEFAULT_GENERATOR = "portrait-128"
GENERATOR, ENCODER, DIRECTIONS = "generator", "encoder", "directions"
"""Kinds of networks that have a file of ours."""
SUFFIX = ".safetensors"
LARGEST = 2**16
"""Limit of every number of a configuration: more is a damaged or a hostile file."""
MOST_LAYERS = 64

C = TypeVar("C")
N = TypeVar("N", bound=nn.Module)


def find_weights(name_or_path: str | Path) -> Path:
    """Path of a network by its name, built in or in the cache, or of a file.

    Raises:
        MissingWeightsError: there is no such name and no such file; a network of the catalogue is
            never fetched from here.
    """
    name = str(name_or_path)
    if is_name(name):
        builtin = FOLDER / f"{name}{SUFFIX}"
        if builtin.is_file():
            return builtin
        record = find_record(name)
        if record is not None:
            return record.path
    path = Path(name_or_path)
    if path.is_file():
        return path
    entry = read_catalogue().get(name)
    if entry is not None:
        raise MissingWeightsError(
            f"{name} is not on this machine: photodrag weights fetch {name} ({entry.size}; "
            f"{entry.terms})"
        )
    there = [
        model.name for model in (*builtin_models(), *list_records()) if model.kind == GENERATOR
    ]
    raise MissingWeightsError(
        f"no weights called {name_or_path}: give a file or one of {', '.join(there)}; "
        "photodrag weights list shows what can be fetched"
    )


@dataclass(frozen=True, kw_only=True)
class GeneratorInfo:
    """What is known of a generator beside its parameters.

    Attributes:
        domain: what it draws, and so how a photo is cut for it.
        what: one line about it.
        licence: terms of its use, "" where none are known.
        source_sha256: hash of the file that it was converted from, "" where it was not converted.
        notes: what its user should know, one line each.
    """

    domain: Domain
    what: str
    licence: str
    source_sha256: str
    notes: tuple[str, ...] = ()


def generator_info(name_or_path: str | Path = DEFAULT_GENERATOR) -> GeneratorInfo:
    """Read what is known of a generator, without its parameters.

    Raises:
        MissingWeightsError: no such name or file.
        BrokenWeightsError: the file is damaged or holds something else.
    """
    path = find_weights(name_or_path)
    if is_foreign(path):
        return _foreign_info(path)
    header = _read_header(path, GENERATOR)
    domains: tuple[Domain, ...] = get_args(Domain)
    named = header.get("domain", "face")
    if named not in domains:
        raise BrokenWeightsError(f"{path} is for an unknown domain {named!r}: import it again")
    return GeneratorInfo(
        domain=named,
        what=header.get("what", ""),
        licence=header.get("licence", ""),
        source_sha256=header.get("source_sha256", ""),
    )


def _foreign_info(path: Path) -> GeneratorInfo:
    sha256 = hash_file(path)
    entry = find_entry(sha256)
    return GeneratorInfo(
        domain=entry.domain or "face" if entry else "face",
        what=entry.what if entry else path.name,
        licence=entry.terms if entry else "",
        source_sha256=sha256,
        notes=(
            f"{path} is converted anew each time: photodrag weights import {path} --name NAME "
            "does it once",
        ),
    )


def load_generator(
    name_or_path: str | Path = DEFAULT_GENERATOR,
    *,
    device: torch.device | str = "cpu",
    compute_dtype: torch.dtype = torch.float32,
) -> Generator:
    """A frozen generator in evaluation mode; on the CPU its parameters stay mapped to the file.

    Args:
        name_or_path: a name such as `portrait-128`, built in, fetched or imported, or a file of
            ours or of a format that `weights.readers` knows.
        device: where its parameters go.
        compute_dtype: dtype of its convolutions.

    Raises:
        MissingWeightsError: no such name or file.
        WeightsError: the file is damaged, unsafe, or its tensors do not fit its configuration.
    """
    path = find_weights(name_or_path)
    if is_foreign(path):
        generator = read_generator(path).generator
    else:
        generator = _read_network(path, GENERATOR, _build_generator)
    generator.compute_dtype = compute_dtype
    return generator.to(device)


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
    if not path.is_file() or is_foreign(generator):
        return None
    encoder = _read_network(path, ENCODER, lambda values: Encoder(EncoderConfig(**values)))
    config, wanted = encoder.config, _config_of(generator)
    if (config.resolution, config.num_latents, config.w_dim) != (
        wanted.resolution, wanted.num_latents, wanted.w_dim,
    ):  # fmt: skip
        raise BrokenWeightsError(f"{path} does not belong to {generator}: move it away")
    return encoder.to(device)


def load_directions(
    name_or_path: str | Path = DEFAULT_GENERATOR, *, device: torch.device | str = "cpu"
) -> Directions | None:
    """The directions that were found for a generator, or None where there are none.

    They lie beside the generator: `<generator>-directions.safetensors`.

    Raises:
        MissingWeightsError: no generator of this name or file.
        BrokenWeightsError: their file is damaged or belongs to another generator.
    """
    generator = find_weights(name_or_path)
    path = generator.with_name(f"{generator.stem}-directions{SUFFIX}")
    if not path.is_file() or is_foreign(generator):
        return None
    directions = _read_network(path, DIRECTIONS, _build_directions)
    config, wanted = directions.config, _config_of(generator)
    if (config.num_latents, config.w_dim) != (wanted.num_latents, wanted.w_dim):
        raise BrokenWeightsError(f"{path} does not belong to {generator}: move it away")
    return directions.to(device)


def save_generator(
    path: Path,
    generator: Generator,
    *,
    what: str,
    dtype: torch.dtype = torch.float16,
    info: GeneratorInfo | None = None,
) -> None:
    """Write a generator, with what is known of it, atomically."""
    known = {} if info is None else {
        "domain": info.domain, "licence": info.licence, "source_sha256": info.source_sha256,
    }  # fmt: skip
    header = {"kind": GENERATOR, "what": what, "config": json.dumps(asdict(generator.config))}
    _save_network(path, generator, {**header, **known}, dtype)


def save_encoder(path: Path, encoder: Encoder, *, what: str) -> None:
    """Write an encoder in half precision, atomically."""
    header = {"kind": ENCODER, "what": what, "config": json.dumps(asdict(encoder.config))}
    _save_network(path, encoder, header, torch.float16)


def save_directions(path: Path, directions: Directions, *, what: str) -> None:
    """Write directions in half precision, atomically."""
    header = {"kind": DIRECTIONS, "what": what, "config": json.dumps(asdict(directions.config))}
    _save_network(path, directions, header, torch.float16)


def parameters_sha256(network: nn.Module) -> str:
    """Hash of all parameters and buffers, by which derived files know their base."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _build_generator(values: Mapping[str, Any]) -> Generator:
    return Generator(GeneratorConfig(**values))


def _read_header(path: Path, kind: str) -> dict[str, str]:
    try:
        with safe_open(path, framework="pt") as file:
            header: dict[str, str] = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise BrokenWeightsError(f"{path} is not a readable safetensors file: {error}") from error
    if header.get("kind") != kind:
        raise BrokenWeightsError(
            f"{path} holds {header.get('kind', 'no photodrag network')!r} where a {kind} is needed"
        )
    return header


def _read_config(header: Mapping[str, str], path: Path) -> dict[str, Any]:
    try:
        values = json.loads(header.get("config", ""))
        pairs = list(values.items())
    except (ValueError, AttributeError, RecursionError) as error:
        raise BrokenWeightsError(f"{path} has no readable configuration") from error
    for name, value in pairs:
        limit = MOST_LAYERS if name.endswith("layers") else LARGEST
        if isinstance(value, int | float) and not 0 < value <= limit:
            raise BrokenWeightsError(f"{path} has a configuration out of bounds: {name} {value}")
    return values


def _config_of(generator: Path) -> GeneratorConfig:
    return GeneratorConfig(**_read_config(_read_header(generator, GENERATOR), generator))


def _build_directions(values: Mapping[str, Any]) -> Directions:
    names = tuple(values.get("names", ()))
    rest = {name: value for name, value in values.items() if name != "names"}
    return Directions(DirectionsConfig(names=names, **rest))


def _read_network(path: Path, kind: str, build: Callable[[Mapping[str, Any]], N]) -> N:
    """Build what the configuration says and map the file's tensors into it.

    Names and shapes are compared before any memory is taken for parameters.
    """
    values = _read_config(_read_header(path, kind), path)
    try:
        with torch.device("meta"):
            network = build(values)
    except (TypeError, ValueError, ArithmeticError, RuntimeError, WeightsError) as error:
        raise BrokenWeightsError(f"{path} has an unknown configuration: {error}") from error
    shapes = {name: list(value.shape) for name, value in network.state_dict().items()}
    with safe_open(path, framework="pt") as file:
        names = set(file.keys())
        if names != set(shapes):
            odd = ", ".join(sorted(names ^ set(shapes))[:3])
            raise BrokenWeightsError(f"{path} does not fit its configuration: {odd}")
        for name, wanted in shapes.items():
            if (found := file.get_slice(name).get_shape()) != wanted:
                raise BrokenWeightsError(
                    f"{path} does not fit its configuration: {name} is {found}, not {wanted}"
                )
        tensors = {name: file.get_tensor(name).float() for name in shapes}
    if any(not value.isfinite().all() for value in tensors.values()):
        raise BrokenWeightsError(f"{path} holds numbers that are not finite: fetch it again")
    network.load_state_dict(tensors, assign=True)
    return network.requires_grad_(False).eval()


def _save_network(
    path: Path, network: nn.Module, header: Mapping[str, str], dtype: torch.dtype
) -> None:
    tensors = {name: value.detach().to(dtype) for name, value in network.state_dict().items()}
    write_safetensors(path, tensors, {"format": "pt", **header})
