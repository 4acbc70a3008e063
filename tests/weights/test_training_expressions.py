"""Warped expressions: nothing asked changes nothing, lids meet, mouths open, mirrors agree."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from weights.training.expressions import EXPRESSIONS, Drawn, express, random_expressions
from weights.training.portraits import flip, pixel_grid

SIDE = 128
SIDES = ("left", "right")
TURNED = ("yaw", "gaze-x")


@pytest.fixture
def face(landmarks: npt.NDArray[np.float64]) -> tuple[Tensor, Tensor]:
    """A gray picture with white eyeballs, and its landmarks in [-1, 1]."""
    points = torch.from_numpy(landmarks).float()
    centres = np.arange(SIDE) + 0.5
    image = torch.full((1, 3, SIDE, SIDE), 0.2)
    for first in (36, 42):
        upper = landmarks[[first, first + 1, first + 2, first + 3]]
        lower = landmarks[[first, first + 5, first + 4, first + 3]]
        top, bottom = (np.interp(centres, line[:, 0], line[:, 1]) for line in (upper, lower))
        inside = (centres[:, None] > top) & (centres[:, None] < bottom)
        image[0, :, torch.from_numpy(inside)] = 1.0
    return image, (points / (SIDE / 2) - 1)[None]


def amounts(**asked: float) -> Tensor:
    return torch.tensor([[asked.get(name.replace("-", "_"), 0.0) for name in EXPRESSIONS]])


def drawn(face: tuple[Tensor, Tensor], asked: Tensor) -> Drawn:
    return express(*face, asked, pixel_grid(SIDE)[None])


def mirrored(asked: Tensor) -> Tensor:
    names = list(EXPRESSIONS)
    order = [names.index(_other_side(name)) for name in names]
    signs = torch.tensor([-1.0 if name in TURNED else 1.0 for name in names])
    return asked[:, order] * signs


def _other_side(name: str) -> str:
    part, _, side = name.rpartition("-")
    return f"{part}-{ {'left': 'right', 'right': 'left'}[side] }" if side in SIDES else name


def test_nothing_asked_changes_nothing(face: tuple[Tensor, Tensor]) -> None:
    still = drawn(face, amounts())
    grid = pixel_grid(SIDE)[None]
    expected = F.grid_sample(face[0], grid, padding_mode="reflection", align_corners=False)
    assert torch.equal(still.images, expected)
    assert torch.equal(still.source, grid)
    assert not still.cover.any()


def test_lids_meet_over_the_eyeball_and_leave_the_other_eye(face: tuple[Tensor, Tensor]) -> None:
    eyes = slice(50, 70)
    before = (face[0] > 0.8)[0, 0, eyes]
    closed = (drawn(face, amounts(lid_left=1.0)).images > 0.6)[0, 0, eyes]
    assert before[:, :64].sum() > 20
    assert closed[:, :64].sum() == 0
    assert torch.equal(closed[:, 64:], before[:, 64:])
    wide = (drawn(face, amounts(lid_left=-0.4)).images > 0.8)[0, 0, eyes]
    assert wide[:, :64].sum() > 1.15 * before[:, :64].sum()


def test_no_white_is_left_where_the_eye_is_larger_than_its_landmarks(
    face: tuple[Tensor, Tensor],
) -> None:
    larger = F.max_pool2d(face[0], (3, 1), stride=1, padding=(1, 0))
    shut = drawn((larger, face[1]), amounts(lid_left=1.0, lid_right=1.0)).images
    assert (larger > 0.8).sum() > 1.2 * (face[0] > 0.8).sum()
    assert (shut > 0.6).sum() < 0.05 * (larger > 0.8).sum()


def test_lower_lids_rise_over_the_eyeball(face: tuple[Tensor, Tensor]) -> None:
    def white(raised: float) -> Tensor:
        return (drawn(face, amounts(lower_lids=raised)).images > 0.8).sum()

    assert white(0.05) < 0.9 * white(0) < 0.9 * white(-0.05)


def test_an_opened_mouth_is_warm_whatever_the_colours(face: tuple[Tensor, Tensor]) -> None:
    cold = face[0] + torch.tensor([-0.2, 0.0, 0.3])[None, :, None, None]
    red, green, blue = drawn((cold, face[1]), amounts(mouth_open=0.3)).images[0, :, 98:104, 64]
    assert (red >= green - 1e-3).all()
    assert (red >= blue - 1e-3).all()
    assert blue.max() < -0.2


def test_an_opened_mouth_is_dark_and_gray_stays_gray(face: tuple[Tensor, Tensor]) -> None:
    opened = drawn(face, amounts(mouth_open=0.3))
    middle = opened.images[0, :, 90:108, 64]
    assert middle.min() < -0.5
    torch.testing.assert_close(middle[0], middle[1])
    assert opened.cover[0, 0, :80].max() == 0
    # The chin reads from above itself: it went down.
    assert pixel_grid(SIDE)[106, 64, 1] - opened.source[0, 106, 64, 1] > 0.05


def test_teeth_only_where_they_are_asked_for(face: tuple[Tensor, Tensor]) -> None:
    asked, grid = amounts(mouth_open=0.3), pixel_grid(SIDE)[None]
    face[1][:, [65, 66, 67]] = face[1][:, [63, 62, 61]]
    bare = express(*face, asked, grid, teeth=torch.zeros(1)).images[0, 0, 90:94, 62:66]
    shown = express(*face, asked, grid, teeth=torch.full((1,), 0.1)).images[0, 0, 90:94, 62:66]
    assert bare.max() < 0.25
    assert shown.mean() > bare.mean() + 0.2


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_the_mirrored_picture_is_the_mirrored_warp(name: str, face: tuple[Tensor, Tensor]) -> None:
    rng = torch.Generator().manual_seed(0)
    picture = F.interpolate(torch.rand(1, 3, 16, 16, generator=rng), (SIDE, SIDE), mode="bilinear")
    asked = amounts(**{name.replace("-", "_"): EXPRESSIONS[name]})
    both = torch.tensor([True])
    one, _ = flip(drawn((picture, face[1]), asked).images, face[1], both)
    other = drawn(flip(picture, face[1], both), mirrored(asked)).images
    assert (one - picture.flip(3)).abs().max() > 0.01
    torch.testing.assert_close(one, other, atol=2e-3, rtol=0)


def test_expressions_move_what_they_say(face: tuple[Tensor, Tensor]) -> None:
    """Where a landmark of the new picture was read from, against the amount, in eyes apart."""
    apart = (face[1][0, 42:48].mean(0) - face[1][0, 36:42].mean(0)).norm()

    def shift(landmark: int, **asked: float) -> Tensor:
        place = face[1][0, landmark]
        move = torch.tensor([0.0, 0.0])
        for _ in range(6):
            pixel = ((place + move * apart + 1) * SIDE / 2).long()
            source = drawn(face, amounts(**asked)).source[0, pixel[1], pixel[0]]
            move = move + (place - source) / apart
        return move

    assert shift(19, brow_left=0.1)[1] == pytest.approx(-0.1, abs=0.03)
    assert shift(48, smile=0.1)[1] == pytest.approx(-0.1, abs=0.03)
    assert shift(54, mouth_width=0.2)[0] == pytest.approx(0.1, abs=0.03)
    assert shift(30, yaw=10.0)[0] > 0.1
    assert shift(30, pitch=8.0)[1] > 0.1
    assert shift(8, chin=0.1)[1] == pytest.approx(0.1, abs=0.03)
    assert shift(4, jaw_left=0.1)[0] == pytest.approx(-0.1, abs=0.03)
    assert shift(33, nose=0.08)[1] == pytest.approx(0.08, abs=0.03)


@pytest.mark.parametrize(
    ("asked", "still"),
    [("chin", (30, 51, 57)), ("jaw_left", (8, 12, 33, 54)), ("nose", (8, 27, 39, 57))],
)
def test_shapes_move_nothing_else(
    asked: str, still: tuple[int, ...], face: tuple[Tensor, Tensor]
) -> None:
    source = drawn(face, amounts(**{asked: 0.1})).source[0]
    apart = (face[1][0, 42:48].mean(0) - face[1][0, 36:42].mean(0)).norm()
    for landmark in still:
        column, row = ((face[1][0, landmark] + 1) * SIDE / 2).long()
        moved = (source[row, column] - pixel_grid(SIDE)[row, column]).norm() / apart
        assert moved < 0.02, landmark


def test_a_raised_brow_keeps_its_thickness(face: tuple[Tensor, Tensor]) -> None:
    """Below its landmarks, which lie in its upper half."""
    apart = (face[1][0, 42:48].mean(0) - face[1][0, 36:42].mean(0)).norm()
    source = drawn(face, amounts(brow_left=0.1, brow_right=0.1)).source[0, ..., 1]
    column = int((face[1][0, 19, 0] + 1) * SIDE / 2)
    rise = (source[:, column] - pixel_grid(SIDE)[:, column, 1]) / apart
    brow = face[1][0, 19, 1] - 0.1 * apart
    thick = (pixel_grid(SIDE)[:, column, 1] - brow) / apart
    assert rise[(thick > 0) & (thick < 0.1)].min() > 0.09


def test_random_expressions_repeat_and_stay_in_reach(face: tuple[Tensor, Tensor]) -> None:
    landmarks = face[1].expand(500, -1, -1)
    first = random_expressions(landmarks, torch.Generator().manual_seed(1))
    again = random_expressions(landmarks, torch.Generator().manual_seed(1))
    assert torch.equal(first, again)
    lids = first[:, [list(EXPRESSIONS).index(name) for name in ("lid-left", "lid-right")]]
    assert lids.max() == 1
    assert (lids[:, 0] != lids[:, 1]).any()
    assert first[:, list(EXPRESSIONS).index("mouth-open")].max() <= 0.36
