"""Directions: sums in their units, their file, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from weights.directions import Directions, DirectionsConfig
from weights.errors import BrokenWeightsError, WeightsError
from weights.face_finder import face_square, load_face_finder
from weights.store import load_directions, load_generator, save_directions, save_generator
from weights.stylegan2 import Generator


@pytest.fixture
def directions(tiny_generator: Generator) -> Directions:
    config = tiny_generator.config
    made = Directions(
        DirectionsConfig(names=("a", "b"), num_latents=config.num_latents, w_dim=config.w_dim)
    )
    made.vectors.copy_(torch.randn(made.vectors.shape, generator=torch.Generator().manual_seed(0)))
    return made


def test_along_adds_up(directions: Directions) -> None:
    a, b = directions.vectors
    torch.testing.assert_close(directions.along({"a": 2.0, "b": -0.5})[0], 2 * a - 0.5 * b)
    assert not directions.along({}).any()


def test_an_unknown_name_is_refused(directions: Directions) -> None:
    with pytest.raises(WeightsError, match="no direction called c"):
        directions.along({"a": 1.0, "c": 1.0})


def test_they_lie_beside_their_generator(
    directions: Directions, tiny_generator: Generator, tmp_path: Path
) -> None:
    path = tmp_path / "tiny.safetensors"
    save_generator(path, tiny_generator, what="a test")
    assert load_directions(path) is None
    save_directions(tmp_path / "tiny-directions.safetensors", directions, what="a test")
    loaded = load_directions(path)
    assert loaded is not None
    assert loaded.config == directions.config
    torch.testing.assert_close(loaded.vectors, directions.vectors, rtol=1e-3, atol=1e-3)


def test_those_of_another_generator_are_refused(tiny_generator: Generator, tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    save_generator(path, tiny_generator, what="a test")
    other = Directions(DirectionsConfig(names=("a",), num_latents=2, w_dim=32))
    save_directions(tmp_path / "tiny-directions.safetensors", other, what="a test")
    with pytest.raises(BrokenWeightsError, match="does not belong to"):
        load_directions(path)


def test_the_built_in_ones_open_a_mouth() -> None:
    generator, directions = load_generator(), load_directions()
    assert directions is not None
    step = directions.along({"mouth-open": 0.15})
    with torch.no_grad():
        mean = generator.mapping.w_avg.expand(1, generator.config.num_latents, -1)
        change = (generator(mean + step) - generator(mean)).abs().mean(1)[0]
    # The mouth is drawn around (64, 88) of 128; the top of the picture shows hair or nothing.
    assert change[78:100, 48:80].mean() > 1.5 * change[:30].mean()


def test_the_built_in_ones_shut_the_eyes_of_samples() -> None:
    generator, directions, finder = load_generator(), load_directions(), load_face_finder()
    assert directions is not None
    z = torch.randn(6, 512, generator=torch.Generator().manual_seed(0))
    step = directions.along({"lid-left": 1.0, "lid-right": 1.0})
    # Aligned faces fill the picture's middle; the second look is at the face that the first found.
    around = torch.tensor([[64.0, 70.0, 96.0, 0.0]], dtype=torch.float64)

    def gap(latents: torch.Tensor) -> float:
        image = (generator(latents).clamp(-1, 1) + 1) / 2
        first = finder.locate(image, around).points[0].double().numpy()
        found = finder.locate(image, torch.from_numpy(face_square(first)[None])).points[0]
        return float((found[[40, 41, 46, 47], 1] - found[[37, 38, 43, 44], 1]).mean())

    with torch.no_grad():
        pairs = [(gap(w[None]), gap(w[None] + step)) for w in generator.map(z, 0.7)]
    assert sum(shut for _, shut in pairs) < 0.35 * sum(still for still, _ in pairs)
