"""How well a face finder agrees with itself: the floor under every distance of landmarks."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.evaluate.samples import Points
from pipeline.faces import find_faces

JITTERS = 4
_SHIFT, _SCALE, _TURN = 0.02, 0.03, 2.0
"""Largest shift in sides of the picture, change of scale, and turn in degrees."""


def repeatability(
    rgb: NDArray[np.float32], landmarks: Points, rng: np.random.Generator, finder: str
) -> NDArray[np.float64]:
    """Distance [68] between landmarks and those found on moved copies of the same picture, px.

    The copies are shifted, scaled and turned a little, and what is found on them is moved back;
    the mean over `JITTERS` copies. NaN where no copy shows a face.

    Args:
        rgb: [R, R, 3] in [0, 1].
        landmarks: [68, 2] found on it.
        rng: draws the copies.
        finder: one of `pipeline.faces.FINDERS`.
    """
    side = rgb.shape[0]
    away: list[NDArray[np.float64]] = []
    for _ in range(JITTERS):
        turn, scale = rng.uniform(-_TURN, _TURN), 1 + rng.uniform(-_SCALE, _SCALE)
        # OpenCV counts from the centre of the first pixel.
        matrix = cv2.getRotationMatrix2D((side / 2 - 0.5, side / 2 - 0.5), turn, scale)
        matrix[:, 2] += rng.uniform(-_SHIFT, _SHIFT, 2) * side
        moved = cv2.warpAffine(
            rgb, matrix, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
        )
        faces = find_faces(np.clip(moved, 0, 1).astype(np.float32), finder=finder)
        if faces:
            found = max(faces, key=lambda face: face.box[3] - face.box[1]).landmarks - 0.5
            back = cv2.invertAffineTransform(matrix)
            away.append(
                np.linalg.norm(found @ back[:, :2].T + back[:, 2] + 0.5 - landmarks, axis=1)
            )
    return np.mean(away, axis=0) if away else np.full(68, np.nan)
