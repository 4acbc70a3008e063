"""Following handles by their features, between pixels (DragGAN, Section 3.2.2, Eq. 3).

Pan et al., "Drag Your GAN: Interactive Point-based Manipulation on the Generative Image
Manifold" (2023). Points are (x, y) in crop pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from editing.features import Features

# Keeps a radius that is a multiple of the spacing up to rounding.
_ROUNDING = 1e-6


def disc_offsets(radius: float, spacing: float) -> Tensor:
    """`[K, 2]` offsets on a square grid strictly inside a circle, the centre among them."""
    grid = square_offsets(radius, spacing).reshape(-1, 2)
    inside = grid.norm(dim=1) < radius
    inside[len(grid) // 2] = True
    return grid[inside]


def square_offsets(radius: float, spacing: float) -> Tensor:
    """`[K, K, 2]` offsets (x, y) of a square grid, K odd, rows along y, the zero in the middle."""
    reach = int(radius / spacing + _ROUNDING)
    axis = torch.arange(-reach, reach + 1) * spacing
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack((x, y), dim=-1)


@dataclass(frozen=True, kw_only=True, eq=False)
class PatchTemplates:
    """What the first picture shows around each handle, on a lattice.

    Attributes:
        values: `[N, D * D, C]` features, 0 outside each handle's disc.
        inside: `[N, D * D]`, 1 inside the disc and 0 outside.
        side: number D of the lattice's places along one side.
        spacing: distance of the lattice's places, crop pixels.
        window: how many places to look in each direction.
    """

    values: Tensor
    inside: Tensor
    side: int
    spacing: float
    window: int

    @classmethod
    def read(
        cls, first: Features, handles: Tensor, radii: Tensor, *, spacing: float, reach: float
    ) -> PatchTemplates:
        """Read discs of radii `[N]` around the handles `[N, 2]`; lengths in crop pixels."""
        offsets = square_offsets(float(radii.max()) if len(radii) else 0.0, spacing).to(
            handles.device
        )
        inside = offsets.norm(dim=-1).flatten() < radii[:, None].clamp(min=spacing / 2)
        return cls(
            values=first.at(handles[:, None] + offsets.flatten(0, 1)) * inside[..., None],
            inside=inside.float(),
            side=len(offsets),
            spacing=spacing,
            window=max(int(reach / spacing + _ROUNDING), 1),
        )


def _corners(side: int, wide: int) -> Tensor:
    """`[side * side]` indices of a square's places in the rows of a lattice `wide` places wide."""
    axis = torch.arange(side)
    return (axis[:, None] * wide + axis).flatten()


def track_patches(features: Features, templates: PatchTemplates, points: Tensor) -> Tensor:
    """Find each handle again: p <- argmin over u in the window of sum_q |F'(u + q) - f(q)|_2^2.

    That is Eq. 3 for patches in place of single vectors. The square is expanded into a correlation
    of the window with the patch, so that every feature is read once. The lattice's minimum is
    refined by a parabola through its neighbours.

    Args:
        features: F'.
        templates: f, on the patch of each of N handles.
        points: `[N, 2]` where the handles were, crop pixels.

    Returns:
        `[N, 2]` where the handles are now, within the crop.
    """
    side, spacing, around = templates.side, templates.spacing, templates.window
    lattice = points[:, None, None] + square_offsets((around + side // 2) * spacing, spacing).to(
        points.device
    )
    read = features.at(lattice.flatten(1, 2))
    wide = lattice.shape[1]
    # at[u, q]: the lattice's place u + q, for each candidate u and place q of the patch.
    at = _corners(2 * around + 1, wide)[:, None] + _corners(side, wide)[None]
    at = at.to(points.device)
    crossed = torch.bmm(templates.values, read.transpose(1, 2)).gather(
        2, at.t().expand(len(points), -1, -1)
    )
    energy = (read.square().sum(dim=2)[:, at] * templates.inside[:, None]).sum(dim=2)
    candidates = slice(side // 2, side // 2 + 2 * around + 1)
    q = lattice[:, candidates, candidates]
    distance = (energy - 2 * crossed.sum(dim=1)).reshape(q.shape[:3])
    outside = ((q < 0) | (q > features.resolution)).any(dim=-1)
    distance = distance.masked_fill(outside, torch.inf)
    return _refined_minimum(distance, q, spacing).clamp(0, features.resolution)


def _refined_minimum(distance: Tensor, q: Tensor, spacing: float) -> Tensor:
    """Place of each `[N, K, K]` minimum, q `[N, K, K, 2]`, between the lattice's places."""
    size = distance.shape[1]
    best = distance.flatten(1).argmin(dim=1)
    row, column = best // size, best % size
    each = torch.arange(len(distance), device=distance.device)
    along_x = _parabola(distance[each, row], column)
    along_y = _parabola(distance[each, :, column], row)
    return q[each, row, column] + torch.stack((along_x, along_y), dim=1) * spacing


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
