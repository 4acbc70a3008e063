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
        values: `[N, D, D, C]` for each block, features, 0 outside each handle's disc.
        inside: `[N, D, D]`, 1 inside the disc and 0 outside.
        lattice: `[W, W, 2]`, where to read around a handle, crop pixels.
        spacing: distance of the lattice's places, crop pixels.
    """

    values: tuple[Tensor, ...]
    inside: Tensor
    lattice: Tensor
    spacing: float

    @classmethod
    def read(
        cls, first: Features, handles: Tensor, radii: Tensor, *, spacing: float, reach: float
    ) -> PatchTemplates:
        """Read discs of radii `[N]` around the handles `[N, 2]`; lengths in crop pixels."""
        offsets = square_offsets(float(radii.max()) if len(radii) else 0.0, spacing).to(
            handles.device
        )
        inside = offsets.norm(dim=-1) < radii[:, None, None].clamp(min=spacing / 2)
        if len(offsets) > 1 and not inside[:, 0].any():
            offsets, inside = offsets[1:-1, 1:-1], inside[:, 1:-1, 1:-1]
        values = first.each_at(handles[:, None, None] + offsets)
        around = max(int(reach / spacing + _ROUNDING), 1) + inside.shape[1] // 2
        return cls(
            values=tuple(each * inside[..., None] for each in values),
            inside=inside.float(),
            lattice=square_offsets(around * spacing, spacing).to(handles.device),
            spacing=spacing,
        )


def track_patches(templates: PatchTemplates, features: Features, points: Tensor) -> Tensor:
    """Find each handle again: p <- argmin over u in the window of sum_q |F'(u + q) - f(q)|_2^2.

    That is Eq. 3 for patches in place of single vectors. The square is expanded into a correlation
    of the window with the patch, so that every feature is read once. The lattice's minimum is
    refined by a parabola through its neighbours.

    Args:
        templates: f, on the patch of each of N handles.
        features: F'.
        points: `[N, 2]` where the handles were, crop pixels.

    Returns:
        `[N, 2]` where the handles are now, within the crop.
    """
    margin = templates.inside.shape[1] // 2
    lattice = points[:, None, None] + templates.lattice
    distance, energy = torch.zeros((), device=points.device), torch.zeros_like(lattice[..., :1])
    for value, read in zip(templates.values, features.each_at(lattice), strict=True):
        energy = energy + torch.linalg.vector_norm(read, dim=-1, keepdim=True).square()
        distance = distance - 2 * correlate(value, read)
    distance = distance + correlate(templates.inside[..., None], energy)
    candidates = slice(margin, margin + distance.shape[1])
    q = lattice[:, candidates, candidates]
    outside = ((q < 0) | (q > features.resolution)).any(dim=-1)
    distance = distance.masked_fill(outside, torch.inf)
    return _refined_minimum(distance, q, templates.spacing).clamp(0, features.resolution)


def correlate(patch: Tensor, picture: Tensor) -> Tensor:
    """sum_q patch(q) picture(u + q) for all u where the patch lies in the picture.

    Args:
        patch: `[N, D, D, C]`.
        picture: `[N, W, W, C]`.

    Returns:
        `[N, K, K]`, K = W - D + 1.
    """
    side, wide = patch.shape[1], picture.shape[1]
    count = wide - side + 1
    # A row of the patch against the rows that it may lie on, at all columns, is one product. With
    # the long side first it rounds alike on any number of threads.
    rows = picture.new_zeros(len(picture), count * wide, side)
    for y in range(side):
        rows.baddbmm_(picture[:, y : y + count].flatten(1, 2), patch[:, y].transpose(1, 2))
    columns = rows.unflatten(1, (count, wide)).unfold(2, side, 1)
    return columns.diagonal(dim1=3, dim2=4).sum(dim=-1)


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
    # A flat or clipped neighbourhood divides by zero or infinity: then the cell itself stands.
    unknown = (index == 0) | (index == last) | ~delta.isfinite()
    return delta.masked_fill(unknown, 0).clamp(-0.5, 0.5)
