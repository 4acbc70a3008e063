"""What of an edit is carried over to a photo, decided on the crop's grid.

With R the rendering of the inversion, E that of the edit, P the photo and W the flow from E to R:

    out = W(P) + gate (E - W(R))                                                    (1)

The photo's own pixels travel with the skin that moved. The generator's colour is added only where
motion cannot explain the edit (teeth, the white of an opened eye, a fold). Where something quite
new is uncovered, the photo's old structure has to go too; only its grain and the slowly varying
error of the inversion stay:

    out = E + blur(W(P) - W(R)) + grain(W(P))                                       (2)

Flow, gate and uncovered share are exactly zero outside the area that may change.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.correspondence import (
    Array,
    Correspondence,
    FlowOptions,
    blur,
    limit_folding,
    smoothstep,
    warp,
)

Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class CompositeOptions:
    """How an edit is carried over; lengths are fractions of the crop's side, colours in [0, 1].

    Attributes:
        flow: How the correspondence is found.
        feather: Width over which the edit fades inside the border of what may change.
        jitter: Distance within which a colour of the rendering also counts as explained by motion.
        gate: Unexplained colour from which the gate opens, and at which it is fully open.
        uncovered: Unexplained colour from which new content replaces old, and at which it does so
            fully.
        spread: Radius by which gate and uncovered share reach beyond their evidence.
        tone: Radius of the blur in equation (2).
        grain: Photo detail kept over new content, in robust standard deviations of the detail.
    """

    flow: FlowOptions = field(default_factory=FlowOptions)
    feather: float = 0.05
    jitter: float = 0.008
    gate: tuple[float, float] = (0.04, 0.10)
    uncovered: tuple[float, float] = (0.07, 0.15)
    spread: float = 0.012
    tone: float = 0.05
    grain: float = 2.5


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
        return (self.flow != 0).any(axis=2) | (self.gate > 0)


def plan_transfer(
    render: Array, edited: Array, found: Correspondence, allowed: Mask, options: CompositeOptions
) -> Transfer:
    """Decide what moves, where colour is added and what is uncovered.

    Args:
        render: R, [S, S, 3] in [0, 1].
        edited: E, [S, S, 3] in [0, 1].
        found: Correspondence from `edited` to `render`.
        allowed: [S, S], True where the photo may change.
        options: Thresholds and lengths.
    """
    side = render.shape[0]
    weight = _feather(allowed, options.feather * side)
    explained = warp(render, found.flow)
    edited = _without_drift(edited, explained)
    unexplained = _unexplained(edited, explained, options.jitter * side)
    radius = options.spread * side
    gate = _spread(smoothstep(*options.gate, unexplained), radius) * weight
    uncovered = _spread(smoothstep(*options.uncovered, unexplained), radius) * weight
    flow = limit_folding(found.flow * weight[..., None], options.flow.least_area)
    warped = warp(render, flow)
    return Transfer(
        flow=flow, gate=gate, uncovered=uncovered, colour=edited - warped, warped=warped
    )


def _feather(allowed: Mask, width: float) -> Array:
    """[S, S] weight: exactly 0 outside and near the border of `allowed`, 1 from `width` inside.

    The two pixels at the border stay 0 so that no interpolation can carry weight across it.
    """
    framed = np.pad(allowed.astype(np.uint8), 1)
    depth = cv2.distanceTransform(framed, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    return smoothstep(2.5, 2.5 + width, np.asarray(depth, np.float32))


def _without_drift(edited: Array, explained: Array) -> Array:
    """Undo a slight change of light or tint over the whole crop, per channel: gain and offset.

    Fitted by least squares, repeated without the quarter that fits worst: the edit itself.
    """
    corrected = edited.copy()
    for channel in range(3):
        x, y = edited[..., channel].ravel(), explained[..., channel].ravel()
        kept = np.ones(x.shape, np.bool_)
        gain, offset = 1.0, 0.0
        for _ in range(3):
            centred = x[kept] - x[kept].mean()
            slope = float(centred @ y[kept]) / (float(centred @ centred) + 1e-6)
            gain = min(max(slope, 0.9), 1.1)
            offset = float(y[kept].mean() - gain * x[kept].mean())
            miss = np.abs(gain * x + offset - y)
            kept = miss <= np.quantile(miss, 0.75)
        corrected[..., channel] = gain * edited[..., channel] + offset
    return corrected


def _unexplained(edited: Array, explained: Array, jitter: float) -> Array:
    """[S, S]: by how much `edited` leaves the range of colours that `explained` shows nearby."""
    disc = _disc(jitter)
    above = edited - cv2.dilate(explained, disc)
    below = cv2.erode(explained, disc) - edited
    beyond = np.maximum(np.maximum(above, below), 0)
    return blur(np.sqrt((beyond**2).mean(axis=2)), max(jitter / 2, 0.8))


def _spread(evidence: Array, radius: float) -> Array:
    """Widen by `radius` and soften; exactly zero away from any evidence."""
    soft = blur(np.asarray(cv2.dilate(evidence, _disc(radius)), np.float32), radius)
    return smoothstep(0.02, 1, soft)


def _disc(radius: float) -> NDArray[np.uint8]:
    side = 2 * round(radius) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)
