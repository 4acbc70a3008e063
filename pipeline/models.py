"""The networks of one run, loaded once, with the device and the number format they work in."""

from dataclasses import dataclass

import torch

from pipeline.errors import PipelineError
from weights.directions import Directions
from weights.dtypes import choose_dtype
from weights.encoder import Encoder
from weights.perceptual import Perceptual, load_perceptual
from weights.store import (
    DEFAULT_GENERATOR,
    Domain,
    generator_info,
    load_directions,
    load_encoder,
    load_generator,
    parameters_sha256,
)
from weights.stylegan2 import Generator

DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True, kw_only=True)
class Models:
    """Everything that is loaded before the first photo and shared by all of them.

    Attributes:
        generator: The base generator, frozen; inversions tune copies of it.
        generator_name: Name in the catalogue or path, as the user gave it.
        domain: "face" where the generator draws aligned faces, "whole" where photos are taken as
            they are.
        sha256: SHA-256 of the generator's parameters, the identity that sessions remember.
        encoder: First guess of latents from a crop, or None where there is none.
        directions: What leads to expressions in the generator's latents, or None likewise.
        perceptual: The perceptual distance that inversion descends.
        finder: Which face finder to use, one of `pipeline.faces.FINDERS`.
        device: Where all of them live.
        dtype: Number format of the generator's convolutions.
    """

    generator: Generator
    generator_name: str
    domain: Domain
    sha256: str
    encoder: Encoder | None
    directions: Directions | None
    perceptual: Perceptual
    finder: str
    device: torch.device
    dtype: torch.dtype


def load_models(
    generator: str = DEFAULT_GENERATOR, *, device: str = "auto", finder: str = "auto"
) -> Models:
    """Load the networks onto one device.

    Args:
        generator: Name in the catalogue, or path of a safetensors file.
        device: One of `DEVICES`.
        finder: One of `pipeline.faces.FINDERS`.

    Raises:
        PipelineError: The device is not on this machine.
        WeightsError: A file of parameters is missing or broken.
    """
    place = choose_device(device)
    dtype = choose_dtype(place)
    network = load_generator(generator, device=place, compute_dtype=dtype)
    network.squared = True
    return Models(
        generator=network,
        generator_name=generator,
        domain=generator_info(generator).domain,
        sha256=parameters_sha256(network),
        encoder=load_encoder(generator, device=place),
        directions=load_directions(generator, device=place),
        perceptual=load_perceptual(device=place),
        finder=finder,
        device=place,
        dtype=dtype,
    )


def choose_device(name: str) -> torch.device:
    """Turn `auto`, `cpu`, `cuda` or `mps` into a device that is there.

    Raises:
        PipelineError: The name is unknown, or there is no such device here.
    """
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(kind for kind, there in present.items() if there)
    if name not in present:
        raise PipelineError(f"unknown device {name!r}: choose one of {', '.join(DEVICES)}")
    if not present[name]:
        raise PipelineError(f"this machine has no {name} device: choose --device cpu or auto")
    return torch.device(name)
