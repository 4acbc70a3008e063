"""Train a generator and its encoder together, by reconstruction of aligned portraits.

    python -m weights.training.reconstruction --data PORTRAITS --trunk LPIPS_TRUNK --out RUN

The encoder sees a warped portrait and gives a w and small per-layer offsets; the generator must
draw that same picture. Many of the warps are strong expressions. For most of those the encoder sees
the portrait without it, and a step in the latents, learnt along and the same for everybody, must
lead to the one that is drawn, or back: so directions arise that mean what they say. Some steps must
lead to the warp of what the generator itself draws without them, which leaves nothing to learn but
the expression, and the encoder must read a warped portrait as the plain one and the step.
Training starts at a coarse block of the skip architecture and ends at the full resolution, or goes
on from finished networks (`--start portrait-128 --images 70000 --rate 0.002`). Nothing adversarial:
a few thousand portraits and a processor without a GPU allow it. A run goes on from
`RUN/checkpoint.safetensors` when that is there. Several processes share each batch:

    torchrun --nproc-per-node 4 -m -- weights.training.reconstruction ...
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from weights.directions import Directions
from weights.dtypes import choose_dtype
from weights.encoder import Encoder, EncoderConfig
from weights.errors import WeightsError
from weights.layers import FullyConnected
from weights.perceptual import Perceptual, load_lpips
from weights.store import load_directions, load_encoder, load_generator
from weights.stylegan2 import Generator, GeneratorConfig
from weights.training.checkpoint import load_checkpoint, save_checkpoint
from weights.training.expressions import EXPRESSIONS, express
from weights.training.losses import (
    attended_l1,
    jittered_perceptual,
    perceptual_at_eyes,
    pyramid_l1,
)
from weights.training.pairs import Batch, Shares, disagreement, with_expressions, with_own
from weights.training.portraits import Portraits, flip, load_portraits, pixel_grid
from weights.training.processes import (
    average_gradients,
    join_processes,
    mean_over_processes,
    processes,
    rank,
)
from weights.training.sheets import save_sheet


@dataclass(frozen=True, kw_only=True)
class ReconstructionOptions:
    """What a run is determined by.

    Attributes:
        stages: (side of the picture, training images up to the end of that stage), coarse to fine.
        batch: pictures per step.
        learning_rate: Adam's, for the generator; the encoder takes `encoder_share` of it.
        encoder_share: see `learning_rate`.
        steps_share: the same for the steps.
        warmup: images until the full learning rate.
        floor: share of the learning rate left at the end of its cosine decay.
        latent_noise: standard deviation of the noise added to the latents.
        keep_offsets: probability that a sample uses the encoder's per-layer offsets.
        noise_until: images after which the noise inputs are switched off, and their strength set to
            zero in what is shipped: they sharpen hair early, but their texture stays in place when
            a part of the face moves.
        shares: of pictures with expressions.
        attention: weight of the L1 at eyes, mouth and whatever a step has to change.
        eyes: weight of the perceptual distance of the eyes alone.
        agreement: weight of the encoder's reading of a pair's difference.
        averaging: decay per step of the parameters' moving average, which is what is shipped.
        seed: of everything random.
    """

    stages: tuple[tuple[int, int], ...] = ((64, 60_000), (128, 160_000))
    batch: int = 8
    learning_rate: float = 4e-3
    encoder_share: float = 1 / 10
    steps_share: float = 0.5
    warmup: int = 1600
    floor: float = 0.05
    latent_noise: float = 0.05
    keep_offsets: float = 0.5
    noise_until: int = 84_000
    shares: Shares = field(default_factory=Shares)
    attention: float = 1.0
    eyes: float = 2.5
    agreement: float = 4.0
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


class Steps(nn.Module):
    """What a typical amount of each of `EXPRESSIONS` adds to the latents, `[K, L, D]`."""

    def __init__(self, num_latents: int, w_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(len(EXPRESSIONS), num_latents, w_dim))

    def forward(self, amounts: Tensor) -> Tensor:
        """Amounts `[N, K]` in the units of `EXPRESSIONS` -> `[N, L, D]`."""
        typical = amounts / amounts.new_tensor(list(EXPRESSIONS.values()))
        return torch.einsum("nk,kld->nld", typical, self.weight)

    @torch.no_grad()
    def follow(self, directions: Directions) -> None:
        """Begin with those directions that there are."""
        known = [name for name in EXPRESSIONS if name in directions.config.names]
        for name in known:
            step = directions.along({name: EXPRESSIONS[name]})[0]
            self.weight[list(EXPRESSIONS).index(name)] = step


@dataclass
class Networks:
    """The networks in training and their moving averages."""

    generator: Generator
    encoder: Encoder
    steps: Steps
    average_generator: Generator
    average_encoder: Encoder
    average_steps: Steps

    @staticmethod
    def of(
        generator: Generator, encoder: Encoder, directions: Directions | None = None
    ) -> Networks:
        """These, and for what has no direction steps that do nothing yet."""
        steps = Steps(generator.config.num_latents, generator.config.w_dim)
        if directions is not None:
            steps.follow(directions)
        live = (generator, encoder, steps)
        return Networks(*live, *copy.deepcopy(live))

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
        return Networks.of(generator, encoder)

    @staticmethod
    def finished(name: str) -> Networks:
        """A generator, encoder and directions to train further, latents centred as in training.

        Raises:
            WeightsError: no such generator, or one without an encoder.
        """
        generator, encoder = load_generator(name), load_encoder(name)
        if encoder is None:
            raise WeightsError(f"{name} has no encoder to train on")
        generator, encoder = copy.deepcopy(generator).train(), copy.deepcopy(encoder).train()
        shift_latents(generator, encoder, -generator.mapping.w_avg)
        directions = load_directions(name)
        return Networks.of(generator.requires_grad_(), encoder.requires_grad_(), directions)

    def modules(self) -> dict[str, nn.Module]:
        """Name in a checkpoint -> network."""
        return {
            "generator": self.generator,
            "encoder": self.encoder,
            "steps": self.steps,
            "average_generator": self.average_generator,
            "average_encoder": self.average_encoder,
            "average_steps": self.average_steps,
        }

    @property
    def device(self) -> torch.device:
        """Where they are."""
        return self.steps.weight.device

    def to(self, device: torch.device) -> None:
        """Move all of them."""
        for network in self.modules().values():
            network.to(device)

    def average(self, decay: float) -> None:
        """Move the averages towards the networks in training."""
        for mean, live in (
            (self.average_generator, self.generator),
            (self.average_encoder, self.encoder),
            (self.average_steps, self.steps),
        ):
            for average, parameter in zip(mean.parameters(), live.parameters(), strict=True):
                average.data.lerp_(parameter.data, 1 - decay)


@torch.no_grad()
def shift_latents(generator: Generator, encoder: Encoder, shift: Tensor) -> None:
    """Add `shift` `[D]` to every latent, in place, so that the pictures stay as they are."""
    encoder.base.bias.add_(shift)
    for name, layer in generator.synthesis.named_modules():
        if name.endswith("affine") and isinstance(layer, FullyConnected):
            layer.bias.sub_(layer.weight @ shift * (layer.weight_gain / layer.bias_gain))


def batches(data: Portraits, options: ReconstructionOptions, start: int) -> Iterator[Batch]:
    """Warped portraits; the n-th batch depends on the seed and n alone."""
    weights = torch.where(data.colour, 1.0, 0.6)
    for step in range(start // options.batch, options.images // options.batch):
        rng = torch.Generator().manual_seed(options.seed * 1_000_003 + step)
        chosen = torch.multinomial(weights, options.batch, replacement=False, generator=rng)
        images = data.network_images(chosen)
        mirrored = torch.rand(options.batch, generator=rng) < 0.5
        images, landmarks = flip(images, data.landmarks[chosen], mirrored)
        yield with_expressions(images, landmarks, options.shares, rng)


def train_step(
    networks: Networks,
    optimizer: torch.optim.Optimizer,
    perceptual: Perceptual,
    batch: Batch,
    options: ReconstructionOptions,
    seen: int,
) -> dict[str, float]:
    """One step of Adam on this process's share of a batch; returns the parts of the loss."""
    rng = torch.Generator().manual_seed(options.seed * 7_919 + seen)
    device = batch.shown.device
    side = options.side(seen)
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * options.rate(seen)
    dtype = networks.generator.compute_dtype
    with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
        base, offsets = networks.encoder.base_and_offsets(batch.shown)
    # Drawn for all processes alike, so that they differ in their pictures alone.
    mine = slice(rank() * len(base), (rank() + 1) * len(base))
    whole = (len(base) * processes(), *offsets.shape[1:])
    kept = torch.rand(len(base) * processes(), 1, 1, generator=rng) < options.keep_offsets
    wander = options.latent_noise * torch.randn(whole, generator=rng)
    latents = base[:, None] + offsets * kept[mine].to(offsets) + wander[mine].to(device)
    noise = "random" if seen < options.noise_until else "none"
    torch.manual_seed(rng.initial_seed() + rank())
    steps = networks.steps(batch.change)
    output = networks.generator.synthesize(latents + steps, until=side, noise=noise).image
    if output is None:
        raise WeightsError("the generator drew no image")
    wanted, attention = batch.wanted, batch.attention
    if batch.own.any():
        still = render(networks, latents[batch.own], side, wanted.shape[-1])
        wanted, attention = with_own(batch, still)
    target, attention = (
        picture if side == picture.shape[-1] else F.interpolate(picture, (side, side), mode="area")
        for picture in (wanted, attention)
    )
    l1, l1_at_parts = pyramid_l1(output, target), attended_l1(output, target, attention)
    with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
        distance = jittered_perceptual(perceptual, output, target, rng)
        eyes = perceptual_at_eyes(perceptual, output, target)
        pairs = disagreement(networks.encoder, batch, base[:, None] + offsets + steps.detach())
    size = 5e-4 * base.square().mean() + 0.01 * base.mean(0).square().mean()
    loss = 2 * l1 + options.attention * l1_at_parts + distance + options.eyes * eyes
    loss = loss + size + 0.02 * offsets.square().mean() + options.agreement * pairs
    optimizer.zero_grad()
    loss.backward()
    for group in optimizer.param_groups:
        average_gradients(group["params"])
    optimizer.step()
    return {
        "l1": l1.item(),
        "parts": l1_at_parts.item(),
        "eyes": eyes.item(),
        "pairs": pairs.item(),
        perceptual.name: distance.item(),
        "w": base.square().mean().item(),
    }


@torch.no_grad()
def render(networks: Networks, latents: Tensor, side: int, size: int) -> Tensor:
    """What the averaged generator draws, up to the block of `side`, at `size` pixels."""
    drawn: list[Tensor] = []
    for part in latents.split(8):
        image = networks.average_generator.synthesize(part, until=side, noise="none").image
        if image is None:
            raise WeightsError("the generator drew no image")
        drawn.append(F.interpolate(image, (size, size), mode="bilinear"))
    return torch.cat(drawn).clamp(-1, 1)


@torch.no_grad()
def evaluate(
    networks: Networks, data: Portraits, perceptual: Perceptual, side: int
) -> tuple[dict[str, float], Tensor]:
    """Held-out figures of the averaged networks at the data's size, and pictures to look at.

    Returns:
        Figures (perceptual distance and PSNR of the encoder's reconstruction) and rows
        `[3, 10, 3, R, R]`: portraits, reconstructions, mixtures of neighbours' latents.
    """
    images = data.network_images(slice(64)).to(networks.device)
    latents = networks.average_encoder(images)
    output = render(networks, latents, side, images.shape[-1])
    psnr = -10 * ((output - images) / 2).square().mean((1, 2, 3)).log10()
    figures = {
        perceptual.name: perceptual(output, images).mean().item(),
        "psnr": psnr.mean().item(),
    }
    mixed = render(networks, (latents[:10] + latents[1:11]) / 2, side, images.shape[-1])
    return figures, torch.stack([images[:10], output[:10], mixed])


SHOWN: tuple[dict[str, float], ...] = (
    {"lid-left": 1.0, "lid-right": 1.0}, {"lid-left": 1.0}, {"lid-left": -0.4, "lid-right": -0.4},
    {"mouth-open": 0.3}, {"mouth-open": -0.15}, {"smile": 0.12, "mouth-width": 0.12},
    {"brow-left": 0.12, "brow-right": 0.12}, {"yaw": 10.0}, {"pitch": 8.0}, {"gaze-x": 0.07},
    {"chin": 0.14}, {"jaw-left": 0.12, "jaw-right": 0.12}, {"nose": 0.08}, {"lower-lids": 0.05},
)  # fmt: skip
"""Expressions in the sheets."""


@torch.no_grad()
def expression_rows(networks: Networks, data: Portraits, side: int) -> Tensor:
    """Pictures to look at, `[3 * len(SHOWN), 10, 3, R, R]`.

    For each expression a row of held-out portraits' warps, one of what the encoder makes of those,
    and one of what the step from the portraits' own latents leads to.
    """
    chosen = slice(0, 40, 4)
    images, landmarks = data.network_images(chosen), data.landmarks[chosen]
    size = images.shape[-1]
    grid = pixel_grid(size).expand(len(images), -1, -1, -1)
    latents = networks.average_encoder(images.to(networks.device))
    rows: list[Tensor] = []
    for expression in SHOWN:
        amounts = torch.tensor([[expression.get(name, 0.0) for name in EXPRESSIONS]])
        amounts = amounts.expand(len(images), -1)
        warped = express(images, landmarks, amounts, grid).images.to(networks.device)
        step = networks.average_steps(amounts.to(networks.device))
        rows.append(warped)
        rows.append(render(networks, networks.average_encoder(warped), side, size))
        rows.append(render(networks, latents + step, side, size))
    return torch.stack(rows)


def train(
    data: Path, trunk: Path, out: Path, networks: Networks, options: ReconstructionOptions,
    *, device: torch.device, minutes: float = math.inf, report_every: int = 4000,
) -> Networks:  # fmt: skip
    """Run or resume a training; leaves `checkpoint.safetensors` and sheets in `out`.

    Args:
        data: folder of portraits.
        trunk: LPIPS trunk.
        out: of checkpoint and sheets.
        networks: to start from, trained in place.
        options: see there.
        device: where to train.
        minutes: stop, resumable, after so many.
        report_every: images between two reports.

    Raises:
        WeightsError: data or trunk unusable, or a loss that is not finite.
    """
    resolution = networks.generator.config.resolution
    portraits = load_portraits(data, "train", resolution)
    held_out = load_portraits(data, "val", resolution)
    perceptual = load_lpips(trunk).to(device)
    networks.to(device)
    dtype = choose_dtype(device)
    networks.generator.compute_dtype = networks.average_generator.compute_dtype = dtype
    optimizer = _optimizer(networks, options)
    path = out / "checkpoint.safetensors"
    seen = load_checkpoint(path, networks.modules(), {"all": optimizer}) if path.exists() else 0
    deadline = time.monotonic() + 60 * minutes
    if options.batch % processes():
        raise WeightsError(
            f"a batch of {options.batch} cannot be shared by {processes()} processes"
        )
    bar = tqdm(total=options.images, initial=seen, unit="img", smoothing=0.05, disable=rank() > 0)
    for batch in batches(portraits, options, seen):
        losses = train_step(networks, optimizer, perceptual, batch.share(device), options, seen)
        seen += options.batch
        if not all(map(math.isfinite, losses.values())):
            raise WeightsError(f"the loss is not finite after {seen} images: lower the rate")
        networks.average(min(options.averaging, 1 - 10 / (10 + seen / options.batch)))
        bar.update(options.batch)
        bar.set_postfix({k: f"{v:.3f}" for k, v in losses.items()}, refresh=False)
        late = mean_over_processes(torch.tensor(float(time.monotonic() > deadline), device=device))
        finished = seen >= options.images or bool(late > 0)
        if rank() == 0 and (seen % report_every < options.batch or finished):
            side = options.side(seen - 1)
            figures, rows = evaluate(networks, held_out, perceptual, side)
            save_sheet(rows, out / f"sheet-{seen:07d}.png")
            rows = expression_rows(networks, held_out, side)
            save_sheet(rows, out / f"expressions-{seen:07d}.png")
            header = {"seen": str(seen), "options": str(asdict(options))}
            save_checkpoint(path, networks.modules(), {"all": optimizer}, header)
            bar.write(f"{seen} images: " + " ".join(f"{k} {v:.4f}" for k, v in figures.items()))
        if finished:
            break
    bar.close()
    return networks


def _optimizer(networks: Networks, options: ReconstructionOptions) -> torch.optim.Adam:
    drawing = [p for n, p in networks.generator.named_parameters() if not n.startswith("mapping")]
    encoder_rate = options.learning_rate * options.encoder_share
    steps_rate = options.learning_rate * options.steps_share
    return torch.optim.Adam(
        [
            {"params": drawing, "initial_lr": options.learning_rate},
            {"params": list(networks.encoder.parameters()), "initial_lr": encoder_rate},
            {"params": list(networks.steps.parameters()), "initial_lr": steps_rate},
        ],
        betas=(0.9, 0.99),
        fused=True,
    )


def main(argv: list[str] | None = None) -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__, prog="weights.training.reconstruction")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--trunk", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", help="go on from this generator and its encoder")
    parser.add_argument("--images", type=int, help="with --start: images in the whole run")
    parser.add_argument("--rate", type=float, help="learning rate of the generator")
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu", help="cpu or cuda; default %(default)s")
    parser.add_argument("--seed", type=int, default=ReconstructionOptions.seed)
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)  # Some processors take several times as long for such numbers.
    arguments.out.mkdir(parents=True, exist_ok=True)
    options = ReconstructionOptions(seed=arguments.seed)
    if arguments.rate is not None:
        options = replace(options, learning_rate=arguments.rate)
    if arguments.start is None:
        networks = Networks.fresh(portrait_config(), options.seed)
    else:
        networks = Networks.finished(arguments.start)
        stage = (networks.generator.config.resolution, arguments.images or options.images)
        options = replace(options, stages=(stage,), noise_until=0)
    train(
        arguments.data,
        arguments.trunk,
        arguments.out,
        networks,
        options,
        device=join_processes(torch.device(arguments.device)),
        minutes=arguments.minutes,
    )


if __name__ == "__main__":
    main()
