"""The regressions find what was put in, and a tiny run gives directions of the right shape."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from weights.encoder import Encoder, EncoderConfig
from weights.errors import WeightsError
from weights.training.directions import EXPRESSIONS, face_measures, find_directions, regress
from weights.training.portraits import PARTS, Portraits


@pytest.fixture
def face() -> Tensor:
    """`[1, 68, 2]`: eyes at (40, 50) and (80, 50), everything else in a row below."""
    points = torch.stack([torch.linspace(30, 90, 68), torch.full((68,), 80.0)], 1)
    points[36:42] = torch.tensor([40.0, 50.0])
    points[42:48] = torch.tensor([80.0, 50.0])
    points[30] = torch.tensor([60.0, 65.0])
    points[48], points[54] = torch.tensor([48.0, 90.0]), torch.tensor([72.0, 90.0])
    points[[61, 62, 63], 1], points[[65, 66, 67], 1] = 88.0, 96.0
    return points[None]


def test_measures_are_in_eyes_apart_and_degrees(face: Tensor) -> None:
    width, opening, yaw = face_measures(face)[0, : len(EXPRESSIONS)].tolist()
    assert width == pytest.approx(24 / 40)
    assert opening == pytest.approx(8 / 40)
    assert yaw == pytest.approx(0, abs=1e-4)
    face[0, 30, 0] += 0.66 * 40 * math.sin(math.radians(20))
    assert face_measures(face)[0, 2].item() == pytest.approx(20, abs=1e-3)


def test_measures_do_not_change_with_place_size_and_roll(face: Tensor) -> None:
    angle = math.radians(25)
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    moved = 1.7 * face @ turn.t() + torch.tensor([5.0, -9.0])
    torch.testing.assert_close(face_measures(moved), face_measures(face), rtol=1e-4, atol=1e-3)


def test_regression_recovers_a_linear_map() -> None:
    rng = torch.Generator().manual_seed(0)
    truth = torch.randn(4, 3, 5, generator=rng)
    given = [torch.randn(20, 4, generator=rng) for _ in range(3)]
    found = regress((x, torch.einsum("np,pld->nld", x, truth)) for x in given)
    torch.testing.assert_close(found, truth, rtol=1e-4, atol=1e-4)
    with pytest.raises(WeightsError, match="no portrait"):
        regress([])


def test_a_tiny_run(face: Tensor) -> None:
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 255, (6, 3, 128, 128), dtype=np.uint8))
    data = Portraits(images, face.expand(6, -1, -1) / 64 - 1, torch.ones(6, dtype=torch.bool))
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig(resolution=128, num_latents=2, w_dim=8)).eval()
    found = find_directions(encoder, data, views=1, seed=3)
    assert found.vectors.shape == (len(EXPRESSIONS) + 2 * len(PARTS), 2, 8)
    assert found.vectors.isfinite().all()
    again = find_directions(encoder, data, views=1, seed=3)
    assert torch.equal(found.vectors, again.vectors)
