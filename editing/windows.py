"""Windows on the generator's feature maps: a drag needs only what lies around its handles.

A layer that runs on a window of its input, padded with zeros as the whole map would be, is right
but for a margin at those edges of the window that are not edges of the map: one cell after a
convolution of 3 x 3, two after one that doubles the side with its low-pass filter. Windows that
allow for those margins give the very features of the whole map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

CONVOLUTION_MARGIN = 1
DOUBLING_MARGIN = 2
# Convolutions are prepared for each new size: windows of few sizes need that less often.
SIZE_STEP = 4

# First row and column, and the row and column after the last.
Box = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class Window:
    """Equal rectangles of one feature map.

    Attributes:
        map_size: height and width of the map.
        corners: row and column of the first cell of each rectangle.
        size: height and width of each rectangle.
    """

    map_size: tuple[int, int]
    corners: tuple[tuple[int, int], ...]
    size: tuple[int, int]

    @staticmethod
    def whole(maps: Tensor) -> Window:
        """All of a map `[N, C, h, w]`."""
        height, width = maps.shape[2:]
        return Window(map_size=(height, width), corners=((0, 0),), size=(height, width))

    @staticmethod
    def covering(map_size: tuple[int, int], boxes: Sequence[Box]) -> Window:
        """A rectangle for each box, as large as the largest or more, shifted into the map."""
        height = min(_rounded(max(bottom - top for top, _, bottom, _ in boxes)), map_size[0])
        width = min(_rounded(max(right - left for _, left, _, right in boxes)), map_size[1])
        corners = tuple(
            (_within(top, map_size[0] - height), _within(left, map_size[1] - width))
            for top, left, _, _ in boxes
        )
        return Window(map_size=map_size, corners=corners, size=(height, width))

    @property
    def boxes(self) -> list[Box]:
        """The rectangles."""
        height, width = self.size
        return [(top, left, top + height, left + width) for top, left in self.corners]

    @property
    def cells(self) -> int:
        """Number of cells in all rectangles."""
        return len(self.corners) * self.size[0] * self.size[1]

    def doubled(self) -> Window:
        """The same places on the map of twice the side."""
        height, width = self.map_size
        return Window(
            map_size=(2 * height, 2 * width),
            corners=tuple((2 * top, 2 * left) for top, left in self.corners),
            size=(2 * self.size[0], 2 * self.size[1]),
        )

    def cut(self, maps: Tensor, held: Window) -> Tensor:
        """This window `[N, C, h, w]` out of maps that show another one, `[N or 1, C, *size]`."""
        if self == held:
            return maps
        parts: list[Tensor] = []
        for k, (top, left) in enumerate(self.corners):
            at = k if len(held.corners) > 1 else 0
            y, x = top - held.corners[at][0], left - held.corners[at][1]
            parts.append(maps[at : at + 1, :, y : y + self.size[0], x : x + self.size[1]])
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def cut_whole(self, maps: Tensor) -> Tensor:
        """This window out of whole maps `[1, C, *map_size]`."""
        return self.cut(maps, Window.whole(maps))


@dataclass(frozen=True, kw_only=True)
class BlockWindows:
    """Where one block of the generator is computed.

    Attributes:
        below: what it reads of the block below, right to its edges.
        here: what its last layer computes, wrong at its edges by `CONVOLUTION_MARGIN`.
    """

    below: Window
    here: Window


def plan_windows(
    reads: Mapping[int, Sequence[Box]], sides: Sequence[int]
) -> dict[int, BlockWindows]:
    """Find windows such that the cells that are read come out right.

    Args:
        reads: side of a square block -> a box of its cells for each rectangle.
        sides: of all blocks, in ascending order.

    Returns:
        The windows of the finer blocks; those that are not among them are cheaper, or no dearer,
        as whole maps.
    """
    plan: dict[int, BlockWindows] = {}
    needed: Sequence[Box] = ()
    for side in reversed(sides):
        boxes = _joined(needed, reads.get(side, ()))
        here = Window.covering((side, side), [_grown(box, CONVOLUTION_MARGIN) for box in boxes])
        if here.cells >= side * side:
            break
        needed = [_halved(_grown(box, DOUBLING_MARGIN)) for box in here.boxes]
        below = Window.covering((side // 2, side // 2), needed)
        plan[side] = BlockWindows(below=below, here=here)
        needed = below.boxes
    return plan


def boxes_around(points: Tensor, margin: float, side: int, resolution: int) -> list[Box]:
    """Cells of a square map that are read within a margin of points.

    Args:
        points: `[N, 2]` (x, y), crop pixels.
        margin: along each axis, crop pixels.
        side: of the map.
        resolution: side of the crop.
    """
    cells = points * (side / resolution) - 0.5
    reach = margin * side / resolution
    first = (cells - reach).floor().flip(1)
    # Reading between two cells takes the one after as well.
    last = (cells + reach).floor().flip(1) + 2
    return [(a, b, c, d) for a, b, c, d in torch.cat((first, last), dim=1).long().tolist()]


def box_around(boxes: Sequence[Box]) -> Box:
    """The smallest box that holds them all."""
    top, left, bottom, right = zip(*boxes, strict=True)
    return min(top), min(left), max(bottom), max(right)


def _joined(some: Sequence[Box], others: Sequence[Box]) -> Sequence[Box]:
    if not some or not others:
        return some or others
    return [box_around(pair) for pair in zip(some, others, strict=True)]


def _grown(box: Box, margin: int) -> Box:
    top, left, bottom, right = box
    return top - margin, left - margin, bottom + margin, right + margin


def _halved(box: Box) -> Box:
    """The cells of half the side that a box lies in."""
    top, left, bottom, right = box
    return top // 2, left // 2, -(-bottom // 2), -(-right // 2)


def _rounded(length: int) -> int:
    return -(-length // SIZE_STEP) * SIZE_STEP


def _within(position: int, last: int) -> int:
    return min(max(position, 0), last)
