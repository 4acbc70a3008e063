"""Give a generator trained by reconstruction its mapping network, and write what goes with it.

    python -m weights.training.mapping --data PORTRAITS --run RUN --out FOLDER --name portrait-128

Training by reconstruction leaves the mapping network untouched. The encoder's w of colour
portraits are close to a Gaussian, so z is sent to that Gaussian in closed form, by one layer. Its
leaky ReLU would bend what is negative; therefore the latent space is first shifted, in the
generator and the encoder alike, until practically all latents are positive. No picture changes.
The steps learnt become directions; `weights.training.directions` then measures and scales them.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from weights.directions import Directions, DirectionsConfig
from weights.encoder import Encoder
from weights.layers import ACTIVATION_GAIN, FullyConnected
from weights.store import save_directions, save_encoder, save_generator
from weights.stylegan2 import Generator
from weights.training.checkpoint import load_checkpoint
from weights.training.expressions import EXPRESSIONS
from weights.training.portraits import Portraits, flip, load_portraits, random_warp
from weights.training.reconstruction import Networks, Steps, portrait_config, shift_latents

WHAT = "{} px portraits, trained on public-domain official portraits"


@torch.no_grad()
def encoded_portraits(encoder: Encoder, data: Portraits, views: int, seed: int) -> Tensor:
    """The encoder's w `[views * N, w_dim]` of colour portraits under random warps and mirrors."""
    rng = torch.Generator().manual_seed(seed)
    images = data.network_images(data.colour)
    landmarks = data.landmarks[data.colour]
    found: list[Tensor] = []
    for _ in range(views):
        mirrored = torch.rand(len(images), generator=rng) < 0.5
        for k in range(0, len(images), 64):
            batch = slice(k, k + 64)
            view, points = flip(images[batch], landmarks[batch], mirrored[batch])
            found.append(encoder.base_and_offsets(random_warp(view, points, rng))[0])
    return torch.cat(found)


def gaussian_of(latents: Tensor) -> tuple[Tensor, Tensor]:
    """Mean `[D]` and axes `[D, D]` of samples `[N, D]`: mean + z @ axes has their covariance."""
    mean = latents.mean(0)
    covariance = torch.cov((latents - mean).t().double())
    variance, directions = torch.linalg.eigh(covariance)
    return mean, (variance.clamp(min=0).sqrt()[:, None] * directions.t()).float()


@torch.no_grad()
def with_mapping(generator: Generator, encoder: Encoder, latents: Tensor) -> Generator:
    """A copy of `generator` whose mapping network draws from the Gaussian of `latents` `[N, D]`.

    Args:
        generator: stays as it is but for the shift of its latent space.
        encoder: the same shift is applied to it, in place.
        latents: the encoder's w, before the shift.
    """
    mean, axes = gaussian_of(latents)
    deviation = axes.square().sum(0).sqrt()
    shift = (5 * deviation - mean).clamp(min=0)
    shift_latents(generator, encoder, shift)
    dimensions = len(mean)
    config = replace(generator.config, mapping_layers=1, z_dim=dimensions)
    finished = Generator(config)
    finished.synthesis.load_state_dict(generator.synthesis.state_dict())
    layer = finished.mapping.get_submodule("fc0")
    if isinstance(layer, FullyConnected):
        layer.weight.copy_(axes.t() / (layer.weight_gain * ACTIVATION_GAIN))
        layer.bias.copy_((mean + shift) / (layer.bias_gain * ACTIVATION_GAIN))
    finished.mapping.w_avg.copy_(mean + shift)
    return finished


def directions_of(steps: Steps) -> Directions:
    """The steps that training found, each as long as one unit of its expression."""
    _, num_latents, w_dim = steps.weight.shape
    names = tuple(EXPRESSIONS)
    found = Directions(DirectionsConfig(names=names, num_latents=num_latents, w_dim=w_dim))
    typical = torch.tensor(list(EXPRESSIONS.values()))
    found.vectors.copy_(steps.weight.detach() / typical[:, None, None])
    return found


def main(argv: list[str] | None = None) -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__, prog="weights.training.mapping")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", default="portrait-128")
    parser.add_argument("--start", help="what the run went on from, if anything")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args(argv)
    networks = (
        Networks.fresh(portrait_config(), arguments.seed)
        if arguments.start is None
        else Networks.finished(arguments.start)
    )
    load_checkpoint(arguments.run / "checkpoint.safetensors", networks.modules(), {})
    generator, encoder = networks.average_generator, networks.average_encoder
    for block in generator.synthesis.blocks():
        for _, layer in block.layers():
            layer.noise_strength.data.zero_()
    data = load_portraits(arguments.data, "train", generator.config.resolution)
    latents = encoded_portraits(encoder, data, 3, arguments.seed)
    finished = with_mapping(generator, encoder, latents)
    path = arguments.out / f"{arguments.name}.safetensors"
    save_generator(path, finished, what=WHAT.format(generator.config.resolution))
    path = arguments.out / f"{arguments.name}-encoder.safetensors"
    save_encoder(path, encoder, what=f"encoder of {arguments.name}")
    path = arguments.out / f"{arguments.name}-directions.safetensors"
    found = directions_of(networks.average_steps)
    save_directions(path, found, what=f"directions of {arguments.name}")


if __name__ == "__main__":
    main()
