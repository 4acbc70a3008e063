"""Stage "faces": every face of a photo with its box, 68 landmarks and score.

Two finders stand behind `find_faces`. The built-in one runs a small detector on a pyramid of a
reduced copy, then places the landmarks in the photo's own pixels: in the square that the detector
gave, again in the square that those first landmarks give, and the lids once more from near by. The
other is FAN of the `face_alignment` library, used when its files are on this machine; nothing is
downloaded.
"""

import dataclasses
import math
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.errors import FaceError, RequestError
from pipeline.fan import (
    WORKING_SIDE,
    Points,
    Rgb,
    checkpoints,
    find_with_fan,
    missing_fan_files,
    reduced,
    resized,
)
from weights.face_finder import (
    DETECTOR_SIZES,
    DETECTOR_STRIDE,
    LANDMARK_INPUT,
    SQUARE_MARGIN,
    EyeNetwork,
    FaceDetector,
    LandmarkNetwork,
    face_square,
    load_face_finder,
)

FINDERS: Final = ("auto", "builtin", "fan")
_CANDIDATE_SCORE = 0.3
_FACE_SCORE = 0.5
_PRIOR = -6.5
"""Added to both networks' log odds, since they were trained on far more faces than photos show."""
_MAX_CANDIDATES = 150
_MAX_REFINEMENTS = 2
_HOPELESS = -2.0
"""Logit of a first look below which there is no second."""
_WANDER = 0.025
"""Share of the square by which a face's landmarks may still move when they are placed again."""
_SMALLEST_LEVEL = 24
_OVERLAP = 0.35


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Face:
    """One face of a photo, in photo pixels."""

    box: tuple[float, float, float, float]
    """Left, top, right, bottom of the landmarks."""
    landmarks: Points
    """[68, 2], iBUG order."""
    score: float
    """Confidence in [0, 1]."""
    index: int
    """Number of the face in its photo, from 1, left to right."""


def find_faces(rgb: Rgb, *, finder: str = "auto", device: str | torch.device = "cpu") -> list[Face]:
    """Find the faces of a photo, left to right.

    Args:
        rgb: [H, W, 3] in [0, 1].
        finder: one of `FINDERS`; "auto" takes FAN where its files are here, else the built-in one.
        device: where the networks run.

    Raises:
        RequestError: no such finder.
        FaceError: `rgb` is no colour picture.
        MissingWeightsError: FAN is asked for and its files are not here.
        BrokenWeightsError: a network's file is damaged.
    """
    if finder not in FINDERS:
        raise RequestError(f"unknown face finder {finder!r}: choose one of {', '.join(FINDERS)}")
    if rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
        raise FaceError(f"faces are looked for in [H, W, 3] pictures: got {list(rgb.shape)}")
    find = find_with_fan if uses_fan(finder) else _find_builtin
    found = find(rgb, torch.device(device))
    ordered = sorted(found, key=lambda pair: float(pair[0][:, 0].min() + pair[0][:, 0].max()))
    return [
        Face(
            box=_box(points),
            landmarks=points,
            score=score,
            index=index,
        )
        for index, (points, score) in enumerate(ordered, 1)
    ]


def uses_fan(finder: str) -> bool:
    """Whether one of `FINDERS` stands for FAN on this machine."""
    return finder == "fan" or (finder == "auto" and not missing_fan_files(checkpoints()))


def _find_builtin(rgb: Rgb, device: torch.device) -> list[tuple[Points, float]]:
    finder = load_face_finder(device=device)
    small = reduced(rgb, WORKING_SIDE)
    scale = np.array([rgb.shape[1] / small.shape[1], rgb.shape[0] / small.shape[0]])
    found: list[tuple[Points, float]] = []
    for x, y, size, proposed in find_candidates(small, finder.detector):
        square = np.array([*(scale * (x, y)), SQUARE_MARGIN * size * scale.mean(), 0.0])
        placed = place_landmarks(rgb, square, finder.landmarks)
        if placed is None:
            continue
        points, logit = placed
        score = 1 / (1 + math.exp(-logit - math.log(proposed / (1 - proposed)) - _PRIOR))
        if score >= _FACE_SCORE:
            found.append((points, score))
    return [
        (place_lids(rgb, points, finder.eyes), score) for points, score in _without_doubles(found)
    ]


@torch.no_grad()
def find_candidates(rgb: Rgb, detector: FaceDetector) -> npt.NDArray[np.float64]:
    """Return what the detector takes for faces, best first: x, y, size, score [N, 4], px.

    Args:
        rgb: [H, W, 3] in [0, 1].
        detector: run on `rgb` and on copies that shrink by factors of two.
    """
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    device = next(detector.parameters()).device
    rows: list[npt.NDArray[np.float64]] = [np.empty((0, 4))]
    factor = 1.0
    while max(gray.shape) * factor >= _SMALLEST_LEVEL:
        level = resized(gray, factor)
        picture = torch.from_numpy(level)[None, None].to(device)
        height, width = picture.shape[-2:]
        padded = F.pad(picture, (0, -width % 16, 0, -height % 16), mode="replicate")
        logit, log_size = detector(padded)
        score = logit.sigmoid()
        peak = (F.max_pool2d(score[None], 3, 1, 1)[0] == score) & (score > _CANDIDATE_SCORE)
        size = log_size.exp()
        low, high = DETECTOR_SIZES
        peak &= (size > 0.8 * low) & (size < 1.25 * high)
        _, row, column = peak.nonzero(as_tuple=True)
        cells = torch.stack((column, row)) + 0.5
        found = torch.cat((cells * DETECTOR_STRIDE / factor, size[peak][None] / factor))
        rows.append(torch.cat((found, score[peak][None])).T.cpu().numpy().astype(np.float64))
        factor /= 2
    candidates = np.concatenate(rows)
    candidates = candidates[np.argsort(-candidates[:, 3])]
    kept: list[npt.NDArray[np.float64]] = []
    for candidate in candidates:
        apart = (math.dist(candidate[:2], k[:2]) / min(candidate[2], k[2]) for k in kept)
        if all(distance > 0.4 for distance in apart):
            kept.append(candidate)
    return np.array(kept[:_MAX_CANDIDATES]).reshape(-1, 4)


@torch.no_grad()
def place_landmarks(
    rgb: Rgb, square: Points, network: LandmarkNetwork
) -> tuple[Points, float] | None:
    """Place landmarks in a square, then in the square of their own until they stay.

    Args:
        rgb: [H, W, 3] in [0, 1].
        square: (x, y, side, angle) as the detector gives it, px.
        network: on any device.

    Returns:
        Landmarks [68, 2] in px and the network's logit of a face; None where they describe none.
    """
    points, logit = _located(rgb, square, network)
    if logit < _HOPELESS:
        return None
    for _ in range(_MAX_REFINEMENTS):
        before, own = points, face_square(points)
        moved = math.dist(own[:2], square[:2]) / square[2]
        if not (0.5 < own[2] / square[2] < 2 and moved < 0.5):
            return None
        points, logit = _located(rgb, own, network)
        if np.linalg.norm(points - before, axis=1).mean() < _WANDER * own[2]:
            return points, logit
    return None


def _located(rgb: Rgb, square: Points, network: LandmarkNetwork) -> tuple[Points, float]:
    window = _Window.around(square, rgb, network)
    found = network.locate(window.image, window.square)
    return window.in_photo(found.points), float(found.logit[0])


@torch.no_grad()
def place_lids(rgb: Rgb, points: Points, network: EyeNetwork) -> Points:
    """Return landmarks [68, 2] in px with their lids placed again, from near by."""
    window = _Window.around(face_square(points), rgb, network)
    return window.in_photo(network.refine(window.image, window.inside(points), window.square))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Window:
    """What of a photo lies around a face's square, reduced to what the networks can see."""

    image: Tensor
    """[1, 3, h, w]."""
    square: Tensor
    """[1, 4], in its pixels."""
    corner: npt.NDArray[np.int64]
    """Of the window in the photo, px."""
    scale: npt.NDArray[np.float64]
    """[2], its pixels per pixel of the photo."""

    @classmethod
    def around(cls, square: Points, rgb: Rgb, network: nn.Module) -> "_Window":
        x, y, side, angle = square
        half = 0.75 * side + 2
        low = np.floor(np.maximum((x - half, y - half), 0)).astype(int)
        high = np.ceil(np.minimum((x + half, y + half), rgb.shape[1::-1])).astype(int)
        low = np.minimum(low, np.array(rgb.shape[1::-1]) - 1)
        high = np.maximum(high, low + 1)
        window = rgb[low[1] : high[1], low[0] : high[0]]
        factor = min(1.0, 2 * LANDMARK_INPUT / side)
        size = np.maximum(1, np.round((high - low) * factor)).astype(int)
        window = cv2.resize(window, size.tolist(), interpolation=cv2.INTER_AREA)
        scale = size / (high - low)
        device = next(network.parameters()).device
        image = torch.from_numpy(np.ascontiguousarray(window)).permute(2, 0, 1)[None]
        centre = (np.array([x, y]) - low) * scale
        inside = torch.tensor([[*centre, side * scale.mean(), angle]], dtype=torch.float32)
        return cls(image=image.to(device), square=inside.to(device), corner=low, scale=scale)

    def inside(self, points: Points) -> Tensor:
        """Points [K, 2] of the photo in the window's pixels, [1, K, 2]."""
        return torch.from_numpy((points - self.corner) * self.scale)[None].to(self.image)

    def in_photo(self, points: Tensor) -> Points:
        """Points [1, K, 2] of the window in the photo's pixels, [K, 2]."""
        return points[0].cpu().numpy().astype(np.float64) / self.scale + self.corner


def _box(points: Points) -> tuple[float, float, float, float]:
    (left, top), (right, bottom) = points.min(0).tolist(), points.max(0).tolist()
    return left, top, right, bottom


def _without_doubles(found: list[tuple[Points, float]]) -> list[tuple[Points, float]]:
    kept: list[tuple[Points, float]] = []
    for points, score in sorted(found, key=lambda pair: -pair[1]):
        if all(_overlap(points, other) < _OVERLAP for other, _ in kept):
            kept.append((points, score))
    return kept


def _overlap(a: Points, b: Points) -> float:
    """Return the boxes' intersection as a share of the smaller one."""
    sides = np.minimum(a.max(0), b.max(0)) - np.maximum(a.min(0), b.min(0))
    smaller = min(float(np.prod(np.ptp(p, axis=0))) for p in (a, b))
    return float(np.prod(np.maximum(sides, 0))) / max(smaller, 1e-9)
