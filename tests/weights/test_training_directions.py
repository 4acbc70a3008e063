"""Measures, the regression, lengths; a tiny run gives directions of the right shape."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from weights.directions import Directions, DirectionsConfig
from weights.encoder import Encoder, EncoderConfig
from weights.errors import WeightsError
from weights.perceptual import load_perceptual
from weights.stylegan2 import Generator
from weights.training.directions import (
    MEASURED,
    changes,
    close_lids,
    face_measures,
    find_directions,
    fit_directions,
    lengthen,
    regress,
    shares_drawn,
)
from weights.training.expressions import EXPRESSIONS
from weights.training.portraits import Portraits


@pytest.fixture
def face(landmarks: npt.NDArray[np.float64]) -> Tensor:
    """`[1, 68, 2]` landmarks in a picture of 128 px."""
    return torch.from_numpy(landmarks).float()[None]


def test_measures_are_in_the_units_of_the_expressions(face: Tensor) -> None:
    before = face_measures(face)
    apart = (face[0, 42:48].mean(0) - face[0, 36:42].mean(0)).norm()
    after = face.clone()
    after[0, [48, 54], 1] -= 0.1 * apart
    after[0, [65, 66, 67], 1] += 0.2 * apart
    after[0, 17:22, 1] -= 0.05 * apart
    after[0, 30, 0] += 0.66 * apart * math.sin(math.radians(20))
    change = changes(before, face_measures(after))[0]
    drawn = dict(zip(MEASURED, change.tolist(), strict=True))
    wanted = {"smile": 0.1, "mouth-open": 0.2, "brow-left": 0.05, "yaw": 20.0, "lid-left": 0.0}
    for name, amount in wanted.items():
        assert drawn[name] == pytest.approx(amount, abs=1e-3), name


def test_a_closed_lid_is_one(face: Tensor) -> None:
    closed = face.clone()
    closed[0, [37, 38]] = face[0, [41, 40]]
    drawn = changes(face_measures(face), face_measures(closed))[0]
    # The lids' landmarks also say where an eye is, so the other one's aperture changes a little.
    assert drawn[MEASURED.index("lid-left")] == pytest.approx(1, abs=0.05)
    assert drawn[MEASURED.index("lid-right")] == pytest.approx(0, abs=0.05)


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


def test_directions_take_the_length_that_comes_nearest() -> None:
    directions = Directions(DirectionsConfig(names=("a", "b"), num_latents=2, w_dim=3))
    directions.vectors.fill_(1.0)
    lengthen(directions, torch.tensor([[0.1, 0.5, 0.2], [0.3, 0.2, 0.1]]), (1.0, 1.5, 2.0))
    assert directions.vectors[:, 0, 0].tolist() == [1.5, 1.0]


def test_lids_take_one_length_and_nothing_else_does(
    data: Portraits, encoder: Encoder, tiny_generator: Generator
) -> None:
    names, latents = ("smile", "lid-right", "lid-left"), tiny_generator.config.num_latents
    directions = Directions(DirectionsConfig(names=names, num_latents=latents, w_dim=32))
    directions.vectors.fill_(1e-6)
    # Steps as short as these shut no eye.
    assert close_lids(directions, tiny_generator, encoder, data, (0.5, 2.0)) == 2.0
    assert directions.vectors[:, 0, 0].tolist() == pytest.approx([1e-6, 2e-6, 2e-6])


@pytest.fixture
def data(face: Tensor) -> Portraits:
    """Four pictures of noise."""
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 255, (4, 3, 32, 32), dtype=np.uint8))
    return Portraits(images, face.expand(4, -1, -1) / 64 - 1, torch.ones(4, dtype=torch.bool))


@pytest.fixture
def encoder(tiny_generator: Generator) -> Encoder:
    """An untrained one."""
    torch.manual_seed(0)
    config = EncoderConfig(resolution=32, num_latents=tiny_generator.config.num_latents, w_dim=32)
    return Encoder(config).eval().requires_grad_(False)


def test_fitted_directions_come_nearer_to_the_warps(
    data: Portraits, encoder: Encoder, tiny_generator: Generator
) -> None:
    names = ("pitch", "mouth-open")
    latents = tiny_generator.config.num_latents
    before = {k: v.clone() for k, v in tiny_generator.state_dict().items()}

    def fitted(images: int) -> Directions:
        found = Directions(DirectionsConfig(names=names, num_latents=latents, w_dim=32))
        perceptual = load_perceptual(device="cpu")
        fit_directions(found, tiny_generator, encoder, data, perceptual, images=images, seed=1)
        return found

    found = fitted(160)
    assert shares_drawn(found, tiny_generator, encoder, data).min() > 0.02
    assert torch.equal(fitted(16).vectors, fitted(16).vectors)
    for name, value in tiny_generator.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_a_tiny_run(data: Portraits, encoder: Encoder, tiny_generator: Generator) -> None:
    found = find_directions(encoder, data, views=1, seed=3)
    assert found.config.names == tuple(EXPRESSIONS)
    assert found.vectors.isfinite().all()
    again = find_directions(encoder, data, views=1, seed=3)
    assert torch.equal(found.vectors, again.vectors)
    found.vectors.zero_()
    shares = shares_drawn(found, tiny_generator, encoder, data)
    torch.testing.assert_close(shares, torch.zeros(len(EXPRESSIONS), 1))
