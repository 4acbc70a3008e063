"""Runs that are killed and go on."""

from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import Tensor

from inversion import resume
from inversion.invert import finish_inversion, invert
from inversion.options import InversionOptions
from inversion.resume import identity
from inversion.types import Inversion
from weights.perceptual import BuiltinPerceptual
from weights.stylegan2 import Generator

OPTIONS = InversionOptions(
    projection_steps=6, tuning_steps=8, latent_samples=20, threshold=0.0, locality_weight=1.0,
    projection_rate=0.05,
)  # fmt: skip


@pytest.fixture(autouse=True)
def always_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write after every step."""
    monkeypatch.setattr(resume, "INTERVAL", 0.0)


@pytest.fixture
def perceptual() -> BuiltinPerceptual:
    torch.manual_seed(5)
    return BuiltinPerceptual().requires_grad_(False)


def crop() -> Tensor:
    return torch.linspace(-1, 1, 3 * 32 * 32).view(1, 3, 32, 32)


@pytest.mark.parametrize("killed_after", [3, 10])
def test_a_killed_run_ends_at_the_same_bytes(
    tiny_generator: Generator, perceptual: BuiltinPerceptual, tmp_path: Path, killed_after: int
) -> None:
    path = tmp_path / "part.safetensors"

    whole = finish_inversion(invert(crop(), None, tiny_generator, perceptual, OPTIONS))
    killed = invert(crop(), None, tiny_generator, perceptual, OPTIONS, checkpoint=path)
    for _ in islice(killed, killed_after):
        pass
    assert path.is_file()
    steps = list(invert(crop(), None, tiny_generator, perceptual, OPTIONS, checkpoint=path))
    assert len(steps) < 16
    resumed = steps[-1].inversion
    assert isinstance(resumed, Inversion)
    assert torch.equal(resumed.pivot.latents, whole.pivot.latents)
    assert torch.equal(resumed.render(), whole.render())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("other", ["crop", "options", "damage"])
def test_a_file_of_another_run_is_ignored(
    tiny_generator: Generator, perceptual: BuiltinPerceptual, tmp_path: Path, other: str
) -> None:
    path = tmp_path / "part.safetensors"
    options = OPTIONS
    picture = crop()
    if other == "crop":
        picture = -picture
    elif other == "options":
        options = InversionOptions(projection_steps=7, tuning_steps=8, latent_samples=20)
    steps = invert(picture, None, tiny_generator, perceptual, options, checkpoint=path)
    for _ in islice(steps, 5):
        pass
    assert path.is_file()
    if other == "damage":
        path.write_bytes(path.read_bytes()[:200])
    again = list(invert(crop(), None, tiny_generator, perceptual, OPTIONS, checkpoint=path))
    assert len(again) == 1 + 6 + 8 + 1


def test_the_identity_is_of_everything() -> None:
    a, b = torch.zeros(2), torch.ones(2)
    assert identity([a], "x") == identity([a.clone()], "x")
    assert len({identity([a], "x"), identity([b], "x"), identity([a], "y"), identity([], "x")}) == 4
