"""What a drag did to a picture: how far it came, what it took along, and whether it cross-faded."""

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluate.samples import Points

_REC709 = (0.2126, 0.7152, 0.0722)


def share_of_way(before: Points, after: Points, way: Points) -> float:
    """Mean share of `way` that points went along it: 1 is all of it, 0 none, below 0 backwards.

    Args:
        before: `[N, 2]`.
        after: `[N, 2]`, the same points.
        way: `[N, 2]`, what each was asked to move by.
    """
    return float((((after - before) * way).sum(1) / (way**2).sum(1)).mean())


def nearest_landmarks(points: Points, landmarks: Points) -> list[int]:
    """Number of the landmark `[68, 2]` that is nearest to each of some points `[N, 2]`."""
    apart = np.linalg.norm(points[:, None] - landmarks[None], axis=-1)
    return apart.argmin(axis=1).tolist()


def mean_movement(before: Points, after: Points) -> float:
    """Mean length of the movement of points `[N, 2]`."""
    return float(np.linalg.norm(after - before, axis=1).mean())


def change_of_shape(before: Points, after: Points) -> float:
    """Mean distance of points `[N, 2]` from where the best affine map of all of them takes them.

    A head that turns or tilts as a whole is nearly such a map; an expression is none.
    """
    known = np.column_stack([before, np.ones(len(before))])
    affine = np.linalg.lstsq(known, after, rcond=None)[0]
    return mean_movement(known @ affine, after)


def region_of_way(start: Points, end: Points, radius: float, side: int) -> NDArray[np.bool_]:
    """Pixels `[side, side]` within `radius` of the straight ways from `start` to `end` `[N, 2]`."""
    y, x = np.mgrid[:side, :side] + 0.5
    pixels = np.stack((x, y), axis=-1)
    near = np.zeros((side, side), np.bool_)
    for a, b in zip(start, end, strict=True):
        edge, away = b - a, pixels - a
        along = np.clip(away @ edge / max(float(edge @ edge), 1e-12), 0, 1)
        near |= np.linalg.norm(away - along[..., None] * edge, axis=-1) <= radius
    return near


def gradient_energy(rgb: NDArray[np.float32], region: NDArray[np.bool_]) -> float:
    """Mean square of the gradient of the luminance of `[R, R, 3]` over a region `[R, R]`.

    Moving a part keeps it; two faint copies of the part, which is what a cross-fade shows, have
    half of it.
    """
    luminance: NDArray[np.float64] = rgb.astype(np.float64) @ _REC709
    energy: NDArray[np.float64] = np.square(np.gradient(luminance)).sum(0)
    return float(energy[region].mean())
