"""What a mask fixes is drawn from the untouched picture, inside the generator.

The latents that a drag moves draw the whole picture, so that a loss can only discourage change
elsewhere. Here the features of the inversion's own picture take the place of the edit's where a
mask fixes them, block by block, and its colours likewise; the blocks that follow draw the
transition. What is fixed in the end is the inversion's picture to the pixel.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from editing.supervision import mask_loss
from editing.windows import Window

COARSEST_HELD = 32


@dataclass(frozen=True, kw_only=True, eq=False)
class Painted:
    """A picture on its way through the generator.

    Attributes:
        maps: side of a block -> its features `[1, C, r, w]`.
        colours: side of a block -> `[1, 3, r, w]` float32, the picture as far as it is painted.
    """

    maps: Mapping[int, Tensor]
    colours: Mapping[int, Tensor]


@dataclass(frozen=True, kw_only=True, eq=False)
class Held:
    """A picture to keep to.

    Attributes:
        kept: the picture.
        movable: side of a block -> `[1, 1, r, w]`, share of each cell that is drawn anew; blocks
            that are not among them are drawn anew altogether.
        fixed: side of a block -> `[1, 1, r, w]`, share of each cell that the loss is to keep.
        everywhere: whether the loss looks at all of these maps, or near the handles only.
    """

    kept: Painted
    movable: Mapping[int, Tensor]
    fixed: Mapping[int, Tensor]
    everywhere: bool = False

    def hold(self, x: Tensor, side: int, window: Window) -> Tensor:
        """The output of a block, seen through a window, with what is fixed as it was."""
        if side not in self.movable:
            return x
        kept = window.cut_whole(self.kept.maps[side])
        return torch.lerp(kept, x, window.cut_whole(self.movable[side]).to(x.dtype))

    def hold_colour(self, colour: Tensor, side: int) -> Tensor:
        """The picture as far as it is painted, with what is fixed as it was."""
        if side not in self.movable:
            return colour
        kept = self.kept.colours[side]
        return torch.lerp(kept, colour, self.movable[side])

    def loss(self, x: Tensor, side: int, window: Window) -> Tensor:
        """How far a block's output would change what is fixed, were it not held."""
        kept, fixed = self.kept.maps[side], self.fixed[side]
        return mask_loss(x, window.cut_whole(kept), window.cut_whole(fixed))


def held_sides(resolution: int) -> list[int]:
    """Sides of the blocks that are held: coarser ones know of the face as a whole only."""
    coarsest = min(resolution // 4, COARSEST_HELD)
    return [2**k for k in range(2, resolution.bit_length()) if 2**k >= coarsest]


def shares(mask: Tensor, kept: Painted, sides: Collection[int]) -> dict[int, Tensor]:
    """A mask `[1, 1, R, R]` as shares of the cells of some of a picture's maps."""
    found: dict[int, Tensor] = {}
    for side in kept.maps.keys() & set(sides):
        # Pictures that are higher than wide lie in the middle of the square crop.
        width = kept.maps[side].shape[3]
        beside = (side - width) // 2
        found[side] = F.adaptive_avg_pool2d(mask, side)[..., beside : beside + width]
    return found


def merge(here: Painted, there: Painted, mask: Tensor) -> Painted:
    """One picture where a mask `[1, 1, R, R]` is 1, another where it is 0."""
    share = shares(mask, here, here.maps.keys())

    def mixed(these: Mapping[int, Tensor], those: Mapping[int, Tensor]) -> dict[int, Tensor]:
        return {side: torch.lerp(those[side], x, share[side].to(x)) for side, x in these.items()}

    return Painted(maps=mixed(here.maps, there.maps), colours=mixed(here.colours, there.colours))
