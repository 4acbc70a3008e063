"""What to say about the points that somebody drags."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from editing.texture import flat_places
from pipeline.align import Alignment
from pipeline.request import Point


def remark_on_handles(
    drags: Sequence[tuple[Point, Point]], image: Tensor, alignment: Alignment
) -> tuple[str, ...]:
    """Say which handles lie where they cannot be followed, and which place near by is better.

    Args:
        drags: Pairs of handle and target, photo pixels; a handle that stays needs no following.
        image: `[1, 3, R, R]` in [-1, 1], the crop that they are dragged on.
        alignment: Of the crop.
    """
    moving = [(k, handle) for k, (handle, target) in enumerate(drags) if handle != target]
    if not moving:
        return ()
    handles = alignment.to_crop(np.array([handle for _, handle in moving], np.float64))
    remarks: list[str] = []
    for flat in flat_places(image, torch.from_numpy(handles)):
        number, (x, y) = moving[flat.index]
        remark = f"point {number + 1} at ({x:.0f}, {y:.0f}) lies on flat ground and may slip"
        if flat.better is not None:
            better_x, better_y = alignment.to_photo(np.array([flat.better]))[0]
            remark += f": ({better_x:.0f}, {better_y:.0f}) has more to hold on to"
        remarks.append(remark)
    return tuple(remarks)
