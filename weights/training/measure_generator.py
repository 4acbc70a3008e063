"""How true an encoder's reconstructions are, on portraits that it did not see.

    python -m weights.training.measure_generator --data PORTRAITS --trunk LPIPS_TRUNK --out FOLDER

Prints the figures as JSON and leaves a contact sheet of reconstructions and one of the generator's
samples, which `photodrag evaluate samples` measures.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch
from torch import Tensor

from weights.encoder import Encoder
from weights.errors import MissingWeightsError
from weights.perceptual import Perceptual, load_lpips
from weights.store import DEFAULT_GENERATOR, load_encoder, load_generator
from weights.stylegan2 import Generator
from weights.training.portraits import Portraits, load_portraits
from weights.training.sheets import save_sheet


@torch.no_grad()
def sample(generator: Generator, count: int, *, psi: float, seed: int) -> Tensor:
    """Draw pictures `[count, 3, R, R]` in [-1, 1]."""
    z = torch.randn(count, generator.config.z_dim, generator=torch.Generator().manual_seed(seed))
    return torch.cat([generator(generator.map(part, psi)) for part in z.split(8)]).clamp(-1, 1)


@torch.no_grad()
def reconstruct(generator: Generator, encoder: Encoder, images: Tensor) -> Tensor:
    """What the encoder alone gives back of images `[N, 3, R, R]` in [-1, 1]."""
    return torch.cat([generator(encoder(part)) for part in images.split(8)]).clamp(-1, 1)


@torch.no_grad()
def distances(perceptual: Perceptual, a: Tensor, b: Tensor) -> Tensor:
    """Perceptual distance of each pair of pictures, `[N]`."""
    pairs = zip(a.split(8), b.split(8), strict=True)
    return torch.cat([perceptual(x, y) for x, y in pairs])


def reconstruction_figures(
    output: Tensor, held_out: Portraits, perceptual: Perceptual
) -> dict[str, float]:
    """Mean perceptual distance of reconstructions, all, colour and gray, and mean PSNR in dB."""
    images = held_out.network_images()
    distance = distances(perceptual, output, images)
    psnr = -10 * ((output - images) / 2).square().mean((1, 2, 3)).log10()
    return {
        "perceptual": distance.mean().item(),
        "perceptual_colour": distance[held_out.colour].mean().item(),
        "perceptual_gray": distance[~held_out.colour].mean().item(),
        "psnr": psnr.mean().item(),
    }


def main(argv: list[str] | None = None) -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__, prog="weights.training.measure_generator")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--trunk", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--generator", default=DEFAULT_GENERATOR)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    generator, encoder = load_generator(arguments.generator), load_encoder(arguments.generator)
    if encoder is None:
        raise MissingWeightsError(f"{arguments.generator} has no encoder to measure")
    perceptual = load_lpips(arguments.trunk)
    side = generator.config.resolution
    held_out = load_portraits(arguments.data, "val", side)
    output = reconstruct(generator, encoder, held_out.network_images())
    samples = sample(generator, arguments.samples, psi=0.7, seed=arguments.seed)
    columns = min(8, len(samples))
    rows = samples[: len(samples) // columns * columns].unflatten(0, (-1, columns))
    save_sheet(rows, arguments.out / "samples.png")
    pictures = torch.stack([held_out.network_images(slice(10)), output[:10]])
    save_sheet(pictures, arguments.out / "reconstructions.png")
    figures = reconstruction_figures(output, held_out, perceptual)
    json.dump({name: round(value, 4) for name, value in figures.items()}, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
