"""Train a StyleGAN2 generator against a discriminator, from nothing or from a generator's file.

    photodrag weights train --data PICTURES --out RUN

Karras et al. 2020: non-saturating loss, lazy R1 and path length regularisation, style mixing,
moving average of the weights, and the adaptive augmentation of the same year's paper on limited
data. A run goes on from `RUN/checkpoint.safetensors` when that is there. Several processes started
by torchrun share each batch.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from weights.errors import WeightsError
from weights.store import save_generator
from weights.stylegan2 import Generator
from weights.training.augment import adapt, augment
from weights.training.checkpoint import load_checkpoint, save_checkpoint
from weights.training.discriminator import Discriminator
from weights.training.gan_losses import (
    discriminator_loss,
    generator_loss,
    mixed_latents,
    path_lengths,
    r1_penalty,
)
from weights.training.pictures import PictureFolder
from weights.training.processes import average_gradients, mean_over_processes, processes, rank
from weights.training.sheets import save_sheet

CHECKPOINT = "checkpoint.safetensors"
RESULT = "generator.safetensors"


@dataclass(frozen=True, kw_only=True)
class AdversarialOptions:
    """What a run is determined by.

    Attributes:
        images: real pictures shown in the whole run.
        batch: pictures per step, over all processes.
        learning_rate: Adam's, of both networks.
        r1_weight: gamma; default 0.0002 R^2 / batch, the rule of thumb of the limited data paper.
        r1_every: steps between two R1 steps.
        path_weight: of the path length regularisation; 0 leaves it out.
        path_every: steps between two of its steps.
        mixing: probability of style mixing.
        averaging: half-life of the weights' moving average, in pictures.
        augment_target: wished mean sign of real logits; 0 switches augmentation off.
        augment_speed: pictures in which its probability can go from 0 to 1.
        seed: of everything random.
    """

    images: int = 1_000_000
    batch: int = 16
    learning_rate: float = 2e-3
    r1_weight: float | None = None
    r1_every: int = 16
    path_weight: float = 2.0
    path_every: int = 4
    mixing: float = 0.9
    averaging: float = 10_000.0
    augment_target: float = 0.6
    augment_speed: float = 500_000.0
    seed: int = 1

    def __post_init__(self) -> None:
        """Refuse numbers that make no training.

        Raises:
            WeightsError: naming the option.
        """
        for name in ("images", "batch", "learning_rate", "r1_every", "path_every", "averaging"):
            if getattr(self, name) <= 0:
                raise WeightsError(f"training option {name} must be positive")


@dataclass(frozen=True, kw_only=True)
class TrainingStep:
    """Progress of a run, for a bar and a log.

    Attributes:
        seen: real pictures so far.
        generator_loss: of this step.
        discriminator_loss: of this step.
        real_signs: r_t, running mean sign of real logits; near 1 is overfitting.
        augmentation: probability p.
        held_out: r_v of the limited data paper: where held-out pictures stand between training
            pictures (0) and drawn ones (1); measured with each report, None between.
    """

    seen: int
    generator_loss: float
    discriminator_loss: float
    real_signs: float
    augmentation: float
    held_out: float | None = None


class Run:
    """The state of a run: the networks, the optimisers, and three running numbers."""

    def __init__(
        self, generator: Generator, options: AdversarialOptions, device: torch.device
    ) -> None:
        torch.manual_seed(options.seed)
        self.options = options
        self.device = device
        self.generator = copy.deepcopy(generator).to(device).requires_grad_(True).train()
        self.average = copy.deepcopy(generator).to(device).requires_grad_(False).eval()
        self.discriminator = Discriminator(generator.config).to(device)
        self.generator.compute_dtype = generator.compute_dtype
        self.discriminator.compute_dtype = generator.compute_dtype
        self.optimizers = {
            "generator": _adam(self.generator, options, options.path_every),
            "discriminator": _adam(self.discriminator, options, options.r1_every),
        }
        # Mean path length a, mean sign of real logits, probability of augmentation.
        self.numbers = nn.ParameterDict({
            name: nn.Parameter(torch.zeros(()), requires_grad=False)
            for name in ("path", "real_signs", "augmentation")
        })  # fmt: skip

    def networks(self) -> dict[str, nn.Module]:
        """Name in a checkpoint -> network."""
        return {
            "generator": self.generator,
            "average": self.average,
            "discriminator": self.discriminator,
            "numbers": self.numbers,
        }

    @property
    def r1_weight(self) -> float:
        """Gamma of R1."""
        side = self.generator.config.resolution
        return self.options.r1_weight or 2e-4 * side**2 / self.options.batch


def _adam(network: nn.Module, options: AdversarialOptions, every: int) -> torch.optim.Adam:
    """Adam for lazy regularisation: as if the extra steps were spread over all (Appendix B)."""
    ratio = every / (every + 1)
    return torch.optim.Adam(
        network.parameters(), lr=options.learning_rate * ratio, betas=(0.0, 0.99**ratio), eps=1e-8
    )


def train_step(run: Run, real: Tensor, seen: int) -> TrainingStep:
    """One step of both networks on this process's share of a batch, `[n, 3, R, R]`."""
    options, step = run.options, seen // run.options.batch
    rng = torch.Generator().manual_seed((options.seed * 9_176 + step) * 64 + rank())
    torch.manual_seed(int(torch.randint(2**62, (1,), generator=rng)))
    p = run.numbers["augmentation"].item()

    def draw(n: int) -> tuple[Tensor, Tensor]:
        latents = mixed_latents(run.generator, n, options.mixing, rng)
        image = run.generator.synthesize(latents, noise="random").image
        if image is None:
            raise WeightsError("the generator drew no image")
        return image, latents

    def judge(images: Tensor) -> Tensor:
        return run.discriminator(augment(images, p, rng))

    run.discriminator.requires_grad_(False)
    loss_g = generator_loss(judge(draw(len(real))[0]))
    _descend(run, "generator", loss_g)
    if options.path_weight and step % options.path_every == 0:
        images, latents = draw(max(1, len(real) // 2))
        lengths = path_lengths(images, latents, rng)
        mean = run.numbers["path"].lerp(lengths.mean().detach(), 0.01)
        run.numbers["path"].copy_(mean)
        penalty = (lengths - mean).square().mean()
        _descend(run, "generator", penalty * options.path_weight * options.path_every)

    run.discriminator.requires_grad_(True)
    with torch.no_grad():
        fake, _ = draw(len(real))
    logits = judge(real)
    loss_d = discriminator_loss(logits, judge(fake))
    _descend(run, "discriminator", loss_d)
    if step % options.r1_every == 0:
        shown = real.clone().requires_grad_()
        penalty = r1_penalty(judge(shown), shown)
        _descend(run, "discriminator", penalty * run.r1_weight * options.r1_every)

    _average(run, seen)
    signs = mean_over_processes(logits.detach().sign().mean())
    run.numbers["real_signs"].lerp_(signs, 0.1)
    if options.augment_target:
        now = run.numbers["real_signs"].item()
        pace = options.batch / options.augment_speed
        run.numbers["augmentation"].fill_(adapt(p, now, target=options.augment_target, step=pace))
    return TrainingStep(
        seen=seen + options.batch,
        generator_loss=loss_g.item(),
        discriminator_loss=loss_d.item(),
        real_signs=run.numbers["real_signs"].item(),
        augmentation=run.numbers["augmentation"].item(),
    )


def _descend(run: Run, name: str, loss: Tensor) -> None:
    if not bool(loss.isfinite()):
        raise WeightsError("the loss is not finite: go on from the checkpoint at a lower rate")
    optimizer = run.optimizers[name]
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    average_gradients(run.networks()[name].parameters())
    optimizer.step()


@torch.no_grad()
def _average(run: Run, seen: int) -> None:
    """Moving average with a half-life that grows from nothing at the start."""
    half_life = min(run.options.averaging, max(seen, run.options.batch) * 0.05)
    keep = 0.5 ** (run.options.batch / half_life)
    for mean, live in zip(run.average.parameters(), run.generator.parameters(), strict=True):
        mean.lerp_(live, 1 - keep)


@torch.no_grad()
def held_out_place(run: Run, train: Tensor, held_out: Tensor, seen: int) -> float:
    """r_v = (E[D_train] - E[D_held out]) / (E[D_train] - E[D_drawn]) (limited data, Eq. 1)."""
    rng = torch.Generator().manual_seed(run.options.seed + seen)
    drawn = run.average(mixed_latents(run.average, len(train), 0.0, rng))
    seen_mean, unseen, fake = (
        run.discriminator(images).mean().item() for images in (train, held_out, drawn)
    )
    apart = seen_mean - fake
    return (seen_mean - unseen) / apart if abs(apart) > 1e-6 else math.nan


def train(
    generator: Generator,
    pictures: PictureFolder,
    out: Path,
    options: AdversarialOptions,
    *,
    device: torch.device,
    report_every: int = 4000,
) -> Iterator[TrainingStep]:
    """Run or resume a training, step by step; closing the iterator keeps the last report's state.

    Every `report_every` pictures, and at the end, `out` gets a checkpoint, the averaged generator
    and a sheet of its samples.

    Args:
        generator: where to start; its `compute_dtype` is that of the convolutions.
        pictures: to learn from.
        out: an existing folder.
        options: see there.
        device: where to train.
        report_every: see above.

    Raises:
        WeightsError: a loss that is not finite, or a checkpoint of another run.
    """
    run = Run(generator, options, device)
    path = out / CHECKPOINT
    seen = load_checkpoint(path, run.networks(), run.optimizers) if path.exists() else 0
    share = max(1, options.batch // processes())
    while seen < options.images:
        rng = torch.Generator().manual_seed(options.seed * 1_000_003 + seen * 64 + rank())
        step = train_step(run, pictures.draw(share, rng).to(device), seen)
        seen = step.seen
        if seen % report_every < options.batch or seen >= options.images:
            train_part, held_out = pictures.compare(64)
            place = held_out_place(run, train_part.to(device), held_out.to(device), seen)
            step = replace(step, held_out=place)
            if rank() == 0:
                _report(run, out, seen)
        yield step


def _report(run: Run, out: Path, seen: int) -> None:
    with torch.no_grad():
        rng = torch.Generator().manual_seed(run.options.seed)
        samples = run.average(mixed_latents(run.average, 32, 0.0, rng))
        z = torch.randn(1000, run.average.config.z_dim, generator=rng).to(run.device)
        run.average.mapping.w_avg.copy_(run.average.mapping(z).mean(0))
    save_sheet(samples.unflatten(0, (4, 8)), out / f"sheet-{seen:08d}.png")
    header = {"seen": str(seen), "options": str(asdict(run.options))}
    save_checkpoint(out / CHECKPOINT, run.networks(), run.optimizers, header)
    save_generator(out / RESULT, run.average, what="trained on a folder of pictures")
