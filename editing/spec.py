"""What to drag: handles, targets and the movable mask, in crop pixels.

Points are (x, y), origin at the top-left corner of the top-left pixel, pixel centres at +0.5.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from editing.errors import SpecError

Json = Mapping[str, object]

_MASK_PREFIX = "data:image/png;base64,"


@dataclass(frozen=True, kw_only=True, eq=False)
class DragSpec:
    """Points to move and where to, checked on creation.

    A handle whose target is its own place is an anchor: it is held there.

    Attributes:
        handles: `[N, 2]` floating point, crop pixels within [0, resolution]. N may be 0.
        targets: `[N, 2]`, likewise.
        resolution: side R of the crop in pixels.
        mask: `[1, 1, R, R]` in [0, 1], 1 = may change; None lets everything change, as does a
            mask of ones.
        covered: `[1, 1, R, R]` in [0, 1], what earlier drags of a sequence closed over; None for
            nothing. See `editing.closing`.

    Raises:
        SpecError: anything that a drag could not honour, such as a handle to be moved that lies
            outside the mask.
    """

    handles: Tensor
    targets: Tensor
    resolution: int
    mask: Tensor | None = None
    covered: Tensor | None = None

    def __post_init__(self) -> None:
        """Refuse what no engine could do."""
        if self.resolution < 1:
            raise SpecError(f"a crop's resolution is at least 1 pixel, not {self.resolution}")
        for name, points in (("handle", self.handles), ("target", self.targets)):
            _check_points(name, points, self.resolution)
        if len(self.handles) != len(self.targets):
            raise SpecError(
                "a drag needs one target per handle: "
                f"got {len(self.handles)} handles and {len(self.targets)} targets"
            )
        if self.mask is not None:
            _check_mask(self.mask, self.resolution)
            self._check_handles_movable(self.mask)
        if self.covered is not None:
            _check_shares("the covered part", self.covered, self.resolution)

    @property
    def anchors(self) -> Tensor:
        """`[N]` bool: handles that are to stay where they are."""
        return (self.handles == self.targets).all(dim=1)

    @property
    def moving(self) -> int:
        """Number of handles that are no anchors."""
        return int((~self.anchors).sum())

    @property
    def frees_all(self) -> bool:
        """Whether nothing is fixed."""
        return self.mask is None or bool((self.mask == 1).all())

    def seen_from(self, points: Tensor) -> DragSpec:
        """The rest of the way once the handles are at `points` `[N, 2]`; anchors stay there.

        The mask opens at the points themselves: a handle may have been tracked to its border.
        """
        points = points.to(self.handles)
        mask = self.mask
        if mask is not None:
            cells = points.long().clamp(0, self.resolution - 1)
            mask = mask.clone()
            mask[0, 0, cells[:, 1], cells[:, 0]] = 1
        targets = torch.where(self.anchors[:, None], points, self.targets)
        return replace(self, handles=points, targets=targets, mask=mask)

    def to_json(self) -> dict[str, object]:
        """A small object for `json.dumps`; masks travel inside it as 8-bit PNGs."""
        return {
            "resolution": self.resolution,
            "handles": self.handles.tolist(),
            "targets": self.targets.tolist(),
            "mask": None if self.mask is None else _encode_mask(self.mask),
            "covered": None if self.covered is None else _encode_mask(self.covered),
        }

    @classmethod
    def from_json(cls, record: Json) -> DragSpec:
        """Inverse of `to_json`, up to 1/255 in a soft mask.

        Raises:
            SpecError: a key is missing or holds something else.
        """
        resolution = record.get("resolution")
        if not isinstance(resolution, int) or isinstance(resolution, bool):
            raise SpecError(f"a drag's resolution is a whole number of pixels, not {resolution!r}")
        mask, covered = record.get("mask"), record.get("covered")
        return cls(
            handles=points_tensor("handles", record.get("handles")),
            targets=points_tensor("targets", record.get("targets")),
            resolution=resolution,
            mask=None if mask is None else _decode_mask(mask, resolution),
            covered=None if covered is None else _decode_mask(covered, resolution),
        )

    def _check_handles_movable(self, mask: Tensor) -> None:
        cells = self.handles.long().clamp(0, self.resolution - 1)
        fixed = (mask[0, 0, cells[:, 1], cells[:, 0]] == 0) & ~self.anchors
        for k in torch.nonzero(fixed).flatten().tolist():
            x, y = self.handles[k].tolist()
            raise SpecError(
                f"handle {k + 1} at ({x:.1f}, {y:.1f}) lies outside the movable mask: "
                "enlarge the mask or move the handle into it"
            )


def points_tensor(name: str, value: object) -> Tensor:
    """A list of [x, y] pairs as `[N, 2]` float32.

    Raises:
        SpecError: `value` is not such a list.
    """
    message = f"a drag's {name} are a list of [x, y] pairs of numbers"
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise SpecError(f"{message}, not {value!r}")
    pairs = cast("Sequence[object]", value)
    flat: list[float] = []
    for pair in pairs:
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise SpecError(f"{message}; one of them is {pair!r}")
        for number in cast("Sequence[object]", pair):
            if isinstance(number, bool) or not isinstance(number, (int, float)):
                raise SpecError(f"{message}; one of them holds {number!r}")
            flat.append(float(number))
    return torch.tensor(flat, dtype=torch.float32).reshape(-1, 2)


def _check_points(name: str, points: Tensor, resolution: int) -> None:
    if points.ndim != 2 or points.shape[1] != 2 or not points.is_floating_point():
        raise SpecError(
            f"{name}s must be a floating point [N, 2] tensor of (x, y), "
            f"not {points.dtype} {list(points.shape)}"
        )
    for k, (x, y) in enumerate(points.tolist(), start=1):
        if not (np.isfinite(x) and np.isfinite(y)):
            raise SpecError(f"{name} {k} is not a place: ({x}, {y}); give finite numbers")
        if not (0 <= x <= resolution and 0 <= y <= resolution):
            raise SpecError(
                f"{name} {k} at ({x:.1f}, {y:.1f}) lies outside the crop of "
                f"{resolution} x {resolution} pixels"
            )


def _check_mask(mask: Tensor, resolution: int) -> None:
    _check_shares("the mask", mask, resolution)
    if not bool((mask > 0).any()):
        raise SpecError("the mask is empty: nothing may change; paint what may, or leave it out")


def _check_shares(name: str, shares: Tensor, resolution: int) -> None:
    if shares.shape != (1, 1, resolution, resolution):
        raise SpecError(
            f"{name} must be [1, 1, {resolution}, {resolution}] like the crop, "
            f"not {list(shares.shape)}"
        )
    if not shares.is_floating_point() or not bool(((shares >= 0) & (shares <= 1)).all()):
        raise SpecError(f"{name} must hold floating point numbers from 0 to 1")


def _encode_mask(mask: Tensor) -> str:
    levels = (mask[0, 0].cpu().numpy() * 255).round().astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "PNG", optimize=True)
    return _MASK_PREFIX + base64.b64encode(file.getvalue()).decode("ascii")


def _decode_mask(value: object, resolution: int) -> Tensor:
    if not isinstance(value, str) or not value.startswith(_MASK_PREFIX):
        raise SpecError(f"a drag's mask is null or a string that starts with {_MASK_PREFIX!r}")
    try:
        file = io.BytesIO(base64.b64decode(value.removeprefix(_MASK_PREFIX), validate=True))
        with Image.open(file, formats=["PNG"]) as image:
            # Looked at before decoding: a forged size must not cost memory.
            if image.size != (resolution, resolution):
                raise SpecError(
                    f"the drag's mask is {image.width} x {image.height} pixels, "
                    f"its crop {resolution} x {resolution}"
                )
            levels = np.array(image.convert("L"), dtype=np.float32)
    except (binascii.Error, UnidentifiedImageError, OSError, SyntaxError) as error:
        raise SpecError("the drag's mask is not a readable PNG") from error
    return torch.from_numpy(levels)[None, None] / 255
