"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from weights.stylegan2 import Generator, GeneratorConfig


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of photographs and small networks beside the repository; skips without it."""
    folder = Path(__file__).parents[2] / "shared"
    if not (folder / "data" / "photos").is_dir():
        pytest.skip("no shared folder of photographs beside the repository")
    return folder


@pytest.fixture
def tiny_generator() -> Generator:
    """A random generator of 32 px, small enough for milliseconds; the same in every test."""
    torch.manual_seed(0)
    config = GeneratorConfig(
        resolution=32, channel_base=256, channel_max=32, w_dim=32, z_dim=32, mapping_layers=2
    )
    generator = Generator(config).eval().requires_grad_(False)
    generator.mapping.w_avg.copy_(generator.mapping(torch.randn(600, 32)).mean(0))
    return generator
