"""A real portrait and a tiny generator's file for the tests that go the whole way."""

from pathlib import Path

import pytest
import skimage.data
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from pipeline.cli import main
from weights.store import save_generator
from weights.stylegan2 import Generator, GeneratorConfig


@pytest.fixture(scope="session")
def portrait(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """NASA's portrait of an astronaut, 512 x 512 PNG."""
    path = tmp_path_factory.mktemp("photos") / "astronaut.png"
    Image.fromarray(skimage.data.astronaut()).save(path)
    return path


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random generator of 32 px as a file."""
    config = GeneratorConfig(
        resolution=32, channel_base=256, channel_max=32, w_dim=32, z_dim=32, mapping_layers=2
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        generator = Generator(config)
        generator.mapping.w_avg.copy_(generator.mapping(torch.randn(600, 32)).mean(0).detach())
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_generator(path, generator, what="random, for tests")
    return path


@pytest.fixture(scope="session")
def cat_file(tiny_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same generator, said to draw whole photos."""
    path = tmp_path_factory.mktemp("weights") / "cat.safetensors"
    with safe_open(tiny_file, framework="pt") as file:
        header = {**file.metadata(), "domain": "whole"}
    save_file(load_file(tiny_file), path, header)
    return path


@pytest.fixture(scope="session")
def inverted(portrait: Path, tiny_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session of the portrait, inverted with the tiny generator; copy it, do not change it."""
    folder = tmp_path_factory.mktemp("sessions") / "inverted"
    session = ["--session", str(folder), "--device", "cpu"]
    network = ["--generator", str(tiny_file), "--quality", "fast"]
    assert main(["align", str(portrait), *session, *network]) == 0
    assert main(["invert", *session]) == 0
    return folder
