"""Steps through the latents."""

from __future__ import annotations

import torch
from torch import Tensor

from editing.descent import MEMORY, SPREAD, Descent, latent_deviation, yielding
from weights.stylegan2 import Generator


def test_the_first_step_goes_down_the_gradient_as_long_as_asked() -> None:
    gradient = torch.randn(1, 3, 5, generator=torch.Generator().manual_seed(0))
    step, _ = Descent.begin(gradient, 0.7).step(gradient)
    torch.testing.assert_close(step.norm(), torch.tensor(0.7))
    torch.testing.assert_close(step, -0.7 * gradient / gradient.norm())
    half, _ = Descent.begin(gradient, 0.7).step(gradient, 0.5)
    torch.testing.assert_close(half, step / 2)


def test_is_adam_with_one_second_moment() -> None:
    """Against the formulas of the paper, written out."""
    source = torch.Generator().manual_seed(4)
    gradients = [torch.randn(6, generator=source) for _ in range(7)]
    descent, step = Descent.begin(gradients[0], 0.3), torch.zeros(6)
    m, v = torch.zeros(6), 0.0
    for t, g in enumerate(gradients, start=1):
        m = MEMORY * m + (1 - MEMORY) * g
        v = SPREAD * v + (1 - SPREAD) * float(g.square().sum())
        expected = -0.3 * m / (1 - MEMORY**t) / (v / (1 - SPREAD**t)) ** 0.5
        step, descent = descent.step(g)
        torch.testing.assert_close(step, expected)


def test_begins_again_with_half_the_length() -> None:
    gradient = torch.tensor([3.0, -1.0])
    _, used = Descent.begin(gradient, 0.7).step(torch.tensor([0.5, 9.0]))
    step, _ = used.again().step(gradient)
    fresh, _ = Descent.begin(gradient, 0.35).step(gradient)
    assert torch.equal(step, fresh)


def test_does_not_care_for_the_losss_scale() -> None:
    source = torch.Generator().manual_seed(1)
    gradients = [torch.randn(4, generator=source) for _ in range(5)]
    one = other = Descent.begin(gradients[0], 1.0)
    for gradient in gradients:
        step, one = one.step(gradient)
        same, other = other.step(gradient * 1e-4)
        torch.testing.assert_close(step, same)


def test_steps_shorten_where_gradients_disagree() -> None:
    descent, lengths = Descent.begin(torch.zeros(1), 1.0), list[float]()
    for k in range(20):
        step, descent = descent.step(torch.tensor([1.0 if k % 2 else -1.0]))
        lengths.append(step.norm().item())
    assert lengths[0] == 1
    assert max(lengths[10:]) < 0.3


def test_a_flat_loss_takes_no_step() -> None:
    flat = torch.zeros(3)
    assert torch.equal(Descent.begin(flat, 1.0).step(flat)[0], flat)


def test_finds_a_minimum() -> None:
    place = torch.tensor([3.0, -2.0])
    descent = Descent.begin(place, 0.3)
    for k in range(200):
        gradient: Tensor = 2 * place * torch.tensor([1.0, 3.0])
        step, descent = descent.step(gradient, 0.97**k)
        place = place + step
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
