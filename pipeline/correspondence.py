"""Dense correspondence from the rendering of an edit back to the unedited rendering.

The flow is classical: DIS (Kroeger et al. 2016, "Fast Optical Flow using Dense Inverse Search") on
locally normalised luminance, trusted where the reversed flow agrees and where it explains a change,
then regularised so that it is smooth, fades to zero away from the edit and never folds over.
"""

import math
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError

Array: TypeAlias = NDArray[np.float32]

LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, kw_only=True)
class FlowOptions:
    """How the correspondence is found; lengths are fractions of the crop's side.

    Attributes:
        normalisation: Radius within which contrast and brightness are evened out before matching.
        contrast_floor: Local contrast, in [0, 1] units, below which luminance is taken as flat.
        agreement: Largest distance between a flow and its reversed flow that is still trusted.
        noise: Squared difference of luminance that an unmoved, unedited pixel may show.
        smoothing: Radii of the regularisation, from coarse to fine.
        prior: Weight of "nothing moves here" against the evidence of one fully trusted pixel.
        still: Displacements below this are noise and become exactly zero; fully kept from twice it.
        handle_radius: Reach of one known displacement around its handle.
        least_area: Smallest ratio by which the flow may shrink an area of the rendering read.
        finest: Where the matching ends: 0 at the grid itself, 1 at half its resolution, and so on.
        refinement: Rounds in which each resolution's flow is refined.
    """

    normalisation: float = 0.06
    contrast_floor: float = 0.04
    agreement: float = 0.008
    noise: float = 1e-4
    smoothing: tuple[float, ...] = (0.05, 0.025, 0.0125)
    prior: float = 0.03
    still: float = 0.0015
    handle_radius: float = 0.08
    least_area: float = 0.2
    finest: int = 0
    refinement: int = 10


@dataclass(frozen=True, kw_only=True)
class Correspondence:
    """Where in the unedited rendering each pixel of the edited one comes from.

    Attributes:
        flow: [S, S, 2] pixels of this grid, x then y: edited(p) comes from render(p + flow(p)).
        confidence: [S, S] in [0, 1], trust in what was measured at the pixel itself.
    """

    flow: Array
    confidence: Array


def find_correspondence(
    render: Array,
    edited: Array,
    *,
    handles: Array | None = None,
    finals: Array | None = None,
    area: tuple[slice, slice] | None = None,
    options: FlowOptions | None = None,
) -> Correspondence:
    """Match the edited rendering to the unedited one, pixel by pixel.

    Args:
        render: [S, S, 3] in [0, 1], rendering of the inversion.
        edited: [S, S, 3] in [0, 1], rendering of the edit.
        handles: [N, 2] (x, y) of points of `render` whose end is known; None for none.
        finals: [N, 2] (x, y) where those points lie in `edited`.
        area: Rows and columns that are looked at; nothing moves elsewhere. None for all.
        options: Defaults to `FlowOptions()`.

    Raises:
        PipelineError: The renderings differ in size, or handles and finals differ in number.
    """
    if render.shape != edited.shape or render.ndim != 3:
        raise PipelineError(
            f"renderings of sizes {render.shape} and {edited.shape} cannot be matched: "
            "render both with the same generator"
        )
    options = options or FlowOptions()
    side = render.shape[1]
    area = area or (slice(0, side), slice(0, side))
    flow, confidence = np.zeros((*render.shape[:2], 2), np.float32), np.zeros_like(render[..., 0])
    start = _flow_from_handles(handles, finals, side, area, options)
    render, edited = render[area] @ LUMA, edited[area] @ LUMA
    before, after = (_normalised(luma, side, options) for luma in (render, edited))
    backward = _dis(after, before, start, options)
    forward = _dis(before, after, None if start is None else -start, options)
    trust = _agreement(backward, forward, options.agreement * side)
    trust *= _explained(edited, render, backward, side, options)
    flow[area], confidence[area] = regularise(backward, trust, side, options), trust
    return Correspondence(flow=flow, confidence=confidence)


def warp(image: Array, flow: Array) -> Array:
    """Read `image` [H, W(, C)] at p + flow(p), bicubic, its edge pixels repeated outside."""
    height, width = flow.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    x, y = columns + flow[..., 0], rows + flow[..., 1]
    read = cv2.remap(image, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(read, np.float32)


def blur(field: Array, radius: float) -> Array:
    """Gaussian mean of [H, W(, C)] with standard deviation `radius` in pixels."""
    soft = cv2.GaussianBlur(field, (0, 0), radius, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(soft, np.float32)


def smoothstep(low: float, high: float, x: Array) -> Array:
    """Exactly 0 up to `low`, exactly 1 from `high`, smooth in between."""
    t = np.clip((x - low) / (high - low), 0, 1).astype(np.float32)
    return t * t * (3 - 2 * t)


def regularise(flow: Array, trust: Array, side: int, options: FlowOptions) -> Array:
    """Spread the trusted displacements smoothly; zero where nothing is trusted or little moves.

    Normalised convolution from coarse to fine: each scale keeps the coarser estimate as its prior.

    Args:
        flow: [H, W, 2] pixels.
        trust: [H, W] in [0, 1].
        side: Of the crop that the flow is a part of.
        options: Lengths, as shares of `side`.
    """
    smooth = np.zeros_like(flow)
    for radius in options.smoothing:
        weight = blur(trust, radius * side)[..., None]
        total = blur(flow * trust[..., None], radius * side)
        smooth = (total + options.prior * smooth) / (weight + options.prior)
    length = np.linalg.norm(smooth, axis=2)
    still = options.still * side
    moving = smoothstep(still, 2 * still, blur(length, 0.01 * side))
    return limit_folding(smooth * moving[..., None], side, options.least_area)


def limit_folding(flow: Array, side: int, least_area: float, rounds: int = 60) -> Array:
    """Weaken the flow where p + flow(p) shrinks areas below `least_area`, so that it cannot fold.

    Only multiplies: where the flow is zero it stays exactly zero. The crop is `side` wide, of which
    the flow may be a part.
    """
    radius = 0.03 * side
    for _ in range(rounds):
        folding = area_ratio(flow) < least_area
        around = _around(folding, math.ceil(4 * radius) + 2)
        if around is None:
            return flow
        weaker = np.minimum(4 * blur(folding[around].astype(np.float32), radius), 1)[..., None]
        flow = flow.copy()
        flow[around] *= 1 - 0.12 * weaker
    while (area_ratio(flow) < least_area).any():
        flow = flow * np.float32(0.8)
    return flow


def _around(where: NDArray[np.bool_], margin: int) -> tuple[slice, slice] | None:
    """Rows and columns of all that is True, and of a margin around; None where nothing is."""
    rows, columns = (np.flatnonzero(where.any(axis=axis)) for axis in (1, 0))
    if len(rows) == 0:
        return None
    top, bottom = max(int(rows[0]) - margin, 0), int(rows[-1]) + margin + 1
    left, right = max(int(columns[0]) - margin, 0), int(columns[-1]) + margin + 1
    return slice(top, bottom), slice(left, right)


def area_ratio(flow: Array) -> Array:
    """Determinant of the Jacobian of p + flow(p), [H, W]; 1 where nothing is stretched."""
    dx_y, dx_x = np.gradient(flow[..., 0])
    dy_y, dy_x = np.gradient(flow[..., 1])
    return ((1 + dx_x) * (1 + dy_y) - dx_y * dy_x).astype(np.float32)


def _normalised(luma: Array, side: int, options: FlowOptions) -> NDArray[np.uint8]:
    radius = options.normalisation * side
    flat = luma - blur(luma, radius)
    contrast = np.sqrt(blur(np.square(flat), radius))
    scaled = flat / np.maximum(contrast, options.contrast_floor)
    return np.clip(127.5 + 42 * scaled, 0, 255).astype(np.uint8)


def _dis(
    source: NDArray[np.uint8],
    target: NDArray[np.uint8],
    start: Array | None,
    options: FlowOptions,
) -> Array:
    """DIS flow f with source(p) = target(p + f(p)), from a first guess if there is one."""
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    dis.setFinestScale(options.finest)
    dis.setVariationalRefinementIterations(options.refinement)
    first = None if start is None else start.copy()
    return np.asarray(dis.calc(source, target, first), np.float32)  # pyright: ignore


def _agreement(flow: Array, reverse: Array, tolerance: float) -> Array:
    """Trust that falls with the distance by which going there and back misses the pixel."""
    miss = np.linalg.norm(flow + warp(reverse, flow), axis=2)
    return np.exp(-((miss / tolerance) ** 2)).astype(np.float32)


def _explained(edited: Array, render: Array, flow: Array, side: int, options: FlowOptions) -> Array:
    """Share of the squared difference that the flow explains; 0 on flat or unchanged skin."""
    radius = 0.012 * side
    unmoved = blur((edited - render) ** 2, radius)
    moved = blur((edited - warp(render, flow)) ** 2, radius)
    return np.clip((unmoved - moved) / (unmoved + options.noise), 0, 1).astype(np.float32)


def _flow_from_handles(
    handles: Array | None,
    finals: Array | None,
    side: int,
    area: tuple[slice, slice],
    options: FlowOptions,
) -> Array | None:
    """Displacements known at a few final points, spread with a Gaussian around each."""
    if handles is None and finals is None:
        return None
    if handles is None or finals is None or handles.shape != finals.shape:
        raise PipelineError("handles and their final points differ in number: give one for each")
    radius = options.handle_radius * side
    columns, rows = (
        np.exp(
            -(((np.arange(span.start, span.stop) + 0.5) - finals[:, k, None]) ** 2)
            / (2 * radius**2)
        )
        for k, span in ((0, area[1]), (1, area[0]))
    )
    total = np.einsum("nr,nc,nk->rck", rows, columns, handles - finals, optimize=True)
    weights = (rows.T @ columns)[..., None]
    return (total / np.maximum(weights, 1)).astype(np.float32)
