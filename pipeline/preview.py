"""A quick look at an edit: the composition on a reduced copy of the photo around the square.

The copy is smaller by a whole factor, so that each of its pixels covers whole pixels of the photo,
and `pipeline.composite` works on it as on any photo. What it shows is not the final picture.
"""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from editing.closing import closed_over
from editing.spec import DragSpec
from pipeline.align import Alignment, Window, crop_square
from pipeline.bands import bounds, cut_out
from pipeline.composite import Composer, begin_composition
from pipeline.correspondence import FlowOptions
from pipeline.photo import Photo
from pipeline.request import Mask
from pipeline.transfer import CompositeOptions

FINE, COARSE = 640, 448
"""Side of the square in the reduced copy, at most: where part of it may change, and where most."""

WIDE = 0.35
"""Share of the square around all that may change, from which frames are coarse."""

MARGIN = 0.06
"""What is kept around the square, in sides of it: pixels that may move in."""

QUICK = CompositeOptions(
    enlarged=128, flow=FlowOptions(refinement=5), interpolation=cv2.INTER_CUBIC
)
"""Composes frames: small renderings are compared as they are, nearly alike once smoothed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Preview:
    """The square's surroundings, reduced.

    Attributes:
        composer: Of the reduced copy, which is 8-bit RGB.
        window: The photo's rectangle that the copy shows.
        factor: Photo pixels per pixel of the copy.
        painted: What the painted mask allows, as large as the copy; None for all.
    """

    composer: Composer
    window: Window
    factor: int
    painted: Mask | None = None

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """[h, w, 3], the copy without any edit."""
        return np.asarray(self.composer.photo.pixels, np.uint8)

    def to_photo(self, window: Window) -> Window:
        """A window of the copy as a rectangle of the photo."""
        (x, y), factor = self.window[:2], self.factor
        x0, y0, x1, y1 = window
        return x + factor * x0, y + factor * y0, x + factor * x1, y + factor * y1

    def with_painted(self, mask: Mask | None) -> "Preview":
        """The same under a mask of the photo; None for none."""
        if mask is None:
            return replace(self, painted=None)
        x0, y0, x1, y1 = self.window
        size = self.pixels.shape[1::-1]
        levels = cv2.resize(mask[y0:y1, x0:x1], size, interpolation=cv2.INTER_AREA)
        return replace(self, painted=np.asarray(levels, np.uint8))


@dataclass(frozen=True, kw_only=True, eq=False)
class Previews:
    """A fine copy, and a coarse one that keeps the pace of edits which may change nearly all."""

    fine: Preview
    coarse: Preview

    def of(self, spec: DragSpec) -> Preview:
        """The copy on which the frames of an edit are composed."""
        if spec.mask is None:
            return self.coarse
        free = (spec.mask[0, 0] > 0).cpu().numpy()
        x0, y0, x1, y1 = bounds(free) or (0, 0, 0, 0)
        return self.coarse if (x1 - x0) * (y1 - y0) > WIDE * free.size else self.fine


def begin_previews(photo: Photo, alignment: Alignment, render: Tensor) -> Previews:
    """Both copies; see `begin_preview`."""
    fine, coarse = (begin_preview(photo, alignment, render, side) for side in (FINE, COARSE))
    return Previews(fine=fine, coarse=coarse)


def begin_preview(photo: Photo, alignment: Alignment, render: Tensor, side: int = FINE) -> Preview:
    """Reduce the square's surroundings so that edits are composed in a moment.

    Args:
        photo: The photo that is edited.
        alignment: The square.
        render: [1, 3, r, r] in [-1, 1], rendering of the inversion.
        side: Of the square in the copy, at most, in its pixels.
    """
    factor = math.ceil(alignment.size / side)
    wider = replace(alignment, size=(1 + 2 * MARGIN) * alignment.size)
    x0, y0, x1, y1 = wider.window(photo.width, photo.height)
    columns, rows = max((x1 - x0) // factor, 1), max((y1 - y0) // factor, 1)
    window = x0, y0, x0 + factor * columns, y0 + factor * rows
    part = cut_out(photo, window)
    rgb = part.pixels if part.mode == "RGB" and part.pixels.dtype == np.uint8 else _to_bytes(part)
    pixels = np.asarray(cv2.resize(rgb, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
    pixels.setflags(write=False)
    x, y = alignment.centre
    reduced = replace(
        alignment, centre=((x - x0) / factor, (y - y0) / factor), size=alignment.size / factor
    )
    copy = replace(photo, pixels=pixels, mode="RGB", palette=None, encoded=None)
    composer = begin_composition(copy, reduced, render, QUICK)
    composer = replace(composer, crop=crop_square(copy.rgb(), composer.grid))
    return Preview(composer=composer, window=window, factor=factor)


def compose_preview(
    preview: Preview, edited: Tensor, spec: DragSpec, points: Tensor
) -> tuple[Window, NDArray[np.uint8]] | None:
    """Compose an edit into the copy.

    Args:
        preview: Of the photo and its inversion.
        edited: [1, 3, r, r] in [-1, 1], rendering of the edit.
        spec: What is dragged, crop pixels.
        points: [N, 2] where its handles are now.

    Returns:
        The copy's window that changed and its picture [h, w, 3]; None where nothing did.
    """
    patch = preview.composer.compose(
        edited,
        spec.mask,
        painted=preview.painted,
        handles=spec.handles,
        finals=points,
        covered=closed_over(spec),
    )
    inside = None if patch is None else bounds(patch.changed)
    if patch is None or inside is None:
        return None
    left, top = patch.window[:2]
    x0, y0, x1, y1 = inside
    picture = np.asarray(cut_out(patch.part, inside).pixels, np.uint8)
    return (left + x0, top + y0, left + x1, top + y1), picture


def _to_bytes(photo: Photo) -> NDArray[np.uint8]:
    return (photo.rgb() * 255).round().astype(np.uint8)
