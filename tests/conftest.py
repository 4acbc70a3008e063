"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
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


@pytest.fixture
def landmarks() -> npt.NDArray[np.float64]:
    """`[68, 2]` landmarks (iBUG) of a drawn frontal face in a crop of 128 px, mouth ajar."""
    turn = np.linspace(0, np.pi, 17)
    jaw = np.stack((64 - 36 * np.cos(turn), 62 + 44 * np.sin(turn)), axis=1)
    arch = np.array([[0, 2], [4, 0], [9, -1], [14, 0], [18, 2]])
    brows = np.concatenate((arch + np.array([37, 48]), arch + np.array([73, 48])))
    nose = [
        [64, 60],
        [64, 66],
        [64, 72],
        [64, 77],
        [57, 81],
        [60, 82],
        [64, 83],
        [68, 82],
        [71, 81],
    ]
    lids = np.array([[0, 0], [4, -2.5], [9, -2.5], [13, 0], [9, 2], [4, 2]])
    eyes = np.concatenate((lids + np.array([40, 60]), lids + np.array([75, 60])))
    outer = [[50, 92], [55, 89], [60, 88], [64, 89], [68, 88], [73, 89], [78, 92]]
    lower = [[73, 97], [68, 99], [64, 100], [60, 99], [55, 97]]
    inner = [[52, 92], [60, 91], [64, 92], [68, 91], [76, 92], [68, 95], [64, 96], [60, 95]]
    return np.concatenate((jaw, brows, nose, eyes, outer, lower, inner)).astype(np.float64)
