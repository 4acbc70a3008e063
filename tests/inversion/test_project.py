"""The schedules and statistics of projection, and its comparison."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from inversion.project import latent_statistics, ramp
from inversion.targets import Targets, compare
from weights.perceptual import BuiltinPerceptual
from weights.stylegan2 import Generator


@given(st.floats(0, 1, exclude_max=True))
def test_the_ramp_is_the_projectors(t: float) -> None:
    share = ramp(t, up=0.05, down=0.25)
    assert 0 <= share <= 1
    if 0.05 <= t <= 0.75:
        assert share == pytest.approx(1.0)
    elif t < 0.05:
        assert share == pytest.approx(t / 0.05)
    else:
        assert share == pytest.approx(0.5 - 0.5 * math.cos(math.pi * (1 - t) / 0.25))


def test_no_ramp_is_a_constant_rate() -> None:
    assert [ramp(t, up=0.0, down=0.0) for t in (0.0, 0.5, 0.99)] == [1.0, 1.0, 1.0]


def test_latent_statistics_are_the_samples_own(tiny_generator: Generator) -> None:
    mean, deviation = latent_statistics(tiny_generator, 400, torch.Generator().manual_seed(1))
    z = torch.randn(400, 32, generator=torch.Generator().manual_seed(1))
    w = tiny_generator.mapping(z)
    assert mean.shape == (1, 1, 32)
    assert torch.allclose(mean[0, 0], w.mean(0), atol=1e-6)
    assert deviation == pytest.approx(math.sqrt(w.var(0, correction=0).sum().item()), rel=1e-4)


def test_comparison_ignores_what_is_not_valid() -> None:
    torch.manual_seed(0)
    perceptual = BuiltinPerceptual()
    target, image = torch.rand(2, 1, 3, 64, 64).unbind(0)
    valid = torch.zeros(1, 1, 64, 64)
    valid[..., :32] = 1
    other = torch.where(valid > 0, image, torch.rand(image.shape))
    targets = Targets(crops=target, valid=valid)
    first = compare(image, targets, perceptual)
    second = compare(other, targets, perceptual)
    assert torch.equal(torch.stack(first), torch.stack(second))
    wanted = (image - target)[..., :32].square().mean()
    assert first[1].item() == pytest.approx(wanted.item(), rel=1e-5)
