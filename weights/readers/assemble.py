"""From the tensors of a file to a generator: shapes first, then the numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from weights.errors import BrokenWeightsError, UnsupportedWeightsError
from weights.layers import resample_filter
from weights.readers.records import StoredTensor
from weights.stylegan2 import Generator, GeneratorConfig

MEAN_SAMPLES = 10_000
"""Random w whose mean stands for a mean latent that a file lacks (rosinality's number)."""

MAX_RESOLUTION = 4096
MAX_WIDTH = 4096
"""Bound of every number of channels and features."""
MAX_PARAMETERS = 200_000_000
"""Seven times those of the 1024 px network."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """A generator as a file describes it.

    Attributes:
        kind: format of the file.
        config: shape that the file says it has.
        tensors: name in `Generator.state_dict()` -> tensor; `mapping.w_avg`, the noise and the
            resample filters may be absent.
        adjust: what is still to be done to a tensor, by its name, after reading.
    """

    kind: str
    config: GeneratorConfig
    tensors: Mapping[str, StoredTensor]
    adjust: Callable[[str, Tensor], Tensor] | None = None


def assemble(found: Found) -> tuple[Generator, tuple[str, ...]]:
    """Build the generator and fill it.

    Returns:
        The frozen float32 generator on the CPU, and notes on what the file lacked.

    Raises:
        BrokenWeightsError: shapes contradict the configuration, or the numbers are damaged.
        UnsupportedWeightsError: the file has parameters that StyleGAN2 has not.
    """
    generator = _empty(found.config)
    wanted = {name: value.shape for name, value in generator.state_dict().items()}
    _check_shapes(wanted, found.tensors)
    notes: list[str] = []
    state: dict[str, Tensor] = {}
    for name, shape in wanted.items():
        stored = found.tensors.get(name)
        value = _absent(name, shape) if stored is None else stored.read().reshape(shape)
        state[name] = value if found.adjust is None else found.adjust(name, value)
    _check_filters(state)
    generator.load_state_dict(state, assign=True)
    generator.requires_grad_(False).eval()
    if any(name.endswith("noise_const") and name not in found.tensors for name in wanted):
        notes.append("it has no constant noise: none is added")
    if "mapping.w_avg" not in found.tensors:
        rng = torch.Generator().manual_seed(0)
        z = torch.randn(MEAN_SAMPLES, found.config.z_dim, generator=rng)
        generator.mapping.w_avg.copy_(generator.mapping(z).mean(dim=0))
        notes.append(f"it has no mean latent: that of {MEAN_SAMPLES} random ones was taken")
    return generator, tuple(notes)


def _empty(config: GeneratorConfig) -> Generator:
    if config.resolution <= MAX_RESOLUTION:
        with torch.device("meta"):
            generator = Generator(config)
        if sum(value.numel() for value in generator.state_dict().values()) <= MAX_PARAMETERS:
            return generator
    raise BrokenWeightsError("its configuration is far larger than that of any StyleGAN2")


def height_to_width(tensors: Mapping[str, StoredTensor]) -> int:
    """How many times as high as wide the first constant is.

    Raises:
        BrokenWeightsError: it is neither 4 x 4 nor 4 x 2.
    """
    constant = tensors.get("synthesis.b4.const")
    if constant is None or constant.size[-2:] not in ((4, 4), (4, 2)):
        raise BrokenWeightsError("its first constant is neither 4 x 4 nor 4 x 2: get the file anew")
    return constant.size[-2] // constant.size[-1]


def _check_shapes(wanted: Mapping[str, torch.Size], tensors: Mapping[str, StoredTensor]) -> None:
    for name, stored in tensors.items():
        if name not in wanted:
            raise UnsupportedWeightsError(
                f"its generator has parameters that StyleGAN2 has not ({name!r})"
            )
        # rosinality keeps axes of length one for broadcasting.
        if [n for n in stored.size if n != 1] != [n for n in wanted[name] if n != 1]:
            raise BrokenWeightsError(
                f"its {name} has shape {list(stored.size)} where its configuration asks for "
                f"{list(wanted[name])}: get the file anew"
            )
    missing = [name for name in wanted if name not in tensors and not _may_be_absent(name)]
    if missing:
        raise BrokenWeightsError(f"it lacks {missing[0]}: get the file anew")


def _may_be_absent(name: str) -> bool:
    optional = ("w_avg", "noise_const", "noise_strength", "resample_filter")
    return name.rpartition(".")[2] in optional


def _absent(name: str, shape: torch.Size) -> Tensor:
    return resample_filter() if name.endswith("resample_filter") else torch.zeros(shape)


def _check_filters(state: Mapping[str, Tensor]) -> None:
    for name, value in state.items():
        if name.endswith("resample_filter") and not torch.allclose(value, resample_filter()):
            raise UnsupportedWeightsError(f"its {name} is not the low-pass filter [1, 3, 3, 1]")
