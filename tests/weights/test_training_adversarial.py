"""A tiny run of the StyleGAN2 trainer, its losses against their definitions, its data's errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from weights.errors import WeightsError
from weights.store import load_generator
from weights.stylegan2 import Generator
from weights.training.adversarial import RESULT, AdversarialOptions, Run, train, train_step
from weights.training.augment import adapt, augment
from weights.training.discriminator import Discriminator, minibatch_deviation
from weights.training.gan_losses import mixed_latents, path_lengths, r1_penalty
from weights.training.pictures import load_pictures

OPTIONS = AdversarialOptions(images=24, batch=8, path_every=2, r1_every=2, augment_speed=100.0)
CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twenty-four pictures of one blurred colour each."""
    place = tmp_path / "pictures"
    place.mkdir()
    rng = np.random.default_rng(0)
    for k in range(24):
        coarse = Image.fromarray(rng.integers(0, 255, (4, 4, 3), dtype=np.uint8))
        coarse.resize((40, 40), Image.Resampling.BICUBIC).save(place / f"p{k:02d}.png")
    return place


def test_a_run_trains_resumes_and_leaves_a_generator(
    folder: Path, tiny_generator: Generator, tmp_path: Path
) -> None:
    pictures = load_pictures(folder, 32)
    assert (len(pictures.train), len(pictures.held_out)) == (23, 1)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for place in (whole, parts):
        place.mkdir()
    steps = list(train(tiny_generator, pictures, whole, OPTIONS, device=CPU, report_every=8))
    assert [step.seen for step in steps] == [8, 16, 24]
    assert all(step.held_out is not None for step in steps)
    first = train(tiny_generator, pictures, parts, OPTIONS, device=CPU, report_every=8)
    assert [next(first).seen, next(first).seen] == [8, 16]
    del first
    assert [s.seen for s in train(tiny_generator, pictures, parts, OPTIONS, device=CPU)] == [24]
    one, two = load_generator(whole / RESULT), load_generator(parts / RESULT)
    start = tiny_generator.state_dict()
    assert any(not torch.equal(v, start[k]) for k, v in one.state_dict().items())
    for name, value in one.state_dict().items():
        torch.testing.assert_close(value, two.state_dict()[name], rtol=0, atol=1e-3)
    assert (whole / "sheet-00000024.png").is_file()


def test_the_discriminator_learns_to_tell_pictures_from_drawings(
    folder: Path, tiny_generator: Generator
) -> None:
    pictures = load_pictures(folder, 32)
    run = Run(tiny_generator, AdversarialOptions(batch=8, learning_rate=2e-3), CPU)
    rng = torch.Generator().manual_seed(0)
    losses = [train_step(run, pictures.draw(8, rng), 8 * k).discriminator_loss for k in range(12)]
    assert sum(losses[-4:]) < sum(losses[:4])
    assert run.numbers["path"].item() > 0


def test_r1_is_half_the_squared_gradient() -> None:
    images = torch.randn(3, 3, 8, 8, requires_grad=True)
    slope = torch.randn(3, 8, 8)
    logits = (images * slope).sum((1, 2, 3))
    torch.testing.assert_close(r1_penalty(logits, images), slope.square().sum() / 2)


def test_path_lengths_of_a_linear_generator() -> None:
    torch.manual_seed(0)
    jacobian = torch.randn(3 * 8 * 8, 5)
    latents = torch.randn(2, 1, 5, requires_grad=True)
    images = (latents[:, 0] @ jacobian.t()).view(2, 3, 8, 8)
    lengths = path_lengths(images, latents, torch.Generator().manual_seed(1))
    y = torch.randn(images.shape, generator=torch.Generator().manual_seed(1)) / 8
    torch.testing.assert_close(lengths, (y.flatten(1) @ jacobian).norm(dim=1))


def test_style_mixing_crosses_once(tiny_generator: Generator) -> None:
    rng = torch.Generator().manual_seed(0)
    latents = mixed_latents(tiny_generator, 64, 1.0, rng)
    changes = (latents[:, 1:] != latents[:, :-1]).any(2).sum(1)
    assert changes.tolist() == [1] * 64
    plain = mixed_latents(tiny_generator, 4, 0.0, rng)
    assert torch.equal(plain, plain[:, :1].expand_as(plain))


def test_augmentation() -> None:
    images = torch.rand(16, 3, 16, 16) * 2 - 1
    rng = torch.Generator().manual_seed(0)
    assert torch.equal(augment(images, 0.0, rng), images)
    changed = augment(images, 0.3, rng)
    assert changed.shape == images.shape
    kept = torch.isclose(changed, images, atol=1e-5).flatten(1).all(1)
    assert 0 < int(kept.sum()) < 16
    assert adapt(0.5, 0.9, target=0.6, step=0.1) == pytest.approx(0.6)
    assert adapt(0.05, 0.1, target=0.6, step=0.1) == 0.0


def test_groups_of_alike_pictures_deviate_less(tiny_generator: Generator) -> None:
    alike = torch.ones(4, 2, 4, 4)
    assert minibatch_deviation(alike)[:, -1].max() < 1e-3
    assert minibatch_deviation(torch.randn(4, 2, 4, 4))[:, -1].min() > 0.3
    judge = Discriminator(tiny_generator.config)
    assert judge(torch.zeros(4, 3, 32, 32)).shape == (4,)


@pytest.mark.parametrize(
    ("size", "message"), [((40, 30), "40 x 30 pixels: cut all"), ((16, 16), "less than the gen")]
)
def test_odd_pictures_are_refused(folder: Path, size: tuple[int, int], message: str) -> None:
    Image.new("RGB", size).save(folder / "odd.png")
    with pytest.raises(WeightsError, match=message):
        load_pictures(folder, 32)


def test_other_data_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="is no folder"):
        load_pictures(tmp_path / "gone", 32)
    (tmp_path / "few").mkdir()
    with pytest.raises(WeightsError, match="training needs at least"):
        load_pictures(tmp_path / "few", 32)
    (folder / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(WeightsError, match=r"broken\.jpg is not a readable picture"):
        load_pictures(folder, 32)
    with pytest.raises(WeightsError, match="option batch must be positive"):
        AdversarialOptions(batch=0)
