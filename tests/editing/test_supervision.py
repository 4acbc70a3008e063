"""Features, patches and the two terms of a drag's loss."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from editing.features import Features, sample_features
from editing.supervision import mask_loss, motion_supervision, patch_offsets, patch_radii
from editing.tracking import disc_offsets


def features_of(*maps: Tensor, resolution: int = 16) -> Features:
    return Features(maps, resolution, lambda: torch.zeros(1, 3, resolution, resolution))


def supervise(features: Tensor, target: Tensor) -> Tensor:
    points = torch.tensor([[7.3, 8.1]], dtype=features.dtype)
    patch = disc_offsets(2.0, 0.7).to(features.dtype)[None]
    return motion_supervision(
        features_of(features),
        sample_features(features.detach(), points[:, None] + patch, 16),
        points,
        target.to(features.dtype),
        patch=patch,
        step_length=1.0,
    ).sum()


def test_loss_is_zero_at_the_target_and_not_elsewhere() -> None:
    features = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    assert supervise(features, torch.tensor([[7.3, 8.1]])) == 0
    assert supervise(features, torch.tensor([[9.0, 8.1]])) > 0


def test_motion_supervision_pulls_the_patch_one_step_along() -> None:
    """Its gradient is that of the distance between a constant template and F at p + d."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(1, 2, 5, 5, dtype=torch.float64, generator=generator)
    points = torch.tensor([[7.3, 8.1]], dtype=torch.float64)
    patch = disc_offsets(2.0, 0.7).double()[None]
    away = torch.tensor([[0.6, -0.8]], dtype=torch.float64)
    templates = sample_features(features, points[:, None] + patch, 16)

    def held(changed: Tensor) -> Tensor:
        there = sample_features(changed, points[:, None] + patch + away[:, None], 16)
        return (templates - there).abs().mean()

    def moved(changed: Tensor) -> Tensor:
        return motion_supervision(
            features_of(changed),
            templates,
            points,
            points + 5 * away,
            patch=patch,
            step_length=1.0,
        ).sum()

    one, other = features.clone().requires_grad_(), features.clone().requires_grad_()
    (expected,) = torch.autograd.grad(held(one), one)
    (gradient,) = torch.autograd.grad(moved(other), other)
    torch.testing.assert_close(gradient, expected)
    assert torch.autograd.gradcheck(moved, features.clone().requires_grad_())


def test_mask_loss_sees_only_what_is_fixed() -> None:
    first, fixed = torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)
    now = first.clone()
    now[..., :4] = 2.0
    assert mask_loss(now, first, fixed) == 0
    fixed[..., 4:] = 1
    assert mask_loss(now, first, fixed) == 0
    assert mask_loss(now, first, 1 - fixed) == 2.0


def test_mask_loss_would_rather_change_one_cell_than_two() -> None:
    first, fixed = torch.zeros(1, 2, 4, 4), torch.ones(1, 1, 4, 4)
    together, apart = first.clone(), first.clone()
    together[0, :, 1, 1] = 3.0
    apart[0, 0, 1, 1] = apart[0, 1, 2, 2] = 3.0
    assert mask_loss(together, first, fixed) < 0.8 * mask_loss(apart, first, fixed)
    start = first.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(mask_loss(start, first, fixed), start)
    assert gradient.abs().max() == 0


def test_patches_end_before_a_handle_that_goes_another_way() -> None:
    handles = torch.tensor([[10.0, 10.0], [10.0, 13.0], [12.0, 10.0], [30.0, 30.0]])
    away = torch.tensor([[0.0, -1.0], [0.0, 1.0], [0.0, -2.0], [0.0, 0.0]])
    radii = patch_radii(handles, handles + away, largest=4.0, least=0.5)
    assert radii[0] == 0.75  # a quarter of the way to the second; the third goes along
    assert radii[3] == 4.0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 100), count=st.integers(0, 6))
def test_patches_keep_within_their_bounds(seed: int, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    handles = torch.rand(count, 2, generator=generator) * 20
    targets = handles + torch.randn(count, 2, generator=generator)
    radii = patch_radii(handles, targets, largest=4.0, least=1.0)
    assert radii.shape == (count,)
    assert ((radii >= 1) & (radii <= 4)).all()
    patch = patch_offsets(radii)
    assert patch.shape[0] == count
    assert (patch.norm(dim=2) < radii[:, None]).all()


def test_blocks_weigh_the_same() -> None:
    narrow, wide = torch.ones(1, 2, 4, 4), torch.full((1, 6, 8, 8), 3.0)
    read = features_of(narrow, wide).at(torch.tensor([[5.0, 5.0]]))
    assert read.shape == (1, 8)
    torch.testing.assert_close(read.mean(), torch.tensor(2.0))
