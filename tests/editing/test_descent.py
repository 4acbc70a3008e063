"""Steps through the latents."""

from __future__ import annotations

import torch
from torch import Tensor

from editing.descent import Descent, latent_deviation, yielding
from weights.stylegan2 import Generator


def test_the_first_step_goes_down_the_gradient_as_long_as_asked() -> None:
    gradient = torch.randn(1, 3, 5, generator=torch.Generator().manual_seed(0))
    step = Descent().step(gradient, 0.7)
    torch.testing.assert_close(step.norm(), torch.tensor(0.7))
    torch.testing.assert_close(step, -0.7 * gradient / gradient.norm())


def test_does_not_care_for_the_losss_scale() -> None:
    source = torch.Generator().manual_seed(1)
    gradients = [torch.randn(4, generator=source) for _ in range(5)]
    one, other = Descent(), Descent()
    for gradient in gradients:
        torch.testing.assert_close(one.step(gradient, 1.0), other.step(gradient * 1e-4, 1.0))


def test_steps_shorten_where_gradients_disagree() -> None:
    descent = Descent()
    lengths = [
        descent.step(torch.tensor([1.0 if k % 2 else -1.0]), 1.0).norm().item() for k in range(20)
    ]
    assert lengths[0] == 1
    assert max(lengths[10:]) < 0.3


def test_a_flat_loss_takes_no_step() -> None:
    assert torch.equal(Descent().step(torch.zeros(3), 1.0), torch.zeros(3))


def test_finds_a_minimum() -> None:
    place, descent = torch.tensor([3.0, -2.0]), Descent()
    for k in range(200):
        gradient: Tensor = 2 * place * torch.tensor([1.0, 3.0])
        place = place + descent.step(gradient, 0.3 * 0.97**k)
    assert place.norm() < 0.5


def test_deviation_is_that_of_the_mapping_network(tiny_generator: Generator) -> None:
    z = torch.randn(4000, 32, generator=torch.Generator().manual_seed(9))
    w = tiny_generator.map(z)[:, 0]
    expected = (w - w.mean(dim=0)).square().mean().sqrt()
    assert abs(latent_deviation(tiny_generator) / expected.item() - 1) < 0.05


def test_a_gradient_yields_only_where_it_resists() -> None:
    source = torch.Generator().manual_seed(2)
    kept, pull = torch.randn(2, 1, 3, 5, generator=source)
    kept = kept if (kept * pull).sum() < 0 else -kept
    left = yielding(kept, pull)
    assert abs((left * pull).sum()) < 1e-5
    torch.testing.assert_close(yielding(left, pull), left)
    assert torch.equal(yielding(-kept, pull), -kept)
    assert torch.equal(yielding(kept, torch.zeros_like(pull)), kept)
