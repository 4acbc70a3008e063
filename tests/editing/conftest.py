"""Fixture of the editing tests: an inversion of a random picture."""

from __future__ import annotations

import pytest
import torch

from inversion.types import Inversion, InversionReport, Pivot
from weights.stylegan2 import Generator


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
