"""Parts of a face as masks, from its 68 landmarks (iBUG order).

Landmarks are (x, y) in crop pixels; lengths are in units of the distance between the centres of
the two eyes ("eyes apart"), along the face's own axes, so a rolled face is treated alike.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from editing.errors import PresetError

Points = npt.NDArray[np.float64]

LANDMARKS = 68
# Eyes closer than this many crop pixels belong to no face that could be edited.
SMALLEST_FACE = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class FaceFrame:
    """The face's own coordinates: origin between the eyes, x along them, y down the face.

    Attributes:
        origin: `[2]`, crop pixels.
        axes: `[2, 2]`, rows are the unit vectors of x and y in the crop.
        scale: distance between the centres of the eyes, crop pixels.
    """

    origin: Points
    axes: Points
    scale: float

    @classmethod
    def of(cls, landmarks: npt.ArrayLike) -> FaceFrame:
        """Frame of a face with these `[68, 2]` landmarks.

        Raises:
            PresetError: not 68 finite points, or the eyes coincide.
        """
        points = check_landmarks(landmarks)
        one, other = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
        apart = other - one
        scale = float(np.hypot(*apart))
        if scale < SMALLEST_FACE:
            raise PresetError("the eyes' landmarks coincide: find the face again")
        x, y = apart / scale
        return cls(origin=(one + other) / 2, axes=np.array([[x, y], [-y, x]]), scale=scale)

    def to_face(self, points: Points) -> Points:
        """Crop pixels `[..., 2]` -> face units."""
        return (points - self.origin) @ self.axes.T / self.scale

    def to_crop(self, points: Points) -> Points:
        """Face units `[..., 2]` -> crop pixels."""
        return points @ self.axes * self.scale + self.origin


@dataclass(frozen=True, kw_only=True)
class _Region:
    """Convex hulls of landmarks, widened by `margin` and stretched up by `lift`, face units.

    What the region `without` covers is left out.
    """

    hulls: tuple[tuple[int, ...], ...]
    margin: float
    lift: float = 0.0
    without: str | None = None


REGIONS: dict[str, _Region] = {
    "mouth": _Region(hulls=(tuple(range(48, 60)),), margin=0.24),
    "eyes": _Region(hulls=(tuple(range(36, 42)), tuple(range(42, 48))), margin=0.16),
    "brows": _Region(hulls=((*range(17, 27), 36, 39, 42, 45),), margin=0.10, lift=0.30),
    "nose": _Region(hulls=(tuple(range(27, 36)),), margin=0.12),
    "jaw": _Region(hulls=((*range(2, 15), *range(31, 36), *range(48, 60)),), margin=0.20),
    "face": _Region(hulls=(tuple(range(68)),), margin=0.12, lift=0.55),
    # No landmark knows of hair: all that is around the face from the jaw's corners up.
    "hair": _Region(hulls=((*range(5), *range(12, 27)),), margin=0.55, lift=1.05, without="face"),
}


def check_landmarks(landmarks: npt.ArrayLike) -> Points:
    """The landmarks as a float64 array.

    Raises:
        PresetError: not 68 finite (x, y) points.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    if points.shape != (LANDMARKS, 2):
        raise PresetError(
            f"a face has {LANDMARKS} landmarks of (x, y), not an array of {list(points.shape)}"
        )
    if not np.isfinite(points).all():
        raise PresetError("the face's landmarks hold NaN or infinity: find the face again")
    return points


def region_mask(
    landmarks: npt.ArrayLike,
    names: Collection[str],
    *,
    resolution: int,
    softness: float = 0.0,
) -> Tensor:
    """Movable mask of one or several parts of a face, wide enough for them to move.

    Args:
        landmarks: `[68, 2]`, crop pixels.
        names: keys of `REGIONS`; their union is taken.
        resolution: side R of the crop in pixels.
        softness: width of the ramp outside the hard edge, in eyes apart; 0 for a hard edge.

    Returns:
        `[1, 1, R, R]` float32, 1 = may change.

    Raises:
        PresetError: an unknown region or unusable landmarks.
    """
    unknown = [name for name in names if name not in REGIONS]
    if unknown:
        raise PresetError(f"unknown region {unknown[0]!r}: choose among {', '.join(REGIONS)}")
    frame = FaceFrame.of(landmarks)
    face = frame.to_face(check_landmarks(landmarks))
    mask = np.zeros((resolution, resolution), dtype=np.float32)
    for name in names:
        region = REGIONS[name]
        part = _cover(region, face, frame, resolution, softness)
        if region.without is not None:
            part *= 1 - _cover(REGIONS[region.without], face, frame, resolution, softness)
        mask = np.maximum(mask, part)
    return torch.from_numpy(mask)[None, None]


def _cover(
    region: _Region, face: Points, frame: FaceFrame, resolution: int, softness: float
) -> npt.NDArray[np.float32]:
    """`[R, R]`, 1 on the widened hulls of a region, with its ramp."""
    cover = np.zeros((resolution, resolution), np.float32)
    for hull in region.hulls:
        around = face[list(hull)]
        lifted = around - [0.0, region.lift]
        corners = frame.to_crop(np.concatenate((around, lifted)))
        distance = distance_to_hull(corners, resolution) / frame.scale - region.margin
        inside = (distance <= 0).astype(np.float32)
        ramp = np.clip(1 - distance / softness, 0, 1) if softness > 0 else inside
        cover = np.maximum(cover, ramp.astype(np.float32))
    return cover


def distance_to_hull(points: Points, resolution: int) -> npt.NDArray[np.float64]:
    """`[R, R]` distance of every pixel centre to the convex hull of points, 0 inside, pixels."""
    hull = cv2.convexHull(points.astype(np.float32))[:, 0].astype(np.float64)
    y, x = np.mgrid[:resolution, :resolution] + 0.5
    pixels = np.stack((x, y), axis=-1)
    nearest = np.full((resolution, resolution), np.inf)
    signs: list[npt.NDArray[np.bool_]] = []
    for a, b in zip(hull, np.roll(hull, -1, axis=0), strict=True):
        edge, away = b - a, pixels - a
        along = np.clip(away @ edge / max(float(edge @ edge), 1e-12), 0, 1)
        nearest = np.minimum(nearest, np.linalg.norm(away - along[..., None] * edge, axis=-1))
        signs.append(edge[0] * away[..., 1] - edge[1] * away[..., 0] >= 0)
    turns = np.stack(signs)
    return np.where(turns.all(axis=0) | (~turns).all(axis=0), 0.0, nearest)
