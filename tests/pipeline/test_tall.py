"""A generator of pictures twice as high as wide, from photo to photo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.align import crop_square
from pipeline.cli import main
from pipeline.models import load_models
from pipeline.photo import read_photo
from pipeline.subject import cut, select
from weights.store import GeneratorInfo, save_generator
from weights.stylegan2 import Generator, GeneratorConfig

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def tall(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = GeneratorConfig(resolution=32, channel_base=256, channel_max=32, w_dim=32, z_dim=32,
                             mapping_layers=2, height_to_width=2)  # fmt: skip
    info = GeneratorInfo(domain="whole", what="a test", licence="", source_sha256="", notes=())
    path = tmp_path / "tall.safetensors"
    save_generator(path, Generator(config), what="a test", info=info)
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 255, (6, 5, 3), dtype=np.uint8))
    path = tmp_path / "picture.png"
    coarse.resize((200, 240), Image.Resampling.BICUBIC).save(path)
    return path


def test_the_middle_is_taken_and_its_sides_do_not_count(tall: Path, picture: Path) -> None:
    models = load_models(str(tall), device="cpu")
    photo = read_photo(picture)
    selection = select(photo, models)
    crop = cut(photo, selection)
    assert (selection.alignment.size, selection.alignment.centre) == (240.0, (100.0, 120.0))
    assert crop.image.shape == (1, 3, 32, 32)
    assert crop.valid[..., 8:24].all()
    assert not crop.valid[..., :8].any()
    assert not crop.valid[..., 24:].any()
    whole = crop_square(photo.rgb(), selection.alignment)
    assert torch.equal(whole.image, crop.image)
    latents = models.generator.map(torch.randn(1, 32))
    drawn = models.generator(latents)
    assert drawn.shape == (1, 3, 32, 32)
    assert not drawn[..., :8].any()


def test_a_drag_changes_what_is_drawn_alone(
    tall: Path, picture: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "out.png"
    argv = ["edit", str(picture), "-o", str(out), "--generator", str(tall), "--device", "cpu"]
    argv += ["--quality", "fast", "--max-steps", "5", "--session", str(tmp_path / "s")]
    assert main([*argv, "--drag", "100,120:100,150"]) == 0
    before, after = (np.asarray(Image.open(path)).astype(int) for path in (picture, out))
    changed = (before != after).any(axis=2)
    assert changed.any()
    assert not changed[:, :40].any()
    assert not changed[:, 160:].any()
    again = tmp_path / "again.png"
    assert main(["composite", "--session", str(tmp_path / "s"), "-o", str(again)]) == 0
    np.testing.assert_array_equal(np.asarray(Image.open(again)), np.asarray(Image.open(out)))
    capsys.readouterr()
    assert main([*argv, "--overwrite", "--drag", "20,120:30,120"]) == 1
    assert "outside what the generator draws" in capsys.readouterr().err


def test_a_part_of_that_shape_can_be_chosen(
    tall: Path, picture: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "out.png"
    argv = ["edit", str(picture), "-o", str(out), "--generator", str(tall), "--device", "cpu"]
    argv += ["--quality", "fast", "--max-steps", "5", "--drag", "50,80:50,110"]
    assert main([*argv, "--crop", "0,0,200"]) == 0
    before, after = (np.asarray(Image.open(path)) for path in (picture, out))
    assert (before[:, 100:] == after[:, 100:]).all()
    assert (before[200:] == after[200:]).all()
    assert main([*argv, "--overwrite", "--crop", "120,0,200"]) == 1
    assert "reaches out of the photo" in capsys.readouterr().err
