"""Train the built-in face finder: python -m weights.training.face_finder --data DIR --out FILE.

Three networks one after the other: landmarks, eyes, then the detector. `--heads DIR` adds drawn
heads (see `weights.training.heads`) to the portraits; `--start FILE` goes on from the networks of
that file, with `--only NETWORK` from one of them while the others stay as they are. A step's
samples follow from the seed and the step's number alone, so a run that was interrupted goes on from
its checkpoint as if nothing had happened.
"""

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from weights.dtypes import choose_dtype
from weights.errors import PhotodragError, WeightsError
from weights.face_finder import (
    EYE_SHARE,
    EyeNetwork,
    FaceDetector,
    FaceFinder,
    LandmarkNetwork,
    load_face_finder,
    soft_argmax,
)
from weights.files import write_safetensors
from weights.training.augment_faces import (
    Array,
    Faces,
    eye_pair,
    faceless_sample,
    joined,
    landmark_pair,
    mosaic,
    read_faces,
)
from weights.training.backgrounds import Backgrounds
from weights.training.checkpoint import load_checkpoint, save_checkpoint
from weights.training.expressive_faces import expressive
from weights.training.heads import read_heads
from weights.training.measure_faces import gaps, held_out_figures

_NETWORKS = ("landmarks", "eyes", "detector")
_HEAT_SIGMA = 1.0
_PLACE_WEIGHT = 50.0
_FACELESS_SHARE = 0.25
_EYES = 2
"""Eyes in a batch, for each face that the other networks see."""
_WHAT = "face finder: detector and 68 landmarks, gray, any photo"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How long and how to train."""

    landmark_steps: int = 5000
    eye_steps: int = 1600
    detector_steps: int = 1600
    batch: int = 32
    learning_rate: float = 2e-3
    expression_share: float = 0.25
    """How many of the faces are portraits that were given other expressions."""
    head_share: float = 0.3
    """How many are drawn heads, where there are any."""
    weight_decay: float = 0.02
    gap_weight: float = 150.0
    """Of how far lids and lips are open, beside where they are."""
    motion_weight: float = 200.0
    """Of how far each landmark moved between two pictures of a face, beside where it is."""
    warmup: float = 0.05
    """Share of the steps with a rising learning rate; after it a half cosine."""
    checkpoint_every: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            WeightsError: one of them cannot be trained with.
        """
        steps = (self.landmark_steps, self.eye_steps, self.detector_steps)
        if min(*steps, self.batch, self.checkpoint_every) < 1:
            raise WeightsError("steps, batch and checkpoint interval must be at least 1")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise WeightsError(f"learning rate must be positive: got {self.learning_rate}")
        shares = (self.expression_share, self.head_share)
        if min(shares) < 0 or sum(shares) >= 1:
            raise WeightsError(
                f"shares of the faces must be at least 0, together below 1: {shares}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """One network, where its batches come from and what it is to minimise."""

    name: str
    network: nn.Module
    steps: int
    draw: Callable[[np.random.Generator], tuple[Tensor, ...]]
    loss: Callable[[tuple[Tensor, ...]], Tensor]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingStep:
    """The state after one step."""

    index: int
    loss: float


def landmark_task(network: LandmarkNetwork, faces: Faces, options: TrainingOptions) -> Task:
    """Return the task of `LandmarkNetwork`: heat maps, places, and face or no face."""
    backgrounds = Backgrounds(faces.pictures)
    faceless = int(options.batch * _FACELESS_SHARE)
    pairs = max(1, (options.batch - faceless) // 2)

    def draw(rng: np.random.Generator) -> tuple[Tensor, ...]:
        squares, places = _drawn(landmark_pair(rng, faces, backgrounds) for _ in range(pairs))
        others = [faceless_sample(rng, faces, backgrounds) for _ in range(faceless)]
        return torch.stack([*squares, *map(torch.from_numpy, others)])[:, None], places

    def loss(batch: tuple[Tensor, ...]) -> Tensor:
        squares, places = batch
        heat, logit = network(squares)
        found, placing = _placing(heat[: len(places)], places)
        gaping = (gaps(found) - gaps(places)).abs().mean()
        is_face = (torch.arange(len(squares)) < len(places)).float()
        return (
            placing
            + options.gap_weight * gaping
            + options.motion_weight * _motion_off(found, places)
            + F.binary_cross_entropy_with_logits(logit, is_face)
        )

    return Task(
        name="landmarks", network=network, steps=options.landmark_steps, draw=draw, loss=loss
    )


def eye_task(network: EyeNetwork, faces: Faces, options: TrainingOptions) -> Task:
    """Return the task of `EyeNetwork`: heat maps, places, and how far the lids are apart."""

    def draw(rng: np.random.Generator) -> tuple[Tensor, ...]:
        pairs = _EYES * options.batch // 2
        squares, places = _drawn(eye_pair(rng, faces) for _ in range(pairs))
        return squares[:, None], places

    def loss(batch: tuple[Tensor, ...]) -> Tensor:
        squares, places = batch
        found, placing = _placing(network(squares), places)
        off = found - places
        gaping = (off[:, (5, 4)] - off[:, (1, 2)]).abs().mean()
        motion = options.motion_weight * _motion_off(found, places)
        return placing + EYE_SHARE * (options.gap_weight * gaping + motion)

    return Task(name="eyes", network=network, steps=options.eye_steps, draw=draw, loss=loss)


def detector_task(network: FaceDetector, faces: Faces, options: TrainingOptions) -> Task:
    """Return the task of `FaceDetector`: focal loss (CenterNet, eq. 1) and log size."""
    backgrounds = Backgrounds(faces.pictures)

    def draw(rng: np.random.Generator) -> tuple[Tensor, ...]:
        drawn = [mosaic(rng, faces, backgrounds) for _ in range(options.batch)]
        return tuple(torch.from_numpy(np.stack(part)) for part in zip(*drawn, strict=True))

    def loss(batch: tuple[Tensor, ...]) -> Tensor:
        picture, heat, sizes, weight = batch
        logit, log_size = network(picture[:, None])
        centre = heat > 0.8
        hit = -F.logsigmoid(logit) * logit.sigmoid().neg().add(1) ** 2
        miss = -F.logsigmoid(-logit) * logit.sigmoid() ** 2 * (1 - heat) ** 4
        focal = (torch.where(centre, hit, miss) * weight).sum() / centre.sum().clamp(min=1)
        sized = (heat > 0.3) & (sizes > 0)
        size = ((log_size - sizes).abs() * sized).sum() / sized.sum().clamp(min=1)
        return focal + size

    return Task(
        name="detector", network=network, steps=options.detector_steps, draw=draw, loss=loss
    )


def train(task: Task, options: TrainingOptions, checkpoint: Path) -> Iterator[TrainingStep]:
    """Train a task's network in place, going on from `checkpoint` where there is one.

    Raises:
        BrokenWeightsError: the checkpoint is damaged or of another network.
        WeightsError: the loss is no longer a number.
    """
    network = task.network.train().to(memory_format=torch.channels_last)
    networks = {"network": network}
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
    )
    dtype = choose_dtype(torch.device("cpu"))
    start = load_checkpoint(checkpoint, networks, {"all": optimizer}) if checkpoint.exists() else 0
    for index in range(start, task.steps):
        for group in optimizer.param_groups:
            group["lr"] = options.learning_rate * _schedule(index / task.steps, options.warmup)
        batch = task.draw(np.random.default_rng([options.seed, index]))
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            loss = task.loss(batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        if not math.isfinite(loss.item()):
            raise WeightsError(
                f"{task.name}: loss is {loss.item()} at step {index}: lower the rate"
            )
        if (index + 1) % options.checkpoint_every == 0 or index + 1 == task.steps:
            save_checkpoint(checkpoint, networks, {"all": optimizer}, {"seen": str(index + 1)})
        yield TrainingStep(index=index, loss=loss.item())
    network.eval()


def export(path: Path, finder: FaceFinder, figures: dict[str, float]) -> None:
    """Write the networks: convolutions in half precision, the rest in float32."""
    tensors = {
        f"{name}.{key}": value.half() if value.ndim > 1 else value
        for name, network in finder.networks().items()
        for key, value in network.state_dict().items()
    }
    write_safetensors(path, tensors, {"what": _WHAT, "figures": json.dumps(figures)})


def main(arguments: list[str] | None = None) -> int:
    """Train, measure and export; return the exit code."""
    parser = argparse.ArgumentParser(prog="weights.training.face_finder", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of aligned portraits")
    parser.add_argument("--out", type=Path, required=True, help="safetensors file to write")
    parser.add_argument("--heads", type=Path, help="folder of drawn heads")
    parser.add_argument("--start", type=Path, help="face finder to go on from")
    parser.add_argument("--only", choices=_NETWORKS, help="train but this one")
    parser.add_argument("--limit", type=int, help="at most so many portraits per split")
    parser.add_argument("--mosaics", type=int, default=96, help="held-out samples to measure with")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    defaults = TrainingOptions()
    for field in dataclasses.fields(TrainingOptions):
        value = getattr(defaults, field.name)
        flag = "--" + field.name.replace("_", "-")
        parser.add_argument(flag, type=type(value), default=value, help=f"default {value}")
    chosen = vars(parser.parse_args(arguments))
    names = [field.name for field in dataclasses.fields(TrainingOptions)]
    try:
        torch.set_num_threads(chosen["threads"])
        cv2.setNumThreads(chosen["threads"])
        options = TrainingOptions(**{name: chosen[name] for name in names})
        figures = _train_all(
            chosen["data"],
            chosen["out"],
            options,
            heads=chosen["heads"],
            start=chosen["start"],
            only=chosen["only"],
            limit=chosen["limit"],
            mosaics=chosen["mosaics"],
        )
    except PhotodragError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    return 0


def _train_all(
    data: Path,
    out: Path,
    options: TrainingOptions,
    *,
    heads: Path | None,
    start: Path | None,
    only: str | None,
    limit: int | None,
    mosaics: int,
) -> dict[str, float]:
    out.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)
    finder = FaceFinder(detector=FaceDetector(), landmarks=LandmarkNetwork(), eyes=EyeNetwork())
    if only is not None and start is None:
        raise WeightsError("--only needs --start: name the face finder that has the other networks")
    if start is not None:
        begun = load_face_finder(start).networks()
        for name, network in finder.networks().items():
            network.load_state_dict(begun[name].state_dict())
    held_out = read_faces(data, "val", limit=limit)
    faces = _faces(data, heads, options, limit=limit)
    for task in (
        landmark_task(finder.landmarks, faces, options),
        eye_task(finder.eyes, faces, options),
        detector_task(finder.detector, faces, options),
    ):
        if only not in (None, task.name):
            task.network.eval()
            continue
        checkpoint = out.with_suffix(f".{task.name}.training.safetensors")
        with tqdm(
            total=task.steps * options.batch, desc=task.name, unit="img", mininterval=5
        ) as bar:
            for step in train(task, options, checkpoint):
                bar.update((step.index + 1) * options.batch - bar.n)
                bar.set_postfix(loss=f"{step.loss:.3f}", refresh=False)
    figures = held_out_figures(finder, held_out, mosaics=mosaics)
    export(out, finder, figures)
    return figures


def _faces(data: Path, heads: Path | None, options: TrainingOptions, *, limit: int | None) -> Faces:
    portraits = read_faces(data, "train", limit=limit)
    others: list[tuple[Faces, float]] = []
    if options.expression_share > 0:
        others.append((expressive(portraits, seed=options.seed), options.expression_share))
    if heads is not None:
        others.append((read_heads(heads, "train", limit=limit).faces, options.head_share))
    return joined((portraits, 1 - sum(share for _, share in others)), *others)


def _placing(heat: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Return the places found [N, K, 2] and what heat maps [N, K, h, h] are to minimise."""
    inside = ((places > 0) & (places < 1)).all(-1).float()
    found = soft_argmax(heat)
    off = (found - places).abs().sum(-1)
    surprise = -(_gaussians(places, heat.shape[-1]) * heat.flatten(2).log_softmax(-1)).sum(-1)
    placing = ((surprise + _PLACE_WEIGHT * off) * inside).sum() / inside.sum().clamp(min=1)
    return found, placing


def _drawn(pairs: Iterable[tuple[Array, Array]]) -> tuple[Tensor, Tensor]:
    """Return squares [2 N, S, S] and places [2 N, K, 2] of pairs, one pair after the other."""
    squares, places = zip(*pairs, strict=True)
    return torch.from_numpy(np.concatenate(squares)), torch.from_numpy(np.concatenate(places))


def _motion_off(found: Tensor, places: Tensor) -> Tensor:
    """Return how far the movements found within pairs are off, for places [2 N, K, 2]."""
    off = (found - places).unflatten(0, (-1, 2))
    return (off[:, 1] - off[:, 0]).abs().sum(-1).mean()


def _gaussians(places: Tensor, cells: int) -> Tensor:
    """Return the heat maps wanted, [N, K, 2] in [0, 1] -> [N, K, cells * cells], sums of 1."""
    grid = torch.arange(cells) + 0.5
    x, y = (-((places[..., None] * cells - grid[:, None].T) ** 2) / (2 * _HEAT_SIGMA**2)).unbind(-2)
    return (y[..., :, None] + x[..., None, :]).flatten(2).softmax(-1)


def _schedule(progress: float, warmup: float) -> float:
    if progress < warmup:
        return (progress + 1e-3) / (warmup + 1e-3)
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup))) + 1e-3


if __name__ == "__main__":
    sys.exit(main())
