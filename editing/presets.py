"""Expressions as drags: displacements of the 68 landmarks (iBUG order) of a face.

Displacements are in eyes apart (the distance between the eyes' centres) along the face's own
axes, x to the right of the picture, y down the face (`editing.regions.FaceFrame`). At strength 1
each is a clear, natural expression.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from editing.errors import PresetError
from editing.regions import FaceFrame, Points, check_landmarks, region_mask
from editing.spec import DragSpec

STRONGEST = 2.0
# A lid or lip is never asked past its opposite, nor an eye wider or a mouth farther than this.
WIDEST_EYE = 0.32
WIDEST_MOUTH = 0.60
# Lips nearer than this touch: their inner contours are one line, which cannot be dragged apart.
TOUCHING_LIPS = 0.08
# Displacements below this, in eyes apart, are no movement at all.
STILL = 1e-4
EXPRESSION_LIMIT = 0.30
# Degrees at strength 1.
TURN, NOD = 10.0, 8.0
Move = Callable[[Points, float], Points]

_UPPER_LIDS, _LOWER_LIDS = (37, 38, 43, 44), (41, 40, 47, 46)
_INNER_UPPER, _INNER_LOWER = (61, 62, 63), (67, 66, 65)
_EYE_CORNERS = (36, 39, 42, 45)
_NOSE = (27, 30, 33)
_RIGID = (*_EYE_CORNERS, 27, 28, 29, 30)
_TURNING = (27, 30, 33, *_EYE_CORNERS, 48, 51, 54, 57)
_EARS = (0, 16)

# (landmark on the picture's left, its mirror image, outward, down) at strength 1.
_SMILE = (
    (48, 54, 0.12, -0.11),
    (60, 64, 0.11, -0.10),
    (49, 53, 0.07, -0.06),
    (59, 55, 0.08, -0.06),
    (50, 52, 0.03, -0.02),
    (58, 56, 0.04, -0.02),
)
_BROW_RISE = (0.09, 0.12, 0.13, 0.13, 0.12, 0.12, 0.13, 0.13, 0.12, 0.09)


def _smile(_: Points, strength: float) -> Points:
    moved = np.zeros((68, 2))
    for left, right, outward, down in _SMILE:
        moved[left] = (-outward * strength, down * strength)
        moved[right] = (outward * strength, down * strength)
    return moved


def _raise_brows(_: Points, strength: float) -> Points:
    moved = np.zeros((68, 2))
    moved[17:27, 1] = -strength * np.array(_BROW_RISE)
    return moved


def _open_eyes(face: Points, strength: float) -> Points:
    """Positive strengths add to the lids' gap, negative ones take that share of it away."""
    moved = np.zeros((68, 2))
    for upper, lower in zip(_UPPER_LIDS, _LOWER_LIDS, strict=True):
        gap = max(float(face[lower, 1] - face[upper, 1]), 0.0)
        room = max(WIDEST_EYE - gap, 0.0)
        change = min(0.12 * strength, room) if strength > 0 else gap * max(strength, -1.0)
        moved[upper, 1] = -0.75 * change
        moved[lower, 1] = 0.25 * change
    # No portrait shows lids move alone: held brows would hold the lids.
    moved[17:27, 1] = 0.7 * moved[list(_UPPER_LIDS), 1].mean()
    return moved


def _open_mouth(face: Points, strength: float) -> Points:
    """Positive strengths add to the lips' gap, negative ones take that share of it away."""
    moved = np.zeros((68, 2))
    gaps = [
        max(float(face[lower, 1] - face[upper, 1]), 0.0)
        for upper, lower in zip(_INNER_UPPER, _INNER_LOWER, strict=True)
    ]
    for upper, lower, gap, share in zip(
        _INNER_UPPER, _INNER_LOWER, gaps, (0.8, 1.0, 0.8), strict=True
    ):
        room = max(WIDEST_MOUTH - gap, 0.0)
        change = min(0.24 * share * strength, room) if strength > 0 else gap * max(strength, -1.0)
        moved[upper, 1] = -0.15 * change
        moved[lower, 1] = 0.85 * change
    # The outer lips keep their thickness, the chin follows the jaw's half of the way.
    for outer, inner in ((50, 61), (51, 62), (52, 63), (58, 67), (57, 66), (56, 65)):
        moved[outer] = moved[inner]
    moved[7:10, 1] = 0.6 * moved[66, 1]
    if strength > 0 and max(gaps) < TOUCHING_LIPS:
        moved[[50, 51, 52, *range(60, 68)]] = 0
    return moved


def _one_side(move: Move, kept: Sequence[int]) -> Move:
    """What `move` does to some landmarks alone."""

    def moved(face: Points, strength: float) -> Points:
        both = move(face, strength)
        one = np.zeros((68, 2))
        one[list(kept)] = both[list(kept)]
        return one

    return moved


def _knit_brows(_: Points, strength: float) -> Points:
    """The brows' inner ends go down."""
    moved = np.zeros((68, 2))
    for left, right, share in ((21, 22, 1.0), (20, 23, 0.6), (19, 24, 0.25)):
        moved[left, 1] = moved[right, 1] = 0.07 * share * strength
    return moved


def _turn(face: Points, strength: float) -> Points:
    """The nose points to the right of the picture by ten degrees."""
    moved = np.zeros((68, 2))
    moved[:, 0] = _depth(face) * math.sin(math.radians(TURN * strength))
    return moved


def _nod(face: Points, strength: float) -> Points:
    """The nose points down by eight degrees."""
    moved = np.zeros((68, 2))
    moved[:, 1] = _depth(face) * math.sin(math.radians(NOD * strength))
    return moved


def _depth(face: Points) -> npt.NDArray[np.float64]:
    """How far the landmarks that show a turn stand out from the neck's axis: half an egg."""
    x, y = face[:, 0] - face[27, 0], face[:, 1]
    egg = 1.05 * np.clip(1 - (x / 1.4) ** 2 - (y / 1.5) ** 2, 0, None)
    depth = np.zeros(68)
    depth[list(_TURNING)] = egg[list(_TURNING)]
    depth[[30, 33]] += 0.3
    return depth


@dataclass(frozen=True, kw_only=True)
class _Preset:
    """Displacement of the landmarks of a face in face units, what it holds, where it may act.

    `guide` says how far to go along which `weights.directions` at a strength.
    """

    move: Move
    anchors: tuple[int, ...]
    regions: tuple[str, ...]
    guide: Callable[[float], Mapping[str, float]]
    sign: float = 1.0


def _along(**amounts: float) -> Callable[[float], Mapping[str, float]]:
    """So much of each direction at strength 1, in proportion; `_` stands for `-` in names."""
    return lambda strength: {k.replace("_", "-"): strength * v for k, v in amounts.items()}


def _along_lids(*lids: str) -> Callable[[float], Mapping[str, float]]:
    """Lids close wholly, but open by a quarter of their aperture."""
    return lambda strength: dict.fromkeys(lids, -0.27 * strength if strength > 0 else -strength)


_SMILES = _Preset(
    move=_smile,
    anchors=(*_NOSE, *_EYE_CORNERS),
    regions=("mouth", "jaw"),
    guide=_along(smile=0.1, mouth_width=0.17, mouth_open=0.04),
)
# Lids that are not held rise with the brows.
_BROWS = _Preset(
    move=_raise_brows,
    anchors=(*_EYE_CORNERS, *_UPPER_LIDS, *_LOWER_LIDS),
    regions=("brows", "eyes"),
    guide=_along(brow_left=0.09, brow_right=0.09),
)
_LEFT_BROW = replace(
    _BROWS, move=_one_side(_raise_brows, range(17, 22)), guide=_along(brow_left=0.09)
)
_RIGHT_BROW = replace(
    _BROWS, move=_one_side(_raise_brows, range(22, 27)), guide=_along(brow_right=0.09)
)
# The eyes' corners lie within a feature cell of the lids: holding them would hold the lids.
_EYES = _Preset(
    move=_open_eyes,
    anchors=(27, 30),
    regions=("eyes", "brows"),
    guide=_along_lids("lid-left", "lid-right"),
)
_LEFT_EYE = replace(
    _EYES,
    move=_one_side(_open_eyes, (*range(17, 22), *range(36, 42))),
    anchors=(27, 30, *range(42, 48)),
    guide=_along_lids("lid-left"),
)
_RIGHT_EYE = replace(
    _EYES,
    move=_one_side(_open_eyes, (*range(22, 27), *range(42, 48))),
    anchors=(27, 30, *range(36, 42)),
    guide=_along_lids("lid-right"),
)
_MOUTH = _Preset(
    move=_open_mouth, anchors=_NOSE, regions=("mouth", "jaw"), guide=_along(mouth_open=0.24)
)
_HEAD = ("face", "jaw")

PRESETS: Mapping[str, _Preset] = {
    "smile": _SMILES,
    "open-eyes": _EYES,
    "close-eyes": replace(_EYES, sign=-1),
    "open-left-eye": _LEFT_EYE,
    "close-left-eye": replace(_LEFT_EYE, sign=-1),
    "open-right-eye": _RIGHT_EYE,
    "close-right-eye": replace(_RIGHT_EYE, sign=-1),
    "open-mouth": _MOUTH,
    "close-mouth": replace(_MOUTH, sign=-1),
    "raise-brows": _BROWS,
    "lower-brows": replace(_BROWS, sign=-0.6),
    "raise-left-brow": _LEFT_BROW,
    "raise-right-brow": _RIGHT_BROW,
    "frown": replace(_BROWS, move=_knit_brows, guide=_along(brow_inner=-0.07)),
    "turn": _Preset(move=_turn, anchors=_EARS, regions=_HEAD, guide=_along(yaw=TURN)),
    "nod": _Preset(move=_nod, anchors=_EARS, regions=_HEAD, guide=_along(pitch=NOD)),
}


@dataclass(frozen=True, kw_only=True)
class PresetStrength:
    """A preset and how much of it.

    Attributes:
        name: a key of `PRESETS`.
        strength: 1 is a clear expression, 0 nothing, negative the opposite; clamped to +-2, since
            no face goes farther.

    Raises:
        PresetError: no such preset, or a strength that is not finite.
    """

    name: str
    strength: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what no face can do."""
        if self.name not in PRESETS:
            raise PresetError(f"unknown preset {self.name!r}: choose among {', '.join(PRESETS)}")
        if not math.isfinite(self.strength):
            raise PresetError(
                f"strength of preset {self.name} must be a finite number, not {self.strength}"
            )


def parse_preset(text: str) -> PresetStrength:
    """Read `NAME` or `NAME=STRENGTH`.

    Raises:
        PresetError: no such preset, or a strength that is not a finite number.
    """
    name, equals, number = text.partition("=")
    if not equals:
        return PresetStrength(name=name.strip())
    try:
        strength = float(number)
    except ValueError as error:
        raise PresetError(
            f"strength of preset {name.strip()} must be a number such as 0.5, not {number!r}"
        ) from error
    return PresetStrength(name=name.strip(), strength=strength)


def preset(name: str, strength: float, landmarks: npt.ArrayLike, *, resolution: int) -> DragSpec:
    """One preset as a drag; see `combine_presets`."""
    chosen = PresetStrength(name=name, strength=strength)
    return combine_presets([chosen], landmarks, resolution=resolution)


def combine_presets(
    presets: Sequence[PresetStrength], landmarks: npt.ArrayLike, *, resolution: int
) -> DragSpec:
    """Several presets as one drag: displacements add up, movable masks unite.

    Args:
        presets: what to do; strengths of 0 do nothing at all.
        landmarks: `[68, 2]` of the face, crop pixels.
        resolution: side of the crop in pixels.

    Returns:
        A drag of the landmarks that move, with anchors on what has to stay.

    Raises:
        PresetError: unusable landmarks.
    """
    frame = FaceFrame.of(landmarks)
    face = frame.to_face(check_landmarks(landmarks))
    moved = np.zeros((68, 2))
    anchors: set[int] = set()
    regions: set[str] = set()
    for chosen in presets:
        entry = PRESETS[chosen.name]
        strength = min(max(chosen.strength, -STRONGEST), STRONGEST)
        change = entry.move(face, entry.sign * strength)
        if np.abs(change).max() > STILL:
            moved += change
            anchors.update(entry.anchors)
            regions.update(entry.regions)
    return _drag(landmarks, moved, anchors, regions, resolution)


def guide_of(presets: Sequence[PresetStrength]) -> dict[str, float]:
    """How far to go along which `weights.directions` for these presets; empty where none helps."""
    guide: dict[str, float] = {}
    for chosen in presets:
        entry = PRESETS[chosen.name]
        strength = entry.sign * min(max(chosen.strength, -STRONGEST), STRONGEST)
        for name, amount in entry.guide(strength).items():
            guide[name] = guide.get(name, 0.0) + amount
    return {name: amount for name, amount in guide.items() if amount}


def expression_from(
    source: npt.ArrayLike, target: npt.ArrayLike, *, resolution: int, strength: float = 1.0
) -> DragSpec:
    """The expression of another face as a drag of this one.

    The other face is laid over this one by the similarity that fits eye corners and nose bridge
    best; brows move by the difference that remains, lids relative to their own eye's corners,
    lips relative to the upper lip's middle. Neither face's neutral expression is known, so what
    sets the two people apart at rest (brow height, eye shape, fullness of the lips) is transferred
    with the expression, and turning the head looks like an expression too. Hence every
    displacement is limited to 0.3 eyes apart.

    Args:
        source: `[68, 2]` landmarks of the face to edit, crop pixels.
        target: `[68, 2]` landmarks of the other face, in pixels of any picture.
        resolution: side of the crop in pixels.
        strength: share of the difference, 1 for all of it.

    Raises:
        PresetError: unusable landmarks, or a strength that is not finite.
    """
    if not math.isfinite(strength):
        raise PresetError(f"strength of an expression must be a finite number, not {strength}")
    frame = FaceFrame.of(source)
    here = frame.to_face(check_landmarks(source))
    other = FaceFrame.of(target).to_face(check_landmarks(target))
    other = _fit_similarity(other[list(_RIGID)], here[list(_RIGID)], other)
    moved = np.zeros((68, 2))
    moved[17:27] = other[17:27] - here[17:27]
    for corners, eye in (((36, 39), range(36, 42)), ((42, 45), range(42, 48))):
        ends, lids = list(corners), list(eye)
        moved[lids] = _fit_similarity(other[ends], here[ends], other[lids]) - here[lids]
        moved[ends] = 0
    lips = slice(48, 68)
    moved[lips] = other[lips] - here[lips] - (other[[51, 62]] - here[[51, 62]]).mean(axis=0)
    moved[7:10, 1] = 0.6 * moved[57, 1]
    moved *= strength
    length = np.linalg.norm(moved, axis=1, keepdims=True)
    moved *= np.minimum(1, EXPRESSION_LIMIT / np.maximum(length, STILL))
    regions = ("mouth", "jaw", "eyes", "brows")
    return _drag(source, moved, (*_NOSE, *_EYE_CORNERS), regions, resolution)


def _fit_similarity(points: Points, onto: Points, apply_to: Points) -> Points:
    """Move `apply_to` by the similarity that takes `points` `[N, 2]` nearest to `onto`."""
    # In the plane, rotation and scale are one complex factor.
    a = (points - points.mean(axis=0)) @ [1, 1j]
    b = (onto - onto.mean(axis=0)) @ [1, 1j]
    factor = np.vdot(a, b) / max(float(np.vdot(a, a).real), 1e-12)
    moved = factor * ((apply_to - points.mean(axis=0)) @ [1, 1j]) + onto.mean(axis=0) @ [1, 1j]
    return np.stack((moved.real, moved.imag), axis=-1)


def _drag(
    landmarks: npt.ArrayLike,
    moved: Points,
    anchors: Sequence[int] | set[int],
    regions: Sequence[str] | set[str],
    resolution: int,
) -> DragSpec:
    """Displacements `[68, 2]` in face units as a drag, without landmarks beyond the crop."""
    points = check_landmarks(landmarks)
    frame = FaceFrame.of(points)
    still: npt.NDArray[np.bool_] = np.asarray((np.abs(moved) <= STILL).all(axis=1))
    kept = sorted(set(anchors) & set(np.flatnonzero(still).tolist()))
    chosen = [] if bool(still.all()) else [*np.flatnonzero(~still).tolist(), *kept]
    inside = np.asarray(((points >= 0) & (points <= resolution)).all(axis=1))
    chosen = [k for k in chosen if inside[k]]
    handles = torch.from_numpy(points[chosen]).float()
    shift = torch.from_numpy(np.where(still[:, None], 0, moved @ frame.axes * frame.scale)[chosen])
    return DragSpec(
        handles=handles,
        targets=(handles + shift.float()).clamp(0, resolution),
        resolution=resolution,
        mask=region_mask(points, sorted(regions), resolution=resolution) if chosen else None,
    )
