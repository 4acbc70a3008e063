"""Files appear whole or not at all."""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from weights.files import replacing, write_safetensors


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyError), replacing(path) as half:
        half.write_text("ne")
        raise KeyError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_success_replaces_it_readable_as_any_file(tmp_path: Path) -> None:
    path, ordinary = tmp_path / "a.txt", tmp_path / "b.txt"
    ordinary.touch()
    path.write_text("old")
    with replacing(path) as half:
        assert half.parent == tmp_path
        assert half.suffix == ".txt"
        half.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert path.stat().st_mode == ordinary.stat().st_mode
    assert sorted(tmp_path.iterdir()) == [path, ordinary]


def test_safetensors_keep_views_and_their_header(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    grid = torch.arange(6.0).view(2, 3)
    write_safetensors(path, {"turned": grid.t()}, {"what": "a test"})
    with safe_open(path, framework="pt") as file:
        assert file.metadata() == {"what": "a test"}
        assert torch.equal(file.get_tensor("turned"), grid.t())


def test_a_name_may_be_as_long_as_the_disk_takes(tmp_path: Path) -> None:
    path = tmp_path / f"{'long' * 62}.txt"
    with replacing(path) as half:
        half.write_text("new")
    assert path.read_text() == "new"


def test_a_replaced_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "private.txt"
    path.touch(mode=0o600)
    with replacing(path) as half:
        half.write_text("new")
    assert path.stat().st_mode & 0o777 == 0o600
