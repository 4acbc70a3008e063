"""Remarks on the points that somebody drags."""

import math

import torch

from pipeline.align import Alignment
from pipeline.handles import remark_on_handles

ALIGNMENT = Alignment(centre=(200.0, 100.0), size=256.0, angle=math.pi / 2, resolution=128)


def test_says_where_it_slips_and_where_it_would_not() -> None:
    image = torch.zeros(1, 3, 128, 128)
    image[..., 60:68, 60:68] = torch.rand(8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    # The texture lies in the middle of the square; one crop pixel is two of the photo.
    drags = (((200.0, 100.0), (220.0, 100.0)), ((200.0, 128.0), (220.0, 128.0)))
    (remark,) = remark_on_handles(drags, image, ALIGNMENT)
    assert remark.startswith("point 2 at (200, 128) lies on flat ground and may slip: (")
    x, y = map(float, remark.split(": (")[1].split(")")[0].split(", "))
    assert abs(x - 200) < 10
    assert 100 < y < 128


def test_handles_that_stay_are_not_remarked_on() -> None:
    flat = torch.zeros(1, 3, 128, 128)
    assert remark_on_handles((((200.0, 128.0), (200.0, 128.0)),), flat, ALIGNMENT) == ()
    (remark,) = remark_on_handles((((200.0, 128.0), (210.0, 128.0)),), flat, ALIGNMENT)
    assert remark == "point 1 at (200, 128) lies on flat ground and may slip"
