"""Expressions that official portraits lack, as warps of the portraits: closed eyes, open mouths.

A smooth warp cannot close an eye or open a mouth, since there something comes into sight or is
covered. Here lids and lips are curves through landmarks: the lid slides over the eyeball, the jaw
takes the lower lip along, and what opens behind it is painted. Warps map backwards, from the
picture that is drawn to the one that is read.

Inside this module points are in face units: eyes apart along the face's own axes from the point
between the eyes, x to the right of the picture and y down. Left is left in the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from weights.training.portraits import read

EXPRESSIONS: dict[str, float] = {
    "smile": 0.1, "mouth-width": 0.1, "mouth-open": 0.2, "lid-left": 1.0, "lid-right": 1.0,
    "brow-left": 0.1, "brow-right": 0.1, "brow-inner": 0.06, "yaw": 8.0, "pitch": 6.0,
    "gaze-x": 0.06, "gaze-y": 0.025, "chin": 0.1, "jaw-left": 0.08, "jaw-right": 0.08, "nose": 0.06,
    "lower-lids": 0.03,
}  # fmt: skip
"""What can be asked for, and a typical amount of it.

Smile (the mouth's corners up), mouth width, mouth opening, brows (up), inner ends of the brows (up)
and gaze are in eyes apart; lids in shares of the aperture, 1 for closed; yaw and pitch in degrees,
positive where the nose points right and down. The last are no expressions but shapes, which make
the latents move these parts alone: chin and nose tip (down), sides of the jaw (outwards) and lower
lids (up), in eyes apart.
"""
TEETH = 0.09
"""Usual height of the teeth seen in an opened mouth, eyes apart."""
BROW = 0.15
"""How far a brow reaches below its landmarks, eyes apart."""
RIM = 0.8
"""Width of the eye beyond its landmarks, pixels."""
UNSEEN = 1e-6


@dataclass(frozen=True)
class Drawn:
    """Pictures with other expressions, S pixels wide, and how they came about.

    Attributes:
        images: `[N, 3, S, S]`.
        attention: `[N, 1, S, S]`, 2 at eyes, 1 at the mouth and 0 elsewhere.
        source: `[N, S, S, 2]`, where each pixel is read from, in [-1, 1].
        cover: `[N, 1, S, S]`, how much of each pixel is painted.
    """

    images: Tensor
    attention: Tensor
    source: Tensor
    cover: Tensor


@dataclass(frozen=True)
class _Faces:
    """Faces in their own units.

    Attributes:
        landmarks: `[N, 68, 2]`, in face units.
        origin: `[N, 2]`, the point between the eyes in the picture.
        axes: `[N, 2, 2]`, rows are one face unit along x and y in the picture.
        pixel: `[N, 1]`, size of a pixel in face units.
    """

    landmarks: Tensor
    origin: Tensor
    axes: Tensor
    pixel: Tensor

    @staticmethod
    def of(landmarks: Tensor, side: int) -> _Faces:
        left, right = landmarks[:, 36:42].mean(1), landmarks[:, 42:48].mean(1)
        across = right - left
        axes = torch.stack([across, torch.stack([-across[:, 1], across[:, 0]], 1)], 1)
        origin = (left + right) / 2
        size = across.norm(dim=1)
        faces = _Faces(landmarks, origin, axes, (2 / side / size)[:, None])
        return _Faces(faces.inside(landmarks), origin, axes, faces.pixel)

    def inside(self, points: Tensor) -> Tensor:
        """Points `[N, P, 2]` of the picture in face units."""
        scale = self.axes.square().sum(2)[:, :1, None]
        return (points - self.origin[:, None]) @ self.axes.transpose(1, 2) / scale

    def curve(self, x: Tensor, *landmarks: int) -> Tensor:
        """Height at x `[N, P]` of the line through landmarks, level beyond its ends."""
        ends = self.landmarks[:, list(landmarks)]
        height = ends[:, :1, 1].expand_as(x)
        for k in range(len(landmarks) - 1):
            start, step = ends[:, k], ends[:, k + 1] - ends[:, k]
            run = step[:, :1].clamp(min=0.01)
            share = ((x - start[:, :1]) / run).clamp(0, 1)
            height = height + share * step[:, 1:]
        return height

    def along(self, x: Tensor, left: int, right: int) -> Tensor:
        """Where x lies between two landmarks: -1 at the left one, 1 at the right one, unbounded."""
        a, b = self.landmarks[:, left, :1], self.landmarks[:, right, :1]
        return (2 * x - a - b) / (b - a).clamp(min=0.05)

    def at(self, landmark: int) -> tuple[Tensor, Tensor]:
        """x and y `[N, 1]` of a landmark."""
        x, y = self.landmarks[:, landmark].split(1, dim=1)
        return x, y


def _smooth(x: Tensor) -> Tensor:
    """From 0 at 0 to 1 at 1, level at both ends."""
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)


@dataclass
class _Warp:
    """Where each point is read from, and what is painted over it, in the making."""

    x: Tensor
    y: Tensor
    moved_x: Tensor
    moved_y: Tensor
    colour: Tensor
    cover: Tensor

    def move(self, dx: Tensor | float, dy: Tensor | float) -> None:
        self.x, self.y = self.x - dx, self.y - dy
        self.moved_x, self.moved_y = self.moved_x + dx, self.moved_y + dy

    def paint(self, colour: Tensor, cover: Tensor) -> None:
        """`colour` `[N, P or 1, 3]` over what was painted, by `cover` `[N, P]`."""
        share = cover[..., None]
        self.colour = self.colour * (1 - share) + colour * share
        self.cover = 1 - (1 - self.cover) * (1 - cover)


def _turn_head(warp: _Warp, faces: _Faces, yaw: Tensor, pitch: Tensor) -> None:
    """The head as half an egg with a nose on it, before a still background."""
    middle = (faces.at(1)[0] + faces.at(15)[0]) / 2
    width = (faces.at(15)[0] - faces.at(1)[0]) * 0.68
    chin = faces.at(8)[1]
    top = -0.95 * chin
    x, y = (warp.x - middle) / width, (2 * warp.y - chin - top) / (1.25 * (chin - top))
    nose_x, nose_y = faces.at(30)
    nose = torch.exp(-((warp.x - nose_x).square() + (warp.y - nose_y).square()) / (2 * 0.2**2))
    depth = 1.05 * (1 - x * x - y * y).clamp(min=0) + 0.32 * nose
    warp.move(depth * torch.sin(torch.deg2rad(yaw)), depth * torch.sin(torch.deg2rad(pitch)))


def _move_brow(warp: _Warp, faces: _Faces, left: bool, up: Tensor, inner: Tensor) -> None:
    """A brow moves, the forehead above follows, the lid below does not."""
    brow = range(17, 22) if left else range(22, 27)
    lid = (36, 37, 38, 39) if left else (42, 43, 44, 45)
    t = faces.along(warp.x, brow[0], brow[-1])
    inward = (t if left else -t).clamp(-1, 1)
    rise = up + inner * (0.5 + 0.5 * inward).square()
    beyond = torch.exp(-((t.abs() - 1).clamp(min=0) / 0.45).square())
    line = faces.curve(warp.x, *brow) - rise
    room = 0.85 * (faces.curve(warp.x, *lid) - line).clamp(min=0.15)
    # Landmarks lie in the upper half of a brow: what is stretched must be the skin below it.
    thick = (0.5 * room).clamp(max=BROW)
    below = 1 - _smooth((warp.y - line - thick) / (room - thick))
    above = torch.exp(-((line - warp.y).clamp(min=0) / 0.45).square())
    warp.move(0.0, -rise * beyond * below * above)


def _smile(warp: _Warp, faces: _Faces, up: Tensor, wider: Tensor) -> None:
    """The mouth's corners move, the cheeks a little; the middle of the lips stays."""
    (left, left_y), (right, right_y) = faces.at(48), faces.at(54)
    middle, half = (left + right) / 2, (right - left) / 2 + wider / 2
    t = (warp.x - middle) / half.clamp(min=0.1)
    level = (left_y + right_y) / 2 - up
    beyond = torch.exp(-((t.abs() - 1).clamp(min=0) / 0.55).square())
    band = torch.exp(-((warp.y - level) / 0.34).square())
    inside = t.clamp(-1, 1)
    lift = inside.square() * beyond * band
    cheeks = torch.exp(-(((t.abs() - 1.15) / 0.6).square() + ((warp.y - 0.55) / 0.28).square()))
    warp.move(0.5 * wider * inside * beyond * band, -up * (lift + 0.25 * cheeks))


def _close_lids(
    warp: _Warp,
    faces: _Faces,
    left: bool,
    closed: Tensor,
    raised: Tensor,
    gaze: tuple[Tensor, Tensor],
    skin: Tensor,
) -> None:
    """Lids slide over an eyeball that stays, or draw back; gaze shifts what is between them.

    The upper lid goes most of the way to a closed eye; `raised` is the lower one's own.
    """
    first = 36 if left else 42
    t = faces.along(warp.x, first, first + 3).clamp(-1, 1)
    shape = 1 - t * t
    upper = faces.curve(warp.x, first, first + 1, first + 2, first + 3)
    lower = faces.curve(warp.x, first, first + 5, first + 4, first + 3)
    brow = faces.curve(warp.x, *(range(17, 22) if left else range(22, 27)))
    # Landmarks lie within the eye: without its rim, white would be left between the lids.
    rim = RIM * faces.pixel * closed.clamp(0, 1) * shape.sqrt()
    upper, lower = upper - rim, lower + rim
    gap = (lower - upper).clamp(min=0)
    down = 0.88 * closed * gap
    rise = 0.12 * closed * gap + torch.minimum(raised * shape, 0.5 * gap) * (1 - closed.clamp(0, 1))
    new_upper, new_lower = upper + down, lower - rise
    # The brow's lower half must not be drawn down with the lid.
    fold = upper - (0.5 * (upper - brow)).clamp(min=0.08)
    lid = down * ((warp.y - fold) / (new_upper - fold)).clamp(0, 1)
    cheek = -rise * (1 - _smooth((warp.y - new_lower) / 0.22))
    wider = (new_lower - new_upper).clamp(min=UNSEEN)
    spread = down + (warp.y - new_upper) * (1 - gap.clamp(min=UNSEEN) / wider)
    ball = torch.where(wider > gap, spread, 0.0)
    over = ((new_upper - warp.y) / faces.pixel + 0.5).clamp(0, 1)
    under = ((warp.y - new_lower) / faces.pixel + 0.5).clamp(0, 1) * (1 - over)
    open_ = 1 - over - under
    covered = closed.clamp(0, 1)
    lash = torch.exp(-((warp.y - new_upper) / (0.9 * faces.pixel)).square()) * shape.sqrt()
    warp.paint(0.3 * skin[:, None], 0.45 * covered * lash)
    warp.move(
        gaze[0] * shape * open_, over * lid + under * cheek + open_ * (ball + gaze[1] * shape)
    )


def _open_mouth(
    warp: _Warp, faces: _Faces, opening: Tensor, teeth: Tensor, skin: Tensor, lips: Tensor
) -> None:
    """The jaw drops or comes up; what was between the lips stays with the upper one."""
    t = faces.along(warp.x, 60, 64).clamp(-1, 1)
    shape = 1 - t * t
    upper = faces.curve(warp.x, 60, 61, 62, 63, 64)
    lower = torch.maximum(faces.curve(warp.x, 60, 67, 66, 65, 64), upper)
    gap = lower - upper
    widest = (faces.at(66)[1] - faces.at(62)[1]).clamp(min=0.02)
    shut = (-opening / widest).clamp(0, 1)
    change = opening.clamp(min=0) * shape - shut * gap
    dropped = 0.88 * (opening.clamp(min=0) - shut * widest)
    raised, lowered = -0.12 * change, 0.88 * change
    new_upper, new_lower = upper + raised, lower + lowered
    nose = faces.at(33)[1] + 0.05
    lip = raised * _smooth((warp.y - nose) / (new_upper - nose).clamp(min=0.05))
    # Landmarks of the lips often lie on the teeth, which must not go down with the lip.
    lip_only = lowered - 0.7 * faces.pixel * (change / (2 * faces.pixel)).clamp(0, 1)
    jaw = _jaw(warp, faces, lip_only, new_lower, faces.at(66)[1] + dropped, 0.8 * dropped)
    # The lips reach half a pixel over what is between them, or its bright teeth shine through.
    over = ((new_upper - warp.y) / faces.pixel + 0.5 + 0.5 * shut).clamp(0, 1)
    under = ((warp.y - new_lower) / faces.pixel + 1.5).clamp(0, 1) * (1 - over)
    _paint_mouth(warp, faces, (t, new_upper, new_lower, gap), change, teeth, (skin, lips))
    seam = torch.exp(-((warp.y - new_lower) / (1.2 * faces.pixel)).square()) * shape.sqrt()
    warp.paint(0.5 * lips[:, None], 0.75 * shut.square() * seam)
    warp.move(0.0, over * lip + under * jaw + (1 - over - under) * raised)


def _jaw(
    warp: _Warp,
    faces: _Faces,
    lowered: Tensor | float,
    lip: Tensor,
    middle: Tensor,
    dropped: Tensor,
) -> Tensor:
    """Shift down below a line, once moved: there by `lowered`, at the chin by `dropped`, not below.

    `middle` is that line's height in the middle of the face.
    """
    chin_x, chin = faces.at(8)
    half = 0.62 * (faces.at(12)[0] - faces.at(4)[0])
    across = (1 - ((warp.x - chin_x) / half).square()).clamp(min=0).square()
    new_chin = chin + dropped
    share = _smooth((warp.y - lip) / (new_chin - middle).clamp(min=0.2))
    neck = 1 - _smooth((warp.y - new_chin) / 0.65)
    return (lowered * (1 - share) + dropped * across * share) * neck


def _shape_jaw(warp: _Warp, faces: _Faces, left: bool, outwards: Tensor) -> None:
    """One side of the jaw moves, what lies between it and the mouth's corner in proportion."""
    corner, upper, lower = (48, 4, 5) if left else (54, 12, 11)
    out = -1 if left else 1
    inner = faces.at(corner)[0]
    edge_x, edge_y = ((a + b) / 2 for a, b in zip(faces.at(upper), faces.at(lower), strict=True))
    width = (out * (edge_x - inner)).clamp(min=0.2) + outwards
    t = out * (warp.x - inner) / width
    beyond = torch.exp(-((t - 1).clamp(min=0) * width / 0.5).square())
    band = torch.exp(-((warp.y - edge_y) / 0.6).square())
    warp.move(out * outwards * _smooth(t) * beyond * band, 0.0)


def _shape_nose(warp: _Warp, faces: _Faces, down: Tensor) -> None:
    """The nose's tip and wings move, its root and the lip below do not."""
    root, tip = faces.at(28)[1], faces.at(30)[1]
    base, lip = faces.at(33)[1] + 0.03 + down, faces.at(51)[1]
    t = faces.along(warp.x, 31, 35).abs()
    across = torch.exp(-((t - 1).clamp(min=0) / 0.7).square())
    above = _smooth((warp.y - root) / (tip + down - root).clamp(min=0.1))
    below = 1 - _smooth((warp.y - base) / (lip - base).clamp(min=0.06))
    warp.move(0.0, down * across * above * below)


def _shape(warp: _Warp, faces: _Faces, asked: dict[str, Tensor]) -> None:
    """What sets faces apart rather than expressions: chin, sides of the jaw, nose."""
    lip = faces.curve(warp.x, 48, 59, 58, 57, 56, 55, 54)
    warp.move(0.0, _jaw(warp, faces, 0.0, lip, faces.at(57)[1], asked["chin"]))
    for left, side in ((True, "jaw-left"), (False, "jaw-right")):
        _shape_jaw(warp, faces, left, asked[side])
    _shape_nose(warp, faces, asked["nose"])


def _paint_mouth(
    warp: _Warp,
    faces: _Faces,
    aperture: tuple[Tensor, Tensor, Tensor, Tensor],
    change: Tensor,
    teeth: Tensor,
    tones: tuple[Tensor, Tensor],
) -> None:
    """Darkness, a tongue's shade and teeth under the upper lip where none were seen yet."""
    t, upper, lower, gap = aperture
    skin, lips = tones
    depth = (lower - upper).clamp(min=UNSEEN)
    row = ((warp.y - upper) / depth).clamp(0, 1)
    opened = (change / (2 * faces.pixel)).clamp(0, 1)
    inside = ((lower - warp.y) / faces.pixel + 0.5).clamp(0, 1) * opened
    behind = ((warp.y - upper - gap) / faces.pixel + 0.5).clamp(0, 1)
    tongue = (_smooth((row - 0.5) / 0.45) * (1 - t * t))[..., None]
    # Redder than the skin, but gray in a gray picture, and dark where the lips' colour is of teeth.
    rest = skin[:, 1:].mean(1, keepdim=True)
    hue = torch.cat([torch.maximum(skin[:, :1], rest), rest, rest], 1)
    hue = hue / hue.mean(1, keepdim=True).clamp(min=0.05)
    level = torch.minimum(lips.mean(1), 0.75 * skin.mean(1))[:, None, None]
    dark = level * hue.square()[:, None] * (0.17 + 0.36 * tongue)
    warp.paint(dark, inside * behind)
    height = torch.minimum(teeth * (1 - t * t).sqrt(), 0.55 * depth)
    band = ((upper + height - warp.y) / faces.pixel + 0.5).clamp(0, 1)
    bare = (1 - gap / 0.05).clamp(0, 1)
    gray = skin.mean(1, keepdim=True)
    white = (1.22 * (0.75 * gray + 0.25 * skin)).clamp(max=0.92)[:, None]
    shade = (1 - 0.5 * t * t)[..., None] * (0.85 + 0.15 * row[..., None])
    warp.paint(white * shade, 0.92 * inside * behind * band * bare * (teeth > 0))


def _tones(images: Tensor, landmarks: Tensor) -> tuple[Tensor, Tensor]:
    """Colours `[N, 3]` in [0, 1] of the skin of the cheeks and of the lower lip."""
    pick = torch.tensor([[3, 31], [13, 35], [2, 31], [14, 35], [57, 66], [56, 65], [58, 67]])
    points = landmarks[:, pick].mean(2)[:, None]
    seen = F.grid_sample(images, points, padding_mode="border", align_corners=False)[:, :, 0]
    seen = (seen + 1) / 2
    return seen[..., :4].mean(2), seen[..., 4:].mean(2)


def _attention(warp: _Warp, faces: _Faces) -> Tensor:
    """Weight `[N, P]` of the regions that expressions live in."""
    total = torch.zeros_like(warp.x)
    for members, width, height, weight in (
        (range(36, 42), 0.36, 0.22, 2.0), (range(42, 48), 0.36, 0.22, 2.0),
        (range(48, 68), 0.5, 0.34, 1.0),
    ):  # fmt: skip
        x, y = faces.landmarks[:, list(members)].mean(1).split(1, dim=1)
        away = ((warp.x - x) / width).square() + ((warp.y - y) / height).square()
        total = torch.maximum(total, weight * torch.exp(-away.square()))
    return total


def express(
    images: Tensor,
    landmarks: Tensor,
    amounts: Tensor,
    grid: Tensor,
    *,
    teeth: Tensor | None = None,
) -> Drawn:
    """Portraits with other expressions.

    Args:
        images: `[N, 3, R, R]` in [-1, 1].
        landmarks: `[N, 68, 2]` in [-1, 1].
        amounts: `[N, len(EXPRESSIONS)]`, what to add of each; zeros leave a picture as it is. Lids
            are not more than closed.
        grid: `[N, S, S, 2]`, the points of each picture to draw, in [-1, 1]: expressions come
            before whatever else moved them.
        teeth: `[N]`, height of the teeth seen in an opened mouth, eyes apart; `TEETH` if None.
    """
    n, side = grid.shape[:2]
    faces = _Faces.of(landmarks, side)
    points = grid.reshape(n, -1, 2)
    x, y = faces.inside(points).unbind(2)
    zero = torch.zeros_like(x)
    warp = _Warp(x, y, zero, zero, points.new_zeros(n, 1, 3), zero)
    asked = dict(zip(EXPRESSIONS, amounts.split(1, dim=1), strict=True))
    height = torch.full((n, 1), TEETH) if teeth is None else teeth[:, None]
    skin, lips = _tones(images, landmarks)
    _turn_head(warp, faces, asked["yaw"], asked["pitch"])
    for left, brow in ((True, "brow-left"), (False, "brow-right")):
        _move_brow(warp, faces, left, asked[brow], asked["brow-inner"])
    _smile(warp, faces, asked["smile"], asked["mouth-width"])
    attention = _attention(warp, faces)
    _open_mouth(warp, faces, asked["mouth-open"], height, skin, lips)
    for left, lid in ((True, "lid-left"), (False, "lid-right")):
        gaze = asked["gaze-x"], asked["gaze-y"]
        closed = asked[lid].clamp(max=1)
        _close_lids(warp, faces, left, closed, asked["lower-lids"], gaze, skin)
    _shape(warp, faces, asked)
    moved = torch.stack([warp.moved_x, warp.moved_y], 2) @ faces.axes
    source = (points - moved).view(grid.shape)
    seen = read(images, source)
    cover = warp.cover.view(n, 1, side, side)
    colour = (2 * warp.colour - warp.cover[..., None]).transpose(1, 2).reshape(n, 3, side, side)
    attention = attention.view(n, 1, side, side)
    return Drawn(seen * (1 - cover) + colour, attention, source, cover)


def random_expressions(landmarks: Tensor, rng: torch.Generator) -> Tensor:
    """Random amounts `[N, len(EXPRESSIONS)]`, as strong as faces go, for faces `[N, 68, 2]`."""
    n = len(landmarks)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=rng)

    def sometimes(share: float) -> Tensor:
        return (torch.rand(n, generator=rng) < share).float()

    asked = {name: torch.zeros(n) for name in EXPRESSIONS}
    kind = torch.rand(n, generator=rng)
    closing = torch.where(kind < 0.55, 1.0, uniform(0, 1))
    lid = torch.where(kind > 0.85, uniform(-0.45, 0), closing) * sometimes(0.75)
    wink = torch.rand(n, generator=rng)
    asked["lid-left"] = torch.where(wink < 0.25, 0.0, lid)
    asked["lid-right"] = torch.where(wink > 0.75, 0.0, lid)
    face = _Faces.of(landmarks, 1).landmarks
    gap = (face[:, 66, 1] - face[:, 62, 1]).clamp(min=0)
    shut = -(0.1 + gap) * sometimes(0.5) * uniform(0.3, 1)
    opening = torch.where((gap > 0.06) & (shut < 0), shut.clamp(min=-gap), uniform(0.03, 0.36))
    asked["mouth-open"] = opening * sometimes(0.6)
    asked["smile"] = uniform(-0.13, 0.15) * sometimes(0.5)
    asked["mouth-width"] = (0.7 * asked["smile"] + uniform(-0.14, 0.14)) * sometimes(0.6)
    both = uniform(-0.11, 0.15) * sometimes(0.55)
    alone = uniform(-0.08, 0.1) * sometimes(0.25)
    asked["brow-left"], asked["brow-right"] = both + alone.clamp(min=0), both - alone.clamp(max=0)
    asked["brow-inner"] = uniform(-0.07, 0.08) * sometimes(0.25)
    turned = sometimes(0.35)
    asked["yaw"], asked["pitch"] = uniform(-11, 11) * turned, uniform(-9, 9) * turned
    looking = sometimes(0.35)
    asked["gaze-x"] = uniform(-0.08, 0.08) * looking
    asked["gaze-y"] = uniform(-0.03, 0.03) * looking
    shaped = sometimes(0.25)
    asked["chin"] = uniform(-0.15, 0.17) * shaped * sometimes(0.7)
    jaw = uniform(-0.13, 0.13) * shaped
    asked["jaw-left"], asked["jaw-right"] = jaw * sometimes(0.6), jaw * sometimes(0.6)
    asked["nose"] = uniform(-0.09, 0.1) * shaped * sometimes(0.6)
    asked["lower-lids"] = uniform(-0.05, 0.05) * sometimes(0.3)
    return torch.stack([asked[name] for name in EXPRESSIONS], 1)
