"""What expressions do to a face, before and after tuning."""

import copy

import pytest
import torch
from torch import Tensor

from inversion.expressions import EXPRESSIONS, expression_steps, expressions_kept
from inversion.invert import finish_inversion, invert
from inversion.options import InversionOptions
from inversion.regularise import Expressions
from weights.directions import Directions, DirectionsConfig
from weights.stylegan2 import Generator


class MeanSquare:
    """A perceptual distance of known value."""

    name = "mean-square"

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """Measure [N]."""
        return (a - b).square().mean((1, 2, 3))


def steps_of(generator: Generator) -> Tensor:
    shape = (3, generator.config.num_latents, generator.config.w_dim)
    return 0.5 * torch.randn(shape, generator=torch.Generator().manual_seed(2))


def test_only_expressions_that_are_known_become_steps() -> None:
    config = DirectionsConfig(names=("mouth-open", "yaw"), num_latents=8, w_dim=32)
    directions = Directions(config)
    directions.vectors[0] = 1.0
    steps = expression_steps(directions)
    assert steps is not None
    assert steps.shape == (2, 8, 32)
    assert torch.equal(steps[0], torch.full((8, 32), EXPRESSIONS[1]["mouth-open"]))
    other = Directions(DirectionsConfig(names=("age",), num_latents=8, w_dim=32))
    assert expression_steps(other) is None
    assert expression_steps(None) is None


def test_everything_is_kept_without_tuning_and_less_with_it(tiny_generator: Generator) -> None:
    pivot = tiny_generator.map(torch.ones(1, 32))
    tuned = copy.deepcopy(tiny_generator)
    assert expressions_kept(tuned, tiny_generator, pivot, steps_of(tuned)) == 1
    tuned.get_parameter("synthesis.b16.conv1.weight").mul_(-1)
    assert expressions_kept(tuned, tiny_generator, pivot, steps_of(tuned)) < 0.9


def test_the_term_is_zero_before_tuning_and_renders_the_base_once(
    tiny_generator: Generator,
) -> None:
    pivot = tiny_generator.map(torch.ones(1, 32))
    tuned = copy.deepcopy(tiny_generator)
    term = Expressions(tiny_generator, steps_of(tuned))

    def lost() -> float:
        rng = torch.Generator().manual_seed(4)
        return term.lost(tuned, pivot, tuned(pivot), rng).item()

    assert lost() == 0
    tuned.get_parameter("synthesis.b16.conv1.weight").mul_(-1)
    assert lost() > 0


def test_the_weight_keeps_expressions(tiny_generator: Generator) -> None:
    crop = torch.linspace(-1, 1, 3 * 32 * 32).view(1, 3, 32, 32)

    def kept(weight: float) -> float:
        options = InversionOptions(
            projection_steps=0, tuning_steps=12, latent_samples=20, threshold=0.0,
            tuning_rate=1e-2, expression_weight=weight,
        )  # fmt: skip
        steps = steps_of(tiny_generator)
        inversion = finish_inversion(
            invert(crop, None, tiny_generator, MeanSquare(), options, directions=steps)
        )
        latents = inversion.pivot.latents
        first = expressions_kept(inversion.generator, tiny_generator, latents, steps[:2])
        assert inversion.report.kept == first
        return expressions_kept(inversion.generator, tiny_generator, latents, steps)

    assert kept(3.0) > kept(0.0) + 0.1


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_no_directions_are_no_error(tiny_generator: Generator, weight: float) -> None:
    options = InversionOptions(
        projection_steps=0, tuning_steps=2, latent_samples=20, expression_weight=weight
    )
    crop = torch.zeros(1, 3, 32, 32)
    assert finish_inversion(invert(crop, None, tiny_generator, MeanSquare(), options)).changed
