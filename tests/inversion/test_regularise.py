"""Noise and locality regularisation."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from inversion.regularise import locality, noise_autocorrelation, renormalise
from weights.stylegan2 import Generator


class Absolute:
    """A perceptual distance of known value."""

    name = "absolute"

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """Measure [N]."""
        return (a - b).abs().mean((1, 2, 3))


def test_a_picture_in_the_noise_costs_more_than_noise() -> None:
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 1, 64, 64, generator=rng)
    picture = torch.linspace(-2, 2, 64).view(1, 1, 1, 64).repeat(1, 1, 64, 1)
    renormalise([picture])
    assert noise_autocorrelation([picture]) > 100 * noise_autocorrelation([noise])


def test_autocorrelation_of_stripes_is_known() -> None:
    stripes = torch.ones(1, 1, 8, 8)
    stripes[..., ::2] = -1
    # Shifted in x the stripes are their own opposite, shifted in y themselves: (-1)^2 + 1^2.
    assert noise_autocorrelation([stripes]).item() == pytest.approx(2.0)


def test_no_maps_cost_nothing() -> None:
    assert noise_autocorrelation([]).item() == 0


@given(st.integers(0, 1000), st.floats(0.1, 50), st.floats(-20, 20))
def test_renormalised_maps_are_standard(seed: int, scale: float, shift: float) -> None:
    noise = torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(seed))
    noise = noise * scale + shift
    renormalise([noise])
    assert abs(noise.mean().item()) < 1e-4
    assert noise.square().mean().item() == pytest.approx(1, rel=1e-3)


def test_locality_is_zero_before_tuning_and_grows_with_it(tiny_generator: Generator) -> None:
    pivot = tiny_generator.map(torch.ones(1, 32))
    tuned = copy.deepcopy(tiny_generator)

    def measure() -> float:
        rng = torch.Generator().manual_seed(4)
        return locality(tuned, tiny_generator, pivot, Absolute(), distance=3.0, rng=rng).item()

    assert measure() == 0
    tuned.synthesis.blocks()[0].const.mul_(1.5)
    assert measure() > 0
