"""Parts of a face moved by backward warps: what each point of a new picture is read from.

A smooth warp cannot close an eye or open a mouth, since there something comes into sight or is
covered. Here lids and lips are curves through landmarks: the lid slides over the eyeball, the jaw
takes the lower lip along, and what opens behind it is painted.

Points are in face units: eyes apart along the face's own axes from the point between the eyes, x to
the right of the picture and y down. Left is left in the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

BROW = 0.15
"""How far a brow reaches below its landmarks, eyes apart."""
RIM = 0.8
"""Width of the eye beyond its landmarks, pixels."""
UNSEEN = 1e-6


@dataclass(frozen=True)
class Faces:
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
    def of(landmarks: Tensor, side: int) -> Faces:
        """Faces with landmarks `[N, 68, 2]` in [-1, 1] in pictures `side` pixels wide."""
        left, right = landmarks[:, 36:42].mean(1), landmarks[:, 42:48].mean(1)
        across = right - left
        axes = torch.stack([across, torch.stack([-across[:, 1], across[:, 0]], 1)], 1)
        origin = (left + right) / 2
        size = across.norm(dim=1)
        faces = Faces(landmarks, origin, axes, (2 / side / size)[:, None])
        return Faces(faces.inside(landmarks), origin, axes, faces.pixel)

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


def smooth(x: Tensor) -> Tensor:
    """From 0 at 0 to 1 at 1, level at both ends."""
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)


@dataclass
class Warp:
    """Where each point is read from, and what is painted over it, in the making."""

    x: Tensor
    y: Tensor
    moved_x: Tensor
    moved_y: Tensor
    colour: Tensor
    cover: Tensor

    def move(self, dx: Tensor | float, dy: Tensor | float) -> None:
        """What is drawn here comes from `dx`, `dy` before, in face units."""
        self.x, self.y = self.x - dx, self.y - dy
        self.moved_x, self.moved_y = self.moved_x + dx, self.moved_y + dy

    def paint(self, colour: Tensor, cover: Tensor) -> None:
        """`colour` `[N, P or 1, 3]` over what was painted, by `cover` `[N, P]`."""
        share = cover[..., None]
        self.colour = self.colour * (1 - share) + colour * share
        self.cover = 1 - (1 - self.cover) * (1 - cover)


def turn_head(warp: Warp, faces: Faces, yaw: Tensor, pitch: Tensor) -> None:
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


def move_brow(warp: Warp, faces: Faces, left: bool, up: Tensor, inner: Tensor) -> None:
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
    below = 1 - smooth((warp.y - line - thick) / (room - thick))
    above = torch.exp(-((line - warp.y).clamp(min=0) / 0.45).square())
    warp.move(0.0, -rise * beyond * below * above)


def smile(warp: Warp, faces: Faces, up: Tensor, wider: Tensor) -> None:
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


def close_lids(
    warp: Warp,
    faces: Faces,
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
    cheek = -rise * (1 - smooth((warp.y - new_lower) / 0.22))
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


def open_mouth(
    warp: Warp, faces: Faces, opening: Tensor, teeth: Tensor, skin: Tensor, lips: Tensor
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
    lip = raised * smooth((warp.y - nose) / (new_upper - nose).clamp(min=0.05))
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
    warp: Warp,
    faces: Faces,
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
    share = smooth((warp.y - lip) / (new_chin - middle).clamp(min=0.2))
    neck = 1 - smooth((warp.y - new_chin) / 0.65)
    return (lowered * (1 - share) + dropped * across * share) * neck


def _shape_jaw(warp: Warp, faces: Faces, left: bool, outwards: Tensor) -> None:
    """One side of the jaw moves, what lies between it and the mouth's corner in proportion."""
    corner, upper, lower = (48, 4, 5) if left else (54, 12, 11)
    out = -1 if left else 1
    inner = faces.at(corner)[0]
    edge_x, edge_y = ((a + b) / 2 for a, b in zip(faces.at(upper), faces.at(lower), strict=True))
    width = (out * (edge_x - inner)).clamp(min=0.2) + outwards
    t = out * (warp.x - inner) / width
    beyond = torch.exp(-((t - 1).clamp(min=0) * width / 0.5).square())
    band = torch.exp(-((warp.y - edge_y) / 0.6).square())
    warp.move(out * outwards * smooth(t) * beyond * band, 0.0)


def _shape_nose(warp: Warp, faces: Faces, down: Tensor) -> None:
    """The nose's tip and wings move, its root and the lip below do not."""
    root, tip = faces.at(28)[1], faces.at(30)[1]
    base, lip = faces.at(33)[1] + 0.03 + down, faces.at(51)[1]
    t = faces.along(warp.x, 31, 35).abs()
    across = torch.exp(-((t - 1).clamp(min=0) / 0.7).square())
    above = smooth((warp.y - root) / (tip + down - root).clamp(min=0.1))
    below = 1 - smooth((warp.y - base) / (lip - base).clamp(min=0.06))
    warp.move(0.0, down * across * above * below)


def shape_face(warp: Warp, faces: Faces, asked: dict[str, Tensor]) -> None:
    """What sets faces apart rather than expressions: chin, sides of the jaw, nose."""
    lip = faces.curve(warp.x, 48, 59, 58, 57, 56, 55, 54)
    warp.move(0.0, _jaw(warp, faces, 0.0, lip, faces.at(57)[1], asked["chin"]))
    for left, side in ((True, "jaw-left"), (False, "jaw-right")):
        _shape_jaw(warp, faces, left, asked[side])
    _shape_nose(warp, faces, asked["nose"])


def _paint_mouth(
    warp: Warp,
    faces: Faces,
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
    tongue = (smooth((row - 0.5) / 0.45) * (1 - t * t))[..., None]
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
