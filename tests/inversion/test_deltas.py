"""Rounding what tuning changed."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from inversion.deltas import LEVELS, apply_deltas, quantise, round_to_deltas
from weights.stylegan2 import Generator


def tuned_by(generator: Generator, size: float) -> Generator:
    """A generator whose convolutions were moved at random."""
    rng = torch.Generator().manual_seed(1)
    tuned = copy.deepcopy(generator)
    for name, parameter in tuned.named_parameters():
        if "conv" in name and name.endswith("weight"):
            parameter += size * torch.randn(parameter.shape, generator=rng)
    return tuned


def moved(generator: Generator) -> list[str]:
    return [n for n, _ in generator.named_parameters() if "conv" in n and n.endswith("weight")]


@given(st.integers(0, 1000), st.floats(1e-6, 1e3), st.sampled_from(LEVELS))
def test_rounding_errs_by_half_a_step(seed: int, size: float, levels: int) -> None:
    change = size * torch.randn(40, generator=torch.Generator().manual_seed(seed))
    delta = quantise(change, levels)
    assert delta.codes.dtype == torch.int8
    assert int(delta.codes.abs().max()) == levels
    assert float((delta.value - change).abs().max()) <= 0.5001 * delta.step


def test_no_change_has_no_step() -> None:
    delta = quantise(torch.zeros(3, 2), 15)
    assert delta.step == 0
    assert torch.equal(delta.value, torch.zeros(3, 2))


@pytest.mark.parametrize("allowed", [2.0, 0.25, 0.1])
def test_the_picture_changes_by_no_more_than_is_allowed(
    tiny_generator: Generator, allowed: float
) -> None:
    latents = tiny_generator.map(torch.ones(1, 32))
    tuned = tuned_by(tiny_generator, 0.02)
    exact = tuned(latents).clamp(-1, 1)

    def render() -> Tensor:
        return tuned(latents)

    deltas, error = round_to_deltas(tuned, tiny_generator, moved(tuned), render, allowed=allowed)
    levels = 127.5 * float((render().clamp(-1, 1) - exact).square().mean().sqrt())
    assert 0 < error <= allowed
    assert levels == pytest.approx(error, rel=1e-5)
    again = copy.deepcopy(tiny_generator)
    apply_deltas(again, tiny_generator, deltas)
    assert torch.equal(again(latents), render())


def test_less_error_takes_finer_codes(tiny_generator: Generator) -> None:
    latents = tiny_generator.map(torch.ones(1, 32))

    def finest(allowed: float) -> int:
        tuned = tuned_by(tiny_generator, 0.02)
        deltas, _ = round_to_deltas(
            tuned, tiny_generator, moved(tuned), lambda: tuned(latents), allowed=allowed
        )
        return max(int(delta.codes.abs().max()) for delta in deltas.values())

    assert finest(5.0) == LEVELS[0]
    assert finest(1e-9) == LEVELS[-1]


def test_what_did_not_change_is_left_out(tiny_generator: Generator) -> None:
    tuned = copy.deepcopy(tiny_generator)
    name = "synthesis.b8.conv1.weight"
    tuned.get_parameter(name).add_(0.01)
    latents = tiny_generator.map(torch.ones(1, 32))
    names = [n for n, _ in tuned.named_parameters()]
    deltas, _ = round_to_deltas(tuned, tiny_generator, names, lambda: tuned(latents), allowed=1)
    assert set(deltas) == {name}
