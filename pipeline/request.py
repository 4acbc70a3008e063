"""What the user asks for, in photo pixels, and its translation into a drag of the crop."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from editing.presets import PresetStrength, combine_presets, expression_from
from editing.regions import region_mask
from editing.spec import DragSpec, points_tensor
from pipeline.align import Alignment, crop_face
from pipeline.errors import RequestError
from pipeline.faces import Face

Point = tuple[float, float]
Mask = NDArray[np.bool_]
EVERYTHING = "all"


@dataclass(frozen=True, kw_only=True, eq=False)
class EditRequest:
    """One edit of one face; its parts add up.

    Attributes:
        drags: Pairs of handle and target, photo pixels.
        presets: Named expressions, each with a strength.
        expression: [68, 2] landmarks of a face whose expression to take, in its photo's pixels.
        mask: [H, W] of the photo, True = may change; None leaves that to region and presets.
        region: A region of the face that may change, or "all" for the whole crop.
    """

    drags: tuple[tuple[Point, Point], ...] = ()
    presets: tuple[PresetStrength, ...] = ()
    expression: NDArray[np.float64] | None = None
    mask: Mask | None = None
    region: str | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing at all is asked for."""
        return not self.drags and not self.presets and self.expression is None

    def to_spec(self, face: Face, alignment: Alignment) -> DragSpec:
        """Translate into crop pixels.

        Raises:
            RequestError: A point lies outside the face's square.
            EditingError: An unknown preset or region, an empty mask, points that are no places.
        """
        landmarks = alignment.to_crop(face.landmarks)
        side = alignment.resolution
        parts = [combine_presets(self.presets, landmarks, resolution=side)]
        if self.expression is not None:
            parts.append(expression_from(landmarks, self.expression, resolution=side))
        region = self.region
        if self.drags:
            parts.append(self._free_drag(face, alignment))
            region = region or "face"
        allowed = [part.mask for part in parts if part.mask is not None]
        if region is not None and region != EVERYTHING:
            explicit = region_mask(landmarks, [region], resolution=side)
            allowed = [explicit] if self.region else [*allowed, explicit]
        if self.mask is not None:
            allowed = [mask_to_crop(self.mask, alignment)]
        elif region == EVERYTHING:
            allowed = []
        return _join(parts, allowed, side)

    def _free_drag(self, face: Face, alignment: Alignment) -> DragSpec:
        points = np.asarray(self.drags, np.float64)
        inside = alignment.to_crop(points)
        for k, pair in enumerate(inside):
            for name, crop_point, point in zip(("handle", "target"), pair, points[k], strict=True):
                # NaN compares false, so it is refused here too.
                if not ((crop_point >= 0) & (crop_point <= alignment.resolution)).all():
                    x, y = alignment.centre
                    raise RequestError(
                        f"{name} {k + 1} at ({point[0]:g}, {point[1]:g}) lies outside the square "
                        f"of face {face.index}, {alignment.size:.0f} photo pixels wide around "
                        f"({x:.0f}, {y:.0f}): choose a point in it, or another --face"
                    )
        handles, targets = torch.from_numpy(inside).float().unbind(1)
        # Rounding must not turn a handle that stays into one that moves.
        stays = torch.from_numpy((points[:, 0] == points[:, 1]).all(1))
        targets = torch.where(stays[:, None], handles, targets)
        return DragSpec(handles=handles, targets=targets, resolution=alignment.resolution)


def read_request(path: Path) -> EditRequest:
    """Read a request from a JSON file.

    Keys, all optional: "handles" and "targets" (lists of [x, y]), "presets" (name -> strength),
    "region", "mask" (path of a picture, relative to the file).

    Raises:
        RequestError: The file is not such JSON.
        EditingError: The points are not pairs of numbers.
    """
    try:
        record: object = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise RequestError(f"{path} is no readable JSON file: {reason}") from error
    if not isinstance(record, Mapping):
        raise RequestError(f"{path} must hold one JSON object, not {type(record).__name__}")
    record = cast("Mapping[str, object]", record)
    known = ("handles", "targets", "presets", "region", "mask")
    for key in record:
        if key not in known:
            raise RequestError(f"{path} has an unknown key {key!r}: known are {', '.join(known)}")
    handles = points_tensor("handles", record.get("handles", [])).tolist()
    targets = points_tensor("targets", record.get("targets", [])).tolist()
    if len(handles) != len(targets):
        raise RequestError(
            f"{path}: a drag needs one target per handle: "
            f"got {len(handles)} handles and {len(targets)} targets"
        )
    presets = record.get("presets", {})
    region, mask = record.get("region"), record.get("mask")
    if not isinstance(presets, Mapping):
        raise RequestError(f'{path}: "presets" must be an object such as {{"smile": 1.0}}')
    for key, value in (("region", region), ("mask", mask)):
        if value is not None and not isinstance(value, str):
            raise RequestError(f"{path}: {key!r} must be text, not {value!r}")
    named = cast("Mapping[str, object]", presets)
    pairs = zip(handles, targets, strict=True)
    return EditRequest(
        drags=tuple((_point(h), _point(t)) for h, t in pairs),
        presets=tuple(_preset(name, value) for name, value in named.items()),
        region=cast("str | None", region),
        mask=read_mask(path.parent / cast(str, mask)) if mask is not None else None,
    )


def read_mask(path: Path) -> Mask:
    """Read a picture as a mask: white may change, black (below half) may not.

    Raises:
        RequestError: It is no picture.
    """
    try:
        levels = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_GRAYSCALE)
    except (OSError, cv2.error) as error:
        raise RequestError(f"cannot read the mask {path}: give a black and white PNG") from error
    if levels is None:
        raise RequestError(f"the mask {path} is no picture: give a black and white PNG")
    return np.asarray(levels) >= 128


def check_mask(mask: Mask, width: int, height: int) -> None:
    """Refuse a mask that does not fit the photo.

    Raises:
        RequestError: It has another size, or allows nothing.
    """
    if mask.shape != (height, width):
        raise RequestError(
            f"the mask is {mask.shape[1]} x {mask.shape[0]} pixels, the photo {width} x {height}: "
            "paint it at the photo's size"
        )
    if not mask.any():
        raise RequestError("the mask is empty: paint white where the photo may change")


def mask_to_crop(mask: Mask, alignment: Alignment) -> Tensor:
    """Resample a photo-sized mask to `[1, 1, R, R]` of zeros and ones.

    Raises:
        RequestError: Nothing of it lies on the face's square.
    """
    levels = np.repeat(mask[:, :, None], 3, axis=2).astype(np.float32)
    crop = crop_face(levels, alignment)
    movable = ((crop.image[:, :1] > 0) & (crop.valid > 0)).float()
    if not bool(movable.any()):
        raise RequestError("the mask does not touch the face: paint white on the face to edit")
    return movable


def _join(parts: Sequence[DragSpec], allowed: Sequence[Tensor], side: int) -> DragSpec:
    """Add up drags: a point that several of them move goes by the sum of their ways."""
    moved: dict[Point, Tensor] = {}
    for part in parts:
        for handle, target in zip(part.handles, part.targets, strict=True):
            place = _point(handle.tolist())
            moved[place] = moved.get(place, torch.zeros(2)) + (target - handle)
    handles = torch.tensor(list(moved), dtype=torch.float32).reshape(-1, 2)
    ways = torch.stack(list(moved.values())) if moved else torch.zeros(0, 2)
    targets = torch.where(ways == 0, handles, (handles + ways).clamp(0, side))
    whole = DragSpec(handles=handles, targets=targets, resolution=side)
    if not allowed:
        return whole
    return replace(whole, mask=torch.stack(list(allowed)).amax(0))


def _preset(name: str, strength: object) -> PresetStrength:
    if isinstance(strength, bool) or not isinstance(strength, (int, float)):
        raise RequestError(f"strength of preset {name} must be a number, not {strength!r}")
    return PresetStrength(name=name, strength=float(strength))


def _point(pair: Iterable[float]) -> Point:
    x, y = pair
    return float(x), float(y)
