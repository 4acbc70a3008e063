"""What of an edit is carried over to a photo, decided on the crop's grid.

With R the rendering of the inversion, E that of the edit, P the photo and W the flow from E to R:

    out = W(P) + gate (E - W(R))                                                    (1)

The photo's own pixels travel with the skin that moved. The generator's colour is added only where
motion cannot explain the edit (teeth, the white of an opened eye, a fold). Where something quite
new is uncovered, or a lid closes over an eye that motion could only squeeze, the photo's old
structure has to go too; only its grain and the slowly varying error of the inversion stay:

    out = E + blur(W(P) - W(R)) + grain(W(P))                                       (2)

Flow, gate and uncovered share are exactly zero outside the area that may change.
"""

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.correspondence import (
    Array,
    FlowOptions,
    blur,
    find_correspondence,
    limit_folding,
    smoothstep,
    warp,
)

Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class CompositeOptions:
    """How an edit is carried over; lengths are fractions of the crop's side, colours in [0, 1].

    Attributes:
        enlarged: Small renderings are compared at twice their size, up to this many pixels a side.
        flow: How the correspondence is found.
        surroundings: How far around what may change the renderings are compared.
        feather: Width over which the edit fades inside the border of what may change.
        jitter: Distance within which a colour of the rendering also counts as explained by motion.
        coherence: Radius over which colours have to differ the same way to be unexplained, too.
        peak: How much they have to differ somewhere in a patch that is taken for new, from not at
            all to fully.
        shift: Weight of such a difference as a sign of new content.
        gate: Unexplained colour from which the gate opens, and at which it is fully open.
        uncovered: Unexplained colour from which new content replaces old, and at which it does so
            fully.
        covered: Change of the rendering from which what is to be hidden gives way to what hides
            it, and at which it does so fully.
        spread: Radius by which gate and uncovered share reach beyond their evidence.
        tone: Radius of the blur in equation (2).
        grain: Photo detail kept over new content, in robust standard deviations of the detail.
        interpolation: OpenCV's kernel with which the photo is read between its pixels; Lanczos
            keeps pores and grain sharp.
    """

    enlarged: int = 512
    flow: FlowOptions = field(default_factory=FlowOptions)
    surroundings: float = 0.1
    feather: float = 0.05
    jitter: float = 0.008
    coherence: float = 0.008
    peak: tuple[float, float] = (0.15, 0.2)
    shift: float = 0.6
    gate: tuple[float, float] = (0.04, 0.10)
    uncovered: tuple[float, float] = (0.07, 0.15)
    covered: tuple[float, float] = (0.0, 0.015)
    spread: float = 0.012
    tone: float = 0.05
    grain: float = 1.0
    interpolation: int = cv2.INTER_LANCZOS4


@dataclass(frozen=True, kw_only=True, eq=False)
class Transfer:
    """An edit on the crop's grid of S x S pixels, ready to be carried over to a photo.

    Attributes:
        flow: [S, S, 2] grid pixels, x then y; read the photo at p + flow(p).
        gate: [S, S] in [0, 1], weight of `colour`.
        uncovered: [S, S] in [0, 1], share of equation (2).
        colour: [S, S, 3], E - W(R).
        warped: [S, S, 3], W(R).
    """

    flow: Array
    gate: Array
    uncovered: Array
    colour: Array
    warped: Array

    @property
    def active(self) -> Mask:
        """[S, S], True where the photo may come out different."""
        return (self.flow[..., 0] != 0) | (self.flow[..., 1] != 0) | (self.gate > 0)


def plan_transfer(
    render: Array,
    edited: Array,
    weight: Array,
    *,
    handles: Array | None = None,
    finals: Array | None = None,
    covered: Array | None = None,
    options: CompositeOptions,
) -> Transfer:
    """Decide what moves, where colour is added and what is uncovered.

    Args:
        render: R, [S, S, 3] in [0, 1].
        edited: E, [S, S, 3] in [0, 1].
        weight: [S, S], how far the photo may change, from `feather`.
        handles: [N, 2] grid pixels, points of `render` whose end is known; None for none.
        finals: [N, 2] where they lie in `edited`.
        covered: [S, S] in [0, 1], what of `render` is to be hidden; None for nothing.
        options: Thresholds and lengths.
    """
    side = render.shape[0]
    area = _surroundings(weight, options.surroundings * side)
    found = find_correspondence(
        render, edited, handles=handles, finals=finals, area=area, options=options.flow
    )
    edited = _without_drift(edited, warp(render, found.flow), area)
    render, movable = render[area], weight[area]
    explained = warp(render, found.flow[area])
    beyond = _beyond(edited, explained, options.jitter * side)
    shifted = _length(blur(edited - explained, options.coherence * side))
    shifted = _around_peaks(shifted, options.gate[0], options.peak)
    radius = options.spread * side
    gate = smoothstep(*options.gate, np.maximum(beyond, shifted))
    uncovered = smoothstep(*options.uncovered, np.maximum(beyond, options.shift * shifted))
    gate, uncovered = (_spread(share, radius) * movable for share in (gate, uncovered))
    flow = limit_folding(found.flow[area] * movable[..., None], side, options.flow.least_area)
    if covered is not None:
        changed = _length(blur(edited - render, options.coherence * side))
        hidden = warp(covered[area], flow) * smoothstep(*options.covered, changed)
        # Half hidden is a ghost: it fades out at the very border of what may change.
        hidden *= smoothstep(0, 0.3, movable)
        gate, uncovered = np.maximum(gate, hidden), np.maximum(uncovered, hidden)
    warped = warp(render, flow)
    full = [np.zeros((side, side, *part.shape[2:]), np.float32) for part in (flow, gate, warped)]
    whole = Transfer(
        flow=full[0], gate=full[1], uncovered=full[1].copy(), colour=full[2], warped=full[2].copy()
    )
    whole.flow[area], whole.gate[area], whole.uncovered[area] = flow, gate, uncovered
    whole.colour[area], whole.warped[area] = edited - warped, warped
    return whole


def feather(allowed: Mask, width: float) -> Array:
    """[S, S] weight: exactly 0 outside and near the border of `allowed`, 1 from `width` inside.

    The two pixels at the border stay 0 so that no interpolation can carry weight across it.
    """
    framed = np.pad(allowed.astype(np.uint8), 1)
    depth = cv2.distanceTransform(framed, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    return smoothstep(2.5, 2.5 + width, np.asarray(depth, np.float32))


def _surroundings(weight: Array, margin: float) -> tuple[slice, slice]:
    """Rows and columns of all that may change, and of a margin around."""
    spans: list[slice] = []
    for axis in (1, 0):
        there = np.flatnonzero(weight.any(axis=axis))
        low, high = (int(there[0]), int(there[-1]) + 1) if len(there) else (0, 1)
        reach = math.ceil(margin)
        spans.append(slice(max(low - reach, 0), min(high + reach, weight.shape[1 - axis])))
    return spans[0], spans[1]


def _without_drift(edited: Array, explained: Array, area: tuple[slice, slice]) -> Array:
    """The area of an edit without a slight change of light or tint: gain and offset per channel.

    Fitted by least squares to every other pixel of the whole crop, repeated without the quarter
    that fits worst: the edit itself.
    """
    corrected = np.empty_like(edited[area])
    last = int(0.75 * (edited[::2, ::2, 0].size - 1))
    for channel in range(3):
        x, y = (picture[::2, ::2, channel].ravel() for picture in (edited, explained))
        kept = np.ones(x.shape, np.bool_)
        gain, offset = 1.0, 0.0
        for _ in range(3):
            centred = x[kept] - x[kept].mean()
            slope = float(centred @ y[kept]) / (float(centred @ centred) + 1e-6)
            gain = min(max(slope, 0.9), 1.1)
            offset = float(y[kept].mean() - gain * x[kept].mean())
            miss = np.abs(gain * x + offset - y)
            kept = miss <= np.partition(miss, last)[last]
        corrected[..., channel] = gain * edited[area][..., channel] + offset
    return corrected


def _beyond(edited: Array, explained: Array, jitter: float) -> Array:
    """[H, W]: by how much `edited` leaves the range of colours that `explained` shows nearby."""
    disc = _disc(jitter)
    above = edited - cv2.dilate(explained, disc)
    below = cv2.erode(explained, disc) - edited
    return blur(_length(np.maximum(np.maximum(above, below), 0)), max(jitter / 2, 0.8))


def _around_peaks(height: Array, foot: float, peak: tuple[float, float]) -> Array:
    """Keep the patches of a map above `foot` that are somewhere as high as `peak`, softly."""
    _, found = cv2.connectedComponents((height > foot).astype(np.uint8))
    labels = np.asarray(found, np.intp)
    highest = np.zeros(int(labels.max()) + 1, np.float32)
    np.maximum.at(highest, labels.ravel(), height.ravel())
    highest[0] = 0
    return height * smoothstep(*peak, highest)[labels]


def _length(colours: Array) -> Array:
    """Root mean square over the channels."""
    return np.sqrt((colours**2).mean(axis=2))


def _spread(evidence: Array, radius: float) -> Array:
    """Widen by `radius` and soften; exactly zero away from any evidence."""
    soft = blur(np.asarray(cv2.dilate(evidence, _disc(radius)), np.float32), radius)
    return smoothstep(0.02, 1, soft)


def _disc(radius: float) -> NDArray[np.uint8]:
    side = 2 * round(radius) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)
