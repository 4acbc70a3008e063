"""Handles on flat skin: one place there looks like the next, so that no tracker can hold on."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from torch import Tensor

from editing.options import REFERENCE_SIDE

# Standard deviation of the brightness (0 to 1) around a place. Of 408 landmarks found on
# faces one in a hundred has less than the first; foreheads have about half of it.
FLAT = 0.025
TEXTURED = 2 * FLAT
# Of the Gaussian neighbourhood that is looked at, and how far a better place may be, px@512.
NEIGHBOURHOOD = 12.0
NEAR_BY = 48.0


@dataclass(frozen=True, kw_only=True)
class FlatPlace:
    """A point with nothing to hold on to.

    Attributes:
        index: of the point.
        better: (x, y) of the nearest place with more texture, crop pixels; None where none is near.
    """

    index: int
    better: tuple[float, float] | None


def flat_places(image: Tensor, points: Tensor) -> list[FlatPlace]:
    """Find the points that lie on flat ground.

    Args:
        image: `[1, 3, R, R]` in [-1, 1].
        points: `[N, 2]` (x, y), crop pixels.
    """
    texture = _texture(image)
    side = len(texture)
    y, x = np.nonzero(texture >= TEXTURED)
    textured = np.stack((x, y), axis=1) + 0.5
    found: list[FlatPlace] = []
    for index, point in enumerate(points.cpu().numpy()):
        column, row = point.astype(int).clip(0, side - 1)
        if texture[row, column] >= FLAT:
            continue
        away = np.linalg.norm(textured - point, axis=1)
        better = None
        if len(away) and away.min() <= NEAR_BY * side / REFERENCE_SIDE:
            x, y = textured[away.argmin()].tolist()
            better = (x, y)
        found.append(FlatPlace(index=index, better=better))
    return found


def _texture(image: Tensor) -> npt.NDArray[np.float32]:
    """`[R, R]` standard deviation of the brightness around each pixel."""
    grey = (image[0].float().clamp(-1, 1).mean(dim=0).cpu().numpy() + 1) / 2
    sigma = NEIGHBOURHOOD * len(grey) / REFERENCE_SIDE
    mean = cv2.GaussianBlur(grey, (0, 0), sigma)
    spread = cv2.GaussianBlur(grey * grey, (0, 0), sigma) - mean * mean
    return np.sqrt(np.maximum(spread, 0)).astype(np.float32)
