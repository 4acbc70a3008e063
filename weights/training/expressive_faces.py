"""Portraits with expressions that they do not have, and where their landmarks go."""

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from weights.training.augment_faces import PORTRAIT, Faces
from weights.training.expressions import Drawn, express, random_expressions
from weights.training.portraits import pixel_grid

_BATCH = 32
_RIM = 1.5 * 2 / PORTRAIT
"""How far from lids and inner lips the skin is looked at that moves with them."""
_ABOVE = [37, 38, 43, 44, 61, 62, 63]
_BELOW = [41, 40, 47, 46, 67, 66, 65]


def expressive(faces: Faces, *, seed: int) -> Faces:
    """Return the same faces with random expressions, landmarks moved along."""
    rng = torch.Generator().manual_seed(seed)
    grid = pixel_grid(PORTRAIT)
    pictures = np.empty_like(faces.pictures)
    landmarks = np.empty_like(faces.landmarks)
    for start in tqdm(range(0, len(faces), _BATCH), desc="expressions", mininterval=5):
        part = slice(start, start + _BATCH)
        images = torch.from_numpy(faces.pictures[part]).permute(0, 3, 1, 2) / 127.5 - 1
        points = torch.from_numpy(faces.landmarks[part]).float() * (2 / PORTRAIT) - 1
        points_on = grid.expand(len(images), -1, -1, -1)
        drawn = express(images, points, random_expressions(points, rng), points_on)
        levels = ((drawn.images + 1) * 127.5).round().clamp(0, 255).byte()
        pictures[part] = levels.permute(0, 2, 3, 1).numpy()
        landmarks[part] = (moved_landmarks(points, drawn, grid).numpy() + 1) * (PORTRAIT / 2)
    return Faces(pictures=pictures, landmarks=landmarks, gray=faces.gray)


def moved_landmarks(landmarks: Tensor, drawn: Drawn, grid: Tensor) -> Tensor:
    """Where landmarks [N, 68, 2] in [-1, 1] are in the pictures drawn.

    The pixel is taken that reads from nearest the landmark, painted ones aside; the rest of the way
    is added. What lids and inner lips bound is stretched or covered, so for them the skin a little
    beside is followed, which moves with them as one piece.

    Args:
        landmarks: of the pictures that were given to `express`.
        drawn: what it returned on `grid`.
        grid: the points of the pictures, [S, S, 2].
    """
    beside = torch.zeros(68, 2)
    beside[_ABOVE, 1], beside[_BELOW, 1] = -_RIM, _RIM
    followed, source = landmarks + beside, drawn.source.flatten(1, 2)
    away = torch.cdist(followed, source) + drawn.cover.flatten(1)[:, None]
    nearest = away.argmin(2)
    read = source.gather(1, nearest[..., None].expand(-1, -1, 2))
    return grid.flatten(0, 1)[nearest] + followed - read - beside
