"""A transfer at the photo's full resolution, band by band: the photo may be hundreds of megapixels.

Nothing of the photo's size is held in floating point. What is slowly varying is found on the crop's
grid; what is as fine as the photo depends only on the band and a margin around it.
"""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pipeline.align import Alignment, Crop, Window, crop_square, crop_to_photo
from pipeline.correspondence import Array, blur, warp
from pipeline.photo import Photo
from pipeline.transfer import CompositeOptions, Transfer

BAND_PIXELS = 1 << 20
"""Photo pixels that are worked on at a time."""

STRIP_PIXELS = 1 << 16
"""Photo pixels of one strip in which grain is measured."""

STRIPS = 8
"""About as many strips of a large photo are measured; fewer pixels than that are all measured."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Layers:
    """All that is brought from the crop's grid to a part of the photo.

    Attributes:
        grid: Where the maps lie in the photo.
        interpolation: OpenCV's kernel with which the photo is read between its pixels.
        flow: [S, S, 2], displacement in photo pixels.
        shares: [S, S, 2], gate and uncovered share; None where the gate opens nowhere.
        colour: [S, S, 3], what the gate adds.
        renewed: [S, S, 3], equation (2) but for its grain, and [3], the largest grain kept; None
            where nothing is uncovered.
    """

    grid: Alignment
    interpolation: int
    flow: Array
    shares: Array | None
    colour: Array
    renewed: tuple[Array, Array] | None = None

    @property
    def fineness(self) -> float:
        """Standard deviation, in photo pixels, of the blur below which structure is grain."""
        return max(self.grid.scale, 0.5)

    @property
    def margin(self) -> int:
        """Photo pixels around a part that its colours depend on, besides those that move in."""
        return 3 if self.renewed is None else math.ceil(4 * self.fineness) + 3


def plan_layers(
    photo: Photo,
    grid: Alignment,
    transfer: Transfer,
    window: Window,
    options: CompositeOptions,
    crop: Crop | None = None,
) -> Layers:
    """Turn and scale the flow to photo pixels; find tone and grain of what is uncovered.

    Args:
        photo: The photo.
        grid: Where the transfer lies in it.
        transfer: What is carried over.
        window: Where it changes the photo.
        options: Lengths and thresholds.
        crop: The photo on the grid; None to look at no more of it than the window.
    """
    linear = grid.to_photo([[1, 0], [0, 1]]) - grid.to_photo([0, 0])
    coloured = bool((transfer.gate > 0).any())
    layers = Layers(
        grid=grid,
        interpolation=options.interpolation,
        flow=(transfer.flow @ linear).astype(np.float32),
        shares=np.dstack([transfer.gate, transfer.uncovered]) if coloured else None,
        colour=transfer.colour,
    )
    if not (transfer.uncovered > 0).any():
        return layers
    crop = crop or _crop_window(photo, grid, window)
    renewed = transfer.warped + transfer.colour + _tone(crop, transfer, options)
    most = np.float32(options.grain * 1.48) * _grain(photo, layers.fineness, window)
    return replace(layers, renewed=(renewed, most))


def blend(photo: Photo, layers: Layers, band: Window) -> tuple[Array, Array, Array, Array]:
    """Equations (1) and (2) of `pipeline.transfer` on a band of the photo.

    Returns:
        Colours [h, w, 3] in [0, 1], length of the displacement, gate and uncovered share [h, w].
    """
    around = _outset(band, layers.margin, photo)
    flow = crop_to_photo(layers.flow, layers.grid, around)
    moved = out = _moved(photo, flow, around, layers.interpolation)
    gate = uncovered = np.zeros((*out.shape[:2], 1), np.float32)
    if layers.shares is not None:
        shares = crop_to_photo(layers.shares, layers.grid, around).clip(0, 1)
        gate, uncovered = shares[..., :1], shares[..., 1:]
        out = moved + gate * crop_to_photo(layers.colour, layers.grid, around)
    if layers.renewed is not None and uncovered.any():
        renewed, most = layers.renewed
        grain = np.clip(_detail(moved, layers.fineness), -most, most)
        out += uncovered * (crop_to_photo(renewed, layers.grid, around) + grain - out)
    length = np.hypot(flow[..., 0], flow[..., 1])
    results = (out.clip(0, 1), length, gate[..., 0], uncovered[..., 0])
    rgb, length, gate, uncovered = (_inner(result, band, around) for result in results)
    return rgb, length, gate, uncovered


def bands(window: Window, size: int) -> list[Window]:
    """Cut a window into bands of whole rows with about `size` pixels each."""
    x0, y0, x1, y1 = window
    rows = max(size // (x1 - x0), 1)
    return [(x0, top, x1, min(top + rows, y1)) for top in range(y0, y1, rows)]


def slices(window: Window) -> tuple[slice, slice]:
    """Return the rows and columns of a window."""
    x0, y0, x1, y1 = window
    return slice(y0, y1), slice(x0, x1)


def bounds(where: NDArray[np.bool_]) -> Window | None:
    """The smallest window (x0, y0, x1, y1) around all that is True, or None."""
    rows, columns = np.flatnonzero(where.any(axis=1)), np.flatnonzero(where.any(axis=0))
    if len(rows) == 0:
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def cut_out(photo: Photo, window: Window) -> Photo:
    """Return a window of a photo; its pixels are shared."""
    return replace(photo, pixels=photo.pixels[slices(window)])


def _crop_window(photo: Photo, grid: Alignment, window: Window) -> Crop:
    """A window of the photo on the grid."""
    corner = grid.centre[0] - window[0], grid.centre[1] - window[1]
    return crop_square(cut_out(photo, window).rgb(), replace(grid, centre=corner))


def _tone(crop: Crop, transfer: Transfer, options: CompositeOptions) -> Array:
    """[S, S, 3]: blur(W(P) - W(R)) on the crop's grid, over what the crop shows of the photo."""
    moved = warp(to_picture(crop.image), transfer.flow)
    known = (np.float32(1.02) - transfer.uncovered) * crop.valid[0, 0].numpy()
    radius = options.tone * len(known)
    total = blur((moved - transfer.warped) * known[..., None], radius)
    return (total / np.maximum(blur(known, radius), 1e-6)[..., None]).astype(np.float32)


def _grain(photo: Photo, fineness: float, window: Window) -> Array:
    """[3]: median of the window's detail; of a huge window only some strips are looked at."""
    strips = bands(window, STRIP_PIXELS)
    found: list[Array] = []
    for strip in strips[:: max(len(strips) // STRIPS, 1)]:
        around = _outset(strip, math.ceil(4 * fineness), photo)
        detail = _detail(cut_out(photo, around).rgb(), fineness)
        found.append(np.abs(_inner(detail, strip, around)).reshape(-1, 3))
    return np.median(np.concatenate(found), axis=0).astype(np.float32)


def _moved(photo: Photo, flow: Array, window: Window, interpolation: int) -> Array:
    """Read the photo at p + flow(p)."""
    x0, y0, x1, y1 = window
    reach = 5 + math.ceil(float(np.abs(flow).max()))
    source = _outset(window, reach, photo)
    x = flow[..., 0] + np.arange(x0 - source[0], x1 - source[0], dtype=np.float32)
    y = flow[..., 1] + np.arange(y0 - source[1], y1 - source[1], dtype=np.float32)[:, None]
    rgb = cut_out(photo, source).rgb()
    moved = cv2.remap(rgb, x, y, interpolation, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def _detail(picture: Array, fineness: float) -> Array:
    """What a blur takes away; a wide blur is as good, and much faster, on a smaller picture."""
    shrink = int(fineness / 4)
    if shrink < 2:
        return picture - blur(picture, fineness)
    height, width = picture.shape[:2]
    size = math.ceil(width / shrink), math.ceil(height / shrink)
    small = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)
    coarse = cv2.resize(blur(small, fineness / shrink), (width, height))
    return picture - np.asarray(coarse, np.float32)


def _outset(window: Window, margin: int, photo: Photo) -> Window:
    x0, y0, x1, y1 = window
    low, high = (max(x0 - margin, 0), max(y0 - margin, 0)), (x1 + margin, y1 + margin)
    return (*low, min(high[0], photo.width), min(high[1], photo.height))


def _inner(picture: Array, window: Window, around: Window) -> Array:
    """The window's part of a picture of `around`."""
    x0, y0 = window[0] - around[0], window[1] - around[1]
    return picture[y0 : y0 + window[3] - window[1], x0 : x0 + window[2] - window[0]]


def to_picture(image: Tensor) -> Array:
    """[1, 3, r, r] in [-1, 1] to [r, r, 3] in [0, 1]."""
    pixels = image[0].detach().float().cpu().permute(1, 2, 0).numpy()
    return np.clip((pixels + 1) / 2, 0, 1).astype(np.float32)
