"""One inverted photograph, dragged with the generator as it was and with the tuned one.

What `photos` repeats for every photo of a folder. Distances are in pixels of a crop of 512.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from torch import Tensor

from editing.engine import run_edit
from editing.presets import PresetStrength, combine_presets
from editing.spec import DragSpec
from inversion.types import Inversion
from pipeline.align import Crop
from pipeline.edit import compose, invert_face
from pipeline.engines import engine_for
from pipeline.errors import FaceError, PhotoError
from pipeline.evaluate.dragged import nearest_landmarks
from pipeline.evaluate.identity import IdentityNetwork, cosine, load_identity_network, person_on
from pipeline.evaluate.pairs import REFERENCE_SIDE, fixed_change
from pipeline.evaluate.pictures import Picture
from pipeline.evaluate.samples import Points, find_landmarks
from pipeline.evaluate.setting import Setting
from pipeline.evaluate.stages import STAGES, EngineTask, untuned
from pipeline.models import Models
from pipeline.photo import Photo, read_photo
from pipeline.session import Json
from pipeline.subject import cut, select


@dataclass(frozen=True, kw_only=True, eq=False)
class _Inverted:
    photo: Photo
    crop: Crop
    inversion: Inversion


@dataclass(frozen=True, kw_only=True, eq=False)
class PhotoMeasure:
    """Measures photos with networks that are loaded.

    Attributes:
        models: the networks.
        identity: tells persons apart, or None.
        presets: what is dragged.
        invert: inverts a photo's face, with the quality and the seed of the evaluation.
    """

    models: Models
    identity: IdentityNetwork | None
    presets: tuple[str, ...]
    invert: Callable[[Picture], _Inverted]

    @classmethod
    def begin(cls, setting: Setting, quality: str, presets: tuple[str, ...]) -> "PhotoMeasure":
        """Load the networks."""
        models = setting.load()
        return cls(
            models=models,
            identity=load_identity_network(setting.identity, models.device),
            presets=presets,
            # The engines of a photo follow each other.
            invert=lru_cache(maxsize=1)(partial(_invert, models, quality, setting.seed)),
        )

    def __call__(self, task: EngineTask) -> Json:
        """Measure one task; a record of plain JSON values, "skipped" where there is no face."""
        try:
            subject = self.invert(task.picture)
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
        handles = spec.handles[~spec.anchors].numpy().astype(np.float64)
        chosen = nearest_landmarks(handles, landmarks)
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
        people = [person_on(i, find_landmarks(i, self.models), self.identity) for i in (a, b)]
        return cosine(*people)


def _invert(models: Models, quality: str, seed: int, picture: Picture) -> _Inverted:
    photo = read_photo(picture.path)
    crop = cut(photo, select(photo, models))
    inversion, _ = invert_face(crop, models, quality, seed, None)
    return _Inverted(photo=photo, crop=crop, inversion=inversion)


def _apart(found: Points, spec: DragSpec) -> float:
    return float(np.linalg.norm(found - spec.targets[~spec.anchors].numpy(), axis=1).mean())
