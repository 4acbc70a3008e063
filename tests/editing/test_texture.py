"""Points with something to hold on to, and points without."""

from __future__ import annotations

import torch

from editing.texture import flat_places


def test_flat_ground_and_the_nearest_texture() -> None:
    image = torch.zeros(1, 3, 128, 128)
    image[..., 60:68, 60:68] = torch.rand(8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    points = torch.tensor([[64.0, 64.0], [50.0, 64.0], [10.0, 10.0]])
    near, far = flat_places(image, points)
    assert (near.index, far.index) == (1, 2)
    assert near.better is not None
    x, y = near.better
    assert 50 < x < 62
    assert 60 < y < 68
    assert far.better is None


def test_scales_with_the_picture() -> None:
    source = torch.Generator().manual_seed(0)
    small = torch.zeros(1, 3, 64, 64)
    small[..., 30:34, 30:34] = torch.rand(4, 4, generator=source) * 2 - 1
    large = small.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    (one,) = flat_places(small, torch.tensor([[25.5, 32.0]]))
    (other,) = flat_places(large, torch.tensor([[102.0, 128.0]]))
    assert one.better is not None and other.better is not None
    assert abs(4 * one.better[0] - other.better[0]) <= 4


def test_a_flat_picture_has_nothing_better() -> None:
    (found,) = flat_places(torch.zeros(1, 3, 32, 32), torch.tensor([[32.0, 0.0]]))
    assert (found.index, found.better) == (0, None)
