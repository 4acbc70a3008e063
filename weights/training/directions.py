"""Find directions in W+ that change one thing about a face, by regression on portraits.

    python -m weights.training.directions --data PORTRAITS --out FOLDER --name portrait-128

Two regressions of the encoder's latents. Expressions and the turn of the head: on what the
landmarks of many people show, all measures at once, so that each direction leaves the others alone,
with the light and the colours of the picture beside them, which would otherwise come along. Parts
of the face: on how far a warp has moved each part of one and the same portrait, so that who it is
cancels.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from weights.directions import Directions, DirectionsConfig
from weights.encoder import Encoder
from weights.errors import WeightsError
from weights.face_finder import face_square, load_face_finder
from weights.store import load_encoder, load_generator, save_directions
from weights.stylegan2 import Generator
from weights.training.portraits import (
    PARTS,
    Portraits,
    flip,
    load_portraits,
    part_field,
    part_shifts,
    pixel_grid,
)

EXPRESSIONS = {"mouth-width": 0.1, "mouth-open": 0.1, "yaw": 8.0}
"""What is measured on whole faces, and how much of it is drawn to calibrate it."""
WEAKEST = 0.2
CALIBRATED_ON = 64
# How far the nose's tip stands out from the axis that a head turns about, in eyes apart: fitted to
# drawn heads of known yaw.
NOSE_REACH = 0.66
BATCH = 64


def face_measures(landmarks: Tensor) -> Tensor:
    """What sets faces apart, `[N, 12]`: first the `EXPRESSIONS`, then what is to stay.

    Lengths are eyes apart along the face's own axes; yaw is in degrees, positive where the nose
    points to the right of the picture.

    Args:
        landmarks: `[N, 68, 2]` in any unit.
    """
    left, right = landmarks[:, 36:42].mean(1), landmarks[:, 42:48].mean(1)
    across = right - left
    scale = across.norm(dim=1)
    x_axis = across / scale[:, None]
    y_axis = torch.stack([-x_axis[:, 1], x_axis[:, 0]], 1)
    axes = torch.stack([x_axis, y_axis], 2)
    face = (landmarks - (left + right)[:, None] / 2) @ axes / scale[:, None, None]
    x, y = face[..., 0], face[..., 1]
    return torch.stack(
        [
            x[:, 54] - x[:, 48],
            (y[:, [65, 66, 67]] - y[:, [61, 62, 63]]).mean(1),
            torch.rad2deg(torch.asin((x[:, 30] / NOSE_REACH).clamp(-1, 1))),
            y[:, [51, 57]].mean(1) - y[:, [48, 54]].mean(1),
            (y[:, [40, 41]] - y[:, [37, 38]]).mean(1),
            (y[:, [46, 47]] - y[:, [43, 44]]).mean(1),
            -y[:, 17:22].mean(1),
            -y[:, 22:27].mean(1),
            y[:, 30] / y[:, 8],
            y[:, 8],
            x[:, 14] - x[:, 2],
            y[:, 33],
        ],
        1,
    )


def light_and_colour(images: Tensor) -> Tensor:
    """Brightness, contrast and warmth of face and surroundings, `[N, 7]`, of `[N, 3, R, R]`."""
    side = images.shape[-1]
    face = images[..., side * 2 // 5 : side * 4 // 5, side // 3 : side * 2 // 3]
    above, below = images[..., : side // 6, :], images[..., side * 4 // 5 :, :]
    parts = [face.mean((1, 2, 3)), above.mean((1, 2, 3)), below.mean((1, 2, 3))]
    contrast = [face.mean(1).std((1, 2)), images.mean(1).std((1, 2))]
    warmth = [(part[:, 0] - part[:, 2]).mean((1, 2)) for part in (face, above)]
    return torch.stack([*parts, *contrast, *warmth], 1)


def regress(pairs: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """Coefficients `[P, L, D]` of least squares from `[n, P]` to `[n, L, D]`, batch by batch."""
    inner = outer = None
    shape = torch.Size()
    for given, wanted in pairs:
        shape = wanted.shape[1:]
        a, b = given.double(), wanted.flatten(1).double()
        inner = a.t() @ a if inner is None else inner + a.t() @ a
        outer = a.t() @ b if outer is None else outer + a.t() @ b
    if inner is None or outer is None:
        raise WeightsError("there is no portrait to find directions in")
    return torch.linalg.lstsq(inner, outer, driver="gelsd").solution.unflatten(1, shape).float()


def people(encoder: Encoder, data: Portraits) -> Iterator[tuple[Tensor, Tensor]]:
    """What each portrait and its mirror image show, with a constant, and their latents."""
    for images, landmarks, colour in _batches(data):
        for mirrored in (False, True):
            chosen = torch.full((len(images),), mirrored)
            view, points = flip(images, landmarks, chosen)
            shown = [face_measures(points), light_and_colour(view), colour[:, None].float()]
            yield torch.cat([*shown, torch.ones(len(view), 1)], 1), encoder(view)


def warps(
    encoder: Encoder, data: Portraits, views: int, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """How far each part of a portrait was moved, x and y, and what that did to its latents."""
    rng = torch.Generator().manual_seed(seed)
    side = data.images.shape[-1]
    for images, landmarks, _ in _batches(data):
        still = encoder(images)
        for _ in range(views):
            shifts = part_shifts(len(images), rng)
            field = part_field(landmarks, shifts, 32).permute(0, 3, 1, 2)
            field = F.interpolate(field, (side, side), mode="bilinear").permute(0, 2, 3, 1)
            moved = F.grid_sample(
                images, pixel_grid(side) - field, padding_mode="reflection", align_corners=False
            )
            yield shifts.flatten(1), encoder(moved) - still


def _batches(data: Portraits) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    for k in range(0, len(data.images), BATCH):
        part = slice(k, k + BATCH)
        yield data.network_images(part), data.landmarks[part], data.colour[part]


@torch.no_grad()
def calibrate(
    directions: Directions, generator: Generator, encoder: Encoder, data: Portraits
) -> Tensor:
    """Lengthen the expressions until one unit of each draws one unit, in place.

    Regression on latents that an encoder guesses falls short of what was seen.

    Returns:
        What one unit drew before, for each of `EXPRESSIONS`.
    """
    finder = load_face_finder().landmarks
    squares = [face_square((p.numpy() + 1) * len(i[0]) / 2) for i, p in _pairs(data)]

    def measured(latents: Tensor) -> Tensor:
        drawn = torch.cat([generator(part) for part in latents.split(8)]).clamp(-1, 1)
        found = [
            finder.locate((image[None] + 1) / 2, torch.from_numpy(square[None])).points
            for image, square in zip(drawn, squares, strict=True)
        ]
        return face_measures(torch.cat(found).float())

    latents = encoder(data.network_images())
    still = measured(latents)
    gains: list[float] = []
    for k, (name, amount) in enumerate(EXPRESSIONS.items()):
        change = measured(latents + directions.along({name: amount})) - still
        gains.append(change[:, k].mean().item() / amount)
        if gains[-1] < WEAKEST:
            raise WeightsError(f"the direction {name} draws {gains[-1]:.2f} of what it says")
        directions.vectors[k] /= gains[-1]
    return torch.tensor(gains)


def _pairs(data: Portraits) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(data.images, data.landmarks, strict=True)


@torch.no_grad()
def find_directions(encoder: Encoder, data: Portraits, *, views: int, seed: int) -> Directions:
    """Both regressions, as one set of directions.

    Args:
        encoder: of the generator whose latents they are.
        data: portraits at the encoder's resolution.
        views: warps of each portrait.
        seed: of the warps.
    """
    expressions = regress(people(encoder, data))[: len(EXPRESSIONS)]
    parts = regress(warps(encoder, data, views, seed))
    names = (*EXPRESSIONS, *(f"{part}-{axis}" for part in PARTS for axis in "xy"))
    config = encoder.config
    found = Directions(
        DirectionsConfig(names=names, num_latents=config.num_latents, w_dim=config.w_dim)
    )
    found.vectors.copy_(torch.cat([expressions, parts]))
    return found


def main(argv: list[str] | None = None) -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__, prog="weights.training.directions")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", default="portrait-128")
    parser.add_argument("--views", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args(argv)
    encoder = load_encoder(arguments.name)
    if encoder is None:
        raise WeightsError(f"{arguments.name} has no encoder: train one first")
    data = load_portraits(arguments.data, "train", encoder.config.resolution)
    found = find_directions(encoder, data, views=arguments.views, seed=arguments.seed)
    some = load_portraits(arguments.data, "train", encoder.config.resolution, limit=CALIBRATED_ON)
    calibrate(found, load_generator(arguments.name), encoder, some)
    path = arguments.out / f"{Path(arguments.name).stem}-directions.safetensors"
    save_directions(path, found, what=f"directions of {Path(arguments.name).stem}")


if __name__ == "__main__":
    main()
