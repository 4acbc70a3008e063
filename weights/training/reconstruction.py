"""Train a generator and its encoder together, by reconstruction of aligned portraits.

    python -m weights.training.reconstruction --data PORTRAITS --trunk LPIPS_TRUNK --out RUN

The encoder sees a warped portrait and gives a w and small per-layer offsets; the generator must
draw that same picture. It starts at a coarse block of the skip architecture and ends at the full
resolution. Nothing adversarial: a few thousand portraits and a processor without a GPU allow it.
A run goes on from `RUN/checkpoint.safetensors` when that is there.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from weights.encoder import Encoder, EncoderConfig
from weights.errors import WeightsError
from weights.perceptual import Perceptual, load_lpips
from weights.stylegan2 import Generator, GeneratorConfig
from weights.training.checkpoint import load_checkpoint, save_checkpoint
from weights.training.losses import jittered_perceptual, pyramid_l1
from weights.training.portraits import Portraits, flip, load_portraits, random_warp
from weights.training.sheets import save_sheet


@dataclass(frozen=True, kw_only=True)
class ReconstructionOptions:
    """What a run is determined by.

    Attributes:
        stages: (side of the picture, training images up to the end of that stage), coarse to fine.
        batch: pictures per step.
        learning_rate: Adam's, for the generator; the encoder takes `encoder_share` of it.
        encoder_share: see `learning_rate`.
        warmup: images until the full learning rate.
        floor: share of the learning rate left at the end of its cosine decay.
        latent_noise: standard deviation of the noise added to the latents.
        keep_offsets: probability that a sample uses the encoder's per-layer offsets.
        noise_until: images after which the noise inputs are switched off, and their strength set to
            zero in what is shipped: they sharpen hair early, but their texture stays in place when
            a part of the face moves.
        averaging: decay per step of the parameters' moving average, which is what is shipped.
        seed: of everything random.
    """

    stages: tuple[tuple[int, int], ...] = ((64, 60_000), (128, 160_000))
    batch: int = 8
    learning_rate: float = 4e-3
    encoder_share: float = 1 / 6
    warmup: int = 800
    floor: float = 0.05
    latent_noise: float = 0.05
    keep_offsets: float = 0.5
    noise_until: int = 84_000
    averaging: float = 0.998
    seed: int = 1

    @property
    def images(self) -> int:
        """Images in the whole run."""
        return self.stages[-1][1]

    def side(self, seen: int) -> int:
        """Side of the picture trained on after `seen` images."""
        return next((side for side, end in self.stages if seen < end), self.stages[-1][0])

    def rate(self, seen: int) -> float:
        """Share of the learning rate after `seen` images: linear warm-up, cosine decay."""
        decay = self.floor + (1 - self.floor) * (0.5 + 0.5 * math.cos(math.pi * seen / self.images))
        return min(1.0, (seen + 1) / self.warmup) * decay


def portrait_config() -> GeneratorConfig:
    """Shape of the built-in generator: 6.1 million parameters."""
    return GeneratorConfig(resolution=128, channel_base=4096, channel_max=256, mapping_layers=4)


@dataclass
class Networks:
    """The networks in training and their moving averages."""

    generator: Generator
    encoder: Encoder
    average_generator: Generator
    average_encoder: Encoder

    @staticmethod
    def fresh(config: GeneratorConfig, seed: int) -> Networks:
        """Random networks; the finest torgb starts at zero so that a new stage starts smoothly."""
        torch.manual_seed(seed)
        generator = Generator(config)
        for block in generator.synthesis.blocks()[1:]:
            nn.init.zeros_(block.torgb.weight)
        encoder = Encoder(
            EncoderConfig(
                resolution=config.resolution, num_latents=config.num_latents, w_dim=config.w_dim
            )
        )
        return Networks(generator, encoder, copy.deepcopy(generator), copy.deepcopy(encoder))

    def modules(self) -> dict[str, nn.Module]:
        """Name in a checkpoint -> network."""
        return {
            "generator": self.generator,
            "encoder": self.encoder,
            "average_generator": self.average_generator,
            "average_encoder": self.average_encoder,
        }

    def average(self, decay: float) -> None:
        """Move the averages towards the networks in training."""
        for mean, live in (
            (self.average_generator, self.generator),
            (self.average_encoder, self.encoder),
        ):
            for average, parameter in zip(mean.parameters(), live.parameters(), strict=True):
                average.data.lerp_(parameter.data, 1 - decay)


def batches(data: Portraits, options: ReconstructionOptions, start: int) -> Iterator[Tensor]:
    """Warped portraits `[batch, 3, R, R]`; the n-th batch depends on the seed and n alone."""
    weights = torch.where(data.colour, 1.0, 0.6)
    for step in range(start // options.batch, options.images // options.batch):
        rng = torch.Generator().manual_seed(options.seed * 1_000_003 + step)
        chosen = torch.multinomial(weights, options.batch, replacement=False, generator=rng)
        images = data.network_images(chosen)
        mirrored = torch.rand(options.batch, generator=rng) < 0.5
        images, landmarks = flip(images, data.landmarks[chosen], mirrored)
        yield random_warp(images, landmarks, rng)


def train_step(
    networks: Networks,
    optimizer: torch.optim.Optimizer,
    perceptual: Perceptual,
    images: Tensor,
    options: ReconstructionOptions,
    seen: int,
) -> dict[str, float]:
    """One step of Adam on a batch; returns the parts of the loss."""
    rng = torch.Generator().manual_seed(options.seed * 7_919 + seen)
    side = options.side(seen)
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * options.rate(seen)
    dtype = networks.generator.compute_dtype
    with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
        base, offsets = networks.encoder.base_and_offsets(images)
    kept = (torch.rand(len(images), 1, 1, generator=rng) < options.keep_offsets).float()
    latents = base[:, None] + offsets * kept
    latents = latents + options.latent_noise * torch.randn(latents.shape, generator=rng)
    noise = "random" if seen < options.noise_until else "none"
    output = networks.generator.synthesize(latents, until=side, noise=noise).image
    if output is None:
        raise WeightsError("the generator drew no image")
    target = (
        images if side == images.shape[-1] else F.interpolate(images, (side, side), mode="area")
    )
    l1 = pyramid_l1(output, target)
    with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
        distance = jittered_perceptual(perceptual, output, target, rng)
    size = 5e-4 * base.square().mean() + 0.01 * base.mean(0).square().mean()
    loss = 2 * l1 + distance + size + 0.02 * offsets.square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"l1": l1.item(), perceptual.name: distance.item(), "w": base.square().mean().item()}


@torch.no_grad()
def evaluate(
    networks: Networks, data: Portraits, perceptual: Perceptual, side: int
) -> tuple[dict[str, float], Tensor]:
    """Held-out figures of the averaged networks at the data's size, and pictures to look at.

    Returns:
        Figures (perceptual distance and PSNR of the encoder's reconstruction) and rows
        `[3, 10, 3, R, R]`: portraits, reconstructions, mixtures of neighbours' latents.
    """
    images = data.network_images(slice(64))
    latents = networks.average_encoder(images)

    def render(w: Tensor) -> Tensor:
        out = networks.average_generator.synthesize(w, until=side, noise="none").image
        if out is None:
            raise WeightsError("the generator drew no image")
        return F.interpolate(out, images.shape[2:], mode="bilinear").clamp(-1, 1)

    output = torch.cat([render(part) for part in latents.split(8)])
    psnr = -10 * ((output - images) / 2).square().mean((1, 2, 3)).log10()
    figures = {
        perceptual.name: perceptual(output, images).mean().item(),
        "psnr": psnr.mean().item(),
    }
    mixed = render((latents[:10] + latents[1:11]) / 2)
    return figures, torch.stack([images[:10], output[:10], mixed])


def train(
    data: Path, trunk: Path, out: Path, config: GeneratorConfig, options: ReconstructionOptions,
    *, minutes: float = math.inf, report_every: int = 4000,
) -> Networks:  # fmt: skip
    """Run or resume a training; leaves `checkpoint.safetensors` and sheets in `out`.

    Raises:
        WeightsError: data or trunk unusable, or a loss that is not finite.
    """
    portraits = load_portraits(data, "train", config.resolution)
    held_out = load_portraits(data, "val", config.resolution)
    perceptual = load_lpips(trunk)
    networks = Networks.fresh(config, options.seed)
    networks.generator.compute_dtype = networks.average_generator.compute_dtype = torch.bfloat16
    drawing = [p for n, p in networks.generator.named_parameters() if not n.startswith("mapping")]
    optimizer = torch.optim.Adam(
        [
            {"params": drawing, "initial_lr": options.learning_rate},
            {
                "params": list(networks.encoder.parameters()),
                "initial_lr": options.learning_rate * options.encoder_share,
            },
        ],
        betas=(0.9, 0.99),
        fused=True,
    )
    path = out / "checkpoint.safetensors"
    seen = load_checkpoint(path, networks.modules(), {"all": optimizer}) if path.exists() else 0
    deadline = time.monotonic() + 60 * minutes
    bar = tqdm(total=options.images, initial=seen, unit="img", smoothing=0.05)
    for images in batches(portraits, options, seen):
        losses = train_step(networks, optimizer, perceptual, images, options, seen)
        seen += options.batch
        if not all(map(math.isfinite, losses.values())):
            raise WeightsError(f"the loss is not finite after {seen} images: lower the rate")
        networks.average(min(options.averaging, 1 - 10 / (10 + seen / options.batch)))
        bar.update(options.batch)
        bar.set_postfix({k: f"{v:.3f}" for k, v in losses.items()}, refresh=False)
        finished = seen >= options.images or time.monotonic() > deadline
        if seen % report_every < options.batch or finished:
            figures, rows = evaluate(networks, held_out, perceptual, options.side(seen - 1))
            save_sheet(rows, out / f"sheet-{seen:07d}.png")
            header = {"seen": str(seen), "options": str(asdict(options))}
            save_checkpoint(path, networks.modules(), {"all": optimizer}, header)
            bar.write(f"{seen} images: " + " ".join(f"{k} {v:.4f}" for k, v in figures.items()))
        if finished:
            break
    bar.close()
    return networks


def main(argv: list[str] | None = None) -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__, prog="weights.training.reconstruction")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--trunk", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=ReconstructionOptions.seed)
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    arguments.out.mkdir(parents=True, exist_ok=True)
    options = ReconstructionOptions(seed=arguments.seed)
    train(
        arguments.data,
        arguments.trunk,
        arguments.out,
        portrait_config(),
        options,
        minutes=arguments.minutes,
    )


if __name__ == "__main__":
    main()
