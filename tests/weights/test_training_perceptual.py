"""A tiny training of the perceptual network, and its parts."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from weights.errors import WeightsError
from weights.perceptual import BuiltinPerceptual, LpipsAlex, load_builtin, load_lpips
from weights.training.distortions import DISTORTIONS, distort
from weights.training.perceptual import (
    PerceptualOptions,
    descend,
    evaluate,
    main,
    train,
)
from weights.training.portraits import load_portraits


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures of smooth noise that pass for portraits: eight to train, four held out."""
    path = tmp_path_factory.mktemp("portraits")
    rng = np.random.default_rng(0)
    records: list[dict[str, object]] = []
    for k in range(12):
        coarse = Image.fromarray(rng.integers(0, 255, (12, 12, 3), dtype=np.uint8))
        coarse.resize((160, 160), Image.Resampling.BICUBIC).save(path / f"{k}.jpg")
        landmarks = rng.uniform(60, 200, (68, 2)).tolist()
        split = "train" if k < 8 else "val"
        records.append({"name": str(k), "kind": "colour", "split": split, "landmarks68": landmarks})
    (path / "index.json").write_text(json.dumps(records))
    return path


@pytest.fixture
def trunk(shared: Path) -> Path:
    return shared / "data" / "models" / "lpips-alexnet-features.safetensors"


@pytest.fixture
def teacher(trunk: Path) -> LpipsAlex:
    return load_lpips(trunk)


TINY = PerceptualOptions(steps=12, batch=3, side=64, learning_rate=5e-3, descend_every=3)


def test_a_short_training_comes_nearer_to_lpips(folder: Path, teacher: LpipsAlex) -> None:
    data = load_portraits(folder, "train", 80)
    torch.manual_seed(TINY.seed)
    before = evaluate(BuiltinPerceptual(), teacher, data)
    *_, (_, student, _) = train(data, teacher, TINY)
    after = evaluate(student, teacher, data)
    assert abs(after["log_ratio_mean"]) < 0.7 * abs(before["log_ratio_mean"])
    assert -1 <= after["spearman"] <= 1


def test_training_is_deterministic(folder: Path, teacher: LpipsAlex) -> None:
    data = load_portraits(folder, "train", 80)
    options = PerceptualOptions(steps=3, batch=2, side=64, descend_every=2)
    first, second = ([error for *_, error in train(data, teacher, options)] for _ in range(2))
    assert first == second


def test_the_command_writes_a_loadable_network(folder: Path, trunk: Path, tmp_path: Path) -> None:
    out = tmp_path / "perceptual.safetensors"
    data = ["--data", str(folder), "--trunk", str(trunk), "--out", str(out)]
    main([*data, "--steps", "1", "--batch", "2"])
    network = load_builtin(out)
    assert network(torch.zeros(1, 3, 64, 64), torch.ones(1, 3, 64, 64)).item() > 0
    with safe_open(out, framework="pt") as file:
        assert "spearman" in file.metadata()["figures"]
    assert list(tmp_path.iterdir()) == [out]


def test_too_few_portraits_are_refused(folder: Path, teacher: LpipsAlex) -> None:
    data = load_portraits(folder, "train", 80)
    with pytest.raises(WeightsError, match="takes 10 portraits, not 8"):
        next(train(data, teacher, PerceptualOptions(batch=5, side=64)))


def test_a_training_of_nothing_is_refused(folder: Path, trunk: Path, tmp_path: Path) -> None:
    data = ["--data", str(folder), "--trunk", str(trunk), "--out", str(tmp_path / "x.safetensors")]
    with pytest.raises(WeightsError, match="trains nothing"):
        main([*data, "--steps", "0", "--batch", "2"])


@pytest.mark.parametrize("name", DISTORTIONS)
def test_every_distortion_changes_a_picture_and_keeps_its_shape(name: str) -> None:
    rng = torch.Generator().manual_seed(3)
    image, other = torch.rand(2, 1, 3, 64, 64, generator=rng).mul(2).sub(1).unbind(0)
    changed = DISTORTIONS[name](image, other, rng)
    assert changed.shape == image.shape
    assert bool(changed.isfinite().all())
    assert not torch.equal(changed, image)


def test_distorted_pictures_stay_in_range_and_follow_the_seed() -> None:
    images, others = torch.rand(2, 6, 3, 64, 64).mul(2).sub(1).unbind(0)
    first, second = (distort(images, others, torch.Generator().manual_seed(9)) for _ in range(2))
    assert torch.equal(first, second)
    assert first.abs().max().item() <= 1


def test_descending_lowers_the_students_distance() -> None:
    student = load_builtin()
    images, start = torch.rand(2, 2, 3, 64, 64).mul(2).sub(1).unbind(0)
    end = descend(student, images, start, 4)
    assert bool((student(end, images) < student(start, images)).all())
    assert not end.requires_grad
