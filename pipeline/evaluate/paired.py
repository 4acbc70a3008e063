"""Paired image reconstruction, UserControllableLT's test as DragGAN uses it (Table 2).

Endo, "User-Controllable Latent Transformer for StyleGAN Image Layout Editing" (2022); Pan et al.,
"Drag Your GAN" (2023), Section 4.2. The second picture differs from the first in its layout only;
the optical flow between them says where 32 points went, and the first picture is dragged there.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from editing.engine import run_edit
from editing.features import sample_features
from editing.raft import load_raft, raft_weights
from editing.reference import ReferenceEngine
from editing.spec import DragSpec
from pipeline.edit import Watch, unwatched
from pipeline.evaluate.networks import words_of
from pipeline.evaluate.pairs import REFERENCE_SIDE, AnyEngine, digest
from pipeline.evaluate.records import Records
from pipeline.evaluate.report import Evaluation, Row, Table, mean
from pipeline.evaluate.samples import as_subject, in_float32, random_source, sample_latents, to_rgb
from pipeline.evaluate.setting import Measurements, Setting
from pipeline.models import Models
from pipeline.session import Json
from weights.stylegan2 import Generator

PSI: Final = 0.3
SIGMA: Final = 0.1
MOVED_LAYERS: Final = 6
POINTS: Final = 32
MAX_STEPS: Final = 100
_FLOW_SIDE = 256

ABOUT = """\
A first sample (psi {psi}) and a second picture that differs in its layout: its first {layers}
latent vectors are moved by {sigma} of the way to {layers} independent samples without truncation.
The optical flow between the two ({flow}) is read at {points} random places, and the first picture
is dragged there, in at most {steps} steps. What is left between the result and the second picture
is given as the mean square error (pixels in [0, 1], times 100) and as {perceptual} (times 10).

What departs from the paper: the generator ({generator}, {side} px), {pairs} pairs instead of 1,000,
and the network of the flow. The mean length of the {points} drags was {length:.1f} px@512.
"""


@dataclass(frozen=True, kw_only=True)
class PairedTask:
    """A pair, and the engine that is to make the first picture the second.

    Attributes:
        pair: its number.
        engine: None measures the distance of the two pictures themselves.
    """

    pair: int
    engine: AnyEngine | None = None

    @property
    def key(self) -> str:
        """Name of the record."""
        return f"{self.pair}" if self.engine is None else f"{self.pair}/{digest(self.engine)}"


@dataclass(frozen=True, kw_only=True, eq=False)
class PairedMeasure:
    """Measures pairs with networks that are loaded."""

    models: Models
    exact: Generator
    seed: int

    @classmethod
    def begin(cls, setting: Setting) -> "PairedMeasure":
        """Load the networks."""
        models = setting.load()
        return cls(models=models, exact=in_float32(models.generator), seed=setting.seed)

    @torch.no_grad()
    def __call__(self, task: PairedTask) -> Json:
        """Measure one task; a record of plain JSON values."""
        source = random_source(self.seed, task.pair)
        first, second = draw_latents(self.exact, source)
        images = [self.exact(latents).clamp(-1, 1) for latents in (first, second)]
        spec = flow_drags(images[0], images[1], source)
        length = (spec.targets - spec.handles).norm(dim=1).mean() * REFERENCE_SIDE / spec.resolution
        if task.engine is None:
            return {**self.apart(images[0], images[1]), "length": float(length)}
        authors = isinstance(task.engine, ReferenceEngine)
        subject = as_subject(self.exact if authors else self.models.generator, first)
        began = time.process_time()
        result = run_edit(task.engine, subject, spec)
        spent = time.process_time() - began
        return {
            **self.apart(self.exact(result.latents).clamp(-1, 1), images[1]),
            "steps": result.steps,
            "stopped": result.stopped,
            "seconds": result.seconds,
            "cpu_seconds": spent,
        }

    def apart(self, a: Tensor, b: Tensor) -> Json:
        """Distances of two pictures `[1, 3, R, R]` in [-1, 1]."""
        mse = float((a - b).square().mean() / 4)
        return {"mse": mse, "perceptual": float(self.models.perceptual(a, b)[0])}


def draw_latents(generator: Generator, source: torch.Generator) -> tuple[Tensor, Tensor]:
    """Latents `[1, L, w_dim]` of a pair: w1, and w1 + sigma (w2 - w1) in the first layers."""
    first = sample_latents(generator, source, PSI)
    layers = min(MOVED_LAYERS, generator.config.num_latents)
    others = [sample_latents(generator, source, 1.0)[:, :1] for _ in range(layers)]
    second = first.clone()
    second[:, :layers] += SIGMA * (torch.cat(others, dim=1) - first[:, :layers])
    return first, second


def flow_drags(before: Tensor, after: Tensor, source: torch.Generator) -> DragSpec:
    """Random places of one picture and where they lie in the other, by optical flow."""
    side = before.shape[-1]
    handles = torch.rand(POINTS, 2, generator=source) * side
    flow = optical_flow(before, after).to(handles)
    targets = handles + sample_features(flow, handles, side)
    return DragSpec(handles=handles, targets=targets.clamp(0, side), resolution=side, mask=None)


def flow_name() -> str:
    """What computes the flow on this machine."""
    return "RAFT, small" if raft_weights() is not None else "DIS, classical, of OpenCV"


def optical_flow(before: Tensor, after: Tensor) -> Tensor:
    """Flow `[1, 2, R, R]` in px between pictures `[1, 3, R, R]` in [-1, 1]."""
    side = before.shape[-1]
    size = max(side, _FLOW_SIDE)
    grown = [
        F.interpolate(image, size=(size, size), mode="bicubic", align_corners=False).clamp(-1, 1)
        for image in (before, after)
    ]
    if raft_weights() is not None:
        flow: Tensor = load_raft(before.device)(*grown)[-1]
    else:
        flow = torch.from_numpy(_dis(to_rgb(grown[0]), to_rgb(grown[1]))).permute(2, 0, 1)[None]
    shrunk = F.interpolate(flow, size=(side, side), mode="bilinear", antialias=True)
    return shrunk * (side / size)


def _dis(before: NDArray[np.float32], after: NDArray[np.float32]) -> NDArray[np.float32]:
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    method.setFinestScale(0)
    gray = [
        (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) * 255).round().astype(np.uint8)
        for image in (before, after)
    ]
    start = np.zeros((*gray[0].shape, 2), np.float32)
    return method.calc(gray[0], gray[1], start).astype(np.float32)


def evaluate_paired(
    setting: Setting,
    engines: Mapping[str, AnyEngine],
    *,
    pairs: int,
    watch: Watch = unwatched,
) -> Evaluation:
    """Measure how near engines bring the first picture to the second.

    Args:
        setting: of every evaluation.
        engines: by the name that their rows get.
        pairs: number of pairs.
        watch: sees the measurements go by.
    """
    models = setting.load()
    depends_on: Json = {
        "generator_sha256": models.sha256,
        "perceptual": models.perceptual.name,
        "flow": flow_name(),
    }
    tasks = [
        PairedTask(pair=pair, engine=engine)
        for pair in range(pairs)
        for engine in (None, *engines.values())
    ]
    records = Measurements(
        name="paired", setting=setting, depends_on=depends_on, watch=watch
    ).measure({task.key: task for task in tasks}, partial(PairedMeasure.begin, setting))
    starts = _edits(records, None, pairs)
    rows = [_row("no edit", starts, starts)]
    rows += [_row(name, _edits(records, e, pairs), starts) for name, e in engines.items()]
    about = ABOUT.format(
        psi=PSI,
        sigma=SIGMA,
        layers=MOVED_LAYERS,
        points=POINTS,
        steps=MAX_STEPS,
        flow=flow_name(),
        perceptual=models.perceptual.name,
        pairs=pairs,
        length=mean(starts, "length"),
        **words_of(models),
    )
    return Evaluation(
        name="paired",
        title="Paired image reconstruction",
        about=about,
        command=setting.command,
        tables=(Table(caption="Distance to the second picture.", rows=rows),),
        facts={"pairs": pairs, **depends_on},
    )


def _edits(records: Records, engine: AnyEngine | None, pairs: int) -> list[Json]:
    return [records[PairedTask(pair=pair, engine=engine).key] for pair in range(pairs)]


def _row(name: str, edits: Sequence[Json], starts: Sequence[Json]) -> Row:
    mse, before = mean(edits, "mse"), mean(starts, "mse")
    perceptual = mean(edits, "perceptual")
    return {
        "engine": name,
        "MSE x 100": None if mse is None else 100 * mse,
        "of no edit": mse / before if mse is not None and before else None,
        "perceptual x 10": None if perceptual is None else 10 * perceptual,
        "steps": mean(edits, "steps"),
        "seconds": mean(edits, "seconds"),
        "CPU seconds": mean(edits, "cpu_seconds"),
    }
