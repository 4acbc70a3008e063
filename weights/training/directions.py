"""Scale directions in W+ to what they draw, and find them where training has left none.

    python -m weights.training.directions --data PORTRAITS --out FOLDER --name portrait-128

A generator trained by `weights.training.reconstruction` comes with the steps that it learnt for
`weights.training.expressions`. For any other with an encoder they are regressed: on how the
encoder's latents change when an expression is warped into one and the same portrait, so that who it
is cancels. All are then fitted to the finished generator, which stays as it is: what it draws after
a step must be the warp of what it drew before. Last, each is made as long as brings its drawing
nearest to the warp, and lids as long as shuts both eyes. Prints how near the finished directions
come on held-out portraits, and what the face finder sees of them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from weights.directions import Directions, DirectionsConfig
from weights.encoder import Encoder
from weights.errors import WeightsError
from weights.face_finder import face_square, load_face_finder
from weights.perceptual import Perceptual, load_perceptual
from weights.store import load_directions, load_encoder, load_generator, save_directions
from weights.stylegan2 import Generator
from weights.training.expressions import EXPRESSIONS, express, random_expressions
from weights.training.losses import (
    attended_l1,
    jittered_perceptual,
    perceptual_at_eyes,
    pyramid_l1,
)
from weights.training.pairs import attention_to_change
from weights.training.portraits import Portraits, load_portraits, pixel_grid

MEASURED: tuple[str, ...] = (
    "smile", "mouth-width", "mouth-open", "lid-left", "lid-right", "brow-left", "brow-right",
    "yaw", "pitch",
)  # fmt: skip
"""Expressions that landmarks show."""
LENGTHS = (0.5, 0.65, 0.8, 1.0, 1.25, 1.5, 1.8, 2.2, 2.8, 3.6)
"""What directions may be scaled by: beyond, they are not the expression's."""
MEASURED_ON = 24
LIDS = ("lid-left", "lid-right")
SHUT = 0.8
"""Share of its opening that the face finder sees a shut eye lose: nearly all that it ever sees."""
# How far the nose's tip stands out from the axis that a head turns about, in eyes apart, as seen
# against the eyes (fitted to drawn heads of known yaw), and against eyes and mouth.
NOSE_REACH, NOSE_BETWEEN = 0.66, 0.46
BATCH = 64
FITTED_AT_ONCE = 8


def face_measures(landmarks: Tensor) -> Tensor:
    """Where each of `MEASURED` stands in faces, `[N, 9]`.

    Lengths are eyes apart along the face's own axes, lids apertures, yaw and pitch degrees. Only
    changes of pitch mean anything, since noses differ.

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
            -y[:, [48, 54]].mean(1),
            x[:, 54] - x[:, 48],
            (y[:, [65, 66, 67]] - y[:, [61, 62, 63]]).mean(1),
            (y[:, [40, 41]] - y[:, [37, 38]]).mean(1),
            (y[:, [46, 47]] - y[:, [43, 44]]).mean(1),
            -y[:, 17:22].mean(1),
            -y[:, 22:27].mean(1),
            _degrees(x[:, 30] / NOSE_REACH),
            _degrees((y[:, 30] - 0.25 * (y[:, 48] + y[:, 54])) / NOSE_BETWEEN),
        ],
        1,
    )


def _degrees(sine: Tensor) -> Tensor:
    return torch.rad2deg(torch.asin(sine.clamp(-1, 1)))


def changes(before: Tensor, after: Tensor) -> Tensor:
    """Difference of two `face_measures` in the units of `EXPRESSIONS`: lids in shares, closed 1."""
    change = after - before
    lids = [MEASURED.index(name) for name in ("lid-left", "lid-right")]
    change[:, lids] = -change[:, lids] / before[:, lids].clamp(min=0.05)
    return change


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


def warps(
    encoder: Encoder, data: Portraits, views: int, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Random amounts of `EXPRESSIONS` in portraits, and what they did to the latents."""
    rng = torch.Generator().manual_seed(seed)
    for k in range(0, len(data.images), BATCH):
        part = slice(k, k + BATCH)
        images, landmarks = data.network_images(part), data.landmarks[part]
        grid = pixel_grid(images.shape[-1]).expand(len(images), -1, -1, -1)
        still = encoder(images)
        for _ in range(views):
            amounts = random_expressions(landmarks, rng)
            yield amounts, encoder(express(images, landmarks, amounts, grid).images) - still


@torch.no_grad()
def find_directions(encoder: Encoder, data: Portraits, *, views: int, seed: int) -> Directions:
    """Regress directions of `EXPRESSIONS`.

    Args:
        encoder: of the generator whose latents they are.
        data: portraits at the encoder's resolution.
        views: warps of each portrait.
        seed: of the warps.
    """
    config = encoder.config
    names = tuple(EXPRESSIONS)
    found = Directions(
        DirectionsConfig(names=names, num_latents=config.num_latents, w_dim=config.w_dim)
    )
    found.vectors.copy_(regress(warps(encoder, data, views, seed)))
    return found


def fit_directions(
    directions: Directions,
    generator: Generator,
    encoder: Encoder,
    data: Portraits,
    perceptual: Perceptual,
    *,
    images: int,
    seed: int,
    rate: float = 0.01,
    wander: float = 0.05,
) -> None:
    """Fit all directions together to a generator, in place.

    Args:
        directions: of `EXPRESSIONS`, some or all, to begin with.
        generator: draws; no gradients reach it.
        encoder: gives the latents that steps are taken from.
        data: portraits at the generator's resolution.
        perceptual: distance of pictures.
        images: how many pictures to learn from.
        seed: of portraits, expressions and noise.
        rate: Adam's at the beginning, for steps of typical amounts; falls to nothing.
        wander: standard deviation of the noise added to the latents.
    """
    rng = torch.Generator().manual_seed(seed)
    names = list(EXPRESSIONS)
    known = [names.index(name) for name in directions.config.names]
    typical = torch.tensor(list(EXPRESSIONS.values()))[known]
    steps = (directions.vectors * typical[:, None, None]).requires_grad_()
    optimizer = torch.optim.Adam([steps], betas=(0.9, 0.99))
    count = max(1, images // FITTED_AT_ONCE)
    for k in tqdm(range(count), desc="directions", mininterval=5):
        for group in optimizer.param_groups:
            group["lr"] = rate * (1 - k / count)
        chosen = torch.randperm(len(data.images), generator=rng)[:FITTED_AT_ONCE]
        view, landmarks = data.network_images(chosen), data.landmarks[chosen]
        asked = torch.zeros(len(view), len(names))
        asked[:, known] = random_expressions(landmarks, rng)[:, known]
        with torch.no_grad():
            latents = encoder(view)
            latents = latents + wander * torch.randn(latents.shape, generator=rng)
            still = generator(latents).clamp(-1, 1)
            grid = pixel_grid(still.shape[-1]).expand(len(still), -1, -1, -1)
            drawn = express(still, landmarks, asked, grid)
        moved = latents + torch.einsum("nk,kld->nld", asked[:, known] / typical, steps)
        loss = _away(generator(moved), drawn.images, still, drawn.attention, perceptual, rng)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    directions.vectors.copy_(steps.detach() / typical[:, None, None])


def _away(
    output: Tensor,
    wanted: Tensor,
    still: Tensor,
    attention: Tensor,
    perceptual: Perceptual,
    rng: torch.Generator,
) -> Tensor:
    """Loss of training by reconstruction, of pictures wanted in place of `still` ones."""
    attention = attention_to_change(attention, still, wanted)
    loss = 2 * pyramid_l1(output, wanted) + attended_l1(output, wanted, attention)
    loss = loss + jittered_perceptual(perceptual, output, wanted, rng)
    return loss + perceptual_at_eyes(perceptual, output, wanted)


def _measuring(generator: Generator, data: Portraits) -> Callable[[Tensor], Tensor]:
    """Measures `[N, 9]` of what is drawn from latents of portraits, found where their faces are."""
    finder = load_face_finder()
    side = data.images.shape[-1]
    squares = [torch.from_numpy(face_square((p.numpy() + 1) * side / 2)) for p in data.landmarks]

    def measured(latents: Tensor) -> Tensor:
        drawn = torch.cat([generator(part) for part in latents.split(8)]).clamp(-1, 1)
        found = [
            finder.locate((image[None] + 1) / 2, square[None]).points
            for image, square in zip(drawn, squares, strict=True)
        ]
        return face_measures(torch.cat(found).float())

    return measured


@torch.no_grad()
def drawn_changes(
    directions: Directions, generator: Generator, encoder: Encoder, data: Portraits
) -> Tensor:
    """What a typical amount of each of `MEASURED` draws, `[9, 9]`, by the face finder.

    Row k is the mean change of all measures, in their own typical amounts, when the k-th was asked
    for: the identity is perfect.
    """
    measured = _measuring(generator, data)
    latents = encoder(data.network_images())
    still = measured(latents)
    typical = torch.tensor([EXPRESSIONS[name] for name in MEASURED])
    rows = [
        changes(still, measured(latents + directions.along({name: EXPRESSIONS[name]}))).mean(0)
        for name in MEASURED
    ]
    return torch.stack(rows) / typical


@torch.no_grad()
def shares_drawn(
    directions: Directions,
    generator: Generator,
    encoder: Encoder,
    data: Portraits,
    lengths: Sequence[float] = (1.0,),
) -> Tensor:
    """How near each direction comes to its warp at each length, `[K, len(lengths)]`.

    One less the L1 distance of what is drawn from the warp of what was drawn before, as a share of
    the distance when nothing moves, each pixel weighted by how far the warp changes it: 1 is
    perfect, 0 is no better than nothing.
    """
    latents = encoder(data.network_images())
    still = torch.cat([generator(part) for part in latents.split(8)])
    grid = pixel_grid(still.shape[-1]).expand(len(still), -1, -1, -1)
    rows: list[Tensor] = []
    for name in directions.config.names:
        typical = EXPRESSIONS[name]
        amounts = torch.zeros(len(still), len(EXPRESSIONS))
        amounts[:, list(EXPRESSIONS).index(name)] = typical
        wanted = express(still, data.landmarks, amounts, grid).images
        due = (wanted - still).abs()
        step = directions.along({name: typical})
        away = [
            torch.cat([generator(part + length * step) for part in latents.split(8)]) - wanted
            for length in lengths
        ]
        rows.append(torch.stack([1 - (d.abs() * due).sum() / due.square().sum() for d in away]))
    return torch.stack(rows)


def lengthen(directions: Directions, shares: Tensor, lengths: Sequence[float]) -> Tensor:
    """Give each direction the length that comes nearest to its warp, in place.

    Args:
        directions: of `EXPRESSIONS`.
        shares: as of `shares_drawn`.
        lengths: the same.

    Returns:
        The factors, `[K]`.
    """
    factors = torch.tensor(lengths)[shares.argmax(1)]
    directions.vectors.mul_(factors[:, None, None].to(directions.vectors))
    return factors


@torch.no_grad()
def close_lids(
    directions: Directions,
    generator: Generator,
    encoder: Encoder,
    data: Portraits,
    lengths: Sequence[float],
) -> float:
    """Give the lids' directions the length that shuts both eyes, in place.

    What comes nearest to the warp leaves a slit: of eyes that shut a little too far or too late, a
    distance of pictures makes eyes that shut half.

    Args:
        directions: of `EXPRESSIONS`.
        generator: draws.
        encoder: gives the latents that steps are taken from.
        data: portraits at the encoder's resolution.
        lengths: to choose from, ascending.

    Returns:
        The factor: the first at which the face finder sees `SHUT`, or the last.
    """
    measured = _measuring(generator, data)
    latents = encoder(data.network_images())
    still = measured(latents)
    lids = [MEASURED.index(name) for name in LIDS]
    step = directions.along(dict.fromkeys(LIDS, 1.0))
    factor = lengths[-1]
    for length in lengths:
        closed = changes(still, measured(latents + length * step))[:, lids]
        if closed.mean() >= SHUT:
            factor = length
            break
    known = [directions.config.names.index(name) for name in LIDS]
    directions.vectors[known] *= factor
    return factor


def main(argv: list[str] | None = None) -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__, prog="weights.training.directions")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", default="portrait-128")
    parser.add_argument("--views", type=int, default=3)
    parser.add_argument("--images", type=int, default=4000, help="to fit to; default %(default)s")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args(argv)
    arguments.out.mkdir(parents=True, exist_ok=True)
    generator, encoder = load_generator(arguments.name), load_encoder(arguments.name)
    if encoder is None:
        raise WeightsError(f"{arguments.name} has no encoder: train one first")
    side = encoder.config.resolution
    found = load_directions(arguments.name)
    data = load_portraits(arguments.data, "train", side)
    if found is None:
        found = find_directions(encoder, data, views=arguments.views, seed=arguments.seed)
    if arguments.images:
        perceptual, count = load_perceptual(), arguments.images
        fit_directions(
            found, generator, encoder, data, perceptual, images=count, seed=arguments.seed
        )
    some = load_portraits(arguments.data, "train", side, limit=MEASURED_ON)
    shares = shares_drawn(found, generator, encoder, some, LENGTHS)
    factors = lengthen(found, shares, LENGTHS)
    longer = close_lids(found, generator, encoder, some, LENGTHS)
    held_out = load_portraits(arguments.data, "val", side, limit=MEASURED_ON)
    shares = shares_drawn(found, generator, encoder, held_out)
    drawn = drawn_changes(found, generator, encoder, held_out)
    for name, factor, share in zip(found.config.names, factors, shares, strict=True):
        sys.stdout.write(f"{name}: length x {factor:.2f}, nearer to the warp by {share[0]:.2f}\n")
    sys.stdout.write(f"lids: length x {longer:.2f} again, which shuts both eyes\n")
    for name, row in zip(MEASURED, drawn, strict=True):
        seen = dict(zip(MEASURED, (round(v, 2) for v in row.tolist()), strict=True))
        sys.stdout.write(f"{name} draws {json.dumps(seen)}\n")
    path = arguments.out / f"{Path(arguments.name).stem}-directions.safetensors"
    save_directions(path, found, what=f"directions of {Path(arguments.name).stem}")


if __name__ == "__main__":
    main()
