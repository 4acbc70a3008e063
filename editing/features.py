"""Feature maps of the generator, read at any point of the crop.

Points are (x, y) in crop pixels; a feature map covers the whole crop at any resolution and is read
bilinearly where it is needed, never enlarged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from editing.windows import Window


def sample_features(
    features: Tensor,
    points: Tensor,
    resolution: int,
    window: Window | None = None,
    *,
    scale: float = 1.0,
) -> Tensor:
    """Read a feature map at any points of the crop.

    At pixel centres this equals enlarging the map bilinearly to the crop and reading the pixel:
    both weigh the same four cells alike. Between them, reading the enlarged map interpolates an
    interpolation, which cuts the corners at cells' centres: along each axis the two differ by at
    most a quarter of a pixel times the change of the map's slope there, hence together by no more
    than the enlarged map's largest step from pixel to pixel.

    Args:
        features: `[1, C, r, r]`, or `[N, C, h, w]` of a window.
        points: `[..., 2]` (x, y), crop pixels; outside the crop the border is repeated. Where a
            window has several rectangles, `[N, ..., 2]`, each within its own.
        resolution: side of the crop in pixels.
        window: what the features show; default: the whole map.
        scale: what the features are multiplied with.

    Returns:
        `[..., C]`, float32 or float64.
    """
    window = window or Window.whole(features)
    side = window.map_size[0]
    cell = (points.reshape(-1, 2) * (side / resolution) - 0.5).clamp(0, side - 1)
    corner = cell.floor().clamp(max=max(side - 2, 0))
    share = cell - corner
    x, y = corner.long().unbind(dim=1)
    # Cells lie in rows of a table of vectors: no copy for channels-last maps.
    table = features.permute(0, 2, 3, 1).flatten(0, 2)
    if table.dtype != torch.float64:
        table = table.float()
    height, width = window.size
    here = y * width + x
    if window.corners != ((0, 0),):
        first = [
            k * height * width - top * width - left for k, (top, left) in enumerate(window.corners)
        ]
        each = torch.tensor(first, device=here.device)
        here = here + each.repeat_interleave(len(here) // len(first))
    below, right = width * (height > 1), int(width > 1)
    at = torch.stack((here, here + right), dim=1)
    at = torch.cat((at, at + below), dim=1)
    along = torch.stack((1 - share, share), dim=-1)
    weights = (along[:, 1, :, None] * scale * along[:, 0, None, :]).flatten(1).to(table.dtype)
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
        strain: how much of what is held would change, were it not; a scalar.
        windows: what each of the maps shows, where they are not whole: then `[N, C, h, w]`.
    """

    maps: tuple[Tensor, ...]
    resolution: int
    image: Callable[[], Tensor]
    colour: Tensor | None = None
    strain: Tensor | None = None
    windows: tuple[Window, ...] | None = None

    def at(self, points: Tensor) -> Tensor:
        """Read all blocks: points `[..., 2]` in crop pixels -> `[..., C]`, C over all blocks.

        See `each_at`.
        """
        return torch.cat(self.each_at(points), dim=-1)

    def each_at(self, points: Tensor) -> list[Tensor]:
        """Read each block: points `[..., 2]` in crop pixels -> `[..., C]` of each.

        Windows are read at `[N, ..., 2]`, N being the number of points that they lie around.
        Channels are scaled such that each block has the same share in a mean over channels.
        """
        channels = sum(each.shape[1] for each in self.maps)
        windows = self.windows or (None,) * len(self.maps)
        return [
            sample_features(
                each,
                points,
                self.resolution,
                window,
                scale=channels / len(self.maps) / each.shape[1],
            )
            for each, window in zip(self.maps, windows, strict=True)
        ]

    def only(self, blocks: Sequence[int]) -> Features:
        """The maps of some blocks, named by their sides."""
        windows = self.windows or tuple(Window.whole(each) for each in self.maps)
        sides = [window.map_size[0] for window in windows]
        chosen = [sides.index(block) for block in blocks]
        return replace(
            self,
            maps=tuple(self.maps[k] for k in chosen),
            windows=tuple(windows[k] for k in chosen),
        )

    def detach(self) -> Features:
        """The same maps without a gradient."""
        maps = tuple(each.detach() for each in self.maps)
        return replace(self, maps=maps, colour=None, strain=None)
