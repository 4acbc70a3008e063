"""Fit a mapping network to the latents that the encoder gives to colour portraits.

    python -m weights.training.mapping --data PORTRAITS --run RUN --out FOLDER --name portrait-128

Training by reconstruction leaves the mapping network untouched. Here it learns to send Gaussian z
to the distribution of the encoder's w, by the energy distance between two batches (Szekely and
Rizzo, 2013), and the finished generator and encoder are written in half precision.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor
from tqdm import trange

from weights.store import save_encoder, save_generator
from weights.stylegan2 import MappingNetwork
from weights.training.checkpoint import load_checkpoint
from weights.training.portraits import Portraits, flip, load_portraits, random_warp
from weights.training.reconstruction import Networks, portrait_config

WHAT = "{} px portraits, trained on public-domain official portraits"


@torch.no_grad()
def encoded_portraits(networks: Networks, data: Portraits, views: int, seed: int) -> Tensor:
    """The encoder's w `[views * N, w_dim]` of colour portraits under random warps and mirrors."""
    rng = torch.Generator().manual_seed(seed)
    images = data.images[data.colour].float() / 127.5 - 1
    landmarks = data.landmarks[data.colour]
    found: list[Tensor] = []
    for _ in range(views):
        mirrored = torch.rand(len(images), generator=rng) < 0.5
        for k in range(0, len(images), 64):
            batch = slice(k, k + 64)
            view, points = flip(images[batch], landmarks[batch], mirrored[batch])
            warped = random_warp(view, points, rng)
            found.append(networks.average_encoder.base_and_offsets(warped)[0])
    return torch.cat(found)


def energy_distance(x: Tensor, y: Tensor) -> Tensor:
    """2 E|x - y| - E|x - x'| - E|y - y'| of two samples `[N, D]`; zero for equal distributions."""

    def within(a: Tensor) -> Tensor:
        return torch.cdist(a, a).sum() / (len(a) * (len(a) - 1))

    return 2 * torch.cdist(x, y).mean() - within(x) - within(y)


def fit_mapping(
    mapping: MappingNetwork, latents: Tensor, *, z_dim: int, steps: int, seed: int, batch: int = 256
) -> float:
    """Train `mapping` in place, set its mean latent, and return the last mean distance."""
    rng = torch.Generator().manual_seed(seed)
    # Stored parameters are a hundred times their effect, hence the large rate.
    optimizer = torch.optim.Adam(mapping.parameters(), lr=1.0, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    recent = 0.0
    for _ in trange(steps, unit="step"):
        chosen = torch.randint(len(latents), (batch,), generator=rng)
        loss = energy_distance(mapping(torch.randn(batch, z_dim, generator=rng)), latents[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        recent = 0.95 * recent + 0.05 * loss.item()
    with torch.no_grad():
        mapping.w_avg.copy_(mapping(torch.randn(20_000, z_dim, generator=rng)).mean(0))
    return recent


def main(argv: list[str] | None = None) -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__, prog="weights.training.mapping")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", default="portrait-128")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    config = portrait_config()
    networks = Networks.fresh(config, arguments.seed)
    load_checkpoint(arguments.run / "checkpoint.safetensors", networks.modules(), None)
    data = load_portraits(arguments.data, "train", config.resolution)
    latents = encoded_portraits(networks, data, 3, arguments.seed)
    generator = networks.average_generator
    fit_mapping(
        generator.mapping, latents, z_dim=config.z_dim, steps=arguments.steps, seed=arguments.seed
    )
    for block in generator.synthesis.blocks():
        for _, layer in block.layers():
            layer.noise_strength.data.zero_()
    what = WHAT.format(config.resolution)
    save_generator(arguments.out / f"{arguments.name}.safetensors", generator, what=what)
    encoder_path = arguments.out / f"{arguments.name}-encoder.safetensors"
    save_encoder(encoder_path, networks.average_encoder, what=f"encoder of {arguments.name}")


if __name__ == "__main__":
    main()
