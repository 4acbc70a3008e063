"""Train the built-in perceptual network to give LPIPS's distances on portraits.

    python -m weights.training.perceptual --data PORTRAITS --trunk LPIPS_TRUNK --out FILE

The teacher, LPIPS on AlexNet, labels pairs of a portrait and something that resembles it; the
student's five maps must follow the teacher's, place by place, and the distance as a whole. Some of
the pairs are found by descending the student itself: pictures that it would wrongly call alike.
Only the student's own parameters are written.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from weights.errors import WeightsError
from weights.files import write_safetensors
from weights.perceptual import BuiltinPerceptual, LpipsAlex, load_lpips
from weights.training.distortions import distort
from weights.training.portraits import Portraits, load_portraits, random_warp


@dataclass(frozen=True, kw_only=True)
class PerceptualOptions:
    """What a run is determined by.

    Attributes:
        steps: steps of Adam.
        batch: pairs per step.
        side: side of the pictures in pixels.
        learning_rate: Adam's, decayed to zero along a cosine.
        map_weight: weight of the layers' maps beside that of the distance.
        descend_every: one step in so many learns from pairs that descend the student's distance.
        seed: of everything random.
    """

    steps: int = 2400
    batch: int = 10
    side: int = 128
    learning_rate: float = 2e-3
    map_weight: float = 0.5
    descend_every: int = 4
    seed: int = 1


def descend(student: BuiltinPerceptual, images: Tensor, start: Tensor, steps: int) -> Tensor:
    """Move pictures towards the images as the student measures it, by normalised gradient steps."""
    pictures = start.clone()
    for _ in range(steps):
        pictures.requires_grad_()
        distance = student(pictures, images).sum()
        (gradient,) = torch.autograd.grad(distance, pictures)
        scale = gradient.square().mean((1, 2, 3), keepdim=True).sqrt() + 1e-12
        pictures = (pictures.detach() - 0.03 * gradient / scale).clamp(-1, 1)
    return pictures.detach()


def loss_against(
    student: BuiltinPerceptual, teacher: LpipsAlex, a: Tensor, b: Tensor, map_weight: float
) -> tuple[Tensor, Tensor]:
    """Compare the networks on pairs: relative error of the distance and of every layer's map.

    Returns:
        The loss, and the relative errors `[N]` of the distance.
    """
    with torch.no_grad():
        wanted = teacher.layer_maps(a, b)
    given = student.layer_maps(a, b)
    d_wanted = torch.stack([m.mean((1, 2, 3)) for m in wanted]).sum(0)
    d_given = torch.stack([m.mean((1, 2, 3)) for m in given]).sum(0)
    whole = ((d_given + 0.01) / (d_wanted + 0.01)).log()
    maps = d_given.new_zeros(())
    for w, g in zip(wanted, given, strict=True):
        maps = maps + ((g - w).abs().mean((1, 2, 3)) / (w.mean((1, 2, 3)) + 0.004)).mean()
    return whole.square().mean() + map_weight * maps / len(wanted), whole.detach().abs()


def pairs(
    data: Portraits, student: BuiltinPerceptual, options: PerceptualOptions
) -> Iterator[tuple[Tensor, Tensor]]:
    """Portraits and their likenesses `[batch, 3, side, side]`; the n-th depends on n and seed."""
    for step in range(options.steps):
        rng = torch.Generator().manual_seed(options.seed * 1_000_003 + step)
        chosen = torch.randperm(len(data.images), generator=rng)[: 2 * options.batch]
        images = data.network_images(chosen)
        images = random_warp(images, data.landmarks[chosen], rng)
        images = _view(images, options.side, rng)
        images, others = images.split(options.batch)
        likenesses = distort(images, others, rng)
        if step % options.descend_every == 0:
            length = 1 + int(torch.randint(0, 8, (), generator=rng))
            likenesses = descend(student, images, likenesses, length)
        yield images, likenesses


def _view(images: Tensor, side: int, rng: torch.Generator) -> Tensor:
    """Show the whole pictures, or one window of them at their own scale."""
    if torch.rand((), generator=rng) < 0.6:
        return F.interpolate(
            images, (side, side), mode="bilinear", align_corners=False, antialias=True
        )
    top, left = torch.randint(0, images.shape[-1] - side + 1, (2,), generator=rng).tolist()
    return images[..., top : top + side, left : left + side]


def train(
    data: Portraits, teacher: LpipsAlex, options: PerceptualOptions, *, minutes: float = math.inf
) -> Iterator[tuple[int, BuiltinPerceptual, float]]:
    """Train a fresh student; yields the step, the student and the mean relative error of the batch.

    Args:
        data: portraits at least as large as `options.side`, at least two batches of them.
        teacher: LPIPS.
        options: see there.
        minutes: end the schedule after that long even where steps are left.

    Raises:
        WeightsError: too few portraits, or a loss that is not finite.
    """
    if len(data.images) < 2 * options.batch:
        raise WeightsError(
            f"a batch of {options.batch} pairs takes {2 * options.batch} portraits, "
            f"not {len(data.images)}"
        )
    torch.manual_seed(options.seed)
    student = BuiltinPerceptual()
    optimizer = torch.optim.Adam(student.parameters(), betas=(0.9, 0.99))
    start = time.monotonic()
    for step, (a, b) in enumerate(pairs(data, student, options)):
        spent = (time.monotonic() - start) / (60 * minutes)
        progress = max(spent, step / options.steps)
        if progress >= 1:
            break
        decay = 0.5 + 0.5 * math.cos(math.pi * progress)
        optimizer.param_groups[0]["lr"] = options.learning_rate * min(1, (step + 1) / 50) * decay
        loss, errors = loss_against(student, teacher, a, b, options.map_weight)
        if not math.isfinite(loss.item()):
            raise WeightsError(f"the loss is not finite at step {step}: lower the learning rate")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield step, student, errors.mean().item()


@torch.no_grad()
def evaluate(
    student: BuiltinPerceptual, teacher: LpipsAlex, data: Portraits, *, seed: int = 7
) -> dict[str, float]:
    """Compare the student with LPIPS on held-out portraits and their distortions.

    Returns: Spearman's rank correlation, the mean and spread of log(student / LPIPS), and the
    student's mean distance where LPIPS gives 0.05 to 0.07.
    """
    rng = torch.Generator().manual_seed(seed)
    images = data.network_images()
    a = images.repeat(3, 1, 1, 1)
    others = a[torch.randperm(len(a), generator=rng)]
    b = distort(a, others, rng)
    parts = list(zip(a.split(16), b.split(16), strict=True))
    wanted = torch.cat([teacher(x, y) for x, y in parts])
    given = torch.cat([student(x, y) for x, y in parts])
    ratio = ((given + 1e-4) / (wanted + 1e-4)).log()[wanted > 0.01]
    near = (wanted - 0.06).abs() < 0.01
    ranks = torch.stack([wanted.argsort().argsort(), given.argsort().argsort()]).double()
    return {
        "spearman": torch.corrcoef(ranks)[0, 1].item(),
        "log_ratio_mean": ratio.mean().item(),
        "log_ratio_std": ratio.std().item(),
        "at_0.06": given[near].mean().item(),
    }


def main(argv: list[str] | None = None) -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__, prog="weights.training.perceptual")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--trunk", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--steps", type=int, default=PerceptualOptions.steps)
    parser.add_argument("--batch", type=int, default=PerceptualOptions.batch)
    parser.add_argument("--seed", type=int, default=PerceptualOptions.seed)
    arguments = parser.parse_args(argv)
    options = PerceptualOptions(steps=arguments.steps, batch=arguments.batch, seed=arguments.seed)
    teacher = load_lpips(arguments.trunk)
    data = load_portraits(arguments.data, "train", options.side * 5 // 4)
    held_out = load_portraits(arguments.data, "val", options.side)
    bar = tqdm(train(data, teacher, options, minutes=arguments.minutes), total=options.steps)
    mean = 0.0
    student: BuiltinPerceptual | None = None
    for step, student, error in bar:
        mean = error if step == 0 else 0.98 * mean + 0.02 * error
        bar.set_postfix(error=f"{mean:.3f}", refresh=False)
        if (step + 1) % 400 == 0 or step == 0:
            save_student(arguments.out, student, options, evaluate(student, teacher, held_out))
    if student is None:
        raise WeightsError("a training of no steps and no minutes trains nothing")
    figures = evaluate(student, teacher, held_out)
    save_student(arguments.out, student, options, figures)
    bar.write(" ".join(f"{name} {value:.4f}" for name, value in figures.items()))


def save_student(
    path: Path, student: BuiltinPerceptual, options: PerceptualOptions, figures: dict[str, float]
) -> None:
    """Write the student in half precision, with its figures in the header, atomically."""
    tensors = {name: value.detach().half() for name, value in student.state_dict().items()}
    header = {
        "what": "perceptual distance after LPIPS, for machines without LPIPS's trunk",
        "options": str(asdict(options)),
        "figures": str(figures),
    }
    write_safetensors(path, tensors, header)


if __name__ == "__main__":
    main()
