"""Feature maps of the generator, read at any point of the crop.

Points are (x, y) in crop pixels; a feature map covers the whole crop at any resolution and is read
bilinearly where it is needed, never enlarged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


def sample_features(features: Tensor, points: Tensor, resolution: int) -> Tensor:
    """Read a feature map at any points of the crop.

    At pixel centres this equals enlarging the map bilinearly to the crop and reading the pixel:
    both weigh the same four cells alike. Between them, reading the enlarged map interpolates an
    interpolation, which cuts the corners at cells' centres: along each axis the two differ by at
    most a quarter of a pixel times the change of the map's slope there, hence together by no more
    than the enlarged map's largest step from pixel to pixel.

    Args:
        features: `[1, C, r, r]`.
        points: `[..., 2]` (x, y), crop pixels; outside the crop the border is repeated.
        resolution: side of the crop in pixels.

    Returns:
        `[..., C]`, float32 or float64.
    """
    height, width = features.shape[2:]
    cell = points.reshape(-1, 2) * (width / resolution) - 0.5
    last = cell.new_tensor((width - 1, height - 1))
    cell = torch.minimum(cell.clamp(min=0), last)
    corner = torch.minimum(cell.floor(), (last - 1).clamp(min=0))
    share = cell - corner
    x, y = corner.long().unbind(dim=1)
    # Cells lie in rows of a table of vectors: no copy for channels-last maps.
    table = features[0].permute(1, 2, 0).reshape(height * width, -1)
    if table.dtype != torch.float64:
        table = table.float()
    below, right = width * (height > 1), int(width > 1)
    at = torch.stack((y * width + x, y * width + x + right), dim=1)
    at = torch.cat((at, at + below), dim=1)
    along = torch.stack((1 - share, share), dim=-1)
    weights = (along[:, 1, :, None] * along[:, 0, None, :]).flatten(1).to(table.dtype)
    # A bag of four cells each: their weighted sum without copies of the cells.
    read = F.embedding_bag(at, table, per_sample_weights=weights, mode="sum")
    return read.reshape(*points.shape[:-1], table.shape[1])


@dataclass(frozen=True, eq=False)
class Features:
    """Output of one or more blocks of the generator for one picture, each of equal weight.

    A coarse block knows which part of the face a place belongs to, a fine one where its edge is.

    Attributes:
        maps: `[1, C, r, r]` each.
        resolution: side of the crop in pixels.
        image: draws the picture, `[1, 3, R, R]`.
        colour: `[1, 3, r, r]` float32, the picture as far as these blocks paint it, where wanted.
    """

    maps: tuple[Tensor, ...]
    resolution: int
    image: Callable[[], Tensor]
    colour: Tensor | None = None

    def at(self, points: Tensor) -> Tensor:
        """Read all blocks: points `[..., 2]` in crop pixels -> `[..., C]`, C over all blocks.

        Channels are scaled such that each block has the same share in a mean over channels.
        """
        channels = sum(each.shape[1] for each in self.maps)
        return torch.cat(
            [
                sample_features(each, points, self.resolution)
                * (channels / len(self.maps) / each.shape[1])
                for each in self.maps
            ],
            dim=-1,
        )

    def detach(self) -> Features:
        """The same without a gradient."""
        colour = None if self.colour is None else self.colour.detach()
        maps = tuple(each.detach() for each in self.maps)
        return Features(maps, self.resolution, self.image, colour)

    def where(self, mask: Tensor, other: Features) -> Features:
        """These features where a mask `[1, 1, R, R]` is 1, and another picture's where it is 0."""

        def mixed(here: Tensor, there: Tensor) -> Tensor:
            share = F.adaptive_avg_pool2d(mask.to(here), here.shape[-1])
            return there + share * (here - there)

        pairs = zip(self.maps, other.maps, strict=True)
        maps = tuple(mixed(here, there) for here, there in pairs)
        colour = None
        if self.colour is not None and other.colour is not None:
            colour = mixed(self.colour, other.colour)
        return Features(maps, self.resolution, self.image, colour)
