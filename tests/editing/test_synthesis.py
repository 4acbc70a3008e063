"""The generator up to a block, with what stays the same folded in."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from editing.synthesis import PartialSynthesis
from inversion.types import Inversion


@pytest.mark.parametrize("moving", [1, 3, 6, 8])
@pytest.mark.parametrize("blocks", [(4,), (8, 16), (16, 32)])
def test_gives_the_generators_features(
    moving: int, blocks: tuple[int, ...], subject: Inversion
) -> None:
    start = subject.pivot.latents
    moved = start[:, :moving] + 0.3 * torch.randn(
        1, moving, start.shape[2], generator=torch.Generator().manual_seed(1)
    )
    synthesis = PartialSynthesis(subject, start, moving=moving, blocks=blocks)
    latents = torch.cat((moved, start[:, moving:]), dim=1)
    whole = subject.generator.synthesize(latents, keep=blocks)
    features = synthesis(moved)
    for block, found in zip(blocks, features.maps, strict=True):
        torch.testing.assert_close(found, whole.features[block], atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(features.image(), subject.render(latents))


PLACES = {
    "inside": [[17.0, 14.0]],
    "corner": [[0.0, 32.0]],
    "apart": [[2.0, 3.0], [29.0, 30.5], [12.0, 20.0]],
    "near": [[15.0, 15.0], [16.0, 17.0], [18.0, 15.0], [17.0, 18.0]],
}


@pytest.mark.parametrize("places", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("margin", [0.5, 2.0, 9.0])
def test_windows_give_the_features_of_the_whole_map(
    places: list[list[float]], margin: float, subject: Inversion
) -> None:
    points = torch.tensor(places)
    start = subject.pivot.latents
    synthesis = PartialSynthesis(subject, start, moving=6, blocks=(16, 32))
    within = torch.tensor([(x, y) for x in (-1, 0.3, 1) for y in (-1, -0.6, 1)]) * margin
    q = points[:, None] + within

    def read(around: Tensor | None) -> tuple[Tensor, Tensor]:
        moved = start[:, :6].clone().requires_grad_()
        read = synthesis(moved, around, margin).at(q)
        return read, torch.autograd.grad(read.square().sum(), moved)[0]

    (found, gradient), (expected, expected_gradient) = read(points), read(None)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(gradient, expected_gradient, atol=2e-3, rtol=1e-3)


def test_windows_are_smaller_than_the_maps(subject: Inversion) -> None:
    synthesis = PartialSynthesis(subject, subject.pivot.latents, moving=6, blocks=(16, 32))
    latents, point = subject.pivot.latents[:, :6], torch.tensor([[10.0, 20.0]])
    whole, part = synthesis(latents), synthesis(latents, point, 1.0)
    assert part.maps[1].numel() < whole.maps[1].numel() / 4
    everywhere = torch.rand(40, 2, generator=torch.Generator().manual_seed(0)) * 32
    assert synthesis(latents, everywhere, 1.0).maps[1].shape == whole.maps[1].shape


def test_has_the_same_gradient(subject: Inversion) -> None:
    start = subject.pivot.latents
    weight = torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(2))

    def gradient(features: Tensor, moved: Tensor) -> Tensor:
        return torch.autograd.grad((features * weight).sum(), moved)[0]

    one, other = (start[:, :4].clone().requires_grad_() for _ in range(2))
    synthesis = PartialSynthesis(subject, start, moving=4, blocks=(16,))
    latents = torch.cat((other, start[:, 4:]), dim=1)
    expected = subject.generator.synthesize(latents, keep=(16,), until=16).features[16]
    torch.testing.assert_close(
        gradient(synthesis(one).maps[0], one), gradient(expected, other), atol=1e-3, rtol=1e-3
    )


def test_bfloat16_stays_near(subject: Inversion) -> None:
    start = subject.pivot.latents
    exact = PartialSynthesis(subject, start, moving=3, blocks=(32,))(start[:, :3]).maps[0]
    subject.generator.compute_dtype = torch.bfloat16
    rounded = PartialSynthesis(subject, start, moving=3, blocks=(32,))(start[:, :3]).maps[0]
    assert rounded.dtype == torch.bfloat16
    assert (rounded.float() - exact).abs().mean() < 0.02 * exact.abs().mean()
