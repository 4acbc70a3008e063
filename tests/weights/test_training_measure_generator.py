"""The figures of a generator, on pictures whose answer is known."""

from __future__ import annotations

import torch

from weights.perceptual import load_perceptual
from weights.stylegan2 import Generator
from weights.training.measure_generator import reconstruction_figures, sample
from weights.training.portraits import Portraits


def pictures(count: int, seed: int) -> Portraits:
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 8, 8, generator=rng) * 255
    images = torch.nn.functional.interpolate(coarse, (64, 64), mode="bicubic").clamp(0, 255)
    colour = torch.arange(count) % 2 == 0
    return Portraits(images.to(torch.uint8), torch.zeros(count, 68, 2), colour)


def test_samples_follow_the_seed_and_psi(tiny_generator: Generator) -> None:
    first = sample(tiny_generator, 3, psi=0.7, seed=4)
    torch.testing.assert_close(sample(tiny_generator, 3, psi=0.7, seed=4), first)
    assert (sample(tiny_generator, 3, psi=0.7, seed=5) - first).abs().mean() > 1e-3
    still = sample(tiny_generator, 2, psi=0.0, seed=4)
    torch.testing.assert_close(still[0], still[1])


def test_a_perfect_reconstruction_has_no_distance() -> None:
    held_out = pictures(4, 0)
    nearly = held_out.network_images() + 0.02
    figures = reconstruction_figures(nearly, held_out, load_perceptual())
    assert abs(figures["psnr"] - 40) < 0.01
    assert figures["perceptual"] < 0.01
    mixed = held_out.network_images().roll(1, 0)
    far = reconstruction_figures(mixed, held_out, load_perceptual())
    assert far["perceptual"] > 10 * figures["perceptual"]
    halves = (far["perceptual_colour"] + far["perceptual_gray"]) / 2
    assert abs(halves - far["perceptual"]) < 1e-4
