"""Standard edits as an exact warp of the rendering: what is measured of a drag that is perfect."""

from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from scipy.interpolate import RBFInterpolator
from torch import Tensor

from pipeline.evaluate.samples import Points
from pipeline.evaluate.standard import StandardEdit

_GIVES: Final = 1.25
"""Landmarks within so many ways of a dragged one, and its neighbours, follow the skin."""
_RIM: Final = np.array([(x, y) for x in (0, 0.5, 1) for y in (0, 0.5, 1) if (x, y) != (0.5, 0.5)])
"""Of a picture of side 1, which stays as well."""


def warped(image: Tensor, landmarks: Points, edit: StandardEdit, way: Points) -> Tensor:
    """Warp a picture so that the dragged landmarks go all of the way and the others stay.

    What lies between them follows a thin plate spline, and so do a dragged landmark's neighbours; a
    whole head moves with its picture.

    Args:
        image: `[1, 3, R, R]`.
        landmarks: `[68, 2]` found on it, pixels.
        edit: what is dragged.
        way: `[N, 2]` of the dragged landmarks, pixels.
    """
    side = image.shape[-1]
    if edit.whole:
        start, ways = landmarks, np.tile(way.mean(0), (len(landmarks), 1))
    else:
        dragged = landmarks[edit.dragged]
        apart = np.linalg.norm(landmarks[:, None] - dragged, axis=-1).min(1)
        steps = np.abs(np.arange(len(landmarks))[:, None] - edit.dragged).min(1)
        stays = (steps > 1) & (apart > _GIVES * np.linalg.norm(way, axis=1).max())
        still = np.concatenate((landmarks[stays], _RIM * side))
        start, ways = np.concatenate((dragged, still)), np.concatenate((way, np.zeros_like(still)))
    came = RBFInterpolator(start + ways, ways)
    y, x = np.mgrid[:side, :side] + 0.5
    pixels = np.stack((x.ravel(), y.ravel()), axis=-1)
    source = ((pixels - came(pixels)) / side * 2 - 1).reshape(1, side, side, 2)
    grid = torch.from_numpy(source).to(image)
    return F.grid_sample(image, grid, "bicubic", "reflection", align_corners=False)
