"""Reading features at points, and following handles by them (DragGAN, Section 3.2.2, Eq. 3).

Pan et al., "Drag Your GAN: Interactive Point-based Manipulation on the Generative Image
Manifold" (2023). Points are (x, y) in crop pixels; a feature map covers the whole crop at any
resolution and is read bilinearly where it is needed, never upsampled.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def sample_features(features: Tensor, points: Tensor, resolution: int) -> Tensor:
    """Read a feature map at any points of the crop.

    At pixel centres this equals upsampling the map bilinearly to the crop and reading the pixel;
    between them the two differ by less than that upsampled map varies within one pixel.

    Args:
        features: `[1, C, r, r]`.
        points: `[..., 2]` (x, y), crop pixels; outside the crop the border is repeated.
        resolution: side of the crop in pixels.

    Returns:
        `[..., C]`.
    """
    grid = (points.reshape(1, 1, -1, 2) * (2 / resolution) - 1).to(features.dtype)
    read = F.grid_sample(
        features, grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return read[0, :, 0].t().reshape(*points.shape[:-1], features.shape[1])


def disc_offsets(radius: float, spacing: float) -> Tensor:
    """`[K, 2]` offsets on a square grid strictly inside a circle, the centre among them."""
    grid = square_offsets(radius, spacing).reshape(-1, 2)
    inside = grid.norm(dim=1) < radius
    inside[len(grid) // 2] = True
    return grid[inside]


def square_offsets(radius: float, spacing: float) -> Tensor:
    """`[K, K, 2]` offsets (x, y) of a square grid, K odd, rows along y, the zero in the middle."""
    # The epsilon keeps a radius that is a multiple of the spacing up to rounding.
    reach = int(radius / spacing + 1e-6)
    axis = torch.arange(-reach, reach + 1) * spacing
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack((x, y), dim=-1)


def track_points(
    features: Tensor,
    templates: Tensor,
    points: Tensor,
    *,
    window: Tensor,
    patch: Tensor,
    resolution: int,
) -> Tensor:
    """Find each handle again: p <- argmin over q in the window of |F'(q) - f|_1 (Eq. 3).

    The paper's template f is the one feature vector at the first handle; patches of several
    offsets compare them all. The grid's minimum is refined by a parabola through its neighbours.

    Args:
        features: `[1, C, r, r]`, F'.
        templates: `[N, P, C]`, what F0 held at `patch` around the first handles.
        points: `[N, 2]` where the handles were, crop pixels.
        window: `[K, K, 2]` candidate offsets from `square_offsets`.
        patch: `[N, P, 2]` offsets at which templates are compared.
        resolution: side of the crop in pixels.

    Returns:
        `[N, 2]` where the handles are now, within the crop.
    """
    q = points[:, None, None] + window
    read = sample_features(features, q[..., None, :] + patch[:, None, None], resolution)
    distance = (read - templates[:, None, None]).abs().mean(dim=(3, 4))
    outside = ((q < 0) | (q > resolution)).any(dim=-1)
    distance = distance.masked_fill(outside, torch.inf)
    size = window.shape[0]
    best = distance.flatten(1).argmin(dim=1)
    row, column = best // size, best % size
    spacing = window[0, -1, 0] * 2 / max(size - 1, 1)
    each = torch.arange(len(points), device=points.device)
    along_x = _parabola(distance[each, row], column)
    along_y = _parabola(distance[each, :, column], row)
    moved = q[each, row, column] + torch.stack((along_x, along_y), dim=1) * spacing
    return moved.clamp(0, resolution)


def _parabola(line: Tensor, index: Tensor) -> Tensor:
    """Sub-cell minimum: delta = (c- - c+) / (2 (c- - 2 c0 + c+)), 0 at the window's border.

    Args:
        line: `[N, K]` distances along one axis.
        index: `[N]` where each line is smallest.

    Returns:
        `[N]` offsets in cells, within [-0.5, 0.5].
    """
    last = line.shape[1] - 1
    around = torch.stack((index - 1, index, index + 1), dim=1).clamp(0, last)
    before, here, after = line.gather(1, around).unbind(dim=1)
    delta = (before - after) / (2 * (before - 2 * here + after))
    inner = (index > 0) & (index < last)
    # A flat or clipped neighbourhood divides by zero or infinity: then the cell itself stands.
    return torch.where(inner & delta.isfinite(), delta, 0).clamp(-0.5, 0.5)
