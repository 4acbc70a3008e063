"""LPIPS, the built-in network, and where the trunk is found."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from weights.errors import BrokenWeightsError, MissingWeightsError
from weights.perceptual import (
    BUILTIN_FILE,
    BuiltinPerceptual,
    find_trunk,
    load_builtin,
    load_lpips,
    load_perceptual,
)


@pytest.fixture
def trunk(shared: Path) -> Path:
    return shared / "data" / "models" / "lpips-alexnet-features.safetensors"


@pytest.fixture
def nothing_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine where neither the cache nor torchvision holds a trunk."""
    monkeypatch.delenv("PHOTODRAG_LPIPS_TRUNK", raising=False)
    monkeypatch.setenv("PHOTODRAG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path


def random_pair(seed: int, side: int = 64) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    a, b = torch.rand(2, 1, 3, side, side, generator=rng).mul(2).sub(1).unbind(0)
    return a, b


def smooth_picture(seed: int, side: int = 128) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 9, 9, generator=rng) * 2 - 1
    return torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic").clamp(-1, 1)


def test_the_layers_maps_add_up_to_lpips(trunk: Path) -> None:
    network = load_lpips(trunk)
    a, b = random_pair(1, 96)
    summed = sum(m.mean().item() for m in network.layer_maps(a, b))
    assert network(a, b).item() == pytest.approx(summed, rel=1e-4)


def test_the_built_in_network_ranks_as_lpips_does(trunk: Path) -> None:
    teacher, student = load_lpips(trunk), load_builtin()
    a, other = smooth_picture(1), smooth_picture(2)
    noise = torch.randn(a.shape, generator=torch.Generator().manual_seed(3))
    b = torch.cat([a.lerp(other, share) + share * 0.2 * noise for share in (0.05, 0.2, 0.5, 1.0)])
    wanted, given_ = teacher(a.expand_as(b), b), student(a.expand_as(b), b)
    assert torch.equal(wanted.argsort(), given_.argsort())
    assert float((given_ / wanted).log().abs().mean()) < 0.8


@pytest.mark.parametrize("side", [16, 32, 63, 64, 128, 200])
def test_every_side_gives_one_distance_per_pair(side: int) -> None:
    a, b = random_pair(2, side)
    distances = load_builtin()(torch.cat([a, a]), torch.cat([a, b]))
    assert distances.shape == (2,)
    assert distances[0].item() == 0
    assert distances[1].item() > 0.01


def test_lpips_measures_small_pictures_too(trunk: Path) -> None:
    a, b = random_pair(2, 32)
    distances = load_lpips(trunk)(torch.cat([a, a]), torch.cat([a, b]))
    assert distances.shape == (2,)
    assert distances[0] < 1e-6 < distances[1]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_the_built_in_distance_is_symmetric_and_not_negative(seed: int) -> None:
    network = load_builtin()
    a, b = random_pair(seed)
    assert network(a, b).item() == pytest.approx(network(b, a).item(), rel=1e-5)
    assert network(a, b).item() > 0
    assert network(a, a).item() == 0


def test_descending_the_built_in_distance_improves_a_picture() -> None:
    network = load_builtin()
    target = smooth_picture(4, 64)
    picture = target + 0.3 * torch.randn(target.shape, generator=torch.Generator().manual_seed(1))
    picture = picture.clone().requires_grad_()
    before = (picture.detach() - target).square().mean().item()
    optimizer = torch.optim.Adam([picture], lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        network(picture, target).sum().backward()
        assert picture.grad is not None
        assert bool(picture.grad.isfinite().all())
        optimizer.step()
    assert (picture.detach() - target).square().mean().item() < 0.9 * before


def test_equal_pictures_have_no_gradient() -> None:
    a = random_pair(3)[0].requires_grad_()
    load_builtin()(a, a.detach()).sum().backward()
    assert a.grad is not None
    assert a.grad.abs().max().item() == 0


def test_without_a_trunk_the_built_in_network_is_used(nothing_fetched: Path) -> None:
    del nothing_fetched
    assert find_trunk() is None
    assert load_perceptual().name == "builtin"


def test_the_trunk_is_found_in_order(
    nothing_fetched: Path, trunk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = nothing_fetched / "torch" / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    torch.save(load_file(trunk), checkpoints / "alexnet-owt-7be5be79.pth")
    assert find_trunk() == checkpoints / "alexnet-owt-7be5be79.pth"
    a, b = random_pair(5)
    first = load_perceptual()
    assert first.name == "lpips-alex"

    cached = nothing_fetched / "cache" / "lpips-alex.safetensors"
    cached.parent.mkdir()
    shutil.copy(trunk, cached)
    assert find_trunk() == cached
    assert torch.equal(load_perceptual()(a, b), first(a, b))

    monkeypatch.setenv("PHOTODRAG_LPIPS_TRUNK", str(trunk))
    assert find_trunk() == trunk
    monkeypatch.setenv("PHOTODRAG_LPIPS_TRUNK", "none")
    assert find_trunk() is None


def test_a_named_trunk_that_is_missing_is_an_error(
    nothing_fetched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHOTODRAG_LPIPS_TRUNK", str(nothing_fetched / "nowhere.safetensors"))
    with pytest.raises(MissingWeightsError, match=r"PHOTODRAG_LPIPS_TRUNK names .*nowhere"):
        load_perceptual()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_damaged_trunk_is_an_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"trunk{suffix}"
    path.write_bytes(b"not parameters")
    with pytest.raises(BrokenWeightsError, match="trunk"):
        load_lpips(path)


def test_a_trunk_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Danger:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "run"),)

    path = tmp_path / "trunk.pth"
    torch.save({"features.0.weight": Danger()}, path)
    with pytest.raises(BrokenWeightsError):
        load_lpips(path)
    assert not (tmp_path / "run").exists()


def test_a_trunk_of_another_network_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "trunk.safetensors"
    save_file({"features.0.weight": torch.zeros(3)}, path)
    with pytest.raises(BrokenWeightsError, match="not the AlexNet trunk"):
        load_lpips(path)


def test_another_file_in_place_of_the_built_in_network_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "perceptual.safetensors"
    with pytest.raises(MissingWeightsError):
        load_builtin(path)
    save_file({"stem.bias": torch.zeros(24)}, path)
    with pytest.raises(BrokenWeightsError, match="does not hold the built-in perceptual network"):
        load_builtin(path)


def test_the_built_in_file_is_small() -> None:
    assert BUILTIN_FILE.stat().st_size < 1_000_000
    assert sum(p.numel() for p in BuiltinPerceptual().parameters()) < 250_000
