"""Stored inversions: the same picture after a round trip, and clear refusals."""

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from inversion.errors import BrokenInversionError, InversionError, WrongBaseError
from inversion.invert import finish_inversion, invert
from inversion.types import Inversion, InversionOptions, InversionReport
from weights.perceptual import BuiltinPerceptual
from weights.stylegan2 import Generator

OPTIONS = InversionOptions(projection_steps=2, tuning_steps=2, latent_samples=20, threshold=0.0)


@pytest.fixture
def inversion(tiny_generator: Generator) -> Inversion:
    crop = torch.linspace(-1, 1, 3 * 32 * 32).view(1, 3, 32, 32)
    torch.manual_seed(2)
    return finish_inversion(invert(crop, None, tiny_generator, BuiltinPerceptual(), OPTIONS))


def test_a_round_trip_renders_the_same_picture(
    inversion: Inversion, tiny_generator: Generator, tmp_path: Path
) -> None:
    path = tmp_path / "inversion.safetensors"
    inversion.save(path)
    restored = Inversion.load(path, tiny_generator)
    assert torch.equal(restored.render(), inversion.render())
    assert restored.report == inversion.report
    assert restored.changed == inversion.changed
    assert restored.base_sha256 == inversion.base_sha256
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_the_pivots_noise_is_what_it_renders_with(inversion: Inversion) -> None:
    image = inversion.generator.synthesize(
        inversion.pivot.latents, noise=inversion.pivot.noise
    ).image
    assert image is not None
    assert torch.equal(image, inversion.render())


def test_only_what_changed_is_written(inversion: Inversion, tmp_path: Path) -> None:
    path = tmp_path / "inversion.safetensors"
    inversion.save(path)
    with safe_open(path, framework="pt") as file:
        names = set(file.keys())
        header = file.metadata()
    assert names == {"pivot.latents", *(f"generator.{name}" for name in inversion.changed)}
    assert not any("mapping" in name or "resample_filter" in name for name in names)
    assert header["base_sha256"] == inversion.base_sha256


def test_rendering_takes_other_latents(inversion: Inversion) -> None:
    other = inversion.pivot.latents + 0.5
    assert inversion.render(other).shape == (1, 3, 32, 32)
    assert not torch.equal(inversion.render(other), inversion.render())
    assert not inversion.render().requires_grad


def test_another_base_is_refused(
    inversion: Inversion, tiny_generator: Generator, tmp_path: Path
) -> None:
    path = tmp_path / "inversion.safetensors"
    inversion.save(path)
    with torch.no_grad():
        tiny_generator.synthesis.blocks()[0].const.add_(1e-3)
    with pytest.raises(WrongBaseError, match="made with another generator"):
        Inversion.load(path, tiny_generator)


def test_a_missing_or_truncated_file_is_refused(
    inversion: Inversion, tiny_generator: Generator, tmp_path: Path
) -> None:
    path = tmp_path / "inversion.safetensors"
    with pytest.raises(BrokenInversionError, match=r"inversion\.safetensors is not a stored"):
        Inversion.load(path, tiny_generator)
    inversion.save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BrokenInversionError, match="is not a stored inversion"):
        Inversion.load(path, tiny_generator)


def test_a_file_of_another_kind_is_refused(tiny_generator: Generator, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(BrokenInversionError, match="states no format"):
        Inversion.load(path, tiny_generator)


@pytest.mark.parametrize("damage", ["report", "latents", "parameter"])
def test_damaged_contents_are_refused(
    inversion: Inversion, tiny_generator: Generator, tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "inversion.safetensors"
    inversion.save(path)
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header = file.metadata()
    if damage == "report":
        header["report"] = json.dumps({"psnr": 3})
    elif damage == "latents":
        tensors["pivot.latents"] = torch.zeros(1, 2, 3)
    else:
        tensors["generator.nowhere"] = torch.zeros(1)
    save_file(tensors, path, header)
    with pytest.raises(BrokenInversionError, match="is damaged"):
        Inversion.load(path, tiny_generator)


def test_an_unwritable_place_is_refused(inversion: Inversion, tmp_path: Path) -> None:
    with pytest.raises(InversionError, match="cannot write the inversion"):
        inversion.save(tmp_path / "absent" / "inversion.safetensors")


def test_a_report_survives_json(inversion: Inversion) -> None:
    record = json.loads(json.dumps(inversion.report.to_json()))
    assert InversionReport.from_json(record) == inversion.report
    assert inversion.report.steps == 4
    assert all(math.isfinite(loss) for loss in inversion.report.losses)
