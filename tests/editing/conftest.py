"""Fixtures of the editing tests: a face's landmarks and an inversion of a random picture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from inversion.types import Inversion, InversionReport, Pivot
from weights.stylegan2 import Generator


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


@pytest.fixture
def subject(tiny_generator: Generator) -> Inversion:
    """A sample of the tiny generator as if it had been inverted."""
    latents = tiny_generator.map(torch.randn(1, 32, generator=torch.Generator().manual_seed(3)))
    report = InversionReport(
        start="mean",
        space="w",
        seed=0,
        projection_steps=0,
        tuning_steps=0,
        seconds=0.0,
        perceptual_name="none",
        start_psnr=0.0,
        start_perceptual=0.0,
        pivot_psnr=0.0,
        pivot_perceptual=0.0,
        psnr=0.0,
        perceptual=0.0,
        losses=(),
    )
    pivot = Pivot(latents, tiny_generator.noise_maps())
    return Inversion(tiny_generator, pivot, report, "", {})
