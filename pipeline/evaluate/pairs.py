"""One drag of a pair of samples: the first one's landmarks towards the second one's.

What `landmarks` and `ablate` repeat. Distances are in pixels of a crop of 512 (px@512).
"""

import base64
import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from editing.drag import DragEngine
from editing.engine import run_edit
from editing.reference import ReferenceEngine
from editing.regions import region_mask
from editing.render import render_edit
from editing.spec import DragSpec
from pipeline.errors import EvaluationError
from pipeline.evaluate.frechet import FeatureNetwork, load_feature_network
from pipeline.evaluate.repeatability import repeatability
from pipeline.evaluate.samples import (
    Points,
    as_subject,
    find_landmarks,
    in_float32,
    random_source,
    sample_latents,
    to_rgb,
)
from pipeline.evaluate.setting import Setting
from pipeline.models import Models
from pipeline.session import Json
from weights.stylegan2 import Generator

AnyEngine: TypeAlias = DragEngine | ReferenceEngine

REFERENCE_SIDE = 512
PSI = 0.7
_DRAWS = 20


@dataclass(frozen=True, kw_only=True)
class PointSet:
    """Which landmarks are dragged.

    Attributes:
        landmarks: iBUG numbers.
        regions: of the movable mask; none leaves the mask out.
    """

    landmarks: tuple[int, ...]
    regions: tuple[str, ...] = ()


POINT_SETS: Mapping[str, PointSet] = {
    "1": PointSet(landmarks=(30,)),
    "5": PointSet(landmarks=(36, 45, 30, 48, 54)),
    "68": PointSet(landmarks=tuple(range(68))),
    "mask": PointSet(landmarks=(48, 51, 54, 57), regions=("mouth", "jaw")),
}
"""The nose's tip; eyes, nose and mouth; all; the mouth's outline within a mask."""


@dataclass(frozen=True, kw_only=True)
class PairTask:
    """What is done with a pair.

    Attributes:
        pair: its number.
        points: a name in `POINT_SETS`; "" looks at the unedited pair only.
        engine: drags the points.
    """

    pair: int
    points: str = ""
    engine: AnyEngine | None = None

    @property
    def key(self) -> str:
        """Name of the record; engines with other options have other names."""
        parts = [str(self.pair)]
        parts += [self.points, digest(self.engine)] if self.engine is not None else []
        return "/".join(parts)


def digest(engine: AnyEngine) -> str:
    """Short hash of an engine's kind and options."""
    options = json.dumps({"kind": type(engine).__name__, **asdict(engine)}, sort_keys=True)
    return hashlib.sha256(options.encode()).hexdigest()[:12]


@dataclass(frozen=True, kw_only=True, eq=False)
class Pair:
    """Two samples with a face on both.

    Attributes:
        latents: `[1, L, w_dim]` of the first.
        image: `[1, 3, R, R]`, the first.
        landmarks: `[68, 2]` of the first, crop pixels.
        targets: `[68, 2]` of the second.
    """

    latents: Tensor
    image: Tensor
    landmarks: Points
    targets: Points

    def distance(self, landmarks: Points, points: str) -> float:
        """Mean distance of landmarks from those of the second sample, px@512."""
        chosen = list(POINT_SETS[points].landmarks)
        away = np.linalg.norm(landmarks[chosen] - self.targets[chosen], axis=1).mean()
        return float(away) * REFERENCE_SIDE / self.image.shape[-1]

    def to_spec(self, points: str) -> DragSpec:
        """The drag of a point set; landmarks outside the crop are left out, targets kept in it."""
        side = self.image.shape[-1]
        wanted = POINT_SETS[points]
        chosen = [
            k
            for k in wanted.landmarks
            if self.landmarks[k].min() >= 0 and self.landmarks[k].max() <= side
        ]
        mask = region_mask(self.landmarks, wanted.regions, resolution=side)
        return DragSpec(
            handles=torch.from_numpy(self.landmarks[chosen]).float(),
            targets=torch.from_numpy(self.targets[chosen].clip(0, side)).float(),
            resolution=side,
            mask=mask if wanted.regions else None,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class PairMeasure:
    """Measures pairs with networks that are loaded.

    Attributes:
        setting: of the evaluation.
        models: the default engine edits their generator, in the format that photodrag chooses.
        exact: the generator in float32, for the authors' engine and for what is measured.
        network: for the Frechet distance.
        draw: gives a pair by its number.
    """

    setting: Setting
    models: Models
    exact: Generator
    network: FeatureNetwork
    draw: Callable[[int], Pair]

    @classmethod
    def begin(cls, setting: Setting) -> "PairMeasure":
        """Load the networks."""
        models = setting.load()
        exact = in_float32(models.generator)
        return cls(
            setting=setting,
            models=models,
            exact=exact,
            network=load_feature_network(models.device),
            # The tasks of a pair follow each other.
            draw=lru_cache(maxsize=1)(partial(draw_pair, exact, models, setting.seed)),
        )

    def __call__(self, task: PairTask) -> Json:
        """Measure one task; a record of plain JSON values."""
        pair = self.draw(task.pair)
        if task.engine is None:
            return self.describe(pair, task.pair)
        return self.edit(pair, task.points, task.engine)

    def describe(self, pair: Pair, index: int) -> Json:
        """Distances of the unedited pair, the finder's repeatability, and the features."""
        rng = np.random.default_rng((self.setting.seed, index))
        away = repeatability(to_rgb(pair.image), pair.landmarks, rng, self.models.finder)
        scale = REFERENCE_SIDE / pair.image.shape[-1]
        floor = {n: float(away[list(s.landmarks)].mean() * scale) for n, s in POINT_SETS.items()}
        return {
            "distance": {name: pair.distance(pair.landmarks, name) for name in POINT_SETS},
            "repeatability": {k: v if math.isfinite(v) else None for k, v in floor.items()},
            "features": pack(self.network.describe(pair.image.clamp(-1, 1))),
        }

    def edit(self, pair: Pair, points: str, engine: AnyEngine) -> Json:
        """Drag, and find the landmarks again."""
        spec = pair.to_spec(points)
        authors = isinstance(engine, ReferenceEngine)
        subject = as_subject(self.exact if authors else self.models.generator, pair.latents)
        cpu = time.process_time()
        result = run_edit(engine, subject, spec)
        cpu = time.process_time() - cpu
        image = render_edit(as_subject(self.exact, pair.latents), result.latents, result.movable)
        found = find_landmarks(image, self.models)
        return {
            "distance": None if found is None else pair.distance(found, points),
            "tracked": result.mean_distance * REFERENCE_SIDE / spec.resolution,
            "steps": result.steps,
            "stopped": result.stopped,
            "seconds": result.seconds,
            "cpu_seconds": cpu,
            "fixed_change": fixed_change(pair.image, image, spec.mask),
            "features": pack(self.network.describe(image.clamp(-1, 1))),
        }


@torch.no_grad()
def draw_pair(generator: Generator, models: Models, seed: int, index: int) -> Pair:
    """Draw two samples until the finder sees a face on both.

    Args:
        generator: draws them.
        models: find the faces.
        seed: of all pairs.
        index: of this pair.

    Raises:
        EvaluationError: it hardly ever does.
    """
    source = random_source(seed, index)
    for _ in range(_DRAWS):
        first, second = (sample_latents(generator, source, PSI) for _ in range(2))
        image = generator(first)
        landmarks = find_landmarks(image, models)
        targets = find_landmarks(generator(second), models)
        if landmarks is not None and targets is not None:
            return Pair(latents=first, image=image, landmarks=landmarks, targets=targets)
    raise EvaluationError(
        f"no face found on {_DRAWS} pairs of samples of {models.generator_name}: "
        "choose a generator of aligned faces"
    )


def fixed_change(before: Tensor, after: Tensor, mask: Tensor | None) -> float | None:
    """Mean absolute change of 8-bit levels where a mask (1 = may change) fixes the picture."""
    if mask is None:
        return None
    fixed = (mask == 0).to(before).expand_as(before)
    change = (after.clamp(-1, 1) - before.clamp(-1, 1)).abs() * 127.5
    return float((change * fixed).sum() / fixed.sum().clamp(min=1))


def pack(features: Tensor) -> str:
    """A vector `[1, D]` as text, in half precision."""
    return base64.b64encode(features[0].half().cpu().numpy().tobytes()).decode("ascii")


def unpack(text: str) -> NDArray[np.float64]:
    """Inverse of `pack`: `[D]`."""
    return np.frombuffer(base64.b64decode(text), np.float16).astype(np.float64)
