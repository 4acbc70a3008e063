"""Saving and loading networks, and what a bad file gets."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from weights.encoder import Encoder, EncoderConfig
from weights.errors import BrokenWeightsError, MissingWeightsError
from weights.store import (
    find_weights,
    load_encoder,
    load_generator,
    parameters_sha256,
    save_encoder,
    save_generator,
)
from weights.stylegan2 import Generator


def test_generator_survives_the_disk(tiny_generator: Generator, tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    save_generator(path, tiny_generator, what="a test")
    loaded = load_generator(path, compute_dtype=torch.bfloat16)
    assert loaded.config == tiny_generator.config
    assert loaded.compute_dtype == torch.bfloat16
    for name, value in tiny_generator.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value.half().float(), rtol=0, atol=0)
    assert not any(p.requires_grad for p in loaded.parameters())


def test_hash_tells_networks_apart(tiny_generator: Generator) -> None:
    before = parameters_sha256(tiny_generator)
    assert parameters_sha256(tiny_generator) == before
    tiny_generator.synthesis.blocks()[0].conv1.bias[0] += 1e-3
    assert parameters_sha256(tiny_generator) != before


def test_missing_weights_name_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(MissingWeightsError, match=r"no weights called ffhq: give a \.safetensors"):
        find_weights("ffhq")
    with pytest.raises(MissingWeightsError, match=r"gone\.safetensors"):
        load_generator(tmp_path / "gone.safetensors")


def test_other_formats_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "network.pkl"
    path.write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    with pytest.raises(BrokenWeightsError, match="others can run code"):
        load_generator(path)
    assert not (tmp_path / "pwned").exists()


def test_broken_files(tiny_generator: Generator, tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    save_generator(path, tiny_generator, what="a test")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BrokenWeightsError, match="not a readable safetensors file"):
        load_generator(path)
    config = EncoderConfig(resolution=128, num_latents=8, w_dim=32, hidden=8)
    save_encoder(path, Encoder(config), what="a test")
    with pytest.raises(BrokenWeightsError, match="holds 'encoder' where a generator is needed"):
        load_generator(path)


def test_an_encoder_is_found_beside_its_generator(
    tiny_generator: Generator, tmp_path: Path
) -> None:
    path = tmp_path / "mine.safetensors"
    save_generator(path, tiny_generator, what="a test")
    assert load_encoder(path) is None

    shape = tiny_generator.config
    config = EncoderConfig(
        resolution=shape.resolution, num_latents=shape.num_latents, w_dim=shape.w_dim, hidden=8
    )
    encoder = Encoder(config)
    save_encoder(tmp_path / "mine-encoder.safetensors", encoder, what="a test")
    loaded = load_encoder(path)
    assert loaded is not None
    assert loaded.config == config
    torch.testing.assert_close(loaded.base.weight, encoder.base.weight.half().float())

    other = dataclasses.replace(config, num_latents=shape.num_latents + 2)
    save_encoder(tmp_path / "mine-encoder.safetensors", Encoder(other), what="a test")
    with pytest.raises(BrokenWeightsError, match=r"does not belong to .*mine\.safetensors"):
        load_encoder(path)


def test_the_built_in_generator_has_its_encoder() -> None:
    encoder = load_encoder()
    assert encoder is not None
    assert encoder.config.num_latents == load_generator().config.num_latents
