"""Aligned portraits as tensors, and the random warps that training shows them under.

A folder of portraits holds square pictures and `index.json`, a list of records with `name`,
`kind` ("colour" or "gray"), `split` ("train" or "val"), `landmarks68` in pixels of a 256 px square
and, where labels are to be chosen by it, `landmarks_disagreement`. Coordinates in this module are
in [-1, 1], (x, y), pixel centres inside the square.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from weights.errors import WeightsError
from weights.face_finder import MIRRORED

INDEX_SIDE = 256

PARTS: dict[str, tuple[tuple[int, ...], float, float]] = {
    "brow_left": ((18, 19, 20), 0.40, 0.09),
    "brow_right": ((23, 24, 25), 0.40, 0.09),
    "upper_lid_left": ((37, 38), 0.16, 0.04),
    "upper_lid_right": ((43, 44), 0.16, 0.04),
    "lower_lid_left": ((40, 41), 0.16, 0.03),
    "lower_lid_right": ((46, 47), 0.16, 0.03),
    "nose": ((30, 33), 0.35, 0.07),
    "corner_left": ((48,), 0.28, 0.10),
    "corner_right": ((54,), 0.28, 0.10),
    "upper_lip": ((51, 62), 0.22, 0.05),
    "lower_lip": ((57, 66), 0.22, 0.08),
    "chin": ((8,), 0.50, 0.12),
    "jaw_left": ((4, 5), 0.55, 0.10),
    "jaw_right": ((11, 12), 0.55, 0.10),
    "head": ((27, 30, 51), 1.30, 0.16),
}
"""Parts that move in a face: landmarks (iBUG) that they follow, reach and typical shift, both as
shares of the distance between the eyes."""
PAIRED_PARTS = (("brow_left", "brow_right"), ("upper_lid_left", "upper_lid_right"),
            ("lower_lid_left", "lower_lid_right"), ("corner_left", "corner_right"),
            ("jaw_left", "jaw_right"))  # fmt: skip


@dataclass(frozen=True)
class Portraits:
    """Pictures of one split.

    Attributes:
        images: `[N, 3, side, side]` uint8.
        landmarks: `[N, 68, 2]` float32 in [-1, 1].
        colour: `[N]` bool, False for gray and tinted prints.
    """

    images: Tensor
    landmarks: Tensor
    colour: Tensor

    def network_images(self, chosen: Tensor | slice = slice(None)) -> Tensor:
        """Some of the pictures, or all, as networks take them: `[n, 3, side, side]` in [-1, 1]."""
        return self.images[chosen].float() / 127.5 - 1


def load_portraits(
    folder: Path,
    split: str,
    side: int,
    *,
    disagreement: float | None = None,
    limit: int | None = None,
) -> Portraits:
    """Read the pictures of a split, reduced to `side` pixels.

    Args:
        folder: see the module.
        split: "train" or "val".
        side: of the pictures returned, px.
        disagreement: leave out faces whose two labellings differ by more, as a share of the outer
            eye distance; None to trust all.
        limit: at most so many pictures.

    Raises:
        WeightsError: no index, an unreadable record or picture, or no picture in this split.
    """
    path = folder / "index.json"
    images: list[Tensor] = []
    landmarks: list[Tensor] = []
    colour: list[bool] = []
    for k, record in enumerate(_read_index(path)):
        if len(images) == limit:
            break
        try:
            if record["split"] != split or (
                disagreement is not None and record["landmarks_disagreement"] > disagreement
            ):
                continue
            images.append(_read_picture(folder / f"{record['name']}.jpg", side))
            landmarks.append(_checked_landmarks(record["landmarks68"]))
            colour.append(record["kind"] == "colour")
        except KeyError as error:
            raise WeightsError(f"record {k} of {path} has no field {error}") from error
        except (TypeError, ValueError, RuntimeError, OSError) as error:
            raise WeightsError(f"record {k} of {path}: {error}") from error
    if not images:
        raise WeightsError(f"{path} lists no picture of the split {split!r} that can be used")
    return Portraits(
        torch.stack(images), torch.stack(landmarks) / (INDEX_SIDE / 2) - 1, torch.tensor(colour)
    )


def _read_picture(path: Path, side: int) -> Tensor:
    with Image.open(path) as picture:
        if picture.width != picture.height:
            raise ValueError(f"{path.name} is not square")
        rgb = picture.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(rgb)).permute(2, 0, 1)


def _checked_landmarks(values: Any) -> Tensor:
    landmarks = torch.tensor(values, dtype=torch.float32)
    if landmarks.shape != (68, 2) or not landmarks.isfinite().all():
        raise ValueError("landmarks68 is not 68 pairs of numbers")
    return landmarks


def _read_index(path: Path) -> list[dict[str, Any]]:
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise WeightsError(f"{path} is missing: name a folder of aligned portraits") from None
    except json.JSONDecodeError as error:
        raise WeightsError(f"{path} is not JSON: {error}") from error


def flip(images: Tensor, landmarks: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Mirror the chosen pictures left to right, with landmarks in iBUG order."""
    images, landmarks = images.clone(), landmarks.clone()
    images[chosen] = images[chosen].flip(3)
    mirrored = landmarks[chosen][:, torch.from_numpy(MIRRORED)]
    landmarks[chosen] = mirrored * torch.tensor([-1.0, 1.0])
    return images, landmarks


def random_warp(images: Tensor, landmarks: Tensor, rng: torch.Generator) -> Tensor:
    """Shift, turn and scale each picture a little, and move parts of its face.

    Args:
        images: `[N, 3, R, R]` float32.
        landmarks: `[N, 68, 2]`.
        rng: source of all randomness.

    Returns:
        The warped pictures, mirrored at the border where they run out.
    """
    return read(images, random_source(landmarks, images.shape[-1], rng))


def read(images: Tensor, source: Tensor) -> Tensor:
    """Pictures `[N, C, R, R]` read at `source` `[N, S, S, 2]`, mirrored where they run out."""
    return F.grid_sample(images, source, padding_mode="reflection", align_corners=False)


def random_source(landmarks: Tensor, side: int, rng: torch.Generator) -> Tensor:
    """Where `random_warp` reads each pixel, `[N, side, side, 2]` in [-1, 1]."""
    n = len(landmarks)
    coarse = part_field(landmarks, part_shifts(n, rng), 32)
    field = F.interpolate(coarse.permute(0, 3, 1, 2), (side, side), mode="bilinear")
    source = pixel_grid(side)[None] - field.permute(0, 2, 3, 1)
    angle = torch.randn(n, generator=rng) * math.radians(3.5)
    scale = torch.exp(torch.randn(n, generator=rng) * 0.04)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    turn = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], 1)
    shift = torch.randn(n, 1, 2, generator=rng) * 0.03
    return (source.reshape(n, -1, 2) @ turn.transpose(1, 2) + shift).view(n, side, side, 2)


def pixel_grid(side: int) -> Tensor:
    """Pixel centres `[side, side, 2]` as (x, y) in [-1, 1]."""
    centres = (torch.arange(side) + 0.5) / side * 2 - 1
    return torch.stack(torch.meshgrid(centres, centres, indexing="xy"), -1)


def part_shifts(n: int, rng: torch.Generator, share: float = 0.35) -> Tensor:
    """Random displacement `[n, parts, 2]` of each of `PARTS`, in eyes apart; pairs often agree."""
    names = list(PARTS)
    typical = torch.tensor([PARTS[name][2] for name in names])
    moved = torch.rand(n, len(names), 1, generator=rng) < share
    shifts = torch.randn(n, len(names), 2, generator=rng) * typical[:, None] * moved
    for left, right in PAIRED_PARTS:
        alike = torch.rand(n, generator=rng) < 0.7
        mirrored = shifts[:, names.index(left)] * torch.tensor([-1.0, 1.0])
        k = names.index(right)
        shifts[:, k] = torch.where(alike[:, None], mirrored, shifts[:, k])
    limit = 2 * typical[:, None]
    return torch.minimum(torch.maximum(shifts, -limit), limit)


def part_field(landmarks: Tensor, shifts: Tensor, side: int) -> Tensor:
    """Displacement `[n, side, side, 2]` of the picture: one Gaussian bump for each part's shift.

    Args:
        landmarks: `[n, 68, 2]`.
        shifts: `[n, parts, 2]` in eyes apart, as of `part_shifts`.
        side: of the grid, px.
    """
    eyes = (landmarks[:, 42:48].mean(1) - landmarks[:, 36:42].mean(1)).norm(dim=1)
    centres = torch.stack([landmarks[:, list(part[0])].mean(1) for part in PARTS.values()], 1)
    reach = torch.tensor([part[1] for part in PARTS.values()]) * eyes[:, None]
    distance = (pixel_grid(side)[None, :, :, None] - centres[:, None, None]).square().sum(-1)
    bumps = torch.exp(-distance / (2 * reach.square()[:, None, None]))
    return torch.einsum("nhwk,nkc->nhwc", bumps, shifts * eyes[:, None, None])
