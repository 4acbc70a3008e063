"""MobileFaceNet: its shape, and its files."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from weights.errors import BrokenWeightsError, MissingWeightsError
from weights.identity import HEIGHT, VARIABLE, WIDTH, MobileFaceNet, find_identity, load_identity


def test_descriptions_are_unit_vectors() -> None:
    torch.manual_seed(0)
    network = MobileFaceNet().eval()
    described = network(torch.rand(2, 3, HEIGHT, WIDTH) * 2 - 1)
    assert described.shape == (2, 128)
    assert described.norm(dim=1).tolist() == pytest.approx([1, 1], rel=1e-5)


def test_parameters_come_back(tmp_path: Path) -> None:
    made = MobileFaceNet()
    path = tmp_path / "identity.safetensors"
    save_file(made.state_dict(), path)
    again = load_identity(path)
    assert all(
        torch.equal(a, b) for a, b in zip(made.parameters(), again.parameters(), strict=True)
    )


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(BrokenWeightsError, match="not MobileFaceNet"):
        load_identity(path)


def test_the_environment_names_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert find_identity() is None
    monkeypatch.setenv(VARIABLE, "nowhere.ckpt")
    with pytest.raises(MissingWeightsError, match=r"nowhere\.ckpt"):
        find_identity()
