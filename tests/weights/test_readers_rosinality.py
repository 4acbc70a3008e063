"""State dictionaries of rosinality's generator against its own forward pass."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.weights import foreign_rosinality
from weights.errors import BrokenWeightsError, UnsupportedWeightsError
from weights.readers import ForeignGenerator, is_foreign, read_generator
from weights.stylegan2 import GeneratorConfig


@pytest.fixture
def theirs() -> foreign_rosinality.Generator:
    return foreign_rosinality.tiny()


@pytest.fixture
def mean() -> Tensor:
    return torch.randn(32, generator=torch.Generator().manual_seed(8)) * 0.2


def saved(folder: Path, value: Any, *, zipped: bool = True) -> Path:
    path = folder / "550000.pt"
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    return path


def assert_same(theirs: foreign_rosinality.Generator, read: ForeignGenerator, mean: Tensor) -> None:
    z = torch.randn(2, 32, generator=torch.Generator().manual_seed(3))
    expected = theirs(z, mean, 0.6)
    image = read.generator(read.generator.map(z, psi=0.6))
    assert (image - expected).abs().max() <= 1e-5 * (expected.max() - expected.min())


@pytest.mark.parametrize("zipped", [True, False])
def test_round_trip(
    theirs: foreign_rosinality.Generator, mean: Tensor, tmp_path: Path, zipped: bool
) -> None:
    path = saved(tmp_path, {"g_ema": theirs.state_dict(), "latent_avg": mean}, zipped=zipped)
    assert is_foreign(path)
    read = read_generator(path)
    assert read.kind == "rosinality"
    assert read.notes == ()
    assert read.generator.config == GeneratorConfig(
        resolution=32, channel_base=256, channel_max=24, w_dim=32, z_dim=32, mapping_layers=3,
        conv_clamp=None,
    )  # fmt: skip
    assert_same(theirs, read, mean)


def test_training_checkpoint(
    theirs: foreign_rosinality.Generator, mean: Tensor, tmp_path: Path
) -> None:
    optimizer = {
        "state": {0: {"step": 9, "exp_avg": torch.zeros(3, 3)}},
        "param_groups": [{"lr": 0.002, "betas": (0.0, 0.99), "params": [0, 1]}],
    }
    checkpoint = {
        "g": foreign_rosinality.tiny().state_dict(), "g_ema": theirs.state_dict(),
        "g_optim": optimizer, "args": argparse.Namespace(size=32), "ada_aug_p": 0.0,
        "latent_avg": mean,
    }  # fmt: skip
    assert_same(theirs, read_generator(saved(tmp_path, checkpoint)), mean)


def test_decoder_of_an_encoder(
    theirs: foreign_rosinality.Generator, mean: Tensor, tmp_path: Path
) -> None:
    state = {f"decoder.{name}": value for name, value in theirs.state_dict().items()}
    state["encoder.input_layer.0.weight"] = torch.zeros(4, 3, 3, 3)
    checkpoint = {"state_dict": state, "latent_avg": mean.repeat(8, 1), "opts": {"lr": 1e-4}}
    assert_same(theirs, read_generator(saved(tmp_path, checkpoint)), mean)


def test_bare_state_dict_gets_a_mean(theirs: foreign_rosinality.Generator, tmp_path: Path) -> None:
    read = read_generator(saved(tmp_path, theirs.state_dict()))
    assert read.notes == ("it has no mean latent: that of 10000 random ones was taken",)
    mean = theirs.style(torch.randn(10000, 32)).mean(dim=0)
    assert (read.generator.mapping.w_avg - mean).abs().max() < 0.05
    assert_same(theirs, read, read.generator.mapping.w_avg)


def test_without_noise_buffers(theirs: foreign_rosinality.Generator, tmp_path: Path) -> None:
    state = {k: v for k, v in theirs.state_dict().items() if not k.startswith("noises")}
    read = read_generator(saved(tmp_path, {"g_ema": state, "latent_avg": torch.zeros(32)}))
    assert read.notes == ("it has no constant noise: none is added",)
    for noise in theirs.noises.buffers():
        noise.zero_()
    assert_same(theirs, read, torch.zeros(32))


@pytest.mark.parametrize("multiplier", [1, 2])
def test_channels_of_the_published_sizes(multiplier: int, tmp_path: Path) -> None:
    channels = {**dict.fromkeys((4, 8, 16, 32), 512), 64: 256 * multiplier}
    state = foreign_rosinality.Generator(channels, w_dim=16, n_mlp=8).half().state_dict()
    config = read_generator(saved(tmp_path, {"g_ema": state})).generator.config
    assert (config.channel_base, config.channel_max) == (16384 * multiplier, 512)
    assert (config.resolution, config.mapping_layers, config.w_dim) == (64, 8, 16)


def test_refuses_another_filter(theirs: foreign_rosinality.Generator, tmp_path: Path) -> None:
    state = theirs.state_dict()
    state["convs.0.conv.blur.kernel"] = torch.ones(4, 4)
    with pytest.raises(UnsupportedWeightsError, match=r"blur\.kernel is not the low-pass filter"):
        read_generator(saved(tmp_path, {"g_ema": state}))


def test_refuses_shapes_that_contradict(
    theirs: foreign_rosinality.Generator, tmp_path: Path
) -> None:
    state = theirs.state_dict()
    state["convs.2.conv.weight"] = torch.zeros(1, 16, 23, 3, 3)
    with pytest.raises(BrokenWeightsError, match=r"b16.conv0.weight has shape \[1, 16, 23, 3, 3\]"):
        read_generator(saved(tmp_path, {"g_ema": state}))
    del state["convs.2.conv.weight"]
    with pytest.raises(BrokenWeightsError, match=r"lacks synthesis.b16.conv0.weight"):
        read_generator(saved(tmp_path, {"g_ema": state}))


def test_refuses_networks_of_absurd_size(tmp_path: Path) -> None:
    state = {f"to_rgbs.{k}.conv.weight": torch.zeros(1, 3, 1, 1, 1) for k in range(60)}
    state |= {f"to_rgbs.{k}.bias": torch.zeros(1, 3, 1, 1) for k in range(60)}
    state |= {
        "to_rgb1.conv.weight": torch.zeros(1, 3, 1, 1, 1),
        "style.1.weight": torch.zeros(2, 2),
    }
    state |= {"input.input": torch.zeros(1, 1, 4, 4), "conv1.conv.weight": torch.zeros(1)}
    with pytest.raises(BrokenWeightsError, match="far larger than that of any StyleGAN2"):
        read_generator(saved(tmp_path, state))
    state = {name: value for name, value in state.items() if not name.startswith("to_rgbs.")}
    state |= {f"to_rgbs.{k}.bias": torch.zeros(1, 3, 1, 1) for k in range(6)}
    for name in ("to_rgb1", *(f"to_rgbs.{k}" for k in range(6))):
        state[f"{name}.conv.weight"] = torch.zeros(1, 3, 4096, 1, 1)
    with pytest.raises(BrokenWeightsError, match="far larger than that of any StyleGAN2"):
        read_generator(saved(tmp_path, state))


def test_refuses_other_networks(theirs: foreign_rosinality.Generator, tmp_path: Path) -> None:
    state = {**theirs.state_dict(), "convs.0.attention.weight": torch.zeros(2)}
    with pytest.raises(UnsupportedWeightsError, match=r"convs\.0\.attention\.weight"):
        read_generator(saved(tmp_path, {"g_ema": state}))
    with pytest.raises(UnsupportedWeightsError, match="holds no StyleGAN2 generator"):
        read_generator(saved(tmp_path, torch.nn.Linear(2, 2).state_dict()))
