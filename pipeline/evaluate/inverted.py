"""One inverted photograph, dragged with the generator as it was and with the tuned one.

What `photos` repeats for every photo of a folder. Distances are in pixels of a crop of 512.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from torch import Tensor

from editing.engine import ENGINES, run_edit
from editing.presets import PresetStrength, combine_presets
from editing.spec import DragSpec
from inversion.types import Inversion, Pivot
from pipeline.align import Crop
from pipeline.edit import compose, invert_face
from pipeline.engines import engine_for
from pipeline.errors import FaceError, PhotoError
from pipeline.evaluate.identity import IdentityNetwork, load_identity_network
from pipeline.evaluate.pairs import REFERENCE_SIDE, digest, fixed_change
from pipeline.evaluate.samples import Points, find_landmarks, to_rgb
from pipeline.evaluate.setting import Setting
from pipeline.models import Models
from pipeline.photo import Photo, read_photo
from pipeline.session import Json
from pipeline.subject import cut, select
from weights.stylegan2 import Generator

STAGES: Final = ("before tuning", "after tuning")


@dataclass(frozen=True, kw_only=True)
class PhotoTask:
    """A photo and the engine, by name, that drags its face."""

    path: Path
    engine: str

    @property
    def key(self) -> str:
        """Name of the record."""
        return f"{self.path.name}/{self.engine}/{digest(ENGINES[self.engine])}"


@dataclass(frozen=True, kw_only=True, eq=False)
class _Inverted:
    photo: Photo
    crop: Crop
    inversion: Inversion


@dataclass(frozen=True, kw_only=True, eq=False)
class PhotoMeasure:
    """Measures photos with networks that are loaded."""

    models: Models
    identity: IdentityNetwork | None
    quality: str
    presets: tuple[str, ...]
    seed: int
    invert: Callable[[Path], _Inverted] = field(init=False)

    def __post_init__(self) -> None:
        """Remember the last inversion: the engines of a photo follow each other."""
        object.__setattr__(self, "invert", lru_cache(maxsize=1)(self._invert))

    @classmethod
    def begin(
        cls, setting: Setting, quality: str, presets: tuple[str, ...], identity: Path | None
    ) -> "PhotoMeasure":
        """Load the networks."""
        models = setting.load()
        return cls(
            models=models,
            identity=load_identity_network(identity, models.device),
            quality=quality,
            presets=presets,
            seed=setting.seed,
        )

    def __call__(self, task: PhotoTask) -> Json:
        """Measure one task; a record of plain JSON values, "skipped" where there is no face."""
        try:
            subject = self.invert(task.path)
        except (FaceError, PhotoError) as error:
            return {"skipped": str(error)}
        report = subject.inversion.report
        tuned = subject.inversion
        plain = untuned(tuned, self.models.generator)
        return {
            "psnr": {STAGES[0]: report.pivot_psnr, STAGES[1]: report.psnr},
            "perceptual": {STAGES[0]: report.pivot_perceptual, STAGES[1]: report.perceptual},
            "seconds": report.seconds,
            "identity": {
                stage: self.alike(subject.crop.image, inversion.render())
                for stage, inversion in zip(STAGES, (plain, tuned), strict=True)
            },
            "drags": {
                f"{name}, {stage}": self.drag(subject, inversion, name, task.engine)
                for name in self.presets
                for stage, inversion in zip(STAGES, (plain, tuned), strict=True)
            },
        }

    def drag(self, subject: _Inverted, inversion: Inversion, name: str, engine: str) -> Json:
        """Drag one preset, as `edit` does, and measure where the landmarks went."""
        render = inversion.render()
        side = render.shape[-1]
        landmarks = find_landmarks(render, self.models)
        if landmarks is None:
            return {}
        asked = [PresetStrength(name=name)]
        spec = combine_presets(asked, landmarks, resolution=side)
        result = run_edit(engine_for(engine, {}, asked, self.models.directions), inversion, spec)
        found = find_landmarks(result.image, self.models)
        chosen = _moving(spec, landmarks)
        scale = REFERENCE_SIDE / side
        record: Json = {
            "asked": float((spec.targets - spec.handles)[~spec.anchors].norm(dim=1).mean()) * scale,
            "distance": None if found is None else _apart(found[chosen], spec) * scale,
            "identity": self.alike(subject.crop.image, result.image),
            "fixed_change": fixed_change(render, result.image, spec.mask),
            "steps": result.steps,
            "stopped": result.stopped,
            "seconds": result.seconds,
        }
        if inversion is subject.inversion:
            done = compose(subject.photo, subject.crop, inversion, result, spec, None)
            record["photo_outside"] = done.report.max_change_outside_mask
        return record

    def alike(self, a: Tensor, b: Tensor) -> float | None:
        """Cosine of the persons on two crops `[1, 3, R, R]`; None without a network or a face."""
        if self.identity is None:
            return None
        faces = [(to_rgb(image), find_landmarks(image, self.models)) for image in (a, b)]
        described = [self.identity.describe(rgb, at) for rgb, at in faces if at is not None]
        return float(described[0] @ described[1]) if len(described) == 2 else None

    def _invert(self, path: Path) -> _Inverted:
        photo = read_photo(path)
        crop = cut(photo, select(photo, self.models))
        inversion, _ = invert_face(crop, self.models, self.quality, self.seed, None)
        return _Inverted(photo=photo, crop=crop, inversion=inversion)


def untuned(inversion: Inversion, base: Generator) -> Inversion:
    """The same latents with the generator as it was before tuning."""
    pivot = Pivot(inversion.pivot.latents, base.noise_maps())
    return Inversion(base, pivot, inversion.report, inversion.base_sha256, {})


def _moving(spec: DragSpec, landmarks: Points) -> list[int]:
    """Numbers of the landmarks that the drag moves."""
    handles = spec.handles[~spec.anchors].numpy().astype(np.float64)
    apart = np.linalg.norm(handles[:, None] - landmarks[None], axis=-1)
    return apart.argmin(axis=1).tolist()


def _apart(found: Points, spec: DragSpec) -> float:
    return float(np.linalg.norm(found - spec.targets[~spec.anchors].numpy(), axis=1).mean())
