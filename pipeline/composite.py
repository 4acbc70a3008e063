"""Composition: carry an edit over to the photo's own pixels; the generated face is never pasted.

`pipeline.transfer` decides on the crop's grid what moves and where the generator's colour is added;
`pipeline.bands` brings that to the photo's full resolution. All other pixels stay bit for bit.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.align import Alignment, Crop, Window
from pipeline.bands import (
    BAND_PIXELS,
    Layers,
    bands,
    blend,
    bounds,
    cut_out,
    plan_layers,
    slices,
    to_picture,
)
from pipeline.correspondence import Array
from pipeline.errors import PipelineError
from pipeline.photo import Photo
from pipeline.transfer import CompositeOptions, Mask, Transfer, feather, plan_transfer

Levels = NDArray[np.uint8]

MOST_BANDS = 4
"""Bands that are worked on at a time, at most; each takes some 150 MB."""

LEAST_FLOW = 0.02
"""Displacements below this, in photo pixels, are not worth a resampling."""

LEAST_GATE = 0.002
"""Gates below this change no 8-bit pixel."""


@dataclass(frozen=True, kw_only=True)
class CompositeReport:
    """What was measured on the finished picture.

    Attributes:
        changed_pixels: Photo pixels that may differ from the input.
        max_change_outside_mask: Largest difference, in the file's own integer steps, over all
            pixels that must not change.
        mean_flow: Mean displacement in photo pixels where anything moved; 0 if nothing did.
        max_flow: Largest displacement in photo pixels.
        gate_share: Share of the changed pixels where the generator's colour was added.
        uncovered_share: Share of the changed pixels where old structure was replaced.
    """

    changed_pixels: int = 0
    max_change_outside_mask: int = 0
    mean_flow: float = 0.0
    max_flow: float = 0.0
    gate_share: float = 0.0
    uncovered_share: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Composite:
    """The edited photo, the [H, W] pixels that may differ from the input, and the measurements."""

    photo: Photo
    changed: Mask
    report: CompositeReport


@dataclass(frozen=True, kw_only=True, eq=False)
class Patch:
    """What an edit changes of a photo.

    Attributes:
        window: Rectangle (x0, y0, x1, y1) of the photo.
        part: The edited rectangle, a photo of its own.
        changed: [y1 - y0, x1 - x0], pixels that may differ from the input.
        report: Measured on the rectangle; outside it nothing changes.
    """

    window: Window
    part: Photo
    changed: Mask
    report: CompositeReport


@dataclass(frozen=True, kw_only=True, eq=False)
class Composer:
    """Carries edits of one inversion over to its photo; from `begin_composition`.

    Attributes:
        photo: The photo that was cropped.
        grid: The crop's square, at the resolution that renderings are compared at.
        stretch: Pixels of that grid per crop pixel.
        before: [S, S, 3] in [0, 1], the inversion on that grid.
        shape: Of the inversion's rendering, which edits must share.
        options: How edits are carried over.
        crop: The photo on that grid, where it is kept for many edits.
    """

    photo: Photo
    grid: Alignment
    stretch: float
    before: Array
    shape: tuple[int, ...]
    options: CompositeOptions
    crop: Crop | None = None

    def compose(
        self,
        edited: Tensor,
        movable: Tensor | None = None,
        *,
        painted: Levels | None = None,
        handles: Tensor | None = None,
        finals: Tensor | None = None,
        covered: Tensor | None = None,
    ) -> Patch | None:
        """Find what an edit changes of the photo; None where it changes nothing.

        Args:
            edited: [1, 3, r, r] in [-1, 1], rendering of the edit.
            movable: [m, m] or [1, 1, m, m] in [0, 1] over the crop, how far it may change; None for
                all the way.
            painted: [H, W] of the photo, 0 where not a pixel may change; None for nowhere.
            handles: [N, 2] crop pixels whose end is known, which helps the matching.
            finals: [N, 2] crop pixels where the handles lie in `edited`.
            covered: [1, 1, m, m] in [0, 1] over the crop, what the edit is to hide; None for
                nothing.

        Raises:
            PipelineError: The renderings differ in size or are not finite; the mask is empty or
                not square; handles and finals differ in number.
        """
        after = _picture(edited, "the edit")
        if after.shape != self.shape:
            raise PipelineError(
                f"the edit is rendered at {after.shape[0]} px, the inversion at "
                f"{self.shape[0]} px: render both with the same generator"
            )
        mask = _mask(movable)
        after = _enlarge(after, self.options.enlarged)
        if np.array_equal(self.before, after):
            return None
        transfer = plan_transfer(
            self.before,
            after,
            _weight(mask, self.grid, self.photo, self.options.feather * self.grid.resolution),
            handles=_points(handles, self.stretch),
            finals=_points(finals, self.stretch),
            covered=_covered(covered, self.grid.resolution),
            options=self.options,
        )
        window = _window(transfer, self.grid, self.photo)
        if window is None:
            return None
        layers = plan_layers(self.photo, self.grid, transfer, window, self.options, self.crop)
        return _blend(
            self.photo, layers, window, lambda band: _permitted(mask, painted, self.grid, band)
        )


def begin_composition(
    photo: Photo, alignment: Alignment, render: Tensor, options: CompositeOptions | None = None
) -> Composer:
    """Prepare what no edit changes.

    Args:
        photo: The photo that was cropped.
        alignment: The crop's square.
        render: [1, 3, r, r] in [-1, 1], rendering of the inversion.
        options: Defaults to `CompositeOptions()`.

    Raises:
        PipelineError: The rendering is no square picture, or not finite.
    """
    options = options or CompositeOptions()
    picture = _picture(render, "the inversion")
    before = _enlarge(picture, options.enlarged)
    return Composer(
        photo=photo,
        grid=replace(alignment, resolution=before.shape[0]),
        stretch=before.shape[0] / alignment.resolution,
        before=before,
        shape=picture.shape,
        options=options,
    )


def composite(
    photo: Photo,
    alignment: Alignment,
    render: Tensor,
    edited: Tensor,
    movable: Tensor | None = None,
    *,
    painted: Levels | None = None,
    handles: Tensor | None = None,
    finals: Tensor | None = None,
    covered: Tensor | None = None,
    options: CompositeOptions | None = None,
) -> Composite:
    """Carry the difference of two renderings over to the photo; see `Composer.compose`."""
    composer = begin_composition(photo, alignment, render, options)
    patch = composer.compose(
        edited, movable, painted=painted, handles=handles, finals=finals, covered=covered
    )
    return apply_patch(photo, patch)


def apply_patch(photo: Photo, patch: Patch | None) -> Composite:
    """Put a patch into the photo that it was made for, and measure what else changed: nothing."""
    changed = np.zeros((photo.height, photo.width), np.bool_)
    if patch is None:
        return Composite(photo=photo, changed=changed, report=CompositeReport())
    inside = slices(patch.window)
    changed[inside] = patch.changed
    pixels = photo.pixels.copy()
    pixels[inside] = patch.part.pixels
    pixels.setflags(write=False)
    outside = _largest_change(photo.pixels, pixels, changed)
    part = patch.part
    return Composite(
        photo=replace(photo, pixels=pixels, encoded=part.encoded, notes=part.notes),
        changed=changed,
        report=replace(patch.report, max_change_outside_mask=outside),
    )


def _picture(image: Tensor, name: str) -> Array:
    """[1, 3, r, r] in [-1, 1] to [r, r, 3] in [0, 1]."""
    if image.ndim != 4 or image.shape[:2] != (1, 3) or image.shape[2] != image.shape[3]:
        raise PipelineError(
            f"the rendering of {name} has shape {list(image.shape)}: it must be [1, 3, r, r]"
        )
    if not bool(image.isfinite().all()):
        raise PipelineError(f"the rendering of {name} has NaN or infinity: invert the face again")
    return to_picture(image)


def _mask(movable: Tensor | None) -> Array | None:
    """[m, m] in [0, 1], how far the photo may change."""
    if movable is None:
        return None
    mask = _shares(movable, "the mask")
    if not (mask > 0).any():
        raise PipelineError("the mask is empty, nothing may change: paint where the edit may go")
    return mask


def _covered(covered: Tensor | None, side: int) -> Array | None:
    """[S, S] in [0, 1], what the edit is to hide."""
    if covered is None:
        return None
    shares = _shares(covered, "what is covered")
    return np.asarray(cv2.resize(shares, (side, side), interpolation=cv2.INTER_LINEAR), np.float32)


def _shares(shares: Tensor, name: str) -> Array:
    height, width = shares.shape[-2:]
    if height != width or shares.numel() != height * width:
        raise PipelineError(
            f"{name} has shape {list(shares.shape)}: it must be a square over the crop"
        )
    return shares.detach().cpu().reshape(height, width).float().numpy()


def _points(points: Tensor | None, stretch: float) -> Array | None:
    return None if points is None else (points.detach().float().cpu() * stretch).numpy()


def _enlarge(image: Array, most: int) -> Array:
    """Bring a small rendering to a finer grid: twice its size, but no larger than `most`."""
    side = max(image.shape[0], min(2 * image.shape[0], most))
    larger = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.asarray(larger, np.float32).clip(0, 1)


def _weight(mask: Array | None, grid: Alignment, photo: Photo, width: float) -> Array:
    """[S, S], how far the photo may change where the crop shows it, fading out at the border."""
    side = grid.resolution
    inside = _inside(grid, photo)
    if mask is None:
        return feather(inside, width)
    cells = cv2.resize(mask, (side, side), interpolation=cv2.INTER_NEAREST)
    share = cv2.resize(mask, (side, side), interpolation=cv2.INTER_LINEAR)
    return np.minimum(feather(inside & (np.asarray(cells) > 0), width), share)


def _inside(grid: Alignment, photo: Photo) -> Mask:
    """[S, S], True where a pixel's centre lies in the photo."""
    side, size = grid.resolution, (photo.width, photo.height)
    corners = grid.to_photo([[0, 0], [side, 0], [0, side], [side, side]])
    if ((corners >= 0) & (corners <= size)).all():
        return np.ones((side, side), np.bool_)
    rows, columns = np.mgrid[:side, :side].astype(np.float32) + np.float32(0.5)
    xy = grid.to_photo(np.stack([columns, rows], axis=-1))
    return np.all((xy >= 0) & (xy <= size), axis=-1)


def _blend(
    photo: Photo, layers: Layers, window: Window, permitted: Callable[[Window], Mask]
) -> Patch:
    """Bring the layers to a window of the photo, some bands at a time."""
    x0, y0, x1, y1 = window
    pixels = photo.pixels[slices(window)].copy()
    everywhere = np.zeros((y1 - y0, x1 - x0), np.bool_)

    def work(band: Window) -> tuple[Photo | None, NDArray[np.float64]]:
        rgb, length, gate, uncovered = blend(photo, layers, band)
        changed = ((length > LEAST_FLOW) | (gate > LEAST_GATE)) & permitted(band)
        part = cut_out(photo, band)
        edited = part.with_rgb(rgb, changed)
        rows = slice(band[1] - y0, band[3] - y0)
        pixels[rows], everywhere[rows] = edited.pixels, changed
        return None if edited is part else edited, _measure(changed, length, gate, uncovered)

    with ThreadPoolExecutor(min(torch.get_num_threads(), MOST_BANDS)) as pool:
        done = list(pool.map(work, bands(window, BAND_PIXELS)))
    pixels.setflags(write=False)
    edited = next((part for part, _ in done if part is not None), cut_out(photo, window))
    return Patch(
        window=window,
        part=replace(edited, pixels=pixels),
        changed=everywhere,
        report=_report(np.array([measured for _, measured in done])),
    )


def _measure(changed: Mask, length: Array, gate: Array, uncovered: Array) -> NDArray[np.float64]:
    """[6] of a band: pixels changed, moved, opened and uncovered; sum and maximum of the way."""
    moved = changed & (length > LEAST_FLOW)
    way = length * moved
    opened, renewed = (changed & (share > 0.5) for share in (gate, uncovered))
    counts = [np.count_nonzero(where) for where in (changed, moved, opened, renewed)]
    return np.array([*counts, way.sum(dtype=np.float64), way.max()])


def _report(measured: NDArray[np.float64]) -> CompositeReport:
    """What was measured on all bands, [N, 6] from `_measure`."""
    changed, moved, opened, renewed, way, _ = measured.sum(axis=0)
    count = max(changed, 1)
    return CompositeReport(
        changed_pixels=int(changed),
        mean_flow=float(way / max(moved, 1)),
        max_flow=float(measured[:, 5].max()),
        gate_share=float(opened / count),
        uncovered_share=float(renewed / count),
    )


def _window(transfer: Transfer, grid: Alignment, photo: Photo) -> Window | None:
    """Photo rectangle (x0, y0, x1, y1) around all that changes or is read; None if nothing is."""
    inside = bounds(transfer.active)
    if inside is None:
        return None
    reach = 3 + float(np.abs(transfer.flow).max())
    left, top, right, bottom = (
        inside[0] - reach,
        inside[1] - reach,
        inside[2] + reach,
        inside[3] + reach,
    )
    xy = grid.to_photo([[left, top], [right, top], [left, bottom], [right, bottom]])
    x0, y0 = np.maximum(np.floor(xy.min(axis=0) - 4), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(xy.max(axis=0) + 4), (photo.width, photo.height)).astype(int)
    return (int(x0), int(y0), int(x1), int(y1)) if x0 < x1 and y0 < y1 else None


def _permitted(mask: Array | None, painted: Levels | None, grid: Alignment, window: Window) -> Mask:
    """[h, w], True for photo pixels whose centre lies in the crop and in the user's masks."""
    side = grid.resolution if mask is None else mask.shape[0]
    x0, y0, x1, y1 = window
    origin, right, below = replace(grid, resolution=side).to_crop([[0, 0], [1, 0], [0, 1]])
    columns, rows = np.arange(x0, x1)[None] + 0.5, np.arange(y0, y1)[:, None] + 0.5
    # A similarity: what a column adds is the same in every row.
    x, y = (origin[k] + (right - origin)[k] * columns + (below - origin)[k] * rows for k in (0, 1))
    inside = (x >= 0) & (x < side) & (y >= 0) & (y < side)
    if mask is not None:
        cells = (part.clip(0, side - 1).astype(np.intp) for part in (y, x))
        inside &= mask[tuple(cells)] > 0
    return inside if painted is None else inside & (painted[slices(window)] > 0)


def _largest_change(before: np.ndarray, after: np.ndarray, allowed: Mask) -> int:
    """Largest integer difference over the pixels that are not `allowed` to change."""
    largest = 0
    for top in range(0, len(allowed), 256):
        rows = slice(top, top + 256)
        stray = before[rows] != after[rows]
        stray[allowed[rows]] = False
        if stray.any():
            away = after[rows][stray].astype(np.int64) - before[rows][stray]
            largest = max(largest, int(np.abs(away).max()))
    return largest
