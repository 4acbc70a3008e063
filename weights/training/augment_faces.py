"""Training samples for the face finder: squares with landmarks, and mosaics of many faces.

Pictures are uint8 RGB [H, W, 3] until `photographed` turns them into gray float32 in [0, 1].
Everything random comes from the generator that is passed in.
"""

import dataclasses
import math
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from weights.face_finder import (
    DETECTOR_SIZES,
    DETECTOR_STRIDE,
    EYE_INPUT,
    EYE_SHARE,
    LANDMARK_INPUT,
    MIRRORED,
    RIGHT_EYE,
    SQUARE_MARGIN,
    face_square,
)
from weights.training.backgrounds import Backgrounds, Picture
from weights.training.part_warps import PartWarp, Points, random_lids, random_parts
from weights.training.portraits import load_portraits

Array = npt.NDArray[np.float32]


PORTRAIT = 160
"""Side at which portraits are kept, px."""
MOSAIC = 160
_FACE_MASK_RADIUS = (0.42, 0.62)
_LABELS_THAT_AGREE = 0.05
"""Largest difference between a face's two labellings, as a share of the outer eye distance."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Faces:
    """Aligned portraits at `PORTRAIT` px whose landmark labels can be trusted."""

    pictures: Picture
    """[N, 160, 160, 3]."""
    landmarks: npt.NDArray[np.float64]
    """[N, 68, 2], px."""
    gray: npt.NDArray[np.bool_]
    """[N], the original has no colour."""
    chances: npt.NDArray[np.float64] | None = None
    """[N], how likely each is to be drawn; None for all alike."""

    def __len__(self) -> int:
        """Return the number of portraits."""
        return len(self.pictures)


def read_faces(folder: Path, split: str, *, limit: int | None = None) -> Faces:
    """Read one split of a folder as `weights.training.portraits` describes it.

    Raises:
        WeightsError: no index, a broken entry or picture, or no face in the split.
    """
    portraits = load_portraits(
        folder, split, PORTRAIT, disagreement=_LABELS_THAT_AGREE, limit=limit
    )
    return Faces(
        pictures=portraits.images.permute(0, 2, 3, 1).contiguous().numpy(),
        landmarks=(portraits.landmarks.double().numpy() + 1) * (PORTRAIT / 2),
        gray=~portraits.colour.numpy(),
    )


def joined(*parts: tuple[Faces, float]) -> Faces:
    """Return the faces of all parts as one, those of each drawn as often as its share says."""
    shares = np.array([share / len(faces) for faces, share in parts])
    chances = np.repeat(shares, [len(faces) for faces, _ in parts])
    return Faces(
        pictures=np.concatenate([faces.pictures for faces, _ in parts]),
        landmarks=np.concatenate([faces.landmarks for faces, _ in parts]),
        gray=np.concatenate([faces.gray for faces, _ in parts]),
        chances=chances / chances.sum(),
    )


def landmark_sample(rng: Generator, faces: Faces, backgrounds: Backgrounds) -> tuple[Array, Array]:
    """Return a face's square [96, 96] in [0, 1] and its landmarks [68, 2] in parts of it."""
    return _landmark_square(rng, *_drawn(rng, faces), backgrounds, None)


def landmark_pair(rng: Generator, faces: Faces, backgrounds: Backgrounds) -> tuple[Array, Array]:
    """Return a face's square before and after parts of it moved.

    All else is the same in both.

    Returns:
        Squares [2, 96, 96] in [0, 1] and their landmarks [2, 68, 2] in parts of them.
    """
    picture, landmarks = _drawn(rng, faces)
    parts, seed = random_parts(rng, landmarks), rng.integers(2**32)
    return _pair(
        _landmark_square(np.random.default_rng(seed), picture, landmarks, backgrounds, warp)
        for warp in (None, parts)
    )


def eye_pair(rng: Generator, faces: Faces) -> tuple[Array, Array]:
    """Return a right eye's square before and after its lids moved.

    The square is off by more than the first look at a face usually is.

    Returns:
        Squares [2, 64, 64] in [0, 1] and their lids [2, 6, 2] in parts of them.
    """
    picture, landmarks = _drawn(rng, faces)
    lids, seed = random_lids(rng, landmarks), rng.integers(2**32)
    return _pair(
        _eye_square(np.random.default_rng(seed), picture, landmarks, warp) for warp in (None, lids)
    )


def _pair(samples: Iterable[tuple[Array, Array]]) -> tuple[Array, Array]:
    squares, places = zip(*samples, strict=True)
    return np.stack(squares), np.stack(places)


def _landmark_square(
    rng: Generator,
    picture: Picture,
    landmarks: Points,
    backgrounds: Backgrounds,
    parts: PartWarp | None,
) -> tuple[Array, Array]:
    """Cut the square that stands around a face, after parts of it moved."""
    x, y, side, angle = face_square(landmarks)
    wide = rng.random() < 0.5
    shift, zoom, turn = (0.12, 0.2, 0.5) if wide else (0.035, 0.06, 0.08)
    x, y = np.array([x, y]) + rng.normal(0, shift / 2, 2).clip(-shift, shift) * side
    angle += rng.uniform(-0.85, 0.85) if rng.random() < 0.25 else rng.normal(0, turn / 2)
    side *= np.exp(rng.normal(0.0, zoom))
    bend = rng.normal(0, (0.06, 0.04), 2).clip(-0.14, 0.14)
    stretch = np.exp(rng.normal(0, 0.06, 2))

    v, u = np.mgrid[0:LANDMARK_INPUT, 0:LANDMARK_INPUT] + 0.5
    flat = np.stack((u, v), -1) / LANDMARK_INPUT * 2 - 1
    axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    source = _bent(flat, bend) * stretch * (side / 2) @ axes + (x, y)
    source, landmarks = _moved(source, landmarks, parts)
    places = ((landmarks - (x, y)) @ axes.T) / (stretch * side / 2)
    places = (_unbent(places, bend) + 1) / 2
    square = _warped(picture, source)
    outside = np.asarray(((source < 0) | (source > PORTRAIT)).any(-1))
    if rng.random() < 0.35:
        radii = np.array(_FACE_MASK_RADIUS) * rng.uniform(0.95, 1.25) * 2
        outside |= (((flat - (0, -0.1)) @ axes.T / radii) ** 2).sum(-1) > 1
    if outside.any() and rng.random() < 0.8:
        soft = cv2.GaussianBlur(outside.astype(np.float32), (0, 0), rng.uniform(0.5, 2.5))
        cover = backgrounds.draw(rng, LANDMARK_INPUT)
        square = _mixed(square, cover, soft.astype(np.float32))
    if rng.random() < 0.35:
        square = _occluded(rng, square, backgrounds)
    return photographed(rng, square), places.astype(np.float32)


def _eye_square(
    rng: Generator, picture: Picture, landmarks: Points, lids: PartWarp | None
) -> tuple[Array, Array]:
    """Cut the square of a right eye, after its lids moved."""
    _, _, side, angle = face_square(landmarks)
    side *= EYE_SHARE * np.exp(rng.normal(0, 0.07))
    angle += rng.normal(0, 0.06)
    centre = landmarks[RIGHT_EYE].mean(0) + rng.normal(0, 0.045, 2).clip(-0.12, 0.12) * side
    stretch = np.exp(rng.normal(0, 0.08, 2)) * side / 2
    axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    v, u = np.mgrid[0:EYE_INPUT, 0:EYE_INPUT] + 0.5
    flat = np.stack((u, v), -1) / EYE_INPUT * 2 - 1
    source, landmarks = _moved(flat * stretch @ axes + centre, landmarks, lids)
    square = _warped(picture, source)
    places = ((landmarks[RIGHT_EYE] - centre) @ axes.T / stretch + 1) / 2
    return photographed(rng, square), places.astype(np.float32)


def with_moved_parts(rng: Generator, faces: Faces) -> Faces:
    """Return the same faces after parts of each moved."""
    v, u = np.mgrid[0:PORTRAIT, 0:PORTRAIT] + 0.5
    pixels = np.stack((u, v), -1)
    warps = [random_parts(rng, landmarks) for landmarks in faces.landmarks]
    moved = [_moved(pixels, *pair) for pair in zip(faces.landmarks, warps, strict=True)]
    pictures = [_warped(face, at) for face, (at, _) in zip(faces.pictures, moved, strict=True)]
    landmarks = np.stack([places for _, places in moved])
    return dataclasses.replace(faces, pictures=np.stack(pictures), landmarks=landmarks)


def faceless_sample(rng: Generator, faces: Faces, backgrounds: Backgrounds) -> Array:
    """Return a square [96, 96] in [0, 1] with no face, or with no more than a part of one."""
    if rng.random() < 0.6:
        return photographed(rng, backgrounds.draw(rng, LANDMARK_INPUT))
    i = int(rng.integers(len(faces)))
    x, y, side, angle = face_square(faces.landmarks[i])
    if rng.random() < 0.5:
        side *= rng.uniform(0.12, 0.42)
        x, y = np.array([x, y]) + rng.uniform(-0.4, 0.4, 2) * PORTRAIT
    else:
        direction = rng.uniform(0, 2 * np.pi)
        away = rng.uniform(0.55, 0.8) * side
        x, y = x + away * np.cos(direction), y + away * np.sin(direction)
    canvas = backgrounds.draw(rng, LANDMARK_INPUT)
    scale = LANDMARK_INPUT / side
    pasted, mask = _placed(
        faces.pictures[i], scale, angle + rng.normal(0, 0.2), (x, y), (48, 48), canvas.shape[:2]
    )
    return photographed(rng, _mixed(canvas, pasted, mask))


def mosaic(
    rng: Generator, faces: Faces, backgrounds: Backgrounds
) -> tuple[Array, Array, Array, Array]:
    """Return a picture with 0 to 8 faces and what the detector should say of it.

    Returns:
        Gray picture [160, 160] in [0, 1]; heat [40, 40] in [0, 1], 1 at a centre; log of the
        size in px [40, 40]; weight [40, 40], 0 around faces just outside the range of sizes.
    """
    cells = MOSAIC // DETECTOR_STRIDE
    canvas = np.array(backgrounds.draw(rng, MOSAIC))
    heat, sizes = np.zeros((2, cells, cells), np.float32)
    weight = np.ones_like(heat)
    v, u = (np.mgrid[0:cells, 0:cells] + 0.5) * DETECTOR_STRIDE
    taken: list[tuple[float, float, float]] = []
    low, high = DETECTOR_SIZES
    huge = rng.random() < 0.2
    for _ in range(1 if huge else int(rng.integers(0, 11))):
        size = rng.uniform(55, 150) if huge else float(np.exp(rng.uniform(np.log(9), np.log(50))))
        x, y = rng.uniform(-0.02, 1.02, 2) * MOSAIC
        spacing = rng.uniform(0.65, 1.3)
        if any(np.hypot(x - a, y - b) < spacing * (size + s) / 2 for a, b, s in taken):
            continue
        taken.append((x, y, size))
        _with_face(rng, canvas, faces, (x, y), size)
        distance = np.hypot(u - x, v - y)
        if low * 0.95 <= size <= high * 1.05:
            near = distance < size / 2
            heat = np.maximum(heat, np.exp(-((distance / (0.13 * size + 0.6)) ** 2) / 2))
            sizes[near] = np.log(size)
        elif not huge:
            weight[distance < size] = 0
    return photographed(rng, canvas), heat, sizes, weight


def photographed(rng: Generator, picture: Picture) -> Array:
    """Return the picture in gray [0, 1] as another camera, light or print would give it."""
    mix = rng.dirichlet((3.0, 5.0, 1.5))
    gray = (picture @ mix / 255).astype(np.float32)
    height, width = gray.shape
    if rng.random() < 0.35:
        factor = rng.uniform(0.25, 0.9)
        small = cv2.resize(gray, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        gray = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.15:
        gray = cv2.GaussianBlur(gray, (0, 0), rng.uniform(0.4, 1.6))
    if rng.random() < 0.3:
        slope = rng.normal(0, 0.5, 2)
        v, u = np.mgrid[-0.5 : 0.5 : height * 1j, -0.5 : 0.5 : width * 1j]
        gray = gray * np.exp(u * slope[0] + v * slope[1])
    gray = gray.clip(0, 1) ** np.exp(rng.normal(0, 0.3))
    gray = (gray - 0.5) * np.exp(rng.normal(-0.1, 0.3)) + 0.5 + rng.normal(0, 0.08)
    if rng.random() < 0.4:
        gray = gray + rng.normal(0, rng.exponential(0.03), gray.shape)
    gray = gray.clip(0, 1).astype(np.float32)
    if rng.random() < 0.25:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 90))]
        coded = cv2.imencode(".jpg", (gray * 255).astype(np.uint8), quality)[1]
        gray = np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE)) / 255
    return np.asarray(gray, np.float32)


def _drawn(rng: Generator, faces: Faces) -> tuple[Picture, npt.NDArray[np.float64]]:
    """Draw one picture with its landmarks, mirrored every other time."""
    i = int(rng.choice(len(faces), p=faces.chances))
    picture, landmarks = faces.pictures[i], faces.landmarks[i]
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
        landmarks = (np.array([PORTRAIT, 0]) + landmarks * np.array([-1, 1]))[MIRRORED]
    return picture, landmarks


def _with_face(
    rng: Generator,
    canvas: Picture,
    faces: Faces,
    centre: tuple[float, float],
    size: float,
) -> None:
    """Paste a face of that size into the canvas, in place."""
    picture, landmarks = _drawn(rng, faces)
    x, y, side, angle = face_square(landmarks)
    turn = angle + (rng.uniform(-0.8, 0.8) if rng.random() < 0.2 else rng.normal(0, 0.17))
    scale = size * SQUARE_MARGIN / side
    reach = scale * max(np.hypot(u - x, v - y) for u in (0, PORTRAIT) for v in (0, PORTRAIT))
    left, top = (max(0, math.floor(c - reach)) for c in centre)
    window = canvas[top : math.ceil(centre[1] + reach), left : math.ceil(centre[0] + reach)]
    inside = (centre[0] - left, centre[1] - top)
    pasted, mask = _placed(picture, scale, turn, (x, y), inside, window.shape[:2])
    if rng.random() < 0.65:
        v, u = np.mgrid[0 : window.shape[0], 0 : window.shape[1]] + 0.5
        radius = size * rng.uniform(0.72, 1.0)
        squash = rng.uniform(0.7, 1.0)
        distance = np.hypot((u - inside[0]) / squash, v - inside[1] + 0.15 * size)
        edge = rng.uniform(0.5, 3)
        mask = mask * (((radius - distance) / edge).clip(-0.5, 0.5) + 0.5)
    window[:] = _mixed(window, pasted, mask.astype(np.float32))


def _placed(
    picture: Picture,
    scale: float,
    turn: float,
    source: tuple[float, float],
    target: tuple[float, float],
    shape: tuple[int, int],
) -> tuple[Picture, Array]:
    """Scale and turn a picture so that `source` falls on `target` of [H, W] px; with its mask."""
    blur = max(1.0, 1 / scale)
    small = cv2.resize(picture, None, fx=1 / blur, fy=1 / blur, interpolation=cv2.INTER_AREA)
    scale *= picture.shape[0] / small.shape[0]
    x, y = (c * small.shape[0] / picture.shape[0] for c in source)
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    half = 0.5
    matrix = np.array(
        [
            [cos, sin, target[0] - cos * (x - half) - sin * (y - half) - half],
            [-sin, cos, target[1] + sin * (x - half) - cos * (y - half) - half],
        ]
    )
    size = shape[::-1]
    pasted = cv2.warpAffine(small, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    solid = np.ones(small.shape[:2], np.float32)
    return pasted.astype(np.uint8), cv2.warpAffine(solid, matrix, size).astype(np.float32)


def _occluded(rng: Generator, square: Picture, backgrounds: Backgrounds) -> Picture:
    """Cover a part with an ellipse, a box or a band over the eyes."""
    mask = np.zeros(square.shape[:2], np.float32)
    centre = rng.uniform(0.1, 0.9, 2) * LANDMARK_INPUT
    axes = rng.uniform(0.05, 0.28, 2) * LANDMARK_INPUT
    if rng.random() < 0.2:
        centre, axes = np.array([48.0, 38.0]) + rng.normal(0, 3, 2), np.array([26, 6])
    angle = float(rng.uniform(0, 180)) if rng.random() < 0.7 else 0.0
    box = (tuple(centre.tolist()), tuple((2 * axes).tolist()), angle)
    if rng.random() < 0.5:
        cv2.ellipse(mask, box, 1.0, -1)
    else:
        cv2.fillPoly(mask, [cv2.boxPoints(box).astype(np.int32)], 1.0)
    if rng.random() < 0.5:
        cover = np.full_like(square, rng.integers(0, 256))
    else:
        cover = backgrounds.draw(rng, LANDMARK_INPUT)
    return _mixed(
        square, cover, cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.3, 1.5)).astype(np.float32)
    )


def _moved(source: Points, landmarks: Points, parts: PartWarp | None) -> tuple[Points, Points]:
    """Return where to read pixels [..., 2] and where landmarks are once parts have moved."""
    if parts is None:
        return source, landmarks
    return source - parts.shift(source), parts.moved(landmarks)


def _warped(picture: Picture, source: npt.NDArray[np.float64]) -> Picture:
    x, y = np.moveaxis(source.astype(np.float32) - 0.5, -1, 0)
    step = float(np.linalg.norm(source[1, 1] - source[0, 0])) / 2**0.5
    if step > 1.3:
        picture = cv2.GaussianBlur(picture, (0, 0), 0.4 * step).astype(np.uint8)
    picture = np.ascontiguousarray(picture)
    return cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(
        np.uint8
    )


def _mixed(under: Picture, over: Picture, mask: Array) -> Picture:
    """Lay `over` on `under` where `mask` [H, W] is 1."""
    return (under + (over.astype(np.float32) - under) * mask[..., None]).astype(np.uint8)


def _bent(
    places: npt.NDArray[np.float64], bend: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Stretch one side and squeeze the other, as a head does that turns or nods."""
    return places + bend * (places**2 - 1)


def _unbent(
    bent: npt.NDArray[np.float64], bend: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Invert `_bent` for |places| below 1 / (2 |bend|)."""
    root = np.sqrt(np.maximum(1 + 4 * bend * (bend + bent), 0))
    return 2 * (bend + bent) / (1 + root)
