"""Train an encoder for a generator from the generator's own samples.

Each picture is a sample whose latents are known. The encoder learns to give them back (as in
Richardson et al., "Encoding in Style", 2021, with samples in the place of photos), and to give
latents that draw the picture again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from weights.encoder import Encoder, EncoderConfig
from weights.errors import WeightsError
from weights.perceptual import Perceptual
from weights.store import save_encoder
from weights.stylegan2 import Generator
from weights.training.checkpoint import load_checkpoint, save_checkpoint
from weights.training.losses import pyramid_l1

DRAWN_SIDE = 256
"""Side of the largest block whose colour image the encoder's latents are compared on."""


@dataclass(frozen=True, kw_only=True)
class EncoderOptions:
    """What a run is determined by.

    Attributes:
        images: samples in the whole run.
        batch: of them in a step.
        learning_rate: Adam's, at the start of its cosine decay.
        psi: truncation of the samples.
        mixing: share of the samples that take their later layers from a second one.
        latent_weight: weight of the latents' mean square error, in deviations.
        offsets_weight: weight of the size of the per-layer offsets.
        checkpoint_every: images between two checkpoints.
        seed: of everything random.
    """

    images: int = 40_000
    batch: int = 8
    learning_rate: float = 7e-4
    psi: float = 0.8
    mixing: float = 0.5
    latent_weight: float = 1.0
    offsets_weight: float = 0.02
    checkpoint_every: int = 2000
    seed: int = 1


@dataclass(frozen=True, kw_only=True)
class EncoderStep:
    """State of a training after one step.

    Attributes:
        seen: samples so far.
        latent: mean square error of the latents, in deviations.
        picture: distance of the pictures, mean absolute difference plus perceptual distance.
    """

    seen: int
    latent: float
    picture: float


def sample(generator: Generator, options: EncoderOptions, rng: torch.Generator) -> Tensor:
    """Latents `[batch, L, w_dim]`, some with the early layers of one sample and another's later."""
    layers, device = generator.config.num_latents, generator.mapping.w_avg.device
    z = torch.randn(2 * options.batch, generator.config.z_dim, generator=rng)
    first, second = generator.map(z.to(device), options.psi).split(options.batch)
    cut = torch.randint(1, layers, (options.batch, 1, 1), generator=rng)
    mixed = torch.rand(options.batch, 1, 1, generator=rng) < options.mixing
    later = mixed & (torch.arange(layers)[None, :, None] >= cut)
    return torch.where(later.to(device), second, first)


def train_encoder(
    generator: Generator,
    perceptual: Perceptual,
    path: Path,
    options: EncoderOptions,
) -> Iterator[EncoderStep]:
    """Train an encoder and write it, step by step; goes on from `path` + ".part" when it is there.

    Args:
        generator: frozen.
        perceptual: distance between pictures.
        path: file to write at the end.
        options: see there.

    Yields:
        A step at a time.

    Raises:
        WeightsError: the loss is not finite.
    """
    config, device = generator.config, generator.mapping.w_avg.device
    torch.manual_seed(options.seed)
    shape = EncoderConfig(
        resolution=config.resolution, num_latents=config.num_latents, w_dim=config.w_dim
    )
    encoder = Encoder(shape).to(device)
    with torch.no_grad():
        encoder.base.bias.copy_(generator.mapping.w_avg)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=options.learning_rate, betas=(0.9, 0.99))
    part = path.with_name(f"{path.stem}.part{path.suffix}")
    networks, optimizers = {"encoder": encoder}, {"encoder": optimizer}
    seen = load_checkpoint(part, networks, optimizers) if part.exists() else 0
    unit = _deviation(generator)
    while seen < options.images:
        rng = torch.Generator().manual_seed(options.seed * 1_000_003 + seen)
        rate = options.learning_rate * (0.5 + 0.5 * math.cos(math.pi * seen / options.images))
        optimizer.param_groups[0]["lr"] = rate
        step = _step(encoder, optimizer, generator, perceptual, options, seen, unit, rng)
        seen = step.seen
        if not math.isfinite(step.latent + step.picture):
            raise WeightsError(f"the loss is not finite after {seen} samples: lower the rate")
        if seen % options.checkpoint_every < options.batch:
            save_checkpoint(part, networks, optimizers, {"seen": str(seen)})
        yield step
    what = f"encoder trained on {seen} samples of its generator"
    save_encoder(path, encoder.eval(), what=what)
    part.unlink(missing_ok=True)


def _step(
    encoder: Encoder,
    optimizer: torch.optim.Optimizer,
    generator: Generator,
    perceptual: Perceptual,
    options: EncoderOptions,
    seen: int,
    unit: float,
    rng: torch.Generator,
) -> EncoderStep:
    side = min(DRAWN_SIDE, generator.config.resolution)
    with torch.no_grad():
        latents = sample(generator, options, rng)
        image = generator(latents).clamp(-1, 1)
    base, offsets = encoder.base_and_offsets(image)
    found = base[:, None] + offsets
    latent = ((found - latents) / unit).square().mean()
    drawn = generator.synthesize(found, until=side).image
    if drawn is None:
        raise WeightsError("the generator drew no image")
    target = F.adaptive_avg_pool2d(image, side)
    picture = pyramid_l1(drawn, target) + perceptual(drawn, target).mean()
    sizes = (offsets / unit).square().mean()
    loss = options.latent_weight * latent + picture + options.offsets_weight * sizes
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return EncoderStep(
        seen=seen + options.batch, latent=float(latent.detach()), picture=float(picture.detach())
    )


@torch.no_grad()
def _deviation(generator: Generator) -> float:
    """Root mean square deviation of one coordinate of w."""
    z = torch.randn(200, generator.config.z_dim, generator=torch.Generator().manual_seed(0))
    w = generator.mapping(z.to(generator.mapping.w_avg.device))
    return max(1e-6, float((w - w.mean(0)).square().mean().sqrt()))
