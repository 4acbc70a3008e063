"""What the user asks for, in photo pixels, and its translation into a drag of the crop."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from editing.presets import PresetStrength, combine_presets, expression_from
from editing.regions import region_mask
from editing.spec import DragSpec
from pipeline.align import Alignment, crop_square
from pipeline.engines import DEFAULT_ENGINE, OptionValue
from pipeline.errors import RequestError
from pipeline.faces import Face
from pipeline.photo import Photo

Point = tuple[float, float]
Mask = NDArray[np.uint8]
"""[H, W] of a photo: how far each pixel may change, from 0 (not at all) to 255 (wholly)."""

FULLY = 255
EVERYTHING = "all"
FREE_REGION = "face"
"""What points may change unless a region is named."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EditRequest:
    """One edit of one face, or of one square; its parts add up.

    Attributes:
        drags: Pairs of handle and target, photo pixels.
        presets: Named expressions, each with a strength.
        expression: [68, 2] landmarks of a face whose expression to take, in its photo's pixels.
        mask: Of the photo; None leaves that to region and presets.
        mask_file: Where the mask was read.
        region: A region of the face that may change, or "all" for the whole crop.
        engine: Who does it, a key of `editing.engine.ENGINES`.
        options: Name -> value of the engine's options that are not its defaults.
    """

    drags: tuple[tuple[Point, Point], ...] = ()
    presets: tuple[PresetStrength, ...] = ()
    expression: NDArray[np.float64] | None = None
    mask: Mask | None = None
    mask_file: Path | None = None
    region: str | None = None
    engine: str = DEFAULT_ENGINE
    options: Mapping[str, OptionValue] = field(default_factory=dict[str, OptionValue])

    @property
    def empty(self) -> bool:
        """Whether nothing at all is asked for."""
        return not self.drags and not self.presets and self.expression is None

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is done, but may not be what was meant; one line each."""
        if self.mask is not None and bool((self.mask == FULLY).all()):
            return ("the mask is white everywhere: all of the square may change",)
        return ()

    def to_spec(self, face: Face | None, alignment: Alignment) -> DragSpec:
        """Translate into crop pixels.

        Args:
            face: What is edited, or None where a square is taken as it is.
            alignment: The square.

        Raises:
            RequestError: A point lies outside the square, or outside what may change; something of
                a face is asked for where there is none.
            EditingError: An unknown preset or region, an empty mask, points that are no places.
        """
        side = alignment.resolution
        landmarks, parts = None, list[DragSpec]()
        if face is None:
            self._check_faceless()
        else:
            landmarks = alignment.to_crop(face.landmarks)
            parts.append(combine_presets(self.presets, landmarks, resolution=side))
            if self.expression is not None:
                parts.append(expression_from(landmarks, self.expression, resolution=side))
        if self.drags:
            parts.append(self._free_drag(face, alignment))
        whole = _join(parts, side)
        movable = self._movable(parts, landmarks, alignment)
        if movable is None:
            return whole
        self._check_movable(whole, movable, alignment)
        return replace(whole, mask=movable)

    def to_json(self) -> dict[str, object]:
        """The request as `pipeline.requestfile` reads it again; what is not asked for is left out.

        A mask is named by its file, absolute.
        """
        strengths: dict[str, float] = {}
        for preset in self.presets:
            strengths[preset.name] = strengths.get(preset.name, 0.0) + preset.strength
        record: dict[str, object] = {}
        if self.drags:
            record["handles"] = [list(handle) for handle, _ in self.drags]
            record["targets"] = [list(target) for _, target in self.drags]
        if strengths:
            record["presets"] = strengths
        if self.expression is not None:
            record["expression"] = self.expression.tolist()
        if self.region is not None:
            record["region"] = self.region
        if self.mask_file is not None:
            record["mask"] = str(self.mask_file.resolve())
        if self.engine != DEFAULT_ENGINE:
            record["engine"] = self.engine
        if self.options:
            record["options"] = dict(self.options)
        return record

    def _check_faceless(self) -> None:
        """Refuse what only a face has."""
        of_faces = {
            "presets": bool(self.presets),
            "an expression": self.expression is not None,
            f"a region {self.region!r}": self.region not in (None, EVERYTHING),
        }
        for what, asked in of_faces.items():
            if asked:
                raise RequestError(
                    f"only a face has {what}, but the photo is taken as it is here: "
                    "use --drag and --mask, or a generator of faces without --crop"
                )

    def _movable(
        self,
        parts: Sequence[DragSpec],
        landmarks: NDArray[np.float64] | None,
        alignment: Alignment,
    ) -> Tensor | None:
        """`[1, 1, R, R]` of what may change; None for all."""
        side = alignment.resolution
        if alignment.drawn < 1:
            drawn = torch.zeros(1, 1, side, side)
            drawn[..., alignment.columns] = 1
            return drawn if self.mask is None else drawn * mask_to_crop(self.mask, alignment)
        if self.mask is not None:
            return mask_to_crop(self.mask, alignment)
        if self.region == EVERYTHING or landmarks is None:
            return None
        if self.region is not None:
            return region_mask(landmarks, [self.region], resolution=side)
        allowed = [part.mask for part in parts if part.mask is not None]
        if self.drags:
            allowed.append(region_mask(landmarks, [FREE_REGION], resolution=side))
        return torch.stack(allowed).amax(0) if allowed else None

    def _check_movable(self, spec: DragSpec, movable: Tensor, alignment: Alignment) -> None:
        """Refuse a point to be moved from where nothing may change, in photo pixels."""
        cells = spec.handles.long().clamp(0, spec.resolution - 1)
        fixed = (movable[0, 0, cells[:, 1], cells[:, 0]] == 0) & ~spec.anchors
        if not bool(fixed.any()):
            return
        x, y = alignment.to_photo(spec.handles[fixed][0].numpy())
        if alignment.drawn < 1:
            where, way_out = "what the generator draws", "choose another --crop"
        elif self.mask is not None:
            where, way_out = "the mask", "paint white there too, or leave the mask out"
        elif self.region is not None:
            where, way_out = f"the region {self.region!r}", "choose another, or the region all"
        else:
            where, way_out = "the face", "choose the region all, or paint a mask"
        raise RequestError(
            f"the edit moves a point at ({x:.0f}, {y:.0f}), which lies outside {where}, "
            f"where nothing may change: {way_out}"
        )

    def _free_drag(self, face: Face | None, alignment: Alignment) -> DragSpec:
        points = np.asarray(self.drags, np.float64)
        inside = alignment.to_crop(points)
        for k, pair in enumerate(inside):
            for name, crop_point, point in zip(("handle", "target"), pair, points[k], strict=True):
                # NaN compares false, so it is refused here too.
                if not ((crop_point >= 0) & (crop_point <= alignment.resolution)).all():
                    x, y = alignment.centre
                    owner = "" if face is None else f" of face {face.index}"
                    other = "--crop" if face is None else "--face"
                    raise RequestError(
                        f"{name} {k + 1} at ({point[0]:g}, {point[1]:g}) lies outside the square"
                        f"{owner}, {alignment.size:.0f} photo pixels wide around "
                        f"({x:.0f}, {y:.0f}): choose a point in it, or another {other}"
                    )
        handles, targets = torch.from_numpy(inside).float().unbind(1)
        # Rounding must not turn a handle that stays into one that moves.
        stays = torch.from_numpy((points[:, 0] == points[:, 1]).all(1))
        targets = torch.where(stays[:, None], handles, targets)
        return DragSpec(handles=handles, targets=targets, resolution=alignment.resolution)


def check_mask(mask: Mask, width: int, height: int) -> None:
    """Refuse a mask that does not fit the photo.

    Raises:
        RequestError: It has another size, holds no bytes, or allows nothing.
    """
    if mask.dtype != np.uint8:
        raise RequestError(
            f"the mask holds {mask.dtype}: give bytes, from 0 (no change) to 255 (any change)"
        )
    if mask.shape != (height, width):
        raise RequestError(
            f"the mask is {mask.shape[1]} x {mask.shape[0]} pixels, the photo {width} x {height}: "
            "paint it at the photo's size"
        )
    if not mask.any():
        raise RequestError("the mask is empty: paint white where the photo may change")


def mask_to_crop(mask: Mask, alignment: Alignment) -> Tensor:
    """Resample a photo-sized mask to `[1, 1, R, R]` in [0, 1].

    Raises:
        RequestError: Nothing of it lies on the square.
    """
    share = _to_crop(mask, alignment)
    if not bool(share.any()):
        raise RequestError("the mask does not touch the square that is edited: paint white in it")
    return share


def hidden_to_crop(hidden: Mask, photo: Photo, alignment: Alignment) -> Tensor:
    """Resample a photo-sized mask of what hides a face to `[1, 1, R, R]` in [0, 1].

    Raises:
        RequestError: It has another size than the photo.
    """
    if hidden.shape != (photo.height, photo.width):
        raise RequestError(
            f"the mask of what hides the face is {hidden.shape[1]} x {hidden.shape[0]} pixels, the "
            f"photo {photo.width} x {photo.height}: paint it at the photo's size"
        )
    return _to_crop(hidden, alignment)


def _to_crop(levels: Mask, alignment: Alignment) -> Tensor:
    shares = levels[:, :, None].astype(np.float32)
    shares /= FULLY
    crop = crop_square(shares, alignment)
    share = ((crop.image + 1) / 2).clamp(0, 1) * (crop.valid > 0)
    # In steps that a session's 8-bit file keeps: an edit is composed from there, too.
    return (share * FULLY).round() / FULLY


def _join(parts: Sequence[DragSpec], side: int) -> DragSpec:
    """Add up drags: a point that several of them move goes by the sum of their ways."""
    moved: dict[Point, Tensor] = {}
    for part in parts:
        for handle, target in zip(part.handles, part.targets, strict=True):
            place = _point(handle.tolist())
            moved[place] = moved.get(place, torch.zeros(2)) + (target - handle)
    handles = torch.tensor(list(moved), dtype=torch.float32).reshape(-1, 2)
    ways = torch.stack(list(moved.values())) if moved else torch.zeros(0, 2)
    targets = torch.where(ways == 0, handles, (handles + ways).clamp(0, side))
    return DragSpec(handles=handles, targets=targets, resolution=side)


def _point(pair: Iterable[float]) -> Point:
    x, y = pair
    return float(x), float(y)
