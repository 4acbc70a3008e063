"""Reading features at points, and following handles."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from editing.features import Features, sample_features
from editing.tracking import (
    PatchTemplates,
    correlate,
    disc_offsets,
    square_offsets,
    track_patches,
)

SIDE = 64


def smooth_features(seed: int = 0) -> Tensor:
    """`[1, 24, 64, 64]` random textures without detail finer than some pixels."""
    coarse = torch.randn(1, 24, 16, 16, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse, size=(SIDE, SIDE), mode="bicubic", align_corners=False)


def seen(features: Tensor) -> Features:
    return Features((features,), SIDE, lambda: torch.zeros(1, 3, SIDE, SIDE))


def track(features: Tensor, first: Tensor, handles: Tensor, spacing: float) -> Tensor:
    radii = torch.full((len(handles),), 1.5 * spacing)
    templates = PatchTemplates.read(seen(first), handles, radii, spacing=spacing, reach=6.0)
    return track_patches(templates, seen(features), handles)


def test_sampling_equals_upsampling_at_pixel_centres() -> None:
    features = torch.randn(1, 5, 16, 16, generator=torch.Generator().manual_seed(1))
    upsampled = F.interpolate(features, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    read = sample_features(features, torch.stack((x, y), dim=-1) + 0.5, SIDE)
    torch.testing.assert_close(read.permute(2, 0, 1)[None], upsampled, atol=1e-5, rtol=1e-5)


def test_sampling_between_pixels_stays_near_upsampling() -> None:
    features = smooth_features()[..., ::4, ::4]
    upsampled = F.interpolate(features, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    points = torch.rand(200, 2, generator=torch.Generator().manual_seed(2)) * SIDE
    direct = sample_features(features, points, SIDE)
    through = sample_features(upsampled, points, SIDE)
    largest_step = max(upsampled.diff(dim=2).abs().max(), upsampled.diff(dim=3).abs().max())
    assert (direct - through).abs().max() < largest_step


def test_offsets() -> None:
    assert disc_offsets(3.0, 1.0).shape == (25, 2)
    assert disc_offsets(0.0, 1.0).tolist() == [[0.0, 0.0]]
    assert disc_offsets(0.75, 0.25).shape == (25, 2)
    window = square_offsets(2.0, 0.5)
    assert window.shape == (9, 9, 2)
    assert window[4, 4].tolist() == [0.0, 0.0]
    assert window[4, 8].tolist() == [2.0, 0.0]


@pytest.mark.parametrize(("side", "wide"), [(1, 5), (3, 7), (4, 4), (5, 6)])
def test_correlates_at_every_place(side: int, wide: int) -> None:
    source = torch.Generator().manual_seed(side)
    patch = torch.randn(2, side, side, 3, generator=source)
    picture = torch.randn(2, wide, wide, 3, generator=source)
    around = picture.unfold(1, side, 1).unfold(2, side, 1)
    expected = torch.einsum("nyxc,nuvcyx->nuv", patch, around)
    torch.testing.assert_close(correlate(patch, picture), expected, atol=1e-5, rtol=1e-5)


def test_finds_the_least_sum_of_squares() -> None:
    first, later = smooth_features(5), smooth_features(6)
    handles, radii = torch.tensor([[30.2, 20.9], [12.7, 44.1]]), torch.tensor([4.0, 2.5])
    templates = PatchTemplates.read(seen(first), handles, radii, spacing=1.0, reach=3.0)
    assert templates.inside.sum(dim=(1, 2)).tolist() == [45, 21]
    found = track_patches(templates, seen(later), handles)
    for handle, radius, place in zip(handles, radii, found, strict=True):
        patch = disc_offsets(float(radius), 1.0)
        candidates = (handle + square_offsets(3.0, 1.0)).flatten(0, 1)
        there = sample_features(later, candidates[:, None] + patch, SIDE)
        change = there - sample_features(first, handle + patch, SIDE)
        best = candidates[change.square().sum(dim=(1, 2)).argmin()]
        assert (place - best).abs().max() <= 0.5


@settings(max_examples=25, deadline=None)
@given(dx=st.integers(-5, 5), dy=st.integers(-5, 5), seed=st.integers(0, 50))
def test_recovers_an_integer_shift(dx: int, dy: int, seed: int) -> None:
    first = smooth_features(seed)
    handles = torch.tensor([[30.5, 28.5], [40.5, 33.5]])
    moved = torch.roll(first, (dy, dx), dims=(2, 3))
    found = track(moved, first, handles, 1.0)
    assert torch.allclose(found, handles + torch.tensor([dx, dy]), atol=0.25)


@pytest.mark.parametrize(("dx", "dy"), [(0.5, 0.0), (-0.5, 0.5), (1.5, -2.5)])
def test_recovers_a_half_pixel_shift(dx: float, dy: float) -> None:
    fine = F.interpolate(
        smooth_features(7), size=(2 * SIDE, 2 * SIDE), mode="bilinear", align_corners=False
    )
    shifted = torch.roll(fine, (round(2 * dy), round(2 * dx)), dims=(2, 3))
    first, moved = F.avg_pool2d(fine, 2), F.avg_pool2d(shifted, 2)
    handles = torch.tensor([[30.5, 28.5], [20.5, 40.5], [44.5, 20.5]])
    found = track(moved, first, handles, 0.2)
    error = (found - handles - torch.tensor([dx, dy])).norm(dim=1)
    assert error.max() < 0.2


def test_still_features_keep_the_handles() -> None:
    first = smooth_features(3)
    handles = torch.tensor([[0.5, 0.5], [63.5, 10.5], [33.5, 20.5]])
    found = track(first, first, handles, 1.0)
    assert torch.allclose(found, handles, atol=0.25)


def test_flat_features_and_the_border_give_points_inside_the_crop() -> None:
    flat = torch.ones(1, 4, SIDE, SIDE)
    handles = torch.tensor([[0.0, 0.0], [64.0, 64.0]])
    found = track(flat, flat, handles, 1.0)
    assert found.isfinite().all()
    assert ((found >= 0) & (found <= SIDE)).all()


def test_any_number_of_threads_correlates_alike() -> None:
    rng = torch.Generator().manual_seed(0)
    patch = torch.randn(2, 9, 9, 64, generator=rng)
    picture = torch.randn(2, 21, 21, 64, generator=rng)
    threads = torch.get_num_threads()
    found: list[Tensor] = []
    try:
        for count in (1, 2, 4):
            torch.set_num_threads(count)
            found.append(correlate(patch, picture))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(found[0], other) for other in found[1:])
