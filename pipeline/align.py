"""A square of the photo and its crop: the similarity between them, and resampling both ways.

A face's square is FFHQ's, turned with the face; a photo without one is cut upright.

Points are (x, y) with the origin at the top-left corner of the top-left pixel, in the photo and in
the crop alike, so no half-pixel terms appear outside the sampling grid itself.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from pipeline.errors import AlignmentError

Window = tuple[int, int, int, int]

DENSE = 6
"""Times by which a map is enlarged with a cubic, at most: linear interpolation does the rest."""


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """A turned square in the photo, and the crop made of it.

    Attributes:
        centre: The square's centre (x, y) in photo pixels.
        size: Length of its side in photo pixels.
        angle: Turn from the photo's x axis to the crop's, in radians, clockwise as seen.
        resolution: Side of the crop in crop pixels.
        drawn: Share of the square's width, in its middle, that the generator draws; below 1 for
            generators of pictures higher than wide.

    Raises:
        AlignmentError: When a number is not finite, or a length is not positive.
    """

    centre: tuple[float, float]
    size: float
    angle: float
    resolution: int
    drawn: float = 1.0

    def __post_init__(self) -> None:
        """Check the four numbers."""
        numbers = (*self.centre, self.size, self.angle)
        if not all(map(math.isfinite, numbers)) or self.size <= 0 or self.resolution <= 0:
            raise AlignmentError(
                f"no square has centre {self.centre}, side {self.size}, angle {self.angle} and "
                f"{self.resolution} crop pixels: use finite numbers and positive lengths"
            )

    @property
    def scale(self) -> float:
        """Photo pixels per crop pixel."""
        return self.size / self.resolution

    @property
    def columns(self) -> slice:
        """The crop's columns that the generator draws."""
        beside = round(self.resolution * (1 - self.drawn) / 2)
        return slice(beside, self.resolution - beside)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """[2, 3]: photo point = matrix @ (x, y, 1) for a crop point (x, y)."""
        rotation = self.scale * _rotation(self.angle)
        offset = np.asarray(self.centre) - rotation @ np.full(2, self.resolution / 2)
        return np.column_stack([rotation, offset])

    def to_crop(self, points: ArrayLike) -> NDArray[np.float64]:
        """Move photo points [..., 2] to crop pixels; what is no place is none there either."""
        away = np.asarray(points, np.float64) - self.centre
        with np.errstate(invalid="ignore"):
            return away @ _rotation(self.angle) / self.scale + self.resolution / 2

    def to_photo(self, points: ArrayLike) -> NDArray[np.float64]:
        """Move crop points [..., 2] to photo pixels: the inverse of `to_crop`."""
        away = (np.asarray(points, np.float64) - self.resolution / 2) * self.scale
        return away @ _rotation(self.angle).T + self.centre

    def window(self, photo_width: int, photo_height: int) -> Window:
        """Return the smallest box (x0, y0, x1, y1) of whole photo pixels that holds the square.

        Raises:
            AlignmentError: When the square lies outside the photo.
        """
        return _window(self, photo_width, photo_height, margin=0.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Crop:
    """A square of the photo as the networks see it.

    Attributes:
        image: [1, 3, R, R] float32 in [-1, 1]; one channel where that was given.
        valid: [1, 1, R, R] float32, 1 where the pixel's whole area lies in the photo, 0 where any
            of it was invented.
        alignment: Where the crop lies in the photo.
        hidden: [1, 1, R, R], above one half where something hides the face; None for nothing.
    """

    image: Tensor
    valid: Tensor
    alignment: Alignment
    hidden: Tensor | None = None


def align(landmarks: ArrayLike, resolution: int) -> Alignment:
    """Return the square that FFHQ's authors cut around a face.

    Args:
        landmarks: [68, 2] in iBUG order, photo pixels.
        resolution: Side of the crop.

    Raises:
        AlignmentError: When the landmarks are not 68 finite points, or all lie in one place.
    """
    points = np.asarray(landmarks, np.float64)
    if points.shape != (68, 2) or not np.isfinite(points).all():
        raise AlignmentError(
            f"a face needs 68 finite landmarks (x, y), not an array of shape {points.shape}"
            f"{'' if np.isfinite(points).all() else ' with NaN or infinity'}: find the face again"
        )
    eye_left, eye_right = points[36:42].mean(0), points[42:48].mean(0)
    eyes = (eye_left + eye_right) / 2
    eye_to_eye = eye_right - eye_left
    eye_to_mouth = (points[48] + points[54]) / 2 - eyes
    x_axis = eye_to_eye - np.array([-eye_to_mouth[1], eye_to_mouth[0]])
    half_side = max(2.0 * math.hypot(*eye_to_eye), 1.8 * math.hypot(*eye_to_mouth))
    if half_side == 0 or not x_axis.any():
        raise AlignmentError("the eyes and mouth have no direction: find the face again")
    centre = eyes + 0.1 * eye_to_mouth
    return Alignment(
        centre=(float(centre[0]), float(centre[1])),
        size=2 * half_side,
        angle=math.atan2(x_axis[1], x_axis[0]),
        resolution=resolution,
    )


def upright_square(
    corner: tuple[float, float], size: float, resolution: int, *, drawn: float = 1.0
) -> Alignment:
    """Return the square that is not turned, whose drawn part has that top-left corner.

    Args:
        corner: Photo pixels.
        size: Side of the square, photo pixels.
        resolution: Side of the crop.
        drawn: See `Alignment`.

    Raises:
        AlignmentError: When a number is not finite, or a length is not positive.
    """
    x, y = corner
    centre = x + drawn * size / 2, y + size / 2
    return Alignment(centre=centre, size=size, angle=0.0, resolution=resolution, drawn=drawn)


def crop_square(rgb: NDArray[np.float32], alignment: Alignment) -> Crop:
    """Sample the square out of a photo, once, without aliasing.

    Only the window of the photo that the square touches is read. Outside the photo the crop goes on
    with the mirrored photo, which fades into its own blur and then into the median colour; no real
    pixel is blurred.

    Args:
        rgb: [H, W, 3] float32 in [0, 1], or one channel alone.
        alignment: The square.

    Raises:
        AlignmentError: When the square lies outside the photo.
    """
    height, width = rgb.shape[:2]
    side = alignment.resolution
    x0, y0, x1, y1 = _window(alignment, width, height, margin=4 * max(alignment.scale, 1.0))
    to_window = alignment.matrix - [[0, 0, x0], [0, 0, y0]]
    crop = _resample(rgb[y0:y1, x0:x1], to_window, (side, side), padding="reflection")

    centres = np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1) + 0.5
    position = alignment.to_photo(centres)
    reach = alignment.scale * (abs(math.cos(alignment.angle)) + abs(math.sin(alignment.angle))) / 2
    outside = np.maximum(-position, position - [width, height])
    valid = (outside.max(-1) <= -reach + 1e-9).astype(np.float32)
    distance = np.hypot(*np.moveaxis(np.maximum(outside, 0), -1, 0)) / alignment.size
    crop = _fade(crop, valid, distance.astype(np.float32))
    drawn = np.zeros_like(valid)
    drawn[:, alignment.columns] = valid[:, alignment.columns]
    return Crop(
        image=torch.from_numpy(crop).permute(2, 0, 1)[None].clamp(0, 1).mul(2).sub(1).contiguous(),
        valid=torch.from_numpy(drawn)[None, None],
        alignment=alignment,
    )


def crop_to_photo(
    crop_map: NDArray[np.float32], alignment: Alignment, window: Sequence[int]
) -> NDArray[np.float32]:
    """Resample a map from the crop onto whole photo pixels, smoothly; 0 outside the crop.

    Args:
        crop_map: [R, R] or [R, R, C <= 4] float32 on the crop's pixels: a difference, a flow, a
            mask.
            Values are resampled, not rescaled: a flow stays in crop pixels.
        alignment: Where the crop lies; its resolution may differ from the map's side.
        window: (x0, y0, x1, y1) in photo pixels.

    Returns:
        [y1 - y0, x1 - x0(, C)] float32.
    """
    x0, y0, x1, y1 = window
    stretch = crop_map.shape[0] / alignment.resolution
    rotation = _rotation(-alignment.angle) / alignment.scale
    offset = alignment.to_crop([x0, y0])
    to_map = stretch * np.column_stack([rotation, offset])
    channels = crop_map if crop_map.ndim == 3 else crop_map[..., None]
    if stretch < alignment.scale:
        resampled = _spread_out(channels, to_map, (y1 - y0, x1 - x0))
    else:
        resampled = _resample(channels, to_map, (y1 - y0, x1 - x0), padding="zeros")
    return resampled if crop_map.ndim == 3 else resampled[..., 0]


def _spread_out(
    source: NDArray[np.float32], matrix: NDArray[np.float64], shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Sample a sparser `source` [H, W, C <= 4], 0 outside: enlarged with a cubic, then turned.

    The turn interpolates linearly: it misses nothing once a map's pixels lie as dense as that.
    """
    source, matrix = _touched(source, matrix, shape)
    scale = 1 / math.sqrt(abs(np.linalg.det(matrix[:, :2])))
    enlarged = _resize(np.ascontiguousarray(source), float(min(math.ceil(scale), DENSE)))
    ratio = np.array([enlarged.shape[1] / source.shape[1], enlarged.shape[0] / source.shape[0]])
    matrix = matrix * ratio[:, None]
    # OpenCV counts from the first pixel's centre.
    matrix[:, 2] += matrix[:, :2].sum(axis=1) / 2 - 0.5
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    turned = cv2.warpAffine(enlarged, matrix, shape[::-1], flags=how)
    return np.asarray(turned, np.float32).reshape(*shape, -1)


def _touched(
    source: NDArray[np.float32], matrix: NDArray[np.float64], shape: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Cut out what an output of `shape` can read of a sparser source, with the matrix to it."""
    corners = np.array([[x, y, 1] for x in (0, shape[1]) for y in (0, shape[0])]) @ matrix.T
    end = np.array(source.shape[1::-1])
    # Four pixels more, for the two cubics that follow.
    low = np.clip(np.floor(corners.min(0)).astype(int) - 4, 0, end - 1)
    high = np.clip(np.ceil(corners.max(0)).astype(int) + 4, low + 1, end)
    shift = np.column_stack([np.zeros((2, 2)), low])
    return source[low[1] : high[1], low[0] : high[0]], matrix - shift


def _window(alignment: Alignment, photo_width: int, photo_height: int, margin: float) -> Window:
    side = alignment.resolution
    corners = alignment.to_photo([[0, 0], [side, 0], [0, side], [side, side]])
    low = np.floor(corners.min(0) - margin).astype(int)
    high = np.ceil(corners.max(0) + margin).astype(int)
    x0, y0 = max(int(low[0]), 0), max(int(low[1]), 0)
    x1, y1 = min(int(high[0]), photo_width), min(int(high[1]), photo_height)
    if x0 >= x1 or y0 >= y1:
        raise AlignmentError(
            f"the square around ({alignment.centre[0]:.0f}, {alignment.centre[1]:.0f}) lies "
            f"outside the photo of {photo_width} x {photo_height} pixels: choose one inside it"
        )
    return x0, y0, x1, y1


def _rotation(angle: float) -> NDArray[np.float64]:
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array([[cos, -sin], [sin, cos]])


def _fade(
    crop: NDArray[np.float32], valid: NDArray[np.float32], distance: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Blur the invented part with growing distance (in sides of the square) from the photo."""
    if not distance.any():
        return crop
    blurred = cv2.GaussianBlur(crop, (0, 0), 0.02 * crop.shape[0], borderType=cv2.BORDER_REFLECT)
    blurred = blurred.reshape(crop.shape)
    known = crop[valid > 0] if valid.any() else crop.reshape(-1, crop.shape[-1])
    median = np.median(known, axis=0)
    # FFHQ's ramps over a pad of 0.3 sides, but starting at the photo's edge instead of inside it.
    to_blur = np.clip(3 * distance / 0.3, 0, 1)[..., None]
    to_median = np.clip(distance / 0.3, 0, 1)[..., None]
    faded = crop + to_blur * (blurred - crop)
    return (faded + to_median * (median - faded)).astype(np.float32)


def _resample(
    source: NDArray[np.float32],
    matrix: NDArray[np.float64],
    shape: tuple[int, int],
    padding: Literal["reflection", "zeros"],
) -> NDArray[np.float32]:
    """Sample `source` [H, W, C] at matrix @ (x, y, 1) for each pixel centre of an image of `shape`.

    A source denser than the output is first brought, with Lanczos, to at most twice the output's
    density, sampled on a grid of half-pixels and averaged down with an antialiased cubic; a
    source sparser than the output is first enlarged with a cubic, so that the turn costs nothing.
    """
    scale = math.sqrt(abs(np.linalg.det(matrix[:, :2])))
    oversampling = 2 if scale > 1 else 1
    factor = min(2 / scale, 1.0) if scale > 1 else float(math.floor(1 / scale))
    reduced = _resize(source, factor)
    ratio = np.array([reduced.shape[1] / source.shape[1], reduced.shape[0] / source.shape[0]])
    matrix = matrix * ratio[:, None] / [oversampling, oversampling, 1]

    pixels = torch.from_numpy(np.ascontiguousarray(reduced)).permute(2, 0, 1)[None]
    height, width = shape[0] * oversampling, shape[1] * oversampling
    out = _sample(pixels, matrix, (height, width), padding)
    if oversampling == 2:
        out = F.interpolate(out, shape, mode="bicubic", antialias=True, align_corners=False)
    return out[0].permute(1, 2, 0).numpy()


def _resize(source: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    height, width = source.shape[:2]
    size = max(1, round(width * factor)), max(1, round(height * factor))
    if size == (width, height):
        return source
    if factor > 1:
        enlarged = cv2.resize(source, size, interpolation=cv2.INTER_CUBIC)
        return enlarged.reshape(*size[::-1], -1).astype(np.float32, copy=False)
    planes = [
        np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))
        for plane in np.moveaxis(source, -1, 0)
    ]
    return np.stack(planes, -1)


def _sample(
    pixels: Tensor,
    matrix: NDArray[np.float64],
    shape: tuple[int, int],
    padding: Literal["reflection", "zeros"],
) -> Tensor:
    """Return [1, C, *shape] cubic samples of `pixels` [1, C, H, W]."""
    x = torch.arange(shape[1], dtype=torch.float64) + 0.5
    y = torch.arange(shape[0], dtype=torch.float64)[:, None] + 0.5
    half = torch.tensor([pixels.shape[3], pixels.shape[2]], dtype=torch.float64) / 2
    grid = torch.stack(
        [m[0] / h * x + m[1] / h * y + (m[2] / h - 1) for m, h in zip(matrix, half, strict=True)],
        -1,
    )
    return F.grid_sample(
        pixels, grid[None].float(), mode="bicubic", padding_mode=padding, align_corners=False
    )
