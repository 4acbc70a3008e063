"""A sheet to look at: faces before and after drags, side by side, with arrows."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from editing.spec import DragSpec
from pipeline.evaluate.samples import to_rgb

Bytes = NDArray[np.uint8]

ENLARGED = 256
"""Side of a face on the sheet, px, where it is smaller."""
_COLOUR = (60, 255, 60)


def before_and_after(before: Tensor, after: Tensor, spec: DragSpec) -> Bytes:
    """Two renderings `[1, 3, R, R]` side by side, `[S, 2 S, 3]`; the first shows what was asked."""
    side = max(ENLARGED, before.shape[-1])
    first, second = (_enlarge(image, side) for image in (before, after))
    scale = side / spec.resolution
    for handle, target in zip(spec.handles.numpy(), spec.targets.numpy(), strict=True):
        start, end = (
            (point * scale - 0.5).round().astype(int).tolist() for point in (handle, target)
        )
        cv2.arrowedLine(first, start, end, _COLOUR, 1, cv2.LINE_AA, tipLength=0.35)
    return np.concatenate([first, second], axis=1)


def lay_out(cells: Sequence[Bytes], columns: int) -> Bytes:
    """Cells of one size in rows of `columns`, black where the last row ends early."""
    rest = -len(cells) % columns
    filled = [*cells, *[np.zeros_like(cells[0])] * rest]
    rows = [np.concatenate(filled[k : k + columns], axis=1) for k in range(0, len(filled), columns)]
    return np.concatenate(rows)


def _enlarge(image: Tensor, side: int) -> Bytes:
    levels = (to_rgb(image) * 255).round().astype(np.uint8)
    return np.asarray(cv2.resize(levels, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)
