"""What a drag may be, and its JSON."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from editing.errors import SpecError
from editing.spec import DragSpec

SIDE = 16
PLACES = st.lists(
    st.tuples(*[st.floats(0, SIDE, width=32) for _ in range(4)]), min_size=0, max_size=8
)


def points(*pairs: tuple[float, float]) -> Tensor:
    return torch.tensor(pairs, dtype=torch.float32).reshape(-1, 2)


def drag(
    handles: Tensor | None = None, targets: Tensor | None = None, mask: Tensor | None = None
) -> DragSpec:
    return DragSpec(
        handles=points((4, 5)) if handles is None else handles,
        targets=points((6, 5)) if targets is None else targets,
        resolution=SIDE,
        mask=mask,
    )


@given(places=PLACES, levels=st.lists(st.integers(1, 255), min_size=4, max_size=4))
def test_json_round_trip(places: list[tuple[float, ...]], levels: list[int]) -> None:
    quads = torch.tensor(places, dtype=torch.float32).reshape(-1, 4)
    mask = torch.tensor(levels).float().repeat_interleave(SIDE * SIDE // 4).view(1, 1, SIDE, SIDE)
    spec = replace(drag(quads[:, :2], quads[:, 2:], mask / 255), covered=1 - mask / 255)
    text = json.dumps(spec.to_json())
    again = DragSpec.from_json(json.loads(text))
    assert again.resolution == spec.resolution
    assert torch.equal(again.handles, spec.handles)
    assert torch.equal(again.targets, spec.targets)
    assert again.mask is not None
    assert torch.equal(again.mask, mask / 255)
    assert again.covered is not None
    assert torch.allclose(again.covered, 1 - mask / 255)
    assert json.dumps(again.to_json()) == text


def test_json_without_mask_stays_without() -> None:
    record = drag().to_json()
    assert record["mask"] is None
    assert DragSpec.from_json(record).mask is None


def test_json_of_a_large_mask_is_small() -> None:
    mask = torch.zeros(1, 1, 512, 512)
    mask[..., 100:300, 150:400] = 1
    spec = DragSpec(handles=points(), targets=points(), resolution=512, mask=mask)
    assert len(json.dumps(spec.to_json())) < 2000


def test_anchors_are_handles_with_their_own_place_as_target() -> None:
    spec = drag(points((1, 2), (3, 4)), points((1, 2), (3, 5)))
    assert spec.anchors.tolist() == [True, False]


@pytest.mark.parametrize(
    ("handles", "targets", "message"),
    [
        (points((1, 1), (2, 2), (3, 3)), points((1, 1), (2, 2)), "got 3 handles and 2 targets"),
        (points((-1, 5)), None, r"handle 1 at \(-1.0, 5.0\) lies outside the crop of 16 x 16"),
        (None, points((4, 16.5)), r"target 1 at \(4.0, 16.5\) lies outside the crop"),
        (points((float("nan"), 5)), None, "handle 1 is not a place"),
        (None, points((4, float("inf"))), "target 1 is not a place"),
        (torch.zeros(2), None, r"must be a floating point \[N, 2\] tensor"),
        (torch.zeros(1, 2, dtype=torch.long), None, "must be a floating point"),
    ],
)
def test_impossible_points(handles: Tensor | None, targets: Tensor | None, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        drag(handles, targets)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.ones(1, 1, 8, 8), r"must be \[1, 1, 16, 16\] like the crop, not \[1, 1, 8, 8\]"),
        (torch.zeros(1, 1, SIDE, SIDE), "the mask is empty"),
        (torch.full((1, 1, SIDE, SIDE), 1.5), "from 0 to 1"),
        (torch.full((1, 1, SIDE, SIDE), float("nan")), "from 0 to 1"),
        (torch.ones(1, 1, SIDE, SIDE, dtype=torch.uint8), "floating point"),
    ],
)
def test_impossible_masks(mask: Tensor, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        drag(mask=mask)


def test_only_a_handle_that_moves_must_lie_in_the_mask() -> None:
    mask = torch.zeros(1, 1, SIDE, SIDE)
    mask[..., 10:, 10:] = 1
    with pytest.raises(SpecError, match=r"handle 1 at \(4.0, 5.0\) lies outside the movable mask"):
        drag(mask=mask)
    drag(points((4, 5), (16, 16)), points((4, 5), (12, 12)), mask)


def test_resolution_is_positive() -> None:
    with pytest.raises(SpecError, match="at least 1 pixel, not 0"):
        DragSpec(handles=points(), targets=points(), resolution=0)


def png(side: int) -> str:
    file = io.BytesIO()
    Image.new("L", (side, side), 255).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resolution": "16"}, "resolution is a whole number of pixels, not '16'"),
        ({"resolution": True}, "resolution is a whole number"),
        ({"handles": None}, r"handles are a list of \[x, y\] pairs of numbers, not None"),
        ({"handles": "4,5"}, "handles are a list"),
        ({"targets": [[1, 2, 3]]}, r"targets are a list .* one of them is \[1, 2, 3\]"),
        ({"targets": [["a", 2]]}, "one of them holds 'a'"),
        ({"targets": [[True, 2]]}, "one of them holds True"),
        ({"mask": "mask.png"}, "mask is null or a string that starts with"),
        ({"mask": "data:image/png;base64,AAAA"}, "not a readable PNG"),
        ({"mask": "data:image/png;base64,?"}, "not a readable PNG"),
        ({"mask": png(8)}, "mask is 8 x 8 pixels, its crop 16 x 16"),
    ],
)
def test_impossible_json(change: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        DragSpec.from_json({**drag().to_json(), **change})
