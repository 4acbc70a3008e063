"""Local warps of faces: landmarks go where the picture goes, and nothing folds."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import Generator

from tests.weights.drawn import drawn_face
from weights.face_finder import MIRRORED
from weights.training.part_warps import PartWarp, Points, random_lids, random_parts

EYES = np.r_[36:48]


@pytest.mark.parametrize("draw", [random_parts, random_lids])
def test_landmarks_go_where_the_picture_goes(
    draw: Callable[[Generator, Points], PartWarp],
) -> None:
    face = drawn_face()
    for seed in range(50):
        warp = draw(np.random.default_rng(seed), face)
        moved = warp.moved(face)
        np.testing.assert_allclose(moved - warp.shift(moved), face, atol=0.1)
        assert np.linalg.norm(moved - face, axis=1).max() > 0.2


def test_nothing_folds() -> None:
    y, x = np.mgrid[0:256, 0:256] + 0.5
    pixels = np.stack((x, y), -1)
    for seed in range(20):
        source = pixels - random_parts(np.random.default_rng(seed), drawn_face()).shift(pixels)
        down, right = np.diff(source, axis=0)[:, 1:], np.diff(source, axis=1)[1:]
        assert (right[..., 0] * down[..., 1] - right[..., 1] * down[..., 0]).min() > 0


def test_lids_move_alone() -> None:
    face = drawn_face()
    others = np.delete(np.arange(68), EYES)
    for seed in range(20):
        moved = np.linalg.norm(
            random_lids(np.random.default_rng(seed), face).moved(face) - face, axis=1
        )
        assert moved[others].mean() < 0.25 * moved[EYES].max()


def test_parts_of_both_sides_often_move_as_in_a_mirror() -> None:
    face = drawn_face()
    mirror = np.array([256, 0]) + face[MIRRORED] * (-1, 1)
    face = (face + mirror) / 2
    alike = 0
    for seed in range(40):
        moved = random_parts(np.random.default_rng(seed), face).moved(face)
        alike += bool(np.allclose(np.array([256, 0]) + moved[MIRRORED] * (-1, 1), moved, atol=0.1))
    assert 10 < alike < 30
