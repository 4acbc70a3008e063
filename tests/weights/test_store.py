"""Saving and loading networks, and what a bad file gets."""

from __future__ import annotations

import dataclasses
import json
import resource
from pathlib import Path

import pytest
import torch

from tests.weights.foreign_nvidia import snapshot, tiny, write_pickle
from weights.encoder import Encoder, EncoderConfig
from weights.errors import BrokenWeightsError, MissingWeightsError, WeightsError
from weights.files import write_safetensors
from weights.store import (
    GeneratorInfo,
    find_weights,
    generator_info,
    load_encoder,
    load_generator,
    parameters_sha256,
    save_encoder,
    save_generator,
)
from weights.stylegan2 import Generator


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHOTODRAG_CACHE", str(tmp_path / "cache"))


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
    with pytest.raises(MissingWeightsError, match=r"no weights called ffhq: .* portrait-128"):
        find_weights("ffhq")
    with pytest.raises(MissingWeightsError, match=r"gone\.safetensors"):
        load_generator(tmp_path / "gone.safetensors")


def test_a_network_of_the_catalogue_is_offered_and_not_fetched() -> None:
    with pytest.raises(MissingWeightsError) as caught:
        load_generator("ffhq-1024")
    assert str(caught.value) == (
        "ffhq-1024 is not on this machine: photodrag weights fetch ffhq-1024 (382 MB; NVIDIA "
        "Source Code License (research or evaluation only); commercial use not allowed)"
    )


def test_foreign_files_are_read_directly_with_a_hint(tmp_path: Path) -> None:
    path = tmp_path / "network.pkl"
    write_pickle(path, snapshot(tiny()))
    assert load_generator(path).config.resolution == 32
    info = generator_info(path)
    assert info.domain == "face"
    assert info.notes == (
        f"{path} is converted anew each time: photodrag weights import {path} --name NAME "
        "does it once",
    )
    assert load_encoder(path) is None


def test_the_domain_travels_with_the_file(tiny_generator: Generator, tmp_path: Path) -> None:
    path = tmp_path / "cars.safetensors"
    info = GeneratorInfo(domain="whole", what="cars", licence="mine", source_sha256="12")
    save_generator(path, tiny_generator, what="cars", dtype=torch.float32, info=info)
    assert generator_info(path) == info
    assert generator_info().domain == "face"
    loaded = load_generator(path).state_dict()
    assert all(torch.equal(loaded[k], v) for k, v in tiny_generator.state_dict().items())


def test_what_is_loaded_can_be_changed_without_changing_the_file(
    tiny_generator: Generator, tmp_path: Path
) -> None:
    path = tmp_path / "tiny.safetensors"
    save_generator(path, tiny_generator, what="a test", dtype=torch.float32)
    before = path.read_bytes()
    load_generator(path).mapping.w_avg.fill_(7.0)
    assert path.read_bytes() == before
    assert not load_generator(path).mapping.w_avg.eq(7.0).any()


def test_pickles_that_run_code_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "network.pkl"
    for protocol in (b"", b"\x80\x02"):
        path.write_bytes(protocol + b"cos\nsystem\n(S'touch " + bytes(tmp_path) + b"/pwned'\ntR.")
        with pytest.raises(WeightsError) as caught:
            load_generator(path)
        assert "\n" not in str(caught.value)
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


def write_raw(path: Path, header: bytes, body: bytes = b"", *, length: int | None = None) -> None:
    """Write a safetensors file by hand, with any length of its header."""
    announced = len(header) if length is None else length
    path.write_bytes(announced.to_bytes(8, "little") + header + body)


@pytest.mark.parametrize("length", [2**31, 2**63, None])
def test_a_header_of_two_gigabytes_takes_no_memory(tmp_path: Path, length: int | None) -> None:
    path = tmp_path / "huge.safetensors"
    write_raw(path, b'{"a": 1}', length=2**31 if length is None else length)
    if length is None:
        # The bytes are there, as a hole.
        with path.open("r+b") as file:
            file.truncate(2**31 + 8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BrokenWeightsError, match="not a readable safetensors file"):
        load_generator(path)
    # Of kilobytes on Linux.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**16


CONFIG = {
    "resolution": 32, "channel_base": 256, "channel_max": 32,
    "w_dim": 32, "z_dim": 32, "mapping_layers": 2,
}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("", "no readable configuration"),
        ("[]", "no readable configuration"),
        ("[" * 100_000, "no readable configuration"),
        ("{}", "unknown configuration"),
        (json.dumps({**CONFIG, "colour": 3}), "unknown configuration"),
        (json.dumps({**CONFIG, "resolution": 33}), "power of two"),
        (json.dumps({**CONFIG, "resolution": "32"}), "unknown configuration"),
        (json.dumps({**CONFIG, "resolution": [32]}), "unknown configuration"),
        (json.dumps({**CONFIG, "resolution": 2**40}), "out of bounds: resolution 1099511627776"),
        (json.dumps({**CONFIG, "channel_max": 10**9}), "out of bounds: channel_max"),
        (json.dumps({**CONFIG, "w_dim": 0}), "out of bounds: w_dim 0"),
        (json.dumps({**CONFIG, "w_dim": float("nan")}), "out of bounds: w_dim nan"),
        (json.dumps({**CONFIG, "w_dim": 31.5}), "unknown configuration"),
        (json.dumps({**CONFIG, "mapping_layers": 60_000}), "out of bounds: mapping_layers"),
        (json.dumps({**CONFIG, "resolution": 2**16}), "unknown configuration"),
        (json.dumps({**CONFIG, "resolution": 64}), r"does not fit its configuration: .*b64"),
        (json.dumps({**CONFIG, "w_dim": 2**16}), "does not fit its configuration"),
        (json.dumps({**CONFIG, "channel_base": 128}), r"is \[\d.*, not \["),
    ],
)
def test_configurations_that_contradict_the_tensors(
    tiny_generator: Generator, tmp_path: Path, config: str, reason: str
) -> None:
    path = tmp_path / "tiny.safetensors"
    header = {"kind": "generator", "config": config}
    write_safetensors(path, tiny_generator.state_dict(), header)
    with pytest.raises(BrokenWeightsError, match=reason) as caught:
        load_generator(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite(
    tiny_generator: Generator, tmp_path: Path, value: float
) -> None:
    path = tmp_path / "tiny.safetensors"
    tiny_generator.synthesis.blocks()[1].conv1.weight.view(-1)[5] = value
    save_generator(path, tiny_generator, what="a test")
    with pytest.raises(BrokenWeightsError, match="numbers that are not finite"):
        load_generator(path)


def test_every_cut_of_a_file_is_refused(tiny_generator: Generator, tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    save_generator(path, tiny_generator, what="a test")
    whole = path.read_bytes()
    for kept in (0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:kept])
        with pytest.raises(BrokenWeightsError, match="not a readable safetensors file"):
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
