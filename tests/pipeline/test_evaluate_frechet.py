"""The Frechet distance against its definition, and which network it is measured on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.linalg import sqrtm
from torchvision.models import Inception3

from pipeline.evaluate.frechet import (
    INCEPTION_VARIABLE,
    find_inception,
    frechet_distance,
    load_feature_network,
)
from weights.errors import BrokenWeightsError, MissingWeightsError
from weights.perceptual import TRUNK_VARIABLE

CPU = torch.device("cpu")


def test_it_is_the_formula() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(60, 8)), 0.5 + rng.normal(size=(50, 8)) @ rng.normal(size=(8, 8))
    c_a, c_b = np.cov(a.T), np.cov(b.T)
    root = np.trace(np.real(np.asarray(sqrtm(c_a @ c_b))))
    wanted = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(c_a) + np.trace(c_b) - 2 * root
    assert frechet_distance(a, b) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize(("count", "width"), [(40, 5), (6, 30)])
def test_a_shift_costs_its_square(count: int, width: int) -> None:
    a = np.random.default_rng(1).normal(size=(count, width))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, a + 3) == pytest.approx(9 * width)


def test_without_inception_the_trunk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(INCEPTION_VARIABLE, raising=False)
    monkeypatch.setenv(TRUNK_VARIABLE, "none")
    monkeypatch.setattr("pipeline.evaluate.frechet.find_inception", lambda: None)
    network = load_feature_network(CPU)
    assert network.name == "builtin, last layer"
    assert network.describe(torch.zeros(2, 3, 64, 64)).shape == (2, 64)


def test_the_lpips_trunk_is_used_where_it_is(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trunk = shared / "data" / "models" / "lpips-alexnet-features.safetensors"
    monkeypatch.setenv(TRUNK_VARIABLE, str(trunk))
    monkeypatch.setattr("pipeline.evaluate.frechet.find_inception", lambda: None)
    network = load_feature_network(CPU)
    assert network.name == "lpips-alex, last layer"
    assert network.describe(torch.zeros(1, 3, 64, 64)).shape == (1, 256)


def test_inception_is_used_where_its_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Inception3(aux_logits=False, init_weights=False).eval()
    path = tmp_path / "inception.safetensors"
    save_file({name: value.half() for name, value in made.state_dict().items()}, path)
    monkeypatch.setenv(INCEPTION_VARIABLE, str(path))
    network = load_feature_network(CPU)
    assert network.name == "inception-v3, pooled"
    described = network.describe(torch.rand(1, 3, 32, 32) * 2 - 1)
    assert described.shape == (1, 2048)
    assert bool(described.isfinite().all())


def test_another_file_is_no_inception(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(1)}, path)
    monkeypatch.setenv(INCEPTION_VARIABLE, str(path))
    with pytest.raises(BrokenWeightsError, match="not torchvision's Inception v3"):
        load_feature_network(CPU)


def test_a_named_file_has_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(INCEPTION_VARIABLE, "nowhere.pth")
    with pytest.raises(MissingWeightsError, match=r"nowhere\.pth"):
        find_inception()
