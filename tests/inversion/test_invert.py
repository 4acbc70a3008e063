"""Inverting pictures that the generator itself can draw, or nearly."""

import copy
from dataclasses import replace
from itertools import islice

import pytest
import torch
from torch import Tensor

from inversion import memory
from inversion.errors import InversionError, NotFiniteError
from inversion.invert import (
    QUALITIES,
    finish_inversion,
    finish_inversions,
    invert,
    invert_together,
    most_steps,
    options_for,
)
from inversion.options import InversionOptions
from inversion.types import InversionStep
from weights.encoder import Encoder, EncoderConfig
from weights.perceptual import BuiltinPerceptual
from weights.stylegan2 import Generator


class MeanSquare:
    """A perceptual distance of known value and gradient."""

    name = "mean-square"

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """Measure [N]."""
        return (a - b).square().mean((1, 2, 3))


SHORT = InversionOptions(
    projection_steps=25, projection_rate=0.1, latent_samples=50, tuning_steps=15, tuning_rate=2e-3,
    threshold=0.0,
)  # fmt: skip


def own_picture(generator: Generator, seed: int = 3) -> Tensor:
    z = torch.randn(1, generator.config.z_dim, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return generator(generator.map(z, psi=0.7)).clamp(-1, 1)


def guess(generator: Generator) -> Encoder:
    """An untrained encoder for the picture sizes of encoders, made to fit this generator."""
    torch.manual_seed(1)
    config = generator.config
    return Encoder(
        EncoderConfig(
            resolution=config.resolution, num_latents=config.num_latents, w_dim=config.w_dim
        )
    ).requires_grad_(False)


def tell_free(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    """Let the system have so many bytes to spare."""

    def told(_: torch.device) -> int:
        return free

    monkeypatch.setattr(memory, "free_bytes", told)


def test_projection_comes_close_and_tuning_closer(tiny_generator: Generator) -> None:
    crop = own_picture(tiny_generator)
    inversion = finish_inversion(invert(crop, None, tiny_generator, MeanSquare(), SHORT))
    report = inversion.report
    assert report.pivot_perceptual < 0.5 * report.start_perceptual
    assert report.perceptual < 0.8 * report.pivot_perceptual
    assert report.psnr > report.pivot_psnr > report.start_psnr
    assert report.steps == 40
    measured = (inversion.render().clamp(-1, 1) - crop).square().mean().item()
    assert measured == pytest.approx(report.perceptual, rel=1e-4)


def test_tuning_stops_at_the_threshold(tiny_generator: Generator) -> None:
    crop = own_picture(tiny_generator)
    inversion = finish_inversion(
        invert(crop, None, tiny_generator, MeanSquare(), replace(SHORT, threshold=9))
    )
    assert inversion.report.tuning_steps == 0
    assert inversion.changed == frozenset()


def test_the_same_seed_gives_the_same_inversion(tiny_generator: Generator) -> None:
    crop = own_picture(tiny_generator)
    options = replace(SHORT, projection_steps=4, tuning_steps=3, locality_weight=1.0)

    def render(seed: int) -> Tensor:
        return finish_inversion(
            invert(crop, None, tiny_generator, MeanSquare(), options, seed=seed)
        ).render()

    assert torch.equal(render(5), render(5))
    assert not torch.equal(render(5), render(6))


def test_the_given_generator_stays_as_it_is(tiny_generator: Generator) -> None:
    tiny_generator.requires_grad_(True)
    before = copy.deepcopy(tiny_generator.state_dict())
    finish_inversion(invert(
        own_picture(tiny_generator), None, tiny_generator, MeanSquare(),
        replace(SHORT, projection_steps=2, tuning_steps=2, locality_weight=1.0),
    ))  # fmt: skip
    for name, value in tiny_generator.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(parameter.grad is None for parameter in tiny_generator.parameters())


def test_tuning_leaves_the_mapping_network_and_freezes_the_result(
    tiny_generator: Generator,
) -> None:
    inversion = finish_inversion(invert(
        own_picture(tiny_generator), None, tiny_generator, MeanSquare(),
        replace(SHORT, projection_steps=1, tuning_steps=2),
    ))  # fmt: skip
    base = tiny_generator.state_dict()
    for name, value in inversion.generator.state_dict().items():
        same = torch.equal(value, base[name])
        assert same or name in inversion.changed, name
    assert not any(name.startswith("mapping") for name in inversion.changed)
    assert not any(parameter.requires_grad for parameter in inversion.generator.parameters())


@pytest.mark.parametrize("space", ["w", "w+"])
def test_the_encoder_gives_the_start(tiny_generator: Generator, space: str) -> None:
    crop = own_picture(tiny_generator)
    options = InversionOptions(
        start="encoder", space="w" if space == "w" else "w+", projection_steps=0, tuning_steps=0
    )
    encoder = guess(tiny_generator)
    inversion = finish_inversion(
        invert(crop, None, tiny_generator, MeanSquare(), options, encoder=encoder)
    )
    wanted = encoder(crop)
    if space == "w":
        wanted = wanted.mean(1, keepdim=True).expand_as(wanted)
    assert torch.allclose(inversion.pivot.latents, wanted)
    assert inversion.report.start == "encoder"


def test_the_pull_keeps_the_latents_near_the_encoders(tiny_generator: Generator) -> None:
    crop = own_picture(tiny_generator)
    encoder = guess(tiny_generator)
    start = encoder(crop)

    def drift(pull: float) -> float:
        options = replace(
            QUALITIES["fast"], projection_steps=15, projection_rate=0.05, tuning_steps=0, pull=pull
        )
        inversion = finish_inversion(
            invert(crop, None, tiny_generator, MeanSquare(), options, encoder=encoder)
        )
        return (inversion.pivot.latents - start).square().mean().item()

    assert drift(1000.0) < 0.5 * drift(0.0)


def test_an_encoder_start_falls_back_to_the_mean(tiny_generator: Generator) -> None:
    options = replace(QUALITIES["fast"], projection_steps=3, tuning_steps=1, latent_samples=20)
    steps = list(invert(own_picture(tiny_generator), None, tiny_generator, MeanSquare(), options))
    report = finish_inversion(steps).report
    assert (report.start, report.space, report.projection_steps) == ("mean", "w", 6)
    assert len(steps) == most_steps(tiny_generator, options, 1, None)


def test_invented_pixels_pull_at_nothing(tiny_generator: Generator) -> None:
    crop = own_picture(tiny_generator)
    valid = torch.ones(1, 1, 32, 32)
    valid[..., 20:] = 0
    spoiled = torch.where(valid > 0, crop, torch.full_like(crop, 0.9))
    options = replace(SHORT, projection_steps=4, tuning_steps=4)
    clean = finish_inversion(invert(crop, valid, tiny_generator, MeanSquare(), options))
    other = finish_inversion(invert(spoiled, valid, tiny_generator, MeanSquare(), options))
    assert torch.allclose(clean.render(), other.render(), atol=1e-4)
    assert clean.report.psnr == pytest.approx(other.report.psnr, abs=1e-2)


def test_steps_count_up_and_the_last_carries_the_inversion(tiny_generator: Generator) -> None:
    options = replace(SHORT, projection_steps=3, tuning_steps=2)
    steps = list(invert(own_picture(tiny_generator), None, tiny_generator, MeanSquare(), options))
    counted = [(step.phase, step.index, step.total) for step in steps[:-1]]
    assert counted == [
        ("encode", 0, 1), ("project", 1, 3), ("project", 2, 3), ("project", 3, 3), ("tune", 1, 2),
        ("tune", 2, 2),
    ]  # fmt: skip
    assert [step.inversion is None for step in steps] == [True] * 6 + [False]


def test_closing_the_iterator_cancels(tiny_generator: Generator) -> None:
    seen: list[InversionStep] = []
    for step in invert(own_picture(tiny_generator), None, tiny_generator, MeanSquare(), SHORT):
        seen.append(step)
        if len(seen) == 2:
            break
    assert [step.phase for step in seen] == ["encode", "project"]


def test_bfloat16_convolutions_tune_float32_parameters(tiny_generator: Generator) -> None:
    tiny_generator.compute_dtype = torch.bfloat16
    inversion = finish_inversion(invert(
        own_picture(tiny_generator), None, tiny_generator, MeanSquare(),
        replace(SHORT, projection_steps=10),
    ))  # fmt: skip
    assert inversion.report.psnr > inversion.report.start_psnr
    assert {p.dtype for p in inversion.generator.parameters()} == {torch.float32}


def test_every_quality_stops_at_a_stated_distance() -> None:
    assert list(QUALITIES) == ["fast", "balanced", "best", "reference"]
    reference = QUALITIES["reference"]
    assert (reference.projection_steps, reference.tuning_steps) == (450, 350)
    assert (reference.tuning_rate, reference.threshold) == (3e-4, 0.06)


@pytest.mark.parametrize(
    ("crop", "valid", "message"),
    [
        (torch.zeros(1, 3, 16, 16), None, r"crops of \[1, 3, 32, 32\], not \[1, 3, 16, 16\]"),
        (torch.zeros(1, 3, 32, 32), torch.ones(1, 1, 8, 8), r"`valid` must be \[1, 1, 32, 32\]"),
        (torch.zeros(1, 3, 32, 32), torch.zeros(1, 1, 32, 32), "no pixel of the crop is valid"),
    ],
)
def test_a_crop_that_does_not_fit_is_refused(
    tiny_generator: Generator, crop: Tensor, valid: Tensor | None, message: str
) -> None:
    with pytest.raises(InversionError, match=message):
        finish_inversion(invert(crop, valid, tiny_generator, MeanSquare(), SHORT))


def test_nan_in_the_crop_is_refused(tiny_generator: Generator) -> None:
    crop = own_picture(tiny_generator)
    crop[0, 0, 3, 3] = float("nan")
    with pytest.raises(NotFiniteError, match="NaN or infinite pixels"):
        finish_inversion(invert(crop, None, tiny_generator, MeanSquare(), SHORT))


@pytest.mark.parametrize(("phase", "steps"), [("projection", (2, 0)), ("tuning", (0, 2))])
def test_a_loss_that_is_not_finite_names_the_phase(
    tiny_generator: Generator, phase: str, steps: tuple[int, int]
) -> None:
    class Spoiled:
        name = "spoiled"

        def __call__(self, a: Tensor, b: Tensor) -> Tensor:
            return (a - b).mean((1, 2, 3)) * float("nan")

    options = replace(SHORT, projection_steps=steps[0], tuning_steps=steps[1])
    with pytest.raises(NotFiniteError, match=f"{phase} failed at step 1"):
        finish_inversion(
            invert(own_picture(tiny_generator), None, tiny_generator, Spoiled(), options)
        )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("tuning_rate", -1.0, "tuning_rate must not be negative"),
        ("threshold", float("nan"), "threshold must not be negative"),
        ("ramp_down", 1.5, "ramp_down is a share"),
        ("latent_samples", 1, "at least 2"),
    ],
)
def test_an_impossible_option_is_refused(name: str, value: float, message: str) -> None:
    with pytest.raises(InversionError, match=message):
        replace(InversionOptions(), **{name: value})


def test_an_inversion_cut_short_has_no_result(tiny_generator: Generator) -> None:
    steps = invert(own_picture(tiny_generator), None, tiny_generator, MeanSquare(), SHORT)
    with pytest.raises(InversionError, match="interrupted before its end: run it again"):
        finish_inversion(islice(steps, 3))


def test_what_is_hidden_has_no_influence(tiny_generator: Generator) -> None:
    crop = own_picture(tiny_generator)
    hidden = torch.zeros(1, 1, 32, 32)
    hidden[..., 8:20, 4:28] = 1
    spoiled = torch.where(hidden > 0, torch.full_like(crop, -0.9), crop)
    options = replace(QUALITIES["balanced"], projection_steps=2, tuning_steps=2)
    encoder = guess(tiny_generator)

    def inverted(picture: Tensor, mask: Tensor | None) -> Tensor:
        return finish_inversion(
            invert(
                picture, None, tiny_generator, BuiltinPerceptual(), options,
                encoder=encoder, hidden=mask,
            )
        ).render()  # fmt: skip

    torch.manual_seed(7)
    clean = inverted(crop, hidden)
    torch.manual_seed(7)
    assert torch.equal(inverted(spoiled, hidden), clean)
    torch.manual_seed(7)
    assert not torch.equal(inverted(spoiled, None), clean)


def test_what_is_not_real_has_no_say_with_features_either(tiny_generator: Generator) -> None:
    """With an encoder and a network of features, mirrored borders steer the start only."""
    crop = own_picture(tiny_generator)
    valid = torch.ones(1, 1, 32, 32)
    valid[..., 20:] = 0
    hidden = 1 - valid
    options = replace(QUALITIES["fast"], tuning_steps=2)
    both = [
        finish_inversion(
            invert(
                torch.where(hidden > 0, torch.full_like(crop, level), crop), valid,
                tiny_generator, MeanSquare(), options, encoder=guess(tiny_generator),
                hidden=hidden,
            )
        )
        for level in (-1.0, 1.0)
    ]  # fmt: skip
    assert torch.equal(both[0].render(), both[1].render())
    assert both[0].report.psnr == both[1].report.psnr


def test_crops_that_share_a_generator_are_each_drawn(tiny_generator: Generator) -> None:
    crops = [own_picture(tiny_generator, seed) for seed in (3, 4)]
    options = replace(SHORT, tuning_steps=20)
    steps = list(invert_together(crops, [None, None], tiny_generator, MeanSquare(), options))
    both = steps[-1].inversions
    assert len(both) == 2
    assert both[0].generator is both[1].generator
    assert not torch.equal(both[0].pivot.latents, both[1].pivot.latents)
    for inversion, crop in zip(both, crops, strict=True):
        report = inversion.report
        assert report.perceptual < report.pivot_perceptual < report.start_perceptual
        measured = (inversion.render().clamp(-1, 1) - crop).square().mean().item()
        assert measured == pytest.approx(report.perceptual, rel=1e-4)
    assert next(s.total for s in steps if s.phase == "tune") == 25
    assert len(steps) == most_steps(tiny_generator, options, 2, None)
    assert finish_inversions(iter(steps)) == both


def test_one_crop_takes_the_options_as_they_are_and_several_more_steps() -> None:
    balanced, reference = QUALITIES["balanced"], QUALITIES["reference"]
    assert options_for(balanced, 1) == balanced
    three = options_for(balanced, 3)
    assert three.projection_steps == 2 * balanced.projection_steps
    assert three.tuning_steps == 1.5 * balanced.tuning_steps
    assert three.tuning_rate > balanced.tuning_rate
    assert options_for(reference, 3).projection_steps == reference.projection_steps


def test_crops_at_once_or_in_turn_are_tuned_alike(
    tiny_generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How much memory is free decides how, not what."""
    crops = [own_picture(tiny_generator, seed) for seed in (3, 4, 5)]
    options = replace(SHORT, projection_steps=3, tuning_steps=4, noise_weight=0.0, latent_noise=0.0)

    def draw(free: int) -> list[Tensor]:
        tell_free(monkeypatch, free)
        steps = invert_together(crops, [None] * 3, tiny_generator, MeanSquare(), options)
        return [inversion.render() for inversion in finish_inversions(steps)]

    for at_once, in_turn in zip(draw(10**12), draw(0), strict=True):
        assert torch.allclose(at_once, in_turn, atol=1e-4)


@pytest.mark.parametrize(("free", "steps_of_projection"), [(10**12, 2), (0, 6)])
def test_crops_in_turn_are_projected_one_after_another(
    free: int, steps_of_projection: int, tiny_generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops = [own_picture(tiny_generator, seed) for seed in (3, 4, 5)]
    options = replace(SHORT, projection_steps=2, tuning_steps=1)
    tell_free(monkeypatch, free)
    most = most_steps(tiny_generator, options, 3, None)
    steps = list(invert_together(crops, [None] * 3, tiny_generator, MeanSquare(), options))
    assert len([step for step in steps if step.phase == "project"]) == steps_of_projection
    assert len(steps) == most


def test_layers_computed_again_give_the_same_parameters(
    tiny_generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    crop = own_picture(tiny_generator)
    options = replace(SHORT, projection_steps=2, tuning_steps=2)

    def parameters(free: int) -> dict[str, Tensor]:
        tell_free(monkeypatch, free)
        steps = invert(crop, None, tiny_generator, MeanSquare(), options)
        generator = finish_inversion(steps).generator
        assert not generator.recomputing
        return dict(generator.named_parameters())

    kept, again = parameters(10**12), parameters(0)
    assert all(torch.equal(kept[name], again[name]) for name in kept)


def test_tuning_leaves_styles_and_noise_alone_where_it_is_told_to(
    tiny_generator: Generator,
) -> None:
    layer = tiny_generator.synthesis.blocks()[3].conv1
    layer.noise_strength.fill_(0.3)
    options = replace(QUALITIES["fast"], tuning_steps=2, projection_steps=0)
    inversion = finish_inversion(
        invert(
            own_picture(tiny_generator), None, tiny_generator, MeanSquare(), options,
            encoder=guess(tiny_generator),
        )
    )  # fmt: skip
    assert inversion.changed
    assert not any("affine" in name for name in inversion.changed)
    assert not any(f".b{side}." in name for name in inversion.changed for side in (4, 8, 16))
    strengths = {name for name in inversion.changed if name.endswith("noise_strength")}
    assert strengths == {"synthesis.b32.conv1.noise_strength"}


def test_nothing_to_invert_is_refused(tiny_generator: Generator) -> None:
    with pytest.raises(InversionError, match="give at least one"):
        finish_inversions(invert_together([], [], tiny_generator, MeanSquare(), SHORT))
