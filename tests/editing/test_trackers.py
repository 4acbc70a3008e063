"""The trackers behind their one interface."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from editing.errors import OptionError
from editing.features import Features
from editing.raft import WEIGHTS_VARIABLE, raft_weights
from editing.trackers import TRACKERS, Search

SIDE = 64


def picture(seed: int = 0) -> Tensor:
    coarse = torch.randn(1, 12, 16, 16, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse, size=(SIDE, SIDE), mode="bicubic", align_corners=False)


def seen(features: Tensor) -> Features:
    return Features((features,), SIDE, lambda: features[:, :3])


HANDLES = torch.tensor([[20.5, 30.5], [40.5, 22.5]])
SEARCH = Search(radius=6.0, spacing=1.0, patch_radii=torch.tensor([2.0, 2.0]))


@pytest.mark.parametrize("name", ["nearest", "subpixel"])
def test_follows_a_shift(name: str) -> None:
    first = picture()
    track = TRACKERS[name](seen(first), HANDLES, SEARCH)
    found = track(seen(torch.roll(first, (-2, 3), dims=(2, 3))), HANDLES)
    torch.testing.assert_close(found, HANDLES + torch.tensor([3.0, -2.0]), atol=0.25, rtol=0)


def test_none_sees_nothing() -> None:
    first = picture()
    track = TRACKERS["none"](seen(first), HANDLES, SEARCH)
    assert torch.equal(track(seen(torch.roll(first, 3, dims=3)), HANDLES), HANDLES)


@pytest.mark.parametrize(("norm", "expected"), [("l1", 30.5), ("l2", 20.5)])
def test_nearest_has_two_norms(norm: str, expected: float) -> None:
    first = torch.zeros(1, 4, SIDE, SIDE)
    later = torch.full((1, 4, SIDE, SIDE), 9.0)
    later[0, :, 10, 20] = 1.0  # 4 by L1, 2 by L2
    later[0, :, 10, 30] = torch.tensor([3.0, 0, 0, 0])  # 3 by L1, 3 by L2
    handle = torch.tensor([[25.5, 10.5]])
    patch = torch.zeros(1)
    search = Search(radius=6.0, spacing=1.0, patch_radii=patch, norm=norm)  # pyright: ignore[reportArgumentType]
    track = TRACKERS["nearest"](seen(first), handle, search)
    assert track(seen(later), handle).tolist() == [[expected, 10.5]]


def test_nearest_stays_in_the_picture() -> None:
    first = picture(2)
    handles = torch.tensor([[0.5, 0.5], [63.5, 63.5]])
    track = TRACKERS["nearest"](seen(first), handles, SEARCH)
    assert torch.equal(track(seen(first), handles), handles)


def test_raft_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv(WEIGHTS_VARIABLE, raising=False)
    assert raft_weights() is None
    with pytest.raises(OptionError, match="the raft tracker needs torchvision's raft_small"):
        TRACKERS["raft"](seen(picture()), HANDLES, SEARCH)
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"no weights")
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(broken))
    with pytest.raises(OptionError, match=r"does not hold torchvision's raft_small"):
        TRACKERS["raft"](seen(picture()), HANDLES, SEARCH)
